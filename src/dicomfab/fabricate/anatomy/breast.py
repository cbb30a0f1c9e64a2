"""A breast, compressed for mammography.

Its own coordinates, in mm: y to the back with 0 at the edge of the detector at the chest wall, so that the nipple has
the most negative y; z against the beam, from the detector to the tube, 0 in the middle of the compressed breast; x
across. In the craniocaudal view x, y, z are the patient's. In the mediolateral oblique view they are turned by 45
degrees about y; x then runs towards the armpit in the left breast, away from it in the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import UPRIGHT, Axes, Lesion
from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Box, Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import Draw, derive

Side = Literal["L", "R"]
View = Literal["CC", "MLO"]
Density = Literal["a", "b", "c", "d"]  # BI-RADS: from almost entirely fatty to extremely dense
_FAR: Final = 1e6
_ROOT: Final = 0.5**0.5
_OBLIQUE: Final[dict[Side, Axes]] = {
    "L": ((_ROOT, 0.0, _ROOT), (0.0, 1.0, 0.0), (-_ROOT, 0.0, _ROOT)),
    "R": ((_ROOT, 0.0, -_ROOT), (0.0, 1.0, 0.0), (_ROOT, 0.0, _ROOT)),
}
# What noise must exceed to be gland, in the middle and at the edge of its cone.
_THRESHOLDS: Final[dict[Density, tuple[float, float]]] = {
    "a": (0.9, 1.9), "b": (0.15, 1.4), "c": (-0.6, 0.9), "d": (-1.7, 0.1),
}  # fmt: skip
_FATTY: Final = (Tissue.FAT, Tissue.FAT)
_INSIDE: Final = (Tissue.FAT, Tissue.FIBROGLANDULAR)


def affected(seed: int) -> Side:
    """The breast with the lesions."""
    return Draw(seed, "breast-side").choice(("L", "R"))


def density(seed: int) -> Density:
    """How dense both breasts are."""
    return Draw(seed, "breast-density").choice(("a", "b", "b", "b", "b", "c", "c", "c", "c", "d"))


@dataclass(frozen=True)
class Pressed:
    """A breast's size and its place under the paddle.

    Args:
        side: left or right.
        view: craniocaudal or mediolateral oblique.
        depth_mm: from the chest wall to the nipple.
        width_mm: half of it, at the chest wall, before compression.
        thickness_mm: between detector and paddle.
    """

    side: Side
    view: View
    depth_mm: float
    width_mm: float
    thickness_mm: float

    @classmethod
    def draw(cls, build: Build, seed: int, side: Side, view: View) -> Pressed:
        """The breast of a person; only ``side`` and ``view`` tell the four mammograms apart."""
        draw = Draw(seed, "breast-size")
        depth = draw.between(78, 96) * build.breast + build.fat_mm * 1.2
        width = draw.between(74, 84) * build.breast + build.fat_mm
        thickness = draw.between(42, 56) * build.breast**0.5 + build.fat_mm * 0.6
        own = Draw(seed, "breast-size", side, view)
        return cls(side, view, depth * own.between(0.98, 1.02), width, thickness * own.between(0.96, 1.04))

    @property
    def middle_mm(self) -> float:
        """X of the nipple: in the oblique view, tissue reaches further up into the armpit."""
        return 0.0 if self.view == "CC" else 0.22 * self.width_mm

    @property
    def half_mm(self) -> float:
        """Half of the width at the chest wall, compressed."""
        return self.width_mm * (1.12 if self.view == "CC" else 1.38)

    @property
    def nipple_mm(self) -> Point:
        """In the body's coordinates."""
        x = self.middle_mm
        return (-x if self.side == "R" else x, -self.depth_mm, 0.0)

    @property
    def extent_mm(self) -> Box:
        """What the detector covers, and the height of the paddle."""
        x, reach = self.nipple_mm[0], self.half_mm + 14.0
        half = self.thickness_mm / 2 + 1.0
        return (x - reach, -self.depth_mm - 24.0, -half), (x + reach, 0.0, half)

    @property
    def axes(self) -> Axes:
        """Of the body's coordinates."""
        return UPRIGHT if self.view == "CC" else _OBLIQUE[self.side]

    def place(self, lateral: float, up: float, back: float) -> NDArray[np.float64]:
        """Where a part of the breast lies, in the coordinates of a left one.

        Args:
            lateral: from the nipple, -1 (medial) to 1, as a part of the width.
            up: likewise, from -1 (below) to 1.
            back: 0 at the nipple, 1 at the chest wall.
        """
        x, z = lateral, up
        if self.view == "MLO":
            x, z = (lateral + up) * _ROOT, (up - lateral) * _ROOT
        half = self.thickness_mm / 2
        return np.array((self.middle_mm + x * self.width_mm, (back - 1) * self.depth_mm, z * half))


