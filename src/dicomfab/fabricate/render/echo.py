"""A beating heart in the apical four-chamber view: a model of chambers and valves, seen through a phased array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import us_screen
from dicomfab.fabricate.render.acoustics import Beam, Floats, Labels, detected
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.us_screen import Sector
from dicomfab.fabricate.seeds import Draw, derive

PHASED: Final = Sector(
    rows=600, columns=800, pixel_mm=0.32, probe_mm=0.0, depth_mm=160.0, half_angle=math.radians(42), top=36
)
FREQUENCY_MHZ: Final = 2.5
FRAME_TIME_MS: Final = 33.33
_SAMPLES, _BEAMS = 640, 224
_BEAM: Final = Beam(FREQUENCY_MHZ, PHASED.depth_mm / _SAMPLES, 0.45, 1.0, 80.0, noise_db=-34.0)
_GRAIN_MM: Final = 0.35
_BANK: Final = 512
_ECG_ROWS: Final = 46


@dataclass(frozen=True, slots=True)
class Heart:
    """Sizes at the end of filling, in mm.

    Args:
        rate_bpm: heart rate.
        length: of the left ventricle, from apex to ring.
        width: half of its inner width.
        wall: thickness of its walls.
        tilt: of the long axis, in radians.
        ejection: by how much the walls move, 1 for an average heart.
    """

    rate_bpm: int
    length: float
    width: float
    wall: float
    tilt: float
    ejection: float

    @classmethod
    def of(cls, seed: int) -> Heart:
        """The heart of a seed."""
        drawn = Draw(seed, "echo-heart")
        return cls(
            rate_bpm=58 + drawn.below(28),
            length=drawn.between(80, 90),
            width=drawn.between(22, 25),
            wall=drawn.between(8.5, 10.5),
            tilt=drawn.between(-0.12, -0.02),
            ejection=drawn.between(0.85, 1.1),
        )


def frames(heart: Heart, seed: int, count: int, workers: int) -> Iterator[NDArray[np.uint8]]:
    """Render a cine that begins with an R wave.

    Args:
        heart: whose.
        seed: decides the speckle.
        count: frames, 33.33 ms apart.
        workers: threads; the result does not depend on it.

    Yields:
        (600, 800), 8 bits.
    """

    def batch(index: int, _end: int) -> NDArray[np.uint8]:
        labels, material = _anatomy(heart, index)
        speckle = _moving(seed, index, *material)
        echoes = detected(labels, speckle, np.ones((1, 1), np.float32), _BEAM, derive(seed, "echo-noise", index))
        screen = us_screen.converted(echoes, PHASED)
        us_screen.annotate(screen, PHASED, "A4C", FREQUENCY_MHZ, _BEAM.focus_mm)
        us_screen.write(screen, f"HR {heart.rate_bpm}", 560, 690, 15, 200)
        _trace(screen, heart, index)
        return screen

    yield from in_order(batch, count, 1, workers)


def phase(heart: Heart, index: int) -> float:
    """Where in the beat a frame lies: 0 at the R wave, below 1."""
    return index * FRAME_TIME_MS / 60_000 * heart.rate_bpm % 1.0


def contraction(at: float) -> float:
    """From 0 at the end of filling to 1 at the end of systole: ejection, rapid filling, pause, the atria's kick."""
    return float(np.interp(at, *_CONTRACTION))


_CONTRACTION: Final = (
    (0.0, 0.05, 0.15, 0.25, 0.34, 0.42, 0.48, 0.54, 0.60, 0.68, 0.84, 0.90, 0.96, 1.0),
    (0.0, 0.05, 0.42, 0.80, 1.0, 0.97, 0.78, 0.48, 0.30, 0.25, 0.22, 0.08, 0.0, 0.0),
)
_OPENING: Final = (
    (0.0, 0.03, 0.42, 0.47, 0.53, 0.62, 0.78, 0.84, 0.90, 0.97, 1.0),
    (0.15, 0.0, 0.0, 0.7, 1.0, 0.55, 0.35, 0.6, 0.85, 0.25, 0.15),
)


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Floats]:
    """How far to the right, and how deep, each sample lies, in mm."""
    radius = (np.arange(_SAMPLES, dtype=np.float32)[:, None] + np.float32(0.5)) * np.float32(_BEAM.sample_mm)
    angles = np.linspace(-PHASED.half_angle, PHASED.half_angle, _BEAMS, dtype=np.float32)[None, :]
    return radius * np.sin(angles), radius * np.cos(angles)


