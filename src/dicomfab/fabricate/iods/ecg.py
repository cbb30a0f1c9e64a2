"""12-Lead ECG Waveform (PS3.3 A.34.3): ten seconds of sinus rhythm, with what is measured in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.iods.common import base, coded
from dicomfab.fabricate.iods.nuclear import moment
from dicomfab.fabricate.iods.references import without_pixels
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import ecg
from dicomfab.fabricate.render.ecg import Rhythm

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.9.1.1"
#: CID 3001, in the order of :data:`dicomfab.fabricate.render.ecg.LEADS`.
LEAD_CODES: Final[tuple[Code, ...]] = (
    ("2:1", "MDC", "Lead I"),
    ("2:2", "MDC", "Lead II"),
    ("2:61", "MDC", "Lead III"),
    ("2:62", "MDC", "aVR, augmented voltage, right"),
    ("2:63", "MDC", "aVL, augmented voltage, left"),
    ("2:64", "MDC", "aVF, augmented voltage, foot"),
    *((f"2:{number + 2}", "MDC", f"Lead V{number}") for number in range(1, 7)),
)
_MICROVOLT: Final[Code] = ("uV", "UCUM", "microvolt")
_MILLISECOND: Final[Code] = ("ms", "UCUM", "millisecond")
_BEATS: Final[Code] = ("{H.B.}/min", "UCUM", "heart beats per minute")
_AFTER_S: Final = 60.0
_ALL: Final = [1, 0]  # every channel of the first multiplex group


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One recording at rest."""
    rhythm = Rhythm.draw(study.seed, study.patient.sex)
    ds = base(study, SOP_CLASS_UID, "ECG", series_number)
    ds.SeriesDescription = "12 LEAD ECG AT REST"
    ds.ProtocolName = "12 LEAD ECG"
    ds.BodyPartExamined = "HEART"
    date, time = moment(study, _AFTER_S)
    ds.SeriesDate = ds.ContentDate = date
    ds.SeriesTime = ds.ContentTime = time
    ds.AcquisitionDateTime = date + time
    ds.InstanceNumber = "1"
    ds.AcquisitionContextSequence = Items(_context())
    ds.WaveformSequence = Items([_group(study, rhythm)])
    ds.WaveformAnnotationSequence = Items(_annotations(rhythm))
    return without_pixels(study, series_number, ds)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """Intervals, rate, and where the R waves are."""
    rhythm = Rhythm.draw(study.seed, study.patient.sex)
    return {
        **dataclasses.asdict(rhythm),
        "beats_s": list(rhythm.beats_s),
        "rate_bpm": rhythm.rate_bpm,
        "rr_ms": rhythm.interval_ms,
        "qtc_ms": rhythm.corrected_ms,
    }


def _context() -> Iterator[Dataset]:
    """TID 3401: how the electrodes are placed, and what the patient does."""
    for concept, value in (
        (
            ("10:11345", "MDC", "Lead System"),
            ("10:11265", "MDC", "Standard 12-lead positions, electrodes placed individually"),
        ),
        (("109054", "DCM", "Patient State"), ("128975004", "SCT", "Resting State")),
    ):
        item = Dataset()
        item.ValueType = "CODE"
        item.ConceptNameCodeSequence = coded(concept)
        item.ConceptCodeSequence = coded(value)
        yield item


def _group(study: ResolvedStudy, rhythm: Rhythm) -> Dataset:
    """The multiplex group of all leads (PS3.3 C.10.9)."""
    values = ecg.samples(rhythm, study.seed, study.body_seed)
    group = Dataset()
    group.MultiplexGroupLabel = "RHYTHM"
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(LEAD_CODES)
    group.NumberOfWaveformSamples = ecg.SAMPLES
    group.SamplingFrequency = str(ecg.RATE_HZ)
    group.ChannelDefinitionSequence = Items(
        [_channel(label, code) for label, code in zip(ecg.LEADS, LEAD_CODES, strict=True)]
    )
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = values.astype("<i2").tobytes()
    group["WaveformData"].VR = "OW"
    return group


def _channel(label: str, code: Code) -> Dataset:
    channel = Dataset()
    channel.ChannelLabel = label
    channel.ChannelSourceSequence = coded(code)
    channel.ChannelSensitivity = "1"
    channel.ChannelSensitivityUnitsSequence = coded(_MICROVOLT)
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.ChannelSampleSkew = "0"
    channel.WaveformBitsStored = 16
    channel.FilterLowFrequency = "0.05"
    channel.FilterHighFrequency = "150"
    return channel


def _annotations(rhythm: Rhythm) -> Iterator[Dataset]:
    """Waveform Annotation: sentences, then what is measured in all leads together."""
    measured: tuple[tuple[Code, int, Code], ...] = (
        (("8867-4", "LN", "Heart rate"), rhythm.rate_bpm, _BEATS),
        (("2:16168", "MDC", "RR interval global"), rhythm.interval_ms, _MILLISECOND),
        (("2:15872", "MDC", "PR interval global"), rhythm.pr_ms, _MILLISECOND),
        (("2:16156", "MDC", "QRS duration global"), rhythm.qrs_ms, _MILLISECOND),
        (("2:16160", "MDC", "QT interval global"), rhythm.qt_ms, _MILLISECOND),
        (("2:15880", "MDC", "QTc global using Bazett formula"), rhythm.corrected_ms, _MILLISECOND),
    )
    summary = (
        f"Rate {rhythm.rate_bpm}/min, PR {rhythm.pr_ms} ms, QRS {rhythm.qrs_ms} ms, "
        f"QT {rhythm.qt_ms} ms, QTc {rhythm.corrected_ms} ms"
    )
    for text in ("SYNTHETIC DATA", "Sinus rhythm", summary):
        item = Dataset()
        item.UnformattedTextValue = text
        item.ReferencedWaveformChannels = _ALL
        item.AnnotationGroupNumber = 0
        yield item
    for concept, value, unit in measured:
        item = Dataset()
        item.ConceptNameCodeSequence = coded(concept)
        item.NumericValue = str(value)
        item.MeasurementUnitsCodeSequence = coded(unit)
        item.ReferencedWaveformChannels = _ALL
        item.AnnotationGroupNumber = 1
        yield item
