"""The organs of the abdomen, in the coordinates of the belly; see :mod:`trunk`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Lesion, inside
from dicomfab.fabricate.anatomy.build import Point
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_FAR: Final = 1e6
_FAT: Final = (Tissue.DIAPHRAGM, Tissue.BELLY_FAT)
_SOFT: Final = (Tissue.INNER_FAT, Tissue.BELLY_FAT)
_LIVER: Final = (Tissue.LIVER, Tissue.LIVER)
KIDNEYS: Final = ((-1, 52.0, -48.0), (1, 52.0, -28.0))  # side, y, z


def clear(belly: Scene) -> None:
    """Take away what the chest's coarse belly has lower down, and shape the underside of the liver."""
    below = ((-_FAR, -_FAR, -_FAR), (_FAR, _FAR, -14.0))
    belly.ellipsoid((0, 0, -100), (300, 300, 300), Tissue.BELLY_FAT, (Tissue.STOMACH, Tissue.GAS), box=below)
    vessels = ((-60.0, -_FAR, -_FAR), (60.0, _FAR, -12.0))
    belly.ellipsoid((0, 0, -100), (300, 300, 300), Tissue.BELLY_FAT, (Tissue.MYOCARDIUM, Tissue.VEIN), box=vessels)
    belly.ellipsoid((0, 0, -160), (300, 300, 80), Tissue.BELLY_FAT, (Tissue.DIAPHRAGM, Tissue.LIVER))
    belly.ellipsoid((-10, -4, -92), (110, 120, 74), Tissue.BELLY_FAT, _LIVER)
    belly.ellipsoid((-44, 66, -60), (42, 46, 64), Tissue.BELLY_FAT, (Tissue.DIAPHRAGM, Tissue.LIVER))
    belly.ellipsoid((30, 30, -40), (62, 60, 52), Tissue.BELLY_FAT, _LIVER)


def organs(belly: Scene, rng: np.random.Generator) -> None:
    """Vessels, liver, pancreas, kidneys and stomach."""
    _great_vessels(belly)
    _liver(belly, rng)
    _kidneys(belly)
    duct = curve([(-38, -8, -40), (-26, -16, -36), (-4, -22, -24), (18, -18, -16), (44, 4, -8), (70, 24, 2)])
    sizes = np.interp(np.arange(len(duct)), [0, 5, 9, 15, len(duct) - 1], [14, 12, 7.5, 9.5, 7.5])
    belly.path(duct, sizes, Tissue.PANCREAS, _SOFT)
    stomach = curve([(58, -8, 14), (52, -34, -14), (34, -54, -36), (8, -58, -42), (-16, -50, -30), (-28, -44, -18)])
    sizes = np.linspace(38, 12, len(stomach))
    belly.path(stomach, sizes, Tissue.BOWEL_WALL, _SOFT)
    belly.path(stomach, sizes - 3.5, Tissue.STOMACH, (Tissue.BOWEL_WALL, Tissue.BOWEL_WALL))
    gas = ((-_FAR, -_FAR, -_FAR), (_FAR, -58.0, _FAR))
    belly.ellipsoid((30, -50, -30), (40, 30, 30), Tissue.GAS, (Tissue.STOMACH,) * 2, box=gas)


