from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.patients import PatientData
from dicomfab.fabricate.patterns import Purpose, parse
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.patients import PatientService
from dicomfab.services.patients_csv import COLUMNS, read_rows, write_rows
from dicomfab.storage.patients import StoredPatient
from tests.unit.archive.builders import dataset, store

ADMIN = Actor("root", frozenset({Role.ADMIN}))
NOBODY = Actor("nobody")
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ANN = {"patient_id": "SYN1", "name": "Doe^Ann", "birth_date": "20000101", "sex": "F"}


@pytest.fixture
def application(tmp_path):
    made = build(Settings(tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def service(application) -> PatientService:
    return application.patients


def ids(service, search=""):
    return [one.data.patient_id for one in service.page(ADMIN, search).patients]


def imported(service, text):
    return service.import_csv(ADMIN, text, source="p.csv")


def test_given_and_made_ids(service):
    given_id = service.add(ADMIN, ANN)
    assert (given_id.patients[0].data.patient_id, given_id.warnings) == ("SYN1", ())
    made = service.add(ADMIN, {"name": "Doe^Bob", "patient_id": ""}).patients[0].data.patient_id
    assert made.startswith("SYN")
    assert len(made) == 13
    risky = service.add(ADMIN, {"name": "X"}, pattern=parse("PID{3digits}", Purpose.PATIENT_ID, start=7))
    assert risky.patients[0].data.patient_id == "PID007"
    assert "merge" in risky.warnings[0]
    with pytest.raises(InvalidInput, match="pattern"):
        service.add(ADMIN, ANN, pattern=parse("PID{3digits}", Purpose.PATIENT_ID))


def test_a_mistake_uses_up_no_id(service):
    pattern = parse("SYN{3digits}", Purpose.PATIENT_ID, start=1)
    with pytest.raises(InvalidInput):
        service.add(ADMIN, {"name": "X", "sex": "Q"}, pattern=pattern)
    assert service.next_patient_id(ADMIN, pattern).value == "SYN001"


def test_invented_patients_follow_from_the_seed_but_their_ids_are_new(service):
    one, two = (service.invent(ADMIN, 5, seed=7).patients for _ in range(2))
    assert [p.data.name for p in one] == [p.data.name for p in two]
    assert len({p.data.patient_id for p in (*one, *two)}) == 10
    assert {p.data.patient_id[:3] for p in one} == {"SYN"}


@pytest.mark.parametrize(
    ("arguments", "field"), [((0,), "count"), ((10_001,), "count"), ((-1,), "count"), ((True,), "count")]
)
def test_a_count_that_cannot_be_is_refused(service, arguments, field):
    with pytest.raises(InvalidInput) as caught:
        service.invent(ADMIN, *arguments)
    assert caught.value.field == field
    assert ids(service) == []


def test_more_than_a_pattern_can_make_adds_nobody(service):
    with pytest.raises(InvalidInput, match="only 10 of the 11"):
        service.invent(ADMIN, 11, pattern=parse("SYN{1digits}", Purpose.PATIENT_ID))
    assert ids(service) == []


def test_ids_of_local_studies_of_any_environment_are_passed_over(application, service):
    for number, environment in ((1, Environment.TEST), (2, Environment.PROD)):
        uid = f"1.2.{number}"
        instance = dataset(uid, f"{uid}.1", f"{uid}.1.1", PatientID=f"SYN{number}", AccessionNumber=f"ACC{number}")
        store(application.local_archive, instance, environment=environment)
    assert service.next_patient_id(ADMIN, parse("SYN{1digits}", Purpose.PATIENT_ID, start=1)).value == "SYN3"
    assert service.next_accession(ADMIN, parse("ACC{1digits}", Purpose.ACCESSION, start=1)).value == "ACC3"


def test_an_edit_keeps_what_is_not_named(service):
    (ann,) = service.add(ADMIN, ANN).patients
    edited = service.edit(ADMIN, ann.number, {"weight_kg": 61.5})
    assert edited.data == PatientData("SYN1", "Doe^Ann", "20000101", "F", weight_kg=61.5)
    assert service.edit(ADMIN, ann.number, {"weight_kg": "61.5"}).revision == edited.revision == 2
    with pytest.raises(InvalidInput, match="birth_date"):
        service.edit(ADMIN, ann.number, {"birth_date": "29990101"})


def test_an_edit_of_what_has_changed_meanwhile_is_refused_and_says_what_differs(service):
    (ann,) = service.add(ADMIN, ANN).patients
    service.edit(ADMIN, ann.number, {"weight_kg": 61.5, "sex": "O"}, revision=1)
    with pytest.raises(Conflict, match=r"weight_kg is now 61.5, not 70.0") as caught:
        service.edit(ADMIN, ann.number, {"weight_kg": 70}, revision=1)
    assert "sex" not in caught.value.what
    assert service.edit(ADMIN, ann.number, {"weight_kg": 61.5}, revision=1).revision == 2
    assert service.edit(ADMIN, ann.number, {"weight_kg": 70}, revision=2).revision == 3


def test_removing_says_how_many_studies_stay(application, service):
    store(application.local_archive, dataset("1.2.1", PatientID="SYN1"))
    (ann,) = service.add(ADMIN, ANN).patients
    assert service.remove(ADMIN, ann.number).studies == 1
    assert application.local_archive.has_study("1.2.1")
    with pytest.raises(NotFound):
        service.get(ADMIN, ann.number)


def test_a_patient_is_found_by_id_and_issuer(service):
    service.add(ADMIN, ANN)
    service.add(ADMIN, {**ANN, "issuer": "OTHER"})
    assert service.resolve_reference(ADMIN, "SYN1", "OTHER").data.issuer == "OTHER"
    with pytest.raises(InvalidInput, match="issuer"):
        service.resolve_reference(ADMIN, "SYN1")
    with pytest.raises(NotFound):
        service.resolve_reference(ADMIN, "syn1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_a_spreadsheet_is_taken_whatever_its_delimiter_and_headings(service, delimiter):
    lines = ["\ufeffPatient ID,NAME,Date of Birth,sex", "007,Doe^Ann,2000-01-01,f", ",,,", "", "0008,Doe^Bob,,"]
    report = imported(service, "\r\n".join(lines).replace(",", delimiter))
    assert report.added == ("007", "0008")
    assert report.warnings[0].startswith("2 of the IDs: 007 does not begin with SYN")
    assert service.resolve_reference(ADMIN, "007").data.birth_date == "20000101"


def test_an_import_changes_who_is_there_in_the_columns_that_it_has(service):
    service.add(ADMIN, {**ANN, "notes": "stays"})
    report = imported(service, "patient_id,name,sex\nSYN1,Roe^Ann,F\nSYN2,B,M\n")
    assert (report.added, report.changed, report.unchanged) == (("SYN2",), ("SYN1",), ())
    ann = service.resolve_reference(ADMIN, "SYN1")
    assert (ann.data.name, ann.data.notes, ann.revision) == ("Roe^Ann", "stays", 2)
    assert imported(service, "patient_id,name,sex\nSYN1,Roe^Ann,F\nSYN2,B,M\n").unchanged == ("SYN1", "SYN2")


def test_a_table_made_before_someone_elses_edit_does_not_undo_it(service):
    (ann,) = service.add(ADMIN, ANN).patients
    table = service.export_csv(ADMIN)
    service.edit(ADMIN, ann.number, {"sex": "O"})
    with pytest.raises(InvalidInput, match=r"line 2, revision: .*revision 1, now 2"):
        imported(service, table)
    assert service.get(ADMIN, ann.number).data.sex == "O"
    assert imported(service, table.replace(",1\r", ",\r")).changed == ("SYN1",)


def test_every_row_at_fault_is_named_and_nothing_is_imported(service):
    text = (
        'patient_id,name,birth_date\nSYN1,A,\nSYN2,"two\nlines",\nSYN3,C,20261399\n,D,\nSYN1,E,\n'
        'SYN5,F\nSYN6,"G ""H""",1999-01-01\nSYN7,,\n'
    )
    with pytest.raises(InvalidInput) as caught:
        imported(service, text)
    what = caught.value.what
    for said in (
        "6 problems",
        "line 3, name: ",
        "line 5, birth_date: '20261399' is not a date",
        "line 6, patient_id: '' is empty",
        "line 7, patient_id: 'SYN1' stands in line 2 already",
        "line 8, row: the row has 2 cells, the heading line has 3",
        "line 10, name: '' is empty",
    ):
        assert said in what
    assert caught.value.source == "p.csv"
    assert ids(service) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, heading: the file is empty"),
        ("\n\n", "the file is empty"),
        ("name\nX\n", "there is no column patient_id"),
        ("\npatient_id,colour\n", "line 2, heading: 'colour' is no column"),
        ("patient_id,PatientID\n", "'PatientID' stands twice"),
        ('patient_id,name\nSYN1,"open\n', "line 2, row: it cannot be read"),
        ('patient_id,name\nSYN1,"a"b\n', "line 2, row: it cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(service, text, said):
    with pytest.raises(InvalidInput) as caught:
        imported(service, text)
    assert said in caught.value.what


def test_a_thousand_problems_make_one_message(service):
    rows = "".join(f"SYN{n},X,soon\n" for n in range(1000))
    with pytest.raises(InvalidInput, match="1000 problems") as caught:
        imported(service, f"patient_id,name,birth_date\n{rows}")
    assert "980 more, in lines 22, 23" in caught.value.what
    assert len(caught.value.what) < 4000


def test_what_a_spreadsheet_would_run_is_marked_and_comes_back(service):
    service.add(ADMIN, {"patient_id": "=1+1", "name": "@SUM", "notes": "-1\n+2"})
    service.add(ADMIN, {"patient_id": "'=1", "name": "'t^Hooft"})
    table = service.export_csv(ADMIN)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in csv.reader(io.StringIO(table)) for cell in row)
    assert "\r\n'=1+1,'@SUM," in table
    assert "''=1,''t^Hooft" in table
    before = ids(service)
    for one in service.page(ADMIN).patients:
        service.remove(ADMIN, one.number)
    assert len(imported(service, table).added) == 2
    assert ids(service) == before
    assert service.resolve_reference(ADMIN, "=1+1").data.notes == "-1\n+2"


@given(st.text() | st.text("patient_id,name\n;\"\t'=0 ").map("patient_id,name\n{}".format))
def test_any_text_is_read_or_refused(text):
    try:
        rows, problems = read_rows(text, source="x")
    except InvalidInput:
        return
    lines = [one.line for one in (*rows, *problems)]
    assert len(set(lines)) == len(lines)
    assert all(2 <= line <= text.count("\n") + text.count("\r") + 1 for line in lines)


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ["=1", "'=1", "''", "007", "a;b", 'say "x"', "two\nlines", "-0", "\t", "\ufeff"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_any_value_survives_the_table(pairs):
    data = [PatientData(f"SYN{n}", name, notes=notes) for n, (name, notes) in enumerate(pairs)]
    people = [StoredPatient(n, one, NOW, NOW, 1) for n, one in enumerate(data)]
    rows, problems = read_rows(write_rows(people), source="x")
    assert problems == []
    assert [tuple(row.values) for row in rows] == [COLUMNS] * len(rows)
    assert [(row.values["name"], row.values["notes"]) for row in rows] == pairs


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_an_invented_patient_of_a_script_has_studies_that_hold_all_of_it(application, service, script):
    (one,) = service.invent(ADMIN, seed=4, script=script, contact=True).patients
    recipe = StudyRecipe((SeriesRecipe("text-card", 1),), patient=one.data.patient, seed=1)
    resolved = application.studies.resolve_recipe(ADMIN, recipe)
    application.studies.create(ADMIN, resolved)
    (file,) = application.local_archive.instances(resolved.study_instance_uid)
    ds = dcmread(file.path)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == one.data.name
    assert (ds.PatientAddress, ds.PatientTelephoneNumbers) == (one.data.address, one.data.phone)
    assert application.local_archive.study(resolved.study_instance_uid).summary.patient_name == one.data.name
    # In the character set of the script, if that is asked for.
    own = application.studies.resolve_recipe(ADMIN, replace(recipe, script=script))
    assert own.character_set == SCRIPTS[script].character_set


def test_address_and_phone_are_kept_edited_checked_and_come_back_from_a_table(service):
    assert {one.data.address for one in service.invent(ADMIN, 2, seed=4).patients} == {""}
    made = service.invent(ADMIN, 2, seed=4, contact=True).patients
    assert [one.data.name for one in made] == [one.data.name for one in service.invent(ADMIN, 2, seed=4).patients]
    first = service.edit(ADMIN, made[0].number, {"address": " 1 Löwenweg ", "phone": "+49 1"})
    assert (first.data.address, first.data.phone) == ("1 Löwenweg", "+49 1")
    table = service.export_csv(ADMIN)
    assert "'+49 1" in table  # no formula for a spreadsheet
    for one in made:
        service.remove(ADMIN, one.number)
    imported(service, table)
    assert service.resolve_reference(ADMIN, first.data.patient_id).data == first.data
    assert service.resolve_reference(ADMIN, made[1].data.patient_id).data == made[1].data
    for field, value in (("address", "x" * 65), ("phone", "1" * 17), ("phone", "1\\2"), ("address", "a\nb")):
        with pytest.raises(InvalidInput) as refused:
            service.add(ADMIN, {**ANN, field: value})
        assert refused.value.field == field
    with pytest.raises(InvalidInput) as refused:
        service.invent(ADMIN, script="klingon")
    assert refused.value.field == "script"


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (None, set()),
        (Role.TEST_READ, {"look", "add", "edit", "export"}),
        (Role.TEST_WRITE, {"look", "add", "edit", "export", "remove"}),
        (Role.PROD_READ, {"add"}),
        (Role.PROD_WRITE, {"add"}),
        (Role.ADMIN, {"look", "add", "edit", "export", "remove"}),
    ],
)
def test_who_may_do_what(service, role, allowed):
    actor = Actor("someone", frozenset({role} if role else ()))
    (ann,) = service.add(ADMIN, ANN).patients
    deeds = {
        "look": lambda: service.page(actor),
        "add": lambda: service.invent(actor),
        "edit": lambda: service.edit(actor, ann.number, {"sex": "O"}),
        "export": lambda: service.export_csv(actor),
        "remove": lambda: service.remove(actor, ann.number),
    }
    done = SimpleNamespace(names=set())
    for name, deed in deeds.items():
        try:
            deed()
        except AccessDenied:
            continue
        done.names.add(name)
    assert done.names == allowed
