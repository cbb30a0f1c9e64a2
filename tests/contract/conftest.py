"""One lab for each engine, for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomfab.testpacs.spec import EngineName
from tests.contract.answers import ANSWERS, Answers
from tests.contract.bench import Bench, bench


@pytest.fixture(scope="session", params=list(EngineName), ids=str)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp(str(request.param)), request.param) as running:
        yield running


@pytest.fixture
def answers(lab: Bench) -> Answers:
    """What this engine answers where the other may answer otherwise."""
    return ANSWERS[lab.engine]
