"""The sequences that MR examinations are made of, for MR Image and Enhanced MR Image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dicomfab.fabricate.anatomy.body import Region
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.render import mr
from dicomfab.fabricate.render.planes import Plane, Stack

FIELD_T: Final = 3.0
FREQUENCY_MHZ: Final = 127.74
MATRIX: Final = 384
_GAP: Final = 0.08  # between slices, of their distance

ORIGINAL: Final = ("ORIGINAL", "PRIMARY", "OTHER")


@dataclass(frozen=True, slots=True)
class Protocol:
    """One sequence of an examination.

    Args:
        region: which body.
        description: SeriesDescription (0008,103E).
        name: ProtocolName (0018,1030).
        sequence_name: SequenceName (0018,0024).
        sequence: what decides the contrast.
        plane: of the slices.
        first_mm: the edge of the first slice, on the axis across them.
        last_mm: the edge of the last one.
        centre_mm: of the slices; the value across them does not matter.
        field_of_view_mm: of the square image.
        window: centre and width.
        scanning: ScanningSequence (0018,0020).
        variant: SequenceVariant (0018,0021).
        echo_train: EchoTrainLength (0018,0091).
        flip_deg: FlipAngle (0018,1314).
        acquired: acquired matrix, which is interpolated to 384 x 384.
        averages: NumberOfAverages (0018,0083).
        bandwidth_hz: PixelBandwidth (0018,0095).
        sar_w_kg: SAR (0018,1316).
        db_dt_t_s: dB/dt (0018,1318).
        duration_s: of the acquisition; 0 for what is only calculated.
        coil: the receiver.
        coil_name: ReceiveCoilName (0018,1250).
        image_type: ImageType (0008,0008).
        diffusion: the sequence is one for diffusion.
        continues: its instances follow those of the sequence before in the same series.
        without_diffusion: for a diffusion map, the sequence that the weighted one is divided by.
        derivation: DerivationCodeSequence (0008,9215).
    """

    region: Region
    description: str
    name: str
    sequence_name: str
    sequence: mr.Sequence
    plane: Plane
    first_mm: float
    last_mm: float
    centre_mm: tuple[float, float, float]
    field_of_view_mm: float
    window: tuple[int, int]
    scanning: tuple[str, ...] = ("SE",)
    variant: str = "SK"
    echo_train: int = 1
    flip_deg: int = 90
    acquired: int = 320
    averages: int = 1
    bandwidth_hz: int = 220
    sar_w_kg: float = 1.1
    db_dt_t_s: float = 21.0
    duration_s: float = 150.0
    coil: mr.Coil = "head"
    coil_name: str = "HEAD NECK 20"
    image_type: tuple[str, ...] = ORIGINAL
    diffusion: bool = False
    continues: bool = False
    without_diffusion: mr.Sequence | None = None
    derivation: Code | None = None


def stack(protocol: Protocol, slices: int) -> Stack:
    """So many slices of always the same coverage: fewer of them lie further apart."""
    step_mm = round((protocol.last_mm - protocol.first_mm) / slices, 4)
    first = list(protocol.centre_mm)
    first[("sagittal", "coronal", "axial").index(protocol.plane)] = round(protocol.first_mm + step_mm / 2, 4)
    return Stack(
        plane=protocol.plane,
        first_mm=(first[0], first[1], first[2]),
        step_mm=step_mm,
        count=slices,
        rows=MATRIX,
        columns=MATRIX,
        pixel_mm=protocol.field_of_view_mm / MATRIX,
        thickness_mm=round(min(abs(step_mm) * (1 - _GAP), 5.0), 2),
    )


_B0: Final = mr.Sequence(5200, 82, fat_saturated=True, gain=2600, noise=9.0, blur_px=1.5)
_B1000: Final = replace(_B0, b_s_mm2=1000.0)
T1: Final = Protocol(
    "head", "T1 SE AXIAL", "BRAIN T1 SE TRA", "SE2D", mr.Sequence(550, 9, gain=3200, noise=16.0),
    "axial", 82.0, -72.0, (0.0, -8.0, 0.0), 230.4, (760, 1100),
    variant="NONE", acquired=288, duration_s=165.0, sar_w_kg=1.3,
)  # fmt: skip
T2: Final = replace(
    T1, description="T2 TSE AXIAL", name="BRAIN T2 TSE TRA", sequence_name="TSE2D_15",
    sequence=mr.Sequence(5000, 98, gain=2700, noise=13.0), window=(700, 1300),
    variant="SK", echo_train=15, flip_deg=150, acquired=384, bandwidth_hz=195, duration_s=140.0, sar_w_kg=1.8,
)  # fmt: skip
FLAIR: Final = replace(
    T2, description="T2 FLAIR AXIAL", name="BRAIN FLAIR TRA", sequence_name="TIR2D_16",
    sequence=mr.Sequence(9000, 110, 2500, fat_saturated=True, gain=4600, noise=15.0), window=(620, 1150),
    scanning=("SE", "IR"), echo_train=16, acquired=320, bandwidth_hz=260, duration_s=200.0, sar_w_kg=0.9,
)  # fmt: skip
_DWI: Final = replace(
    T1, description="DWI B0 B1000 AXIAL", name="BRAIN DWI TRA", sequence_name="EP2D_B0", sequence=_B0,
    window=(800, 1600), scanning=("EP", "SE"), variant="SK", echo_train=96, acquired=192, averages=2,
    bandwidth_hz=1240, duration_s=40.0, sar_w_kg=0.5, db_dt_t_s=52.0, diffusion=True,
)  # fmt: skip
_WEIGHTED: Final = replace(
    _DWI, sequence_name="EP2D_B1000T", sequence=_B1000, window=(300, 600), continues=True, averages=4,
    image_type=("DERIVED", "PRIMARY", "OTHER", "TRACE"), derivation=("113043", "DCM", "Diffusion weighted"),
)  # fmt: skip
_ADC: Final = replace(
    _WEIGHTED, description="ADC AXIAL 1E-6 MM2/S", continues=False, without_diffusion=_B0, window=(1300, 2400),
    duration_s=0.0, image_type=("DERIVED", "PRIMARY", "DIFFUSION MAP", "ADC"),
    derivation=("113041", "DCM", "Apparent Diffusion Coefficient"),
)  # fmt: skip
_KNEE_PD: Final = Protocol(
    "knee", "PD TSE FS SAGITTAL", "KNEE PD TSE FS SAG", "TSE2D_8",
    mr.Sequence(3200, 34, fat_saturated=True, gain=2600, noise=20.0, blur_px=0.75),
    "sagittal", -50.0, 50.0, (0.0, 0.0, 0.0), 165.12, (620, 1250), echo_train=8, flip_deg=150, acquired=320,
    duration_s=190.0, sar_w_kg=0.4, coil="knee", coil_name="TXRX KNEE 15",
)  # fmt: skip
_KNEE_T1: Final = replace(
    _KNEE_PD, description="T1 TSE CORONAL", name="KNEE T1 TSE COR", sequence_name="TSE2D_3",
    sequence=mr.Sequence(640, 11, gain=2500, noise=18.0, blur_px=0.75), plane="coronal",
    first_mm=-62.0, last_mm=52.0, window=(1000, 2000), echo_train=3, duration_s=150.0,
)  # fmt: skip
PROTOCOLS: Final[dict[str, tuple[Protocol, ...]]] = {
    "mr-brain": (T1, T2, FLAIR, _DWI, _WEIGHTED, _ADC),
    "mr-knee": (_KNEE_PD, _KNEE_T1),
}
