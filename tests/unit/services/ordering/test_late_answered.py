"""In enhanced mode: what a receiver says later of a message that we sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomfab.app.build import Application
from dicomfab.hl7.listener import Listener, ListenerConfig
from dicomfab.hl7.mllp import Fault
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken
from tests.unit.services.ordering.conftest import ACTOR, orm

Take = Callable[..., Taken]


def told(code: str, control_id: str = "M1", *, to: str = "RIS|HOSP", more: str = "", segments: str = "") -> bytes:
    """The application acknowledgement of a message, as a message of its own."""
    head = f"MSH|^~\\&|DSS|LAB|{to}|20261127080000||ACK^O01|L{control_id}{code}|T|2.5.1{more}"
    return f"{head}\rMSA|{code}|{control_id}\r{segments}".encode()


@pytest.fixture
def sent(site: Application) -> Hl7Message:
    """A message that its receiver has only committed to."""

    def commit(_data: bytes, _peer: str) -> bytes:
        return told("CA")

    def no_fault(fault: Fault, _peer: str) -> bytes:
        raise AssertionError(fault)

    with Listener(ListenerConfig("127.0.0.1", 0), commit, no_fault) as receiver:
        return site.ordering.messages.send(ACTOR, orm("M1"), Environment.TEST, "127.0.0.1", receiver.port)


def now(site: Application, sent: Hl7Message) -> tuple[str, str, str]:
    found = site.ordering.messages.show(ACTOR, sent.number)
    return str(found.state), found.code, found.reason


def test_what_became_of_it_replaces_the_commitment(site: Application, take: Take, sent: Hl7Message) -> None:
    assert now(site, sent) == ("sent", "CA", "")
    taken = take(told("AA"))
    assert (taken.message.state, taken.answer) == (MessageState.APPLIED, b"")
    assert now(site, sent) == ("sent", "AA", "")


def test_a_refusal_later_is_a_failure_with_its_reason(site: Application, take: Take, sent: Hl7Message) -> None:
    take(told("AE", segments="ERR||PID^1^3|204^Unknown key^HL70357|E||||nobody has this ID\r"))
    assert now(site, sent) == ("failed", "AE", "nobody has this ID")


@pytest.mark.parametrize("wrong", [told("AA", "M2"), told("AA", to="OTHER|HOSP"), told("XX")])
def test_what_answers_nothing_is_refused_and_changes_nothing(
    site: Application, take: Take, sent: Hl7Message, wrong: bytes
) -> None:
    taken = take(wrong)
    assert (taken.message.state, taken.answer) == (MessageState.REFUSED, b"")
    assert taken.message.reason
    assert now(site, sent) == ("sent", "CA", "")


def test_one_that_wants_to_hear_that_it_came_hears_it(site: Application, take: Take, sent: Hl7Message) -> None:
    taken = take(told("AA", more="|||AL|NE"))
    assert b"MSA|CA|LM1AA" in taken.answer
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 1
    assert now(site, sent) == ("sent", "AA", "")
