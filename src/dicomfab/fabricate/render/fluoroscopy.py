"""X-ray cine with a C-arm: rays that diverge from a focal spot, through a volume of labels, at any angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Box, Grid, Scene
from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.noise import TILE
from dicomfab.fabricate.render.projection import grain

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
_PLANES: Final = 16
_RAY_ROWS: Final = 32
RAY_PIXELS: Final = 2


@dataclass(frozen=True, slots=True)
class CArm:
    """Where focal spot and detector stand (PS3.3 C.8.7.5).

    Args:
        primary_deg: positioner primary angle; positive with the detector on the patient's left (LAO).
        secondary_deg: positioner secondary angle; positive with the detector towards the head (CRA).
        source_detector_mm: distance.
        source_isocentre_mm: distance.
        size: rows and columns of the detector.
        pixel_mm: of the detector.
        isocentre_mm: in the body's coordinates; it projects to the middle of the image.
    """

    primary_deg: float
    secondary_deg: float
    source_detector_mm: float
    source_isocentre_mm: float
    size: int
    pixel_mm: float
    isocentre_mm: tuple[float, float, float]

    @property
    def magnification(self) -> float:
        """Of what lies at the isocentre."""
        return self.source_detector_mm / self.source_isocentre_mm

    def frame(self) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Focal spot, and unit vectors: of the central ray, of the image's rows, and up the image's columns."""
        alpha, beta = np.radians(self.primary_deg), np.radians(self.secondary_deg)
        ray = np.array([np.sin(alpha) * np.cos(beta), -np.cos(alpha) * np.cos(beta), np.sin(beta)])
        right = np.array([np.cos(alpha), np.sin(alpha), 0.0])
        return np.array(self.isocentre_mm) - ray * self.source_isocentre_mm, ray, right, np.cross(ray, right)

    def seen(self, points: Doubles) -> tuple[Doubles, Doubles]:
        """Where points fall on the detector.

        Args:
            points: (n, 3).

        Returns:
            (n, 2) column and row, 0 at the centre of the first pixel; and (n,) pixels per mm at each point.
        """
        source, ray, right, up = self.frame()
        away = points - source
        scale = self.source_detector_mm / (away @ ray) / self.pixel_mm
        middle = (self.size - 1) / 2
        return np.column_stack([middle + away @ right * scale, middle - away @ up * scale]), scale


@kernel
def _march(
    labels: NDArray[np.uint8],
    tables: Floats,
    origin: Doubles,
    voxel_mm: float,
    source: Doubles,
    corner: Doubles,
    across: Doubles,
    down: Doubles,
    first: int,
    out: Floats,
) -> None:
    """Sums of two tables along rays; corner, across and down place the detector's rays, out is (2, rows, columns)."""
    count = labels.shape
    for n in range(out.shape[1]):
        for i in range(out.shape[2]):
            x = corner[0] + i * across[0] + (first + n) * down[0] - source[0]
            y = corner[1] + i * across[1] + (first + n) * down[1] - source[1]
            z = corner[2] + i * across[2] + (first + n) * down[2] - source[2]
            length = np.sqrt(x * x + y * y + z * z)
            ux, uy, uz = x / length, y / length, z / length
            low, high = 0.0, length
            for axis in range(3):
                u = ux if axis == 0 else (uy if axis == 1 else uz)
                begin = origin[axis] - 0.5 * voxel_mm - source[axis]
                end = begin + count[2 - axis] * voxel_mm
                if abs(u) < 1e-9:
                    if begin > 0.0 or end < 0.0:
                        high = -1.0
                else:
                    low, high = max(low, min(begin / u, end / u)), min(high, max(begin / u, end / u))
            one, two = np.float32(0), np.float32(0)
            # Neighbouring rays begin at other fractions of a step, so that voxels do not show as rings.
            place = low + voxel_mm * ((i * 0.6180339887 + (first + n) * 0.7548776662) % 1.0)
            px = (source[0] - origin[0] + ux * place) / voxel_mm + 0.5
            py = (source[1] - origin[1] + uy * place) / voxel_mm + 0.5
            pz = (source[2] - origin[2] + uz * place) / voxel_mm + 0.5
            for step in range(max(0, int((high - place) / voxel_mm))):
                a, b, c = int(px + step * ux), int(py + step * uy), int(pz + step * uz)
                if 0 <= a < count[2] and 0 <= b < count[1] and 0 <= c < count[0]:
                    label = labels[c, b, a]
                    one += tables[0, label]
                    two += tables[1, label]
            out[0, n, i], out[1, n, i] = one, two


