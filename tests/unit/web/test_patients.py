from __future__ import annotations

import re

import pytest

from dicomfab.app.build import Application
from dicomfab.storage.patients import StoredPatient
from tests.unit.web.conftest import ACTOR, Browser

FORM = {"patient_id": "SYN1", "name": "Doe^Ann", "birth_date": "2000-01-31", "sex": "F", "size_m": "1.7"}


@pytest.fixture
def ann(application: Application) -> StoredPatient:
    return application.patients.add(ACTOR, FORM).patients[0]


def test_nobody_yet(browser: Browser) -> None:
    assert "No patients yet" in browser.get("/patients").text


def test_a_patient_is_added_and_shown_first(browser: Browser, application: Application, ann: StoredPatient) -> None:
    response = browser.post("/patients/new", {"name": "Roe^Bob", "patient_id": "PID1"})
    assert response.status_code == 303
    text = browser.get(response.headers["location"]).text
    assert text.index("Roe, Bob") < text.index("Doe, Ann")
    assert text.count("not SYN: may merge with a real patient") == 1
    assert application.patients.resolve_reference(ACTOR, "PID1").data.issuer == "SYN-DICOMFAB"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "is empty"),
        ("birth_date", "2999-01-01", "lies in the future"),
        ("patient_id", "A*", "contains * or ?"),
        ("patient_id", "SYN1", "registered already"),
        ("size_m", "170", "is not a number from"),
        ("address", "x" * 65, "has 65 characters"),
        ("phone", "1\\2", "cannot store"),
        ("notes", "\x01", "control character"),
    ],
)
def test_a_mistake_is_said_at_its_field_and_adds_nobody(
    browser: Browser, application: Application, ann: StoredPatient, field: str, value: str, said: str
) -> None:
    response = browser.post("/patients/new", {**FORM, "patient_id": "SYN2", field: value})
    assert response.status_code in {400, 409}
    assert f'id="{field}-error"' in response.text
    assert said in response.text
    assert 'value="2000-01-31"' in response.text or field == "birth_date"
    assert application.patients.page(ACTOR).total == 1


def test_patients_are_invented(browser: Browser, application: Application) -> None:
    form = {"count": "30", "seed": "7", "pattern": "SYN{3digits}", "start": "5", "increment": "", "prefix": ""}
    assert browser.post("/patients/invent", form).status_code == 303
    found = application.patients.page(ACTOR)
    assert {one.data.patient_id for one in found.patients} == {f"SYN{n:03d}" for n in range(5, 35)}


def test_address_and_phone_are_typed_shown_again_and_invented(browser: Browser, application: Application) -> None:
    form = {"count": "1", "seed": "7", "script": "greek", "contact": "true"}
    assert browser.post("/patients/invent", form).status_code == 303
    (one,) = application.patients.page(ACTOR).patients
    assert one.data.phone.startswith("+30 210 0")
    page = browser.get(f"/patients/{one.number}/edit").text
    assert f'value="{one.data.address}"' in page
    assert f'value="{one.data.phone}"' in page
    typed = {**FORM, "address": "1 Fern Close", "phone": "+44 1632 960001"}
    assert browser.post(f"/patients/{one.number}/edit", typed).status_code == 303
    data = application.patients.get(ACTOR, one.number).data
    assert (data.address, data.phone) == ("1 Fern Close", "+44 1632 960001")
    assert "1 Fern Close" not in browser.get("/patients").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "0"),
        ("script", "klingon"),
        ("count", "many"),
        ("seed", "-1"),
        ("pattern", "SYN{1digits}"),
        ("start", "x"),
        ("increment", "0"),
    ],
)
def test_what_cannot_be_invented_is_said_at_its_field(
    browser: Browser, application: Application, field: str, value: str
) -> None:
    response = browser.post("/patients/invent", {"count": "11", "pattern": "SYN{3digits}", field: value})
    assert response.status_code == 400
    assert f'id="{field}-error"' in response.text
    assert application.patients.page(ACTOR).total == 0


def test_the_list_is_searched_sorted_and_paged_by_its_address(browser: Browser, application: Application) -> None:
    for number in range(30):
        application.patients.add(ACTOR, {"patient_id": f"SYN{number:02d}", "name": f"Møller^N{number % 3}"})
    first = browser.get("/patients?q=moller&sort=patient_id&order=desc").text
    assert "30 patients with “moller”, page 1 of 2" in first
    assert re.findall(r"SYN\d\d", first)[0] == "SYN29"
    assert 'aria-sort="descending"' in first
    assert "q=moller&amp;sort=patient_id&amp;order=desc&amp;page=2" in first
    second = browser.get("/patients?q=moller&sort=patient_id&order=desc&page=2").text
    assert re.findall(r"SYN\d\d", second)[-1] == "SYN00"
    assert "No patient matches" in browser.get("/patients?q=nobody").text
    assert browser.get("/patients?sort=nonsense&order=x&page=-1").status_code == 200


def test_an_edit_and_an_edit_of_what_changed_meanwhile(
    browser: Browser, application: Application, ann: StoredPatient
) -> None:
    address = f"/patients/{ann.number}/edit"
    assert 'value="2000-01-31"' in browser.get(address).text
    assert browser.post(address, {**FORM, "sex": "O", "revision": "1"}).status_code == 303
    stale = browser.post(address, {**FORM, "sex": "M", "revision": "1"})
    assert stale.status_code == 409
    assert "sex is now &#39;O&#39;, not &#39;M&#39;" in stale.text
    assert '<option value="M" selected>' in stale.text
    assert 'name="revision" value="2"' in stale.text
    assert browser.post(address, {**FORM, "sex": "M", "revision": "2"}).status_code == 303
    assert application.patients.get(ACTOR, ann.number).data.sex == "M"
    assert browser.get("/patients/999/edit").status_code == 404
    assert browser.get(f"/patients/{10**30}/edit").status_code == 400


def test_deletion_says_what_stays(browser: Browser, application: Application, ann: StoredPatient, study: str) -> None:
    text = browser.get(f"/patients/{ann.number}/delete").text
    assert "1 local study carries this ID and stays as it is." in text
    assert browser.post(f"/patients/{ann.number}/delete").status_code == 303
    assert application.patients.page(ACTOR).total == 0
    assert application.studies.show(ACTOR, study)


def test_export_and_import(browser: Browser, application: Application, ann: StoredPatient) -> None:
    application.patients.add(ACTOR, {"patient_id": "SYN2", "name": "Öberg^Bob"})
    response = browser.get("/patients/export?q=oberg")
    assert response.content.startswith(b"\xef\xbb\xbfpatient_id,")
    assert "attachment" in response.headers["content-disposition"]
    assert "SYN1" not in response.text
    changed = response.content.replace(b"SYN2", b"SYN3")
    done = browser.post("/patients/import", files={"file": ("p.csv", changed, "text/csv")})
    assert "1 added, 0 changed, 0 as before" in done.text
    assert application.patients.page(ACTOR).total == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "it is empty"), (b"\xff\xfe", "not UTF-8"), (b"patient_id\nSYN9\n", "line 2, name: ")],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    browser: Browser, application: Application, content: bytes, said: str
) -> None:
    response = browser.post("/patients/import", files={"file": ("p.csv", content, "text/csv")})
    assert response.status_code == 400
    assert said in response.text
    assert application.patients.page(ACTOR).total == 0
