"""Nothing fabricated goes where patients are, and no patient's data where tests are, unless a server's entry says so.

What our ledger knows or our mark proves is synthetic; all else counts as real. A study is judged as a whole, before
anything is sent: at submission, and again when its turn has come.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StoredInstance
from dicomfab.model.errors import AccessDenied, Conflict, NotFound, PeerError, TranscodingFailed
from dicomfab.registry.server import PacsServer
from dicomfab.services.listings import instances_of, series_of
from dicomfab.services.marks import CREATOR, DEFECTS, RECIPE_HASH, SYNTHETIC_DATA, Marks, marks_at_start, proven
from dicomfab.services.query import Find

log = logging.getLogger(__name__)

_MADE_HERE: Final = Marks(is_marked=True, is_proven=True, says_synthetic=True)
_ASKED: Final = {SYNTHETIC_DATA: "CS", CREATOR: "LO", RECIPE_HASH: "LO", DEFECTS: "LO"}


class Origin(enum.StrEnum):
    """What a study is made of."""

    SYNTHETIC = "synthetic"  # every instance is known or proven to be fabricated
    REAL = "real"  # nothing says that it is fabricated
    MIXED = "mixed"  # some instances are fabricated, or say so without proof: it is treated as both

    @property
    def holds_synthetic(self) -> bool:
        """Whether any of it is fabricated, or may be."""
        return self is not Origin.REAL

    @property
    def holds_real(self) -> bool:
        """Whether any of it counts as real."""
        return self is not Origin.SYNTHETIC


_WORDS: Final = {
    Origin.SYNTHETIC: "our ledger, or the mark in its instances, says that it was fabricated",
    Origin.REAL: "neither our ledger nor a mark proves that it was fabricated, so it counts as real",
    Origin.MIXED: "some of its instances are marked as fabricated, the others count as real",
}


@dataclass(slots=True)
class Provenance:
    """Judges studies, and refuses those that a server's entry does not allow.

    Args:
        local: the local store.
        find: the C-FIND SCU.
        is_fabricated: whether the ledger knows a Study Instance UID as one that was fabricated here.
        has_defect: whether the ledger knows a study as one that was fabricated here with a declared defect.
        is_in_lab: whether a server is one of the lab's own, which hold nothing real.
    """

    local: Archive
    find: Find
    is_fabricated: Callable[[str], bool]
    has_defect: Callable[[str], bool] = lambda _study: False
    is_in_lab: Callable[[PacsServer], bool] = lambda _server: False

    def of_local(self, study_instance_uid: str, instances: Sequence[StoredInstance] | None = None) -> Origin:
        """Judge a study of the local store, by its ledger entry and by the mark of each instance.

        Args:
            study_instance_uid: the study.
            instances: its instances, if they are known already.
        """
        is_known = self.is_fabricated(study_instance_uid)
        held = self.local.instances(study_instance_uid) if instances is None else instances
        return origin_of([marks_held(one) for one in held], is_known=is_known)

    def at(self, server: PacsServer, study_instance_uid: str) -> Origin:
        """Judge a study that a server holds: by our ledger and the local store's copy, else by what C-FIND tells.

        What is on the server beside what we know of it cannot be seen: what the ledger knows and the local store does
        not hold is synthetic as a whole.

        Raises:
            Conflict: C-FIND is switched off for the server, and nothing else is known.
            NotFound: it is not there, and nothing else is known.
            PeerError: the server could not be asked.
        """
        if (here := self.of_local(study_instance_uid)).holds_synthetic:
            return here
        return origin_of(self._told(server, study_instance_uid), is_known=False)

    def check_send(
        self, study_instance_uid: str, destination: PacsServer, instances: Sequence[StoredInstance] | None = None
    ) -> None:
        """Refuse to send a local study where it may not go.

        Raises:
            AccessDenied: with the setting that would allow it.
        """
        if self._keeps_defects_out(destination) and self._is_defective(study_instance_uid):
            raise _defective(study_instance_uid, destination)
        if not _takes_all(destination):
            refuse(self.of_local(study_instance_uid, instances), study_instance_uid, destination)

    def check_move(self, study_instance_uid: str, source: PacsServer, destination: PacsServer) -> None:
        """Refuse to have a study moved where it may not go.

        Whether it has a declared defect, the source is asked as well; one that cannot be asked, or tells nothing,
        does not stop a study whose origin is of no matter.

        Raises:
            AccessDenied: with the setting that would allow it.
            Conflict, NotFound, PeerError: as :meth:`at`; what it is cannot be told.
        """
        keeps_out, takes_all = self._keeps_defects_out(destination), _takes_all(destination)
        if keeps_out and self._is_defective(study_instance_uid):
            raise _defective(study_instance_uid, destination)
        if takes_all and not keeps_out:
            return
        here = Origin.REAL if takes_all else self.of_local(study_instance_uid)
        if here.holds_synthetic:
            refuse(here, study_instance_uid, destination)
        is_unknown = not (takes_all or here.holds_synthetic)
        if not (is_unknown or keeps_out):
            return
        try:
            told = self._told(source, study_instance_uid)
        except (Conflict, NotFound):
            if is_unknown:
                raise
            return
        if keeps_out and any(one.has_defect for one in told):
            raise _defective(study_instance_uid, destination)
        if is_unknown:
            refuse(origin_of(told, is_known=False), study_instance_uid, destination)

    def check_move_beforehand(self, study_instance_uid: str, source: PacsServer, destination: PacsServer) -> None:
        """The same at submission: a source that cannot be asked now is asked when the job's turn has come.

        Raises:
            AccessDenied: with the setting that would allow it.
        """
        try:
            self.check_move(study_instance_uid, source, destination)
        except (PeerError, Conflict, NotFound) as error:
            log.info("where %s comes from is asked again when its turn comes: %s", study_instance_uid, error.heading)

    def _keeps_defects_out(self, destination: PacsServer) -> bool:
        """The lab's own production servers take what was fabricated to be wrong."""
        return destination.is_production and not self.is_in_lab(destination)

    def _is_defective(self, study_instance_uid: str) -> bool:
        """Whether the ledger or the mark of an instance that is here tells of a declared defect."""
        if self.has_defect(study_instance_uid):
            return True
        return any(marks_held(one).has_defect for one in self.local.instances(study_instance_uid))

    def _told(self, server: PacsServer, study_instance_uid: str) -> list[Marks]:
        """What a server says of the marks of a study's instances; most servers say nothing."""
        all_series = series_of(self.find, server, study_instance_uid)
        if not all_series:
            raise NotFound(f"{server.name} holds no study {study_instance_uid}.", cause="it is on another server")
        found = []
        for series in all_series:
            for one in instances_of(self.find, server, study_instance_uid, series, _ASKED.items()):
                said = {tag: _text(one.match[tag].value) for tag in _ASKED if tag in one.match}
                found.append(proven(said, study_instance_uid))
        return found


