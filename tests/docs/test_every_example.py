"""Every command and every example on every page works as printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.examples import CLONE, Reader, World, blocks, commands
from tests.docs.worlds import WORLDS

LANGUAGES = {"bash", "python", "json", "yaml", "text", "mermaid", "nginx", "apache"}
QUICK = {"docs/user-guides/sending.md"}
PAGES = sorted(str(path.relative_to(CLONE)) for path in [*CLONE.glob("*.md"), *CLONE.joinpath("docs").rglob("*.md")])
WITH_COMMANDS = [page for page in PAGES if any(b.language in ("bash", "python") for b in blocks(CLONE / page))]


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path, WORLDS.get(request.param, World()))
    yield made
    made.leave()


@pytest.mark.parametrize(
    ("reader", "document"),
    [pytest.param(page, page, id=page, marks=[] if page in QUICK else [pytest.mark.full]) for page in WITH_COMMANDS],
    indirect=["reader"],
)
def test_a_reader_types_what_is_printed(reader: Reader, document: str) -> None:
    went = reader.read(blocks(CLONE / document))
    wrong = [
        f"$ {ran.command}\n(left with {ran.code})\n{ran.output[-1500:]}"
        for ran in went
        if ran.code != (reader.world.of(reader.world.ends, ran.command) or 0)
    ]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("document", PAGES)
def test_every_block_says_what_it_is(document: str) -> None:
    assert {block.language for block in blocks(CLONE / document)} <= LANGUAGES


@pytest.mark.parametrize("document", PAGES)
def test_values_are_well_formed(document: str) -> None:
    for block in blocks(CLONE / document):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("document", WORLDS)
def test_what_a_page_supposes_is_of_that_page(document: str) -> None:
    """A world that names what the page does not have any more would pass unseen."""
    world, typed = WORLDS[document], []
    for block in blocks(CLONE / document):
        typed += commands(block.text) if block.language == "bash" else [block.text]
    for named in (world.right_before, world.ends, world.serves, world.types, world.elsewhere):
        for start in named:
            assert any(one.startswith(start) for one in typed), start
    for pattern in world.swaps:
        assert any(re.search(pattern, one) for one in typed), pattern
    for test in world.elsewhere.values():
        file, _, name = test.partition("::")
        assert (CLONE / file).exists(), test
        assert not name or f"def {name}(" in (CLONE / file).read_text("utf-8"), test


def test_no_page_was_overlooked() -> None:
    assert len(WITH_COMMANDS) > 25
    assert set(WORLDS) <= set(PAGES)
    assert set(WITH_COMMANDS) >= set(QUICK)
