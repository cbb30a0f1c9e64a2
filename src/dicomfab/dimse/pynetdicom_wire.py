"""The wire: pynetdicom, thinly. Nothing else in the project imports it.

What it cannot do is met here: outcomes without a status become typed errors, and identifiers stay out of logs.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.association import Association as PynetdicomAssociation
from pynetdicom.presentation import PresentationContext

from dicomfab.dimse import explain
from dicomfab.dimse.handlers import Handlers, Refusal, Requestor, ServerConfig, StoreHandler
from dicomfab.dimse.messages import Implementation, ProposedContext, Response, Suboperations
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    FIND,
    GET,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODEL_OF,
    MOVE,
    VERIFICATION,
)
from dicomfab.model.errors import ConnectionFailed, PeerError
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomfab.model.study import InstanceFile, InstanceIdentity

log = logging.getLogger(__name__)

# Its handlers would print every identifier, with patients' names, into whatever log is configured.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# Data sets go from file to socket and back as they are: neither held whole nor decoded.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.STORE_RECV_CHUNKED_DATASET = True
_config.UNRESTRICTED_STORAGE_SERVICE = True

_COPY_BYTES = 1 << 20
_NO_SUBOPERATIONS = 0xA702
_LITTLE_ENDIAN = frozenset({EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN})


def _application_entity(ae_title: str) -> AE:
    ae = AE(ae_title=ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae


# --------------------------------------------------------------------------- requesting


@contextlib.contextmanager
def request(
    peer: Peer, contexts: Sequence[ProposedContext], *, store_handler: StoreHandler | None = None
) -> Iterator[_Requested]:
    """See :func:`dicomfab.dimse.association.associate`."""
    association = _establish(peer, contexts, store_handler)
    try:
        yield _Requested(association, peer)
    except BaseException:
        if association.is_established:
            association.abort()
        raise
    if association.is_established:
        association.release()


def _establish(
    peer: Peer, contexts: Sequence[ProposedContext], store_handler: StoreHandler | None
) -> PynetdicomAssociation:
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise explain.name_unknown(peer, error) from error
    # IPv4 first: DICOM servers that listen on IPv6 alone are rare, hosts whose name has an unused one are not.
    addresses = [entry[4][0] for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]
    for position, address in enumerate(addresses):
        try:
            return _establish_at(str(address), peer, contexts, store_handler)
        except ConnectionFailed:
            if position == len(addresses) - 1:
                raise
    raise AssertionError("getaddrinfo returned no address")


def _establish_at(
    address: str, peer: Peer, contexts: Sequence[ProposedContext], store_handler: StoreHandler | None
) -> PynetdicomAssociation:
    ae = _application_entity(peer.calling_ae_title)
    ae.connection_timeout = peer.timeouts.connect_s
    ae.acse_timeout = peer.timeouts.association_s
    ae.dimse_timeout = peer.timeouts.dimse_s
    ae.network_timeout = None
    connected: list[bool] = []
    bindings: list[Any] = [(evt.EVT_CONN_OPEN, lambda _event: connected.append(True))]
    if store_handler is not None:
        bindings.append((evt.EVT_C_STORE, lambda event: _handle_store(event, store_handler)))
    start = time.monotonic()
    association = ae.associate(
        address,
        peer.port,
        contexts=[build_context(c.abstract_syntax, list(c.transfer_syntaxes)) for c in contexts],
        ae_title=peer.called_ae_title,
        ext_neg=[build_role(c.abstract_syntax, scp_role=True) for c in contexts if c.as_scp],
        evt_handlers=bindings,
    )
    if association.is_established:
        return association
    waited_s = time.monotonic() - start
    if not connected:
        raise explain.not_connected(peer, _connection_error(address, peer, waited_s))
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        raise explain.rejected(
            peer, int(answer.result or 0), int(answer.result_source or 0), int(answer.diagnostic or 0)
        )
    if answer is not None and answer.result == 0:
        raise explain.no_context(peer, tuple(contexts))
    if waited_s >= peer.timeouts.association_s:
        raise explain.silent(peer, "association", peer.timeouts.association_s)
    raise explain.aborted(peer, "instead of answering the association request")


def _connection_error(address: str, peer: Peer, waited_s: float) -> OSError:
    """Why there was no TCP connection; pynetdicom keeps the reason to itself, so ask again where that is quick."""
    if waited_s >= peer.timeouts.connect_s:
        return TimeoutError()
    try:
        socket.create_connection((address, peer.port), peer.timeouts.connect_s).close()
    except OSError as error:
        return error
    return OSError("the connection was lost at once")


class _Requested:
    """An established association (see :class:`dicomfab.dimse.association.Association`)."""

    def __init__(self, association: PynetdicomAssociation, peer: Peer) -> None:
        self._association = association
        self._peer = peer
        self._message_id = 0

    @property
    def implementation(self) -> Implementation:
        acceptor = self._association.acceptor
        return Implementation(
            str(acceptor.implementation_class_uid or ""), str(acceptor.implementation_version_name or "")
        )

    def accepted(self, abstract_syntax: str) -> frozenset[str]:
        return frozenset(
            str(context.transfer_syntax[0])
            for context in self._association.accepted_contexts
            if context.abstract_syntax == abstract_syntax
        )

    def echo(self) -> Response:
        return self._one("C-ECHO", lambda message_id: self._association.send_c_echo(msg_id=message_id))

    def store(self, instance: InstanceFile) -> Response:
        identity = instance.identity
        accepted = self.accepted(identity.sop_class_uid)
        data: Path | Dataset = instance.path
        if identity.transfer_syntax_uid not in accepted:
            if identity.transfer_syntax_uid not in _LITTLE_ENDIAN or not accepted & _LITTLE_ENDIAN:
                wanted = f"{_name(identity.sop_class_uid)} in {_name(identity.transfer_syntax_uid)}"
                raise explain.no_context(self._peer, wanted)
            data = pydicom.dcmread(instance.path)
        return self._one("C-STORE", lambda message_id: self._association.send_c_store(data, msg_id=message_id))

    def find(self, sop_class_uid: str, identifier: Dataset) -> Iterator[tuple[Response, Dataset | None]]:
        yield from self._many(
            "C-FIND",
            sop_class_uid,
            self._peer.timeouts.dimse_s,
            lambda message_id: self._association.send_c_find(identifier, sop_class_uid, msg_id=message_id),
        )

    def move(self, sop_class_uid: str, identifier: Dataset, move_destination: str) -> Iterator[Response]:
        responses = self._many(
            "C-MOVE",
            sop_class_uid,
            self._peer.timeouts.retrieve_s,
            lambda message_id: self._association.send_c_move(
                identifier, move_destination, sop_class_uid, msg_id=message_id
            ),
        )
        return (response for response, _ in responses)

    def get(self, sop_class_uid: str, identifier: Dataset) -> Iterator[Response]:
        responses = self._many(
            "C-GET",
            sop_class_uid,
            self._peer.timeouts.retrieve_s,
            lambda message_id: self._association.send_c_get(identifier, sop_class_uid, msg_id=message_id),
        )
        return (response for response, _ in responses)

    def cancel(self, sop_class_uid: str) -> None:
        self._association.send_c_cancel(self._message_id, query_model=sop_class_uid)

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _one(self, operation: str, send: Callable[[int], Dataset]) -> Response:
        start = time.monotonic()
        try:
            status = send(self._next_message_id())
        except RuntimeError as error:  # the association had already ended
            raise explain.aborted(self._peer, f"before {operation}") from error
        except ValueError as error:
            raise explain.no_context(self._peer, operation) from error
        if "Status" not in status:
            raise self._no_response(operation, start, self._peer.timeouts.dimse_s)
        return _response(status, None)

    def _many(
        self, operation: str, sop_class_uid: str, timeout_s: float, send: Callable[[int], Any]
    ) -> Iterator[tuple[Response, Dataset | None]]:
        if not self.accepted(sop_class_uid):
            raise explain.no_context(self._peer, operation)
        self._association.dimse_timeout = timeout_s
        start = time.monotonic()
        for status, identifier in send(self._next_message_id()):
            if "Status" not in status:
                raise self._no_response(operation, start, timeout_s)
            yield _response(status, identifier), identifier
            start = time.monotonic()

    def _no_response(self, operation: str, start: float, timeout_s: float) -> Exception:
        if time.monotonic() - start >= timeout_s:
            return explain.silent(self._peer, "dimse", timeout_s)
        return explain.aborted(self._peer, f"during {operation}")


def _response(status: Dataset, identifier: Dataset | None) -> Response:
    failed = identifier.get("FailedSOPInstanceUIDList") if identifier is not None else None
    return Response(
        status=int(status.Status),
        comment=str(status.get("ErrorComment", "") or ""),
        suboperations=Suboperations(
            remaining=status.get("NumberOfRemainingSuboperations"),
            completed=status.get("NumberOfCompletedSuboperations"),
            failed=status.get("NumberOfFailedSuboperations"),
            warning=status.get("NumberOfWarningSuboperations"),
        ),
        failed_sop_instance_uids=tuple(str(u) for u in ([failed] if isinstance(failed, str) else failed or ()) if u),
    )


def _name(uid: str) -> str:
    return pydicom.uid.UID(uid).name


# --------------------------------------------------------------------------- accepting


class _Listener:
    def __init__(self, ae: AE, server: Any) -> None:
        self._ae = ae
        self._server = server

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._ae.shutdown()


def listen(config: ServerConfig, handlers: Handlers) -> _Listener:
    """Start answering; see :class:`dicomfab.dimse.scp.server.Server`."""
    ae = _application_entity(config.ae_title)
    ae.require_called_aet = True
    if config.known_calling_ae_titles is not None:
        ae.require_calling_aet = sorted(config.known_calling_ae_titles)
    ae.maximum_associations = config.max_associations
    ae.maximum_pdu_size = 128 * 1024
    for uid in (VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values()):
        ae.add_supported_context(uid, [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN])
    server = ae.start_server(
        (config.host, config.port),
        block=False,
        evt_handlers=[
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
            (evt.EVT_C_STORE, lambda event: _handle_store(event, handlers)),
            (evt.EVT_C_FIND, lambda event: _handle_find(event, handlers)),
            (evt.EVT_C_MOVE, lambda event: _handle_move(event, handlers)),
            (evt.EVT_C_GET, lambda event: _handle_get(event, handlers)),
        ],
    )
    return _Listener(ae, server)


def _requestor(event: Any) -> Requestor:
    requestor = event.assoc.requestor
    return Requestor(str(requestor.ae_title), str(requestor.address))


def _handle_store(event: Any, handler: StoreHandler) -> Dataset:
    command = event.request
    identity = InstanceIdentity(
        str(command.AffectedSOPClassUID), str(command.AffectedSOPInstanceUID), str(event.context.transfer_syntax)
    )
    spool = Path(event.dataset_path)
    try:
        sink = handler.begin_store(_requestor(event), identity)
        finished = False
        try:
            with spool.open("rb") as file:
                file.seek(pydicom.filereader.read_file_meta_info(spool).FileMetaInformationGroupLength + 144)
                while chunk := file.read(_COPY_BYTES):
                    sink.write(chunk)
            status = sink.finish()
            finished = True
        finally:
            if not finished:
                sink.discard()
        return _status(status)
    except Refusal as refusal:
        return _status(refusal.status, refusal.comment)
    finally:
        spool.unlink(missing_ok=True)


def _handle_find(event: Any, handlers: Handlers) -> Iterator[tuple[Any, Dataset | None]]:
    try:
        matches = handlers.find(_requestor(event), MODEL_OF[str(event.request.AffectedSOPClassUID)], event.identifier)
        for match in matches:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, match
    except Refusal as refusal:
        yield _status(refusal.status, refusal.comment), None


def _handle_move(event: Any, handlers: Handlers) -> Iterator[Any]:
    requestor = _requestor(event)
    destination = handlers.destination(requestor, str(event.move_destination).strip())
    if destination is None:
        yield None, None
        return
    try:
        instances = handlers.select(requestor, MODEL_OF[str(event.request.AffectedSOPClassUID)], event.identifier)
    except Refusal as refusal:
        yield from _refuse_move(event, refusal, 1, [])
        return
    contexts = _contexts_to_send(instances)
    if instances:
        unreachable = _unreachable(event, destination, contexts)
        if unreachable is not None:
            uids = [instance.identity.sop_instance_uid for instance in instances]
            yield from _refuse_move(event, unreachable, len(instances), uids)
            return
    yield (*destination, {"contexts": contexts})
    yield len(instances)
    yield from _datasets(event, instances)


def _unreachable(event: Any, destination: tuple[str, int], contexts: Sequence[PresentationContext]) -> Refusal | None:
    """Why the destination takes no association: pynetdicom would call that A801, which means another thing."""
    peer = Peer(*destination, str(event.move_destination).strip(), str(event.assoc.ae.ae_title))
    proposed = [ProposedContext(str(c.abstract_syntax), tuple(map(str, c.transfer_syntax))) for c in contexts]
    try:
        with request(peer, proposed):
            return None
    except PeerError as error:
        log.warning("C-MOVE destination %s takes no association: %s", peer.called_ae_title, type(error).__name__)
        return Refusal(_NO_SUBOPERATIONS, f"destination: {error.heading}")


def _refuse_move(event: Any, refusal: Refusal, count: int, failed: list[str]) -> Iterator[Any]:
    """Answer a C-MOVE with a failure. pynetdicom wants an association to a destination first: it gets one to us."""
    own = event.assoc.acceptor
    context = {"contexts": [build_context(VERIFICATION)], "ae_title": str(event.assoc.ae.ae_title)}
    yield (str(own.address), int(own.port), context)
    yield count
    identifier = Dataset()
    identifier.FailedSOPInstanceUIDList = failed
    yield _status(refusal.status, refusal.comment), identifier


def _handle_get(event: Any, handlers: Handlers) -> Iterator[Any]:
    try:
        instances = handlers.select(
            _requestor(event), MODEL_OF[str(event.request.AffectedSOPClassUID)], event.identifier
        )
    except Refusal as refusal:
        yield 1
        yield _status(refusal.status, refusal.comment), None
        return
    yield len(instances)
    yield from _datasets(event, instances)


def _datasets(event: Any, instances: Sequence[InstanceFile]) -> Iterator[tuple[int, Dataset | None]]:
    for instance in instances:
        if event.is_cancelled:
            yield 0xFE00, None
            return
        yield 0xFF00, pydicom.dcmread(instance.path)


def _contexts_to_send(instances: Sequence[InstanceFile]) -> list[PresentationContext]:
    """One context per SOP class and transfer syntax held, at most 128 (PS3.8 9.3.2.2)."""
    pairs = {(i.identity.sop_class_uid, i.identity.transfer_syntax_uid): None for i in instances}
    for sop_class, syntax in list(pairs):
        if syntax == EXPLICIT_VR_LITTLE_ENDIAN:
            pairs.setdefault((sop_class, IMPLICIT_VR_LITTLE_ENDIAN), None)
    return [build_context(sop_class, syntax) for sop_class, syntax in list(pairs)[:128]] or [
        build_context(VERIFICATION)
    ]


def _status(status: int, comment: str = "") -> Dataset:
    dataset = Dataset()
    dataset.Status = status
    if comment:
        dataset.ErrorComment = comment
    return dataset
