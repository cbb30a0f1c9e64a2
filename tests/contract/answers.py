"""Where the engines differ, as data: what each answers to the same question. All else is the same, and tested so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.testpacs.spec import EngineName


@dataclass(frozen=True)
class Answers:
    """What one engine answers where another may answer otherwise.

    Args:
        implementation: begins its implementation version name.
        page: possible statuses of its web port's front page.
        unknown_destination: status of a C-MOVE to an AE title that it does not know (PS3.4 C.4.2.1.5: A801).
        dead_destination: status of a C-MOVE to a server that does not run (A702).
        lower_case_destination: status of a C-MOVE to a known AE title in lower case, which is another one.
        nothing_to_retrieve: status of a C-MOVE or C-GET of a study that it does not have.
        not_taken: status of a C-GET of which nothing can be taken (A702).
        no_level: status of a C-FIND without a valid level (A900).
        patients_in_study_root: status of a C-FIND for patients in the study root, which has none (A900).
        no_unique_key: status of a C-MOVE without a study (A900).
        pending_of_three: pending responses of a C-MOVE of three instances.
        by_ideographs: whether ``山田*`` finds a name whose second component group begins so.
        related_studies: Number of Patient Related Studies at study level.
        availability: Instance Availability.
        takes_htj2k: whether it takes a transfer syntax that is younger than Debian's Orthanc.
    """

    implementation: str
    page: tuple[int, ...]
    unknown_destination: int
    dead_destination: int
    lower_case_destination: int
    nothing_to_retrieve: int
    not_taken: int
    no_level: int
    patients_in_study_root: int
    no_unique_key: int
    pending_of_three: int
    by_ideographs: bool
    related_studies: str
    availability: str
    takes_htj2k: bool


ANSWERS: Final = {
    EngineName.EMBEDDED: Answers(
        implementation="DICOMFAB",
        page=(200,),
        unknown_destination=0xA801,
        dead_destination=0xA702,
        lower_case_destination=0xA801,
        nothing_to_retrieve=0x0000,
        not_taken=0xA702,
        no_level=0xA900,
        patients_in_study_root=0xA900,
        no_unique_key=0xA900,
        pending_of_three=3,
        by_ideographs=True,
        related_studies="1",
        availability="ONLINE",
        takes_htj2k=True,
    ),
    EngineName.ORTHANC: Answers(
        implementation="OFFIS_DCMTK",
        page=(301, 307),  # to its Explorer; the second one from 1.12 on
        unknown_destination=0xC000,
        dead_destination=0xC000,
        lower_case_destination=0x0000,
        nothing_to_retrieve=0xC000,
        not_taken=0xC000,
        no_level=0xC000,
        patients_in_study_root=0x0000,
        no_unique_key=0xC000,
        pending_of_three=2,
        by_ideographs=False,
        related_studies="",
        availability="",
        takes_htj2k=False,
    ),
}
