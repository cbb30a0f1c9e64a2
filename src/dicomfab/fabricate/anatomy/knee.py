"""The knee, in mm of an average frame: 0 in the middle of the joint, x outwards (the left knee), y back, z up."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Lesion
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import Draw, derive

Side = Literal["L", "R"]
EXTENT_MM: Final = ((-80.0, -85.0, -80.0), (80.0, 85.0, 80.0))
_FAR: Final = 1e6
_MUSCLE: Final = (Tissue.MUSCLE, Tissue.MUSCLE)
_FATS: Final = (Tissue.FAT, Tissue.INNER_FAT)
_BONES: Final = ((0.0, Tissue.COMPACT_BONE), (1.3, Tissue.YELLOW_MARROW))
_CONDYLES: Final = ((-24.0, 7.0, 24.0), (23.0, 6.0, 24.0))
_CONDYLE_RADII: Final = np.array((17.5, 30.0, 21.5))
# z, centre x, centre y, half width, half depth.
_TIBIA: Final = (
    (-95, -2, -4, 15.2, 15.2), (-70, -1.4, -1.5, 18.8, 18), (-45, -0.4, 1.5, 25.5, 22), (-28, 0, 4, 35, 26),
    (-18, 0, 4, 39, 27.5), (-9, 0, 4, 39, 27.5), (-4, 0, 4, 37.5, 26), (-1.2, 0, 4, 34, 23),
)  # fmt: skip
_FEMUR: Final = (
    (26, 0, 0, 33, 15), (38, 0, 1, 36, 20), (52, 1, 2, 30, 20), (70, 3, 2, 22, 18), (95, 6, 2, 17, 16.5),
    (125, 14, 1, 15, 15),
)  # fmt: skip
_CORTEX_MM: Final = 1.4
# Two shallow bowls in the top of the shinbone, 3 mm deep.
_BOWLS: Final = ((-20.5, 4.0, 15.8), (20.5, 4.0, 15.8))
_BOWL_RADII: Final = np.array((29.0, 70.0, 20.0))


def affected(seed: int) -> Side:
    """The knee that hurts."""
    return Draw(seed, "knee-side").choice(("L", "R"))


def effusion_mm(seed: int) -> float:
    """Half thickness of the fluid above the kneecap."""
    return Draw(seed, "knee-effusion").between(1.5, 6.0)


def joint(knee: Scene, effusion: float) -> None:
    """Everything around the joint, into a leg that has its flesh and its shafts."""
    _soft(knee, effusion)
    _cartilage(knee)
    _ends_of_bones(knee)
    _plateau(knee)
    _menisci(knee)
    _ligaments(knee)


def _soft(knee: Scene, effusion: float) -> None:
    """No muscle in front and at the sides of the joint, but fat; muscle bellies behind; fluid."""
    knee.ellipsoid((0, -12, -12), (70, 54, 58), Tissue.FAT, _MUSCLE)
    knee.ellipsoid((0, -44, 40), (46, 26, 46), Tissue.FAT, _MUSCLE)
    knee.ellipsoid((-24, -16, -100), (28, 26, 80), Tissue.FAT, _MUSCLE)
    knee.ellipsoid((0, 46, 6), (24, 24, 66), Tissue.INNER_FAT, (Tissue.FAT, Tissue.MUSCLE))
    for x, y, z, a, b, c in (
        (-24, 40, -62, 17, 15, 80), (24, 38, -62, 17, 15, 80), (-32, 30, 70, 16, 17, 80), (38, 28, 70, 13, 16, 76),
        (-40, 14, 80, 8, 12, 70), (4, 30, -58, 26, 9, 34), (-33, -22, 78, 17, 23, 52), (34, -22, 92, 15, 23, 52),
    ):  # fmt: skip
        knee.ellipsoid((x, y, z), (a, b, c), Tissue.MUSCLE, _FATS)
        knee.path([(x * 1.02, y, z - np.sign(z) * c * 0.8), (x, y * 0.9, -np.sign(z) * 14)], 2.4, Tissue.TENDON, _FATS)
    for shift, r, tissue in ((0.0, 3.4, Tissue.BLOOD), (7.0, 4.2, Tissue.VEIN), (14.0, 2.4, Tissue.LIGAMENT)):
        line = [(shift * 0.5, 36 + shift, 90), (shift * 0.4, 36 + shift, 0), (shift * 0.4, 34 + shift * 0.7, -90)]
        knee.path(line, r, tissue, (Tissue.FAT, Tissue.INNER_FAT))
    over = (Tissue.FAT, Tissue.INNER_FAT)
    knee.ellipsoid((0, -31, 52), (24, 2.0 + effusion, 26), Tissue.SYNOVIAL_FLUID, over)
    for side in (-1, 1):
        knee.ellipsoid((side * 26, -26, 30), (10, 4 + effusion, 22), Tissue.SYNOVIAL_FLUID, over)
        knee.ellipsoid((side * 21, 4, -1), (20, 25, 3), Tissue.SYNOVIAL_FLUID, over)
    knee.ellipsoid((-30, 36, -4), (5, 3 + effusion, 14), Tissue.SYNOVIAL_FLUID, over)


def _cartilage(knee: Scene) -> None:
    low = ((-_FAR, -_FAR, -_FAR), (_FAR, _FAR, 34.0))
    over = (Tissue.FAT, Tissue.SYNOVIAL_FLUID)
    for condyle in _CONDYLES:
        knee.ellipsoid(condyle, _CONDYLE_RADII + (0.5, 2.4, 2.5), Tissue.HYALINE_CARTILAGE, over, box=low)
    knee.tube(Profile([(-9, 0, 4, 39, 27.5), (-1.4, 0, 4, 32, 21)]), Tissue.HYALINE_CARTILAGE, over)
    knee.ellipsoid((0, -14, 32), (30, 19.6, 20), Tissue.HYALINE_CARTILAGE, over)
    knee.ellipsoid((0, -41, 26), (19, 9.2, 16), Tissue.HYALINE_CARTILAGE, over)


def _ends_of_bones(knee: Scene) -> None:
    for shrink, tissue in _BONES:
        for table, end, down in ((_TIBIA, -1, 1.0), (_FEMUR, 0, -1.0)):
            rows = np.array(table, np.float64)
            if shrink:
                rows[:, 3:] -= np.interp(np.abs(rows[:, 0]), (40, 110), (_CORTEX_MM, 5.0))[:, None]
                rows[end, 0] -= 0.9 * down
            knee.tube(Profile(rows), tissue)
        for condyle in _CONDYLES:
            knee.ellipsoid(condyle, _CONDYLE_RADII - shrink, tissue)
        for x in (-12, 12):
            knee.ellipsoid((x, -12, 34), (19 - shrink, 18.5 - shrink, 21 - shrink), tissue)
        knee.ellipsoid((0, -17, -44), (12 - shrink, 9 - shrink, 17 - shrink), tissue)
        knee.ellipsoid((0, -44, 26), (21.5 - shrink, 9.8 - shrink, 21 - shrink), tissue)
        knee.ellipsoid((36, 20, -28), (10 - shrink, 10 - shrink, 12 - shrink), tissue)
        knee.path([(36, 20, -32), (34, 19, -58)], np.array((8, 5.5)) - shrink, tissue)
    bone = (Tissue.HYALINE_CARTILAGE, Tissue.YELLOW_MARROW)
    for grow, tissue in ((1.3, Tissue.COMPACT_BONE), (0.0, Tissue.INNER_FAT)):
        above = ((-_FAR, -4.0, -0.5), (_FAR, _FAR, _FAR))
        notch = (8.5 + grow, 26 + grow, 19 + grow)
        for span in ((Tissue.COMPACT_BONE, Tissue.COMPACT_BONE), (Tissue.YELLOW_MARROW,) * 2, bone):
            knee.ellipsoid(
                (0, 20, 9), notch, tissue, span if grow else (Tissue.COMPACT_BONE, Tissue.YELLOW_MARROW), box=above
            )
    for grow, tissue in ((1.2, Tissue.HYALINE_CARTILAGE), (0.0, Tissue.COMPACT_BONE), (-1.3, Tissue.YELLOW_MARROW)):
        knee.ellipsoid((0, -44.5 + max(grow, 0) * 2, 26), (20 + grow, 9.3 + grow, 20 + grow), tissue)


def _plateau(knee: Scene) -> None:
    """The joint surface of the shinbone: two bowls with cartilage in them, and two spines between them."""
    top = ((-_FAR, -_FAR, -_FAR), (_FAR, _FAR, -0.4))
    bones = ((Tissue.COMPACT_BONE, Tissue.COMPACT_BONE), (Tissue.YELLOW_MARROW, Tissue.YELLOW_MARROW))
    cartilage = (Tissue.HYALINE_CARTILAGE, Tissue.HYALINE_CARTILAGE)
    for grow, tissue, replaced in (
        (1.3, Tissue.COMPACT_BONE, bones[1:]), (0.0, Tissue.HYALINE_CARTILAGE, bones),
        (-2.0, Tissue.SYNOVIAL_FLUID, (cartilage,)),
    ):  # fmt: skip
        for only in replaced:
            for bowl in _BOWLS:
                knee.ellipsoid(bowl, _BOWL_RADII + grow, tissue, only, box=top)
    for x, height in ((-5.2, 9.5), (5.2, 8.0)):
        for only in ((Tissue.FAT, Tissue.INNER_FAT), cartilage, (Tissue.SYNOVIAL_FLUID, Tissue.SYNOVIAL_FLUID)):
            knee.ellipsoid((x, 2, -4), (5.0, 8.0, height), Tissue.COMPACT_BONE, only)
        knee.ellipsoid((x, 2, -4), (3.9, 6.9, height - 1.1), Tissue.YELLOW_MARROW, bones[0])


def _horn(side: int, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a meniscus's centre line; angle 0 points away from the middle of the knee, positive is to the back."""
    x = side * (23.0 + (17.0 if side < 0 else 16.0) * np.cos(angles))
    return np.column_stack([x, 4.0 + 20.5 * np.sin(angles), np.full(len(angles), -0.2)])


