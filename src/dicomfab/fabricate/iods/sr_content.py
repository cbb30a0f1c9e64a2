"""Content items of structured reports (PS3.3 C.17.3), by value type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.iods.references import reference
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.plan import Planned

Relationship = Literal[
    "", "CONTAINS", "HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES", "INFERRED FROM", "SELECTED FROM"
]

CONTAINS: Final = "CONTAINS"
CONTEXT: Final = "HAS OBS CONTEXT"
MODIFIER: Final = "HAS CONCEPT MOD"
PROPERTY: Final = "HAS PROPERTIES"
INFERRED: Final = "INFERRED FROM"
SELECTED: Final = "SELECTED FROM"

MM: Final[Code] = ("mm", "UCUM", "mm")
MM3: Final[Code] = ("mm3", "UCUM", "cubic millimeter")
HU: Final[Code] = ("[hnsf'U]", "UCUM", "Hounsfield unit")
SUV: Final[Code] = ("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")


def container(
    relationship: Relationship, concept: Code, children: Sequence[Dataset] = (), *, template: str = ""
) -> Dataset:
    """CONTAINER; the root of a document has no relationship.

    Args:
        relationship: to what it stands in.
        concept: its name.
        children: what it contains, and what is said of it.
        template: of PS3.16 that it follows, by its number; empty if none is named.
    """
    made = _item(relationship, "CONTAINER", concept)
    made.ContinuityOfContent = "SEPARATE"
    if template:
        named = Dataset()
        named.MappingResource, named.TemplateIdentifier = "DCMR", template
        made.ContentTemplateSequence = Items([named])
    return _with(made, children)


def text(relationship: Relationship, concept: Code, value: str, children: Sequence[Dataset] = ()) -> Dataset:
    """TEXT."""
    made = _item(relationship, "TEXT", concept)
    made.TextValue = value
    return _with(made, children)


def code(relationship: Relationship, concept: Code, value: Code, children: Sequence[Dataset] = ()) -> Dataset:
    """CODE."""
    made = _item(relationship, "CODE", concept)
    made.ConceptCodeSequence = coded(value)
    return _with(made, children)


def number(
    relationship: Relationship, concept: Code, value: float, unit: Code, children: Sequence[Dataset] = ()
) -> Dataset:
    """NUM, in a unit of UCUM; the value is written with at most ten significant digits."""
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = coded(unit)
    measured.NumericValue = f"{value:.10g}"
    made = _item(relationship, "NUM", concept)
    made.MeasuredValueSequence = Items([measured])
    return _with(made, children)


def person(relationship: Relationship, concept: Code, name: str) -> Dataset:
    """PNAME."""
    made = _item(relationship, "PNAME", concept)
    made.PersonName = name
    return made


def moment(relationship: Relationship, concept: Code, value: str) -> Dataset:
    """DATETIME, as VR DT writes it."""
    made = _item(relationship, "DATETIME", concept)
    made.DateTime = value
    return made


def uid_reference(relationship: Relationship, concept: Code, uid: str, children: Sequence[Dataset] = ()) -> Dataset:
    """UIDREF."""
    made = _item(relationship, "UIDREF", concept)
    made.UID = uid
    return _with(made, children)


def image(
    relationship: Relationship,
    concept: Code | None,
    planned: Planned,
    index: int = 0,
    *,
    segment: int | None = None,
) -> Dataset:
    """IMAGE.

    Args:
        relationship: to what it stands in.
        concept: its name; none is needed for the image that something was selected from.
        planned: the series of the image.
        index: of the instance, from 0.
        segment: of a segmentation, its number.
    """
    made = _item(relationship, "IMAGE", concept)
    referred = reference(planned.sop_class_uid, planned.sop_instance_uid(index))
    if segment is not None:
        referred.ReferencedSegmentNumber = segment
    made.ReferencedSOPSequence = Items([referred])
    return made


def coordinates(
    relationship: Relationship,
    concept: Code | None,
    graphic: str,
    points: Sequence[tuple[float, float]],
    selected_from: Dataset,
) -> Dataset:
    """SCOORD.

    Args:
        relationship: to what it stands in.
        concept: its name, if it has one.
        graphic: such as ``POLYLINE`` (PS3.3 C.18.6.1.1).
        points: column and row, from the upper left corner of the image, in pixels.
        selected_from: the image, see :func:`image`.
    """
    made = _item(relationship, "SCOORD", concept)
    made.GraphicType = graphic
    made.GraphicData = [value for point in points for value in point]
    return _with(made, (selected_from,))


def coordinates_3d(
    relationship: Relationship,
    concept: Code | None,
    graphic: str,
    points: Sequence[tuple[float, float, float]],
    frame_of_reference_uid: str,
) -> Dataset:
    """SCOORD3D.

    Args:
        relationship: to what it stands in.
        concept: its name, if it has one.
        graphic: such as ``ELLIPSOID`` (PS3.3 C.18.9.1.2).
        points: x, y, z in the frame of reference, in mm.
        frame_of_reference_uid: of the points.
    """
    made = _item(relationship, "SCOORD3D", concept)
    made.GraphicType = graphic
    made.GraphicData = [value for point in points for value in point]
    made.ReferencedFrameOfReferenceUID = frame_of_reference_uid
    return made


def _item(relationship: Relationship, value_type: str, concept: Code | None) -> Dataset:
    made = Dataset()
    if relationship:
        made.RelationshipType = relationship
    made.ValueType = value_type
    if concept is not None:
        made.ConceptNameCodeSequence = coded(concept)
    return made


def _with(made: Dataset, children: Sequence[Dataset]) -> Dataset:
    if children:
        made.ContentSequence = Items(children)
    return made
