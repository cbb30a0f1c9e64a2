"""Copies from production expire, and what was fetched to be looked at; nothing else does."""

from __future__ import annotations

import datetime
import sqlite3
import threading
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyFilter
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, Conflict, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.copies import ExpiringCopies
from dicomfab.services.importing import ImportService
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.database import Database
from dicomfab.storage.fetched import FetchedStudies
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, Hospital, actor
from tests.unit.services.test_derivation import add

UTC = datetime.UTC


def copies(
    site: Hospital, hours: float = 24.0, later_h: float = 0.0, most_bytes: int = 10**9, record: Record = nobody
) -> ExpiringCopies:
    moment = datetime.datetime.now(UTC) + datetime.timedelta(hours=later_h)
    kept = {Environment.PROD: hours, Environment.TEST: hours / 2}
    return ExpiringCopies(site.local, kept, looked_at(site), most_bytes, lambda: moment, record)


def looked_at(site: Hospital) -> FetchedStudies:
    database = Database(site.folder / "fetched.sqlite3")
    site.stack.callback(database.close)
    return FetchedStudies(database)


def fetched(site: Hospital, environment: str = "prod", study: str = "1.2.840.7.1", *, to_look_at: bool = False) -> str:
    """A study that was got from a server."""
    if to_look_at:
        copies(site).fetching(study)
    if "FROM" not in site.archives:
        site.pacs("FROM", environment)
    server = site.entry("FROM", site.destinations["FROM"][1], environment)
    kept, site.local = site.local, site.archives["FROM"]
    ds = data_set(picture(), bits=8)
    ds.SOPInstanceUID = f"{study}.9"
    try:
        add(site, study, ds, server.environment)
    finally:
        site.local = kept
    assert site.transfers.get(ADMIN, study, server, to_look_at=to_look_at).accepted == 1
    return study


def test_a_copy_from_production_is_deleted_when_its_time_is_over(site: Hospital) -> None:
    study = fetched(site)
    (path,) = (one.path for one in site.local.instances(study))
    summary = site.local.study(study).summary
    assert copies(site).said(summary) == "expires in 24 h"
    assert copies(site, later_h=18.9).said(summary) == "expires in 5 h"
    assert copies(site, later_h=23.5).said(summary) == "expires in 30 min"
    assert copies(site, hours=240).said(summary) == "expires in 10 days"
    assert copies(site, later_h=25).said(summary) == "expires now"
    early, late = copies(site, later_h=23.9), copies(site, later_h=24.1)
    assert (early.need_a_worker(), early.sweep()) == (False, [])
    assert (late.need_a_worker(), late.sweep()) == (True, [study])
    assert not path.exists()
    with pytest.raises(NotFound):
        site.local.study(study)
    assert (late.need_a_worker(), late.sweep()) == (False, [])


def test_zero_hours_mean_never(site: Hospital) -> None:
    study, never = fetched(site), copies(site, hours=0, later_h=9e4)
    assert (never.need_a_worker(), never.sweep()) == (False, [])
    never.beat()
    assert never.expires_at(site.local.study(study).summary) is None


def test_nothing_of_test_and_nothing_imported_expires(site: Hospital, tmp_path: Path) -> None:
    of_test, made = fetched(site, "test"), site.make()
    by_hand = "1.2.840.7.2"
    ds = data_set(picture(), bits=8)
    ds.SOPInstanceUID = "1.2.3.50"
    add(site, by_hand, ds, Environment.PROD)
    assert copies(site, later_h=9e4).sweep() == []
    assert all(site.local.instances(one) for one in (of_test, made, by_hand))


def test_of_a_study_only_what_production_sent_goes(site: Hospital) -> None:
    study = fetched(site)
    ds = data_set(picture(), bits=8)
    ds.SOPInstanceUID = "1.2.3.51"
    add(site, study, ds, Environment.PROD)
    assert copies(site, later_h=25).sweep() == [study]
    assert site.held("local", study) == {"1.2.3.51"}