def _great_vessels(belly: Scene) -> None:
    front = 14.0
    aorta = [(24, 44, 8), (20, 30, -18), (13, front + 2, -58), (6, front - 1, -126)]
    belly.path(curve(aorta), 9.5, Tissue.BLOOD, _SOFT)
    cava = [(-25, front + 4, 10), (-24, front + 4, -20), (-22, front + 4, -80), (-18, front + 4, -140)]
    belly.path(curve(cava), 10.5, Tissue.VEIN, _SOFT)
    for side in (-1, 1):
        outer = [
            (side * 38, 10, -186),
            (side * 54, -16, -226),
            (side * 72, -42, -262),
            (side * 83, -54, -292),
            (side * 84, -40, -400),
        ]
        for start, shift, r, tissue in (
            ((6, front - 1, -126), (0, 0, 0), 5.0, Tissue.BLOOD),
            ((-18, front + 4, -140), (-side * 9, 9, 0), 6.0, Tissue.VEIN),
        ):
            moved = [(x + shift[0], y + shift[1], z) for x, y, z in outer]
            belly.path(curve([start, (side * 22, front + 2, -155), *moved]), r, tissue, (Tissue.FAT, Tissue.BELLY_FAT))
            inner = [moved[0], (side * 50, 38, -218), (side * 50, 54, -245)]
            belly.path(inner, r * 0.7, tissue, _SOFT)
        belly.path(curve([(10, front, -42), (side * 26, 34, -44), (side * 40, 48, -40)]), 3.0, Tissue.BLOOD, _SOFT)
        belly.path(curve([(-22, front + 2, -46), (side * 24, 28, -48), (side * 42, 46, -44)]), 4.6, Tissue.VEIN, _SOFT)
    belly.path(curve([(15, front - 4, -22), (6, -12, -40), (2, -26, -80), (-10, -32, -150)]), 3.3, Tissue.BLOOD, _SOFT)
    belly.path(curve([(-12, -4, -24), (-8, -14, -50), (-10, -28, -90), (-18, -34, -150)]), 4.6, Tissue.VEIN, _SOFT)
    belly.path(curve([(16, front - 6, -6), (14, -16, -8), (-20, -16, -6), (-36, -14, 8)]), 3.0, Tissue.BLOOD, _SOFT)
    belly.path(
        curve([(92, 36, 20), (60, 22, -2), (20, 2, -14), (-10, -4, -20), (-38, -8, 10)]), 5.6, Tissue.VEIN, _SOFT
    )


def _liver(belly: Scene, rng: np.random.Generator) -> None:
    """Hepatic and portal veins, and the gallbladder."""
    for points, radius in (
        ([(-26, 14, 78), (-60, 22, 66), (-96, 28, 40), (-118, 24, 4)], 6.0),
        ([(-26, 10, 80), (-50, -14, 72), (-76, -44, 48), (-88, -60, 14)], 5.5),
        ([(-22, 4, 80), (-6, -24, 70), (8, -48, 52)], 5.0),
        ([(-38, -8, 10), (-58, 2, 18), (-88, 12, 18), (-116, 20, -8)], 6.0),
        ([(-58, 2, 18), (-80, -30, 26), (-104, -46, 12)], 4.6),
        ([(-40, -10, 12), (-28, -34, 34), (0, -54, 42)], 4.6),
    ):
        line = curve(points)
        sizes = np.linspace(radius, 1.6, len(line))
        belly.path(line, sizes, Tissue.HEPATIC_VESSEL, _LIVER)
        for start, r in zip(line[2::2], sizes[2::2], strict=True):
            heading = rng.normal(0, 1, 3)
            end = start + heading / np.linalg.norm(heading) * 8.0 * r**0.7
            further = end + rng.normal(0, 1, 3) * 9
            belly.path([start, end, further], (r * 0.6, r * 0.45, 0.7), Tissue.HEPATIC_VESSEL, _LIVER)
    tilted = np.linalg.qr(np.array([[1.0, 0.1, 0.0], [0.0, 0.8, 0.55], [0.1, -0.55, 0.8]]))[0]
    belly.ellipsoid((-64, -58, -28), (15.5, 29, 16.5), Tissue.BOWEL_WALL, (Tissue.INNER_FAT, Tissue.LIVER), axes=tilted)
    belly.ellipsoid((-64, -58, -28), (14, 27.5, 15), Tissue.GALLBLADDER, (Tissue.BOWEL_WALL,) * 2, axes=tilted)


def _kidneys(belly: Scene) -> None:
    for side, y, z in KIDNEYS:
        centre = np.array((side * 56, y, z))
        # Painted again: the underside of the liver and the muscles have been shaped since.
        belly.ellipsoid(centre, (33, 32, 58), Tissue.BELLY_FAT, (Tissue.BELLY_FAT, Tissue.LIVER))
        belly.ellipsoid(centre, (27, 24, 52), Tissue.KIDNEY, (Tissue.MUSCLE, Tissue.KIDNEY))
        for along in np.linspace(-0.72, 0.72, 6):
            for turn in (0.3, 1.57, 2.84):
                way = np.array((side * np.sin(turn), np.cos(turn), 0.0)) * np.sqrt(1 - along**2) * (15.5, 13, 0)
                pyramid = centre + way + (0, 0, along * 40)
                belly.ellipsoid(pyramid, (5.6, 5.6, 6.6), Tissue.RENAL_MEDULLA, (Tissue.KIDNEY,) * 2)
        sinus = (Tissue.KIDNEY, Tissue.RENAL_MEDULLA)
        belly.ellipsoid(centre - (side * 10, 0, 0), (14, 8, 26), Tissue.BELLY_FAT, sinus)
        for up in (-16, 0, 16):
            belly.capsules(centre - (side * 16, 0, 0), centre + (-side * 1, 0, up), (3.0, 3.6), Tissue.URINE)
        belly.path(
            curve([
                (side * 40, y, z), (side * 33, 24, z - 30), (side * 36, 20, -110),
                (side * 46, 10, -190), (side * 46, 30, -240), (side * 20, 4, -270),
            ]),
            1.9,
            Tissue.URINE,
            (Tissue.MUSCLE, Tissue.BELLY_FAT),
        )  # fmt: skip
        belly.ellipsoid((side * 42, 40, z + 54), (4, 12, 9), Tissue.LYMPH_NODE, _FAT)
        belly.ellipsoid((side * 42, 44, z + 52), (2.4, 12, 9), Tissue.BELLY_FAT, (Tissue.LYMPH_NODE,) * 2)