def add(scene: Scene, pressed: Pressed, seed: int) -> tuple[Lesion, ...]:
    """Paint the breast, as a left one.

    Returns:
        The lesions, in the coordinates of the voxels; none on the other side.
    """
    _outline(scene, pressed)
    _gland(scene, pressed, seed)
    if pressed.view == "MLO":
        _armpit(scene, pressed)
    found = _lesions(scene, pressed, seed) if pressed.side == affected(seed) else ()
    beyond = ((-_FAR, 0.0, -_FAR), (_FAR, _FAR, _FAR))
    scene.ellipsoid((0, 0, 0), (900, 900, 900), Tissue.AIR, box=beyond)
    return found


def _outline(scene: Scene, pressed: Pressed) -> None:
    x = pressed.middle_mm
    scene.capsules((x, -pressed.depth_mm + 6, 0), (x, -pressed.depth_mm - 6, 0), (7, 4.6), Tissue.NIPPLE)
    for shrink, tissue in ((0.0, Tissue.SKIN), (1.8, Tissue.FAT)):
        half = pressed.thickness_mm / 2 - shrink
        z = np.linspace(-half, half, 41)
        # Free edges bulge between detector and paddle.
        inwards = 0.45 * half * (1 - np.sqrt(np.clip(1 - (z / half) ** 2, 0, 1))) + shrink
        a, b = pressed.half_mm - inwards, pressed.depth_mm - inwards
        tube = Profile(np.column_stack([z, np.full(41, x), np.zeros(41), a, b]))
        scene.tube(tube, tissue, (Tissue.AIR, Tissue.SKIN))


def _gland(scene: Scene, pressed: Pressed, seed: int) -> None:
    x, w, d, t = pressed.middle_mm, pressed.width_mm, pressed.depth_mm, pressed.thickness_mm
    phase = float(derive(seed, "gland", pressed.side) % 64)
    low, high = _THRESHOLDS[density(seed)]
    cone, size = (x + w * 0.06, -d * 0.46, 0), np.array((w * 0.84, d * 0.52, t * 0.47))
    for wave, less in ((34.0, 0.0), (13.0, 0.55)):
        scene.textured(
            cone,
            size,
            Tissue.FIBROGLANDULAR,
            _FATTY,
            wave_mm=wave,
            threshold=(low + less, high + less),
            phase=phase + wave,
        )
    # Lobules of fat within the gland.
    gland = (Tissue.FIBROGLANDULAR, Tissue.FIBROGLANDULAR)
    scene.textured(cone, size, Tissue.FAT, gland, wave_mm=8.0, threshold=(0.75, 0.45), phase=phase)
    rng = np.random.default_rng(derive(seed, "ducts", pressed.side))
    nipple = np.array((x, -d + 5, 0.0))
    for _ in range(14):
        away = np.array((rng.uniform(-0.7, 0.7) * w, rng.uniform(0.35, 0.7) * d, rng.uniform(-0.3, 0.3) * t))
        bend = nipple + away * 0.5 + rng.normal(0, 4, 3) * (1, 1, 0.4)
        line = curve([tuple(nipple), tuple(bend), tuple(nipple + away)])
        scene.path(line, np.linspace(1.2, 0.5, len(line)), Tissue.FIBROGLANDULAR, _FATTY)
    for _ in range(110):
        start = np.array(cone) + rng.uniform(-1, 1, 3) * size * 0.8
        out = (start - (x, 0, 0)) * rng.uniform(0.15, 0.4) + rng.normal(0, 3, 3) * (1, 1, 0.5)
        bend = start + out * 0.5 + rng.normal(0, 2.5, 3)
        line = curve([tuple(start), tuple(bend), tuple(start + out)])
        scene.path(line, np.linspace(0.7, 0.35, len(line)), Tissue.FIBROGLANDULAR, _FATTY)
    for side in (-1, 1):
        points = [
            (x + side * w * k, -d * y, side * t * 0.33)
            for k, y in zip(
                (0.75, 0.7, 0.45, 0.35, 0.12), rng.uniform(-0.04, 0.04, 5) + (0.05, 0.3, 0.5, 0.7, 0.86), strict=True
            )
        ]
        scene.path(curve(points), 1.3, Tissue.VEIN, _FATTY)


