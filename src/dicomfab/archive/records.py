"""What the archive takes and hands out, as plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment


class Duplicate(enum.StrEnum):
    """What to do with a SOP instance UID that is already there with other content."""

    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


class Outcome(enum.StrEnum):
    """What became of an instance handed to the archive."""

    NEW = "new"
    SAME = "same"
    KEPT = "kept"
    REPLACED = "replaced"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance in the archive.

    Args:
        path: its DICOM file.
        size_bytes: of the data set, without the file header.
        dataset_offset: bytes of the file before the data set begins.
        made_here: this installation is known to have fabricated it.
    """

    path: Path
    identity: InstanceIdentity
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    size_bytes: int
    dataset_offset: int
    made_here: bool = False

    @property
    def file(self) -> InstanceFile:
        """What a C-STORE SCU needs to send it."""
        return InstanceFile(self.path, self.identity, self.dataset_offset)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to a commit: for ``KEPT`` and ``REFUSED``, ``instance`` is the one that was there before."""

    outcome: Outcome
    instance: StoredInstance

    @property
    def is_new(self) -> bool:
        """Whether the instance is now in the archive as it was handed in, and was not before."""
        return self.outcome in (Outcome.NEW, Outcome.REPLACED)


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """Which studies a list shows. Empty means any.

    Args:
        search: words, each of which must occur in name, patient ID, accession number or description (any case).
        patient_name, patient_id, accession_number, modality: matched as C-FIND does, wildcards included.
        date_from, date_to: ``YYYYMMDD``, inclusive.
    """

    search: str = ""
    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    modality: str = ""
    date_from: str = ""
    date_to: str = ""


class StudySort(enum.StrEnum):
    """Columns that a list of studies can be ordered by."""

    STORED = "stored"
    STUDY_DATE = "study_date"
    PATIENT_NAME = "patient_name"
    PATIENT_ID = "patient_id"
    ACCESSION_NUMBER = "accession_number"
    DESCRIPTION = "description"
    INSTANCES = "instances"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class StudySummary:
    """One line of a list of studies. Dates and times as DICOM writes them.

    Args:
        stored_at: when its first instance came in, ISO 8601 in UTC.
        retrieved_at: when a server of production sent the last of what expires; blank if nothing does.
    """

    study_instance_uid: str
    patient_name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    study_time: str
    study_id: str
    description: str
    referring_physician: str
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int
    size_bytes: int
    environment: Environment
    stored_at: str
    retrieved_at: str = ""


@dataclass(frozen=True, slots=True)
class StudyPage:
    """A page of a list, and how many studies the whole list has."""

    studies: tuple[StudySummary, ...]
    total: int


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series of a study."""

    series_instance_uid: str
    modality: str
    series_number: str
    description: str
    body_part: str
    instance_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """One line of a list of instances; numbers as the instance writes them, blank where it has none.

    Args:
        size_bytes: of the data set.
    """

    sop_instance_uid: str
    sop_class_uid: str
    number: str
    image_type: str
    rows: str
    columns: str
    frames: str
    transfer_syntax_uid: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StudyDetail:
    """A study with its series, in the order of their numbers."""

    summary: StudySummary
    series: tuple[SeriesSummary, ...]


@dataclass(frozen=True, slots=True)
class PatientSummary:
    """One patient with counts."""

    patient_name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    study_count: int
    series_count: int
    instance_count: int


@dataclass(frozen=True, slots=True)
class StorageSummary:
    """How much there is; ``size_bytes`` counts data sets."""

    patients: int
    studies: int
    series: int
    instances: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a rebuild found: instances indexed, and files it could not use (left where they are)."""

    instances: int
    unusable: tuple[Path, ...]
