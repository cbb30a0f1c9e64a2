"""Queries over several real servers at once, one of them in trouble."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset

from dicomfab.dimse.scu.find import find
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.audit import AuditEvent, Outcome
from dicomfab.model.errors import (
    AccessDenied,
    AnswerIncomplete,
    ConnectionFailed,
    Interrupted,
    InvalidInput,
    NotFound,
    PeerTimeout,
)
from dicomfab.model.study import Patient
from dicomfab.services.query import QueryService
from dicomfab.services.study_filter import StudyFilter
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, Nameless, actor


def test_a_hung_server_delays_no_other_and_is_not_empty(site: Hospital) -> None:
    one, two, study = site.pacs("ONE"), site.pacs("TWO"), site.make()
    site.transfers.send(ADMIN, study, one)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hung = site.entry("HUNG", silent.getsockname()[1], association_timeout_s=2)
        down = site.entry("DOWN", closed.getsockname()[1])
        answers = list(site.queries.studies(ADMIN, [hung, one, down, two], StudyFilter(accession_number="CARDS")))
    by_id = {answer.server.id: answer for answer in answers}
    assert answers[-1].server.id == "hung"
    assert isinstance(by_id["hung"].error, PeerTimeout)
    assert isinstance(by_id["down"].error, ConnectionFailed)
    assert by_id["two"].error is None
    assert by_id["two"].matches == ()
    [match] = by_id["one"].matches
    assert (match.study_instance_uid, match.instances, match.series, match.modalities) == (study, 3, 1, ("OT",))


def test_cancelling_does_not_wait_for_a_silent_server(site: Hospital) -> None:
    one = site.pacs("ONE")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = site.entry("HUNG", silent.getsockname()[1], association_timeout_s=20)
        answered: list[str] = []
        for answer in site.queries.studies(ADMIN, [hung, one], StudyFilter(), cancelled=lambda: bool(answered)):
            answered.append(answer.server.id)
    assert answered == ["one", "hung"]
    assert isinstance(answer.error, Interrupted)


def test_a_query_that_nobody_waits_for_any_more_is_recorded(site: Hospital) -> None:
    noted: list[AuditEvent] = []
    queries = QueryService(find, record=lambda *events, **_: noted.extend(events))
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        slow = site.entry("SLOW", silent.getsockname()[1], association_timeout_s=0.5)
        down = site.entry("DOWN", closed.getsockname()[1])
        answers = queries.search(ADMIN, [slow, down], StudyFilter())
        assert next(answers).server.id == "down"
        answers.close()
    assert [event.receiver.name for event in noted if event.receiver] == ["DOWN", "SLOW"]


def test_a_query_of_a_server_that_hangs_is_recorded_once(site: Hospital) -> None:
    noted: list[AuditEvent] = []
    queries = QueryService(find, record=lambda *events, **_: noted.extend(events))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = site.entry("HUNG", silent.getsockname()[1], association_timeout_s=20)
        [answer] = queries.search(ADMIN, [hung], StudyFilter(patient_id="P1"), cancelled=lambda: True)
    assert isinstance(answer.error, Interrupted)
    for asking in (thread for thread in threading.enumerate() if thread.name == "query-hung"):
        asking.join(10.0)  # it was hung up on just now, and has nothing to add
    [event] = noted
    assert (event.outcome, event.reason, event.receiver and event.receiver.name) == (
        Outcome.SERIOUS,
        answer.error.heading,
        "HUNG",
    )
    assert b"P1" in event.query


def test_whoever_was_not_asked_yet_is_not_asked_after_cancelling(site: Hospital) -> None:
    noted: list[AuditEvent] = []
    queries = QueryService(find, max_parallel=1, record=lambda *events, **_: noted.extend(events))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        slow = [site.entry(f"SLOW{number}", port, association_timeout_s=0.5) for number in range(2)]
        answers = list(queries.search(ADMIN, slow, StudyFilter(), cancelled=lambda: True))
    assert [type(answer.error) for answer in answers] == [Interrupted, Interrupted]
    assert len(noted) == 1


def test_the_limit_is_said_and_not_guessed(site: Hospital) -> None:
    one = site.pacs("ONE")
    for seed in range(3):
        study = site.make(StudyRecipe(("text-card",), seed=seed, accession_number=f"A{seed}"))
        site.transfers.send(ADMIN, study, one)
    [exact] = site.queries.studies(ADMIN, [one], StudyFilter(), limit=3)
    [cut] = site.queries.studies(ADMIN, [one], StudyFilter(), limit=2)
    assert (len(exact.matches), exact.truncated) == (3, False)
    assert (len(cut.matches), cut.truncated) == (2, True)


def test_names_in_other_scripts_are_found_and_shown(site: Hospital) -> None:
    one = site.pacs("ONE")
    patient = Patient("Müller^Jürgen", "SYN77", sex="M")
    site.transfers.send(ADMIN, site.make(StudyRecipe(("text-card",), patient=patient, seed=2)), one)
    [answer] = site.queries.studies(ADMIN, [one], StudyFilter(patient_name="müll"))
    assert [match.patient_name for match in answer.matches] == ["Müller^Jürgen"]


def test_text_without_a_character_set_is_read_as_the_registry_says(site: Hospital) -> None:
    class Unlabelled(MemoryPacs):
        def find(self, *_arguments: object) -> Iterator[Dataset]:
            match = Dataset()
            match.QueryRetrieveLevel = "STUDY"
            match.StudyInstanceUID = "1.2.3"
            match.add(DataElement("PatientName", "PN", "Иванов^Иван".encode("iso8859_5")))
            yield match

    server = site.server("RUSSIAN", Unlabelled(), fallback_charset="ISO_IR 144")
    [answer] = site.queries.studies(ADMIN, [server], StudyFilter())
    assert [match.patient_name for match in answer.matches] == ["Иванов^Иван"]


@pytest.mark.parametrize("unnamed", [None, "", " "])
def test_a_series_that_is_listed_without_its_uid_is_said_and_no_instance_is_guessed(
    site: Hospital, unnamed: str | None
) -> None:
    pacs = MemoryPacs()
    for value in ("1.2.3.4", unnamed):
        match = Dataset()
        match.QueryRetrieveLevel = "SERIES"
        match.StudyInstanceUID = "1.2.3"
        if value is not None:
            match.SeriesInstanceUID = value
        pacs.matches.append(match)
    server = site.server("NAMELESS", pacs)
    with pytest.raises(AnswerIncomplete) as told:
        site.queries.instances(ADMIN, server, "1.2.3")
    assert "without its Series Instance UID" in told.value.what
    assert told.value.cause
    assert told.value.remedy


def test_an_instance_that_is_listed_without_its_uid_is_said(site: Hospital) -> None:
    handlers = Nameless(site.archive("NAMELESS"), "NAMELESS")
    server, study = site.server("NAMELESS", handlers), site.make()
    site.transfers.send(ADMIN, study, server)
    held = site.queries.instances(ADMIN, server, study)
    handlers.unnamed = {min(held)}
    with pytest.raises(AnswerIncomplete, match="NAMELESS listed an instance without its SOP Instance UID"):
        site.queries.instances(ADMIN, server, study)
    with pytest.raises(AnswerIncomplete, match="NAMELESS"):
        site.transfers.get(ADMIN, study, server)
    handlers.unnamed = set(held)
    with pytest.raises(AnswerIncomplete):
        site.queries.instances(ADMIN, server, study)


@pytest.mark.parametrize("role", list(Role))
def test_a_server_that_may_not_be_asked_is_said_so_and_the_others_are_asked(site: Hospital, role: Role) -> None:
    """Nothing listens at either, so that "connection failed" shows who was asked."""
    servers = [site.entry("LIVE", 1, "prod"), site.entry("LAB", 1)]
    answers = site.queries.search(actor(role), servers, StudyFilter(patient_id="X"))
    asked = {a.server.environment for a in answers if isinstance(a.error, ConnectionFailed)}
    environments = {"prod": [Role.PROD_READ, Role.PROD_WRITE], "test": [Role.TEST_READ, Role.TEST_WRITE]}
    assert asked == {e for e, roles in environments.items() if role in [*roles, Role.ADMIN]}
    denied = [
        a
        for a in site.queries.search(actor(role), servers, StudyFilter(patient_id="X"))
        if a.server.environment not in asked
    ]
    assert all(isinstance(a.error, AccessDenied) and a.state == "not allowed" for a in denied)


@pytest.mark.parametrize(
    "wide",
    [
        {},
        {"patient_name": "*"},
        {"patient_id": "**", "accession_number": "?"},
        {"modality": "CT", "study_description": "HEAD"},
        {"keys": ("PatientSex=M", "PatientName=*", "StudyDate")},
        {"level": "patient"},
    ],
)
def test_production_is_not_asked_for_everything(site: Hospital, wide: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="nobody was asked") as caught:
        site.queries.search(ADMIN, [site.entry("LAB", 1), site.entry("LIVE", 1, "prod")], StudyFilter(**wide))
    assert caught.value.field == "search"
    assert "patient name or ID, an accession number, a UID or a date" in caught.value.remedy
    assert list(site.queries.search(actor(Role.TEST_READ), [site.entry("LIVE", 1, "prod")], StudyFilter(**wide)))


@pytest.mark.parametrize(
    "narrow",
    [
        {"patient_name": "A*"},
        {"patient_id": "1"},
        {"accession_number": "1"},
        {"date": "today"},
        {"date_from": "20260101"},
        {"study_instance_uid": "1.2"},
        {"keys": ("0010,0030=1970-01-01",)},
    ],
)
def test_production_is_asked_for_something(site: Hospital, narrow: dict[str, Any]) -> None:
    [answer] = site.queries.search(ADMIN, [site.entry("LIVE", 1, "prod")], StudyFilter(**narrow))
    assert isinstance(answer.error, ConnectionFailed)


def test_series_and_accession_look_up(site: Hospital) -> None:
    one, study = site.pacs("ONE"), site.make()
    site.transfers.send(ADMIN, study, one)
    [series] = site.queries.series(ADMIN, one, study)
    assert (series.modality, series.instances) == ("OT", 3)
    assert site.queries.identify(ADMIN, one, "CARDS") == study
    assert site.queries.identify(ADMIN, one, study) == study
    with pytest.raises(NotFound):
        site.queries.identify(ADMIN, one, "NOSUCH")
    with pytest.raises(InvalidInput):
        site.queries.identify(ADMIN, one, "CA*")
    other = site.make(StudyRecipe(CARDS.series, seed=6, accession_number="CARDS"))
    site.transfers.send(ADMIN, other, one)
    with pytest.raises(InvalidInput, match="2 studies"):
        site.queries.identify(ADMIN, one, "CARDS")


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("", "", ""),
        ("2026-01-05", "", "20260105-"),
        ("", "20260105", "-20260105"),
        ("2026-01-05", "20260131", "20260105-20260131"),
        ("20260105", "2026-01-05", "20260105"),
    ],
)
def test_dates_become_a_range(first: str, last: str, expected: str) -> None:
    assert StudyFilter(date_from=first, date_to=last).identifier().StudyDate == expected


@pytest.mark.parametrize(("field", "value"), [("date_from", "5.1.2026"), ("date_to", "20261301"), ("date_to", "x")])
def test_a_bad_date_names_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(**{field: value}).identifier()
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["patient_name", "patient_id", "accession_number", "modality", "study_description"])
@pytest.mark.parametrize("value", ["A\\B", "A\nB", "x" * 65])
def test_text_that_is_no_single_value_names_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(**{field: value}).identifier()
    assert caught.value.field == field


def test_swapped_dates_are_refused() -> None:
    with pytest.raises(InvalidInput, match="before"):
        StudyFilter(date_from="20260106", date_to="20260105").identifier()


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\\="), max_size=40))
def test_a_wildcard_is_added_only_where_there_is_none(name: str) -> None:
    sent = str(StudyFilter(patient_name=name).identifier().PatientName)
    stripped = name.strip()
    if not stripped or "*" in stripped or "?" in stripped:
        assert sent == stripped
    else:
        assert sent == f"{stripped}*"
