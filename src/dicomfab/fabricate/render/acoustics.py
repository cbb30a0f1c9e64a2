"""What a pulse of ultrasound meets: tissues that scatter, absorb and reflect it, and the beam that blurs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, Tissue

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]

DYNAMIC_RANGE_DB: Final = 62.0
_MIDDLE_DB: Final = 30.0  # how far above black the liver stands
_GAIN_PER_MHZ_CM: Final = 0.5  # that time gain compensation assumes
_REFLECTION: Final = 55.0  # of a whole reflection, compared with the speckle of the liver


@dataclass(frozen=True, slots=True)
class Echo:
    """A tissue.

    Args:
        scatter_db: strength of its speckle, compared with the liver's.
        loss: absorption, in dB per cm and MHz, one way.
        impedance: in MRayl.
    """

    scatter_db: float
    loss: float
    impedance: float


_FLUID: Final = Echo(-58, 0.02, 1.52)
_BLOOD: Final = Echo(-36, 0.12, 1.61)
_HARD: Final = Echo(6, 14.0, 4.8)
_GAS: Final = Echo(-20, 40.0, 0.1)
_SOFT: Final = Echo(-5, 0.5, 1.63)
ECHOES: Final[dict[Tissue, Echo]] = {
    Tissue.AIR: _GAS, Tissue.GAS: _GAS, Tissue.LUNG: _GAS, Tissue.AIRWAY: _GAS,
    Tissue.SKIN: Echo(7, 0.6, 1.68),
    Tissue.FAT: Echo(-7, 0.45, 1.42),
    Tissue.MUSCLE: Echo(-6, 0.6, 1.69),
    Tissue.INNER_FAT: Echo(4, 0.5, 1.45),
    Tissue.BELLY_FAT: Echo(4, 0.5, 1.45),
    Tissue.PERICARDIUM: Echo(9, 0.6, 1.75),
    Tissue.MYOCARDIUM: Echo(-4, 0.5, 1.67),
    Tissue.BLOOD: _BLOOD, Tissue.VEIN: _BLOOD, Tissue.HEPATIC_VESSEL: _BLOOD, Tissue.LUNG_VESSEL: _BLOOD,
    Tissue.DIAPHRAGM: Echo(12, 0.7, 1.85),
    Tissue.LIVER: Echo(0, 0.5, 1.65),
    Tissue.SPLEEN: Echo(1, 0.5, 1.655),
    Tissue.KIDNEY: Echo(-5, 0.5, 1.63),
    Tissue.RENAL_MEDULLA: Echo(-11, 0.45, 1.62),
    Tissue.STOMACH: Echo(-9, 0.6, 1.6), Tissue.BOWEL_CONTENT: Echo(-5, 0.9, 1.6), Tissue.STOOL: Echo(5, 3.5, 1.8),
    Tissue.BOWEL_WALL: Echo(-7, 0.6, 1.66), Tissue.BLADDER_WALL: Echo(-4, 0.6, 1.66),
    Tissue.PANCREAS: Echo(4, 0.55, 1.66),
    Tissue.GALLBLADDER: _FLUID, Tissue.URINE: _FLUID, Tissue.LIVER_CYST: _FLUID, Tissue.RENAL_CYST: _FLUID,
    Tissue.LIVER_METASTASIS: Echo(-9, 0.55, 1.64),
    Tissue.STONE: Echo(14, 16.0, 4.8), Tissue.CALCIFICATION: Echo(14, 16.0, 4.8),
    Tissue.BONE: _HARD, Tissue.COMPACT_BONE: _HARD, Tissue.MARROW: _HARD, Tissue.METASTASIS: _HARD,
    Tissue.CARTILAGE: Echo(-8, 1.6, 1.9),
    Tissue.CANAL: _FLUID, Tissue.CSF: _FLUID,
    Tissue.TENDON: Echo(5, 0.8, 1.75), Tissue.LIGAMENT: Echo(5, 0.8, 1.75),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beam:
    """How the transducer sees.

    Args:
        frequency_mhz: of the pulse.
        sample_mm: from sample to sample along a beam.
        pulse_mm: half length of the pulse.
        width: of a beam at the focus, in beams.
        focus_mm: depth at which beams are narrowest.
        noise_db: of the receiver at the greatest depth, compared with the liver.
    """

    frequency_mhz: float
    sample_mm: float
    pulse_mm: float
    width: float
    focus_mm: float
    noise_db: float = -30.0


def tables() -> tuple[Floats, Floats, Floats]:
    """Amplitude of speckle, loss and logarithm of the impedance, per label."""
    known = [ECHOES.get(Tissue(n), _SOFT) if n < len(Tissue) else _SOFT for n in range(LABEL_COUNT)]
    amplitude = np.array([10 ** (echo.scatter_db / 20) for echo in known], np.float32)
    loss = np.array([echo.loss for echo in known], np.float32)
    return amplitude, loss, np.log(np.array([echo.impedance for echo in known], np.float32))


def detected(labels: Labels, speckle: Floats, structure: Floats, beam: Beam, seed: int) -> Floats:
    """The echoes of a plane, compressed for display.

    Args:
        labels: (samples, beams): tissues along each beam.
        speckle: (2, samples, beams) normal numbers: the scatterers.
        structure: (samples, beams) that modulates them; 1 on average.
        beam: how they are seen.
        seed: decides the receiver's noise.

    Returns:
        (samples, beams), 0 for black to 1 for white.
    """
    amplitude, loss, impedance = tables()
    rng = np.random.default_rng(seed)
    depth_cm = (np.arange(labels.shape[0], dtype=np.float32)[:, None] + 1) * np.float32(beam.sample_mm / 10)
    gain_db = 2 * beam.frequency_mhz * _GAIN_PER_MHZ_CM * depth_cm
    lost_db = np.cumsum(loss[labels], axis=0) * np.float32(2 * beam.frequency_mhz * beam.sample_mm / 10)
    level = np.power(np.float32(10), np.minimum(gain_db - lost_db, 12) / 20)
    hidden = _before_gas(labels, lost_db)
    echo = speckle * (amplitude[labels] * structure * level)
    echo[0] += _interfaces(impedance[labels]) * level
    echo += hidden * rng.standard_normal(echo.shape, dtype=np.float32)
    echo = np.stack([_focused(part, beam) for part in echo])
    noise = np.float32(10 ** (beam.noise_db / 20)) * np.power(np.float32(10), (gain_db - gain_db[-1]) / 20)
    echo += blurred(rng.standard_normal(echo.shape, dtype=np.float32), 1.0, 1) * noise
    power = echo[0] ** 2 + echo[1] ** 2
    decibels = 10 * np.log10(power + np.float32(1e-9))
    return np.asarray(np.clip((decibels + _MIDDLE_DB) / DYNAMIC_RANGE_DB, 0, 1), np.float32)


def blurred(values: Floats, sigma: float, axis: int) -> Floats:
    """A Gaussian along an axis, of unit energy for noise; edges are repeated."""
    reach = max(1, int(2.5 * sigma + 0.5))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= np.sqrt(np.sum(weights * weights))
    padded = np.pad(values, [(reach, reach) if n == axis else (0, 0) for n in range(values.ndim)], mode="edge")
    size = values.shape[axis]
    total = np.zeros_like(values)
    for n, weight in enumerate(weights):
        total += np.float32(weight) * (padded[:, n : n + size] if axis == 1 else padded[n : n + size])
    return total


def _focused(echo: Floats, beam: Beam) -> Floats:
    """The pulse's length, and beams that are narrowest at the focus."""
    echo = blurred(echo, beam.pulse_mm / beam.sample_mm, 0)
    narrow, wide = blurred(echo, beam.width, 1), blurred(echo, 2.6 * beam.width, 1)
    depth_mm = np.arange(len(echo), dtype=np.float32)[:, None] * np.float32(beam.sample_mm)
    share = np.clip(np.abs(depth_mm - beam.focus_mm) / np.float32(1.6 * beam.focus_mm), 0, 1)
    return np.asarray(narrow * (1 - share) + wide * share, np.float32)


def _interfaces(impedance: Floats) -> Floats:
    """Reflections where the impedance changes; those that a beam meets at a slant mostly miss the transducer."""
    soft = blurred(impedance, 1.0, 1)
    soft = soft * np.float32(1 / np.sqrt(2 * np.sqrt(np.pi)))
    along, across = np.zeros_like(soft), np.zeros_like(soft)
    along[1:] = soft[1:] - soft[:-1]
    across[:, 1:] = soft[:, 1:] - soft[:, :-1]
    straight = along * along / (along * along + np.float32(0.35) * across * across + np.float32(1e-9))
    return np.asarray(np.float32(_REFLECTION / 2) * along * straight * straight, np.float32)


def _before_gas(labels: Labels, lost_db: Floats) -> Floats:
    """Haze in the shadow of gas: echoes between transducer and gas, which come back late."""
    gas = (labels == Tissue.GAS) | (labels == Tissue.LUNG) | (labels == Tissue.AIR)
    behind = np.maximum.accumulate(gas, axis=0)
    run = np.cumsum(behind, axis=0).astype(np.float32)
    return np.where(behind & (lost_db > 20), np.float32(0.5) * np.exp(-run / 160), 0).astype(np.float32)
