"""The skull, the face and the neck around the brain; coordinates as in :mod:`head`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Box, Profile, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue

_FAR: Final = 1e6
_CAVITY: Final = np.array((69.0, 86.0, 72.0))
# The fossae of the temporal lobes, on either side, below the floor of the middle step.
TEMPORAL: Final = (37.0, -10.0, -26.0)
TEMPORAL_RADII: Final = np.array((26.0, 33.0, 18.0))
_NECK: Final = (
    (-230, 0, 4, 60, 58), (-170, 0, 14, 58, 56), (-130, 0, 22, 58, 56), (-95, 0, 28, 60, 56), (-60, 0, 32, 64, 56),
    (-30, 0, 24, 68, 66),
)  # fmt: skip
_FACE: Final = (
    (-131, 0, -58, 16, 20), (-124, 0, -54, 36, 36), (-112, 0, -44, 52, 50), (-95, 0, -34, 60, 60),
    (-75, 0, -28, 65, 66), (-55, 0, -22, 69, 73), (-35, 0, -14, 72, 81), (-15, 0, -8, 77, 88), (0, 0, -4, 80, 93),
)  # fmt: skip
_OPEN: Final = (Tissue.AIR, Tissue.SKIN)


def soft(head: Scene) -> None:
    """Skin, fat and muscle."""
    neck, front = Profile(_NECK), Profile(_FACE)
    vault = ((-_FAR, -_FAR, -40.0), (_FAR, _FAR, _FAR))
    for tissue, shrink, over in (
        (Tissue.SKIN, 0.0, _OPEN),
        (Tissue.FAT, 1.8, _OPEN),
    ):
        head.tube(neck, tissue, over, grow_mm=-shrink)
        head.tube(front, tissue, over, grow_mm=-shrink)
        head.ellipsoid((0, 0, 0), _CAVITY + 13.5 - shrink, tissue, over, box=vault)
        head.path([(0, -88, -36), (0, -100, -56), (0, -106, -66)], np.array((7, 9, 11.0)) - shrink, tissue, over)
        for side in (-1, 1):
            head.ellipsoid((side * 14, -97, -68), (8 - shrink, 9 - shrink, 8 - shrink), tissue, over)
            ear = np.array([[0.94, -0.34 * side, 0.0], [0.34 * side, 0.94, 0.0], [0.0, 0.0, 1.0]])
            radii = np.array((4.4, 17, 29)) - shrink
            head.ellipsoid((side * 81, 19, -40), radii, tissue, over, axes=ear)
    fat = (Tissue.FAT, Tissue.FAT)
    head.tube(neck, Tissue.MUSCLE, fat, grow_mm=-6.0)
    head.tube(front, Tissue.MUSCLE, fat, grow_mm=-9.0)
    head.ellipsoid((0, 0, 0), _CAVITY + 9.0, Tissue.MUSCLE, fat, box=vault)
    muscle = (Tissue.MUSCLE, Tissue.MUSCLE)
    for side in (-1, 1):
        head.ellipsoid((side * 42, -56, -84), (15, 15, 20), Tissue.FAT, muscle)
        head.ellipsoid((side * 34, -32, -60), (17, 9, 20), Tissue.FAT, muscle)
        head.ellipsoid((side * 20, -14, -84), (6, 12, 24), Tissue.FAT, muscle)
        head.ellipsoid((side * 44, 34, -120), (4, 22, 50), Tissue.INNER_FAT, muscle)
        head.ellipsoid((side * 66, -22, -26), (9, 28, 32), Tissue.MUSCLE, fat)
        head.ellipsoid((side * 57, 8, -80), (9, 17, 27), Tissue.SALIVARY_GLAND, (Tissue.FAT, Tissue.MUSCLE))
        head.ellipsoid((side * 33, -24, -118), (9, 14, 8), Tissue.SALIVARY_GLAND, (Tissue.FAT, Tissue.MUSCLE))
        head.path([(side * 27, 8, -230), (side * 28, 4, -140), (side * 26, 2, -70)], 12.0, Tissue.INNER_FAT, muscle)
        head.ellipsoid((side * 14, 62, -110), (5, 14, 60), Tissue.INNER_FAT, muscle)
        head.path(
            [(side * 25, 6, -230), (side * 25, 2, -130), (side * 24, 2, -62), (side * 20, 2, -42)], 3.2, Tissue.BLOOD
        )
        head.path([(side * 34, 12, -230), (side * 33, 8, -130), (side * 30, 12, -62)], 5.2, Tissue.VEIN)


def skull(head: Scene, boxes: Callable[[float], tuple[Box, ...]]) -> None:
    """The vault and the floors of the fossae, down to the fluid inside."""
    for wall, floor, tissue in (
        (7.2, 2.8, Tissue.COMPACT_BONE),
        (5.4, 2.0, Tissue.DIPLOE),
        (2.0, 0.8, Tissue.COMPACT_BONE),
    ):
        for box in boxes(floor):
            head.ellipsoid((0, 0, 0), _CAVITY + wall, tissue, box=box)
        for side in (-1, 1):
            head.ellipsoid((side * TEMPORAL[0], *TEMPORAL[1:]), TEMPORAL_RADII + floor * 1.2, tissue)
    for box in boxes(0.0):
        head.ellipsoid((0, 0, 0), _CAVITY, Tissue.CSF, box=box)
    for side in (-1, 1):
        head.ellipsoid((side * TEMPORAL[0], *TEMPORAL[1:]), TEMPORAL_RADII, Tissue.CSF)
    # The body of the sphenoid, the slope behind it, and the ridges of the temporal bones stand up into the cavity.
    for shrink, tissue in ((0.0, Tissue.COMPACT_BONE), (1.6, Tissue.DIPLOE)):
        head.ellipsoid((0, -26, -34), (25 - shrink, 24 - shrink, 13 - shrink), tissue)
        head.path([(0, -12, -32), (0, 0, -50), (0, 8, -64)], 8.5 - shrink, tissue)
        for side in (-1, 1):
            head.path(
                [(side * 17, -2, -40), (side * 38, 10, -40), (side * 62, 22, -42)],
                (8 - shrink, 10 - shrink, 14 - shrink),
                tissue,
            )
            head.path([(side * 8, 10, -60), (side * 26, 14, -58), (side * 42, 22, -52)], 8.5 - shrink, tissue)
            wing = [(side * 64, -26, -20), (side * 57, -37, -20), (side * 45, -44, -18), (side * 30, -46, -18)]
            head.path(curve(wing), 6.0 - shrink, tissue)
            head.path(np.array(curve(wing)) + (0, 1, -8), 6.0 - shrink, tissue)
            head.path([(side * 14, -40, -16), (side * 34, -42, -15), (side * 58, -36, -14)], 4.2 - shrink, tissue)
            head.ellipsoid((side * 57, 26, -56), (12 - shrink, 15 - shrink, 20 - shrink), tissue)
    head.ellipsoid((0, -18, -23), (7, 6, 4), Tissue.DEEP_GREY)
    head.path([(0, 24, -50), (0, 25, -80)], 13.0, Tissue.CSF)
    for side in (-1, 1):
        head.textured(
            (side * 57, 26, -54), (10, 13, 17), Tissue.GAS, (Tissue.DIPLOE,) * 2, wave_mm=7, threshold=(-0.5, 0.3)
        )
        head.capsules((side * 22, 8, -40), (side * 34, 14, -40), 2.2, Tissue.CSF, (Tissue.COMPACT_BONE, Tissue.DIPLOE))
        head.ellipsoid((side * 37, 13, -40), (3.2, 3.2, 3), Tissue.CSF, (Tissue.COMPACT_BONE, Tissue.DIPLOE))
        head.ellipsoid((side * 44, 14, -42), (4, 3, 6), Tissue.GAS)
        head.capsules((side * 46, 15, -45), (side * 82, 15, -45), 3.4, Tissue.GAS)


def bones(head: Scene) -> None:
    """The bones of the face, the jaws and the teeth."""
    for shrink, tissue in ((0.0, Tissue.COMPACT_BONE), (1.5, Tissue.DIPLOE)):
        head.ellipsoid((0, -87, -10), (27 - shrink, 9 - shrink, 15 - shrink), tissue)
        head.ellipsoid((0, -58, -36), (15 - shrink, 32 - shrink, 17 - shrink), tissue)
        head.ellipsoid((0, -58, -66), (42 - shrink, 28 - shrink, 25 - shrink), tissue)
        head.ellipsoid((0, -92, -40), (7 - shrink, 9 - shrink, 15 - shrink), tissue)
        for side in (-1, 1):
            cheek = curve([(side * 64, 6, -50), (side * 69, -22, -48), (side * 60, -56, -50), (side * 42, -74, -56)])
            head.path(cheek, np.linspace(3, 6, len(cheek)) - shrink, tissue)
            head.path([(side * 53, -68, -48), (side * 51, -70, -30), (side * 48, -76, -14)], 5.0 - shrink, tissue)
            head.path([(side * 17, -36, -50), (side * 18, -30, -82)], 4.2 - shrink, tissue)
    _jaws(head)


def _jaws(head: Scene) -> None:
    angle = np.linspace(-1.25, 1.25, 15)
    arch = np.column_stack([27 * np.sin(angle), -42 - 44 * np.cos(angle) ** 0.8, np.zeros(15)])
    for shrink, tissue in ((0.0, Tissue.COMPACT_BONE), (1.6, Tissue.MARROW)):
        head.path(arch + (0, 2, -87), 6.0 - shrink, tissue)
        head.path(arch + (0, 3, -112), 6.4 - shrink, tissue)
        head.path(arch + (0, 3, -119), 6.0 - shrink, tissue)
        for side in (-1, 1):
            end = arch[0 if side < 0 else -1]
            for drop in (-112, -119):
                head.path([(end[0], end[1] + 3, drop), (side * 44, -18, drop + 12)], 6.0 - shrink, tissue)
            for back in (-5, 2):
                branch = [(side * 45, -18 + back, -106), (side * 49, -9 + back, -80), (side * 51, 1 + back / 2, -54)]
                head.path(branch, (5.6 - shrink, 4.6 - shrink, 4.6 - shrink), tissue)
    palate = ((-_FAR, -82.0, -_FAR), (_FAR, _FAR, _FAR))
    head.ellipsoid((0, -56, -84), (24, 34, 3), Tissue.COMPACT_BONE, box=palate)
    teeth = arch[:-1] / 2 + arch[1:] / 2
    wide = 3.0 + 1.2 * np.abs(np.linspace(-1, 1, len(teeth)))
    for x, y, r in zip(teeth[:, 0], teeth[:, 1], wide, strict=True):
        head.capsules((x, y, -90), (x, y - 1, -99 + r), r, Tissue.TOOTH)
        head.capsules((x, y + 1, -109), (x, y + 1, -100.5 - r), r * 0.92, Tissue.TOOTH)
    head.ellipsoid((0, -50, -104), (22, 32, 15), Tissue.MUSCLE, (Tissue.FAT, Tissue.MUSCLE))
    head.ellipsoid((0, -52, -89), (18, 28, 2.2), Tissue.GAS, (Tissue.FAT, Tissue.MUSCLE))
    for side in (-1, 1):
        head.ellipsoid((side * 57, -20, -84), (8, 15, 26), Tissue.MUSCLE, (Tissue.FAT, Tissue.MUSCLE))


def airways(head: Scene) -> None:
    """Nose, sinuses and pharynx."""
    bone = (Tissue.COMPACT_BONE, Tissue.DIPLOE)
    head.textured((0, -58, -34), (12, 29, 13), Tissue.GAS, bone, wave_mm=9, threshold=(-0.6, -0.2))
    for side in (-1, 1):
        for lining, tissue in ((0.0, Tissue.SINUS_MUCOSA), (1.3, Tissue.GAS)):
            head.ellipsoid((side * 26, -58, -66), (14 - lining, 22 - lining, 18 - lining), tissue)
            head.ellipsoid((side * 12, -88, -8), (10 - lining, 5.5 - lining, 10 - lining), tissue)
            head.ellipsoid((side * 9, -27, -36), (9 - lining, 15 - lining, 9 - lining), tissue)
            head.ellipsoid((side * 6.5, -62, -66), (6.5 - lining / 2, 38 - lining, 17 - lining), tissue)
            head.capsules((side * 6, -92, -66), (side * 7, -100, -78), (6 - lining, 5 - lining), tissue)
        for z, r in ((-60, 3.0), (-72, 3.8)):
            head.ellipsoid((side * 6.5, -58, z), (r, 26, r * 1.1), Tissue.SINUS_MUCOSA, (Tissue.GAS,) * 2)
    head.ellipsoid((0, -62, -62), (1.2, 36, 22), Tissue.BONE, (Tissue.GAS, Tissue.SINUS_MUCOSA))
    throat = curve([(0, -22, -62), (0, -12, -78), (0, -6, -104), (0, -10, -140), (0, -14, -180), (0, -18, -235)])
    for grow, tissue in ((2.0, Tissue.SINUS_MUCOSA), (0.0, Tissue.GAS)):
        head.path(throat, np.linspace(7, 7.5, len(throat)) + grow, tissue, (Tissue.FAT, Tissue.SINUS_MUCOSA))


def eyes(head: Scene) -> None:
    """The orbits with what they hold."""
    front = ((-_FAR, -84.0, -_FAR), (_FAR, _FAR, _FAR))
    lids = ((-_FAR, -92.5, -_FAR), (_FAR, _FAR, _FAR))
    for side in (-1, 1):
        turned = np.array([[0.92, 0.38 * side, 0.0], [-0.38 * side, 0.92, 0.0], [0.0, 0.0, 1.0]])
        centre = (side * 30, -66, -29)
        head.ellipsoid(centre, (20, 31, 20), Tissue.COMPACT_BONE, axes=turned, box=front)
        head.ellipsoid(centre, (18, 29.5, 18), Tissue.FAT, axes=turned, box=lids)
        globe = np.array((side * 32, -78, -29))
        apex = np.array((side * 17, -40, -27))
        head.capsules(globe + (-2 * side, 8, 0), apex, (2.4, 2.2), Tissue.SCLERA)
        for x, z in ((11, 0), (-11, 0), (0, 11), (0, -11)):
            middle = (globe + apex) / 2 + (x, 2, z)
            head.path(
                [globe + (x, 2, z), middle * 0.8 + apex * 0.2, apex], (1.5, 2.6, 1.4), Tissue.MUSCLE, (Tissue.FAT,) * 2
            )
        head.ellipsoid(globe, (12.2, 12.2, 12.2), Tissue.SCLERA)
        head.ellipsoid(globe, (11.2, 11.2, 11.2), Tissue.EYE)
        head.ellipsoid(globe + (0, -8, 0), (4.8, 2.3, 4.8), Tissue.LENS)
