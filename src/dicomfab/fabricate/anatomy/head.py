"""The brain in its fluid, its vessels, and the lesions of the head; the skull and the face are in :mod:`face`.

Coordinates are the patient's (LPS), in mm, of an average head: 0 in the middle of the cranial cavity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dicomfab.fabricate.anatomy import bones, face
from dicomfab.fabricate.anatomy.body import Lesion
from dicomfab.fabricate.anatomy.build import Build, Point
from dicomfab.fabricate.anatomy.face import TEMPORAL, TEMPORAL_RADII
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Box, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.seeds import derive

EXTENT_MM: Final = ((-105.0, -135.0, -85.0), (105.0, 115.0, 95.0))
_FAR: Final = 1e6
# The floors of the three fossae, from front to back, are three steps.
_FOSSAE: Final = ((-_FAR, -15.0), (-40.0, -28.0), (14.0, -66.0))
_CAVITY: Final = np.array((69.0, 86.0, 72.0))
_BRAIN: Final = (Tissue.CSF, Tissue.DURA)
_MATTER: Final = (Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
_ATLAS_Z: Final = 258.0  # of the chest's average frame


def origin(build: Build) -> Point:
    """Where the head's zero lies in the person's frame: the spinal canal runs into the foramen magnum."""
    _, y, z = build.back(0, 21, _ATLAS_Z)
    return 0.0, y - 25 * build.size, z + 72 * build.size


def add(scene: Scene, build: Build, seed: int) -> tuple[Lesion, ...]:
    """Paint the head, with its neck, around the zero of a scene.

    Returns:
        The lesions, in the coordinates of the voxels.
    """
    zero = np.array(origin(build))
    head = scene.placed((0, 0, 0), size=build.size)
    phase = derive(seed, "folds") % 64
    face.soft(head)
    bones.spine(scene.placed(-zero), build, lowest=5)
    face.skull(head, _boxes)
    face.bones(head)
    face.airways(head)
    face.eyes(head)
    _cerebrum(head, phase)
    _midline(head)
    _hindbrain(head, phase)
    _depths(head)
    _vessels(head)
    return _lesions(head, np.random.default_rng(derive(seed, "head-lesions")))


def _boxes(wall_mm: float) -> tuple[Box, ...]:
    """The parts of the cavity above the floors of its fossae, ``wall_mm`` outside them; steps have thin walls."""
    thin_mm = min(wall_mm, 0.8)
    return tuple(((-_FAR, front - thin_mm, floor - wall_mm), (_FAR, _FAR, _FAR)) for front, floor in _FOSSAE)


def _cerebrum(head: Scene, phase: float) -> None:
    for inset, gap, tissue, over in (
        (2.0, 0.75, Tissue.GREY_MATTER, (Tissue.CSF, Tissue.CSF)),
        (5.0, 3.3, Tissue.WHITE_MATTER, (Tissue.GREY_MATTER, Tissue.GREY_MATTER)),
    ):
        front, middle, _ = _boxes(-inset)
        for box in (front, (middle[0], (_FAR, _FAR, front[0][2]))):
            head.folded(
                (0, 0, 0),
                _CAVITY - inset,
                tissue,
                over,
                wave_mm=27.0 * (1 - (inset - 2.0) / 75),
                gap_mm=gap,
                depth_mm=17.0,
                phase=phase,
                box=box,
            )
        for side in (-1, 1):
            head.folded(
                (side * TEMPORAL[0], *TEMPORAL[1:]),
                TEMPORAL_RADII - inset * 0.8,
                tissue,
                over,
                wave_mm=25.0 * (1 - (inset - 2.0) / 30),
                gap_mm=gap,
                depth_mm=10.0,
                phase=phase + 9 * side,
            )


def _midline(head: Scene) -> None:
    """The cleft between the hemispheres with the falx, the callosum, and the Sylvian fissures."""
    for half, tissue, over in (
        (4.6, Tissue.GREY_MATTER, (Tissue.WHITE_MATTER, Tissue.WHITE_MATTER)),
        (1.3, Tissue.CSF, _MATTER),
    ):
        head.ellipsoid((0, 0, 0), (half, 83, 69), tissue, over)
    falx = ((-_FAR, -_FAR, -14.0), (_FAR, _FAR, _FAR))
    head.ellipsoid((0, 0, 0), (0.9, 86, 72), Tissue.DURA, _BRAIN, box=falx)
    head.ellipsoid((0, -4, 2), (4.0, 52, 37), Tissue.GREY_MATTER, _BRAIN)
    head.ellipsoid((0, 2, 9), (27, 43, 19), Tissue.WHITE_MATTER, _BRAIN)
    for side in (-1, 1):
        fissure = curve([(side * 66, -26, -10), (side * 46, -20, -6), (side * 40, 2, 0), (side * 45, 20, 7)])
        fissure = np.concatenate([fissure, curve([(side * 45, 20, 7), (side * 56, 30, 14), (side * 68, 36, 18)])])
        for radius, tissue in ((4.8, Tissue.GREY_MATTER), (1.5, Tissue.CSF)):
            for lift in (-3.0, 0.0, 3.0):
                head.path(fissure + (0, 0, lift), radius, tissue, _BRAIN)


def _hindbrain(head: Scene, phase: float) -> None:
    """Cisterns, brainstem, and the cerebellum under its tent."""
    for centre, radii in (
        ((0, -16, -20), (17, 15, 8)), ((0, 20, -14), (25, 21, 13)), ((0, 3, -36), (20, 14, 22)),
        ((0, 36, -56), (26, 24, 10)),
    ):  # fmt: skip
        head.ellipsoid(centre, radii, Tissue.CSF, _BRAIN)
    tent = (0.0, 47.0, -37.0)
    head.ellipsoid(tent, (58, 42, 24.5), Tissue.DURA, _BRAIN)
    head.ellipsoid(tent, (57, 41, 23.5), Tissue.CSF, _BRAIN)
    for shrink, gap, tissue in ((0.0, 0.4, Tissue.GREY_MATTER), (2.4, 1.5, Tissue.WHITE_MATTER)):
        for side in (-1, 1):
            head.folded(
                (side * 20, 46, -36),
                (32 - shrink, 34 - shrink, 22 - shrink),
                tissue,
                (Tissue.CSF, Tissue.GREY_MATTER),
                wave_mm=10.0 - shrink / 3.3,
                gap_mm=gap,
                depth_mm=9.0,
                phase=phase,
            )
    head.ellipsoid((0, 49, -34), (8, 29, 19), Tissue.GREY_MATTER, _BRAIN)
    for side in (-1, 1):
        head.capsules((side * 6, 12, -34), (side * 24, 32, -36), (9, 7), Tissue.WHITE_MATTER, _BRAIN)
        head.capsules((side * 8, 6, -22), (side * 5, 14, -10), (7, 8), Tissue.BRAINSTEM, _BRAIN)
    head.ellipsoid((0, 14, -14), (15, 12, 11), Tissue.BRAINSTEM, _BRAIN)
    head.ellipsoid((0, 13, -33), (17, 13, 14), Tissue.BRAINSTEM, _BRAIN)
    head.path([(0, 17, -44), (0, 22, -58), (0, 25, -78)], (10, 7.5, 6), Tissue.BRAINSTEM, (Tissue.CANAL, Tissue.DURA))
    head.ellipsoid((0, 29, -36), (7, 4.5, 9), Tissue.CSF, _BRAIN)
    head.path([(0, 21, -8), (0, 23, -18), (0, 27, -30)], 1.1, Tissue.CSF, _BRAIN)


def _depths(head: Scene) -> None:
    """Basal ganglia, thalami and ventricles."""
    for side in (-1, 1):
        nucleus = curve([(side * 13, -25, 4), (side * 15, -12, 14), (side * 19, 8, 19), (side * 23, 22, 15)])
        head.path(nucleus, np.linspace(6.5, 2.5, len(nucleus)), Tissue.DEEP_GREY, _MATTER)
        head.ellipsoid((side * 26, -6, 2), (7, 18, 11), Tissue.DEEP_GREY, _MATTER)
        head.ellipsoid((side * 11, 11, 4), (10, 15, 10), Tissue.DEEP_GREY, _BRAIN)
        horn = curve(
            [(side * 7, -33, 4), (side * 8, -20, 12), (side * 11, 0, 19), (side * 16, 20, 18), (side * 24, 36, 9)]
        )
        head.path(horn, np.linspace(4.2, 6.2, len(horn)), Tissue.CSF, _BRAIN)
        head.path(
            curve([(side * 24, 36, 9), (side * 23, 48, 5), (side * 19, 60, 3)]),
            np.linspace(6, 2, 9),
            Tissue.CSF,
            _BRAIN,
        )
        tail = curve([(side * 24, 36, 8), (side * 34, 24, -8), (side * 33, 6, -17), (side * 29, -6, -20)])
        head.path(tail, np.linspace(5, 1.4, len(tail)), Tissue.CSF, _BRAIN)
        head.ellipsoid((side * 22, 37, 10), (2.6, 4, 3), Tissue.BRAIN_VESSEL, _BRAIN)
        head.ellipsoid((side * 4.6, -8, 12), (4.1, 24, 7), Tissue.CSF, _BRAIN)
    head.ellipsoid((0, 4, 0), (2.0, 16, 11), Tissue.CSF, _BRAIN)
    head.ellipsoid((0, 27, 3), (2.2, 2.6, 1.8), Tissue.CALCIFICATION, _BRAIN)


def _vessels(head: Scene) -> None:
    """The circle of Willis and the large sinuses."""
    over = (Tissue.CSF, Tissue.DURA)
    for side in (-1, 1):
        for radius, points in (
            (2.3, [(side * 20, 2, -42), (side * 13, -8, -34), (side * 12, -18, -28), (side * 11, -13, -19)]),
            (1.6, [(side * 11, -13, -19), (side * 26, -15, -14), (side * 40, -12, -7), (side * 52, 24, 12)]),
            (1.3, [(side * 11, -14, -19), (side * 2, -26, -14), (side * 1.5, -40, 8), (side * 1.5, 0, 34)]),
            (1.4, [(0, -3, -19), (side * 14, 5, -17), (side * 20, 20, -10), (side * 14, 42, -4)]),
            (1.7, [(side * 14, 22, -78), (side * 9, 10, -62), (0, -2, -46)]),
        ):  # fmt: skip
            head.path(curve(points), radius, Tissue.BRAIN_VESSEL, (Tissue.CANAL, Tissue.DURA))
        sinus = curve(
            [
                (side * 3, 82, -13),
                (side * 34, 70, -18),
                (side * 54, 42, -24),
                (side * 50, 26, -40),
                (side * 34, 16, -62),
            ]
        )
        head.path(sinus, 3.6, Tissue.VEIN, over)
    head.path(curve([(0, -2, -46), (0, -3, -32), (0, -3, -19)]), 1.9, Tissue.BRAIN_VESSEL, over)
    turn = np.linspace(-2.6, 0.2, 40)
    top = np.column_stack([np.zeros(40), 83.5 * np.cos(turn), -69.5 * np.sin(turn)])
    head.path(top, np.linspace(1.2, 4.2, 40)[::1], Tissue.VEIN, (Tissue.CSF, Tissue.BRAIN_VESSEL))


def _lesions(head: Scene, rng: np.random.Generator) -> tuple[Lesion, ...]:
    """One to three of: a tumour with its oedema, an infarct, a haemorrhage."""
    kinds: tuple[Callable[[Scene, float, np.random.Generator], tuple[str, Point, Point, Tissue]], ...]
    kinds = (_tumour, _infarct, _haemorrhage)
    count, side = int(rng.integers(1, 4)), float(rng.choice((-1.0, 1.0)))
    found = []
    for which in rng.permutation(3)[:count]:
        kind, centre, radii, tissue = kinds[which](head, side, rng)
        x, y, z = (float(value) for value in head.at(centre))
        scale = float(head.at((0, 0, 1))[2] - head.at((0, 0, 0))[2])
        found.append(Lesion(kind, (x, y, z), (radii[0] * scale, radii[1] * scale, radii[2] * scale), tissue))
        side = -side
    return tuple(found)


def _spread(rng: np.random.Generator, middle: Point, reach: float) -> Point:
    x, y, z = (float(value + rng.uniform(-reach, reach)) for value in middle)
    return x, y, z


def _tumour(head: Scene, side: float, rng: np.random.Generator) -> tuple[str, Point, Point, Tissue]:
    front = float(rng.choice((-34.0, 44.0)))
    centre, first = _spread(rng, (side * 32, front, 26), 5.0), float(rng.uniform(7.0, 14.0))
    r = first * min(max(head.course.factor("tumour", 0), 0.5), 1.5)
    radii = (r, r * 1.15, r * 0.95)
    spread = [value * 1.3 + 11 for value in radii]
    head.textured(
        centre, spread, Tissue.OEDEMA, (Tissue.WHITE_MATTER,) * 2, wave_mm=26, threshold=(-3.0, 1.2), phase=first * 7
    )
    head.ellipsoid(centre, radii, Tissue.TUMOUR, _wide())
    if r < 9.0:
        return "tumour", centre, radii, Tissue.TUMOUR
    core = [value - 3.2 for value in radii]
    head.ellipsoid(centre, core, Tissue.TUMOUR_CORE, (Tissue.TUMOUR,) * 2)
    return "tumour", centre, radii, Tissue.TUMOUR_CORE


def _infarct(head: Scene, side: float, rng: np.random.Generator) -> tuple[str, Point, Point, Tissue]:
    centre, first = _spread(rng, (side * 46, 2, 28), 5.0), float(rng.uniform(11.0, 18.0))
    r = first * head.course.factor("infarct", 0)
    radii = (r, r * 1.3, r * 1.1)
    head.textured(centre, radii, Tissue.INFARCT, _MATTER, wave_mm=20, threshold=(-5.0, -0.6), phase=first * 5)
    head.ellipsoid(centre, (2, 2, 2), Tissue.INFARCT, _BRAIN)
    return "infarct", centre, radii, Tissue.INFARCT


def _haemorrhage(head: Scene, side: float, rng: np.random.Generator) -> tuple[str, Point, Point, Tissue]:
    centre, first = _spread(rng, (side * 27, -4, 3), 3.0), float(rng.uniform(5.0, 11.0))
    r = first * head.course.factor("haemorrhage", 0)
    radii = (r * 0.8, r * 1.2, r)
    around = [value + 4 for value in radii]
    head.textured(centre, around, Tissue.OEDEMA, _wide(), wave_mm=15, threshold=(-3.0, 0.5), phase=first * 3)
    head.ellipsoid(centre, radii, Tissue.HAEMORRHAGE, _wide())
    return "haemorrhage", centre, radii, Tissue.HAEMORRHAGE


def _wide() -> tuple[int, int]:
    return Tissue.GREY_MATTER, Tissue.OEDEMA
