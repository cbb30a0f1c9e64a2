"""The trees of arteries, veins and bronchi that fill the lungs from the hila outwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.build import Build
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_IN_LUNG = (Tissue.LUNG, Tissue.LUNG)
_GENERATIONS = 10
_SMALLEST_MM = 0.42

Floats = NDArray[np.float64]


def lungs(scene: Scene, build: Build, rng: np.random.Generator) -> None:
    """Grow the trees of both lungs; whatever leaves the lung is not painted."""
    for side in (-1, 1):
        hilum = np.array(build.point(side * 42, 16, 6))
        _vessels(scene, rng, hilum, side, build.size)
        _bronchi(scene, rng, hilum + (side * 4, 8, -6), side, build.size)


def _directions(rng: np.random.Generator, side: int, count: int) -> Floats:
    """Directions spread evenly over the half space of one lung, with some chance."""
    turn = np.arange(count) * 2.399963 + rng.uniform(0, 6.28)
    inward = np.linspace(-0.35, 0.95, count) + rng.normal(0, 0.08, count)
    across = np.sqrt(np.clip(1 - inward**2, 0.05, 1))
    return np.column_stack([side * inward, 0.75 * across * np.cos(turn), across * np.sin(turn) * 1.15])


def _vessels(scene: Scene, rng: np.random.Generator, hilum: Floats, side: int, size: float) -> None:
    count = 34
    points = hilum + rng.normal(0, 1, (count, 3)) * (3, 8, 14) * size
    heading = _unit(_directions(rng, side, count))
    radius = rng.uniform(2.0, 3.9, count) * size
    for _ in range(_GENERATIONS):
        length = 10.5 * size * radius**0.62 * rng.uniform(0.75, 1.3, len(radius))
        ends = points + heading * length[:, None]
        scene.capsules(points, ends, np.column_stack([radius, radius * 0.86]), Tissue.LUNG_VESSEL, _IN_LUNG)
        points, heading, radius = _fork(rng, ends, heading, radius)


def _fork(rng: np.random.Generator, ends: Floats, heading: Floats, radius: Floats) -> tuple[Floats, Floats, Floats]:
    """Two branches from each end: one goes on nearly straight, the other leaves at a wider angle."""
    across = _unit(np.cross(heading, rng.normal(0, 1, heading.shape)))
    share = rng.uniform(0.62, 0.84, (len(radius), 1))
    straight = _unit(heading + across * (0.62 - 0.5 * share) + rng.normal(0, 0.1, heading.shape))
    leaving = _unit(heading - across * (0.25 + 0.75 * share) + rng.normal(0, 0.16, heading.shape))
    wide, narrow = radius * (share[:, 0] + 0.1), radius * (1.22 - share[:, 0]) * 1.05
    points = np.concatenate([ends, ends])
    directions = np.concatenate([straight, leaving])
    radii = np.concatenate([wide, narrow])
    kept = radii > _SMALLEST_MM
    return points[kept], directions[kept], radii[kept]


def _bronchi(scene: Scene, rng: np.random.Generator, hilum: Floats, side: int, size: float) -> None:
    count = 6
    points = np.tile(hilum, (count, 1))
    heading = _unit(_directions(rng, side, count) + (0.3 * side, 0, 0))
    radius = rng.uniform(3.0, 3.8, count) * size
    for _ in range(3):
        ends = points + heading * (radius * 5.0 * rng.uniform(0.8, 1.3, len(radius)))[:, None]
        taper = np.column_stack([radius, radius * 0.9])
        scene.capsules(points, ends, taper + 0.9, Tissue.AIRWAY_WALL, (Tissue.LUNG, Tissue.LUNG_VESSEL))
        scene.capsules(points, ends, taper, Tissue.AIRWAY, (Tissue.LUNG, Tissue.LUNG_VESSEL))
        points, heading, radius = _fork(rng, ends, heading, radius * 0.9)


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
