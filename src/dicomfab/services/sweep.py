"""A sweep: what of our fabricated data a server still holds, and away with it.

It works from the ledger only: a study goes if it was fabricated here, and if every instance of it that the server lists
is one that the ledger or the local store knows as ours. Whatever else the server holds is never asked for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import quote

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import AnswerIncomplete, ConfirmationRequired, DicomFabError, LocalFailure, NotFound
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.listings import instances_held
from dicomfab.services.orthanc_delete import delete_from_orthanc, rest_root
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import OnProgress, Progress, ignore
from dicomfab.services.provenance import marks_held
from dicomfab.services.query import Find
from dicomfab.services.recording import Record, listing, nobody, node
from dicomfab.services.web_secrets import NO_SECRETS, SecretFiles
from dicomfab.storage.sent import SentStudies


class LabStudies(Protocol):
    """What a server of the lab keeps, to delete from while it serves it."""

    def delete_study(self, study_instance_uid: str) -> object:
        """Delete a study.

        Raises:
            NotFound: it is not there.
            LocalFailure: it cannot be deleted.
        """

    def close(self) -> None:
        """Let go of it."""


class Way(enum.StrEnum):
    """How studies can be deleted from a server."""

    LAB = "lab"  # one of this installation's test servers
    DICOMWEB = "dicomweb"  # DELETE below the DICOMweb address; many servers offer it, the standard does not
    ORTHANC = "orthanc"  # Orthanc's own REST interface, instance by instance
    LIST = "list"  # not at all from here: its administrator gets a list


@dataclass(frozen=True, slots=True)
class Held:
    """A fabricated study that a server lists.

    Args:
        study_instance_uid: the study.
        ours: SOP instances that are known as ours, sorted.
        others: how many instances it has there that nobody here knows; then the study is left alone.
        outcome: what became of it: blank before anything was tried, ``deleted``, or why not; at once if the server
            does not list it completely, and then nothing is known of its instances.
    """

    study_instance_uid: str
    ours: tuple[str, ...]
    others: int = 0
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found, did and left.

    Args:
        server_id: which server.
        server: its name.
        environment: its environment.
        way: how studies can be deleted there.
        asked: how many studies it was asked for.
        found: those that it held when it was asked first, each with its outcome.
        remaining: Study Instance UIDs of those that it held when it was asked again; none before.
    """

    server_id: str
    server: str
    environment: str
    way: Way
    asked: int
    found: tuple[Held, ...]
    remaining: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "way": str(self.way)}


DELETED: Final = "deleted"
_STILL_LISTED: Final = "left: it is still listed"


