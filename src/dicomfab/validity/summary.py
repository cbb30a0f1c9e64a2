"""What is kept of an instance after its file is closed, to compare it with the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicomfab.validity.instance import Instance


@dataclass(frozen=True, slots=True)
class Summary:
    """An instance among others.

    Args:
        path: its file.
        sop_class_uid: (0008,0016).
        sop_instance_uid: (0008,0018).
        transfer_syntax_uid: (0002,0010).
        study_instance_uid: (0020,000D).
        series_instance_uid: (0020,000E).
        frame_of_reference_uid: (0020,0052).
        modality: (0008,0060).
        patient: identifier, issuer, birth date and sex.
        instance_number: (0020,0013), empty if absent.
        image_type: (0008,0008).
        frames: NumberOfFrames, 1 if absent.
        orientation: ImageOrientationPatient; empty if absent.
        position_mm: ImagePositionPatient; empty if absent.
        spacing_mm: SpacingBetweenSlices; ``None`` if absent.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    modality: str
    patient: tuple[str, str, str, str]
    instance_number: str
    image_type: tuple[str, ...]
    frames: int
    orientation: tuple[float, ...]
    position_mm: tuple[float, ...]
    spacing_mm: float | None


def summarise(instance: Instance) -> Summary:
    """Keep what comparisons need."""
    spacing = instance.decimals(0x00180088)
    frames = instance.decimals(0x00280008)
    return Summary(
        path=instance.path,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        study_instance_uid=instance.string(0x0020000D),
        series_instance_uid=instance.string(0x0020000E),
        frame_of_reference_uid=instance.string(0x00200052),
        modality=instance.string(0x00080060),
        patient=(
            instance.string(0x00100020),
            instance.string(0x00100021),
            instance.string(0x00100030),
            instance.string(0x00100040),
        ),
        instance_number=instance.string(0x00200013),
        image_type=tuple(instance.strings(0x00080008)),
        frames=int(frames[0]) if frames else 1,
        orientation=tuple(instance.decimals(0x00200037)),
        position_mm=tuple(instance.decimals(0x00200032)),
        spacing_mm=spacing[0] if spacing else None,
    )
