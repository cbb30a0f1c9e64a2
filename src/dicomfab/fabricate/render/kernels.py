"""The compiled inner loops of the renderers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel


@kernel
def ct_slice(
    labels: NDArray[np.uint8],
    hu: NDArray[np.float32],
    gain: NDArray[np.float32],
    texture_a: NDArray[np.float32],
    texture_b: NDArray[np.float32],
    mix: NDArray[np.float32],
    noise: NDArray[np.float32],
    shift: NDArray[np.int64],
    noise_hu: float,
    scratch: NDArray[np.float32],
    out: NDArray[np.uint16],
) -> None:
    """One axial slice: tissue means and texture, the scanner's point spread, its noise, and 12 stored bits.

    Args:
        labels: (y, x).
        hu: mean CT number per label.
        gain: texture strength per label.
        texture_a: periodic tile of 512 rows and twice its 512 columns.
        texture_b: another; between them structure changes from slice to slice.
        mix: weights of the two.
        noise: another such tile.
        shift: rows and columns, 0 to 511, by which the texture and then the noise are moved.
        noise_hu: standard deviation of the noise.
        scratch: (y, x).
        out: (y, x), CT number + 1024, 0 to 4095.
    """
    rows, columns = labels.shape
    side, middle = np.float32(0.23), np.float32(0.54)
    line = np.empty(columns + 2, np.float32)
    for j in range(rows):
        start = shift[1]
        ta = texture_a[(j + shift[0]) % texture_a.shape[0], start : start + columns]
        tb = texture_b[(j + shift[0]) % texture_b.shape[0], start : start + columns]
        row, result = labels[j], scratch[j]
        highest = np.uint8(0)
        for i in range(columns):
            highest = max(highest, row[i])
        if highest == 0:  # nothing but air, as in most rows beside the body
            result[:] = hu[0]
            continue
        for i in range(columns):
            line[i + 1] = hu[row[i]] + gain[row[i]] * (mix[0] * ta[i] + mix[1] * tb[i])
        line[0], line[columns + 1] = line[1], line[columns]
        left, here, right = line[:columns], line[1 : columns + 1], line[2:]
        for i in range(columns):
            result[i] = side * (left[i] + right[i]) + middle * here[i]
    strength, lift = np.float32(noise_hu), np.float32(1024.5)
    for j in range(rows):
        above, here, below = scratch[max(j - 1, 0)], scratch[j], scratch[min(j + 1, rows - 1)]
        grain = noise[(j + shift[2]) % noise.shape[0], shift[3] : shift[3] + columns]
        stored = out[j]
        for i in range(columns):
            value = side * (above[i] + below[i]) + middle * here[i] + strength * grain[i] + lift
            value = value if value > np.float32(0) else np.float32(0)
            value = value if value < np.float32(4095) else np.float32(4095)
            stored[i] = np.uint16(np.int32(value))


@kernel
def ray_sums(labels: NDArray[np.uint8], attenuation: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Sums of attenuation along the middle axis of a volume.

    Args:
        labels: (z, steps, columns).
        attenuation: per label and step; whole numbers, so that the order of addition does not matter.
        out: (z, columns).
    """
    planes, steps, columns = labels.shape
    for k in range(planes):
        sums = out[k]
        sums[:] = 0
        for j in range(steps):
            row = labels[k, j]
            for i in range(columns):
                sums[i] += attenuation[row[i]]
