"""A coronary angiography: the left coronary artery of a beating heart fills through a catheter and empties again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.coronaries import Coronaries, Vessel
from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue, attenuation_table
from dicomfab.fabricate.render import fluoroscopy
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.fluoroscopy import CArm, Doubles, Floats
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask
from dicomfab.fabricate.seeds import derive

SIZE: Final = 512
PIXEL_MM: Final = 0.37
#: Rows and columns that the collimator leaves dark: left, right, upper, lower.
EDGES: Final = (9, 9, 26, 9)
HEART_RATE: Final = 72
_VOXEL_MM: Final = 1.0
_BEAT_S: Final = 60 / HEART_RATE
_SHORTENING, _NARROWING, _TWIST_RAD = 0.09, 0.13, 0.10
_REACH_MM: Final = 74.0  # of the heart, from its centre
_IODINE_PER_MM: Final = 0.33
_CATHETER_PER_MM: Final = 0.16
_BEGIN_S, _END_S, _SPEED_MM_S = 0.30, 1.75, 190.0
_QUANTA: Final = np.array([25_000.0, 0.0009], np.float32)
_HEART: Final = (Tissue.PERICARDIUM, Tissue.MYOCARDIUM, Tissue.BLOOD)


@dataclass(frozen=True, slots=True)
class Run:
    """When frames are taken.

    Args:
        frames: how many.
        frame_s: from one to the next.
    """

    frames: int
    frame_s: float


def c_arm(tree: Coronaries) -> CArm:
    """Right anterior oblique 30, caudal 20: the view of the circumflex and the proximal anterior branch."""
    x, y, z = (round(float(value), 1) for value in tree.centre)
    return CArm(-30.0, -20.0, 1000.0, 740.0, SIZE, PIXEL_MM, (x, y, z + 12.0))


def frames(scene: Scene, tree: Coronaries, run: Run, seed: int, workers: int) -> Iterator[NDArray[np.uint8]]:
    """Render a run in order.

    Args:
        scene: the chest.
        tree: its left coronary artery.
        run: when.
        seed: decides the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (512, 512), 8 bits, contrast medium dark (MONOCHROME2).
    """
    arm = c_arm(tree)
    still, heart = _background(scene, arm, workers)
    clear = float(np.percentile(np.exp(-(still + heart)), 96))
    mark = text_mask(SYNTHETIC, 14)

    def batch(first: int, end: int) -> list[NDArray[np.uint8]]:
        return [frame(n) for n in range(first, end)]

    def frame(n: int) -> NDArray[np.uint8]:
        time_s = n * run.frame_s
        squeeze = contraction(time_s)
        path = still + _moved(heart, arm, tree, squeeze)
        vessels = np.zeros((SIZE, SIZE), np.float32)
        _draw_tree(arm, tree, time_s, squeeze, vessels)
        tile, turn = fluoroscopy.noise_tile(np.random.default_rng(derive(seed, "xa-noise", n)))
        out = np.empty((SIZE, SIZE), np.float32)
        lift = np.array([1 / (float(_QUANTA[0]) * clear)], np.float32)
        fluoroscopy.detect(path, fluoroscopy.softened(vessels), tile, turn, _QUANTA, lift, out)
        pixels = _shown(out)
        blend(pixels, mark, 6, 12, (200,))
        return pixels

    for rendered in in_order(batch, run.frames, 1, workers):
        yield from rendered


def contraction(time_s: float) -> float:
    """Of the ventricles: 0 at the end of diastole, 1 at the end of systole."""
    phase = time_s / _BEAT_S % 1.0
    return math.sin(math.pi * phase / 0.5) ** 2 if phase < 0.5 else 0.0


def filling(way_mm: Doubles, time_s: float) -> Doubles:
    """Concentration of contrast medium, 0 to 1, so far from the ostium."""
    arrived = time_s - _BEGIN_S - np.maximum(way_mm, 0.0) / _SPEED_MM_S
    left = time_s - _END_S - np.maximum(way_mm, 0.0) / (0.7 * _SPEED_MM_S)
    washed: Doubles = np.clip(arrived / 0.22, 0.0, 1.0) * np.exp(-np.maximum(left, 0.0) / 0.45)
    return washed


def beaten(points: Doubles, tree: Coronaries, squeeze: float) -> Doubles:
    """Where points of the heart are at a contraction."""
    away = points - tree.apex
    along = (away @ tree.axis)[:, None] * tree.axis
    across = away - along
    turned = np.cross(tree.axis, across)
    angle = _TWIST_RAD * squeeze
    across = (across * math.cos(angle) + turned * math.sin(angle)) * (1 - _NARROWING * squeeze)
    result: Doubles = tree.apex + along * (1 - _SHORTENING * squeeze) + across
    return result


def _background(scene: Scene, arm: CArm, workers: int) -> tuple[Floats, Floats]:
    """What does not move, and the heart: attenuation at half the detector's size."""
    whole = attenuation_table().astype(np.float32) * np.float32(1e-6)
    heart = np.zeros_like(whole)
    for tissue in _HEART:
        heart[tissue] = whole[tissue] - whole[Tissue.LUNG]
    z = arm.isocentre_mm[2]
    box = ((-190.0, -170.0, z - 130.0), (190.0, 150.0, z + 120.0))
    sums = fluoroscopy.rays(scene, arm, box, np.stack([whole - heart, heart]), _VOXEL_MM, workers)
    return fluoroscopy.softened(sums[0]), fluoroscopy.softened(sums[1])


