"""Sections of a body, their places, and what is known about them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.fabricate.anatomy.body import Body, Lesion, Region
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.studies import read, study


def made(kind: str, count: int, seed: int = 3) -> list[Dataset]:
    """All instances of a study of one kind."""
    return [read(instance) for instance in fabricate(study(f"{kind}:{count}", seed=seed), workers=2)]


def body(kind: str, region: Region, seed: int = 3) -> Body:
    """The body that :func:`made` shows."""
    return regions.body(study(f"{kind}:1", seed=seed), region)


def with_lesion(kind: str, region: Region, finding: str) -> tuple[int, Lesion]:
    """The first seed whose body has a finding, and the finding."""
    for seed in range(1, 60):
        for lesion in body(kind, region, seed).lesions:
            if lesion.kind == finding:
                return seed, lesion
    raise AssertionError(f"no body has a {finding}")


def series(instances: list[Dataset], description: str) -> list[Dataset]:
    """Those of the series that is described so."""
    found = [ds for ds in instances if description in ds.SeriesDescription]
    assert found
    return found


def position(ds: Dataset, frame: int | None = None) -> NDArray[np.float64]:
    """ImagePositionPatient."""
    if frame is None:
        return np.array(ds.ImagePositionPatient, np.float64)
    item = ds.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
    return np.array(item.ImagePositionPatient, np.float64)


def offsets(ds: Dataset, centre_mm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """How far pixels are from a point, along rows (by column) and along columns (by row), and how far the plane is."""
    along, down = np.array(ds.ImageOrientationPatient, np.float64).reshape(2, 3)
    away = np.asarray(centre_mm) - position(ds)
    spacing = float(ds.PixelSpacing[0])
    x = np.arange(ds.Columns) * spacing - away @ along
    y = np.arange(ds.Rows) * spacing - away @ down
    return x, y, float(away @ np.cross(along, down))


def nearest(instances: list[Dataset], centre_mm: Any) -> Dataset:
    """The section whose plane is closest to a point."""
    return min(instances, key=lambda ds: abs(offsets(ds, centre_mm)[2]))


def around(ds: Dataset, lesion: Lesion, low: float, high: float) -> float:
    """The median of the pixels that lie ``low`` to ``high`` times the lesion's smallest radius from its centre."""
    x, y, _ = offsets(ds, lesion.centre_mm)
    distance = np.hypot(x[None, :], y[:, None]) / min(lesion.radii_mm)
    return float(np.median(ds.pixel_array[(distance >= low) & (distance < high)]))


def labels(ds: Dataset, shown: Body) -> NDArray[np.uint8]:
    """The tissue of every fourth pixel, found one by one from the attributes alone; 255 elsewhere."""
    along, down = np.array(ds.ImageOrientationPatient, np.float64).reshape(2, 3)
    spacing = float(ds.PixelSpacing[0])
    result = np.full((ds.Rows, ds.Columns), 255, np.uint8)
    for j in range(0, ds.Rows, 4):
        for i in range(0, ds.Columns, 4):
            x, y, z = (position(ds) + along * (i * spacing) + down * (j * spacing)).tolist()
            result[j, i] = shown.scene.label_at(x, y, z)
    return result


def mean(ds: Dataset, places: NDArray[np.uint8], tissue: Tissue) -> float:
    """The median of the pixels of a tissue."""
    chosen = places == tissue
    assert chosen.sum() > 20
    return float(np.median(ds.pixel_array[chosen]))
