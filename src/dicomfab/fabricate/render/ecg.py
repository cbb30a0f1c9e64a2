"""A 12-lead electrocardiogram in sinus rhythm: waves as bells on a line, and the leads that follow from I and II."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.seeds import Draw, derive

RATE_HZ: Final = 500
SECONDS: Final = 10
SAMPLES: Final = RATE_HZ * SECONDS
LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Millivolts of the waves P, Q, R, S and T in the leads that are measured; the other four follow from I and II.
_MILLIVOLTS: Final = {
    "I": (0.08, -0.05, 0.80, -0.10, 0.25),
    "II": (0.14, -0.06, 1.05, -0.15, 0.32),
    "V1": (0.06, 0.0, 0.20, -0.95, -0.08),
    "V2": (0.07, 0.0, 0.40, -1.30, 0.38),
    "V3": (0.07, -0.02, 0.75, -0.85, 0.45),
    "V4": (0.07, -0.06, 1.30, -0.50, 0.45),
    "V5": (0.07, -0.08, 1.25, -0.25, 0.35),
    "V6": (0.06, -0.08, 0.95, -0.10, 0.28),
}
_P_S: Final = 0.1
_ARRHYTHMIA: Final = 0.025  # how far breathing moves a beat, as a part of the interval
_BREATHS_HZ: Final = 0.25
_WANDER_UV, _NOISE_UV = 25.0, 5.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is measured of a recording.

    Args:
        beats_s: the tops of the R waves within the recording.
        pr_ms: from the beginning of P to that of the QRS complex.
        qrs_ms: the duration of the QRS complex.
        qt_ms: from the beginning of the QRS complex to the end of T.
    """

    beats_s: tuple[float, ...]
    pr_ms: int
    qrs_ms: int
    qt_ms: int

    @classmethod
    def draw(cls, seed: int, sex: str) -> Rhythm:
        """Of a healthy adult at rest.

        Args:
            seed: of the study.
            sex: the QT interval of women is longer.
        """
        draw = Draw(seed, "ecg")
        interval_s = 60 / draw.between(56, 92)
        phase, first_s = draw.between(0, 2 * np.pi), draw.between(0, interval_s)
        times = first_s + interval_s * np.arange(-1, SECONDS * 2)
        times += _ARRHYTHMIA * interval_s * np.sin(2 * np.pi * _BREATHS_HZ * times + phase)
        corrected_ms = draw.between(390, 430) + (12 if sex == "F" else 0)
        return cls(
            beats_s=tuple(round(float(time), 3) for time in times if 0 <= time < SECONDS),
            pr_ms=2 * round(draw.between(66, 92)),
            qrs_ms=2 * round(draw.between(40, 51)),
            qt_ms=2 * round(corrected_ms * math.sqrt(interval_s) / 2),
        )

    @property
    def interval_ms(self) -> int:
        """From R to R, on average."""
        return round(1000 * (self.beats_s[-1] - self.beats_s[0]) / (len(self.beats_s) - 1))

    @property
    def rate_bpm(self) -> int:
        """Beats in a minute."""
        return round(60_000 / self.interval_ms)

    @property
    def corrected_ms(self) -> int:
        """The QT interval at 60 beats a minute, by Bazett's formula."""
        return round(self.qt_ms / math.sqrt(self.interval_ms / 1000))


def samples(rhythm: Rhythm, seed: int, body_seed: int) -> NDArray[np.int16]:
    """The recording.

    Args:
        rhythm: what it shows.
        seed: of the study; what is noise follows from it.
        body_seed: of the patient; how high the waves are follows from it.

    Returns:
        Microvolts, :data:`SAMPLES` x 12, the leads in the order of :data:`LEADS`. I and II are even, so that
        III = II - I, aVR = -(I + II) / 2, aVL = I - II / 2 and aVF = II - I / 2 hold for every sample.
    """
    rng = np.random.default_rng(derive(seed, "ecg noise"))
    waves = _waves(rhythm)
    draw = Draw(body_seed, "ecg heights")
    measured = {}
    for lead, heights in _MILLIVOLTS.items():
        scaled = [1000 * height * draw.between(0.85, 1.15) for height in heights]
        measured[lead] = np.array(scaled) @ waves + _disturbance(rng)
    one, two = (2 * np.rint(measured[lead] / 2) for lead in ("I", "II"))
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    chest = [np.rint(measured[f"V{number}"]) for number in range(1, 7)]
    return np.stack([*limbs, *chest], axis=1).astype(np.int16)


def _waves(rhythm: Rhythm) -> NDArray[np.float64]:
    """The waves P, Q, R, S and T of all beats, each as high as 1: 5 x :data:`SAMPLES`."""
    time = np.arange(SAMPLES) / RATE_HZ
    qrs, qt = rhythm.qrs_ms / 1000, rhythm.qt_ms / 1000
    interval = rhythm.interval_ms / 1000
    beats = np.array([rhythm.beats_s[0] - interval, *rhythm.beats_s, rhythm.beats_s[-1] + interval])[:, None]
    begin = beats - 0.45 * qrs
    t_width = 0.16 * qt
    bells = (
        _bell(time, begin - rhythm.pr_ms / 1000 + _P_S / 2, _P_S / 5, _P_S / 5),
        _bell(time, beats - 0.27 * qrs, 0.07 * qrs, 0.07 * qrs),
        _bell(time, beats, 0.11 * qrs, 0.11 * qrs),
        _bell(time, beats + 0.29 * qrs, 0.1 * qrs, 0.1 * qrs),
        _bell(time, begin + qt - 1.5 * t_width, t_width, 0.6 * t_width),
    )
    return np.stack(bells)


def _bell(time: NDArray[np.float64], at: NDArray[np.float64], rise_s: float, fall_s: float) -> NDArray[np.float64]:
    """Normal curves around some times, with other widths before than after; their sum."""
    away = time - at
    width = np.where(away < 0, rise_s, fall_s)
    return np.asarray(np.exp(-0.5 * (away / width) ** 2).sum(axis=0))


def _disturbance(rng: np.random.Generator) -> NDArray[np.float64]:
    """What breathing and muscles add, in microvolts."""
    time = np.arange(SAMPLES) / RATE_HZ
    phase, slow = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.3)
    wander = _WANDER_UV * np.sin(2 * np.pi * slow * time + phase)
    return np.asarray(wander + rng.normal(0, _NOISE_UV, SAMPLES))
