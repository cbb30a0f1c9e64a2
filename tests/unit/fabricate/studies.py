"""Small studies for the tests."""

from __future__ import annotations

import datetime as dt
import io

from pydicom import Dataset, dcmread

from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe, with_slices
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.study import FabricatedInstance
from dicomfab.model.part10 import file_header

NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)


def resolved(recipe: StudyRecipe) -> ResolvedStudy:
    return resolve(recipe, now=NOW, draw_seed=lambda: 42)


def study(*kinds: str, slices: int = 3, **values: object) -> ResolvedStudy:
    series = tuple(with_slices(SeriesRecipe.parse(kind), slices) for kind in kinds)
    return resolved(StudyRecipe(series, **{"seed": 7, **values}))  # type: ignore[arg-type]


def encoded(instance: FabricatedInstance) -> bytes:
    return b"".join(instance.buffers)


def read(instance: FabricatedInstance) -> Dataset:
    identity = instance.identity
    head = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    return dcmread(io.BytesIO(head + encoded(instance)))
