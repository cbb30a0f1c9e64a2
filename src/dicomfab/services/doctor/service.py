"""The doctor's use cases: who may have what examined, and the diagnosis that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dicomfab.access.policy import Action, decide
from dicomfab.diagnosis.checks import Role
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.products import Product, product_of
from dicomfab.diagnosis.reason import Diagnosis, diagnose
from dicomfab.dimse.trace import Trace
from dicomfab.model.actor import Actor
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.examination import LIMIT_S, Examination, OnCheck
from dicomfab.services.doctor.recorded import asked
from dicomfab.services.doctor.server import Subject, examine
from dicomfab.services.pacs import PacsService
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.recording import Record, nobody

_NEEDED: Mapping[Capability, Action] = {Capability.ECHO: Action.ECHO, Capability.FIND: Action.QUERY}


class DoctorService:
    """Says why DICOM fails. Nothing is changed on a server, or in our registry.

    Args:
        pacs: finds servers, as far as an actor may see them.
        our_port: of our own Storage SCP, for what the other side's administrator is to add.
        open_trace: gives a trace for an association by its title, if anybody wants to see them.
        record: has it recorded that a server was asked.
    """

    def __init__(
        self,
        pacs: PacsService,
        *,
        our_port: int,
        open_trace: Callable[[str], Trace | None] = lambda _title: None,
        record: Record = nobody,
    ) -> None:
        self._pacs = pacs
        self._our_port = our_port
        self._open_trace = open_trace
        self._record = record

    def server(
        self,
        actor: Actor,
        server: PacsServer | str,
        on_check: OnCheck = lambda _check: None,
        stopped: Cancelled = never,
        *,
        limit_s: float = LIMIT_S,
    ) -> Diagnosis:
        """Examine one server: the road to it, our AE titles, C-ECHO and C-FIND. Nothing is stored on it.

        Args:
            actor: who asks; what he may not do is a skipped check that says so.
            server: its id or name, or the server.
            on_check: told of every check as it is made, in this thread.
            stopped: whether to end early.
            limit_s: seconds for all.

        Raises:
            NotFound: no such server.
            AccessDenied: the actor may not see it.
        """
        found = self._pacs.resolve(actor, server if isinstance(server, str) else server.id)
        examination = Examination(on_check, limit_s=limit_s, stopped=stopped)
        with asked(self._record, actor, found):
            names = examine(examination, Role.SERVER, self.subject(actor, found))
        return diagnose(
            examination.checks,
            {Role.SERVER: names},
            RULES,
            seconds=examination.seconds,
            limit_s=limit_s,
        )

    def subject(self, actor: Actor, server: PacsServer) -> Subject:
        """A server with what the actor may do to it, and the neighbours that he may call."""
        denied = {}
        for operation, action in _NEEDED.items():
            decision = decide(actor, action, server.environment)
            if not decision.allowed:
                denied[operation] = decision.reason
        others = tuple(
            other
            for other in self._pacs.servers(actor)
            if other.id != server.id and decide(actor, Action.ECHO, other.environment).allowed
        )
        return Subject(
            server,
            others,
            forbidden=denied,
            our_port=self._our_port,
            product=self._last_seen(actor, server),
            open_trace=self._open_trace,
        )

    def _last_seen(self, actor: Actor, server: PacsServer) -> Product:
        """The software that answered the last connection test: a server that rejects us does not say what it is."""
        test = next((row.last_test for row in self._pacs.overview(actor) if row.server.id == server.id), None)
        message = test.message if test is not None else {}
        return product_of(
            str(message.get("implementation_class_uid", "")), str(message.get("implementation_version", ""))
        )
