"""Our rules: one function each, with an id, the section of the standard and what to do.

:data:`INSTANCE_RULES` look at one file, :data:`SERIES_RULES` at the instances of a series together,
:data:`SET_RULES` at everything that was given.
"""

from __future__ import annotations

from typing import Final

from dicomfab.validity.findings import Rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.rules.across import SERIES_RULES, SET_RULES
from dicomfab.validity.rules.frames import RULES as FRAMES
from dicomfab.validity.rules.geometry import RULES as GEOMETRY
from dicomfab.validity.rules.identity import RULES as IDENTITY
from dicomfab.validity.rules.image import RULES as IMAGE
from dicomfab.validity.rules.lossy import RULES as LOSSY
from dicomfab.validity.rules.marks import RULES as MARKS
from dicomfab.validity.rules.part10 import RULES as PART10
from dicomfab.validity.rules.patient import RULES as PATIENT
from dicomfab.validity.rules.text import RULES as TEXT

__all__ = ["INSTANCE_RULES", "SERIES_RULES", "SET_RULES"]

INSTANCE_RULES: Final[tuple[Rule[Instance], ...]] = (
    *PART10,
    *IDENTITY,
    *TEXT,
    *PATIENT,
    *IMAGE,
    *FRAMES,
    *LOSSY,
    *GEOMETRY,
    *MARKS,
)
