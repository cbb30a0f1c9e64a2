"""Results that are kept: read again by whoever searched, in the environments that he may query."""

from __future__ import annotations

import csv
import datetime
import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.access.policy import Action
from dicomfab.fabricate.people import invent
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, LocalFailure, NotFound
from dicomfab.model.study import Patient
from dicomfab.registry.server import PacsServer
from dicomfab.services.pacs import PacsService
from dicomfab.services.search import PAGE_SIZE, SearchService, View
from dicomfab.services.search_export import Table, guarded, writer
from dicomfab.services.search_saved import SavedSearch, SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.searches import SearchStore
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.services.hospital import ADMIN, Hospital


@pytest.fixture
def service(site: Hospital) -> Iterator[SearchService]:
    database = Database(site.folder / "registry.sqlite3")
    pacs = PacsService(RegistryRepository(database), lambda _peer: pytest.fail("no C-ECHO here"))
    folder = site.folder / "queries"
    yield SearchService(site.queries, pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved"))
    database.close()


class Holding(MemoryPacs):
    """Answers with studies: UID, name, instances."""

    def __init__(self, *studies: tuple[str, str, str | None]) -> None:
        super().__init__()
        for uid, name, instances in studies:
            match = Dataset()
            match.SpecificCharacterSet = "ISO_IR 192"
            match.QueryRetrieveLevel = "STUDY"
            match.StudyInstanceUID, match.PatientName, match.PatientID = uid, name, f"ID{uid[-1]}"
            match.NumberOfStudyRelatedSeries = "1"
            if instances is not None:
                match.NumberOfStudyRelatedInstances = instances
            self.matches.append(match)


@pytest.fixture
def two(site: Hospital, service: SearchService) -> list[PacsServer]:
    """A test server and a production server that have one study in common, with another count."""
    lab = Holding(("1.1", "Ångström^Anna", "10"), ("1.2", "Bell", "9"), ("1.3", "=CMD()", None))
    live = Holding(("1.2", "Bell", "8"), ("1.4", "-1+1", "100"))
    servers = [site.server("LAB", lab), site.server("LIVE", live, "prod")]
    for server in servers:
        service.pacs.add(ADMIN, server.as_dict())
    return servers


def searched(service: SearchService, labels: list[str], actor: Actor = ADMIN, **fields: str) -> str:
    found = service.begin(actor, service.targets(actor, labels), StudyFilter(**({"patient_id": "X*"} | fields)), 500)  # type: ignore[arg-type]
    assert [answer.matches for answer in service.run(actor, found)] == [()] * len(labels)
    return found


def names(service: SearchService, search_id: str, actor: Actor = ADMIN, **view: object) -> list[str]:
    page = service.page(actor, search_id, View(**view))  # type: ignore[arg-type]
    return [row.match.patient_name for row in (page.merged or page.rows)]


def test_results_are_sorted_and_filtered_without_asking_again(
    site: Hospital, service: SearchService, two: list[PacsServer]
) -> None:
    search = searched(service, ["lab", "live"])
    site.stack.close()  # nobody answers any more
    assert sorted(names(service, search)) == ["-1+1", "=CMD()", "Bell", "Bell", "Ångström^Anna"]
    column = "NumberOfStudyRelatedInstances"
    assert names(service, search, sort=column) == ["=CMD()", "Bell", "Bell", "Ångström^Anna", "-1+1"]
    assert names(service, search, sort=column, descending=True)[0] == "-1+1"
    assert names(service, search, text="angstrom ANNA") == ["Ångström^Anna"]
    assert names(service, search, text="100%") == []
    assert sorted(names(service, search, server="live")) == ["-1+1", "Bell"]
    assert names(service, search, server="nobody") == []
    assert len(names(service, search, sort="no such column")) == 5


def test_the_merged_view_shows_who_holds_a_study_and_whether_counts_differ(
    service: SearchService, two: list[PacsServer]
) -> None:
    search = searched(service, ["lab", "live"])
    page = service.page(ADMIN, search, View(merged=True, sort="StudyInstanceUID"))
    assert page.total == 4
    held = {row.match.study_instance_uid: row for row in page.merged}
    assert [one.answer.server_id for one in held["1.2"].found] == ["lab", "live"]
    assert held["1.2"].differs == ("instances",)
    assert [held[uid].differs for uid in ("1.1", "1.3", "1.4")] == [()] * 3
    of_live = service.page(ADMIN, search, View(merged=True, server="live"))
    assert (of_live.total, {len(row.found) for row in of_live.merged}) == (2, {1, 2})
    assert names(service, search, merged=True, text="bell") == ["Bell"]


def test_an_unknown_count_differs_from_nothing(site: Hospital, service: SearchService) -> None:
    for name, count in (("A", "3"), ("B", None)):
        service.pacs.add(ADMIN, site.server(name, Holding(("1.1", "X", count))).as_dict())
    [row] = service.page(ADMIN, searched(service, ["a", "b"]), View(merged=True)).merged
    assert (len(row.found), row.differs) == (2, ())


def test_results_belong_to_whoever_searched(service: SearchService, two: list[PacsServer]) -> None:
    search = searched(service, ["lab"])
    other = replace(ADMIN, name="someone else")
    for read in (
        lambda: service.page(other, search, View()),
        lambda: service.export(other, search, "csv"),
        lambda: list(service.rows(other, search)),
    ):
        with pytest.raises(NotFound):
            read()
    for unknown in ("", "../../dicomfab", "A" * 16, "x" * 400):
        with pytest.raises(NotFound):
            service.get(ADMIN, unknown)


@pytest.mark.parametrize("role", [Role.TEST_READ, Role.TEST_WRITE])
def test_a_role_that_was_taken_away_hides_its_rows(service: SearchService, two: list[PacsServer], role: Role) -> None:
    search = searched(service, ["lab", "live"])
    now = replace(ADMIN, roles=frozenset({role}))
    assert sorted(names(service, search, now)) == ["=CMD()", "Bell", "Ångström^Anna"]
    merged = service.page(now, search, View(merged=True))
    assert merged.total == 3
    assert {one.answer.server_id for row in merged.merged for one in row.found} == {"lab"}
    assert b"100" not in b"".join(service.export(now, search, "csv"))
    assert service.page(replace(ADMIN, roles=frozenset()), search, View()).total == 0


def test_a_server_that_may_not_be_seen_is_not_allowed_and_the_others_are_asked(
    service: SearchService, two: list[PacsServer]
) -> None:
    actor = replace(ADMIN, roles=frozenset({Role.TEST_READ}))
    search = searched(service, ["lab", "LIVE"], actor)
    states = {a.server_id: (a.state, a.found, a.environment) for a in service.get(actor, search).answers}
    assert states == {"lab": ("ok", 3, "test"), "LIVE": ("not allowed", 0, "")}
    error = service.get(actor, search).answers[1].error
    assert error is not None
    assert str(Action.VIEW) in error["what"]


def test_a_search_is_made_once(service: SearchService, two: list[PacsServer]) -> None:
    search = searched(service, ["lab"])
    assert list(service.run(ADMIN, search)) == []
    assert service.page(ADMIN, search, View()).total == 3


def test_a_production_search_without_a_narrowing_key_keeps_nothing(
    service: SearchService, two: list[PacsServer]
) -> None:
    with pytest.raises(InvalidInput, match="nobody was asked"):
        service.begin(ADMIN, service.targets(ADMIN, ["live"]), StudyFilter(), 500)
    assert not list((service.store._folder).glob("*"))


def test_results_are_removed_after_a_day(service: SearchService, two: list[PacsServer]) -> None:
    old, new = searched(service, ["lab"]), searched(service, ["lab"])
    yesterday = time.time() - 25 * 3600
    for path in service.store._folder.glob(f"{old}*"):
        os.utime(path, (yesterday, yesterday))
    newest = searched(service, ["lab"])
    with pytest.raises(NotFound):
        service.get(ADMIN, old)
    service.forget(ADMIN, newest)
    assert {path.name.split(".")[0] for path in service.store._folder.iterdir()} == {new}


def test_files_are_for_their_owner_only(service: SearchService, two: list[PacsServer]) -> None:
    searched(service, ["lab"])
    assert service.store._folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in service.store._folder.iterdir())


