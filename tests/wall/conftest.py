"""One hospital for all tests of this folder: nothing that they do leaves a mark in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wall.world import World, world


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("wall")) as made:
        yield made
