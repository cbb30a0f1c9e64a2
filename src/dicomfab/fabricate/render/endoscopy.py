"""Colonoscopy: the view of a camera with its own light into a folded tube of mucosa, with a polyp on its wall."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.lookup import between, tiles
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask
from dicomfab.fabricate.seeds import Draw

ROWS: Final = 576
COLUMNS: Final = 720
CENTRE: Final = (288, 410)  # row and column of the middle of the round picture
RADIUS: Final = 270
_FAR_MM: Final = 42.0  # from the first image to the polyp
_FIELD: Final = math.radians(66)  # from the middle to the rim of the picture

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Polyp:
    """A polyp.

    Args:
        angle: where on the wall, in radians: 0 at three o'clock, pi / 2 at six.
        radius_mm: of its head.
        depth_mm: along the bowel.
    """

    angle: float
    radius_mm: float
    depth_mm: float

    @classmethod
    def of(cls, seed: int) -> Polyp:
        """The polyp of a seed."""
        drawn = Draw(seed, "polyp")
        return cls(drawn.between(-math.pi, math.pi), drawn.between(4.5, 7.5), drawn.between(55, 75))


def images(seed: int, count: int, workers: int) -> Iterator[Picture]:
    """Render images on the way towards the polyp.

    Args:
        seed: decides the bowel and the polyp.
        count: images.
        workers: threads; the result does not depend on it.

    Yields:
        (576, 720, 3).
    """
    polyp, shape = Polyp.of(seed), _shape(seed)
    noise, mark = tiles(), text_mask(SYNTHETIC, 16)

    def batch(index: int, _end: int) -> Picture:
        z, turn = _camera(polyp, index, count)
        out = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        _view(shape, z, turn, noise, float(CENTRE[0]), float(CENTRE[1]), float(RADIUS), _FIELD, out)
        blend(out, mark, -8, 10, (220, 220, 220))
        return out

    yield from in_order(batch, count, 1, workers)


def seen(seed: int, index: int, count: int) -> NDArray[np.bool_]:
    """Where the polyp is in an image: the pixels that have at least half of its colour.

    Args:
        seed: decides the bowel and the polyp.
        index: of the image, from 0.
        count: images.

    Returns:
        (576, 720); nowhere true if a fold hides the polyp or it is out of view.
    """
    shape = _shape(seed)
    z, turn = _camera(Polyp.of(seed), index, count)
    out = np.zeros((ROWS, COLUMNS), np.bool_)
    _find(shape, z, turn, float(CENTRE[0]), float(CENTRE[1]), float(RADIUS), _FIELD, out)
    return out


def _camera(polyp: Polyp, index: int, count: int) -> tuple[float, float]:
    """How far along the bowel the camera is, and how much it leans towards the polyp."""
    near = index / max(count - 1, 1)
    return polyp.depth_mm - _FAR_MM + near * (_FAR_MM - 18), 0.10 * near


def _shape(seed: int) -> Doubles:
    """What the kernels need to know of bowel and polyp."""
    polyp, drawn = Polyp.of(seed), Draw(seed, "colon")
    bends = drawn.between(0, 6.28), drawn.between(0, 6.28)
    shape = np.zeros(14)
    shape[:8] = (
        drawn.between(16, 19), *bends, drawn.between(20, 25),
        polyp.angle, polyp.radius_mm, polyp.depth_mm, drawn.between(0, 400),
    )  # fmt: skip
    shape[10:] = [function(bend) for bend in bends for function in (math.cos, math.sin)]
    # The head of the polyp stands out of the wall by a little more than half.
    aside, down = math.cos(polyp.angle), math.sin(polyp.angle)
    reach = _wall(shape, aside, down, polyp.depth_mm) - 0.2 * polyp.radius_mm
    shape[8:10] = reach * aside, reach * down
    return shape


@kernel
def _wall(shape: Doubles, c: float, s: float, z: float) -> float:
    """Distance of the wall from the axis: folds that run most of the way round, three bands between them.

    Args:
        shape: see :func:`images`.
        c: cosine of the angle around the axis.
        s: sine of it.
        z: along the axis.
    """
    s2, c3, s3 = 2 * s * c, c * (4 * c * c - 3), s * (3 - 4 * s * s)
    place = (
        z / shape[3] + 0.13 * (s * shape[10] + c * shape[11]) + 0.05 * (s2 * shape[12] + (c * c - s * s) * shape[13])
    )
    fold = math.floor(place + 0.5)
    ridge = math.cos(math.pi * (place - fold))  # 1 on a fold, 0 between two
    turn = shape[1] + 2.1 * fold
    height = 0.30 + 0.10 * (s3 * math.cos(turn) + c3 * math.sin(turn))
    return float(shape[0] * (1.0 + 0.05 * (c3 * shape[12] - s3 * shape[13]) - height * ridge**10))


@kernel
def _inside(shape: Doubles, x: float, y: float, z: float) -> float:
    """Roughly how far from the mucosa a place in the lumen is."""
    ax = x - 5.0 * math.sin(z / 46.0 + shape[1]) + 5.0 * shape[11]
    ay = y - 4.0 * math.sin(z / 39.0 + shape[2]) + 4.0 * shape[13]
    rho = math.sqrt(ax * ax + ay * ay) + 1e-9
    wall = (_wall(shape, ax / rho, ay / rho, z) - rho) * 0.75
    dx, dy, dz = ax - shape[8], ay - shape[9], z - shape[6]
    head = math.sqrt(dx * dx + dy * dy + dz * dz) - shape[5]
    if head > wall + 2.6:
        return float(wall)
    head += 0.30 * math.sin(dx * 0.9 + 1.0) * math.sin(dy * 1.0) * math.sin(dz * 0.8 + 0.5)
    head += 0.10 * math.sin(dx * 1.7 + 1.3 * dy) * math.sin(dz * 1.9 - 0.8 * dx)
    mix = min(max(0.5 + 0.5 * (wall - head) / 2.2, 0.0), 1.0)  # the neck is smooth
    return float(wall * (1 - mix) + head * mix - 2.2 * mix * (1 - mix))


@kernel
def _ray(u: float, v: float, field: float, lean_x: float, lean_y: float, out: Doubles) -> None:
    """The direction of a pixel; u and v run from -1 to 1 over the round picture."""
    away = math.sqrt(u * u + v * v)
    scale = math.sin(away * field) / max(away, 1e-6)
    out[0], out[1], out[2] = u * scale + lean_x, v * scale + lean_y, math.cos(away * field)
    length = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    out[0], out[1], out[2] = out[0] / length, out[1] / length, out[2] / length


@kernel
def _way(shape: Doubles, start: Doubles, ray: Doubles, way: float, spread: float) -> float:
    """How far along a ray the wall is; with a spread, how far every ray within it is surely free."""
    for _ in range(90):
        gap = _inside(shape, start[0] + way * ray[0], start[1] + way * ray[1], start[2] + way * ray[2])
        if gap < 0.04 + 1.5 * spread * way or way > 190:
            break
        way += max((gap - spread * way) * 0.8, 0.05)
    return way


@kernel
def _eye(shape: Doubles, z: float) -> Doubles:
    """Where the camera is: a little to the side that the polyp is not on."""
    side = 0.12 * shape[0]
    return np.array([side * math.cos(shape[4] + 2.6), side * math.sin(shape[4] + 2.6), z])


@kernel
def _find(
    shape: Doubles,
    z0: float,
    turn: float,
    row0: float,
    column0: float,
    radius: float,
    field: float,
    out: NDArray[np.bool_],
) -> None:
    """Follow the rays that pass near the head of the polyp, and mark those that end on it."""
    rows, columns = out.shape
    ray = np.zeros(3)
    start = _eye(shape, z0)
    lean_x, lean_y = turn * math.cos(shape[4]), turn * math.sin(shape[4])
    bend_x = 5.0 * math.sin(shape[6] / 46.0 + shape[1]) - 5.0 * shape[11]
    bend_y = 4.0 * math.sin(shape[6] / 39.0 + shape[2]) - 4.0 * shape[13]
    head = np.array([shape[8] + bend_x, shape[9] + bend_y, shape[6]]) - start
    square, near = float((head * head).sum()), (1.3 * shape[5] + 1.2) ** 2
    for row in range(rows):
        for column in range(columns):
            v, u = (row - row0) / radius, (column - column0) / radius
            if u * u + v * v >= 1.0:
                continue
            _ray(u, v, field, lean_x, lean_y, ray)
            along = float((ray * head).sum())
            if along < 0.0 or square - along * along > near:
                continue
            way = _way(shape, start, ray, 0.0, 0.0)
            x, y, z = start[0] + way * ray[0], start[1] + way * ray[1], start[2] + way * ray[2]
            ax = x - 5.0 * math.sin(z / 46.0 + shape[1]) + 5.0 * shape[11]
            ay = y - 4.0 * math.sin(z / 39.0 + shape[2]) + 4.0 * shape[13]
            reach = math.sqrt((ax - shape[8]) ** 2 + (ay - shape[9]) ** 2 + (z - shape[6]) ** 2)
            out[row, column] = reach <= shape[5] + 0.6


@kernel
def _view(
    shape: Doubles,
    z0: float,
    turn: float,
    noise: Floats,
    row0: float,
    column0: float,
    radius: float,
    field: float,
    out: Picture,
) -> None:
    """Follow each pixel's ray to the wall, and light it from the camera; eight by eight pixels begin together."""
    rows, columns, _ = out.shape
    block = 8
    colour, ray = np.zeros(3), np.zeros(3)
    start = _eye(shape, z0)
    lean_x, lean_y = turn * math.cos(shape[4]), turn * math.sin(shape[4])
    spread = 0.75 * block * field / radius
    for top in range(0, rows, block):
        for left in range(0, columns, block):
            v, u = (top + block / 2 - row0) / radius, (left + block / 2 - column0) / radius
            if u * u + v * v > 1.1:
                continue
            _ray(u, v, field, lean_x, lean_y, ray)
            free = _way(shape, start, ray, 0.0, spread)
            for row in range(top, top + block):
                for column in range(left, left + block):
                    v, u = (row - row0) / radius, (column - column0) / radius
                    away = math.sqrt(u * u + v * v)
                    if away >= 1.0:
                        continue
                    _ray(u, v, field, lean_x, lean_y, ray)
                    way = _way(shape, start, ray, free, 0.0)
                    _lit(shape, start, ray, way, noise, colour)
                    rim = min((1.0 - away) * 40, 1.0) * (1.0 - 0.25 * away**4)
                    for sample in range(3):
                        out[row, column, sample] = np.uint8(min(max(colour[sample] * rim, 0.0), 255.0))


