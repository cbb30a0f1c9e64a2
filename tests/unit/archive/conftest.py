from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomfab.archive.archive import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "archive")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def closed_with_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test opened: an open database is a warning from Python 3.13 on, and warnings are errors."""
    opened: list[Archive] = []
    initialise = Archive.__init__

    def recorded(self: Archive, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        opened.append(self)

    monkeypatch.setattr(Archive, "__init__", recorded)
    yield
    for archive in opened:
        archive.close()