def test_what_is_imported_afterwards_stays(site: Hospital, tmp_path: Path) -> None:
    study = fetched(site)
    (one,) = site.local.instances(study)
    file = tmp_path / "by-hand.dcm"
    file.write_bytes(one.path.read_bytes())
    imported = ImportService(site.local, lambda _uid: False).take(ADMIN, [file])
    assert imported.studies[study].already == 1
    assert copies(site, later_h=25).sweep() == []
    assert site.held("local", study)


def test_who_may_not_bring_it_lets_it_not_stay_and_is_not_told_that_it_is_here(site: Hospital, tmp_path: Path) -> None:
    study, of_test = fetched(site), fetched(site, "test", "1.2.840.7.3")
    before = site.local.study(study).summary.retrieved_at
    files = []
    for one in (study, of_test):
        files.append(tmp_path / f"{one}.dcm")
        files[-1].write_bytes(site.local.instances(one)[0].path.read_bytes())
    tester = actor(Role.TEST_WRITE)
    here = ImportService(site.local, lambda _uid: False).take(tester, files)
    elsewhere = ImportService(site.archive("elsewhere"), lambda _uid: False).take(tester, files[:1])
    assert here.refused == elsewhere.refused
    assert here.denied == elsewhere.denied
    assert {one.study_instance_uid: one.already for one in here.studies.values()} == {of_test: 1}
    assert before
    assert site.local.study(study).summary.retrieved_at == before
    assert copies(site, later_h=25).sweep() == [study]


def test_getting_it_again_begins_anew_and_what_is_here_already_does_not_expire(site: Hospital) -> None:
    study = fetched(site)
    before = site.local.study(study).summary.retrieved_at
    with sqlite3.connect(site.local.root / "index.sqlite3") as index:
        index.execute("UPDATE instance SET retrieved_at = '2020-01-01T00:00:00+00:00' WHERE retrieved_at IS NOT NULL")
    index.close()
    server = site.entry("FROM", site.destinations["FROM"][1], "prod")
    site.transfers.get(ADMIN, study, server)
    assert site.local.study(study).summary.retrieved_at >= before
    made = site.make()
    site.transfers.send(ADMIN, made, server, confirm_production=True)
    site.transfers.get(ADMIN, made, server)
    assert site.local.study(made).summary.retrieved_at == ""
    assert copies(site, later_h=25).sweep() == [study]


def test_what_was_fetched_to_be_looked_at_goes_as_well_also_of_test(site: Hospital) -> None:
    study, early, late = fetched(site, "test", to_look_at=True), copies(site, later_h=11), copies(site, later_h=13)
    summary = site.local.study(study).summary
    assert early.said(summary) == "expires in 60 min"
    assert early.is_to_look_at(summary)
    assert early.sweep() == []
    assert late.sweep() == [study]
    assert looked_at(site).least_recent_first() == []


def test_what_was_here_before_stays_when_somebody_looks_at_it(site: Hospital) -> None:
    study = fetched(site, "test")
    server = site.entry("FROM", site.destinations["FROM"][1])
    site.transfers.get(ADMIN, study, server, to_look_at=True)
    assert copies(site, later_h=9e4).sweep() == []


def test_what_somebody_gets_for_good_afterwards_stays(site: Hospital) -> None:
    study = fetched(site, "test", to_look_at=True)
    server = site.entry("FROM", site.destinations["FROM"][1])
    site.transfers.get(ADMIN, study, server)
    assert site.local.study(study).summary.retrieved_at == ""
    assert copies(site, later_h=9e4, most_bytes=0).sweep() == []
    assert looked_at(site).least_recent_first() == []


def test_what_somebody_keeps_stays_but_never_of_production(site: Hospital) -> None:
    study = fetched(site, "test", to_look_at=True)
    with pytest.raises(AccessDenied):
        copies(site).keep(actor(Role.PROD_READ), study)
    copies(site).keep(actor(Role.TEST_READ), study)
    assert copies(site, later_h=9e4, most_bytes=0).sweep() == []


