"""Colour Doppler of a carotid bifurcation through a linear transducer: grey tissue, and flow in a box of colours."""

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
from dicomfab.fabricate.render.acoustics import Beam, Floats, Labels, blurred, detected
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask
from dicomfab.fabricate.render.noise import texture
from dicomfab.fabricate.seeds import Draw, derive

ROWS: Final = 600
COLUMNS: Final = 800
PIXEL_MM: Final = 0.078
FREQUENCY_MHZ: Final = 9.0
DOPPLER_MHZ: Final = 4.7
REPETITION_HZ: Final = 7000
FRAME_TIME_MS: Final = 62.5
NYQUIST_CM_S: Final = 57.3  # = sound in tissue x repetition / (4 x frequency)
STEERING: Final = math.radians(18)
WIDTH_MM: Final = 38.0
DEPTH_MM: Final = 38.0
TOP: Final = 56
_SAMPLES, _BEAMS = 500, 256
_BEAM: Final = Beam(FREQUENCY_MHZ, DEPTH_MM / _SAMPLES, 0.11, 0.9, 17.0, noise_db=-36.0)
_BOX_MM: Final = (8.0, 30.0, 8.5, 29.0)  # left and right at its middle depth, top, bottom

Screen = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Vessel:
    """A carotid artery.

    Args:
        depth_mm: of its middle on the left, where the trunk comes in.
        slope: downwards to the right.
        radius_mm: of the trunk.
        peak_cm_s: mean speed at the peak of systole.
        rate_bpm: heart rate.
    """

    depth_mm: float
    slope: float
    radius_mm: float
    peak_cm_s: float
    rate_bpm: int

    @classmethod
    def of(cls, seed: int) -> Vessel:
        """The artery of a seed."""
        drawn = Draw(seed, "carotid")
        return cls(
            depth_mm=drawn.between(17.5, 19.5),
            slope=drawn.between(0.02, 0.07),
            radius_mm=drawn.between(2.9, 3.4),
            peak_cm_s=drawn.between(62, 84),
            rate_bpm=60 + drawn.below(24),
        )


def tissue_box() -> Box:
    """First column and row, and last column and row, of the grey image."""
    left = (COLUMNS - round(WIDTH_MM / PIXEL_MM)) // 2
    return left, TOP, left + round(WIDTH_MM / PIXEL_MM) - 1, TOP + round(DEPTH_MM / PIXEL_MM) - 1


def colour_box() -> Box:
    """The same of the smallest upright rectangle around the box of colours, which is steered to one side."""
    left, right, top, bottom = _BOX_MM
    lean = (bottom - top) / 2 * math.tan(STEERING)
    first = tissue_box()[0]
    return (
        first + round((left - lean) / PIXEL_MM),
        TOP + round(top / PIXEL_MM),
        first + round((right + lean) / PIXEL_MM),
        TOP + round(bottom / PIXEL_MM),
    )


def frames(vessel: Vessel, seed: int, count: int, workers: int) -> Iterator[Screen]:
    """Render a cine.

    Args:
        vessel: the artery.
        seed: decides the speckle.
        count: frames, 62.5 ms apart.
        workers: threads; the result does not depend on it.

    Yields:
        (600, 800, 3).
    """

    def batch(index: int, _end: int) -> Screen:
        at = index * FRAME_TIME_MS / 60_000 * vessel.rate_bpm % 1.0
        pulse = _pulse(at)
        grey = _grey(vessel, seed, pulse, index)
        screen = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        left, top, right, bottom = tissue_box()
        screen[top : bottom + 1, left : right + 1] = grey[..., None]
        _paint(screen, vessel, seed, pulse, index)
        _annotate(screen)
        return screen

    yield from in_order(batch, count, 1, workers)


def _pulse(at: float) -> float:
    """Speed over the beat, 1 at its peak."""
    times = (0.0, 0.05, 0.10, 0.17, 0.26, 0.34, 0.38, 0.44, 0.6, 1.0)
    return float(np.interp(at, times, (0.24, 0.5, 1.0, 0.86, 0.55, 0.36, 0.28, 0.40, 0.32, 0.24)))