def test_results_that_cannot_be_kept_are_said_to_be(service: SearchService, two: list[PacsServer]) -> None:
    service.store._folder.parent.mkdir(parents=True, exist_ok=True)
    service.store._folder.write_text("in the way")
    with pytest.raises(LocalFailure, match="cannot be kept"):
        searched(service, ["lab"])


def test_a_limit_is_a_limit(site: Hospital, service: SearchService) -> None:
    many = Holding(*((f"1.{n}", f"N{n}", "1") for n in range(PAGE_SIZE + 20)))
    service.pacs.add(ADMIN, site.server("MANY", many).as_dict())
    search = service.begin(ADMIN, service.targets(ADMIN, ["many"]), StudyFilter(), PAGE_SIZE + 10)
    [answer] = service.run(ADMIN, search)
    assert (answer.found, answer.truncated, answer.state) == (PAGE_SIZE + 10, True, "ok")
    pages = [service.page(ADMIN, search, View(page=n)) for n in (1, 2, 3)]
    assert [len(page.rows) for page in pages] == [PAGE_SIZE, 10, 0]
    assert {page.pages for page in pages} == {2}


# ---------------------------------------------------------------------- files


def test_csv_runs_nothing(service: SearchService, two: list[PacsServer]) -> None:
    search = searched(service, ["lab", "live"])
    rows = list(csv.DictReader(io.StringIO(b"".join(service.export(ADMIN, search, "csv")).decode())))
    by_uid = {(row["Server"], row["StudyInstanceUID"]): row for row in rows}
    assert len(rows) == 5
    assert by_uid["LAB", "1.3"]["PatientName"] == "'=CMD()"
    assert by_uid["LIVE", "1.4"]["PatientName"] == "'-1+1"
    assert by_uid["LAB", "1.1"]["PatientName"] == "Ångström^Anna"
    assert by_uid["LAB", "1.3"]["NumberOfStudyRelatedInstances"] == "unknown"


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula(text: str) -> None:
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert guarded(text) in (text, f"'{text}")


