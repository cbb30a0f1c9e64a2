"""The borders of a mask as closed polygons."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]

# Directions along a border, with the mask to the right: right, down, left, up; a step of each in rows and columns.
_STEPS: Final = np.array(((0, 1), (1, 0), (0, -1), (-1, 0)))


def outlines(mask: NDArray[np.bool_], *, smallest: float = 0.0) -> list[Polygon]:
    """The outer border of each part of a mask; holes are not told. Parts that meet at corners only are apart.

    Args:
        mask: (rows, columns).
        smallest: parts of a smaller area, in pixels, are left out.

    Returns:
        For each part its corners, (n, 2): row and column, which count from 0 at the middle of the first pixel. They
        lie halfway between pixels of the mask and others, as marching squares put them.
    """
    down, along = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(down):
        return []
    mask = mask[down[0] : down[-1] + 1, along[0] : along[-1] + 1]
    corners, directions = _edges(mask)
    following = _following(corners, directions, mask.shape)
    order, loops = _ordered(following.tolist())
    middles = corners + (down[0] - 0.5, along[0] - 0.5) + _STEPS[directions] / 2
    rows, columns = middles.T
    crossed = columns * rows[following] - columns[following] * rows
    areas = np.bincount(loops, crossed[order]) / 2
    starts = np.searchsorted(loops, np.arange(len(areas) + 1))
    return [
        _corners(middles[order[starts[loop] : starts[loop + 1]]])
        for loop in np.flatnonzero(areas > smallest)  # it is negative around a hole
    ]


def area(polygon: Polygon) -> float:
    """What a polygon encloses, in pixels."""
    rows, columns = polygon.T
    return abs(float(np.sum(columns * np.roll(rows, -1) - np.roll(columns, -1) * rows) / 2))


def _edges(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unit edges between the mask and what is around it: the corner that each begins at, and its direction.

    Corner (0, 0) is above and before the first pixel.
    """
    padded = np.pad(mask, 1)
    around = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    begins = ((0, 0), (0, 1), (1, 1), (1, 0))
    # Whole arrays are searched much faster in one dimension than in two.
    found = [np.flatnonzero((mask & ~beside).reshape(-1)) for beside in around]
    corners = [np.column_stack(np.divmod(one, mask.shape[1])) + begin for one, begin in zip(found, begins, strict=True)]
    return np.concatenate(corners), np.repeat(np.arange(4), [len(one) for one in found])


def _following(corners: NDArray[np.int64], directions: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The index of the edge that follows each; where borders cross, the one around the same pixel."""
    index = np.full((shape[0] + 1, shape[1] + 1, 4), -1, np.int32)
    index[corners[:, 0], corners[:, 1], directions] = np.arange(len(corners))
    rows, columns = (corners + _STEPS[directions]).T
    right, ahead, left = (index[rows, columns, (directions + turn) % 4] for turn in (1, 0, 3))
    return np.asarray(np.where(right >= 0, right, np.where(ahead >= 0, ahead, left)), np.int64)


def _ordered(following: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges in the order of their borders, and the number of the border of each."""
    order: list[int] = []
    loops: list[int] = []
    taken = bytearray(len(following))
    count = 0
    for start in range(len(following)):
        if taken[start]:
            continue
        before, edge = len(order), start
        while not taken[edge]:
            taken[edge] = 1
            order.append(edge)
            edge = following[edge]
        loops.extend([count] * (len(order) - before))
        count += 1
    return np.array(order), np.array(loops)


def _corners(polygon: Polygon) -> Polygon:
    """Without points that lie on a straight line between their neighbours."""
    before, after = polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon
    turning = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return np.asarray(polygon[turning])
