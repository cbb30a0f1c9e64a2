"""Audit events: what they keep, and that no text in them can forge an entry."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.test_audit_message import events

from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import FREQUENT, MAX_NAME, AuditEvent, EventKind, Node, Outcome, canonical, harmless


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_text_has_a_character_that_steers(text: str):
    shown = harmless(text)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    assert len(shown) == len(text)
    assert harmless(shown) == shown
    assert len(shown.splitlines()) <= 1
    element = Element("x", {"y": shown})
    element.text = shown
    read = fromstring(tostring(element, encoding="utf-8"))
    assert (read.text or "", read.attrib["y"]) == (shown, shown)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"]), max_size=60))
def test_ordinary_text_stays_as_it_is(text: str):
    assert harmless(text) == text or any(c in "\ufffe\uffff" for c in text)


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("anna\n2 ben sign-in success", "anna␊2 ben sign-in success"),
        ("a\r\n\tb\x00\x1b[31m\x7f", "a␍␊␉b␀␛[31m␡"),
        ("abc\u202egnp", "abc�gnp"),
        ("a\u2028b\x85c\ud800d\uffffe", "a�b�c�d�e"),
        ("Müller, \\ Jörg (PACS)* #1", "Müller, \\ Jörg (PACS)* #1"),
        ("山田^太郎", "山田^太郎"),
    ],
)
def test_what_could_forge_an_entry_is_made_visible(given_: str, shown: str):
    assert harmless(given_) == shown
    event = AuditEvent(
        kind=EventKind.SIGN_IN,
        actor=given_,
        reason=given_,
        roles=(given_,),
        receiver=Node(name=given_),
        detail={given_: given_},
        patient_ids=(given_,),
    )
    assert {event.actor, event.reason, *event.roles, *event.servers, *event.detail, *event.patient_ids} == {shown}
    assert list(event.detail.values()) == [shown]


def test_long_texts_are_cut_where_it_shows():
    event = AuditEvent(kind=EventKind.SIGN_IN, actor="a" * 10_000)
    assert event.actor == "a" * (MAX_NAME - 1) + "…"


@given(events)
def test_an_event_comes_back_from_its_json(event: AuditEvent):
    text = canonical(event.as_dict())
    again = AuditEvent.from_dict(json.loads(text))
    assert again == event
    assert canonical(again.as_dict()) == text


def test_moments_are_brought_to_utc_and_need_a_zone():
    at = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=1)))
    assert AuditEvent(kind=EventKind.STOP, at=at).as_dict()["at"] == "2026-03-02T08:00:00.000000+00:00"
    with pytest.raises(ValueError, match="time zone"):
        AuditEvent(kind=EventKind.STOP, at=datetime(2026, 3, 2))  # noqa: DTZ001 - that is what is refused


def test_an_event_of_someone_has_their_name_roles_and_door():
    actor = Actor("anna", frozenset({Role.TEST_WRITE, Role.PROD_READ}), "web")
    event = AuditEvent.by(actor, EventKind.REFUSAL, outcome=Outcome.SERIOUS)
    assert (event.actor, event.roles, event.door) == ("anna", ("prod_read", "test_write"), "web")
    assert event.outcome is Outcome.SERIOUS


def test_blank_values_are_left_out():
    event = AuditEvent(kind=EventKind.STOP, at=datetime(2026, 3, 2, tzinfo=UTC))
    assert set(event.as_dict()) == {"kind", "at", "outcome"}


@pytest.mark.parametrize("kind", [EventKind.DELETION, EventKind.USER_CHANGE, EventKind.CHAIN_BREAK, EventKind.EXPORT])
def test_rare_and_grave_events_are_written_to_the_disk_at_once(kind: EventKind):
    assert kind not in FREQUENT
