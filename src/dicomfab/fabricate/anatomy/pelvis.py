"""Lumbar spine, pelvis, its muscles and organs, in the coordinates of the belly; see :mod:`trunk`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_FAR: Final = 1e6
_FAT: Final = (Tissue.FAT, Tissue.FAT)
# Centres of the lumbar vertebrae, from the first to the fifth.
SPINE_Y: Final = (49.0, 44.0, 40.0, 41.0, 47.0)
HIP: Final = np.array((90.0, 8.0, -262.0))
SACRUM: Final = ((0, 46, -192), (0, 60, -216), (0, 72, -242), (0, 76, -266), (0, 68, -290), (0, 58, -306))


def flesh(belly: Scene) -> None:
    """The muscles of the buttocks, outside the pelvis."""
    for side in (-1, 1):
        belly.ellipsoid((side * 74, 78, -266), (62, 30, 74), Tissue.MUSCLE, _FAT)
        belly.ellipsoid((side * 122, 28, -226), (26, 48, 60), Tissue.MUSCLE, _FAT)
        belly.ellipsoid((side * 132, -14, -250), (16, 26, 60), Tissue.MUSCLE, _FAT)
        belly.ellipsoid((side * 90, -6, -290), (50, 52, 50), Tissue.MUSCLE, _FAT)
        belly.ellipsoid((side * 90, -56, -290), (16, 12, 60), Tissue.FAT, (Tissue.MUSCLE,) * 2)


def muscles(belly: Scene) -> None:
    """Psoas, iliacus, quadratus, rectus, and the floor of the pelvis."""
    over = (Tissue.FAT, Tissue.BELLY_FAT)
    for side in (-1, 1):
        psoas = curve([
            (side * 32, 44, -14), (side * 41, 38, -70), (side * 48, 32, -130),
            (side * 60, 8, -190), (side * 76, -24, -240), (side * 92, -20, -286), (side * 98, 10, -310),
        ])  # fmt: skip
        belly.path(psoas, np.interp(np.arange(len(psoas)), [0, 10, 16, 24], [9, 22, 19, 11]), Tissue.MUSCLE, over)
        belly.ellipsoid((side * 68, 62, -80), (20, 11, 76), Tissue.MUSCLE, over)
        back = curve(
            [
                (side * 26, 86, 30),
                (side * 30, 79, -60),
                (side * 32, 76, -130),
                (side * 26, 84, -190),
                (side * 16, 92, -240),
            ]
        )
        belly.path(back, np.interp(np.arange(len(back)), [0, 4, 8, 12, 16], [17, 23, 24, 17, 7]), Tissue.MUSCLE, over)
        belly.ellipsoid((side * 96, 8, -195), (26, 40, 40), Tissue.MUSCLE, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
        belly.ellipsoid((side * 84, 0, -190), (26, 38, 50), Tissue.BELLY_FAT, (Tissue.MUSCLE,) * 2)
        belly.path(psoas, np.interp(np.arange(len(psoas)), [0, 10, 16, 24], [9, 22, 19, 11]), Tissue.MUSCLE, over)
        belly.ellipsoid((side * 62, 18, -278), (8, 34, 26), Tissue.MUSCLE, over)
    belly.ellipsoid((0, 20, -318), (50, 46, 6), Tissue.MUSCLE, over)


def bones(belly: Scene) -> None:
    """Lumbar vertebrae, sacrum and both hip bones."""
    _lumbar(belly)
    for shrink, tissue in ((0.0, Tissue.BONE), (1.8, Tissue.MARROW)):
        line = np.array(SACRUM, np.float64)
        for x, wide in ((0.0, 1.0), (18.0, 0.92), (-18.0, 0.92), (34.0, 0.72), (-34.0, 0.72)):
            reach = 4 if x == 0 else 3 if abs(x) < 20 else 2
            shift = np.array((1.0, 0.0, 0.0)) * x * np.linspace(1, 0.75, reach + 1)[:, None]
            sizes = np.linspace(15, 8, 6)[: reach + 1] * wide - shrink
            belly.path(line[: reach + 1] + shift, sizes, tissue)
        belly.ellipsoid((0, 47, -194), (26 - shrink, 17 - shrink, 9 - shrink), tissue)
        for x in (-34, 34):
            belly.ellipsoid((x, 57, -206), (20 - shrink, 15 - shrink, 16 - shrink), tissue)
        belly.path(line[3:], np.array((8, 6.5, 4)) - shrink, tissue)
        belly.path([(0, 66, -200), (0, 82, -222), (0, 92, -246)], 5.0 - shrink, tissue)
        for side in (-1, 1):
            _hip_bone(belly.placed((0, 0, 0), mirrored=side < 0), shrink, tissue)
    for side in (-1, 1):
        for _, y, z in SACRUM[:4]:
            belly.ellipsoid((side * 20, y + 2, z - 12), (4, 8, 3.4), Tissue.INNER_FAT, (Tissue.BONE, Tissue.MARROW))
        socket = HIP * (side, 1, 1)
        belly.ellipsoid(socket, (26.4,) * 3, Tissue.HYALINE_CARTILAGE, (Tissue.FAT, Tissue.MARROW))
        joint = curve([(side * 38, 76, -190), (side * 44, 62, -206), (side * 44, 56, -224)])
        belly.path(joint, 2.0, Tissue.CARTILAGE, (Tissue.BONE, Tissue.MARROW))
    belly.ellipsoid((0, -48, -284), (3.0, 9, 19), Tissue.CARTILAGE)
    belly.path([(0, 66, -196), (0, 78, -222), (0, 86, -244)], (7, 5, 3), Tissue.CANAL, (Tissue.BONE, Tissue.MARROW))


def _lumbar(belly: Scene) -> None:
    middles = [np.array((0.0, SPINE_Y[n], -20.0 - 34.0 * n)) for n in range(5)]
    for n, middle in enumerate(middles):
        wide, deep = 22.0 + 1.2 * n, 16.5 + 0.5 * n
        lean = np.array((0.0, 2.6 if n == 4 else 0.0, 0.0))
        for shrink, tissue in ((0.0, Tissue.BONE), (1.5, Tissue.MARROW)):
            for part in np.linspace(-1, 1, 7):
                waist = 1.0 - 0.07 * (1 - part * part)
                at = middle + part * (np.array((0, 0, 9.4 - shrink)) - lean)
                belly.ellipsoid(at, (wide * waist - shrink, deep * waist - shrink, 4.2), tissue)
        disc = middle + (0, 1.0 if n < 4 else 4, -17)
        belly.ellipsoid(disc, (wide + 0.5, deep + 0.5, 5.0), Tissue.DISC, (Tissue.FAT, Tissue.MUSCLE))
        belly.ellipsoid(disc, (wide + 0.5, deep + 0.5, 5.0), Tissue.DISC, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
        _arch(belly, middle, deep)
    belly.ellipsoid((0, 52, -3), (21, 16, 3.6), Tissue.DISC, (Tissue.INNER_FAT, Tissue.BELLY_FAT))
    canal = [(0.0, 74.0, 12.0), *((0.0, m[1] + 25, m[2]) for m in middles), (0.0, 70.0, -200.0)]
    line = curve([(float(x), float(y), float(z)) for x, y, z in canal])
    belly.path(line, 10.0, Tissue.INNER_FAT, (Tissue.FAT, Tissue.MARROW))
    belly.path(line, 8.2, Tissue.CANAL, (Tissue.INNER_FAT, Tissue.CANAL))


def _arch(belly: Scene, middle: NDArray[np.float64], deep: float) -> None:
    def rod(points: ArrayLike, radius: float) -> None:
        line = np.asarray(points, np.float64) + middle
        belly.path(line, radius, Tissue.BONE)
        belly.path(line, radius - 1.6, Tissue.MARROW)

    for side in (-1, 1):
        rod([(side * 15, deep - 4, 4), (side * 17, deep + 12, 3)], 5.4)
        rod([(side * 17, deep + 10, 2), (side * 42, deep + 12, 3)], 4.0)
        rod([(side * 17, deep + 16, 12), (side * 16, deep + 20, -18)], 5.6)
        rod([(side * 16, deep + 18, -2), (0, deep + 28, -6)], 4.4)
    for drop in (-4, -12):
        rod([(0, deep + 28, drop), (0, deep + 38, drop - 5)], 3.8)


def _hip_bone(half: Scene, shrink: float, tissue: Tissue) -> None:
    """The left one: a wing, the ring around the socket, pubis and ischium."""
    crest = curve(
        [(42, 78, -196), (62, 74, -168), (92, 46, -152), (120, 8, -158), (128, -28, -182), (122, -44, -206)], 12
    )
    low = curve([(46, 66, -216), (58, 60, -228), (76, 46, -236), (92, 24, -238), (104, -4, -236), (108, -26, -232)], 12)
    half.capsules(crest, low, (4.0 - shrink, 5.0 - shrink), tissue)
    half.path(crest, 6.2 - shrink, tissue)
    half.path(low[24:], np.linspace(8, 9, len(low) - 24) - shrink, tissue)
    ring = ((-_FAR, -_FAR, -_FAR), (99.0, _FAR, _FAR))
    half.ellipsoid(HIP - (3, 0, 0), (32 - shrink,) * 3, tissue, box=ring)
    roof = ((-_FAR, -_FAR, -258.0), (112.0, _FAR, _FAR))
    half.ellipsoid(HIP - (1, 0, -1), (32 - shrink,) * 3, tissue, box=roof)
    half.path(curve([(76, -14, -268), (48, -40, -270), (14, -48, -276)]), 7.5 - shrink, tissue)
    half.ellipsoid((11, -47, -285), (9 - shrink, 9 - shrink, 20 - shrink), tissue)
    half.path(curve([(12, -42, -302), (34, -22, -318), (56, 16, -326)]), 6.0 - shrink, tissue)
    seat = curve([(58, 24, -324), (66, 38, -306), (74, 36, -284), (80, 26, -266)])
    half.path(seat, np.linspace(13, 11, len(seat)) - shrink, tissue)


def organs(belly: Scene, female: bool) -> None:
    """Bladder, and uterus or prostate."""
    over = (Tissue.INNER_FAT, Tissue.STOOL)
    if female:
        belly.ellipsoid((0, 12, -246), (23, 20, 30), Tissue.UTERUS, over)
        belly.ellipsoid((0, 2, -226), (27, 26, 18), Tissue.UTERUS, over)
        belly.ellipsoid((0, 4, -230), (10, 3, 12), Tissue.CSF, (Tissue.UTERUS,) * 2)
        belly.path(
            [(0, 22, -268), (0, 28, -300), (0, 18, -330)], 9.0, Tissue.BLADDER_WALL, (Tissue.FAT, Tissue.BELLY_FAT)
        )
        for side in (-1, 1):
            belly.ellipsoid((side * 40, 12, -226), (13, 9, 11), Tissue.UTERUS, over)
            belly.ellipsoid((side * 42, 10, -228), (5, 4, 4), Tissue.LIVER_CYST, (Tissue.UTERUS,) * 2)
    else:
        belly.ellipsoid((0, 0, -300), (23, 17, 16), Tissue.PROSTATE, over)
        for side in (-1, 1):
            belly.ellipsoid((side * 17, 24, -280), (16, 6, 6), Tissue.PROSTATE, over)
    shift = -8 if female else 0
    belly.ellipsoid((0, -20 + shift, -268), (42, 31, 26), Tissue.BLADDER_WALL, (Tissue.MUSCLE, Tissue.UTERUS))
    belly.ellipsoid((0, -20 + shift, -268), (39, 28, 23), Tissue.URINE, (Tissue.BLADDER_WALL,) * 2)