def test_json_tells_unknown_from_empty_and_names_who_failed(service: SearchService, two: list[PacsServer]) -> None:
    service.pacs.add(ADMIN, {"name": "Down", "host": "127.0.0.1", "port": 1, "aec": "D", "environment": "test"})
    search = searched(service, ["lab", "live", "down"])
    plain = json.loads(b"".join(service.export(ADMIN, search, "json", View(sort="StudyInstanceUID"))))
    assert [server["state"] for server in plain["servers"]] == ["ok", "ok", "failed"]
    assert plain["servers"][2]["error"]["heading"] == "Connection failed"
    third = next(match for match in plain["matches"] if match["StudyInstanceUID"] == "1.3")
    assert (third["NumberOfStudyRelatedInstances"], third["Environment"]) == (None, "test")
    nothing = searched(service, ["down"])
    assert json.loads(b"".join(service.export(ADMIN, nothing, "json")))["matches"] == []


def test_xlsx_holds_texts_only(service: SearchService, two: list[PacsServer]) -> None:
    search = searched(service, ["lab", "live"])
    book = zipfile.ZipFile(io.BytesIO(b"".join(service.export(ADMIN, search, "xlsx", View(merged=True)))))
    sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == 5
    assert "<f>" not in sheet
    assert "=CMD()" in sheet
    assert "LAB: 9; LIVE: 8" in sheet
    with pytest.raises(InvalidInput):
        service.export(ADMIN, search, "pdf")


@pytest.mark.parametrize("kind", ["csv", "json", "xlsx"])
def test_names_of_every_script_are_exported_as_they_are(kind: str) -> None:
    names = [invent(3, datetime.date(2026, 1, 5), script).name for script in (LATIN, *SCRIPTS)]
    content = b"".join(writer(kind)(Table({}, ["PatientName"], [[name] for name in names])))
    if kind == "xlsx":
        content = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml")
    for name in names:
        assert name in content.decode()


# ---------------------------------------------------------------------- saved


SAVED = SavedSearch("smith", ("lab",), StudyFilter(patient_name="Smith^John", keys=("PatientSex=M",)), 20)