def rays(scene: Scene, arm: CArm, box: Box, tables: Floats, voxel_mm: float, workers: int) -> Floats:
    """Two sums along the rays of a C-arm.

    Args:
        scene: the body.
        arm: where the rays run.
        box: lowest and highest x, y and z of the part of the body that counts.
        tables: (2, labels): attenuation per mm.
        voxel_mm: edge of the voxels that the rays meet, and length of their steps.
        workers: threads; the result does not depend on it.

    Returns:
        (2, rows, columns) at half the detector's size.
    """
    low, high = np.array(box[0]), np.array(box[1])
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / voxel_mm))
    labels = np.empty((nz, ny, nx), np.uint8)

    def planes(first: int, end: int) -> None:
        origin = (float(low[0]), float(low[1]), float(low[2]) + first * voxel_mm)
        scene.voxels(Grid(origin, (voxel_mm,) * 3, (end - first, ny, nx)), labels[first:end])

    for _ in in_order(planes, nz, _PLANES, workers):
        pass
    source, ray, right, up = arm.frame()
    count, step = arm.size // RAY_PIXELS, arm.pixel_mm * RAY_PIXELS
    middle = source + ray * arm.source_detector_mm
    corner = middle - (right - up) * (count - 1) / 2 * step
    out = np.empty((2, count, count), np.float32)
    table = (tables * np.float32(voxel_mm)).astype(np.float32)

    def rows(first: int, end: int) -> None:
        _march(labels, table, low, voxel_mm, source, corner, right * step, -up * step, first, out[:, first:end])

    for _ in in_order(rows, count, _RAY_ROWS, workers):
        pass
    return out


@kernel
def _draw(places: Floats, radii: Floats, depth: Floats, out: Floats) -> None:
    """The deepest chord of a string of rods at each pixel.

    Args:
        places: (n, 2) column and row.
        radii: (n,) in pixels.
        depth: (n,) attenuation through the middle.
        out: (rows, columns), raised to the depth.
    """
    rows, columns = out.shape
    for n in range(len(radii) - 1):
        if depth[n] <= 0 and depth[n + 1] <= 0:
            continue
        ax, ay, bx, by = places[n, 0], places[n, 1], places[n + 1, 0], places[n + 1, 1]
        # A rod thinner than a pixel still darkens one, by less.
        reach = max(radii[n], radii[n + 1]) + np.float32(1.0)
        i0, i1 = max(0, int(min(ax, bx) - reach)), min(columns, int(max(ax, bx) + reach) + 2)
        j0, j1 = max(0, int(min(ay, by) - reach)), min(rows, int(max(ay, by) + reach) + 2)
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy + np.float32(1e-6)
        for j in range(j0, j1):
            for i in range(i0, i1):
                t = ((i - ax) * dx + (j - ay) * dy) / square
                t = min(max(t, np.float32(0)), np.float32(1))
                ex, ey = ax + t * dx - i, ay + t * dy - j
                r = radii[n] + t * (radii[n + 1] - radii[n])
                left = np.float32(1) - (ex * ex + ey * ey) / (r * r)
                if left > 0:
                    value = np.sqrt(left) * (depth[n] + t * (depth[n + 1] - depth[n]))
                    if value > out[j, i]:
                        out[j, i] = value


def draw(arm: CArm, points: Doubles, radii_mm: Doubles, attenuation: Doubles, out: Floats) -> None:
    """Draw a vessel.

    Args:
        arm: that sees it.
        points: (n, 3) in the body's coordinates.
        radii_mm: (n,).
        attenuation: (n,) of its contents beyond that of blood, per mm.
        out: (rows, columns) of the detector, raised to the vessel's attenuation.
    """
    places, scale = arm.seen(points)
    radii = np.maximum(radii_mm * scale, 0.7)
    _draw(places.astype(np.float32), radii.astype(np.float32), (2 * radii_mm * attenuation).astype(np.float32), out)


@kernel
def detect(
    path: Floats, vessels: Floats, noise: Floats, turn: NDArray[np.int64], dose: Floats, lift: Floats, out: Floats
) -> None:
    """The intensity at a fluoroscopy detector.

    Args:
        path: attenuation on a grid of half the rows and columns.
        vessels: further attenuation.
        noise: periodic tile, as of :func:`~.projection.grain`.
        turn: rows and columns to shift it by.
        dose: quanta in the open beam, and share of it that glare and scatter add: (2,).
        lift: intensity per quantum (1,).
        out: (rows, columns).
    """
    rows, columns = out.shape
    half = path.shape[0]
    for j in range(rows):
        y = min(max((j + 0.5) / 2 - 0.5, 0.0), half - 1.001)
        v = int(y)
        fy = np.float32(y - v)
        tile = noise[(j + turn[0]) % 512]
        for i in range(columns):
            x = min(max((i + 0.5) / 2 - 0.5, 0.0), half - 1.001)
            u = int(x)
            fx = np.float32(x - u)
            top = path[v, u] + fx * (path[v, u + 1] - path[v, u])
            bottom = path[v + 1, u] + fx * (path[v + 1, u + 1] - path[v + 1, u])
            count = dose[0] * (np.exp(-(top + fy * (bottom - top) + vessels[j, i])) + dose[1])
            out[j, i] = (count + np.sqrt(count) * tile[(i + turn[1]) & 511]) * lift[0]


def noise_tile(rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """A tile of quantum noise and how far to turn it."""
    return grain()[rng.integers(len(grain()))], rng.integers(TILE, size=2)


def softened(image: Floats) -> Floats:
    """A light blur: focal spot, scintillator and motion."""
    padded = np.pad(image, 1, mode="edge")
    lines = padded[:-2] * np.float32(0.25) + padded[1:-1] * np.float32(0.5) + padded[2:] * np.float32(0.25)
    result: Floats = (
        lines[:, :-2] * np.float32(0.25) + lines[:, 1:-1] * np.float32(0.5) + lines[:, 2:] * np.float32(0.25)
    )
    return result
