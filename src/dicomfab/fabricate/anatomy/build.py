"""The frame of a body: how big it is and the profiles that everything else is placed by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dicomfab.fabricate.anatomy.scene import Profile

Point = tuple[float, float, float]

# z, centre x, centre y, half width, half depth of an average frame.
_BODY = (
    (-330, 0, 4, 158, 104), (-240, 0, 4, 152, 104), (-160, 0, 3, 152, 108), (-100, 0, 2, 154, 112),
    (-40, 0, 1, 157, 113), (20, 0, 1, 160, 112), (60, 0, 4, 163, 107), (95, 0, 9, 165, 98), (120, 0, 14, 160, 87),
    (138, 0, 17, 138, 76), (152, 0, 18, 104, 68), (166, 0, 17, 74, 62), (182, 0, 14, 62, 59), (240, 0, 6, 60, 60),
    (330, 0, 2, 68, 78),
)  # fmt: skip
_CAVITY = (
    (-330, 0, 2, 132, 84), (-160, 0, 4, 133, 86), (-110, 0, 4, 133, 90), (-60, 0, 3, 132, 90), (0, 0, 1, 128, 89),
    (40, 0, 2, 119, 84), (75, 0, 7, 103, 73), (100, 0, 14, 80, 56), (118, 0, 19, 62, 40), (132, 0, 22, 48, 28),
    (142, 0, 22, 36, 20),
)  # fmt: skip
_LUNG = (
    (-160, 66, 26, 60, 56), (-130, 67, 16, 65, 70), (-95, 67, 7, 66, 82), (-50, 66, 3, 65, 86), (0, 64, 1, 63, 86),
    (40, 60, 2, 58, 81), (72, 54, 7, 49, 69), (95, 46, 14, 37, 52), (111, 40, 20, 26, 36), (121, 37, 23, 17, 22),
    (128, 36, 24, 6, 8), (130, 36, 24, 0, 0),
)  # fmt: skip
_NECK = ((112, 0, 24, 60, 40), (140, 0, 22, 62, 46), (165, 0, 18, 54, 50), (200, 0, 12, 52, 50), (330, 0, 6, 54, 56))


@dataclass(frozen=True)
class Build:
    """One body's frame.

    Args:
        female: adds breasts.
        size: overall scale.
        height: extra scale along z.
        fat_mm: subcutaneous fat.
        breast: scale of the breasts.
        curve_mm: how far the thoracic spine bends backwards.
        heart: scale of the heart.
        shift: drawn offsets in mm that organs share out among themselves.
    """

    female: bool
    size: float
    height: float
    fat_mm: float
    breast: float
    curve_mm: float
    heart: float
    shift: tuple[float, ...]
    body: Profile
    cavity: Profile
    lungs: tuple[Profile, Profile]
    neck: Profile

    @classmethod
    def draw(cls, rng: np.random.Generator, female: bool) -> Build:
        """Draw a frame."""
        size = _clipped(rng.normal(0.955 if female else 1.0, 0.022), 0.9, 1.05)
        height = _clipped(rng.normal(1.0, 0.025), 0.95, 1.05)
        depth = _clipped(rng.normal(1.0, 0.035), 0.92, 1.08)
        fat_mm = _clipped(rng.gamma(4.0, 1.9), 1.0, 20.0) - 3.0
        wide = (size, size * height)

        def profile(stations: tuple[tuple[float, ...], ...], *, mirror: float = 1.0, grow: float = 0.0) -> Profile:
            rows = np.array(stations, np.float64)
            rows[:, 0] *= wide[1]
            rows[:, 1] *= mirror * size
            rows[:, 2:] *= size
            rows[:, 4] *= depth
            rows[:, 3] += grow
            rows[:, 4] += grow
            return Profile(rows)

        return cls(
            female=female,
            size=size,
            height=height,
            fat_mm=fat_mm,
            breast=float(rng.uniform(0.75, 1.15)),
            curve_mm=float(rng.uniform(7, 17)),
            heart=_clipped(rng.normal(1.0, 0.05), 0.88, 1.14),
            shift=tuple(float(value) for value in rng.normal(0.0, 1.0, 16).clip(-2, 2)),
            body=profile(_BODY, grow=fat_mm),
            cavity=profile(_CAVITY),
            lungs=(profile(_LUNG, mirror=-1.0), profile(_LUNG, mirror=0.97)),
            neck=profile(_NECK),
        )

    def point(self, x: float, y: float, z: float) -> Point:
        """A point of the average frame in this body."""
        return x * self.size, y * self.size, z * self.size * self.height

    def back(self, x: float, behind: float, z: float) -> Point:
        """A point given by its distance behind the centre of the vertebral bodies."""
        bend = max(1.0 - ((z + 5) / 150.0) ** 2, -1.6) * self.curve_mm
        neck = 0.30 * max(0.0, z - 110.0)
        return self.point(x, 52.0 + bend - min(neck, 32.0) + behind, z)

    def wall(self, x_side: float, angle: float, z: float, grow_mm: float) -> Point:
        """A point of the chest wall, on the outline of the cavity.

        Args:
            x_side: -1 for the right side, 1 for the left.
            angle: 0 at the back, pi at the front, in radians.
            z: of the average frame.
            grow_mm: outside the cavity.
        """
        height = z * self.size * self.height
        cx, cy, a, b = self.cavity.at(height).tolist()
        sine, cosine = math.sin(angle), math.cos(angle)
        power = 2.0 / 2.3
        x = cx + x_side * (a + grow_mm) * abs(sine) ** power
        y = cy + (b + grow_mm) * math.copysign(abs(cosine) ** power, cosine)
        return float(x), float(y), float(height)


def _clipped(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))
