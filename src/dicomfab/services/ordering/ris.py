"""The side of a radiology information system: takes HL7 messages, offers the worklist, hears what was performed."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.dimse.explain import rejection_words
from dicomfab.dimse.handlers import Handlers, Requestor, ServerConfig
from dicomfab.dimse.performed_step import PerformedStepHandler
from dicomfab.dimse.scp.availability import AvailabilityHandler
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.sop_classes import AVAILABILITY, PERFORMED_STEP
from dicomfab.hl7.listener import Listener, ListenerConfig
from dicomfab.hl7.mllp import Fault, Wrong
from dicomfab.hl7.receiver import Send
from dicomfab.model.actor import Actor
from dicomfab.model.errors import LocalFailure, PortInUse
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.log_lines import log_failure
from dicomfab.model.values import Environment
from dicomfab.registry.server import DEFAULT_AE_TITLE, PacsServer
from dicomfab.services.ordering.applying import Applying
from dicomfab.services.ordering.availability import AvailabilityNotices
from dicomfab.services.ordering.following import Following
from dicomfab.services.ordering.intake import Intake, Taken
from dicomfab.services.ordering.outbox import Outbox
from dicomfab.services.ordering.performed import PerformedSteps
from dicomfab.services.ordering.status import StatusMessages
from dicomfab.services.ordering.worklist import Worklist
from dicomfab.services.progress import Cancelled
from dicomfab.services.receiving import is_at
from dicomfab.storage.procedures import ProcedureRepository
from dicomfab.ul import AssociateRJ

if TYPE_CHECKING:
    import ssl

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RisConfig:
    """How it listens.

    Args:
        environment: whose orders it takes, and whose steps it offers.
        host: the address to listen on.
        hl7_port: 0 takes a free one.
        dicom_port: the same.
        ae_title: its own.
        any_caller: any AE title may ask for the worklist, for test only; else only registered servers may, each from
            its own host.
        tls: secures MLLP; none means plain TCP.
    """

    environment: Environment
    host: str = "127.0.0.1"
    hl7_port: int = 0
    dicom_port: int = 0
    ae_title: str = DEFAULT_AE_TITLE
    any_caller: bool = False
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class RisService:
    """Serves during a block.

    Args:
        intake: takes messages.
        procedures: what is to be done.
        servers: that are registered, as they are now.
        send_one: sends a message that waits, over MLLP.
        carry_out: carries merges of patients through to local studies.
    """

    intake: Intake
    procedures: ProcedureRepository
    servers: Callable[[], Sequence[PacsServer]]
    send_one: Send
    carry_out: Callable[[Actor, Cancelled], object] = lambda _actor, _cancelled: None

    @contextmanager
    def serving(
        self, actor: Actor, config: RisConfig, *, on_message: Callable[[Taken], None] = lambda _taken: None
    ) -> Iterator[RisConfig]:
        """Take messages and answer modalities during the block; gives the ports that are in use.

        Args:
            actor: needs FABRICATE, and RETRIEVE in the environment.
            config: how.
            on_message: told of each message, from the thread of its connection.

        Raises:
            AccessDenied: the actor may not.
            PortInUse, LocalFailure: a port cannot be listened on.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.RETRIEVE, config.environment)
        with ExitStack() as running:
            applying = running.enter_context(Applying(partial(self.intake.apply_kept, actor, config.environment)))
            running.enter_context(Outbox(self.procedures, config.environment, self.send_one, actor, self.intake.record))
            running.enter_context(Following(partial(self.carry_out, actor)))
            messages = self._messages(actor, config, applying, on_message)
            hl7 = _listening(running, messages, config.host, config.hl7_port, "HL7")
            dimse = _listening(running, self._modalities(config), config.host, config.dicom_port, "DICOM")
            log.info("HL7 on port %d, worklist as %s on port %d", hl7.port, config.ae_title, dimse.port)
            yield replace(config, hl7_port=hl7.port, dicom_port=dimse.port)

    def _messages(
        self, actor: Actor, config: RisConfig, applying: Applying, on_message: Callable[[Taken], None]
    ) -> Listener:
        def answer(data: bytes, peer: str) -> bytes:
            try:
                with applying.giving_way():
                    taken = self.intake.take(actor, data, config.environment, peer=peer)
            except LocalFailure as failure:
                log.error("a message of %d bytes from %s was not kept: %s", len(data), peer, failure.what)
                return self.intake.failed(data, failure)
            except Exception as error:  # noqa: BLE001 (logged, kept and answered)
                log_failure(log, f"taking a message of {len(data)} bytes from {peer}", error)
                return self._broken(actor, data, config.environment, peer)
            log.info("message %d from %s: %s", taken.message.number, peer, taken.message.code or "not answered")
            if taken.message.state is MessageState.KEPT:
                applying.kept()
            on_message(taken)
            return taken.answer

        def on_fault(fault: Fault, peer: str) -> bytes:
            log.warning("%d bytes from %s are no message: %s", fault.size, peer, fault.what)
            return self.intake.unframed(fault.data, _UNFRAMED[fault.what])

        return Listener(ListenerConfig(config.host, config.hl7_port, config.tls), answer, on_fault)

    def _broken(self, actor: Actor, data: bytes, environment: Environment, peer: str) -> bytes:
        try:
            return self.intake.broken(actor, data, environment, peer=peer)
        except LocalFailure as failure:
            log.error("a message of %d bytes from %s was not kept: %s", len(data), peer, failure.what)
            return self.intake.failed(data, failure)

    def _modalities(self, config: RisConfig) -> Server:
        record, status = self.intake.record, StatusMessages(self.intake.profiles)
        worklist = Worklist(self.procedures, config.environment, record)
        performed = PerformedStepHandler(PerformedSteps(self.procedures, config.environment, record, status.tell))
        notices = AvailabilityHandler(AvailabilityNotices(self.procedures, config.environment, record).take)
        served = ServerConfig(config.ae_title, host=config.host, port=config.dicom_port)
        is_open = config.any_caller and config.environment is Environment.TEST
        gate = _Gate(worklist, self.servers, config.environment, is_open=is_open)
        return Server(served, worklist, {PERFORMED_STEP: performed, AVAILABILITY: notices}, gate=gate)