def test_copies_of_production_cannot_be_kept(site: Hospital) -> None:
    study = fetched(site, to_look_at=True)
    with pytest.raises(Conflict, match="do not stay"):
        copies(site).keep(ADMIN, study)
    assert copies(site, later_h=25).sweep() == [study]


def test_of_too_much_to_look_at_the_least_recently_seen_goes_first(site: Hospital) -> None:
    studies = [fetched(site, "test", f"1.2.840.7.{number}", to_look_at=True) for number in (1, 2, 3)]
    for_good = fetched(site, "test", "1.2.840.7.4")
    size = site.local.study(studies[0]).summary.size_bytes
    copies(site, later_h=1).viewed(studies[0])
    assert copies(site, later_h=1, most_bytes=3 * size).sweep() == []
    assert copies(site, later_h=1, most_bytes=2 * size).sweep() == [studies[1]]
    assert copies(site, later_h=1, most_bytes=0).sweep() == [studies[2]], "the last one stays, whatever its size"
    assert site.local.has_study(studies[0])
    assert site.local.has_study(for_good)


def test_what_is_still_on_its_way_is_no_reason_to_delete(site: Hospital) -> None:
    copies(site).fetching("1.2.840.7.8")
    assert copies(site, most_bytes=0).sweep() == []
    assert looked_at(site).least_recent_first() == ["1.2.840.7.8"]


def test_what_is_in_use_stays_until_the_next_round(site: Hospital) -> None:
    study, late = fetched(site), copies(site, later_h=25)
    other = Archive(site.local.root)  # as another process has it
    site.stack.callback(other.close)
    with other.using(study), site.local.using(study):
        assert late.sweep() == []
        assert late.need_a_worker()
    assert late.sweep() == [study]
    assert not list((site.local.root / "in-use").iterdir())


def test_whoever_begins_to_use_it_waits_for_the_deletion(site: Hospital) -> None:
    study, seen = fetched(site), threading.Event()

    def use() -> None:
        with site.local.using(study):
            seen.set()

    with site.local._in_use.alone(study) as is_mine:
        assert is_mine
        thread = threading.Thread(target=use)
        thread.start()
        assert not seen.is_set()
    thread.join(30)
    assert seen.is_set()


def test_while_it_is_sent_it_stays(site: Hospital) -> None:
    study, late, to = fetched(site), copies(site, later_h=25), site.pacs("TO", "prod")
    swept: list[list[str]] = []
    store = site.transfers.store
    site.transfers.store = lambda *given, **more: swept.append(late.sweep()) or store(*given, **more)
    assert site.transfers.send(ADMIN, study, to, confirm_production=True).accepted == 1
    assert swept == [[]]
    assert late.sweep() == [study]


def test_a_new_index_still_knows(site: Hospital) -> None:
    study = fetched(site)
    before = site.local.study(study).summary.retrieved_at
    site.local.reindex()
    assert site.local.study(study).summary.retrieved_at == before


def test_an_index_without_the_column_gets_it(site: Hospital) -> None:
    made = site.make()
    site.local.close()
    with sqlite3.connect(site.local.root / "index.sqlite3") as index:
        for column in ("retrieved_at", "made_here"):
            index.execute(f"ALTER TABLE instance DROP COLUMN {column}")
        index.executescript(
            "DROP INDEX study_environment; DROP INDEX instance_size; ALTER TABLE study DROP COLUMN search_text;"
            "CREATE INDEX ix_instance_series_id ON instance (series_id); PRAGMA user_version = 2"
        )
    index.close()
    assert site.local.study(made).summary.retrieved_at == ""
    name = site.local.study(made).summary.patient_name
    assert [one.study_instance_uid for one in site.local.studies(StudyFilter(search=name.lower())).studies] == [made]
    assert copies(site, later_h=25).sweep() == []
    study = fetched(site)
    assert copies(site, later_h=25).sweep() == [study]


def test_a_worker_looks_once_a_minute(site: Hospital) -> None:
    study, late = fetched(site), copies(site, later_h=25)
    late.beat()
    assert not site.local.has_study(study)
    late.local = None  # type: ignore[assignment]  # not asked again so soon
    late.beat()