@dataclass(slots=True)
class SweepService:
    """Sweeps servers.

    Args:
        sent: what jobs sent where.
        local: the local store.
        find: the C-FIND SCU.
        lab_studies: what a server keeps, if it is one of the lab's of this installation.
        record: has every study that is asked for recorded, and every one before it is deleted.
        secrets: the files that may hold the secret of a DICOMweb address.
    """

    sent: SentStudies
    local: Archive
    find: Find
    lab_studies: Callable[[PacsServer], LabStudies | None]
    record: Record = nobody
    secrets: SecretFiles = NO_SECRETS

    def look(self, actor: Actor, server: PacsServer, *, orthanc: str = "", on_progress: OnProgress = ignore) -> Sweep:
        """Ask a server for each fabricated study that a job sent to it; nothing is changed.

        ``orthanc`` is the address of its REST interface, if it is an Orthanc that can be reached there.

        Raises:
            AccessDenied: DELETE is not allowed in the server's environment.
            Conflict: C-FIND is switched off for the server.
            PeerError: it could not be asked.
        """
        require(actor, Action.DELETE, server.environment)
        way = Way.ORTHANC if orthanc and rest_root(orthanc) else self._way(server)
        studies, found = self.sent.to(server.id), []
        for done, study in enumerate(studies, 1):
            try:
                held = self._held(actor, server, study)
            except AnswerIncomplete as error:  # what is not listed may be anybody's
                found.append(Held(study, (), outcome=f"left: {error.what}"))
            else:
                if held:
                    ours = held & self._known(study)
                    found.append(Held(study, tuple(sorted(ours)), len(held) - len(ours)))
            on_progress(Progress("asking", done, len(studies)))
        return Sweep(server.id, server.name, str(server.environment), way, len(studies), tuple(found))

    def delete(
        self,
        actor: Actor,
        server: PacsServer,
        *,
        confirm_production: bool = False,
        orthanc: str = "",
        on_progress: OnProgress = ignore,
    ) -> Sweep:
        """Look, delete what can be deleted from here, and ask again.

        Raises:
            AccessDenied, Conflict, PeerError: as :meth:`look`.
            ConfirmationRequired: it is production, and that was not confirmed; nothing was deleted.
        """
        require(actor, Action.DELETE, server.environment)
        if server.is_production and not confirm_production:
            raise ConfirmationRequired(
                f"{server.name} is a production server: nothing was deleted.",
                cause="deleting from production wants an explicit yes each time",
                remedy="look at what would go, then say so: --yes-production",
            )
        seen = self.look(actor, server, orthanc=orthanc, on_progress=on_progress)
        tried = [self._ended(actor, server, seen.way, study, orthanc) for study in seen.found]
        remaining = tuple(one.study_instance_uid for one in tried if self._is_there(actor, server, one))
        ended = tuple(
            self._left(actor, server, seen.way, one)
            if one.outcome == DELETED and one.study_instance_uid in remaining
            else one
            for one in tried
        )
        return Sweep(seen.server_id, seen.server, seen.environment, seen.way, seen.asked, ended, remaining)

    def _left(self, actor: Actor, server: PacsServer, way: Way, held: Held) -> Held:
        """A study of which the server said that it was deleted, and which it lists still."""
        event = _deletion(actor, server, way, held)
        self.record(replace(event, outcome=Outcome.SERIOUS, reason=_STILL_LISTED))
        return replace(held, outcome=_STILL_LISTED)

    def _held(self, actor: Actor, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
        with listing(self.record, actor, server, study_instance_uid):
            return instances_held(self.find, server, study_instance_uid)

    def _is_there(self, actor: Actor, server: PacsServer, held: Held) -> bool:
        try:
            return bool(self._held(actor, server, held.study_instance_uid))
        except AnswerIncomplete:  # nothing proves that it is gone
            return True

    def _ended(self, actor: Actor, server: PacsServer, way: Way, held: Held, orthanc: str) -> Held:
        event = _deletion(actor, server, way, held)
        if not (held.outcome or held.others or way is Way.LIST):  # else nothing is tried
            self.record(event)
        outcome = self._outcome(server, way, held, orthanc)
        if outcome != DELETED:
            self.record(replace(event, outcome=Outcome.SERIOUS, reason=outcome))
        return Held(held.study_instance_uid, held.ours, held.others, outcome)

    def _outcome(self, server: PacsServer, way: Way, held: Held, orthanc: str) -> str:
        if held.outcome:
            return held.outcome
        if held.others:
            return f"left: {held.others} of its instances there are not known as ours"
        if way is Way.ORTHANC:
            failed = delete_from_orthanc(rest_root(orthanc), held.ours)
            return f"left: {failed}" if failed else DELETED
        if way is Way.DICOMWEB:
            return _delete_by_web(server, held.study_instance_uid, self.secrets)
        kept = self.lab_studies(server)
        if kept is None:
            return "left: it cannot be deleted from here"
        try:
            kept.delete_study(held.study_instance_uid)
        except NotFound:
            return "left: it was gone already"
        except LocalFailure as error:
            return f"left: {error.what}"
        finally:
            kept.close()
        return DELETED

    def _known(self, study_instance_uid: str) -> frozenset[str]:
        here = self.local.instances(study_instance_uid)
        return self.sent.instances(study_instance_uid) | {
            one.identity.sop_instance_uid for one in here if marks_held(one).is_marked
        }

    def _way(self, server: PacsServer) -> Way:
        if (kept := self.lab_studies(server)) is not None:
            kept.close()
            return Way.LAB
        return Way.DICOMWEB if server.dicomweb_root else Way.LIST


def rows(sweep: Sweep) -> Sequence[tuple[str, str, str]]:
    """For an administrator's list: study, SOP instance and outcome; one row for each instance that is ours."""
    return [(held.study_instance_uid, uid, held.outcome) for held in sweep.found for uid in held.ours]


def _deletion(actor: Actor, server: PacsServer, way: Way, held: Held) -> AuditEvent:
    return AuditEvent.by(
        actor,
        EventKind.DELETION,
        environment=str(server.environment),
        receiver=node(server),
        study_uids=(held.study_instance_uid,),
        detail={"instances": str(len(held.ours)), "way": str(way)},
    )


def _delete_by_web(server: PacsServer, study_instance_uid: str, secrets: SecretFiles) -> str:
    """DELETE a study below a DICOMweb address, as the user of the server's entry; gives what became of it."""
    from dicomfab.dicomweb.client.connection import WebConnection
    from dicomfab.services.web_peers import web_peer

    try:
        peer = web_peer(peer_for(server.by("web"), Capability.FIND), secrets)
        with (
            WebConnection(peer) as connection,
            connection.asking("DELETE", f"/studies/{quote(study_instance_uid)}", {}, method="DELETE") as answer,
        ):
            status = answer.status
    except DicomFabError as error:
        return f"left: its DICOMweb address does not answer ({error.heading})"
    return DELETED if 200 <= status < 300 else f"left: its DICOMweb address answers {status} to DELETE"
