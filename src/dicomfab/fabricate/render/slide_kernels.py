"""The compiled part of the slide: where stains are taken up, and the light that comes through."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.lookup import between

Floats = NDArray[np.float32]

_CRYPT_UM = 108.0  # from crypt to crypt
_CELL_UM = 8.6  # from cell to cell of the stroma
_EPITHELIUM_UM = 25.0


@kernel
def _draw(seed: np.uint64, kind: int, x: int, y: int) -> float:
    """A number from 0 to 1 that belongs to a place (splitmix64)."""
    value = seed ^ (np.uint64(kind + 1) * np.uint64(0x9E3779B97F4A7C15))
    value ^= np.uint64(x + 1048576) * np.uint64(0xBF58476D1CE4E5B9)
    value ^= np.uint64(y + 1048576) * np.uint64(0x94D049BB133111EB)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return float(value >> np.uint64(11)) / 9007199254740992.0


@kernel
def _depth(x: float, y: float, side: float, tiles: Floats) -> float:
    """How far inside the section a place lies, as part of its half width; negative on bare glass."""
    u, v = (x / side - 0.5) / 0.43, (y / side - 0.53) / 0.38
    if u * u + v * v < 0.36:  # far from every edge, where the exact depth does not matter
        return 0.3
    ragged = 0.05 * between(tiles[0], x / side * 90, y / side * 90) + 0.012 * between(tiles[1], x / 3.0, y / 3.0)
    return float(1.0 - (abs(u) ** 2.6 + abs(v) ** 2.6) ** (1 / 2.6) - ragged)


@kernel
def _dysplastic(x: float, y: float, side: float, tiles: Floats) -> bool:
    """Whether a crypt there belongs to the adenoma, which takes up one part of the section."""
    return x / side + 0.25 * (y / side - 0.5) + 0.06 * between(tiles[1], x / side * 60, y / side * 60) > 0.62


@kernel
def _crypt(seed: np.uint64, i: int, j: int, side: float, tiles: Floats, out: Floats) -> bool:
    """Centre, radius, and two waves of the outline of a crypt; false if there is none."""
    x = (i + 0.5 + 0.5 * (j & 1) + 0.28 * (_draw(seed, 0, i, j) - 0.5)) * _CRYPT_UM
    y = (j + 0.5 + 0.28 * (_draw(seed, 1, i, j) - 0.5)) * _CRYPT_UM * 0.88
    if _depth(x, y, side, tiles) * side < 110.0 or _draw(seed, 2, i, j) < 0.05:
        return False
    sick = _dysplastic(x, y, side, tiles)
    out[0], out[1] = x, y
    out[2] = 34.0 + 9.0 * _draw(seed, 3, i, j) + (4.0 if sick else 0.0)
    out[3], out[4] = 0.16 * _draw(seed, 4, i, j), 6.283 * _draw(seed, 5, i, j)
    out[5], out[6] = 0.08 * _draw(seed, 6, i, j), 6.283 * _draw(seed, 7, i, j)
    out[7] = 1.0 if sick else 0.0
    return True


@kernel
def _outline(crypt: Floats, angle: float) -> float:
    wave = crypt[3] * math.cos(2 * angle + crypt[4]) + crypt[5] * math.cos(3 * angle + crypt[6])
    return float(crypt[2] * (1.0 + wave))


@kernel
def _nucleus(
    stain: Floats,
    x0: float,
    y0: float,
    step: float,
    x: float,
    y: float,
    long: float,
    short: float,
    turn: float,
    strength: float,
    tiles: Floats,
) -> None:
    """Stain an ellipse: chromatin in clumps, a darker rim."""
    rows, columns = stain.shape
    cosine, sine = math.cos(turn), math.sin(turn)
    first_row, last_row = int(math.ceil((y - long - y0) / step)), int(math.floor((y + long - y0) / step))
    first, last = int(math.ceil((x - long - x0) / step)), int(math.floor((x + long - x0) / step))
    for row in range(max(first_row, 0), min(last_row, rows - 1) + 1):
        dy = y0 + row * step - y
        for column in range(max(first, 0), min(last, columns - 1) + 1):
            dx = x0 + column * step - x
            a, b = (dx * cosine + dy * sine) / long, (dy * cosine - dx * sine) / short
            radius = math.sqrt(a * a + b * b)
            if radius < 1.0:
                clumps = 0.16 * between(tiles[0], (x + dx) / 0.22, (y + dy) / 0.22)
                rim = 0.2 * radius**3
                edge = min((1.0 - radius) * short / 0.5, 1.0)
                stain[row, column] = max(stain[row, column], strength * edge * (0.85 + clumps + rim))


@kernel
def _stroma(x0: float, y0: float, step: float, side: float, tiles: Floats, stains: Floats) -> None:
    """Fibres of the lamina propria, pink and wavy; bare glass outside the section and in small clefts."""
    _, rows, columns = stains.shape
    for row in range(rows):
        y = y0 + row * step
        for column in range(columns):
            x = x0 + column * step
            if _depth(x, y, side, tiles) < 0:
                continue
            bend = 9.0 * between(tiles[0], x / 9.0, y / 9.0)
            fibre = between(tiles[1], (x + bend) / 3.2, (y + 0.6 * bend) / 0.75)
            cloud = between(tiles[0], x / 5.0 + 91, y / 5.0)
            eosin = 0.36 + 0.10 * fibre + 0.07 * cloud
            cleft = min(max((cloud + 0.7 * fibre - 1.9) * 2.5, 0.0), 0.92)
            stains[1, row, column] = max(eosin, 0.03) * (1 - cleft)
            stains[0, row, column] = max(0.065 + 0.02 * cloud, 0.0) * (1 - cleft)


@kernel
def _epithelium(
    x0: float, y0: float, step: float, seed: np.uint64, identity: int, crypt: Floats, tiles: Floats, stains: Floats
) -> None:
    """One crypt: columnar cells around a lumen, and their nuclei near the base, in two layers if it is sick."""
    _, rows, columns = stains.shape
    reach = crypt[2] * 1.3 + 3
    sick = crypt[7] > 0
    cells = int(2 * math.pi * crypt[2] / (4.6 if sick else 6.4))
    top, left = max(0, int((crypt[1] - reach - y0) / step)), max(0, int((crypt[0] - reach - x0) / step))
    bottom = min(rows, int((crypt[1] + reach - y0) / step) + 2)
    right = min(columns, int((crypt[0] + reach - x0) / step) + 2)
    for row in range(top, bottom):
        y = y0 + row * step
        for column in range(left, right):
            x = x0 + column * step
            if (x - crypt[0]) ** 2 + (y - crypt[1]) ** 2 < reach * reach:
                _crypt_at(x, y, seed, identity, cells, crypt, tiles, stains[:, row, column])
    for cell in range(cells):
        for layer in range(2 if sick else 1):
            kind = 11 + 4 * layer
            angle = (cell + 0.5 + 0.25 * (_draw(seed, kind, identity, cell) - 0.5) + 0.5 * layer) / cells * 2 * math.pi
            deep = 5.6 + 2.4 * _draw(seed, kind + 1, identity, cell) + 7.5 * layer
            radius = _outline(crypt, angle) - deep
            long = (5.4 if sick else 3.9) + 0.9 * _draw(seed, kind + 2, identity, cell)
            short = (2.2 if sick else 2.5) + 0.4 * _draw(seed, kind + 3, identity, cell)
            x, y = crypt[0] + radius * math.cos(angle), crypt[1] + radius * math.sin(angle)
            _nucleus(stains[0], x0, y0, step, x, y, long, short, angle, 1.02 if sick else 0.82, tiles)


@kernel
def _crypt_at(
    x: float, y: float, seed: np.uint64, identity: int, cells: int, crypt: Floats, tiles: Floats, out: Floats
) -> None:
    """The stains at a place within reach of a crypt; nothing changes outside it."""
    angle = math.atan2(y - crypt[1], x - crypt[0])
    inside = _outline(crypt, angle) - math.sqrt((x - crypt[0]) ** 2 + (y - crypt[1]) ** 2)
    if inside < -2.2:
        return
    if inside < 0:  # basement membrane
        out[0], out[1] = 0.12, 0.55
        return
    if inside > _EPITHELIUM_UM:  # lumen
        mucin = max(between(tiles[1], x / 4, y / 4), 0.0)
        out[0], out[1] = 0.03 + 0.03 * mucin, 0.02 + 0.04 * mucin
        return
    place = angle / (2 * math.pi) * cells + cells
    cell = int(place)
    across = abs(place - cell - 0.5) * 2  # 0 in the middle of a cell, 1 at its side
    grain = between(tiles[0], x / 0.9, y / 0.9)
    sick = crypt[7]
    hema, eosin = 0.20 + 0.03 * grain + 0.13 * sick, 0.36 + 0.05 * grain
    hollow = (across * 1.02) ** 2 + ((inside - 16.5) / 7.5) ** 2
    if hollow < 1.0 and _draw(seed, 10, identity, cell) < 0.55 - 0.43 * sick:  # a goblet of mucin
        fade = min((1.0 - hollow) * 4, 1.0)
        hema += (0.10 + 0.02 * grain - hema) * fade
        eosin += (0.05 - eosin) * fade
    if across > 0.9 or inside > _EPITHELIUM_UM - 1.2:
        eosin += 0.12
    out[0], out[1] = hema, eosin


@kernel
def _between_crypts(x: float, y: float, crypts: Floats) -> bool:
    """Whether a cell at a place would touch no crypt."""
    for n in range(len(crypts)):
        dx, dy = x - crypts[n, 0], y - crypts[n, 1]
        square = dx * dx + dy * dy
        near = square < (crypts[n, 2] * 1.3 + 5) ** 2
        if near and math.sqrt(square) < _outline(crypts[n], math.atan2(dy, dx)) + 3.6:
            return False
    return True


@kernel
def _cells(
    x0: float, y0: float, step: float, side: float, seed: np.uint64, crypts: Floats, tiles: Floats, stains: Floats
) -> None:
    """Lymphocytes, plasma cells and fibroblasts between the crypts."""
    _, rows, columns = stains.shape
    margin = 8.0
    for j in range(int((y0 - margin) / _CELL_UM) - 1, int((y0 + rows * step + margin) / _CELL_UM) + 1):
        for i in range(int((x0 - margin) / _CELL_UM) - 1, int((x0 + columns * step + margin) / _CELL_UM) + 1):
            x = (i + _draw(seed, 20, i, j)) * _CELL_UM
            y = (j + _draw(seed, 21, i, j)) * _CELL_UM
            crowd = 0.62 + 0.18 * between(tiles[1], x / 14.0, y / 14.0)
            if _draw(seed, 22, i, j) > crowd or _depth(x, y, side, tiles) * side < 4.0:
                continue
            if not _between_crypts(x, y, crypts):
                continue
            turn = 3.1416 * _draw(seed, 23, i, j)
            if _draw(seed, 24, i, j) < 0.3:
                _nucleus(stains[0], x0, y0, step, x, y, 6.4, 1.7, 0.25 * turn - 0.4, 0.72, tiles)
            else:
                size = 2.5 + 0.8 * _draw(seed, 25, i, j)
                _nucleus(stains[0], x0, y0, step, x, y, size, size * 0.88, turn, 1.0, tiles)


@kernel
def stained(x0: float, y0: float, step: float, side: float, seed: np.uint64, tiles: Floats, stains: Floats) -> None:
    """How much of each stain a piece of the section took up.

    Args:
        x0: of the first sample from the left edge, in micrometres.
        y0: of it from the upper edge.
        step: from sample to sample.
        side: of the whole square that was scanned.
        seed: decides where everything is.
        tiles: (2, 512, 512) periodic noise of unit variance.
        stains: (2, rows, columns) of zeros; optical density of haematoxylin and eosin.
    """
    _, rows, columns = stains.shape
    _stroma(x0, y0, step, side, tiles, stains)
    reach = 70.0
    low_i, high_i = int((x0 - reach) / _CRYPT_UM) - 2, int((x0 + columns * step + reach) / _CRYPT_UM) + 1
    low_j = int((y0 - reach) / (_CRYPT_UM * 0.88)) - 2
    high_j = int((y0 + rows * step + reach) / (_CRYPT_UM * 0.88)) + 1
    crypts = np.zeros(((high_i - low_i + 1) * (high_j - low_j + 1), 8), np.float32)
    count = 0
    for j in range(low_j, high_j + 1):
        for i in range(low_i, high_i + 1):
            if _crypt(seed, i, j, side, tiles, crypts[count]):
                _epithelium(x0, y0, step, seed, i * 4099 + j, crypts[count], tiles, stains)
                count += 1
    _cells(x0, y0, step, side, seed, crypts[:count], tiles, stains)


@kernel
def adenoma(side: float, seed: np.uint64, tiles: Floats, out: NDArray[np.float32]) -> int:
    """List the crypts of the adenoma.

    Args:
        side: of the whole square that was scanned, in micrometres.
        seed: decides where everything is.
        tiles: (2, 512, 512) periodic noise of unit variance.
        out: (most, 3); x and y of each centre from the left and upper edge, and how far its outline reaches.

    Returns:
        How many there are, even if ``out`` is too short for them.
    """
    crypt = np.zeros(8, np.float32)
    count = 0
    for j in range(int(side / (_CRYPT_UM * 0.88)) + 1):
        for i in range(-1, int(side / _CRYPT_UM) + 1):
            if _crypt(seed, i, j, side, tiles, crypt) and crypt[7] > 0:
                if count < len(out):
                    out[count, 0], out[count, 1] = crypt[0], crypt[1]
                    out[count, 2] = crypt[2] * (1.0 + crypt[3] + crypt[5])
                count += 1
    return count


@kernel
def coloured(stains: Floats, samples: int, glass: float, out: NDArray[np.uint8]) -> None:
    """The light that comes through (Beer and Lambert), and of several samples for a pixel their mean.

    Args:
        stains: (2, rows x samples, columns x samples).
        samples: along each side of a pixel.
        glass: value where nothing absorbs.
        out: (rows, columns, 3).
    """
    rows, columns, _ = out.shape
    share = glass / (samples * samples)
    for row in range(rows):
        for column in range(columns):
            red, green, blue = 0.0, 0.0, 0.0
            for m in range(row * samples, (row + 1) * samples):
                for n in range(column * samples, (column + 1) * samples):
                    h, e = 2.3026 * stains[0, m, n], 2.3026 * stains[1, m, n]
                    red += math.exp(-(0.62 * h + 0.05 * e))
                    green += math.exp(-(0.72 * h + 0.62 * e))
                    blue += math.exp(-(0.34 * h + 0.27 * e))
            out[row, column, 0] = np.uint8(red * share + 0.5)
            out[row, column, 1] = np.uint8(green * share + 0.5)
            out[row, column, 2] = np.uint8(blue * share + 0.5)