def _flow(vessel: Vessel, x: Floats, y: Floats, pulse: float) -> tuple[Floats, Floats, Floats]:
    """Distance from the lumen's middle as part of its radius, the radius, and the slope of the stream.

    The trunk comes from the left and divides; the lower branch begins with a bulb.
    """
    swell = 1 + 0.05 * pulse
    after = np.clip((x - np.float32(20)) / 16, 0, 1)
    trunk_y = vessel.depth_mm + vessel.slope * x
    ramp = after * after * (3 - 2 * after)
    bulb = np.exp(-(((x - np.float32(23.5)) / 4.5) ** 2))
    inner = trunk_y + 3.6 * ramp, (vessel.radius_mm * (1 - 0.22 * after) + 0.75 * bulb) * swell
    outer = trunk_y - 3.4 * ramp, vessel.radius_mm * (1 - 0.36 * after) * swell
    away_in, away_out = np.abs(y - inner[0]) / inner[1], np.abs(y - outer[0]) / outer[1]
    share = 1 / (1 + np.exp(np.clip((away_in - away_out) * 7, -30, 30)))  # of the lower branch
    steep = 6 * after * (1 - after) / 16
    slope = vessel.slope + (7.0 * share - 3.4) * steep
    return (
        np.minimum(away_in, away_out).astype(np.float32),
        (outer[1] + (inner[1] - outer[1]) * share).astype(np.float32),
        slope.astype(np.float32),
    )


@lru_cache(maxsize=1)
def _tissue_grid() -> tuple[Floats, Floats]:
    y = (np.arange(_SAMPLES, dtype=np.float32)[:, None] + np.float32(0.5)) * np.float32(_BEAM.sample_mm)
    x = (np.arange(_BEAMS, dtype=np.float32)[None, :] + np.float32(0.5)) * np.float32(WIDTH_MM / _BEAMS)
    return x, y


def _labels(vessel: Vessel, pulse: float) -> Labels:
    x, y = _tissue_grid()
    wave = np.float32(0.5) * np.sin(x / 6) + np.float32(0.3) * np.sin(x / 2.3)
    labels = np.full((_SAMPLES, _BEAMS), Tissue.INNER_FAT, np.uint8)
    labels[y > 26 + wave + 0.05 * x] = Tissue.MUSCLE
    labels[y < 10.8 + wave] = Tissue.MUSCLE
    labels[(y < 10.8 + wave) & (np.abs(y - 8.0 - wave) < 0.14)] = Tissue.TENDON
    labels[(y < 4.6 + 0.5 * wave) & (y > 0)] = Tissue.FAT
    labels[np.broadcast_to(y < 1.3, labels.shape)] = Tissue.SKIN
    away, radius, _ = _flow(vessel, x, y, pulse)
    out_mm = (away - 1) * radius
    labels[out_mm < 1.25] = Tissue.TENDON  # adventitia
    labels[out_mm < 0.75] = Tissue.RENAL_MEDULLA  # as dark as the media
    labels[out_mm < 0.16] = Tissue.LIVER  # intima
    labels[out_mm < 0] = Tissue.BLOOD
    vein = np.hypot((x - 9.0) / 6.5, (y - 12.6) / (1.5 - 0.3 * pulse)) < 1
    labels[vein] = Tissue.BLOOD
    return labels


def _grey(vessel: Vessel, seed: int, pulse: float, index: int) -> Screen:
    speckle = _scatterers(seed)
    rows = np.arange(_SAMPLES) * 2 % 512
    structure = np.exp(np.float32(0.3) * texture()[0][rows][:, (np.arange(_BEAMS) * 2) % 512]).astype(np.float32)
    echoes = detected(_labels(vessel, pulse), speckle, structure, _BEAM, derive(seed, "carotid-noise", index))
    left, top, right, bottom = tissue_box()
    rows_at = np.linspace(0, _SAMPLES - 1.001, bottom - top + 1).astype(np.float32)
    columns_at = np.linspace(0, _BEAMS - 1.001, right - left + 1).astype(np.float32)
    j, i = rows_at.astype(np.int64), columns_at.astype(np.int64)
    down, aside = (rows_at - j)[:, None], (columns_at - i)[None, :]
    above = echoes[j][:, i] * (1 - aside) + echoes[j][:, i + 1] * aside
    below = echoes[j + 1][:, i] * (1 - aside) + echoes[j + 1][:, i + 1] * aside
    return np.asarray((above * (1 - down) + below * down) * np.float32(255)).astype(np.uint8)