def _anatomy(heart: Heart, index: int) -> tuple[Labels, tuple[Floats, Floats]]:
    """Tissues along the beams, and where in the tissue, in mm, each sample lies."""
    at = phase(heart, index)
    squeeze = contraction(at) * heart.ejection
    opening = float(np.interp(at, *_OPENING))
    x, y = _grid()
    cosine, sine = np.float32(math.cos(heart.tilt)), np.float32(math.sin(heart.tilt))
    a = (x - 12) * cosine + (y - 22) * sine
    s = (y - 22) * cosine - (x - 12) * sine
    labels = np.full(a.shape, Tissue.MUSCLE, np.uint8)
    sides = np.abs(a + 16) > 68 + 6 * np.sin(y / 11)
    labels[sides & (y > 34)] = Tissue.LUNG
    _chambers(labels, a, s, heart, squeeze)
    for left in (False, True):
        _valve(labels, a, s, heart, squeeze, opening, left)
    labels[y < 16] = Tissue.MUSCLE
    labels[y < 7] = Tissue.FAT
    labels[y < 2.5] = Tissue.SKIN
    length = _length(heart, squeeze)
    return labels, (a * np.float32(1 + 0.35 * squeeze), s * np.float32(heart.length / length))


def _length(heart: Heart, squeeze: float) -> float:
    return heart.length - 13.0 * squeeze


def _chambers(labels: Labels, a: Floats, s: Floats, heart: Heart, squeeze: float) -> None:
    """Pericardium, myocardium and blood: ventricles above their rings, atria below."""
    length, wall = _length(heart, squeeze), heart.wall * (1 + 0.42 * squeeze)
    width = heart.width * (1 - 0.40 * squeeze)
    left = _bullet(s, length, width)
    outer = _bullet(s + wall, length + wall, width + wall)
    reach = 0.80 * length
    middle = -width * 0.98 - wall - 1.0  # where the septum's right side stands
    right = _bullet(s - 0.22 * length, reach, 34 * (1 - 0.22 * squeeze))
    in_right = (a < middle + 2) & (a > middle - 1.15 * right) & (s < length - 3) & (right > 0)
    right_outer = (a < middle + 3) & (a > middle - 1.15 * right - 4.5) & (s < length) & (s > 0.16 * length)
    floor = length + 2.0
    atrium = 1 + 0.22 * squeeze
    left_atrium = _oval(a, s, 2.0, floor + 21 * atrium, 21.0 * atrium, 23.0 * atrium)
    right_atrium = _oval(a, s, middle - 22.0, floor + 18 * atrium, 20.0 * atrium, 21.0 * atrium)
    heart_outline = (np.abs(a) < outer + 1.6) & (s < length)
    labels[heart_outline | right_outer] = Tissue.PERICARDIUM
    labels[(np.abs(a) < outer) & (s < length)] = Tissue.MYOCARDIUM
    labels[right_outer & (a > middle - 1.15 * right - 3.2)] = Tissue.MYOCARDIUM
    rings = (np.abs(s - length) < 5) & (a > middle - 34) & (a < width + wall * 0.8)
    labels[rings] = Tissue.MYOCARDIUM
    for wide, oval in ((3.0, left_atrium), (3.0, right_atrium)):
        labels[(oval < 1 + wide / 20) & (s > length - 3)] = Tissue.MYOCARDIUM
    labels[(np.abs(a) < left) & (s < length + 1)] = Tissue.BLOOD
    labels[in_right] = Tissue.BLOOD
    labels[(left_atrium < 1) & (s > length)] = Tissue.BLOOD
    labels[(right_atrium < 1) & (s > length - 3)] = Tissue.BLOOD
    gate = (np.abs(a - 0.5) < width * 0.80) & (np.abs(s - length) < 8)
    labels[gate] = Tissue.BLOOD
    labels[(np.abs(a - middle + 20) < 15) & (np.abs(s - length + 3) < 8)] = Tissue.BLOOD
    # Papillary muscle and the moderator band.
    labels[_oval(a, s, width * 0.72, length * 0.52, 4.2 + 2 * squeeze, 10.0) < 1] = Tissue.MYOCARDIUM
    band = (np.abs(s - length * 0.52 + 0.25 * (a - middle)) < 1.5) & (a < middle) & (a > middle - 26)
    labels[band & in_right] = Tissue.MYOCARDIUM