class _Gate:
    """Knows modalities by AE title and host."""

    def __init__(
        self,
        handlers: Worklist,
        servers: Callable[[], Sequence[PacsServer]],
        environment: Environment,
        *,
        is_open: bool,
    ) -> None:
        self._handlers = handlers
        self._servers = servers
        self._environment = environment
        self._is_open = is_open

    def admit(self, requestor: Requestor) -> Handlers | str:
        if self._is_open:
            return self._handlers
        named = [server for server in self._servers() if server.aec == requestor.ae_title]
        here = [server for server in named if is_at(server.host, requestor.address)]
        if not named:
            return f"no server is registered with the AE title {requestor.ae_title!r}"
        if not here:
            return f"{requestor.address} is not the host of {', '.join(server.id for server in named)}"
        if {server.environment for server in here} != {self._environment}:
            return f"{here[0].id} is not of {self._environment}, whose worklist this is"
        return self._handlers

    def rejected(self, requestor: Requestor, called_ae_title: str, rejection: AssociateRJ, why: str) -> None:
        said = rejection_words(rejection.source, rejection.reason)
        log.warning("%s at %s was rejected: %s %s", requestor.ae_title, requestor.address, said, why)

    def ended(self, requestor: Requestor, handlers: Handlers, how: str) -> None:
        if how:
            log.info("the association with %s ended: %s", requestor.ae_title, how)


_UNFRAMED: Final = {
    Wrong.STRAY: "bytes outside of a frame: MLLP begins a message with 0B",
    Wrong.CUT: "the message was broken off: the next one began, or the connection ended, before its 1C",
    Wrong.TOO_LONG: "the message is longer than what is taken here",
}


def _listening(running: ExitStack, server: Listener | Server, host: str, port: int, what: str) -> Listener | Server:
    try:
        running.enter_context(server)
    except socket.gaierror as error:
        raise LocalFailure(
            f"{host} is no address of this computer",
            cause=error.strerror or "",
            remedy="give one of its own: --bind 127.0.0.1, or 0.0.0.0 for all",
        ) from error
    except OSError as error:
        raise _not_listening(error, host, port, what) from error
    return server


def _not_listening(error: OSError, host: str, port: int, what: str) -> LocalFailure:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"{what} port {port} of {host} is taken",
            cause="another program listens there, perhaps this one started before",
            remedy=f"end that program, or choose another port: --{what.lower()}-port",
        )
    return LocalFailure(
        f"{what} port {port} of {host} cannot be listened on ({os.strerror(error.errno or 0)})",
        cause="the address is not one of this computer's, or ports below 1024 are kept for root",
        remedy=f"choose another address or port: --bind, --{what.lower()}-port",
    )
