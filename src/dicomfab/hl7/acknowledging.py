"""Acknowledgements of HL7 v2 messages (chapter 2.9), in original and in enhanced mode."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7.er7 import Segment, path
from dicomfab.hl7.writing import USUAL, Field, Line, written

_TABLE: Final = "HL70357"
_VERSION: Final = "2.5.1"  # of an answer to what says none
_MOST_TEXT: Final = 80  # MSA-3 until version 2.6
#: When somebody wants an acknowledgement (HL7 table 0155) -> whether of what went well, and of what did not.
_CONDITIONS: Final = {"AL": (True, True), "NE": (False, False), "ER": (False, True), "SU": (True, False)}


class Acknowledgement(enum.StrEnum):
    """HL7 table 0008."""

    ACCEPTED = "AA"
    ERROR = "AE"  # its content; sent again unchanged it fails again
    REJECTED = "AR"  # it is none that is taken here, by its type, event, version or processing id
    COMMIT_ACCEPTED = "CA"  # kept, still to be applied
    COMMIT_ERROR = "CE"
    COMMIT_REJECTED = "CR"

    @property
    def is_accepted(self) -> bool:
        """Whether nothing went wrong."""
        return self in (Acknowledgement.ACCEPTED, Acknowledgement.COMMIT_ACCEPTED)


class Code(enum.IntEnum):
    """Of HL7 table 0357, those that are used here."""

    SEGMENT_SEQUENCE = 100
    REQUIRED_FIELD_MISSING = 101
    DATA_TYPE = 102
    TABLE_VALUE_NOT_FOUND = 103
    UNSUPPORTED_TYPE = 200
    UNSUPPORTED_EVENT = 201
    UNSUPPORTED_PROCESSING_ID = 202
    UNSUPPORTED_VERSION = 203
    UNKNOWN_KEY = 204
    DUPLICATE_KEY = 205
    LOCKED = 206
    INTERNAL = 207

    @property
    def words(self) -> str:
        """As the table has it."""
        return _WORDS[self]


_WORDS: Final = {
    Code.SEGMENT_SEQUENCE: "Segment sequence error",
    Code.REQUIRED_FIELD_MISSING: "Required field missing",
    Code.DATA_TYPE: "Data type error",
    Code.TABLE_VALUE_NOT_FOUND: "Table value not found",
    Code.UNSUPPORTED_TYPE: "Unsupported message type",
    Code.UNSUPPORTED_EVENT: "Unsupported event code",
    Code.UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    Code.UNSUPPORTED_VERSION: "Unsupported version id",
    Code.UNKNOWN_KEY: "Unknown key identifier",
    Code.DUPLICATE_KEY: "Duplicate key identifier",
    Code.LOCKED: "Application record locked",
    Code.INTERNAL: "Application internal error",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a message, or noteworthy.

    Args:
        code: which kind of error.
        text: what happened, for people; without names of patients.
        place: the element, such as ``PID-3.1``; empty if it is none.
        is_warning: the message was taken nevertheless.
    """

    code: Code
    text: str
    place: str = ""
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acknowledgements a message asks for.

    Args:
        is_enhanced: whether MSH-15 or MSH-16 is valued; if not, there is one answer, which says what became of it.
        accept: whether to say that it is kept, or that it is not.
        application: whether to say what became of it, if that went well, and if it did not.
    """

    is_enhanced: bool
    accept: tuple[bool, bool]
    application: tuple[bool, bool]


def wanted(header: Segment) -> Wanted:
    """What MSH-15 and MSH-16 ask for. In enhanced mode, one that is empty means never (chapter 2.9.2).

    Never the first and always the second is original mode by another name, as a note there says: one answer at once.
    """
    accept, application = header.get(15), header.get(16)
    if not (accept or application) or (accept or "NE", application) == ("NE", "AL"):
        return Wanted(False, _CONDITIONS["NE"], _CONDITIONS["AL"])
    return Wanted(True, _condition(accept), _condition(application))


def acknowledged(
    header: Segment | None,
    what: Acknowledgement,
    problems: Sequence[Problem] = (),
    *,
    control_id: str,
    now: dt.datetime,
    accept_wanted: str = "",
) -> str:
    """An acknowledgement.

    Args:
        header: MSH of the message; nothing if it has none that can be read.
        what: becomes of the message.
        problems: with it, the first of which MSA-3 tells in short.
        control_id: of the answer, up to 20 characters.
        now: with time zone.
        accept_wanted: MSH-15, in an acknowledgement that is sent as a message of its own.

    Returns:
        The message, in the separators and the character set of what it answers.
    """
    version = (header.get(12) if header else "") or _VERSION
    text = problems[0].text[:_MOST_TEXT] if problems else ""
    lines = [
        Line("MSH", {**_header(header, version, control_id, now), 15: accept_wanted}),
        Line("MSA", {1: str(what), 2: header.get(10) if header else "", 3: text}),
        *(Line("ERR", _problem(one, is_old=_is_before_2_5(version))) for one in problems),
    ]
    return written(lines, header.delimiters if header else USUAL)


def _header(header: Segment | None, version: str, control_id: str, now: dt.datetime) -> dict[int, Field]:
    own: dict[int, Field] = {
        7: now.strftime("%Y%m%d%H%M%S%z"),
        9: "ACK",
        10: control_id,
        11: "P",
        12: version,
    }
    if header is None:
        return own
    event = header.get(9, 2)
    if event:
        own[9] = ("ACK", event) if _is_before_2_5(version) else ("ACK", event, "ACK")
    # Who sent it receives the answer.
    own |= {to: _components(header, of) for to, of in ((3, 5), (4, 6), (5, 3), (6, 4))}
    own[11] = header.get(11) or "P"
    if header.raw(18):
        own[18] = [one.get(1) for one in header.repetitions(18)]
    return own


def _components(header: Segment, number: int) -> Field:
    element = header.repetitions(number)[0]
    return tuple(element.get(component) for component in range(1, 4))


def _problem(problem: Problem, *, is_old: bool) -> dict[int, Field]:
    name, number, component, subcomponent = path(problem.place) if problem.place else ("", 0, 0, 0)
    code = str(int(problem.code))
    if is_old:
        return {1: (name, "1" if name else "", str(number or ""), (code, problem.code.words, _TABLE))}
    place = (name, "1" if name else "", str(number or ""), "", str(component or ""), str(subcomponent or ""))
    return {
        2: place,
        3: (code, problem.code.words, _TABLE),
        4: "W" if problem.is_warning else "E",
        8: problem.text,
    }


def _is_before_2_5(version: str) -> bool:
    numbers = version.split(".")[:2]
    if not all(one.isascii() and one.isdigit() for one in numbers):
        return False
    return [int(one) for one in numbers] < [2, 5]


def _condition(text: str) -> tuple[bool, bool]:
    return _CONDITIONS.get(text or "NE", _CONDITIONS["AL"])


class Unacceptable(Exception):
    """A message that cannot be taken.

    Args:
        what: is answered in original mode, ``AE`` or ``AR``.
        problem: with it.
    """

    def __init__(self, what: Acknowledgement, problem: Problem) -> None:
        super().__init__(problem.text)
        self.what = what
        self.problem = problem


def content_error(code: Code, text: str, place: str = "") -> Unacceptable:
    """What its content makes impossible: sent again unchanged, it fails again."""
    return Unacceptable(Acknowledgement.ERROR, Problem(code, text, place))


def rejection(code: Code, text: str, place: str = "") -> Unacceptable:
    """A message that is none for here."""
    return Unacceptable(Acknowledgement.REJECTED, Problem(code, text, place))
