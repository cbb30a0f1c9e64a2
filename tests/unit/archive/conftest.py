from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "archive")
    yield made
    made.close()
