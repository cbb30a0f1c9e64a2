"""Axial CT slices of a body."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import hu_table, texture_table
from dicomfab.fabricate.render import noise
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.kernels import ct_stack
from dicomfab.fabricate.render.marks import SYNTHETIC, text_mask
from dicomfab.fabricate.render.planes import Stack
from dicomfab.fabricate.seeds import derive

MATRIX: Final = 512
OFFSET_HU: Final = -1024
_MARK_VALUE: Final = 400 - OFFSET_HU
_TEXTURE_PERIOD_MM: Final = 42.0
_BATCH: Final = 8


def slices(
    scene: Scene, stack: Stack, seed: int, workers: int, *, contrast: bool, noise_hu: float
) -> Iterator[NDArray[np.uint16]]:
    """Render slices in order.

    Args:
        scene: the body.
        stack: where the slices lie; axial, 512 x 512.
        seed: decides the noise.
        workers: threads; the result does not depend on it.
        contrast: whether the vessels are enhanced.
        noise_hu: standard deviation of the noise.

    Yields:
        (512, 512) stored values: CT number + 1024, 12 bits.
    """
    tables = hu_table(contrast=contrast), texture_table()
    grain, tissue = noise.scanner_grain(), noise.texture_grain()
    mark = text_mask(SYNTHETIC, 14)
    body, spacing = scene.painted(), np.array(stack.grid(0).spacing)
    still = derive(seed, "texture")

    def batch(first: int, end: int) -> NDArray[np.uint16]:
        out = np.empty((end - first, MATRIX, MATRIX), np.uint16)
        draws = [derive(seed, "ct-noise", index) for index in range(first, end)]
        angles = [2 * math.pi * stack.location_mm(index) / _TEXTURE_PERIOD_MM for index in range(first, end)]
        ct_stack(
            body,
            np.array([stack.position_mm(index) for index in range(first, end)]),
            spacing,
            *tables,
            tissue,
            (np.column_stack([np.cos(angles), np.sin(angles)]) / noise.GRAIN).astype(np.float32),
            grain,
            np.array([(draw >> 20) % len(grain) for draw in draws]),
            np.array([(still >> 9 & 511, still & 511, draw >> 9 & 511, draw & 511) for draw in draws]),
            noise_hu / noise.GRAIN,
            mark,
            (8, 8, _MARK_VALUE),
            out,
        )
        return out

    for rendered in in_order(batch, stack.count, _BATCH, workers):
        yield from rendered
