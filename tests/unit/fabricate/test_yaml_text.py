"""YAML that people write, and what programs make of it to hurt us."""

from __future__ import annotations

import time

import pytest

from dicomfab.fabricate.yaml_text import NotYaml, parsed

DOUBLING = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


def test_every_value_stays_as_it_is_written() -> None:
    assert parsed("id: 00123\ndate: 2026-01-31\non: no\n").values == {"id": "00123", "date": "2026-01-31", "on": "no"}


def test_a_value_has_its_line_and_what_is_not_there_that_of_what_holds_it() -> None:
    read = parsed("series:\n  - kind: ct\n  - kind: mr\n    count: many\n")
    assert [read.line(path) for path in ((), ("series",), ("series", 1), ("series", 1, "count"))] == [1, 1, 3, 4]
    assert read.line(("series", 1, "quality")) == 3
    assert read.line(("patient",)) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\n", None),
        ("a: 1\nb: 2\na: 3\n", ("a", 3)),
        ("a:\n  b: 1\n  b: 2\n", ("b", 3)),
        ("- a: 1\n- b: 1\n  b: 2\n", ("b", 3)),
        ("- a: 1\n- a: 2\n", None),
        ("", None),
    ],
)
def test_a_name_that_stands_twice_is_found_wherever_it_is(text: str, found: tuple[str, int] | None) -> None:
    assert parsed(text).repeated() == found


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("a: [1", "expected", 1),
        ("[" * 5000, "nests too deep", None),
        ('a: "\\UFFFFFFFF"', "too large|range", None),
        ('a: "\\U00110000"', "range", None),
        ("a: &a [*a]", "stands for more than", None),
        (DOUBLING, "stands for more than", None),
    ],
)
def test_what_is_no_yaml_is_told_at_once(text: str, problem: str, line: int | None) -> None:
    began = time.monotonic()
    with pytest.raises(NotYaml, match=problem) as told:
        parsed(text)
    assert told.value.line == line
    assert time.monotonic() - began < 10


def test_aliases_that_stand_for_little_are_taken() -> None:
    assert parsed("- &ct {kind: ct}\n- *ct\n").values == [{"kind": "ct"}, {"kind": "ct"}]
