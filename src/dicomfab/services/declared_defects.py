"""Studies that were fabricated to be wrong: none is made or imported into the local store; the ledger knows of each.

Only what is sent from a folder is held there on its way, see :class:`~dicomfab.services.importing.ImportService`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy


def refuse_defects(studies: Sequence[ResolvedStudy]) -> None:
    """Refuse studies with declared defects where they would go into the local store.

    Raises:
        InvalidInput: naming the first.
    """
    for study in studies:
        if study.defects:
            raise InvalidInput(
                f"out: a study with declared defects ({', '.join(study.defects)}) is written into a folder",
                field="out",
                value=None,
                cause="the local store keeps only what can be read back",
                remedy="name a folder, such as --out FOLDER, or leave the defects out",
            )


def defect_note(study_instance_uid: str) -> str:
    """What the ledger knows, beside a study, if the study was fabricated with declared defects."""
    from dicomfab.fabricate.seeds import uid

    return uid("declared defects", study_instance_uid)
