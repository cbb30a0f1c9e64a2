"""Where the image is (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from dicomfab.validity.dataset import DataSet, Element, label
from dicomfab.validity.findings import Problem, Rule, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.values import numbers

ORIENTATION: Final = 0x00200037
POSITION: Final = 0x00200032
_SPACINGS: Final = frozenset({0x00280030, 0x00181164, 0x00182010, 0x00180050})
_TOLERANCE: Final = 1e-3


@rule("orientation", "PS3.3 C.7.6.2.1.1", "write two unit vectors at right angles")
def orientation(instance: Instance) -> Iterator[Problem]:
    """ImageOrientationPatient is two unit vectors at right angles, in functional groups too."""
    for path, cosines, _ in _found(instance, frozenset({ORIENTATION})):
        if len(cosines) != 6:
            yield Problem("not six numbers", f"{path}ImageOrientationPatient", f"{len(cosines)} of them")
            continue
        row, column = cosines[:3], cosines[3:]
        if any(abs(math.hypot(*vector) - 1) > _TOLERANCE for vector in (row, column)):
            yield Problem("no unit vectors", f"{path}ImageOrientationPatient", _text(cosines))
        elif abs(sum(a * b for a, b in zip(row, column, strict=True))) > _TOLERANCE:
            yield Problem("row and column are not at right angles", f"{path}ImageOrientationPatient", _text(cosines))


@rule("position", "PS3.3 C.7.6.2.1.1", "write three coordinates in mm")
def position(instance: Instance) -> Iterator[Problem]:
    """ImagePositionPatient is three numbers."""
    for path, coordinates, _ in _found(instance, frozenset({POSITION})):
        if len(coordinates) != 3 or not all(map(math.isfinite, coordinates)):
            yield Problem("not three numbers", f"{path}ImagePositionPatient", f"{len(coordinates)} of them")


@rule("spacing", "PS3.3 10.7.1.3", "write distances in mm, greater than 0")
def spacing(instance: Instance) -> Iterator[Problem]:
    """Spacings and slice thickness are greater than 0."""
    for path, values, element in _found(instance, _SPACINGS):
        if any(value <= 0 for value in values):
            yield Problem("not greater than 0", path + label(element.tag), _text(values))


def _found(instance: Instance, tags: frozenset[int]) -> Iterator[tuple[str, list[float], Element]]:
    data: DataSet
    for path, data, element in instance.walk():
        if element.tag in tags and element.length:
            yield path, numbers(data, element), element


def _text(values: list[float]) -> str:
    return "\\".join(f"{value:g}" for value in values)


RULES: Final[tuple[Rule[Instance], ...]] = (orientation, position, spacing)