@kernel
def _lit(shape: Doubles, start: Doubles, ray: Doubles, way: float, noise: Floats, colour: Doubles) -> None:
    """The colour of a place on the mucosa."""
    small = 0.12
    x, y, z = start[0] + way * ray[0], start[1] + way * ray[1], start[2] + way * ray[2]
    ax = x - 5.0 * math.sin(z / 46.0 + shape[1]) + 5.0 * shape[11]
    ay = y - 4.0 * math.sin(z / 39.0 + shape[2]) + 4.0 * shape[13]
    # Once round the bowel is once across the tile, so that no seam shows.
    around, along = math.atan2(ay, ax) / (2 * math.pi) * 512.0, z * 4.8 + shape[7]
    reach = math.sqrt((ax - shape[8]) ** 2 + (ay - shape[9]) ** 2 + (z - shape[6]) ** 2)
    polyp = min(max((shape[5] + 1.2 - reach) / 1.2, 0.0), 1.0)
    here = _inside(shape, x, y, z)
    rough = 0.006 / (1.0 + way / 25.0)
    nx = _inside(shape, x + small, y, z) - here + rough * between(noise[0], around * 3, along * 3)
    ny = _inside(shape, x, y + small, z) - here + rough * between(noise[1], around * 3, along * 3 + 77)
    nz = _inside(shape, x, y, z + small) - here + rough * between(noise[0], around * 3 + 191, along * 3)
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    facing = max(-(nx * ray[0] + ny * ray[1] + nz * ray[2]) / length, 0.0)
    light = 1.55 / (1.0 + (way / 30.0) ** 2)
    level = min(light, 1.2) * (0.16 + 0.84 * facing**0.9)
    shine = 150.0 * facing**140 * min(light, 0.9)
    cloud = between(noise[1], around + 200, along)
    # Vessels are where noise is near zero, larger ones and finer ones.
    large = max(0.0, 1.0 - abs(between(noise[0], around + 31, along)) * 9.0)
    fine = max(0.0, 1.0 - abs(between(noise[1], around * 2, along * 2 + 55)) * 6.0)
    vessel = (0.50 * large + 0.28 * fine) * (1.0 - polyp)
    aside = (ay - shape[9]) * math.cos(shape[4]) - (ax - shape[8]) * math.sin(shape[4])
    pits = max(0.0, 1.0 - abs(between(noise[0], aside * 11.0, (z - shape[6]) * 11.0)) * 2.5) * polyp
    red = 238.0 + 5.0 * cloud - 34.0 * vessel - 10.0 * polyp - 26.0 * pits
    green = 140.0 + 9.0 * cloud - 58.0 * vessel - 38.0 * polyp - 34.0 * pits
    blue = 110.0 + 8.0 * cloud - 44.0 * vessel - 18.0 * polyp - 26.0 * pits
    colour[0] = red * level**0.85 + shine
    colour[1] = green * level + shine
    colour[2] = blue * level**1.05 + shine
