"""Axial CT slices of a body."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
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

MATRIX: Final = 512
FIELD_OF_VIEW_MM: Final = 400.0
PIXEL_MM: Final = FIELD_OF_VIEW_MM / MATRIX
OFFSET_HU: Final = -1024
_NOISE_HU: Final = 11.0
_MARK_VALUE: Final = 400 - OFFSET_HU
_TEXTURE_PERIOD_MM: Final = 42.0
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class AxialStack:
    """Where the slices lie.

    Args:
        first_z_mm: of the first slice; patient z runs to the head.
        spacing_mm: downwards, from one slice to the next.
        count: slices.
    """

    first_z_mm: float
    spacing_mm: float
    count: int

    def z_mm(self, index: int) -> float:
        """The height of a slice, counted from 0."""
        return self.first_z_mm - index * self.spacing_mm

    @property
    def corner_mm(self) -> float:
        """X and y of the centre of the first voxel."""
        return -FIELD_OF_VIEW_MM / 2 + PIXEL_MM / 2


def slices(scene: Scene, stack: AxialStack, seed: int, workers: int) -> Iterator[NDArray[np.uint16]]:
    """Render slices in order.

    Args:
        scene: the body.
        stack: where the slices lie.
        seed: decides the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (512, 512) stored values: CT number + 1024, 12 bits.
    """
    tables = hu_table(), texture_table()
    scanner, tissue = noise.scanner_noise(), noise.texture()
    mark = text_mask(SYNTHETIC, 14)
    still = derive(seed, "texture")

    def batch(first: int, end: int) -> NDArray[np.uint16]:
        out = np.empty((end - first, MATRIX, MATRIX), np.uint16)
        labels, scratch = np.empty((1, MATRIX, MATRIX), np.uint8), np.empty((MATRIX, MATRIX), np.float32)
        for n in range(end - first):
            z_mm = stack.z_mm(first + n)
            # One plane at a time stays in the processor's cache.
            corner = (stack.corner_mm, stack.corner_mm, z_mm)
            scene.voxels(Grid(corner, (PIXEL_MM, PIXEL_MM, 1.0), (1, MATRIX, MATRIX)), labels)
            draw = derive(seed, "ct-noise", first + n)
            shift = np.array([still >> 9 & 511, still & 511, draw >> 9 & 511, draw & 511])
            angle = 2 * math.pi * z_mm / _TEXTURE_PERIOD_MM
            mix = np.array([math.cos(angle), math.sin(angle)], np.float32)
            tile = scanner[(draw >> 20) % len(scanner)]
            ct_slice(labels[0], *tables, tissue[0], tissue[1], mix, tile, shift, _NOISE_HU, scratch, out[n])
            stamp(out[n], mark, 8, 8, _MARK_VALUE)
        return out

    for rendered in in_order(batch, stack.count, _BATCH, workers):
        yield from rendered
