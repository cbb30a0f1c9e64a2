"""C-FIND at every level and root, by keys that nothing can match: no patient's data is ever asked for."""

from __future__ import annotations

import time
import uuid
from typing import Final

from pydicom import Dataset

from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu import find as c_find
from dicomfab.dimse.sop_classes import FIND
from dicomfab.model.errors import PeerError, StatusFailure
from dicomfab.model.query import Level, QueryModel
from dicomfab.services.doctor.examination import Examination

_LEVELS: Final = {
    QueryModel.STUDY_ROOT: (Level.STUDY, Level.SERIES, Level.IMAGE),
    QueryModel.PATIENT_ROOT: (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE),
}


class Finds:
    """The queries of one examination.

    Args:
        examination: takes the checks.
        role: to note them under.
    """

    def __init__(self, examination: Examination, role: Role) -> None:
        self._examination = examination
        self._role = role
        #: fact -> error of that query, none if it went well.
        self._asked: dict[str, PeerError | None] = {}
        self._matches = False
        #: Seconds that the slowest answered query took.
        self.slowest_s = 0.0

    def ask(self, peer: Peer, root: QueryModel, name: str, title: str) -> None:
        """Query every level of a root over one association, a new one after each that ended.

        Args:
            peer: whom to ask.
            root: the information model.
            name: of the root in facts: ``study``, ``patient``.
            title: of the check.
        """
        asked: dict[str, PeerError | None] = {}
        left = list(_LEVELS[root])
        while left:
            peer = self._examination.within(peer)
            ended = self._over_one_association(peer, root, name, left, asked)
            if ended is not None and not isinstance(ended, StatusFailure):
                break  # what ends an association would end the next one
        self._asked |= asked
        self._note(title, asked)

    def _over_one_association(
        self, peer: Peer, root: QueryModel, name: str, left: list[Level], asked: dict[str, PeerError | None]
    ) -> PeerError | None:
        level = left[0]
        try:
            with associate(peer, [ProposedContext(FIND[root], PLAIN_SYNTAXES)]) as association:
                while left:
                    level = left[0]
                    association.peer = self._examination.within(peer)
                    start = time.perf_counter()
                    for _ in c_find.send(association, FIND[root], keys(root, level), limit=1):
                        self._matches = True
                    self.slowest_s = max(self.slowest_s, time.perf_counter() - start)
                    asked[f"find.{name}.{level}"] = None
                    left.pop(0)
        except PeerError as error:
            asked[f"find.{name}.{level}"] = error
            left.pop(0)
            return error
        return None

    def _note(self, title: str, asked: dict[str, PeerError | None]) -> None:
        facts = {fact: error.code if error else "ok" for fact, error in asked.items()}
        failed = {fact.rpartition(".")[2]: error for fact, error in asked.items() if error is not None}
        fine = [fact.rpartition(".")[2] for fact, error in asked.items() if error is None]
        if not failed:
            seen = f"success at {', '.join(fine)}; no match, as it should be"
            self._examination.note(self._role, Stage.FIND, title, Outcome.OK, seen, facts)
            return
        error = next(iter(failed.values()))
        seen = f"failed at {', '.join(failed)}: {error.what}" + (f" Success at {', '.join(fine)}." if fine else "")
        self._examination.note(self._role, Stage.FIND, title, Outcome.FAILED, seen, facts, error)

    def conclude(self) -> None:
        """Note what all of them come to."""
        if not self._asked:
            return
        failed = [error for error in self._asked.values() if error is not None]
        whole = "ok" if not failed else "none" if len(failed) == len(self._asked) else "some"
        facts = {"find": whole, "find.matches": "yes" if self._matches else "no"}
        if failed:
            facts["find.code"] = failed[0].code
            facts["find.failed"] = ", ".join(_place(fact) for fact, error in self._asked.items() if error is not None)
        seen = f"{len(self._asked) - len(failed)} of {len(self._asked)} queries answered"
        outcome = Outcome.OK if not failed else Outcome.FAILED if whole == "none" else Outcome.ODD
        if self._matches:
            seen, outcome = f"{seen}; with matches to UIDs and a patient ID that nobody has", Outcome.ODD
        self._examination.note(self._role, Stage.FIND, "C-FIND as a whole", outcome, seen, facts)


def _place(fact: str) -> str:
    """``find.study.IMAGE`` in words."""
    _, root, level = fact.split(".")
    return f"{level} level in the {root} root"


def keys(root: QueryModel, level: Level) -> Dataset:
    """Unique keys that nothing has, of the level and those above it (PS3.4 C.4.1.2.1)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    above = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}[level]
    if root is QueryModel.PATIENT_ROOT:
        identifier.PatientID = f"SYN-DOCTOR-{uuid.uuid4().hex}"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")[:above]:
        setattr(identifier, keyword, f"2.25.{uuid.uuid4().int}")
    return identifier
