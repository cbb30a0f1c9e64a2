"""The objects of small studies, without the pixels of the images that they refer to."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from pydicom import Dataset

from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.study import numbered
from tests.unit.fabricate.studies import read


def planned(made: ResolvedStudy) -> tuple[list[Planned], dict[str, SeriesPlan]]:
    """The images, and the objects by kind; nothing is rendered."""
    images, objects = [], {}
    for _, series, plan in numbered(made, 1):
        if series.kind in OBJECTS:
            objects[series.kind] = plan
        else:
            images.append(Planned(series.kind, plan))
    return images, objects


def document(plan: SeriesPlan) -> Dataset:
    (instance,) = encode_document(plan)
    return read(instance)


def objects(made: ResolvedStudy) -> dict[str, Dataset]:
    return {kind: document(plan) for kind, plan in planned(made)[1].items()}


def told(made: ResolvedStudy, kind: str) -> dict[str, Any]:
    """The truth of the only object of its kind, through JSON."""
    images, _ = planned(made)
    (number, series), *_ = ((number, one) for number, one, _ in numbered(made, 1) if one.kind == kind)
    module = import_module(f"dicomfab.fabricate.iods.{OBJECTS[kind].module}")
    found: dict[str, Any] = json.loads(json.dumps(module.truth_of(made, series, number, images)))
    return found