def _moved(heart: Floats, arm: CArm, tree: Coronaries, squeeze: float) -> Floats:
    """The heart's shadow, drawn together around the apex; the further from the heart, the less it moves."""
    places, scale = arm.seen(np.stack([tree.apex, tree.centre]))
    (u, v), (cu, cv) = places / fluoroscopy.RAY_PIXELS
    size, reach = heart.shape[0], _REACH_MM * scale[1] / fluoroscopy.RAY_PIXELS
    i, j = np.arange(size)[None, :], np.arange(size)[:, None]
    square = ((i - cu) ** 2 + (j - cv) ** 2) / reach**2
    factor = 1 / (1 - _SHORTENING * squeeze * np.exp(-square * square))
    x = np.clip(u + (i - u) * factor, 0, size - 1.001)
    y = np.clip(v + (j - v) * factor, 0, size - 1.001)
    return np.asarray(_between(heart, x, y) * factor, np.float32)


def _between(image: Floats, x: Doubles, y: Doubles) -> Doubles:
    """Bilinear values at places."""
    i, j = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - i, y - j
    upper = image[j, i] * (1 - fx) + image[j, i + 1] * fx
    lower = image[j + 1, i] * (1 - fx) + image[j + 1, i + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)


def _draw_tree(arm: CArm, tree: Coronaries, time_s: float, squeeze: float, out: Floats) -> None:
    layer = np.empty_like(out)
    for vessel in tree.vessels:
        layer[...] = 0
        medium = filling(vessel.way_mm, time_s) * _IODINE_PER_MM
        fluoroscopy.draw(arm, beaten(vessel.points, tree, squeeze), vessel.radii_mm, medium, layer)
        # Branches begin inside their parent: the deeper of the two counts there.
        crossing = np.minimum(out, layer)
        np.maximum(out, layer, out=out)
        out += crossing * np.float32(0.35)
    layer[...] = 0
    _draw_catheter(arm, tree, tree.catheter, time_s, squeeze, layer)
    np.maximum(out, layer, out=out)


def _draw_catheter(arm: CArm, tree: Coronaries, catheter: Vessel, time_s: float, squeeze: float, layer: Floats) -> None:
    inside = _IODINE_PER_MM if _BEGIN_S - 0.1 < time_s < _END_S else 0.0
    points = catheter.points
    near = np.exp(-((np.linalg.norm(points - points[-1], axis=1) / 30.0) ** 2))[:, None]
    points = points + near * (beaten(points, tree, squeeze) - points)
    full = np.full(len(points), _CATHETER_PER_MM + inside)
    fluoroscopy.draw(arm, points, catheter.radii_mm, full, layer)


def _shown(intensity: Floats) -> NDArray[np.uint8]:
    """The tone curve of the monitor, and the collimator's leaves."""
    values = np.clip(np.maximum(intensity, 0.0) ** np.float32(0.62) * np.float32(205.0) + np.float32(6.0), 0, 250)
    left, right, upper, lower = EDGES
    leaves = np.zeros_like(values)
    leaves[upper : SIZE - lower, left : SIZE - right] = 1
    leaves = fluoroscopy.softened(fluoroscopy.softened(leaves))
    return np.asarray(values * leaves + 4 * (1 - leaves), np.uint8)