def bowel(belly: Scene, rng: np.random.Generator) -> None:
    """Duodenum, small bowel and colon, with content and gas."""
    duodenum = curve([(-28, -44, -18), (-50, -30, -18), (-58, -8, -44), (-48, 0, -76), (0, -14, -84), (26, -12, -62)])
    _gut(belly, duodenum, 11.0, 2.2, Tissue.BOWEL_CONTENT)
    for row, z in enumerate(np.arange(-96.0, -248.0, -16.5)):
        room = np.interp(z, (-245, -200, -120, -90), (46, 74, 78, 62))
        for y in (-12.0, -44.0) if row % 2 else (-46.0, -14.0):
            across = np.linspace(-room, room, 7)
            loop = np.column_stack([across, np.full(7, y), np.full(7, z)]) + rng.normal(0, 1, (7, 3)) * (5, 9, 8)
            points = [(float(a), float(b), float(c)) for a, b, c in loop]
            _gut(belly, curve(points), float(rng.uniform(10.5, 14.5)), 1.8, Tissue.BOWEL_CONTENT)
    _colon(belly, rng)
    for _ in range(9):
        spot = (rng.uniform(-60, 60), -52.0, rng.uniform(-220, -100))
        belly.ellipsoid(spot, (15, 9, 8), Tissue.GAS, (Tissue.BOWEL_CONTENT,) * 2)


def _colon(belly: Scene, rng: np.random.Generator) -> None:
    right = [(-88, -24, -212), (-100, -4, -165), (-102, 6, -115), (-98, 2, -80), (-84, -36, -74)]
    middle = [(-84, -36, -74), (-48, -68, -84), (0, -74, -96), (48, -70, -76), (86, -44, -40), (104, 6, -8)]
    left = [(104, 6, -8), (110, 24, -50), (108, 20, -120), (96, 8, -180), (78, -10, -212)]
    low = [(78, -10, -212), (44, -4, -236), (14, 4, -222), (-12, 30, -216), (0, 60, -240), (0, 64, -275)]
    for part, radius in ((low, 15.0), (left, 15.5), (middle, 20.0), (right, 24.0)):
        line = curve(part, steps=8)
        folds = radius * (1 + 0.13 * np.sin(np.arange(len(line)) * 1.55 + rng.uniform(0, 6)))
        _gut(belly, line, folds, 2.0, Tissue.STOOL)
    belly.path(
        [(0, 64, -270), (0, 60, -300), (0, 46, -325)], (16, 15, 9), Tissue.BOWEL_WALL, (Tissue.FAT, Tissue.BELLY_FAT)
    )
    belly.path([(0, 64, -270), (0, 60, -300)], (12, 9), Tissue.STOOL, (Tissue.BOWEL_WALL,) * 2)
    stool = (Tissue.STOOL, Tissue.STOOL)
    belly.textured((0, 0, -150), (150, 130, 190), Tissue.GAS, stool, wave_mm=9, threshold=(1.0, 1.2), phase=3.0)
    front = ((-_FAR, -_FAR, -110.0), (_FAR, -73.0, -50.0))
    belly.ellipsoid((0, -70, -85), (110, 40, 60), Tissue.GAS, stool, box=front)
    for x, y, z, r in (
        (-104, -14, -150, 14),
        (-100, -8, -100, 13),
        (104, -2, -16, 14),
        (106, 8, -90, 8),
        (30, -6, -236, 9),
    ):
        belly.ellipsoid((x, y, z), (r, r * 0.8, r * 1.6), Tissue.GAS, stool)


