"""Query/Retrieve levels and information models (PS3.4 C.6)."""

from __future__ import annotations

import enum
from typing import Final

#: How many matches of a server are asked for, unless somebody says otherwise.
DEFAULT_LIMIT: Final = 500


class Level(enum.StrEnum):
    """Query/Retrieve Level (0008,0052), as it goes over the wire."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class QueryModel(enum.StrEnum):
    """The two hierarchical information models in use."""

    PATIENT_ROOT = "patient-root"
    STUDY_ROOT = "study-root"
