"""One good study for all tests of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.validity.files import made, small


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four CT slices and a text card."""
    return made(tmp_path_factory.mktemp("good"), ct_chest=4, text_card=1)


@pytest.fixture(scope="session")
def ct(study: list[Path]) -> Path:
    return study[0]


@pytest.fixture(scope="session")
def card(study: list[Path]) -> Path:
    return study[-1]


@pytest.fixture(scope="session")
def cine(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three little frames."""
    return small(card, tmp_path_factory.mktemp("cine") / "cine.dcm")
