"""The RIS before any bytes: each message is kept, applied or refused, and answered; what comes again is done once."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from dicomfab.hl7.acknowledging import Acknowledgement
from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.er7 import parse
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import LocalFailure
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Intake, Taken, header_of
from dicomfab.storage.database import Database
from dicomfab.storage.hl7_messages import MessageRows
from dicomfab.storage.procedures import ProcedureRepository, ProcedureRows

_ACTOR = local_admin("fuzz", "cli")
_NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
_numbers = itertools.count(1)
#: What is scheduled before each input, so that changes, cancellations and merges find something.
_ORDER = (
    b"MSH|^~\\&|RIS|HOSP|||20261127||ORM^O01|M0|T|2.5.1\rPID|1||P1^^^RIS||A^B||19700102|F\r"
    b"ORC|NW|PL1|FI1\rOBR|1|PL1|FI1|C^D^L||||||||||||||A1|RP1|SPS1||||CT\r"
)


class _Undone:
    """As a repository, within one transaction that is never committed."""

    def __init__(self, connection: Connection) -> None:
        self._rows = ProcedureRows(connection, _NOW)

    @contextmanager
    def change(self) -> Iterator[ProcedureRows]:
        yield self._rows

    read = change


@cache
def _database() -> tuple[Database, object]:
    """A database with one order, and the folder that it goes with at the end."""
    folder = tempfile.TemporaryDirectory()
    database = Database(Path(folder.name) / "fuzz.sqlite3")
    taken = _intake(ProcedureRepository(database)).take(_ACTOR, _ORDER, Environment.TEST)
    assert taken.message.code == "AA", taken
    return database, folder


def _intake(repository: object) -> Intake:
    return Intake(repository, tuple, lambda: _NOW, lambda: f"2.25.{next(_numbers)}", lambda: 1)  # type: ignore[arg-type]


def one_input(data: bytes) -> None:
    """A message, without the bytes of MLLP."""
    with _database()[0].write() as connection:
        intake = _intake(_Undone(connection))
        taken = intake.take(_ACTOR, data, Environment.TEST)
        _check(data, taken)
        if taken.message.control_id:
            again = intake.take(_ACTOR, data, Environment.TEST)
            assert again.is_repeat
            assert again.answer == taken.answer
        while intake.apply_kept(_ACTOR, Environment.TEST, 10):
            pass
        now = MessageRows(connection).get(taken.message.number)
        assert now.state in (MessageState.APPLIED, MessageState.REFUSED)
        assert now.data == data
        assert bool(now.reason) or now.state is MessageState.APPLIED
        assert "the application failed" not in now.reason, taken
        connection.get_transaction().rollback()  # type: ignore[union-attr]
    for answer in (intake.unframed(data, "cut"), intake.failed(data, LocalFailure("the disk is full"))):
        _check_answer(data, answer)


def _check(data: bytes, taken: Taken) -> None:
    code, header = Acknowledgement(taken.message.code), header_of(data)
    is_kept = taken.message.state is MessageState.KEPT
    assert is_kept is (code is Acknowledgement.COMMIT_ACCEPTED)
    assert code.is_accepted or taken.problems
    if taken.answer or header is None or not header.raw(15) + header.raw(16):
        assert _check_answer(data, taken.answer) == str(code)


def _check_answer(data: bytes, answer: bytes) -> str:
    """The code that an answer tells; it tells about this message."""
    header = header_of(data)
    segments = parse(decoded(answer)[0]).segments
    assert [one.name for one in segments[:2]] == ["MSH", "MSA"]
    assert segments[1].get(2) == (header.get(10) if header else "")
    return segments[1].get(1)
