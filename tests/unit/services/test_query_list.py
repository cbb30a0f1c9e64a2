"""Rows of a list looked up on many servers: found, several, none and failed are told apart for each."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dicomfab.model.actor import Role
from dicomfab.model.errors import InvalidInput
from dicomfab.registry.hours import permitted_hours
from dicomfab.services.query import Asked
from dicomfab.services.query_list import GIVEN_UP_AFTER, ListQuery, LookedUp, table
from dicomfab.services.search_export import writer
from dicomfab.services.study_list import read_list
from tests.unit.dimse import raw
from tests.unit.services.hospital import ADMIN, actor
from tests.unit.services.job_office import Office, mortal, picky
from tests.unit.services.test_jobs_listed import put
from tests.unit.services.test_query_answers import answers_with

LIST = "accession,date\n0042,\n0007,\nNONE,\n0042,1999-01-01\n"


def looked_up(office: Office, text: str, servers: Sequence[Asked]) -> list[LookedUp]:
    rows = read_list(text, source="list.csv")
    return ListQuery(office.site.queries, office.now).look_up(ADMIN, rows, servers)


def words(found: Sequence[LookedUp]) -> list[tuple[str, ...]]:
    return [tuple(answer.word for answer in one.answers) for one in found]


def test_each_row_is_looked_up_on_each_server(office: Office) -> None:
    (_, one), (_, two) = picky(office, "ONE"), picky(office, "TWO")
    plain, several = put(office, one, "0042", 1), {put(office, two, "0007", seed) for seed in (2, 3)}
    progress: list[tuple[int, int | None]] = []
    rows = read_list(LIST, source="list.csv")
    found = ListQuery(office.site.queries, office.now).look_up(
        ADMIN, rows, [one, two], on_progress=lambda p: progress.append((p.done, p.total))
    )
    assert words(found) == [("found", "none"), ("none", "several"), ("none", "none"), ("none", "none")]
    assert found[0].answers[0].studies == (plain,)
    assert set(found[1].answers[1].studies) == several
    assert progress == [(done, 8) for done in range(9)]


def test_a_failed_server_is_never_an_empty_one_and_is_left_alone_after_a_while(office: Office) -> None:
    _, one = picky(office, "ONE")
    dead, two = mortal(office, "TWO")
    dead.kill()
    put(office, one, "3", 1)
    text = "accession\n" + "".join(f"{number}\n" for number in range(1, 8))
    found = looked_up(office, text, [one, two])
    assert [row[0] for row in words(found)] == ["none", "none", "found", "none", "none", "none", "none"]
    assert {row[1] for row in words(found)} == {"failed"}
    errors = [one.answers[1].error for one in found]
    assert len(set(map(id, errors))) == GIVEN_UP_AFTER


def test_a_status_fails_the_row_and_a_warning_is_said(office: Office) -> None:
    with raw.peer(answers_with(0xC001)) as failing, raw.peer(answers_with(0xB000)) as warning:
        servers = [office.site.entry("RAW", failing.port), office.site.entry("WARNS", warning.port)]
        [row] = looked_up(office, "accession\n1\n", servers)
    assert [answer.word for answer in row.answers] == ["failed", "none"]
    assert "B000" in row.answers[1].why


def test_what_may_not_be_asked_is_not_asked(office: Office) -> None:
    handlers, one = picky(office, "ONE")
    live = replace(one, environment="prod")  # type: ignore[arg-type]
    rows = read_list(LIST, source="list.csv")
    found = ListQuery(office.site.queries, office.now).look_up(actor(Role.TEST_READ), rows, [live])
    assert words(found) == [("not allowed",)] * 4
    assert handlers.received == []


def test_outside_the_permitted_hours_a_server_is_not_asked(office: Office) -> None:
    _, one = picky(office, "ONE")
    soon = office.now().astimezone() + datetime.timedelta(hours=2)
    span = f"{soon:%H:%M}-{soon + datetime.timedelta(hours=1):%H:%M}"
    [row] = looked_up(office, "accession\n1\n", [replace(one, permitted_hours=permitted_hours(span, "hours"))])
    assert (row.answers[0].word, f"{soon:%H:%M}" in str(row.answers[0].error)) == ("refused", True)


def test_a_stop_ends_the_wait_for_the_rate(office: Office) -> None:
    _, one = picky(office, "ONE")
    put(office, one, "0042", 1)
    answered: list[int] = []
    rows = read_list(LIST, source="list.csv")
    found = ListQuery(office.site.queries, office.now).look_up(
        ADMIN,
        rows,
        [replace(one, rate_per_minute=1)],
        on_progress=lambda p: answered.append(p.done),
        cancelled=lambda: bool(answered) and answered[-1] >= 1,
    )
    assert words(found) == [("found",), ("stopped",), ("stopped",), ("stopped",)]


def test_the_table_is_exported_as_it_was_given(office: Office) -> None:
    (_, one), (_, two) = picky(office, "ONE"), picky(office, "TWO")
    study = put(office, two, "0042", 1)
    found = looked_up(office, LIST, [one, two])
    rows = list(csv.DictReader(b"".join(writer("csv")(table([one, two], found))).decode().splitlines()))
    assert [row["AccessionNumber"] for row in rows] == ["0042", "0007", "NONE", "0042"]
    assert (rows[0]["ONE"], rows[0]["TWO"], rows[0]["TWO studies"]) == ("none", "found", study)
    plain = json.loads(b"".join(writer("json")(table([one, two], found))))
    assert [server["name"] for server in plain["servers"]] == ["ONE", "TWO"]


def test_no_server_is_no_look_up(office: Office) -> None:
    with pytest.raises(InvalidInput, match="no server"):
        looked_up(office, LIST, [])
