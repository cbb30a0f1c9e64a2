"""Radiographs of the chest and the knee: which rays, and how a radiography system processes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, Tissue, attenuation_table
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.render.noise import TILE, texture
from dicomfab.fabricate.render.projection import (
    Beam,
    Detector,
    Floats,
    Processing,
    Raw,
    enlarged,
    exposed,
    path_sums,
    presented,
)
from dicomfab.fabricate.seeds import derive

PIXEL_MM: Final = 0.175
MAX_VALUE: Final = 4095
_STRUTS: Final = 0.008  # attenuation for the square root of a mm of marrow
_DETECTOR: Final = Detector(quanta=12000.0, scatter=0.10, glare=0.0015, reach=14)

_CHEST_LOOK: Final = Processing(
    coarse=0.72, fine=1.6, coarse_radius=16, percentiles=(6.0, 99.6), ends=(100.0, 3700.0), contrast=1.6
)


@dataclass(frozen=True, slots=True)
class View:
    """A projection.

    Args:
        name: what the noise is drawn for.
        beam: the rays.
        marker: lead letter, and its row and column; its place is outside the body.
        processing: for presentation.
        spongy: the fine structure of spongy bone is resolved.
    """

    name: str
    beam: Beam
    marker: tuple[str, int, int] | None = None
    processing: Processing = _CHEST_LOOK
    spongy: bool = False

    @property
    def rows(self) -> int:
        """Of the image."""
        return self.beam.rows

    @property
    def columns(self) -> int:
        """Of the image."""
        return self.beam.columns


#: Seen with the patient's left on the image's right.
PA: Final = View("pa", Beam("y", 2000, 2400, PIXEL_MM, -210.0, 182.0, -160.0, 160.0, step_mm=2.5), ("R", 330, 40))
#: Left side at the detector, patient facing the image's left.
LATERAL: Final = View("lateral", Beam("x", 2400, 2000, PIXEL_MM, -165.0, 215.0, -230.0, 230.0, step_mm=2.5))

_KNEE_LOOK: Final = Processing(coarse=0.7, fine=1.5, coarse_radius=20, percentiles=(30.0, 99.8), contrast=1.2)
_KNEE: Final = Beam("y", 2400, 1904, 0.1, -95.2, 122.0, -100.0, 100.0, step_mm=1.25)
#: Of either knee, from the front: the patient's left on the image's right.
KNEE_AP: Final = View("knee-ap", _KNEE, processing=_KNEE_LOOK, spongy=True)
#: Front of the knee on the image's left.
KNEE_LATERAL: Final = View("knee-lateral", replace(_KNEE, along="x"), processing=_KNEE_LOOK, spongy=True)


def raw(scene: Scene, view: View, seed: int, workers: int) -> Raw:
    """What the detector counts, without any mark.

    Returns:
        (rows, columns), 14 bits, proportional to the intensity.
    """
    path = path_sums(scene, view.beam, attenuation_table(), workers)
    if view.spongy:
        path += _trabeculae(scene, view, seed, workers)
    return exposed(path, _DETECTOR, view.beam.ray_pixels, derive(seed, "dx-noise", view.name), workers)


def _trabeculae(scene: Scene, view: View, seed: int, workers: int) -> Floats:
    """Attenuation of the struts in marrow; they run along the leg, and many in a row even each other out."""
    table = np.zeros(LABEL_COUNT, np.int32)
    table[[Tissue.YELLOW_MARROW, Tissue.BONE_BRUISE]] = 1_000_000
    coarse = replace(view.beam, ray_pixels=4 * view.beam.ray_pixels, step_mm=2.0)
    marrow_mm = enlarged(path_sums(scene, coarse, table, workers), 4)
    draw = derive(seed, "trabeculae", view.name)
    tile = texture()[draw & 1, :, :TILE]
    fine = np.mean([np.roll(tile, step, axis=0) for step in range(7)], axis=0, dtype=np.float32)
    fine = np.roll(fine, (draw >> 9 & 511, draw >> 18 & 511), axis=(0, 1))
    rows, columns = marrow_mm.shape
    whole = np.tile(fine, (rows // TILE + 1, columns // TILE + 1))[:rows, :columns]
    return np.asarray(np.sqrt(marrow_mm) * whole * np.float32(_STRUTS), np.float32)


def radiograph(scene: Scene, view: View, seed: int, workers: int) -> NDArray[np.uint16]:
    """Render one view.

    Returns:
        (rows, columns), 12 bits, dense tissue bright (MONOCHROME2).
    """
    pixels = presented(raw(scene, view, seed, workers), view.processing, workers)
    stamp(pixels, text_mask(SYNTHETIC, 40), 24, 24, MAX_VALUE)
    if view.marker:
        letter, row, column = view.marker
        stamp(pixels, text_mask(letter, 96), row, column, MAX_VALUE)
    return pixels
