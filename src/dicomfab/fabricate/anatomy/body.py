"""What every body gives: its scene, its lesions and where things lie; and the truth of it for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.scene import Box, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive

Region = Literal["chest", "head", "abdomen", "knee", "breast", "whole"]
Axes = tuple[Point, Point, Point]
UPRIGHT: Axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Lesion:
    """A finding that is there because we put it there.

    Args:
        kind: such as ``nodule`` or ``liver metastasis``.
        centre_mm: x, y, z in the coordinates of its body.
        radii_mm: half axes along x, y, z.
        tissue: the label at its centre.
    """

    kind: str
    centre_mm: Point
    radii_mm: Point
    tissue: Tissue = Tissue.NODULE

    def moved(self, by: Point) -> Lesion:
        """The same lesion where the origin lies elsewhere."""
        x, y, z = (float(a + b) for a, b in zip(self.centre_mm, by, strict=True))
        return Lesion(self.kind, (x, y, z), self.radii_mm, self.tissue)

    def scaled(self, factor: float) -> Lesion:
        """The same lesion, larger or smaller."""
        a, b, c = self.radii_mm
        return Lesion(self.kind, self.centre_mm, (a * factor, b * factor, c * factor), self.tissue)


@dataclass(frozen=True, slots=True)
class Body:
    """The scene and what is known about it. All coordinates are the body's own, in mm.

    Args:
        region: which part of the person.
        scene: the shapes.
        lesions: the findings.
        extent_mm: lowest and highest x, y, z of what an examination of the region covers.
        landmarks: named points.
        origin_mm: where the body's zero lies in the person's frame of reference, which is that of the chest.
        axes: unit vectors of the body's x, y and z in patient directions (LPS); turned only for the breast.
    """

    region: Region
    scene: Scene
    lesions: tuple[Lesion, ...]
    extent_mm: Box
    landmarks: Mapping[str, Point] = field(default_factory=dict)
    origin_mm: Point = (0.0, 0.0, 0.0)
    axes: Axes = UPRIGHT


def truth(body: Body) -> dict[str, object]:
    """The ground truth of a body, ready for JSON.

    Returns:
        ``region``, ``origin_mm`` and ``lesions``, each with ``kind``, ``tissue``, ``centre_mm``, ``size_mm`` (whole
        axes along x, y, z) and ``volume_mm3`` (of the ellipsoid).
    """
    return {
        "region": body.region,
        "origin_mm": list(body.origin_mm),
        "lesions": [
            {
                "kind": lesion.kind,
                "tissue": lesion.tissue.name,
                "centre_mm": [round(value, 3) for value in lesion.centre_mm],
                "size_mm": [round(2 * value, 3) for value in lesion.radii_mm],
                "volume_mm3": round(float(4 / 3 * np.pi * np.prod(lesion.radii_mm)), 2),
            }
            for lesion in body.lesions
        ],
    }


def person(seed: int, sex: str) -> Build:
    """The frame of a person: every region of the same seed and sex is built on it.

    Args:
        seed: the study's seed.
        sex: ``F`` or ``M``; anything else leaves it to the seed.
    """
    rng = np.random.default_rng(derive(seed, "anatomy"))
    female = bool(rng.integers(2)) if sex not in ("F", "M") else sex == "F"
    return Build.draw(rng, female)


def inside(scene: Scene, centre: NDArray[np.float64], reach_mm: float, allowed: tuple[Tissue, ...]) -> bool:
    """Whether a point, and six around it at a distance, are all of certain tissues."""
    steps = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    return all(scene.label_at(*(centre + reach_mm * step).tolist()) in allowed for step in steps)
