"""The compiled inner loops of the renderers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.paint import paint
from dicomfab.fabricate.anatomy.scene import Painted
from dicomfab.fabricate.jit import kernel


@kernel
def _occupied(words: NDArray[np.uint64]) -> tuple[int, int]:
    """Where the part of a row that is not air begins and ends, in words of eight labels; equal if there is none."""
    first, last = 0, words.size
    while first < last and words[first] == 0:
        first += 1
    while last > first and words[last - 1] == 0:
        last -= 1
    return first, last


@kernel
def _ct_row(
    row: NDArray[np.uint8],
    hu: NDArray[np.float32],
    gain: NDArray[np.float32],
    texture_a: NDArray[np.int8],
    texture_b: NDArray[np.int8],
    mix: NDArray[np.float32],
    line: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Tissue means and texture of a row, blurred along it; ``line`` is scratch, two longer than the row."""
    side, middle = np.float32(0.23), np.float32(0.54)
    part_a, part_b = mix[0], mix[1]
    words = row.view(np.uint64)
    first, last = _occupied(words)
    out[:] = hu[0]
    if first == last:  # nothing but air
        return
    low, high = max(first * 8 - 1, 0), min(last * 8 + 1, row.size)
    line[low] = line[low + 1] = line[high] = line[high + 1] = hu[0]
    for word in range(first, last):
        start = word * 8
        label = row[start]
        mean, strength = hu[label], gain[label]
        # Most of a row is of one tissue for long; then nothing has to be looked up for each voxel.
        if words[word] == np.uint64(label) * np.uint64(0x0101010101010101):
            for i in range(start, start + 8):
                line[i + 1] = mean + strength * (part_a * np.float32(texture_a[i]) + part_b * np.float32(texture_b[i]))
        else:
            for i in range(start, start + 8):
                texture = part_a * np.float32(texture_a[i]) + part_b * np.float32(texture_b[i])
                line[i + 1] = hu[row[i]] + gain[row[i]] * texture
    if low == 0:
        line[0] = line[1]
    if high == row.size:
        line[high + 1] = line[high]
    before, here, after = line[low:high], line[low + 1 : high + 1], line[low + 2 : high + 2]
    result = out[low:high]
    for i in range(result.size):
        result[i] = side * (before[i] + after[i]) + middle * here[i]


@kernel
def _ct_blend(
    above: NDArray[np.float32],
    at: NDArray[np.float32],
    below: NDArray[np.float32],
    speck: NDArray[np.int8],
    strength: np.float32,
    out: NDArray[np.uint16],
) -> None:
    """A row blurred with its neighbours, noise put on it, and stored."""
    side, middle, lift = np.float32(0.23), np.float32(0.54), np.float32(1024.5)
    for i in range(out.size):
        value = side * (above[i] + below[i]) + middle * at[i] + strength * np.float32(speck[i]) + lift
        value = min(max(value, np.float32(0)), np.float32(4095))
        out[i] = np.uint16(np.int32(value))


@kernel
def ct_slice(
    labels: NDArray[np.uint8],
    hu: NDArray[np.float32],
    gain: NDArray[np.float32],
    texture_a: NDArray[np.int8],
    texture_b: NDArray[np.int8],
    mix: NDArray[np.float32],
    grain: NDArray[np.int8],
    shift: NDArray[np.int64],
    grain_hu: float,
    out: NDArray[np.uint16],
) -> None:
    """One axial slice: tissue means and texture, the scanner's point spread, its noise, and 12 stored bits.

    Args:
        labels: (y, x), 0 for air; rows are whole multiples of eight.
        hu: mean CT number per label.
        gain: texture strength per label.
        texture_a: periodic tile of 512 rows and twice its 512 columns.
        texture_b: another; between them structure changes from slice to slice.
        mix: weights of the two, for what their bytes mean.
        grain: another such tile, the noise.
        shift: rows and columns, 0 to 511, by which the texture and then the noise are moved.
        grain_hu: what 1 in the noise tile means.
        out: (y, x), CT number + 1024, 0 to 4095.
    """
    rows, columns = labels.shape
    strength = np.float32(grain_hu)
    line, ring = np.empty(columns + 2, np.float32), np.empty((3, columns), np.float32)
    for j in range(rows + 1):  # each row is finished when the one below it is known
        here = min(j, rows - 1)
        t = (here + shift[0]) % texture_a.shape[0]
        ta, tb = texture_a[t][shift[1] : shift[1] + columns], texture_b[t][shift[1] : shift[1] + columns]
        _ct_row(labels[here], hu, gain, ta, tb, mix, line, ring[j % 3])
        if j == 0:
            continue
        above, at, below = ring[max(j - 2, 0) % 3], ring[(j - 1) % 3], ring[j % 3]
        speck = grain[(j - 1 + shift[2]) % grain.shape[0]][shift[3] : shift[3] + columns]
        _ct_blend(above, at, below, speck, strength, out[j - 1])


@kernel
def _mark(plane: NDArray[np.uint16], mask: NDArray[np.float32], row: int, column: int, value: float) -> None:
    """Blend a mask into a slice."""
    for j in range(mask.shape[0]):
        part = plane[row + j][column : column + mask.shape[1]]
        for i in range(part.size):
            cover = mask[j, i]
            part[i] = np.uint16(np.float32(part[i]) * (np.float32(1) - cover) + np.float32(value) * cover)


@kernel
def ct_stack(
    body: Painted,
    origins: NDArray[np.float64],
    spacing: NDArray[np.float64],
    hu: NDArray[np.float32],
    gain: NDArray[np.float32],
    texture: NDArray[np.int8],
    mixes: NDArray[np.float32],
    grain: NDArray[np.int8],
    tiles: NDArray[np.int64],
    shifts: NDArray[np.int64],
    grain_hu: float,
    mark: NDArray[np.float32],
    place: tuple[int, int, float],
    out: NDArray[np.uint16],
) -> None:
    """Several axial slices of a body, in one call: threads that render seldom wait for the interpreter so.

    Args:
        body: what to paint, see :func:`~dicomfab.fabricate.anatomy.paint.paint`.
        origins: (slices, 3), centre of each slice's first voxel.
        spacing: between voxel centres.
        hu: see :func:`ct_slice`, like ``gain`` and ``grain_hu``.
        gain: texture strength per label.
        texture: the two tiles of it.
        mixes: (slices, 2), their weights.
        grain: (tiles, rows, columns), tiles of noise.
        tiles: which of them each slice has.
        shifts: (slices, 4).
        grain_hu: what 1 in the noise means.
        mark: a mask, and
        place: its first row and column in the slice, and the stored value where it covers.
        out: (slices, y, x).
    """
    labels = np.empty((1, out.shape[1], out.shape[2]), np.uint8)
    still = np.zeros((1, 2))
    for n in range(out.shape[0]):  # one plane at a time stays in the processor's cache
        labels[:] = 0
        paint(*body, origins[n], spacing, still, labels)
        ct_slice(labels[0], hu, gain, texture[0], texture[1], mixes[n], grain[tiles[n]], shifts[n], grain_hu, out[n])
        _mark(out[n], mark, place[0], place[1], place[2])


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
