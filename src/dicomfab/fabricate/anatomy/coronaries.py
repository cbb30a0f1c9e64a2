"""The left coronary artery on the heart of a body, with a stenosis, and the way that a catheter takes to it.

They are lines with radii, not shapes of the scene: only angiography shows them, and there they move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Lesion, person
from dicomfab.fabricate.anatomy.build import Build
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive

Points = NDArray[np.float64]
_STEP_MM: Final = 1.0
# Of the ellipsoid on which the vessels run: around the long axis, and along it.
_SURFACE_MM: Final = (66.0, 47.0, 46.0)
_CENTRE_MM: Final = 8.0  # along the long axis, from the base
_AXIS: Final = np.array([0.70, -0.50, -0.51]) / np.linalg.norm([0.70, -0.50, -0.51])


@dataclass(frozen=True, slots=True)
class Vessel:
    """A line with a thickness.

    Args:
        points: (n, 3), about a millimetre apart, in the body's coordinates.
        radii_mm: (n,).
        start_mm: way that blood has come from the ostium to the first point.
    """

    points: Points
    radii_mm: Points
    start_mm: float

    @property
    def way_mm(self) -> Points:
        """Way from the ostium to each point."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return self.start_mm + np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True, slots=True)
class Coronaries:
    """What an angiography of the left coronary artery shows.

    Args:
        vessels: main stem, then branches.
        catheter: from below the diaphragm, through the aorta, to the ostium.
        apex: of the left ventricle, which hardly moves.
        axis: unit vector from the base of the heart to its apex.
        centre: of the heart.
        lesions: the stenosis.
    """

    vessels: tuple[Vessel, ...]
    catheter: Vessel
    apex: Points
    axis: Points
    centre: Points
    lesions: tuple[Lesion, ...]


def build_coronaries(seed: int, sex: str) -> Coronaries:
    """The left coronary artery of a person.

    Args:
        seed: the study's seed.
        sex: as of :func:`~dicomfab.fabricate.anatomy.body.person`.
    """
    build = person(seed, sex)
    heart = _Heart(build)
    rng = np.random.default_rng(derive(seed, "coronaries"))
    vessels, lesion = _tree(heart, build, rng)
    return Coronaries(
        vessels=tuple(vessels),
        catheter=_catheter(build, vessels[0].points[0]),
        apex=heart.at(0.95, 0.0)[0],
        axis=_AXIS,
        centre=heart.centre,
        lesions=(lesion,),
    )


class _Heart:
    """The surface on which vessels run, addressed by place along the long axis (-1 to 1) and angle around it."""

    def __init__(self, build: Build) -> None:
        side = np.cross(_AXIS, (0.0, 0.0, 1.0))
        side /= np.linalg.norm(side)
        self._across = np.array([side, np.cross(_AXIS, side)])
        size = build.size * build.heart
        base = np.array(build.point(22 + 2 * build.shift[1], -24, -38 + 2 * build.shift[2]))
        self.centre = base + _AXIS * _CENTRE_MM * size
        self._radii = np.array(_SURFACE_MM) * size
        self.front = self._angle((-0.35, -1.0, 0.55))

    def _angle(self, direction: tuple[float, float, float]) -> float:
        """Of the side of the heart that faces a direction."""
        first, second = self._across @ np.array(direction)
        return float(np.arctan2(second, first))

    def at(self, along: float | Points, around: float | Points, lift: float | Points = 0.0) -> Points:
        """Points (n, 3); ``around`` is counted from the front groove towards the patient's left."""
        along, around, lift = np.broadcast_arrays(np.atleast_1d(along), around, lift)
        angle = self.front - around
        ring = np.sqrt(np.clip(1 - along**2, 0.0, 1.0))
        radii = self._radii + np.zeros((len(along), 3)) + lift[:, None]
        return np.asarray(
            self.centre
            + (along * radii[:, 0])[:, None] * _AXIS
            + (ring * np.cos(angle) * radii[:, 1])[:, None] * self._across[0]
            + (ring * np.sin(angle) * radii[:, 2])[:, None] * self._across[1]
        )


def _tree(heart: _Heart, build: Build, rng: np.random.Generator) -> tuple[list[Vessel], Lesion]:
    fork = heart.at(-0.62, 0.10)[0]
    ostium = np.array(build.point(2, -30, 2))
    stem = _vessel(np.array([ostium, (ostium + fork) / 2 + (1.5, -3.0, 1.0), fork]), (2.3, 2.2), 0.0)
    start = float(stem.way_mm[-1])

    def on_surface(stations: list[tuple[float, float]], radii: tuple[float, float], at_mm: float) -> Vessel:
        line = curve([(a, b, 0.0) for a, b in stations], 8)
        wave = rng.normal(0, 1, (3, 2)) * (0.022, 0.05)
        part = np.linspace(0, 1, len(line))[:, None]
        swing = sum(np.sin((n + 2) * np.pi * part) * wave[n] for n in range(3))
        bent = line[:, :2] + swing
        return _vessel(heart.at(np.clip(bent[:, 0], -0.97, 0.99), bent[:, 1]), radii, at_mm)

    descending = on_surface(
        [(-0.62, 0.10), (-0.35, -0.08), (0.0, -0.02), (0.35, -0.1), (0.7, 0.0), (0.93, 0.1)], (1.9, 0.65), start
    )
    circumflex = on_surface(
        [(-0.62, 0.10), (-0.58, 0.6), (-0.52, 1.15), (-0.42, 1.75), (-0.34, 2.3), (-0.25, 2.75)], (1.75, 0.7), start
    )
    descending, lesion = _narrowed(descending, rng)
    found = [stem, descending, circumflex]
    for parent, place, stations, radius in (
        (descending, 0.16, [(0.05, 0.5), (0.4, 0.7), (0.66, 0.8)], 1.15),
        (descending, 0.34, [(0.22, 0.35), (0.5, 0.5), (0.72, 0.62)], 0.95),
        (descending, 0.52, [(0.45, 0.22), (0.68, 0.35)], 0.75),
        (circumflex, 0.30, [(-0.2, 1.2), (0.2, 1.3), (0.52, 1.35)], 1.15),
        (circumflex, 0.55, [(-0.1, 1.75), (0.25, 1.8), (0.58, 1.7)], 1.2),
        (circumflex, 0.80, [(0.0, 2.3), (0.3, 2.2), (0.55, 2.1)], 0.95),
    ):
        found += _branch(heart, parent, place + rng.uniform(-0.03, 0.03), stations, radius, rng)
    found += _septals(descending, rng)
    return found, lesion


