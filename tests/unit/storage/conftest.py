from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "home" / "x.sqlite3")
    yield made
    made.close()
