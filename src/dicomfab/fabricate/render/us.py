"""Ultrasound of the belly: planes of a body through a curved transducer, as a scanner shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import us_screen
from dicomfab.fabricate.render.acoustics import Beam, Floats, Labels, detected
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.noise import texture
from dicomfab.fabricate.render.us_screen import Sector
from dicomfab.fabricate.seeds import derive

CURVED: Final = Sector(
    rows=768, columns=1024, pixel_mm=0.26, probe_mm=55.0, depth_mm=165.0, half_angle=math.radians(34), top=70
)
FREQUENCY_MHZ: Final = 3.5
_SAMPLES, _BEAMS = 825, 288
_PLANE_MM: Final = 0.6
_SOFT_MM: Final = 90.0  # down to which the body gives way
_ASIDE_MM: Final = (0.0, 5.0, -5.0, 9.0, -9.0)
_WALL_MM: Final = 38.0  # through which the transducer is placed between ribs
_BEAM: Final = Beam(FREQUENCY_MHZ, CURVED.depth_mm / _SAMPLES, 0.32, 1.0, 75.0)

Point = tuple[float, float]
_RIBS: Final = (Tissue.BONE, Tissue.MARROW, Tissue.CARTILAGE, Tissue.LUNG, Tissue.LUNG_VESSEL)


@dataclass(frozen=True, slots=True)
class View:
    """A plane of the belly and how the transducer stands in it.

    Args:
        title: what the operator types.
        axis: the patient axis that the plane lies across: x is sagittal, y coronal, z axial.
        place_mm: on that axis, from the middle of the belly, for a body of average size.
        target: what the middle beam goes through, on the plane's horizontal and vertical axis of the body.
        heading: into which the middle beam runs, degrees: 0 along the first axis, 90 along the second.
        mirrored: the image shows what lies to the left of the middle beam on its right.
    """

    title: str
    axis: Literal["x", "y", "z"]
    place_mm: float
    target: Point
    heading: float
    mirrored: bool = False


# The axes of planes: sagittal y, z; coronal x, z; axial x, y.
VIEWS: Final = (
    View("RT LIVER SAG", "x", -84.0, (10.0, 22.0), 38.0, mirrored=True),
    View("RT KIDNEY LONG", "y", 46.0, (-60.0, -30.0), 2.0, mirrored=True),
    View("LIVER TRANS", "z", 44.0, (-48.0, 0.0), 108.0, mirrored=True),
    View("GALLBLADDER SAG", "x", -64.0, (-56.0, -26.0), 24.0, mirrored=True),
    View("LT KIDNEY LONG", "y", 46.0, (58.0, -24.0), 178.0),
    View("RT LOBE TRANS", "z", 14.0, (-70.0, 0.0), 100.0, mirrored=True),
)


def images(
    scene: Scene, middle: tuple[float, float, float], size: float, seed: int, count: int, workers: int
) -> Iterator[NDArray[np.uint8]]:
    """Render the views of an examination; after the last one they begin anew, a little aside.

    Args:
        scene: the body.
        middle: of its belly.
        size: of the body, 1 for an average one.
        seed: decides the speckle.
        count: images.
        workers: threads; the result does not depend on it.

    Yields:
        (768, 1024), 8 bits.
    """

    def batch(index: int, _end: int) -> NDArray[np.uint8]:
        view = VIEWS[index % len(VIEWS)]
        labels = _seen(scene, view, _ASIDE_MM[index // len(VIEWS) % len(_ASIDE_MM)], middle, size)
        rng = np.random.default_rng(derive(seed, "us-speckle", index))
        speckle = rng.standard_normal((2, _SAMPLES, _BEAMS), dtype=np.float32)
        echoes = detected(labels, speckle, _structure(index), _BEAM, derive(seed, "us-noise", index))
        screen = us_screen.converted(echoes, CURVED)
        us_screen.annotate(screen, CURVED, view.title, FREQUENCY_MHZ, _BEAM.focus_mm)
        return screen

    yield from in_order(batch, count, 1, workers)


def _seen(scene: Scene, view: View, aside_mm: float, middle: tuple[float, float, float], size: float) -> Labels:
    """Tissues along each beam, (samples, beams)."""
    horizontal, vertical = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}[view.axis]
    number = "xyz".index(view.axis)
    place = middle[number] + (view.place_mm + aside_mm) * size
    target = middle[horizontal] + view.target[0] * size, middle[vertical] + view.target[1] * size
    span = 480
    corner = target[0] - span * _PLANE_MM / 2, target[1] - span * _PLANE_MM / 2
    plane = _plane(scene, number, place, corner, span)
    angle = math.radians(view.heading)
    forward = math.cos(angle), math.sin(angle)
    back = _to_skin(plane, forward, span)
    start = target[0] - back * forward[0], target[1] - back * forward[1]
    turn = -1.0 if view.mirrored else 1.0
    depths, angles = _polar()

    def looked_up(depth: Floats) -> Labels:
        radius = CURVED.probe_mm + depth
        along, across = radius * np.cos(angles) - CURVED.probe_mm, turn * radius * np.sin(angles)
        x = start[0] + along * forward[0] - across * forward[1]
        y = start[1] + along * forward[1] + across * forward[0]
        i = np.clip(((x - corner[0]) / _PLANE_MM + 0.5).astype(np.int64), 0, span - 1)
        j = np.clip(((y - corner[1]) / _PLANE_MM + 0.5).astype(np.int64), 0, span - 1)
        return np.asarray(plane[j, i])

    straight = np.broadcast_to(depths, (_SAMPLES, _BEAMS))
    outside = np.logical_and.accumulate(looked_up(straight) == Tissue.AIR, axis=0)
    # The skin gives way to the curved transducer, and so does, less and less, what lies below.
    gap = np.sum(outside, axis=0).astype(np.float32) * np.float32(_BEAM.sample_mm)
    return _between_ribs(looked_up(straight + gap * np.clip(1 - depths / _SOFT_MM, 0, 1)), depths)


def _plane(scene: Scene, number: int, place: float, corner: Point, span: int) -> Labels:
    """(second axis, first axis) of the plane."""
    origin, shape = [corner[0], corner[1]], [span, span]
    origin.insert(number, place)
    shape.insert(2 - number, 1)
    grid = Grid((origin[0], origin[1], origin[2]), (_PLANE_MM,) * 3, (shape[0], shape[1], shape[2]))
    return scene.voxels(grid).reshape(span, span)


def _to_skin(plane: Labels, forward: Point, span: int) -> float:
    """Back from the middle of the plane to where the body begins, in mm."""
    steps = np.arange(0, span // 2, dtype=np.float64)
    i = np.clip((span / 2 - steps * forward[0]).astype(np.int64), 0, span - 1)
    j = np.clip((span / 2 - steps * forward[1]).astype(np.int64), 0, span - 1)
    body = np.nonzero(plane[j, i] != Tissue.AIR)[0]
    return float(body[-1]) * _PLANE_MM if body.size else 0.0


def _between_ribs(labels: Labels, depths: Floats) -> Labels:
    """Muscle instead of the ribs between which the transducer stands, and skin where it touches."""
    wall = (depths < _WALL_MM) & np.isin(labels, _RIBS)
    labels = np.where(wall, np.uint8(Tissue.MUSCLE), labels)
    return np.where(np.logical_and.accumulate(labels == Tissue.AIR, axis=0), np.uint8(Tissue.SKIN), labels)


@lru_cache(maxsize=1)
def _polar() -> tuple[Floats, Floats]:
    depths = (np.arange(_SAMPLES, dtype=np.float32)[:, None] + np.float32(0.5)) * np.float32(_BEAM.sample_mm)
    angles = np.linspace(-CURVED.half_angle, CURVED.half_angle, _BEAMS, dtype=np.float32)[None, :]
    return depths, angles


def _structure(index: int) -> Floats:
    """Coarser parts of tissues, as a factor of the scatterers' strength."""
    tile = texture()[index % 2]
    rows = np.arange(_SAMPLES) * 3 // 2 % 512
    return np.asarray(np.exp(np.float32(0.16) * tile[rows][:, (np.arange(_BEAMS) * 2) % 512]), np.float32)
