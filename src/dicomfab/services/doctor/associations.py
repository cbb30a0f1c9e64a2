"""Associations with a server under each AE title of ours, and the services that it offers on them (PS3.8 9.3)."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Final

from dicomfab.diagnosis.checks import Outcome, Stage
from dicomfab.diagnosis.implementations import STORAGE_COMMITMENT
from dicomfab.diagnosis.products import product_of
from dicomfab.dimse import probe
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.scu import echo as c_echo
from dicomfab.dimse.sop_classes import FIND, GET, MOVE, VERIFICATION
from dicomfab.model.errors import (
    AssociationRejected,
    ConnectionFailed,
    DicomFabError,
    InvalidInput,
    PeerError,
    TlsFailed,
)
from dicomfab.model.query import QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import canonical_host
from dicomfab.services.doctor.calls import SLOW_S, Calls
from dicomfab.services.doctor.road import Road, is_closed

_AGAIN_AFTER_S: Final = 0.5
_MAX_OTHERS: Final = 3
#: What a hospital sends most of; a server that stores takes one of them.
STORAGE: Final = (
    "1.2.840.10008.5.1.4.1.1.7",  # SC
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.1.1",  # DX, for presentation
)
#: Operation -> the SOP classes that it needs, that of the study root first.
_SOP_CLASSES: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.ECHO: (VERIFICATION,),
    Capability.FIND: (FIND[QueryModel.STUDY_ROOT], FIND[QueryModel.PATIENT_ROOT]),
    Capability.MOVE: (MOVE[QueryModel.STUDY_ROOT], MOVE[QueryModel.PATIENT_ROOT]),
    Capability.GET: (GET[QueryModel.STUDY_ROOT], GET[QueryModel.PATIENT_ROOT]),
    Capability.STORE: STORAGE,
}
_ROOTED: Final = (Capability.FIND, Capability.MOVE, Capability.GET)
#: Everything at once; storage commitment only to tell who the server is.
_PROPOSED: Final = tuple(
    ProposedContext(uid, PLAIN_SYNTAXES)
    for uid in (*(uid for uids in _SOP_CLASSES.values() for uid in uids), STORAGE_COMMITMENT)
)
#: Failures at the association behind which there may be TLS that we did not speak.
_MAY_BE_TLS: Final = ("closed-unanswered", "reset-unanswered", "timeout-association", "not-dicom", "violation")
#: Source and reason of the rejections that another AE title of ours may not meet: none given, calling AE title.
_ABOUT_US: Final = ((1, 1), (1, 3))
_RESULTS: Final = {
    1: "refused by the server's application",
    2: "refused without a reason",
    3: "SOP class not supported",
    4: "transfer syntaxes not supported",
}


class _RoadEnds(Exception):
    """There is no way to an association; it is noted why."""


class Associations:
    """Checks of the associations.

    Args:
        calls: the examination.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._road = Road(calls)
        self._addresses: tuple[str, ...] = ()
        self._answered_at = ""
        self._release_s = 0.0

    def any_let_in(self) -> bool:
        """An association with each AE title of ours that the entry has: whether one of them is let in."""
        self._addresses = self._road.addresses()
        if not self._addresses:
            return False
        try:
            for title in self._calls.titles:
                error = self._associated(title)
                self._calls.failed[title] = error
                if error is not None and not self._is_about_us(error):
                    break
        except _RoadEnds:
            return False
        self._conclude_associations()
        return any(error is None for error in self._calls.failed.values())

    @staticmethod
    def _is_about_us(error: DicomFabError) -> bool:
        """Whether another AE title of ours may fare better."""
        return isinstance(error, AssociationRejected) and (error.source, error.reason) in _ABOUT_US

    def _associated(self, title: str) -> DicomFabError | None:
        error = self._tried(title)
        if not isinstance(error, AssociationRejected) or not (error.transient or error.source == 3):
            return error
        threading.Event().wait(min(_AGAIN_AFTER_S, self._calls.examination.left_s))
        first, error = error.code, self._tried(title, " once more")
        if error is None:
            self._calls.before = first
        return error

    def _tried(self, title: str, again: str = "") -> DicomFabError | None:
        what = f"Association as {title}{again}"
        is_first = not self._calls.address
        result = self._attempted(title, what)
        if is_first:
            self._note_road(result)
        if isinstance(result, DicomFabError):
            stage = Stage.TLS if isinstance(result, TlsFailed) else Stage.ASSOCIATION
            self._calls.failure(stage, what, result, {})
            return result
        self._calls.refused[title] = result.refused
        who = self._recognized(result)
        is_known = "implementation" in self._calls.examination.facts[self._calls.role]
        facts = {} if is_known else {"implementation": who, "product": str(self._calls.product)}
        seen = f"accepted; the server is {who or 'not saying who'}"
        self._calls.note(Stage.ASSOCIATION, what, Outcome.OK, seen, facts)
        return None

    def _attempted(self, title: str, what: str) -> Association | DicomFabError:
        """An association, by now released: with the address that answered before, or the first that answers."""
        failure: DicomFabError | None = None
        for address in (self._calls.address,) if self._calls.address else self._addresses:
            peer = self._calls.within(dataclasses.replace(self._calls.peer(title, what), host=address))
            start = time.perf_counter()
            try:
                with associate(peer, _PROPOSED, even_without_context=True) as association:
                    accepted = time.perf_counter()
                    self._calls.took("the answer to the association request", accepted - start)
            except (PeerError, InvalidInput) as error:
                failure = failure or error
                if not is_closed(error):
                    self._answered_at = address
                    return error
            else:
                self._answered_at = address
                self._release_s = max(self._release_s, time.perf_counter() - accepted)
                return association
        assert failure is not None
        return failure

    def _note_road(self, result: Association | DicomFabError) -> None:
        """What the first association says of the road to it."""
        if isinstance(result, ConnectionFailed) and is_closed(result):
            self._road.closed(self._addresses[0], result)
            raise _RoadEnds
        self._road.open(self._answered_at)
        if self._calls.server.tls and isinstance(result, TlsFailed | InvalidInput):
            self._road.insecure(result)
            raise _RoadEnds
        self._road.secure()

    def _recognized(self, association: Association) -> str:
        """Who the server says it is."""
        implementation = association.implementation
        accepted = [context.abstract_syntax for context in association.contexts.values()]
        self._calls.product = product_of(
            implementation.class_uid, implementation.version_name, accepted=accepted, refused=association.refused
        )
        return " ".join(filter(None, (implementation.version_name, implementation.class_uid)))

    def _conclude_associations(self) -> None:
        """What the associations come to; and second looks at why none was accepted."""
        failed = {title: error for title, error in self._calls.failed.items() if error is not None}
        let_in = [title for title, error in self._calls.failed.items() if error is None]
        codes = {title: error.code if isinstance(error, PeerError) else "our-files" for title, error in failed.items()}
        first = next(iter(codes.values()), "")
        facts = {"association": "ok" if let_in else first}
        facts["association.titles"] = "all" if not failed else "some" if let_in else "none"
        facts |= {"association.code": first, "association.out": ", ".join(failed)} if failed else {}
        facts |= {"association.in": ", ".join(let_in)} if let_in else {}
        facts |= {"association.before": self._calls.before} if self._calls.before else {}
        facts |= {"association.speaks": first.removeprefix("speaks-")} if first.startswith("speaks-") else {}
        for title in self._calls.failed:
            for operation in self._calls.titles[title]:
                facts[f"association.{operation}"] = codes.get(title, "ok")
        facts |= {"association.release": f"{self._release_s:.1f}"} if self._release_s > SLOW_S else {}
        seen = f"let in: {', '.join(let_in) or 'none'}; not let in: {', '.join(failed) or 'none'}"
        odd = failed or self._calls.before or "association.release" in facts
        outcome = Outcome.FAILED if not let_in else Outcome.ODD if odd else Outcome.OK
        self._calls.note(Stage.ASSOCIATION, "Our AE titles", outcome, seen, facts)
        if first.endswith("/1/7"):
            self._other_called_titles(next(iter(failed)))
        elif not let_in and first in _MAY_BE_TLS and not self._calls.server.tls:
            self._speaks_tls()

    def _other_called_titles(self, calling: str) -> None:
        """Whether the server goes by the AE title of another entry with its host and port; none is guessed."""
        host, port, aec = self._calls.server.endpoint
        others = dict.fromkeys(
            s.aec
            for s in self._calls.subject.neighbours
            if canonical_host(s.host) == host and s.port == port and s.aec != aec
        )
        for other in list(others)[:_MAX_OTHERS]:
            title = f"Association with {other} instead of {aec}"
            peer = dataclasses.replace(self._calls.within(self._calls.peer(calling, title)), called_ae_title=other)
            try:
                with associate(peer, [c_echo.CONTEXT], even_without_context=True):
                    pass
            except PeerError as error:
                self._calls.note(Stage.ASSOCIATION, title, Outcome.OK, error.what)
                continue
            facts = {"association.called": "other", "association.called-in": other}
            self._calls.note(Stage.ASSOCIATION, title, Outcome.ODD, "accepted", facts)
            return

    def _speaks_tls(self) -> None:
        title = "Whether the port speaks TLS"
        peer = self._calls.within(self._calls.peer(next(iter(self._calls.titles)), ""))
        speaks = probe.speaks_tls(peer)
        seen = "it does, and our entry says that it does not" if speaks else "it does not"
        facts = {"tls.speaks": "yes" if speaks else "no"}
        self._calls.note(Stage.TLS, title, Outcome.ODD if speaks else Outcome.OK, seen, facts)

    def contexts(self) -> None:
        """Note which services are on offer (PS3.8 9.3.3.2)."""
        facts, parts, refused = {}, [], []
        for operation in Capability:
            title = self._calls.title_for(operation)
            if title not in self._calls.refused:
                continue
            found = self._context(operation, self._calls.refused[title])
            facts[f"context.{operation}"] = found
            if found.isdigit():
                refused.append(f"C-{operation.upper()}")
                parts.append(f"C-{operation.upper()} no ({_RESULTS.get(int(found), found)})")
            else:
                parts.append(f"C-{operation.upper()} yes" + ("" if found == "ok" else " (patient root only)"))
        if refused:
            facts["context.refused"] = ", ".join(refused)
        in_part = "patient-root" in facts.values()
        outcome = Outcome.FAILED if refused else Outcome.ODD if in_part else Outcome.OK
        self._calls.note(Stage.CONTEXT, "Services on offer", outcome, "; ".join(parts) or "none asked for", facts)

    @staticmethod
    def _context(operation: Capability, refused: Mapping[str, int]) -> str:
        wanted = _SOP_CLASSES[operation]
        accepted = [uid for uid in wanted if uid not in refused]
        if not accepted:
            return str(refused[wanted[0]])
        return "patient-root" if operation in _ROOTED and wanted[0] not in accepted else "ok"
