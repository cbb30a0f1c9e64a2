"""The local store by DICOMweb: what somebody may see, store and delete of it, and what of that is recorded."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from dicomfab.access.policy import Action, decide, require, visible
from dicomfab.archive.archive import Archive
from dicomfab.archive.web_store import ArchiveWebStore, WebSink
from dicomfab.dicomweb.ports import HeldInstance, InstanceSink, Kept, NotStored, Row, Search
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import AccessDenied, NotFound
from dicomfab.model.query import Level
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment, is_uid
from dicomfab.services.marks import HEAD_BYTES, Marks, marks_in
from dicomfab.services.recording import Record, nobody, of_study, recorded, refused

#: Whoever looks at a study does so in hundreds of requests: within so long they are one entry.
_ONE_VISIT_S: Final = 600.0
_VISITS: Final = 2000
_NOT_AUTHORIZED: Final = 0x0124  # PS3.7 C.5.23
_BROKEN_ON_PURPOSE: Final = 0xC000  # cannot understand, PS3.18 table I.2-2


@dataclass(slots=True)
class DicomWebService:
    """Opens the local store for requests of DICOMweb.

    Args:
        local: the local store.
        is_fabricated: whether the ledger knows a Study Instance UID as one that was fabricated here.
        record: has it recorded who looked at, took out, brought and deleted what.
        viewed: told of each study that somebody looks at.
    """

    local: Archive
    is_fabricated: Callable[[str], bool]
    record: Record = nobody
    viewed: Callable[[str], None] = lambda _study_instance_uid: None
    _visits: _Visits = field(default_factory=lambda: _Visits(), init=False)

    def store(self, actor: Actor, *, for_files: bool = False) -> LocalWebStore:
        """The local store as one person may see it, for one request.

        Args:
            actor: who asks.
            for_files: whole instances are asked for, which is an export.
        """
        readable = visible(actor, Action.VIEW)
        if for_files:
            readable &= visible(actor, Action.EXPORT)
        inner = ArchiveWebStore(
            self.local,
            readable=readable,
            environment=Environment.PROD,
            deletable=visible(actor, Action.DELETE),
        )
        kind = EventKind.EXPORT if for_files else EventKind.VIEW
        return LocalWebStore(self, actor, inner, kind, self._visits)


class LocalWebStore:
    """The local store for one request (see :class:`dicomfab.dicomweb.ports.WebStore`)."""

    def __init__(
        self, service: DicomWebService, actor: Actor, inner: ArchiveWebStore, kind: EventKind, visits: _Visits
    ) -> None:
        self._service = service
        self._actor = actor
        self._inner = inner
        self._kind = kind
        self._visits = visits

    def can_match(self, level: Level, tag: int) -> bool:
        """Whether the index has an attribute at a level or above it."""
        return self._inner.can_match(level, tag)

    def find(self, search: Search) -> Iterator[Row]:
        """The answers to a search."""
        return self._inner.find(search)

    def instances(
        self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
    ) -> Sequence[HeldInstance]:
        """Instances whose content is asked for: it is recorded before they are given."""
        found = self._inner.instances(study_instance_uid, series_instance_uid, sop_instance_uid)
        if found and self._visits.begins((self._actor.name, study_instance_uid, self._kind)):
            try:
                self._note(study_instance_uid)
            except BaseException:
                self._visits.forget((self._actor.name, study_instance_uid, self._kind))
                raise
        return found

    def transcoded(self, file: InstanceFile, transfer_syntax_uid: str) -> AbstractContextManager[InstanceFile]:
        """An instance in another transfer syntax."""
        return self._inner.transcoded(file, transfer_syntax_uid)

    def begin(self, identity: InstanceIdentity) -> InstanceSink:
        """Start to take in an instance; where it belongs is known when it is there."""
        return _LocalSink(self._service, self._actor, identity, self._visits)

    def delete(self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = "") -> None:
        """Delete a study, a series or an instance; recorded before it is done.

        Raises:
            NotFound, AccessDenied, Conflict: nothing was deleted.
        """
        found = self._inner.instances(study_instance_uid, series_instance_uid, sop_instance_uid)
        if not found:
            self._inner.delete(study_instance_uid, series_instance_uid, sop_instance_uid)
            return
        summary = self._service.local.study(study_instance_uid).summary
        require(self._actor, Action.DELETE, summary.environment)
        event = AuditEvent.by(
            self._actor,
            EventKind.DELETION,
            environment=str(summary.environment),
            subject=sop_instance_uid or series_instance_uid,
            detail={"instances": str(len(found))},
            **of_study(summary, ()),
        )
        with recorded(self._service.record, event, ahead=True):
            self._inner.delete(study_instance_uid, series_instance_uid, sop_instance_uid)
        self._visits.forget_study(study_instance_uid)

    def _note(self, study_instance_uid: str) -> None:
        try:
            summary = self._service.local.study(study_instance_uid).summary
        except NotFound:
            return  # deleted meanwhile; reading it will say so
        detail = {"instances": str(summary.instance_count), "by": "DICOMweb"}
        self._service.record(
            AuditEvent.by(
                self._actor,
                self._kind,
                environment=str(summary.environment),
                detail=detail,
                **of_study(summary, ()),
            )
        )
        self._service.viewed(study_instance_uid)


class _LocalSink:
    """One instance on its way in. Where it belongs follows from its marks, as with imported files."""

    def __init__(
        self,
        service: DicomWebService,
        actor: Actor,
        identity: InstanceIdentity,
        visits: _Visits,
    ) -> None:
        self._service = service
        self._actor = actor
        self._identity = identity
        self._incoming = service.local.begin(identity)
        self._visits = visits
        self._head = io.BytesIO()
        self._size_bytes = 0

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes."""
        view = memoryview(chunk).cast("B")
        self._size_bytes += view.nbytes
        if self._head.tell() < HEAD_BYTES:
            self._head.write(view[: HEAD_BYTES - self._head.tell()])
        WebSink(self._incoming, Environment.PROD).write(view)

    def commit(self) -> Kept:
        """Keep the instance.

        Raises:
            NotStored: 0124 where the actor may not bring anything of its environment; C000 of a study with declared
                defects, which no local store takes.
            LocalFailure: it cannot be recorded; the instance was not kept.
        """
        marks = marks_in(self._head.getvalue(), self._size_bytes, self._identity.transfer_syntax_uid)
        environment = self._environment(marks)
        self._check(environment, marks)
        if marks.has_defect:
            raise NotStored(_BROKEN_ON_PURPOSE)
        self._service.record()
        kept = WebSink(self._incoming, environment).commit()
        self._service.local.keep(self._identity.sop_instance_uid)
        if self._visits.begins((self._actor.name, kept.study_instance_uid, EventKind.IMPORT)):
            summary = self._service.local.study(kept.study_instance_uid).summary
            event = AuditEvent.by(
                self._actor,
                EventKind.IMPORT,
                environment=str(summary.environment),
                subject="STOW-RS",
                **of_study(summary, ()),
            )
            self._service.record(event)
        return kept

    def discard(self) -> None:
        """Forget the instance if it was not committed."""
        self._incoming.abort()

    def _check(self, environment: Environment, marks: Marks) -> None:
        decision = decide(self._actor, Action.RETRIEVE, environment)
        if not decision.allowed:
            denied = AccessDenied("an instance that came by DICOMweb was not taken", cause=decision.reason)
            study = (marks.study_instance_uid,) if is_uid(marks.study_instance_uid) else ()
            refused(self._service.record, self._actor, denied, environment=str(environment), study_uids=study)
            raise NotStored(_NOT_AUTHORIZED)

    def _environment(self, marks: Marks) -> Environment:
        """Of what is there already its study's, which a second coming does not change."""
        before = self._service.local.find_instance(self._identity.sop_instance_uid)
        if before is not None:
            return self._service.local.study(before.study_instance_uid).summary.environment
        is_ours = marks.is_proven or (
            bool(marks.study_instance_uid) and self._service.is_fabricated(marks.study_instance_uid)
        )
        return Environment.TEST if is_ours else Environment.PROD


class _Visits:
    """Who has been noted with which study lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def begins(self, key: tuple[str, str, str]) -> bool:
        """Whether this is a new visit; the next calls belong to it."""
        now = self._clock()
        with self._lock:
            began = self._began.get(key)
            if began is not None and now - began < _ONE_VISIT_S:
                return False
            self._began[key] = now
            self._began.move_to_end(key)
            while len(self._began) > _VISITS:
                self._began.popitem(last=False)
            return True

    def forget_study(self, study_instance_uid: str) -> None:
        """What comes under this UID from now on is another study."""
        with self._lock:
            for key in [one for one in self._began if one[1] == study_instance_uid]:
                del self._began[key]

    def forget(self, key: tuple[str, str, str]) -> None:
        """It was not noted after all."""
        with self._lock:
            self._began.pop(key, None)