def origin_of(marks: Iterable[Marks], *, is_known: bool) -> Origin:
    """What a study is made of, by the marks of its instances.

    Args:
        marks: of each instance.
        is_known: whether the ledger knows the study; then a mark needs no proof.
    """
    seen = {(one.is_proven or (is_known and one.is_marked), one.says_synthetic) for one in marks}
    if not seen:
        return Origin.SYNTHETIC if is_known else Origin.REAL
    if all(is_ours for is_ours, _ in seen):
        return Origin.SYNTHETIC
    return Origin.MIXED if is_known or any(is_ours or says for is_ours, says in seen) else Origin.REAL


def refuse(origin: Origin, study_instance_uid: str, destination: PacsServer) -> None:
    """Raise unless a server's entry allows what a study is made of.

    Raises:
        AccessDenied: with the setting that would allow it.
    """
    wanted = [("allow_synthetic", "synthetic")] if origin.holds_synthetic and not destination.allow_synthetic else []
    wanted += [("allow_real", "real")] if origin.holds_real and not destination.allow_real else []
    if not wanted:
        return
    name, what = wanted[0]
    side = "production" if destination.is_production else "test"
    settings = " and ".join(setting for setting, _ in wanted)
    options = " ".join(f"--{setting.replace('_', '-')}" for setting, _ in wanted)
    raise AccessDenied(
        f"{destination.name} is a {side} server that takes no {what} data ({name} is off): nothing was sent. "
        f"Study {study_instance_uid} is {origin}.",
        cause=_WORDS[origin],
        remedy=f"choose another server; if it is right for {destination.name}, an administrator can set {settings}: "
        f"dicomfab pacs edit {destination.id} {options}",
    )


def _takes_all(destination: PacsServer) -> bool:
    return bool(destination.allow_synthetic and destination.allow_real)


def _defective(study_instance_uid: str, destination: PacsServer) -> AccessDenied:
    return AccessDenied(
        f"{destination.name} is a production server, and study {study_instance_uid} has a declared defect: "
        "nothing was sent.",
        cause="what was fabricated to be wrong never goes to production outside the lab; no setting allows it",
        remedy="send it to a test server, or to one of the lab's",
    )


def _text(value: object) -> str:
    """A private element that came without its VR is bytes; several values have more than a blank as well."""
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value or "")


def marks_held(instance: StoredInstance) -> Marks:
    """What is known of a local instance, or it says of its making; one that cannot be read says nothing."""
    if instance.made_here:
        return _MADE_HERE
    try:
        return marks_at_start(instance.file)
    except (TranscodingFailed, OSError):  # it proves nothing, and will not be sent either
        return Marks()
