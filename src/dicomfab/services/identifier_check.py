"""Fabricated identifiers must not meet a patient's: the destination is asked for them before they are sent to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StoredInstance, StudySummary
from dicomfab.model.errors import Conflict, DicomFabError, NotFound, TranscodingFailed
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.marks import marks_of
from dicomfab.services.peers import peer_for
from dicomfab.services.query import Find

#: What is asked for, by the name that people know it under.
_IDENTIFIERS: Final = {"PatientID": "Patient ID", "AccessionNumber": "accession number"}
#: Nobody has so many studies; a server that answers with so many ignores what it was asked for.
_LIMIT: Final = 1000


@dataclass(slots=True)
class IdentifierCheck:
    """Asks a destination outside the lab for the identifiers of a fabricated study.

    Args:
        local: the local store.
        find: the C-FIND SCU.
        is_in_lab: whether a server is one of the lab's own, which hold nothing real.
        is_fabricated: whether the ledger knows a Study Instance UID as one that was fabricated here.
    """

    local: Archive
    find: Find
    is_in_lab: Callable[[PacsServer], bool]
    is_fabricated: Callable[[str], bool]

    def __call__(self, study: StudySummary, instances: Sequence[StoredInstance], destination: PacsServer) -> str:
        """Refuse to send a fabricated study where its identifiers are somebody else's.

        Returns:
            What the report says of it: empty if there was nothing to check or nothing was found; else why it could not
            be checked.

        Raises:
            Conflict: the destination holds a study under them that is not ours; or it is production, and cannot be
                asked.
            PeerError: the same, for a reason that may pass.
        """
        if self.is_in_lab(destination) or not _is_marked(instances):
            return ""
        sent = {"PatientID": study.patient_id, "AccessionNumber": study.accession_number}
        try:
            taken = [key for key, value in sent.items() if value and self._is_anothers(key, value, destination)]
        except DicomFabError as error:
            return _unchecked(destination, error)
        if taken:
            raise _clash(destination, taken[0])
        return ""

    def _is_anothers(self, keyword: str, value: str, destination: PacsServer) -> bool:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(Level.STUDY)
        identifier.StudyInstanceUID = ""
        setattr(identifier, keyword, value)
        peer = peer_for(destination, Capability.FIND)
        for number, match in enumerate(self.find(peer, QueryModel.STUDY_ROOT, identifier, limit=_LIMIT), 1):
            # A server that ignores the key answers with all that it has: what it says stands under the key counts.
            said = str(match.get(keyword, value) or value).strip()
            if said.casefold() == value.strip().casefold() and not self._is_ours(str(match.get("StudyInstanceUID"))):
                return True
            if number == _LIMIT:
                raise Conflict(f"{destination.name} answers with {_LIMIT} studies or more")
        return False

    def _is_ours(self, study_instance_uid: str) -> bool:
        try:
            known = self.local.study(study_instance_uid).summary.environment is Environment.TEST
        except NotFound:
            known = False
        return known or self.is_fabricated(study_instance_uid)


def _is_marked(instances: Sequence[StoredInstance]) -> bool:
    """Whether any series of a study carries our mark, by its first instance."""
    firsts = {one.series_instance_uid: one for one in reversed(instances)}
    for one in firsts.values():
        try:
            if marks_of(one.file).is_marked:
                return True
        except (TranscodingFailed, OSError):  # it will not be sent either, and that will be said
            continue
    return False


def _clash(destination: PacsServer, keyword: str) -> Conflict:
    kind = _IDENTIFIERS[keyword]
    option = "--patient-id ID" if keyword == "PatientID" else "--accession NUMBER"
    return Conflict(
        f"{destination.name} already holds a study that is not ours under the same {kind}: nothing was sent.",
        cause=f"the fabricated {kind} is in use there, perhaps for a patient",
        remedy=f"fabricate with another one, or change it on the way: dicomfab send STUDY --new-uids {option}",
    )


def _unchecked(destination: PacsServer, error: DicomFabError) -> str:
    why = f"identifiers could not be checked: {error.heading}: {error.what}"
    if destination.environment is Environment.TEST:
        return why
    if error.transient:
        raise error
    raise Conflict(
        f"{destination.name} is a production server, and {why}. Nothing was sent.",
        cause="fabricated identifiers go to production only if it can be told that no patient has them",
        remedy="let C-FIND of this server be used (dicomfab pacs edit), or send to a test server",
    ) from error
