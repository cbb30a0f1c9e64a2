"""What applies kept messages in the background: all of them, in small parts, and never for the last time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dicomfab.app.build import Application
from dicomfab.model.errors import LocalFailure
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.procedure import ProcedureFilter
from dicomfab.model.values import Environment
from dicomfab.services.ordering.applying import Applying
from dicomfab.services.ordering.intake import Taken
from dicomfab.storage.hl7_messages import MessageFilter
from tests.unit.services.ordering.conftest import ACTOR, orm

DEADLINE_S = 20.0


class Kept:
    """So many that are to be applied."""

    def __init__(self, count: int, *, failures: int = 0) -> None:
        self.left, self.failures = count, failures
        self.parts: list[int] = []
        self.is_done = threading.Event()

    def apply(self, limit: int) -> int:
        if self.failures:
            self.failures -= 1
            raise LocalFailure("the disk is full")
        part = min(limit, self.left)
        self.left -= part
        self.parts += [part] if part else []
        if not self.left:
            self.is_done.set()
        return part


def test_what_was_left_is_applied_in_small_parts() -> None:
    kept = Kept(35)
    with Applying(kept.apply):
        assert kept.is_done.wait(DEADLINE_S)
    assert sum(kept.parts) == 35
    assert max(kept.parts) <= 10


def test_a_failure_is_not_the_end() -> None:
    kept = Kept(5, failures=2)
    with Applying(kept.apply) as applying:
        applying.kept()
        assert kept.is_done.wait(DEADLINE_S)
    assert (sum(kept.parts), kept.failures) == (5, 0)


def test_messages_that_keep_coming_do_not_hold_it_up_for_ever() -> None:
    kept, over = Kept(30), threading.Event()
    with Applying(kept.apply) as applying:

        def come() -> None:
            while not over.wait(0.001):
                with applying.giving_way():
                    applying.kept()

        coming = threading.Thread(target=come)
        coming.start()
        try:
            assert kept.is_done.wait(DEADLINE_S)
        finally:
            over.set()
            coming.join(DEADLINE_S)


def test_messages_that_were_kept_are_applied_in_order(site: Application, take: Callable[..., Taken]) -> None:
    for number in range(25):
        header, rest = orm(f"M{number}", accession=f"A{number}").split(b"\r", 1)
        assert take(header + b"|||AL|NE\r" + rest).message.state is MessageState.KEPT
    parts = []
    while part := site.ordering.intake.apply_kept(ACTOR, Environment.TEST, 10):
        parts.append(part)
    assert parts == [10, 10, 5]
    found = site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
    assert [one.accession_number for one in reversed(found)] == [f"A{number}" for number in range(25)]
    states = {one.state for one in site.ordering.messages.page(ACTOR, MessageFilter()).messages}
    assert states == {MessageState.APPLIED}


def test_nothing_is_written_when_nothing_is_kept(site: Application, take: Callable[..., Taken]) -> None:
    take(orm())
    before = _revision(site)
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 0
    assert _revision(site) == before


def _revision(site: Application) -> int:
    with site.ordering.procedures.read() as rows:
        found = rows.transaction.exec_driver_sql("SELECT number FROM revision WHERE subject = 'procedures'")
        return int(found.scalar_one())
