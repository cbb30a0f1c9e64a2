"""The truth file, as a schema that is published: one JSON document for a study."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_ID: Final = "https://dicom-fabricator.example/truth.schema.json"

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_MM: Final = "x, y, z in mm"


class Section(BaseModel):
    """The image of a series that shows a lesion best."""

    model_config = _STRICT

    series_instance_uid: str
    sop_instance_uid: str


class Lesion(BaseModel):
    """A finding of the body, in the coordinates of the region's frame of reference."""

    model_config = _STRICT

    kind: str = Field(description="What it is, such as nodule.")
    tissue: str = Field(description="Of the phantom, at its middle.")
    centre_mm: tuple[float, float, float] = Field(description=f"{_MM}, patient coordinates (LPS).")
    size_mm: tuple[float, float, float] = Field(description=f"Whole axes along {_MM}, at the date of the study.")
    volume_mm3: float = Field(description="Of the ellipsoid.")
    hu: float = Field(description="CT number after contrast, in HU.")
    suv: float | None = Field(description="SUV of FDG by body weight; null where nothing is taken up.")
    tracking_id: str = Field(default="", description="What every object of the patient calls it.")
    tracking_uid: str = Field(default="", description="The same as a UID, over all studies of the patient.")
    sections: list[Section] = Field(
        description="One of each series of sections that cut it; empty if it lies beyond or between them."
    )


class Region(BaseModel):
    """A part of the body that the study shows."""

    model_config = _STRICT

    region: str
    side: str = Field(description="L or R of a knee or breast, else empty.")
    frame_of_reference_uid: str = Field(description="Of the instances with these coordinates; else empty.")
    lesions: list[Lesion]


class Object(BaseModel):
    """A report, segmentation, plan or the like."""

    model_config = _STRICT

    kind: str
    title: str
    modality: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    references: list[str] = Field(description="SOP Instance UIDs that its attributes refer to.")
    says: dict[str, Any] = Field(description="What it says, by its kind.")


class File(BaseModel):
    """A file as it was written."""

    model_config = _STRICT

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Truth(BaseModel):
    """What is to be found in a study, because we put it there."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"$id": SCHEMA_ID, "title": "DICOM Fabricator truth file"}
    )

    schema_id: str = Field(alias="schema", description="Of this document.")
    study_instance_uid: str
    accession_number: str
    patient_id: str
    seed: int
    study_date: str = Field(description="YYYYMMDD.")
    study_time: str = Field(description="HHMMSS.")
    course_months: int = Field(ge=0, description="Since the lesions of the patient were first seen.")
    character_set: str = Field(description="SpecificCharacterSet (0008,0005), values joined by backslash.")
    patient: dict[str, str | float] = Field(description="What is known of the patient; blanks are left out.")
    order: dict[str, str] | None = Field(description="What the instances say of their order.")
    kinds: list[str]
    regions: list[Region]
    series: list[dict[str, Any]] = Field(description="Pictures: what they show, in their own pixels.")
    objects: list[Object]
    defects: list[dict[str, Any]] = Field(description="What is wrong on purpose, and what a careful receiver does.")
    files: list[File] = Field(description="Of the study, where its files were at hand.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a truth file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Truth.model_json_schema()}
