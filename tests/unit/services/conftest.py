"""A hospital for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.services.hospital import Hospital, hospital
from tests.unit.services.job_office import Office


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path) as running:
        yield running


@pytest.fixture
def office(site: Hospital) -> Office:
    return Office(site)