@lru_cache(maxsize=2)
def _scatterers(seed: int) -> Floats:
    rng = np.random.default_rng(derive(seed, "carotid-speckle"))
    return rng.standard_normal((2, _SAMPLES, _BEAMS), dtype=np.float32)


def _paint(screen: Screen, vessel: Vessel, seed: int, pulse: float, index: int) -> None:
    """Velocities along the steered beam, in colours, within the box and within the lumen."""
    left, top, right, bottom = colour_box()
    first = tissue_box()[0]
    x = (np.arange(left, right + 1, dtype=np.float32)[None, :] - first) * np.float32(PIXEL_MM)
    y = (np.arange(top, bottom + 1, dtype=np.float32)[:, None] - TOP) * np.float32(PIXEL_MM)
    away, _, slope = _flow(vessel, x, y, pulse)
    rng = np.random.default_rng(derive(seed, "carotid-flow", index))
    jitter = rng.standard_normal(away.shape, dtype=np.float32)
    jitter = blurred(blurred(jitter, 2.6, 0), 3.4, 1)
    speed = vessel.peak_cm_s * pulse * np.clip(1 - away**2.6, 0, 1) * 1.25
    # Against the stream in the bulb's outer corner, for as long as the stream slows down.
    corner = np.exp(-(((x - 23.5) / 3.2) ** 2)) * np.clip((y - vessel.depth_mm - vessel.slope * x - 1.9) / 1.5, 0, 1)
    speed = speed * (1 - 1.55 * corner * (0.35 + 0.65 * pulse))
    seen = speed * np.sin(np.arctan(slope) * -1 + np.float32(STEERING)) * 1.35 + 2.2 * jitter
    lean = (y - (_BOX_MM[2] + _BOX_MM[3]) / 2) * np.float32(math.tan(STEERING))
    inside = (x - lean > _BOX_MM[0]) & (x - lean < _BOX_MM[1])
    shown = inside & (away < 0.97 + 0.03 * jitter) & (np.abs(seen) > 3.0)
    part = screen[top : bottom + 1, left : right + 1]
    part[shown] = palette()[np.clip(seen[shown] / NYQUIST_CM_S * 127 + 128, 0, 255).astype(np.int64)]
    outline = np.abs(x - lean - _BOX_MM[0]) < 0.55 * PIXEL_MM
    outline |= np.abs(x - lean - _BOX_MM[1]) < 0.55 * PIXEL_MM
    outline[[0, -1]] |= inside[[0, -1]]
    part[outline] = (225, 225, 225)


@lru_cache(maxsize=1)
def palette() -> NDArray[np.uint8]:
    """256 colours: away from the transducer light to dark blue, none at 128, then dark red to yellow."""
    level = np.abs(np.linspace(-1, 1, 256))
    strong, pale = np.clip(0.25 + 1.1 * level, 0, 1), np.clip(level * 1.5 - 0.55, 0, 0.92)
    towards = np.stack([strong, pale, 0.12 * pale], axis=1)
    away = np.stack([0.1 * pale, pale * 0.95, strong], axis=1)
    colours = np.where(np.arange(256)[:, None] >= 128, towards, away) * 255
    colours[127:129] = 0
    return np.asarray(np.rint(colours), np.uint8)


def _annotate(screen: Screen) -> None:
    us_screen.write(screen, "RT CAROTID BIF LONG", 16, 28, 18)
    settings = ("9 MHz", "D 3.8 cm", "CF 4.7 MHz", f"PRF {REPETITION_HZ} Hz", "WF 120 Hz", "MI 0.9", "TIs 1.1")
    for n, line in enumerate(settings):
        us_screen.write(screen, line, 70 + 24 * n, 28, 14, 190)
    us_screen.depth_scale(screen, TOP, PIXEL_MM, DEPTH_MM, _BEAM.focus_mm)
    bar = np.repeat(palette()[::-1][::2], 1, axis=0)
    screen[300 : 300 + len(bar), 40:56] = bar[:, None, :]
    us_screen.write(screen, f"+{NYQUIST_CM_S:g}", 278, 30, 14, 190)
    us_screen.write(screen, f"-{NYQUIST_CM_S:g} cm/s", 306 + len(bar), 30, 14, 190)
    blend(screen, text_mask(SYNTHETIC, 18), -10, 20, (230, 230, 230))