def _menisci(knee: Scene) -> None:
    over = (Tissue.SYNOVIAL_FLUID, Tissue.SYNOVIAL_FLUID)
    for side in (-1, 1):
        open_to = 2.2 if side < 0 else 2.7
        line = _horn(side, np.linspace(-open_to, open_to, 40))
        for span in (over, (Tissue.FAT, Tissue.INNER_FAT)):
            for lift in (0.0, 2.0):
                knee.path(line + (0, 0, lift), 4.4, Tissue.MENISCUS, span)


def _ligaments(knee: Scene) -> None:
    soft = (Tissue.FAT, Tissue.INNER_FAT)
    for tissue, points, radius, spread in (
        (Tissue.LIGAMENT, [(7.5, 20, 20), (3, 6, 8), (-2, -9, -4)], 3.0, (0.0, 2.0)),
        (Tissue.LIGAMENT, [(-6, 4, 16), (-3, 18, 12), (0, 27, 0), (0, 28, -14)], 4.0, (0.0, 1.5)),
        (Tissue.LIGAMENT, [(-43, 4, 34), (-44.5, 4, 0), (-39, 0, -48)], 1.8, (0.0, 4.0)),
        (Tissue.LIGAMENT, [(42, 6, 30), (46, 14, 0), (45, 20, -22)], 2.0, (0.0, 1.0)),
    ):
        line = curve([(float(x), float(y), float(z)) for x, y, z in points])
        for lift in (-spread[1], 0.0, spread[1]):
            for span in (soft, (Tissue.SYNOVIAL_FLUID, Tissue.SYNOVIAL_FLUID)):
                knee.path(line + (0, lift, 0), radius, tissue, span)
    for x in np.arange(-12.0, 13.0, 3.0):
        knee.path(
            [(x * 1.2, -50, 44), (x, -44, 76), (x * 0.8, -38, 120)], 2.9, Tissue.TENDON, (Tissue.FAT, Tissue.MUSCLE)
        )
        knee.path(
            [(x, -51.5, 12), (x, -48, -12), (x * 0.9, -32, -42)], 2.4, Tissue.TENDON, (Tissue.FAT, Tissue.INNER_FAT)
        )
        knee.path([(x * 1.5, -53, 38), (x * 1.4, -54.5, 26), (x, -52, 10)], 1.6, Tissue.TENDON, soft)