def _gut(
    belly: Scene, line: NDArray[np.float64], radius: float | NDArray[np.float64], wall: float, content: Tissue
) -> None:
    over = (Tissue.INNER_FAT, Tissue.STOOL)
    belly.path(line, radius, Tissue.BOWEL_WALL, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
    belly.path(line, radius, Tissue.BOWEL_WALL, (Tissue.BOWEL_WALL, over[1]))
    belly.path(line, radius - wall, content, (Tissue.BOWEL_WALL, Tissue.BOWEL_WALL))


@dataclass(frozen=True, slots=True)
class _Ball:
    """A lesion as it was first seen, in the belly's coordinates; ``only`` what it may replace."""

    kind: str
    place: NDArray[np.float64]
    radius: float
    tissue: Tissue
    only: tuple[int, int]
    number: int = 0


def lesions(belly: Scene, rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Metastases and cysts of the liver, a cyst of a kidney, and a kidney stone."""
    placed: list[_Ball] = []
    metastases = int(rng.integers(0, 4))
    liver = (Tissue.LIVER, Tissue.HEPATIC_VESSEL)
    for n in range(metastases + int(rng.integers(1, 3))):
        kind, tissue = ("liver metastasis", Tissue.LIVER_METASTASIS), ("liver cyst", Tissue.LIVER_CYST)
        name, label = kind if n < metastases else tissue
        radius = float(rng.uniform(4.0, 14.0))
        place = _place(belly, rng, ((-125, -70, -30), (-20, 60, 80)), radius + 2.0, liver, placed)
        if place is not None:
            placed.append(_Ball(name, place, radius, label, (Tissue.LIVER, Tissue.HEPATIC_VESSEL), n))
    side, y, z = KIDNEYS[int(rng.integers(2))]
    if rng.uniform() < 0.7:
        radius = float(rng.uniform(5.0, 13.0))
        turn = rng.uniform(-0.9, 0.9)
        place = np.array((side * (56 + 27 * np.cos(turn)), y, z + 50 * np.sin(turn)))
        placed.append(_Ball("renal cyst", place, radius, Tissue.RENAL_CYST, (Tissue.BELLY_FAT, Tissue.RENAL_MEDULLA)))
    side, y, z = KIDNEYS[int(rng.integers(2))]
    place = np.array((side * 55.0, y, z + float(rng.choice((-16.0, 0.0, 16.0)))))
    radius = float(rng.uniform(1.8, 4.0))
    placed.append(_Ball("kidney stone", place, radius, Tissue.STONE, (0, 255)))
    # All have their places before one is painted in the size that it has by now: no place depends on it.
    found = [_painted(belly, ball) for ball in placed]
    return tuple(lesion for lesion in found if any(lesion.radii_mm))


def _place(
    belly: Scene,
    rng: np.random.Generator,
    box: tuple[Point, Point],
    reach: float,
    allowed: tuple[Tissue, ...],
    others: list[_Ball],
) -> NDArray[np.float64] | None:
    """A free place within a box of the belly's coordinates, or nothing if there seems to be none."""
    for _ in range(60):
        place = rng.uniform(*np.array(box))
        where = belly.at(place)
        apart = all(
            np.linalg.norm(where - belly.at(other.place)) > reach + other.radius * belly.size + 6 for other in others
        )
        if apart and inside(belly, where, reach * 1.05, allowed):
            return np.asarray(place)
    return None


def _painted(belly: Scene, ball: _Ball) -> Lesion:
    radius = ball.radius * _grown(belly, ball)
    if radius:
        belly.ellipsoid(ball.place, (radius, radius, radius), ball.tissue, ball.only)
    x, y, z = (float(value) for value in belly.at(ball.place))
    size = radius * belly.size
    return Lesion(ball.kind, (x, y, z), (size, size, size), ball.tissue)


def _grown(belly: Scene, ball: _Ball) -> float:
    """By what a ball has changed; none grows out of the liver, where the next one may be."""
    factor = belly.course.factor(ball.kind, ball.number)
    around = (Tissue.LIVER, Tissue.HEPATIC_VESSEL)
    if factor > 1 and not inside(belly, belly.at(ball.place), (ball.radius * factor + 2.0) * 1.05, around):
        return 1.0
    return factor