def _armpit(scene: Scene, pressed: Pressed) -> None:
    """The pectoral muscle, and a lymph node in front of it."""
    x, w, d, t = pressed.middle_mm, pressed.half_mm, pressed.depth_mm, pressed.thickness_mm
    # A triangle from the upper corner at the chest wall down to the height of the nipple, its free border convex.
    top, low = np.array((x + w, -d * 0.62)), np.array((x - w * 0.08, 4.0))
    chord = low - top
    length = float(np.hypot(*chord))
    bulge = 0.08 * length
    radius = (length**2 / 4 + bulge**2) / (2 * bulge)
    out = np.array((-chord[1], chord[0])) / length
    middle = (top + low) / 2 + out * (bulge - radius)
    scene.ellipsoid((*middle, -t * 0.12), (radius, radius, t * 0.62), Tissue.MUSCLE, _INSIDE)
    node = np.array((x + w * 0.52, -d * 0.58, t * 0.1))
    scene.ellipsoid(node, (6.5, 4.0, 4.5), Tissue.LYMPH_NODE, _INSIDE)
    scene.ellipsoid(node + (1, 1.6, 0), (3.6, 2.2, 4.0), Tissue.FAT, (Tissue.LYMPH_NODE,) * 2)


def _lesions(scene: Scene, pressed: Pressed, seed: int) -> tuple[Lesion, ...]:
    """A mass, a cluster of calcifications, or both; where they are and their size do not depend on the view."""
    rng = np.random.default_rng(derive(seed, "breast-lesions"))
    which, spiculated = int(rng.integers(3)), bool(rng.integers(2))
    lateral, up, back = rng.uniform(-0.1, 0.5), rng.uniform(-0.35, 0.45), rng.uniform(0.35, 0.62)
    radius = float(rng.uniform(4.0, 9.0)) * max(0.5, scene.course.factor("breast mass", 0))
    grain_seed = int(rng.integers(2**31))
    found = []
    if which != 0:
        centre = pressed.place(lateral, up, back)
        radii = radius * np.array((1.0, 0.9, 0.8))
        scene.ellipsoid(centre, radii, Tissue.BREAST_MASS, _INSIDE)
        if spiculated:
            _spicules(scene, centre, radius, np.random.default_rng(grain_seed))
        kind = "spiculated mass" if spiculated else "circumscribed mass"
        found.append(_lesion(scene, kind, centre, radii, Tissue.BREAST_MASS))
    if which != 1:
        # Beside the mass if there is one.
        centre = pressed.place(lateral - 0.38, -up, min(back + 0.08, 0.65))
        reach = float(np.random.default_rng(grain_seed + 1).uniform(3.0, 7.0))
        _grains(scene, centre, reach, np.random.default_rng(grain_seed + 2))
        found.append(_lesion(scene, "calcification cluster", centre, np.full(3, reach), Tissue.CALCIFICATION))
    return tuple(found)


def _spicules(scene: Scene, centre: NDArray[np.float64], radius: float, rng: np.random.Generator) -> None:
    ways = rng.normal(0, 1, (34, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    ends = centre + ways * (radius * rng.uniform(1.4, 2.6, 34))[:, None]
    scene.capsules(centre + ways * radius * 0.6, ends, (1.1, 0.3), Tissue.BREAST_MASS, _INSIDE)


def _grains(scene: Scene, centre: NDArray[np.float64], reach: float, rng: np.random.Generator) -> None:
    count = int(rng.integers(8, 22))
    spots = np.concatenate([np.zeros((1, 3)), rng.normal(0, 0.42, (count, 3)).clip(-0.95, 0.95) * reach * (1, 1, 0.8)])
    sizes = rng.uniform(0.18, 0.42, count + 1)
    tails = spots + rng.normal(0, 0.25, spots.shape)
    scene.capsules(centre + spots, centre + tails, np.column_stack([sizes, sizes * 0.8]), Tissue.CALCIFICATION)


def _lesion(scene: Scene, kind: str, centre: NDArray[np.float64], radii: NDArray[np.float64], tissue: Tissue) -> Lesion:
    x, y, z = (float(value) for value in scene.at(centre))
    a, b, c = (float(value) for value in radii)
    return Lesion(kind, (x, y, z), (a, b, c), tissue)
