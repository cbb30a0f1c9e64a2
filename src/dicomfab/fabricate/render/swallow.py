"""A barium swallow under fluoroscopy: a bolus runs down the oesophagus and gathers in the stomach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import person
from dicomfab.fabricate.anatomy.organs import curve
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import attenuation_table
from dicomfab.fabricate.render import fluoroscopy
from dicomfab.fabricate.render.angio import Run
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.fluoroscopy import CArm, Doubles, Floats
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.seeds import derive

SIZE: Final = 1024
PIXEL_MM: Final = 0.4
BITS: Final = 10
#: Rows and columns that the collimator leaves dark: left, right, upper, lower.
EDGES: Final = (150, 150, 44, 16)
SWALLOW_S: Final = 4.0  # a bolus is on its way for most of this; then comes the next
_VOXEL_MM: Final = 1.4
_BARIUM_PER_MM: Final = 0.17
_COAT_PER_MM: Final = 0.07
_BOLUS_MM: Final = 95.0
_QUANTA: Final = np.array([40_000.0, 0.0012], np.float32)
_DARK, _BRIGHT = 24.0, 880.0


def c_arm() -> CArm:
    """Right anterior oblique 20: the oesophagus beside the spine."""
    return CArm(-20.0, 0.0, 1200.0, 900.0, SIZE, PIXEL_MM, (4.0, 12.0, -8.0))


def frames(scene: Scene, run: Run, person: tuple[int, str], seed: int, workers: int) -> Iterator[NDArray[np.uint16]]:
    """Render a run in order.

    Args:
        scene: the chest.
        run: when.
        person: the seed of the body, and the sex.
        seed: of the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (1024, 1024), 10 bits, contrast medium dark (MONOCHROME2).
    """
    arm = c_arm()
    table = attenuation_table().astype(np.float32) * np.float32(1e-6)
    box = ((-190.0, -170.0, -220.0), (190.0, 150.0, 205.0))
    still = fluoroscopy.softened(fluoroscopy.rays(scene, arm, box, np.stack([table, table]), _VOXEL_MM, workers)[0])
    clear = float(np.percentile(np.exp(-still[:, 100:-100]), 97))
    gullet, stomach = _ways(*person)
    mark = text_mask(SYNTHETIC, 22)

    def frame(n: int) -> NDArray[np.uint16]:
        medium = np.zeros((SIZE, SIZE), np.float32)
        _draw(arm, gullet, stomach, n * run.frame_s, medium)
        tile, turn = fluoroscopy.noise_tile(np.random.default_rng(derive(seed, "rf-noise", n)))
        out = np.empty((SIZE, SIZE), np.float32)
        lift = np.array([1 / (float(_QUANTA[0]) * clear)], np.float32)
        fluoroscopy.detect(still, fluoroscopy.softened(medium), tile, turn, _QUANTA, lift, out)
        pixels = _shown(out)
        stamp(pixels, mark, 11, 150, 800)
        return pixels

    def batch(first: int, end: int) -> list[NDArray[np.uint16]]:
        return [frame(n) for n in range(first, end)]

    for rendered in in_order(batch, run.frames, 1, workers):
        yield from rendered


def _ways(seed: int, sex: str) -> tuple[Doubles, Doubles]:
    """The oesophagus from the throat down, and the stomach's deepest line; a millimetre from point to point."""
    build = person(seed, sex)
    throat = [build.back(1, -24, 214), build.back(3, -23, 192)]
    behind = [build.back(6, -22, z) for z in range(170, -90, -20)]
    low = [build.back(12, -26, -92), build.point(34, 8, -104), build.point(46, 6, -112)]
    pool = [build.point(50, 22, -116), build.point(56, 18, -132), build.point(52, 0, -148)]
    return _even(curve([*throat, *behind, *low], 8)), _even(curve(pool, 8))


def _even(line: Doubles) -> Doubles:
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.linspace(0, way[-1], int(way[-1]) + 1)
    return np.column_stack([np.interp(even, way, line[:, n]) for n in range(3)])


def bolus(way_mm: Doubles, time_s: float, length_mm: float) -> tuple[Doubles, Doubles]:
    """What lies in the oesophagus at a time after a swallow.

    Args:
        way_mm: places, from the throat.
        time_s: after the swallow began.
        length_mm: of the oesophagus.

    Returns:
        Inner radius in mm, and attenuation of the contents per mm, at each place.
    """
    speed = (length_mm + _BOLUS_MM) / (0.85 * SWALLOW_S)
    head = time_s * speed
    tail = head - _BOLUS_MM
    inside = np.clip((head - way_mm) / 14.0, 0, 1) * np.clip((way_mm - tail) / 26.0, 0, 1)
    passed = np.clip((tail - way_mm) / 30.0, 0, 1)
    narrow = 1 - 0.35 * np.exp(-(((way_mm - 0.42 * length_mm) / 14.0) ** 2))  # where the aortic arch presses on it
    narrow -= 0.45 * np.exp(-(((way_mm - 0.93 * length_mm) / 9.0) ** 2))  # where it passes the diaphragm
    radius = (2.4 + 6.4 * np.sqrt(inside) + 0.35 * np.sin(way_mm * 0.31 + 2.0 * time_s)) * narrow
    coat = _COAT_PER_MM * passed * (1 + np.sin(way_mm * 0.55) * 0.5)
    coat = _COAT_PER_MM * passed * (1 + np.sin(way_mm * 0.55) * 0.5)
    return radius, _BARIUM_PER_MM * np.clip(inside * 4, 0, 1) + coat


def _draw(arm: CArm, gullet: Doubles, stomach: Doubles, time_s: float, out: Floats) -> None:
    way = np.arange(len(gullet), dtype=np.float64)
    done, now = divmod(time_s, SWALLOW_S)
    radius, medium = bolus(way, now, float(len(gullet)))
    if done > 0:  # what the swallows before left on the wall
        medium = np.maximum(medium, _COAT_PER_MM * (0.6 + 0.4 * np.sin(way * 0.55)))
    fluoroscopy.draw(arm, gullet, radius, medium, out)
    arrived = min((done + float(np.clip((now / SWALLOW_S - 0.66) / 0.3, 0, 1))) / 3, 1.0)
    if arrived > 0:
        layer = np.zeros_like(out)
        shape = np.sin(np.linspace(0.5, np.pi - 0.5, len(stomach)))
        size = (4.0 + 19.0 * arrived ** (1 / 3)) * shape
        fluoroscopy.draw(arm, stomach, size, np.full(len(stomach), 0.07), layer)
        np.maximum(out, layer, out=out)


def _shown(intensity: Floats) -> NDArray[np.uint16]:
    """The tone curve of the monitor, and the collimator's leaves."""
    values = np.clip(np.maximum(intensity, 0.0) ** np.float32(0.55) * np.float32(_BRIGHT) + np.float32(_DARK), 0, 1023)
    left, right, upper, lower = EDGES
    leaves = np.zeros_like(values)
    leaves[upper : SIZE - lower, left : SIZE - right] = 1
    leaves = fluoroscopy.softened(fluoroscopy.softened(leaves))
    return np.asarray(values * leaves + np.float32(16) * (1 - leaves), np.uint16)
