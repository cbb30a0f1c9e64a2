from __future__ import annotations

import datetime as dt

import pytest

from dicomfab.hl7.acknowledging import Acknowledgement, Code, Problem, acknowledged, wanted
from dicomfab.hl7.er7 import Segment, parse

NOW = dt.datetime(2026, 1, 31, 9, 30, 5, tzinfo=dt.UTC)
MISSING = Problem(Code.REQUIRED_FIELD_MISSING, "PID-3 names no patient", "PID-3.1")


def header(version: str = "2.5.1", *, separators: str = "|^~\\&", more: str = "") -> Segment:
    text = f"MSH{separators}|RIS^1.2^ISO|MAIN|FAB|LAB|20260131||ORM^O01^ORM_O01|C|P|{version}{more}"
    for usual, own in zip("|^~\\&", separators, strict=True):
        text = text[:8] + text[8:].replace(usual, own)
    return parse(text).segments[0]


def answer(of: Segment | None, what: Acknowledgement, *problems: Problem) -> list[Segment]:
    message = parse(acknowledged(of, what, problems, control_id="A1", now=NOW))
    assert message.notes == ()
    return list(message.segments)


def test_it_goes_back_to_who_sent_the_message() -> None:
    msh, msa = answer(header(), Acknowledgement.ACCEPTED)
    assert [msh.get(n) for n in (3, 4, 5, 6)] == ["FAB", "LAB", "RIS", "MAIN"]
    assert (msh.get(5, 2), msh.get(5, 3)) == ("1.2", "ISO")
    assert msh.get(7) == "20260131093005+0000"
    assert msh.raw(9) == "ACK^O01^ACK"
    assert [msh.get(n) for n in (10, 11, 12)] == ["A1", "P", "2.5.1"]
    assert (msa.get(1), msa.get(2), msa.get(3)) == ("AA", "C", "")


def test_what_is_wrong_is_told_with_its_place() -> None:
    _, msa, err = answer(header(), Acknowledgement.ERROR, MISSING)
    assert (msa.get(1), msa.get(3)) == ("AE", "PID-3 names no patient")
    assert err.raw(2) == "PID^1^3^^1"
    assert err.raw(3) == "101^Required field missing^HL70357"
    assert (err.get(4), err.get(8)) == ("E", "PID-3 names no patient")


@pytest.mark.parametrize(("version", "type_"), [("2.3.1", "ACK^O01"), ("2.4", "ACK^O01"), ("2.10", "ACK^O01^ACK")])
def test_older_versions_have_other_segments(version: str, type_: str) -> None:
    msh, _, err = answer(header(version), Acknowledgement.ERROR, MISSING)
    assert (msh.raw(9), msh.get(12)) == (type_, version)
    old = type_ == "ACK^O01"
    assert bool(err.raw(1)) is old
    assert not old or err.raw(1) == "PID^1^3^101&Required field missing&HL70357"


def test_a_warning_is_no_error() -> None:
    again = Problem(Code.DUPLICATE_KEY, "the control id was there with other content", "MSH-10", is_warning=True)
    _, msa, err = answer(header(), Acknowledgement.ACCEPTED, again)
    assert (msa.get(1), err.get(4)) == ("AA", "W")


def test_separators_and_character_set_are_those_of_the_message() -> None:
    text = acknowledged(
        header(separators="#!$%@", more="||||||UNICODE UTF-8"),
        Acknowledgement.ERROR,
        [Problem(Code.INTERNAL, "a#b")],
        control_id="1",
        now=NOW,
    )
    assert text.startswith("MSH#!$%@#FAB#LAB#RIS!1.2!ISO#MAIN#")
    msh, msa, _ = parse(text).segments
    assert (msh.get(18), msa.get(3)) == ("UNICODE UTF-8", "a#b")


def test_what_has_no_header_is_answered_as_well() -> None:
    msh, msa, _ = answer(None, Acknowledgement.REJECTED, Problem(Code.SEGMENT_SEQUENCE, "no MSH segment"))
    assert (msh.get(9), msh.get(12)) == ("ACK", "2.5.1")
    assert (msa.get(1), msa.get(2)) == ("AR", "")


@pytest.mark.parametrize(
    ("more", "is_enhanced", "accept", "application"),
    [
        ("", False, (False, False), (True, True)),
        ("|||AL|NE", True, (True, True), (False, False)),
        ("|||AL", True, (True, True), (False, False)),
        ("||||AL", False, (False, False), (True, True)),
        ("|||NE|AL", False, (False, False), (True, True)),
        ("|||NE", True, (False, False), (False, False)),
        ("|||NE|ER", True, (False, False), (False, True)),
        ("|||ER|SU", True, (False, True), (True, False)),
    ],
)
def test_which_answers_are_wanted(
    more: str, is_enhanced: bool, accept: tuple[bool, bool], application: tuple[bool, bool]
) -> None:
    found = wanted(header(more=more))
    assert (found.is_enhanced, found.accept, found.application) == (is_enhanced, accept, application)


def test_every_code_has_words() -> None:
    assert all(code.words for code in Code)
    assert [one for one in Acknowledgement if one.is_accepted] == ["AA", "CA"]