def _bullet(s: Floats, length: float, width: float) -> Floats:
    """Half width of a ventricle: round at its apex, nearly straight below, a little narrower at the ring."""
    u = np.clip(s / np.float32(length), 0, 1)
    half = np.float32(width) * np.sqrt(np.clip(1 - (1 - u) ** 2.4, 0, 1)) * (1 - np.float32(0.20) * u**3)
    return np.asarray(half, np.float32)


def _oval(a: Floats, s: Floats, centre_a: float, centre_s: float, half_a: float, half_s: float) -> Floats:
    across, along = (a - np.float32(centre_a)) / np.float32(half_a), (s - np.float32(centre_s)) / np.float32(half_s)
    return np.asarray(np.hypot(across, along), np.float32)


def _valve(labels: Labels, a: Floats, s: Floats, heart: Heart, squeeze: float, opening: float, left: bool) -> None:
    """Two leaflets that hinge on a ring: they meet in the middle when closed, and hang into the ventricle when open."""
    length, width = _length(heart, squeeze), heart.width * (1 - 0.40 * squeeze)
    middle = -width * 0.98 - heart.wall * (1 + 0.42 * squeeze) - 1.0
    centre, half, ring = (0.5, width * 0.80, length) if left else (middle - 20.0, 15.0, length - 4.0)
    for side in (-1.0, 1.0):
        hinge = centre + side * half
        swing = math.radians(16 + 66 * opening)
        size = half * 1.02 / math.cos(math.radians(16))
        end_a, end_s = hinge - side * size * math.cos(swing), ring - size * math.sin(swing)
        labels[_near(a, s, (hinge, ring), (end_a, end_s), 0.75)] = Tissue.DIAPHRAGM


def _near(
    a: Floats, s: Floats, start: tuple[float, float], end: tuple[float, float], reach: float
) -> NDArray[np.bool_]:
    """Within a distance of a slightly bent line."""
    da, ds = end[0] - start[0], end[1] - start[1]
    square = da * da + ds * ds
    along = np.clip(((a - start[0]) * da + (s - start[1]) * ds) / square, 0, 1)
    bulge = np.float32(0.10) * 4 * along * (1 - along)
    near_a, near_s = start[0] + along * da + bulge * ds, start[1] + along * ds - bulge * da
    return np.asarray(np.hypot(a - near_a, s - near_s) < reach)


def _moving(seed: int, index: int, a: Floats, s: Floats) -> Floats:
    """Scatterers that stay with their tissue; blood's are new in every frame as it flows through the plane."""
    bank = _scatterers(seed)
    i = (a / np.float32(_GRAIN_MM) + 4096).astype(np.int64) % _BANK
    j = (s / np.float32(_GRAIN_MM) + 4096).astype(np.int64) % _BANK
    fresh = np.random.default_rng(derive(seed, "echo-blood", index)).standard_normal((2, *a.shape), dtype=np.float32)
    return np.float32(0.93) * bank[:, j, i] + np.float32(0.37) * fresh


@lru_cache(maxsize=2)
def _scatterers(seed: int) -> Floats:
    rng = np.random.default_rng(derive(seed, "echo-speckle"))
    return rng.standard_normal((2, _BANK, _BANK), dtype=np.float32)


def _trace(screen: NDArray[np.uint8], heart: Heart, index: int) -> None:
    """The ECG of the last beats up to the frame, at the lower edge."""
    columns = np.arange(350, 680)
    base = screen.shape[0] - 14
    now_ms = index * FRAME_TIME_MS
    times = now_ms - (columns[-1] - columns) * 6.0
    beat = times / 60_000 * heart.rate_bpm % 1.0
    signed = np.where(beat > 0.5, beat - 1, beat)
    volts = (
        1.0 * np.exp(-((signed / 0.012) ** 2))
        - 0.22 * np.exp(-(((signed + 0.03) / 0.012) ** 2))
        - 0.3 * np.exp(-(((signed - 0.032) / 0.014) ** 2))
        + 0.14 * np.exp(-(((beat - 0.84) / 0.03) ** 2))
        + 0.25 * np.exp(-(((beat - 0.32) / 0.05) ** 2))
    )
    rows = np.clip(base - np.rint(volts * (_ECG_ROWS - 12)), 0, screen.shape[0] - 1).astype(np.int64)
    for n in range(1, len(columns)):
        low, high = sorted((rows[n - 1], rows[n]))
        screen[low : high + 1, columns[n]] = 210
