"""The compiled inner loops of magnetic resonance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel


@kernel
def mean_signal(
    labels: NDArray[np.uint8],
    signals: NDArray[np.float32],
    texture: NDArray[np.float32],
    texture_a: NDArray[np.float32],
    texture_b: NDArray[np.float32],
    mix: NDArray[np.float32],
    shift: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """The mean over the sheets of a slice of what each tissue gives.

    Args:
        labels: (sheets, rows, columns).
        signals: mean signal per label.
        texture: standard deviation of its structure, per label.
        texture_a: periodic tile of 512 rows and twice its 512 columns.
        texture_b: another; between them structure changes from slice to slice.
        mix: weights of the two.
        shift: row and column, 0 to 511, by which they are moved.
        out: (rows, columns).
    """
    sheets, rows, columns = labels.shape
    part_a, part_b, share = mix[0], mix[1], np.float32(1.0 / sheets)
    for j in range(rows):
        t = (j + shift[0]) % texture_a.shape[0]
        ta, tb = texture_a[t, shift[1] : shift[1] + columns], texture_b[t, shift[1] : shift[1] + columns]
        result = out[j]
        result[:] = 0
        for k in range(sheets):
            row = labels[k, j]
            for i in range(columns):
                result[i] += share * (signals[row[i]] + texture[row[i]] * (part_a * ta[i] + part_b * tb[i]))


@kernel
def blur(image: NDArray[np.float32], weights: NDArray[np.float32], scratch: NDArray[np.float32]) -> None:
    """Blur an image in place, along rows and then along columns.

    Args:
        image: (rows, columns).
        weights: four: of a pixel itself, and of its neighbours up to three away on each side.
        scratch: (rows, columns).
    """
    rows, columns = image.shape
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    line = np.empty(columns + 6, np.float32)
    for j in range(rows):
        line[3 : columns + 3] = image[j]
        line[:3], line[columns + 3 :] = image[j, 0], image[j, columns - 1]
        result = scratch[j]
        for i in range(columns):
            near, far = line[i + 2] + line[i + 4], line[i + 1] + line[i + 5]
            result[i] = w0 * line[i + 3] + w1 * near + w2 * far + w3 * (line[i] + line[i + 6])
    for j in range(rows):
        a, b = scratch[max(j - 1, 0)], scratch[min(j + 1, rows - 1)]
        c, d = scratch[max(j - 2, 0)], scratch[min(j + 2, rows - 1)]
        e, f = scratch[max(j - 3, 0)], scratch[min(j + 3, rows - 1)]
        here, result = scratch[j], image[j]
        for i in range(columns):
            result[i] = w0 * here[i] + w1 * (a[i] + b[i]) + w2 * (c[i] + d[i]) + w3 * (e[i] + f[i])


@kernel
def magnitude(
    signal: NDArray[np.float32],
    shading: NDArray[np.float32],
    real: NDArray[np.float32],
    imaginary: NDArray[np.float32],
    shift: NDArray[np.int64],
    noise: float,
    out: NDArray[np.uint16],
) -> None:
    """The magnitude of a shaded signal with noise in both channels: Rician, and Rayleigh in air; 12 bits.

    Args:
        signal: (rows, columns), in stored values.
        shading: (rows, columns).
        real: a periodic tile of noise, 512 rows and twice its 512 columns.
        imaginary: another.
        shift: rows and columns, 0 to 511, by which the two are moved.
        noise: standard deviation.
        out: (rows, columns).
    """
    rows, columns = signal.shape
    strength, half, top = np.float32(noise), np.float32(0.5), np.float32(4095)
    for j in range(rows):
        re = real[(j + shift[0]) % real.shape[0], shift[1] : shift[1] + columns]
        im = imaginary[(j + shift[2]) % imaginary.shape[0], shift[3] : shift[3] + columns]
        row, gain, result = signal[j], shading[j], out[j]
        for i in range(columns):
            a, b = row[i] * gain[i] + strength * re[i], strength * im[i]
            result[i] = np.uint16(np.int32(min(np.float32(math.sqrt(a * a + b * b)) + half, top)))