def _branch(
    heart: _Heart,
    parent: Vessel,
    place: float,
    stations: list[tuple[float, float]],
    radius: float,
    rng: np.random.Generator,
) -> list[Vessel]:
    """A side branch on the surface, with two twigs of its own."""
    n = int(place * (len(parent.points) - 1))
    jitter = rng.normal(0, 0.04, (len(stations), 2))
    line = np.concatenate(
        [parent.points[n : n + 1], *(heart.at(a + j, b + k) for (a, b), (j, k) in zip(stations, jitter, strict=True))]
    )
    radius *= rng.uniform(0.85, 1.1)
    main = _vessel(line, (radius, 0.4), float(parent.way_mm[n]))
    twigs = []
    for share in (0.35, 0.62):
        m = int(share * (len(main.points) - 1))
        forward = main.points[min(m + 6, len(main.points) - 1)] - main.points[m]
        forward /= np.linalg.norm(forward) + 1e-9
        outwards = main.points[m] - heart.centre
        aside = np.cross(forward, outwards / np.linalg.norm(outwards)) * rng.choice((-1.0, 1.0))
        end = main.points[m] + rng.uniform(14, 24) * (forward + rng.uniform(0.6, 1.1) * aside)
        end = heart.centre + (end - heart.centre) * (np.linalg.norm(outwards) / np.linalg.norm(end - heart.centre))
        middle = (main.points[m] + end) / 2 + rng.normal(0, 1.2, 3)
        twigs.append(_vessel(np.array([main.points[m], middle, end]), (radius * 0.5, 0.28), float(main.way_mm[m])))
    return [main, *twigs]


def _septals(parent: Vessel, rng: np.random.Generator) -> list[Vessel]:
    """Straight short branches that dive into the wall between the ventricles."""
    found = []
    for share in np.linspace(0.18, 0.72, 6):
        n = int(share * (len(parent.points) - 1))
        inwards = np.array((-0.45, 0.75, -0.45)) + rng.normal(0, 0.1, 3)
        end = parent.points[n] + inwards * rng.uniform(16, 26)
        middle = (parent.points[n] + end) / 2 + rng.normal(0, 1.0, 3)
        found.append(_vessel(np.array([parent.points[n], middle, end]), (0.55, 0.25), float(parent.way_mm[n])))
    return found


def _narrowed(vessel: Vessel, rng: np.random.Generator) -> tuple[Vessel, Lesion]:
    """The same vessel with a stenosis of 60 to 80 percent of its diameter."""
    n = int(rng.uniform(0.22, 0.30) * (len(vessel.points) - 1))
    along = vessel.way_mm - vessel.way_mm[n]
    length_mm, left = rng.uniform(3.0, 5.0), 1.0 - rng.uniform(0.6, 0.8)
    radii = vessel.radii_mm * (1 - (1 - left) * np.exp(-((along / length_mm) ** 2)))
    x, y, z = (float(value) for value in vessel.points[n])
    outer = float(vessel.radii_mm[n])
    lesion = Lesion("coronary stenosis", (x, y, z), (outer, outer, outer), Tissue.BLOOD)
    return Vessel(vessel.points, radii, vessel.start_mm), lesion


def _catheter(build: Build, ostium: Points) -> Vessel:
    p = build.point
    behind = [build.back(24, -8, z) for z in range(-330, 60, 30)]
    arch = [p(22, 22, 62), p(12, 0, 68), p(-6, -18, 64), p(-20, -28, 44), p(-22, -30, 20)]
    tip = [tuple(ostium + (-9.0, 0.0, 5.0)), tuple(ostium)]
    return _vessel(np.asarray([*behind, *arch, *tip], np.float64), (1.0, 0.9), -1e3)


def _vessel(line: Points, radii: tuple[float, float], start_mm: float) -> Vessel:
    fine = curve([(float(x), float(y), float(z)) for x, y, z in line], 12)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    even = np.linspace(0, way[-1], max(int(way[-1] / _STEP_MM), 2) + 1)
    points = np.column_stack([np.interp(even, way, fine[:, n]) for n in range(3)])
    part = (even / way[-1]) ** 0.8
    return Vessel(points, radii[0] + (radii[1] - radii[0]) * part, start_mm)
