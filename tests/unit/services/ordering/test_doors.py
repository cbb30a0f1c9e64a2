"""What nobody foresaw ends no thread of a RIS, holds up nothing that comes later, and is told without its words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from dicomfab.app.build import Application
from dicomfab.hl7.er7 import parse
from dicomfab.hl7.receiver import Receiver
from dicomfab.hl7.sender import Sender
from dicomfab.model.errors import LocalFailure
from dicomfab.model.hl7_message import Hl7Message, MessageState
from dicomfab.model.procedure import ProcedureFilter
from dicomfab.model.values import Environment
from dicomfab.services.ordering.applying import Applying
from dicomfab.services.ordering.following import Following
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.outbox import Outbox
from dicomfab.services.ordering.outgoing import outgoing
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.storage.outbox import OutboxRows
from tests.unit.services.job_office import until
from tests.unit.services.ordering.conftest import ACTOR, orm

Take = Callable[..., Taken]
DEADLINE_S = 20.0
WORDS = "DOE^JANE"


class Failing:
    """Fails at its first calls, then does as another does."""

    def __init__(self, error: Exception, then: Callable[..., Any], times: int = 1) -> None:
        self.error, self.then, self.times = error, then, times
        self.went_on = threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self.error
        self.went_on.set()
        return self.then(*args, **options)


def nothing(*_args: Any) -> int:
    return 0


def ledger(site: Application) -> list[Hl7Message]:
    return list(site.ordering.messages.page(ACTOR, MessageFilter()).messages)[::-1]


def accessions(site: Application) -> list[str]:
    found = site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
    return [one.accession_number for one in reversed(found)]


def enhanced(data: bytes) -> bytes:
    return data.replace(b"|2.5.1", b"|2.5.1|||AL|NE", 1)


def kept(take: Take, *numbers: str) -> None:
    for number in numbers:
        assert take(enhanced(orm(f"M{number}", accession=f"A{number}"))).message.state is MessageState.KEPT


def test_applying_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing(ValueError(WORDS), nothing)
    with Applying(failing):
        assert failing.went_on.wait(DEADLINE_S)
    assert "applying kept messages failed: ValueError" in caplog.text
    assert WORDS not in caplog.text


def test_following_goes_on_and_says_the_same_once(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing(ValueError(WORDS), nothing, times=2)
    with Following(failing):
        assert failing.went_on.wait(DEADLINE_S)
    assert caplog.text.count("follow their patients failed: ValueError") == 1
    assert WORDS not in caplog.text


def test_a_message_that_cannot_be_sent_waits_for_another_attempt(
    site: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with site.ordering.procedures.change() as rows:
        waiting = outgoing(orm(), Environment.TEST, rows.now)
        OutboxRows(rows.transaction, rows.now).queue(waiting, Receiver("127.0.0.1", 1))
    failing = Failing(ValueError(WORDS), lambda _to, _data: b"MSH|^~\\&|||||||ACK|1|T|2.5.1\rMSA|AA|M1\r")
    with Outbox(site.ordering.procedures, Environment.TEST, failing, ACTOR):
        until(lambda: ledger(site)[0].reason == "not answered yet, attempt 1: the application failed")
        until(lambda: ledger(site)[0].state is MessageState.SENT)
    assert WORDS not in caplog.text


@pytest.mark.parametrize("part", ["new_uid", "record"])
def test_a_kept_message_at_which_the_application_fails_holds_up_no_other(
    site: Application, take: Take, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    kept(take, "1", "2")
    failing = Failing(ValueError(WORDS), getattr(site.ordering.intake, part))
    assert replace(site.ordering.intake, **{part: failing}).apply_kept(ACTOR, Environment.TEST) == 2
    first, second = ledger(site)
    assert (first.state, second.state) == (MessageState.REFUSED, MessageState.APPLIED)
    assert "the application failed" in first.reason
    assert accessions(site) == ["A2"]
    assert f"applying message {first.number} failed: ValueError" in caplog.text
    assert WORDS not in caplog.text + first.reason


@pytest.mark.parametrize(
    "error", [OperationalError("INSERT", None, Exception("disk I/O error")), LocalFailure("the disk is full")]
)
def test_a_database_that_is_down_makes_all_wait(site: Application, take: Take, error: Exception) -> None:
    kept(take, "1", "2")
    failing = replace(site.ordering.intake, new_uid=Failing(error, site.ordering.intake.new_uid))
    with pytest.raises(LocalFailure):
        failing.apply_kept(ACTOR, Environment.TEST)
    assert {one.state for one in ledger(site)} == {MessageState.KEPT}
    assert failing.apply_kept(ACTOR, Environment.TEST) == 2
    assert accessions(site) == ["A1", "A2"]


def test_kept_messages_are_applied_for_their_own_environment(site: Application, take: Take) -> None:
    take(enhanced(orm()), Environment.PROD)
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 0
    assert ledger(site)[0].state is MessageState.KEPT
    assert site.ordering.intake.apply_kept(ACTOR, Environment.PROD) == 1
    assert ledger(site)[0].state is MessageState.APPLIED


def test_a_ris_applies_what_is_of_its_environment(site: Application, take: Take) -> None:
    take(enhanced(orm()), Environment.PROD)
    kept(take, "2")
    with site.ordering.ris.serving(ACTOR, RisConfig(Environment.TEST)):
        until(lambda: ledger(site)[1].state is MessageState.APPLIED)
    assert ledger(site)[0].state is MessageState.KEPT


def test_what_failed_is_applied_when_it_comes_again(site: Application, take: Take) -> None:
    failing = Failing(ValueError(WORDS), site.ordering.intake.new_uid)
    broken = replace(site.ordering.intake, new_uid=failing).take(ACTOR, orm(), Environment.TEST)
    assert (broken.message.state, broken.message.code) == (MessageState.REFUSED, "AE")
    assert accessions(site) == []
    assert take(orm()).message.code == "AA"
    assert accessions(site) == ["A100"]


def _error(answer: bytes) -> tuple[str, str, str]:
    """MSA-1, MSA-2 and the first ERR-3."""
    segments = {one.name: one for one in reversed(parse(answer.decode()).segments)}
    return segments["MSA"].get(1), segments["MSA"].get(2), segments["ERR"].get(3)


@pytest.mark.parametrize(
    ("times", "data", "code"), [(1, orm(), "AE"), (1, enhanced(orm()), "CE"), (2, orm(), None)],
    ids=["original", "enhanced", "not even kept"],
)  # fmt: skip
def test_a_ris_answers_what_it_fails_at_keeps_it_and_goes_on(
    site: Application, caplog: pytest.LogCaptureFixture, times: int, data: bytes, code: str | None
) -> None:
    intake = site.ordering.intake
    failing = replace(intake, now=Failing(LookupError(WORDS), intake.now, times))
    with (
        replace(site.ordering.ris, intake=failing).serving(ACTOR, RisConfig(Environment.TEST)) as running,
        Sender("127.0.0.1", running.hl7_port, timeout_s=DEADLINE_S) as sender,
    ):
        if code:
            assert _error(sender.send(data)) == (code, "M1", "207")
            [message] = ledger(site)
            assert (message.state, message.code) == (MessageState.REFUSED, code)
            assert "the application failed" in message.reason
        else:
            with pytest.raises(Exception, match="closed"):
                sender.send(data)
    with (
        replace(site.ordering.ris, intake=failing).serving(ACTOR, RisConfig(Environment.TEST)) as running,
        Sender("127.0.0.1", running.hl7_port, timeout_s=DEADLINE_S) as sender,
    ):
        assert b"MSA|AA|M2" in sender.send(orm("M2"))
    assert "failed: LookupError" in caplog.text
    assert WORDS not in caplog.text
