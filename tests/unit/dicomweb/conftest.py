from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dicomfab.fabricate.sinks import write_files
from dicomfab.model.study import InstanceFile
from tests.unit.fabricate.studies import study

Fabricate = Callable[..., list[InstanceFile]]


@pytest.fixture(scope="session")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> Fabricate:
    """Fabricates a study into files, the same one only once."""
    made: dict[tuple[object, ...], list[InstanceFile]] = {}

    def fabricate(*kinds: str, slices: int = 3, **values: object) -> list[InstanceFile]:
        key = (kinds, slices, *sorted(values.items()))
        if key not in made:
            folder: Path = tmp_path_factory.mktemp("study")
            made[key] = write_files(study(*kinds, slices=slices, **values), folder, workers=1)
        return made[key]

    return fabricate


def one(files: Sequence[InstanceFile]) -> InstanceFile:
    (file,) = files
    return file
