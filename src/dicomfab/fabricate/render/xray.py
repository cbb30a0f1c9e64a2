"""The compiled inner loops of X-ray imaging: line integrals, the detector, and the processing of its signal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel

Floats = NDArray[np.float32]


@kernel
def add_planes(labels: NDArray[np.uint8], attenuation: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Add the attenuation of every plane of a volume to one image.

    Args:
        labels: (planes, rows, columns).
        attenuation: per label and step.
        out: (rows, columns), added to.
    """
    planes, rows, columns = labels.shape
    for k in range(planes):
        for j in range(rows):
            row, sums = labels[k, j], out[j]
            for i in range(columns):
                sums[i] += attenuation[row[i]]


@kernel
def lifted(small: Floats, place: float, out: Floats) -> None:
    """One row of a small image at a height between its rows, clamped at its edges.

    Args:
        small: (rows, columns).
        place: row, with a fraction.
        out: (columns + 2,): the row, with its ends repeated.
    """
    rows, columns = small.shape
    place = min(max(place, 0.0), rows - 1.0)
    below = min(int(place), rows - 2) if rows > 1 else 0
    part = np.float32(place - below)
    upper, lower = small[below], small[min(below + 1, rows - 1)]
    for i in range(columns):
        out[i + 1] = upper[i] + part * (lower[i] - upper[i])
    out[0], out[columns + 1] = out[1], out[columns]


@kernel
def widened(line: Floats, scale: int, out: Floats) -> None:
    """A row at ``scale`` times as many columns, linear between them.

    Args:
        line: as of :func:`lifted`.
        scale: even.
        out: as many columns as wanted; past the end of the line its last value.
    """
    columns = line.size - 2
    half = scale // 2
    step = np.float32(1.0 / scale)
    for i in range(min(out.size, columns * scale)):
        # Centre of this column, in columns of the line whose first stands at 1.
        cell = (i + half) // scale
        part = (np.float32((i + half) - cell * scale) + np.float32(0.5)) * step
        out[i] = line[cell] + part * (line[cell + 1] - line[cell])
    for i in range(columns * scale, out.size):
        out[i] = line[columns]


@kernel
def expose(
    primary: Floats,
    scatter: Floats,
    grain: Floats,
    turns: NDArray[np.int64],
    quanta: float,
    scale: int,
    first: int,
    out: NDArray[np.uint16],
) -> None:
    """What a digital detector counts: primary beam, scattered radiation and quantum noise.

    Args:
        primary: share of the beam that passes, on a grid ``scale`` times as coarse as the detector.
        scatter: scattered share, on a grid of an eighth.
        grain: periodic tile of unit variance, 512 rows and twice its 512 columns.
        turns: (bands of 512 rows, 2) offsets of the tile.
        quanta: that each detector element would count without an object.
        scale: 2, 4 or 8.
        first: row of the detector that ``out`` begins with.
        out: (rows, columns).
    """
    rows, columns = out.shape
    beam, haze = np.empty(primary.shape[1] + 2, np.float32), np.empty(scatter.shape[1] + 2, np.float32)
    direct, stray = np.empty(columns, np.float32), np.empty(columns, np.float32)
    gain, half = np.float32(quanta), np.float32(0.5)
    for n in range(rows):
        j = first + n
        lifted(primary, (j + 0.5) / scale - 0.5, beam)
        widened(beam, scale, direct)
        lifted(scatter, (j + 0.5) / 8 - 0.5, haze)
        widened(haze, 8, stray)
        band = turns[j // 512]
        tile = grain[(j + band[0]) % 512]
        row = out[n]
        for i in range(columns):
            count = gain * (direct[i] + stray[i])
            count += np.sqrt(count) * tile[(i + band[1]) & 511] + half
            count = count if count > np.float32(0) else np.float32(0)
            count = count if count < np.float32(16383) else np.float32(16383)
            row[i] = np.uint16(np.int32(count))


@kernel
def reduce(raw: NDArray[np.uint16], curve: Floats, out: Floats) -> None:
    """Means of a curve's values over 8 x 8 detector elements.

    Args:
        raw: (8 x rows, columns).
        curve: value for each count.
        out: (rows, columns // 8).
    """
    rows, columns = out.shape
    share = np.float32(1 / 64)
    for j in range(rows):
        sums = out[j]
        sums[:] = 0
        for k in range(8):
            line = raw[8 * j + k]
            for i in range(columns):
                part = np.float32(0)
                for n in range(8):
                    part += curve[line[8 * i + n]]
                sums[i] += part
        for i in range(columns):
            sums[i] *= share


@kernel
def process(
    raw: NDArray[np.uint16],
    curve: Floats,
    base: Floats,
    detail: Floats,
    tone: NDArray[np.uint16],
    low: float,
    step: float,
    first: int,
    out: NDArray[np.uint16],
) -> None:
    """Bands of spatial frequency, weighted and put through a tone curve.

    Args:
        raw: counts of the whole detector.
        curve: signal for each count, already times its weight.
        base: what is added to the signal, on a grid of an eighth: the weighted low frequencies.
        detail: another such image.
        tone: stored value for each of its steps.
        low: signal at the first step of the tone curve.
        step: signal from one of its steps to the next.
        first: row of the detector that ``out`` begins with.
        out: (rows, columns).
    """
    rows, columns = out.shape
    small = np.empty(base.shape[1] + 2, np.float32)
    one, two = np.empty(columns, np.float32), np.empty(columns, np.float32)
    scale, start, last = np.float32(1 / step), np.float32(low), np.float32(tone.size - 1)
    for n in range(rows):
        j = first + n
        place = (j + 0.5) / 8 - 0.5
        lifted(base, place, small)
        widened(small, 8, one)
        lifted(detail, place, small)
        widened(small, 8, two)
        line, row = raw[j], out[n]
        for i in range(columns):
            value = (curve[line[i]] + one[i] + two[i] - start) * scale
            value = value if value > np.float32(0) else np.float32(0)
            value = value if value < last else last
            row[i] = tone[np.int32(value)]
