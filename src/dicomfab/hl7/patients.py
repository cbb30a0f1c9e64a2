"""What an ADT message says about patients: who it is about, and whose identifier is no longer used (MRG)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.hl7.er7 import NULL, parse

#: Events (HL7 table 0003) that tell of a patient.
TELLING: Final = frozenset({"A01", "A04", "A05", "A08", "A31"})
CANCELLING: Final = frozenset({"A11"})
#: Another patient's identifier ends (A40), or a patient's identifier is another from now on (A47).
MERGING: Final = frozenset({"A40", "A47"})
KNOWN: Final = TELLING | CANCELLING | MERGING


@dataclass(frozen=True, slots=True)
class Prior:
    """An identifier that is no longer used (MRG-1).

    Args:
        patient_id: MRG-1.1.
        issuer: MRG-1.4.1.
        line: which MRG segment, the first is 1.
    """

    patient_id: str
    issuer: str
    line: int = 1


def priors(text: str) -> tuple[Prior, ...]:
    """The identifiers of a message that are no longer used.

    Raises:
        Hl7Error: it is no HL7 v2 message.
    """
    segments = [segment for segment in parse(text).segments if segment.name == "MRG"]
    found = []
    for line, segment in enumerate(segments, 1):
        for one in segment.repetitions(1):
            patient_id = one.get(1)
            if patient_id and patient_id != NULL:
                found.append(Prior(patient_id[:64], one.get(4)[:64], line))
    return tuple(found)
