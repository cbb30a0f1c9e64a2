"""The messages of a search are kept with its answers: readable, bounded, and for nobody else."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomfab.dimse.identifier import decode, encode
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, NotFound
from dicomfab.model.query import Level
from dicomfab.registry.server import PacsServer
from dicomfab.services.pacs import PacsService
from dicomfab.services.search import SearchService
from dicomfab.services.search_match import Reader
from dicomfab.services.search_messages import KEPT_MATCHES, lines, steps
from dicomfab.services.search_saved import SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.searches import SearchStore
from tests.unit.services.hospital import ADMIN, Hospital
from tests.unit.services.test_search import Holding

MANY = KEPT_MATCHES + 30


@pytest.fixture
def service(site: Hospital) -> Iterator[SearchService]:
    database = Database(site.folder / "registry.sqlite3")
    pacs = PacsService(RegistryRepository(database), lambda _peer: pytest.fail("no C-ECHO here"))
    folder = site.folder / "queries"
    yield SearchService(site.queries, pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved"))
    database.close()


def searched(service: SearchService, server: PacsServer, limit: int = 500) -> str:
    if server.id not in {known.id for known in service.pacs.servers(ADMIN)}:
        service.pacs.add(ADMIN, server.as_dict())
    wanted = StudyFilter(patient_name="Ångström")
    found = service.begin(ADMIN, service.targets(ADMIN, [server.id]), wanted, limit)
    assert len(list(service.run(ADMIN, found))) == 1
    return found


def of(service: SearchService, search: str, server: str, actor: Actor = ADMIN) -> str:
    log = service.messages(actor, search, server)
    assert log is not None
    return "\n".join(lines(server, log))


def test_what_was_sent_and_answered_is_read_in_order(
    site: Hospital, service: SearchService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = site.server("LAB", Holding(("1.1", "Ångström^Anna", "10"), ("1.2", "Ångström^Bo", None)))
    text = of(service, searched(service, server), server.id)
    order = ["TCP connected", "A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "C-FIND-RQ", "C-FIND-RSP", "A-RELEASE-RQ"]
    places = [text.index(name) for name in order]
    assert places == sorted(places)
    assert "Called AE title: LAB" in text
    assert re.search(r"1: .*FIND, offered in .*Explicit VR Little Endian", text)
    assert re.search(r"1: .*FIND, accepted, in ", text)
    assert "(0010,0010) PN PatientName                      Ångström*" in text
    assert text.count("Status: FF00, pending") == 2
    assert "(0010,0010) PN PatientName                      Ångström^Anna" in text
    assert "Status: 0000, success" in text
    assert "Ångström" not in caplog.text


def test_many_matches_are_counted_and_few_are_kept_whole(site: Hospital, service: SearchService) -> None:
    server = site.server("LAB", Holding(*((f"1.{n}", f"Name^{n:03}", "1") for n in range(1, MANY + 1))))
    text = of(service, searched(service, server), server.id)
    assert "30 more pending responses of the same kind are counted" in text
    assert text.count("Status: FF00, pending") == KEPT_MATCHES
    assert f"Name^{KEPT_MATCHES:03}" in text
    assert f"Name^{KEPT_MATCHES + 1:03}" not in text
    assert "Status: 0000, success" in text


def test_the_cancel_at_the_limit_is_a_message(site: Hospital, service: SearchService) -> None:
    server = site.server("LAB", Holding(*((f"1.{n}", "Name", "1") for n in range(1, 6))))
    assert "->  C-CANCEL-RQ" in of(service, searched(service, server, limit=2), server.id)


def test_a_silent_server_leaves_what_was_sent(site: Hospital, service: SearchService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        entry = {"name": "Slow", "host": "127.0.0.1", "port": silent.getsockname()[1], "aec": "SLOW"}
        server = service.pacs.add(ADMIN, {**entry, "environment": "test", "association_timeout_s": 1.0})
        text = of(service, searched(service, server), server.id)
    assert "A-ASSOCIATE-RQ" in text
    assert "nothing within 1 s" in text
    assert "Awaited: an answer to the association request" in text


def test_they_are_for_the_searcher_in_environments_that_he_may_query(site: Hospital, service: SearchService) -> None:
    live = site.server("LIVE", Holding(("1.1", "Ångström", "1")), "prod")
    search = searched(service, live)
    with pytest.raises(NotFound):
        service.messages(Actor("other", ADMIN.roles, "cli"), search, live.id)
    with pytest.raises(AccessDenied):
        service.messages(Actor(ADMIN.name, frozenset({Role.TEST_READ}), "cli"), search, live.id)
    with pytest.raises(NotFound):
        service.messages(ADMIN, search, "nobody")
    service.forget(ADMIN, search)
    with pytest.raises(NotFound):
        service.messages(ADMIN, search, live.id)


def test_a_server_that_is_asked_again_has_its_new_messages(site: Hospital, service: SearchService) -> None:
    holding = Holding(("1.1", "First", "1"))
    server = site.server("LAB", holding)
    search = searched(service, server)
    holding.matches[0].PatientName = "Second"
    assert list(service.ask_again(ADMIN, search, [server]))
    text = of(service, search, server.id)
    assert "Second" in text
    assert "First" not in text


@given(
    name=st.text(max_size=400),
    items=st.lists(st.text(alphabet="ab\\^=<>&\"'\x1b\u202e", max_size=20), max_size=3),
)
def test_whatever_a_server_says_is_read_and_bounded(name: str, items: list[str]) -> None:
    match = Dataset()
    match.SpecificCharacterSet = "ISO_IR 192"
    match.StudyDescription = name.replace("\\", "")
    match.RequestAttributesSequence = [Dataset() for _ in items]
    for item, text in zip(match.RequestAttributesSequence, items, strict=True):
        item.ScheduledProcedureStepID = text.replace("\\", "")
    match.add_new(0x00091001, "UN", b"\xff" * 10)
    read = decode(encode(match, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    found = Reader("lab", Level.STUDY, ()).attributes(read)
    assert {one["tag"]: one["value"] for one in found}["(0009,1001)"] == "10 bytes"
    assert all(len(one["value"]) < 350 for one in found)
    assert sum(one["depth"] == 1 for one in found) == len(items)


def test_a_log_without_entries_is_empty() -> None:
    log = {"entries": [], "matches": [], "request": [], "pending": 0, "last_pending_s": 0.0, "omitted": 3}
    assert [step.title for step in steps(log)] == ["3 entries in the middle are left out"]