def test_a_saved_search_comes_back_as_it_was(service: SearchService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service.saved.save(ADMIN, SAVED)
    assert service.saved.load(ADMIN, "smith") == SAVED
    assert service.saved.every(ADMIN) == (SAVED,)
    assert "Smith" not in caplog.text
    [path] = service.saved.folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    service.saved.remove(ADMIN, "smith")
    with pytest.raises(NotFound, match="no saved search"):
        service.saved.load(ADMIN, "smith")


def test_a_saved_search_needs_a_name_a_filter_and_a_role(service: SearchService) -> None:
    for name in ("", "../x", "Smith", "a b", "x" * 65):
        with pytest.raises(InvalidInput) as caught:
            service.saved.save(ADMIN, replace(SAVED, name=name))
        assert caught.value.field == "save"
    with pytest.raises(InvalidInput):
        service.saved.save(ADMIN, replace(SAVED, filter=StudyFilter(date="never")))
    with pytest.raises(AccessDenied):
        service.saved.every(replace(ADMIN, roles=frozenset()))
    for name in ("../smith", "none"):
        with pytest.raises(NotFound):
            service.saved.load(ADMIN, name)


def test_a_saved_search_is_seen_by_those_who_may_query_its_servers(service: SearchService) -> None:
    for name, environment in (("one", "test"), ("two", "prod")):
        entry = {"name": name, "host": "127.0.0.1", "port": 104, "aec": name.upper(), "environment": environment}
        service.pacs.add(ADMIN, entry)
    saved = SavedSearches(service.saved.folder, service.pacs._repository.load)
    tester = replace(ADMIN, name="tester", roles=frozenset({Role.TEST_READ}))
    for name, servers in (("of-test", ("ONE",)), ("of-prod", ("two",)), ("of-both", ("one", "two")), ("of-all", ())):
        saved.save(ADMIN, replace(SAVED, name=name, servers=servers))
    saved.save(ADMIN, replace(SAVED, name="of-nobody-known", servers=("gone",)))
    saved.save(tester, replace(SAVED, name="own", servers=()))
    assert [one.name for one in saved.every(tester)] == ["of-test", "own"]
    assert len(saved.every(ADMIN)) == 6
    with pytest.raises(NotFound, match="no saved search") as caught:
        saved.load(tester, "of-prod")
    assert "of-both" not in caught.value.cause
    with pytest.raises(NotFound):
        saved.remove(tester, "of-prod")
    with pytest.raises(Conflict, match="taken"):
        saved.save(tester, replace(SAVED, name="of-prod", servers=("one",)))
    assert saved.load(ADMIN, "of-prod").servers == ("two",)


def test_a_saved_search_that_does_not_say_where_it_belongs_is_for_those_who_may_query_everything(
    service: SearchService,
) -> None:
    service.saved.save(ADMIN, SAVED)
    path = service.saved.folder / "smith.json"
    kept = json.loads(path.read_text("utf-8"))
    del kept["environments"]
    path.write_text(json.dumps(kept), "utf-8")
    assert service.saved.load(ADMIN, "smith") == SAVED
    assert service.saved.every(replace(ADMIN, roles=frozenset({Role.TEST_WRITE}))) == ()
    assert service.saved.every(replace(ADMIN, roles=frozenset({Role.TEST_READ, Role.PROD_READ}))) == (SAVED,)


def test_a_damaged_saved_search_says_so(service: SearchService, tmp_path: Path) -> None:
    service.saved.save(ADMIN, SAVED)
    (service.saved.folder / "smith.json").write_text("[]")
    with pytest.raises(LocalFailure, match="cannot be read"):
        service.saved.load(ADMIN, "smith")


def test_real_servers_end_to_end(site: Hospital, service: SearchService) -> None:
    one = site.pacs("ONE")
    service.pacs.add(ADMIN, one.as_dict())
    study = site.make(StudyRecipe(("text-card",), patient=Patient("Müller^Jürgen", "SYN7"), seed=9))
    site.transfers.send(ADMIN, study, one)
    search = searched(service, ["one"], patient_id="", patient_name="MÜLLER")
    [found] = service.rows(ADMIN, search)
    assert (found.match.study_instance_uid, found.match.instances) == (study, 1)