def lesions(knee: Scene, seed: int) -> tuple[Lesion, ...]:
    """A torn meniscus, a bone bruise, or both.

    Returns:
        The lesions, in the coordinates of the voxels.
    """
    rng = np.random.default_rng(derive(seed, "knee-lesions"))
    which, found = int(rng.integers(3)), []
    if which != 0:
        side = int(rng.choice((-1, -1, 1)))
        line = _horn(side, np.linspace(0.75, 1.45, 5) + rng.uniform(-0.1, 0.1))
        meniscus = (Tissue.MENISCUS, Tissue.MENISCUS)
        for lift in (-0.6, 0.0, 0.6):
            # Slanting from the upper surface at the rim to the lower at the free edge.
            inwards = np.array((-side * 0.55, -1.6 * lift, 0.0))
            knee.path(line + inwards * lift + (0, 0, lift * 1.4), 0.7, Tissue.MENISCAL_TEAR, meniscus)
        half = np.abs(line - line[2]).max(axis=0) + 0.9
        found.append(_lesion(knee, "meniscal tear", line[2], half, Tissue.MENISCAL_TEAR))
    if which != 1:
        side = int(rng.choice((-1, 1)))
        femur = bool(rng.integers(2))
        centre = np.array((side * 24.0, rng.uniform(-8, 10), 15.0 if femur else -17.0))
        radii = rng.uniform(0.7, 1.0, 3) * ((11, 15, 10) if femur else (12, 15, 6))
        radii = radii * knee.course.factor("bone bruise", 0)
        marrow = (Tissue.YELLOW_MARROW, Tissue.YELLOW_MARROW)
        knee.textured(centre, radii, Tissue.BONE_BRUISE, marrow, wave_mm=11, threshold=(-3.0, 0.4))
        knee.ellipsoid(centre, (1.5, 1.5, 1.5), Tissue.BONE_BRUISE, marrow)
        found.append(_lesion(knee, "bone bruise", centre, radii, Tissue.BONE_BRUISE))
    return tuple(found)


def _lesion(knee: Scene, kind: str, centre: NDArray[np.float64], radii: NDArray[np.float64], tissue: Tissue) -> Lesion:
    x, y, z = (float(value) for value in knee.at(centre))
    a, b, c = (float(value) * knee.size for value in radii)
    return Lesion(kind, (x, y, z), (a, b, c), tissue)
