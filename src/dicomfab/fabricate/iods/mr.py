"""MR Image (PS3.3 A.4): brain and knee, several series each, one for each sequence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.iods.common import base, burned_in, clock, coded, instance_uid
from dicomfab.fabricate.iods.mr_protocols import (
    FIELD_T,
    FREQUENCY_MHZ,
    MATRIX,
    PROTOCOLS,
    Protocol,
    stack,
)
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import mr
from dicomfab.fabricate.render.planes import Stack, position_text

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.4"
_PAUSE_S: Final = 20.0


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """A series for each sequence; diffusion weightings are parts of one series."""
    number, first, start_s, begun_s = series_number - 1, 1, 60.0, 60.0
    for protocol in PROTOCOLS[series.kind]:
        if protocol.continues:
            first += series.count
        else:
            number, first, begun_s = number + 1, 1, start_s
        slices = stack(protocol, series.count)
        yield SeriesPlan(
            dataset=_dataset(study, number, protocol, slices, begun_s),
            count=series.count,
            pixel_bytes=MATRIX * MATRIX * 2,
            varying=partial(_varying, study, number, slices, first, start_s, protocol.duration_s),
            pixels=partial(pixels, study, protocol, slices, workers),
        )
        start_s += protocol.duration_s + _PAUSE_S


def pixels(study: ResolvedStudy, protocol: Protocol, slices: Stack, workers: int) -> Iterator[memoryview]:
    """The slices of a protocol, as native frames."""
    scene, sequence, coil = regions.body(study, protocol.region).scene, protocol.sequence, protocol.coil
    if protocol.without_diffusion:
        images = mr.diffusion(scene, slices, protocol.without_diffusion, sequence, coil, study.seed, workers)
    else:
        images = mr.slices(scene, slices, sequence, coil, study.seed, workers)
    for image in images:
        yield image.data.cast("B")


def _varying(
    study: ResolvedStudy, number: int, slices: Stack, first: int, start_s: float, duration_s: float, index: int
) -> dict[str, str]:
    time = clock(study.study_time, start_s + duration_s * index / slices.count)
    return {
        "SOPInstanceUID": instance_uid(study, number, first + index),
        "InstanceNumber": str(first + index),
        "ImagePositionPatient": position_text(slices.position_mm(index)),
        "SliceLocation": f"{slices.location_mm(index):.4f}",
        "AcquisitionTime": time,
        "ContentTime": time,
    }


def _dataset(study: ResolvedStudy, number: int, protocol: Protocol, slices: Stack, begun_s: float) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "MR", number)
    ds.SeriesTime = clock(study.study_time, begun_s)
    ds.AcquisitionDate = ds.ContentDate = study.study_date
    ds.AcquisitionTime = ds.ContentTime = study.study_time
    ds.SeriesDescription = protocol.description
    ds.ProtocolName = protocol.name
    ds.PatientPosition = "HFS" if protocol.region == "head" else "FFS"
    regions.describe(ds, study, protocol.region)
    _plane(ds, slices)
    _sequence(ds, protocol)
    _hardware(ds, protocol)
    _diffusion(ds, protocol)
    _pixel_module(ds, protocol)
    return ds


def _plane(ds: Dataset, slices: Stack) -> None:
    """General Image and Image Plane."""
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.ImageOrientationPatient = [f"{value:g}" for value in slices.orientation]
    ds.ImagePositionPatient = ["0", "0", "0"]
    ds.SliceLocation = "0"
    ds.SliceThickness = f"{slices.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{abs(slices.step_mm):g}"
    ds.PixelSpacing = [f"{slices.pixel_mm:.8g}"] * 2


def _sequence(ds: Dataset, protocol: Protocol) -> None:
    """MR Image: how spins are excited and read."""
    sequence = protocol.sequence
    ds.ImageType = list(protocol.image_type)
    ds.ScanningSequence = list(protocol.scanning)
    ds.SequenceVariant = protocol.variant
    ds.ScanOptions = "FS" if sequence.fat_saturated else ""
    ds.SequenceName = protocol.sequence_name
    ds.MRAcquisitionType = "2D"
    ds.AngioFlag = "N"
    ds.RepetitionTime = f"{sequence.tr_ms:g}"
    ds.EchoTime = f"{sequence.te_ms:g}"
    if sequence.ti_ms:
        ds.InversionTime = f"{sequence.ti_ms:g}"
    ds.EchoTrainLength = str(protocol.echo_train)
    ds.EchoNumbers = "1"
    ds.FlipAngle = str(protocol.flip_deg)
    ds.VariableFlipAngleFlag = "N"
    ds.NumberOfAverages = str(protocol.averages)
    ds.NumberOfPhaseEncodingSteps = str(protocol.acquired)
    ds.PercentSampling = "100"
    ds.PercentPhaseFieldOfView = "100"
    ds.AcquisitionMatrix = [protocol.acquired, 0, 0, protocol.acquired]
    ds.InPlanePhaseEncodingDirection = "ROW"
    ds.PixelBandwidth = str(protocol.bandwidth_hz)
    ds.ReconstructionDiameter = f"{protocol.field_of_view_mm:g}"


def _hardware(ds: Dataset, protocol: Protocol) -> None:
    """MR Image: magnet and coils, and what the patient is exposed to."""
    ds.MagneticFieldStrength = f"{FIELD_T:g}"
    ds.ImagingFrequency = f"{FREQUENCY_MHZ:g}"
    ds.ImagedNucleus = "1H"
    ds.ReceiveCoilName = protocol.coil_name
    ds.TransmitCoilName = "BODY"
    ds.SAR = f"{protocol.sar_w_kg:g}"
    ds.dBdt = f"{protocol.db_dt_t_s:g}"


def _diffusion(ds: Dataset, protocol: Protocol) -> None:
    """Diffusion weighting, of the images and of the map that is made from them."""
    if protocol.derivation:
        ds.DerivationDescription = protocol.derivation[2].upper()
        ds.DerivationCodeSequence = coded(protocol.derivation)
    if protocol.diffusion and not protocol.without_diffusion:
        ds.DiffusionBValue = protocol.sequence.b_s_mm2


def _pixel_module(ds: Dataset, protocol: Protocol) -> None:
    """Image Pixel and VOI LUT."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = MATRIX
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.WindowCenter, ds.WindowWidth = (str(value) for value in protocol.window)
    ds.WindowCenterWidthExplanation = "STANDARD"
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)
