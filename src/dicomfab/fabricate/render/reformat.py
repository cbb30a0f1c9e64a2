"""Coronal reformats of a CT: the planes of a body that face its front."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import hu_table, texture_table
from dicomfab.fabricate.render import noise
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.kernels import ct_slice
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.seeds import derive

ROWS: Final = 424
COLUMNS: Final = 512
PIXEL_MM: Final = 0.75
OFFSET_HU: Final = -1024
_MARK_HU: Final = 400
_NOISE_HU: Final = 7.0  # less than of a slice: each plane is a slab of several
_BAND: Final = 24  # rows below the body, for the mark
_FRONT_MM: Final = -90.0
_DEPTH_MM: Final = 170.0


def place_mm(index: int, count: int) -> float:
    """Patient y of a plane, from the front to the back."""
    return round(_FRONT_MM + _DEPTH_MM * (index + 0.5) / count, 3)


def coronal(scene: Scene, seed: int, count: int, workers: int) -> Iterator[NDArray[np.uint16]]:
    """Render planes from front to back.

    Args:
        scene: the body, of a chest.
        seed: decides the noise.
        count: planes, evenly over 170 mm.
        workers: threads; the result does not depend on it.

    Yields:
        (424, 512) stored values: CT number + 1024, 12 bits.
    """
    tables = hu_table(), texture_table()
    grain, tissue = noise.scanner_grain(), noise.texture_grain()
    mark = text_mask(SYNTHETIC, 14)
    rows = ROWS - _BAND
    corner = -(COLUMNS - 1) * PIXEL_MM / 2, (rows - 1) * PIXEL_MM / 2

    def batch(index: int, _end: int) -> NDArray[np.uint16]:
        grid = Grid((corner[0], place_mm(index, count), corner[1]), (PIXEL_MM, 1.0, -PIXEL_MM), (rows, 1, COLUMNS))
        labels = np.ascontiguousarray(scene.voxels(grid)[:, 0])
        draw = derive(seed, "reformat", index)
        shift = np.array([draw & 511, draw >> 9 & 511, draw >> 18 & 511, draw >> 27 & 511])
        mix = np.array([0.8, 0.6], np.float32) / np.float32(noise.GRAIN)
        out = np.zeros((ROWS, COLUMNS), np.uint16)
        tile = grain[(draw >> 40) % len(grain)]
        ct_slice(labels, *tables, tissue[0], tissue[1], mix, tile, shift, _NOISE_HU / noise.GRAIN, out)
        stamp(out, mark, -5, 8, _MARK_HU - OFFSET_HU)
        return out

    yield from in_order(batch, count, 1, workers)
