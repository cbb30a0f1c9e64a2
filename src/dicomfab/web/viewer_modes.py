"""What the viewer (OHIF 3.13) shows of a study, and in which of its modes.

The SOP classes are those that its SOP class handlers name. What none of them takes has no place in the viewer, and our
own pages show it; so they do with reports, of which the viewer shows no text but only measurements over their images.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


def _uids(*ends: str) -> frozenset[str]:
    return frozenset(_STORAGE + end for text in ends for end in text.split())


#: Shown as images one beside the other, or as frames (PS3.4 B.5).
IMAGES: Final = _uids(
    "1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1",  # CR, DX, MG, intra-oral
    "2 2.1 2.2 4 4.1 4.3 4.4 20 128 128.1 130",  # CT, MR, NM, PET
    "3.1 6.1 6.2",  # ultrasound
    "7 7.2 7.3 7.4",  # secondary capture; of single bits (7.1) it draws nothing
    "12.1 12.1.1 12.2 12.2.1 13.1.1 13.1.2 13.1.3 13.1.4 13.1.5",  # XA, RF, tomosynthesis
    "14.1 14.2 77.1.1 77.1.2 77.1.3 77.1.4 77.1.5.1 77.1.5.2 77.1.5.4 82.1",  # visible light, eyes
    "481.1",  # RT image
)
WHOLE_SLIDES: Final = _uids("77.1.6")
VIDEOS: Final = _uids("77.1.1.1 77.1.2.1 77.1.4.1")
ECGS: Final = _uids("9.1.1 9.1.2 9.1.3 9.2.1 9.3.1")
DOCUMENTS: Final = _uids("104.1")
#: Laid over the images that they were made from, and nothing without these.
OVERLAYS: Final = _uids("66.4 66.7 30 481.2 481.3")

#: Readable by themselves.
_ALONE: Final = IMAGES | WHOLE_SLIDES | VIDEOS | ECGS | DOCUMENTS
#: Modalities without an image of their own (PS3.3 C.7.3.1.1.1).
_NO_IMAGES: Final = frozenset(
    {"SR", "KO", "PR", "SEG", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID", "RWV", "AU", "PLAN", "RESP"}
)
_VOLUMES: Final = frozenset({"CT", "MR", "PT"})
_UNSEGMENTED: Final = frozenset({"SM", "ECG", "OT", "DOC"})


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a study.

    Args:
        title: what people call it.
        mode: of OHIF, the first part of the address.
        protocol: hanging protocol of OHIF; that of the mode if blank.
    """

    title: str
    mode: str
    protocol: str = ""

    def address(self, *study_instance_uids: str) -> str:
        """Where one or more studies are seen so."""
        asked = {"StudyInstanceUIDs": ",".join(study_instance_uids)}
        if self.protocol:
            asked["hangingprotocolid"] = self.protocol
        return f"/ohif/{self.mode}?{urlencode(asked, safe=',')}"


IMAGES_VIEW: Final = View("Images", "viewer")
PLANES: Final = View("Three planes (MPR)", "viewer", "mpr")
PLANES_AND_VOLUME: Final = View("Three planes and volume", "viewer", "mprAnd3DVolumeViewport")
MAMMOGRAPHY: Final = View("Mammography", "viewer", "@ohif/hpMammo")
FUSION: Final = View("PET/CT fusion", "tmtv")
SLIDE: Final = View("Whole slide", "microscopy")
SEGMENTATION: Final = View("Segmentation", "segmentation")
LUNG: Final = View("Lung ultrasound", "usAnnotation")


@dataclass(frozen=True, slots=True)
class Opening:
    """What the viewer makes of a study.

    Args:
        address: where it opens at its best; blank if the viewer would show nothing.
        others: how else it can be seen: each with its address.
        left_out: SOP class UIDs of the study that the viewer leaves out, or of which it shows no text.
    """

    address: str = ""
    others: tuple[tuple[View, str], ...] = ()
    left_out: frozenset[str] = frozenset()


def opening(study_instance_uid: str, modalities: Collection[str], sop_classes: Collection[str] = ()) -> Opening:
    """How the viewer opens a study.

    Args:
        study_instance_uid: of the study.
        modalities: Modality (0008,0060) of its series.
        sop_classes: SOP Class UIDs (0008,0016) of its instances; without them the modalities decide alone.
    """
    kinds, classes = frozenset(modalities), frozenset(sop_classes)
    left_out = classes - _ALONE - OVERLAYS
    shows = bool(classes & _ALONE) if classes else bool(kinds - _NO_IMAGES)
    if not shows:
        return Opening(left_out=classes)
    first, *others = _views(kinds, classes)
    return Opening(
        first.address(study_instance_uid),
        tuple((view, view.address(study_instance_uid)) for view in others),
        left_out,
    )


def _views(kinds: frozenset[str], classes: frozenset[str]) -> list[View]:
    """All ways, the best first."""
    views = []
    if "SM" in kinds and (not classes or classes & WHOLE_SLIDES):
        views.append(SLIDE)
    if {"PT", "CT"} <= kinds and "SM" not in kinds:
        views.append(FUSION)
    views.append(IMAGES_VIEW)
    if "MG" in kinds:
        views.append(MAMMOGRAPHY)
    if kinds & _VOLUMES:
        views += [PLANES, PLANES_AND_VOLUME]
    if "US" in kinds:
        views.append(LUNG)
    if kinds - _UNSEGMENTED - _NO_IMAGES and (not classes or classes & IMAGES):
        views.append(SEGMENTATION)
    return views
