"""pynetdicom as the other side: acceptors with handlers, and requestors."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.uid import AllTransferSyntaxes, UncompressedTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.association import Association

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.sop_classes import FIND, GET, MOVE, VERIFICATION
from dicomfab.dimse.tls_settings import TlsSettings

DEADLINE_S = 20.0
#: Event -> what handles it, with further arguments if there are any.
Handlers = Sequence[tuple[Any, ...]]


def ae(title: str, *, max_pdu: int = 16382) -> AE:
    """An application entity that waits no longer than tests want to."""
    entity = AE(ae_title=title)
    entity.maximum_pdu_size = max_pdu
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = DEADLINE_S
    return entity


@contextmanager
def acceptor(
    handlers: Handlers,
    *,
    title: str = "PYNETDICOM",
    max_pdu: int = 16382,
    syntaxes: Sequence[str] = tuple(AllTransferSyntaxes),
    sop_classes: Sequence[str] = (),
    any_storage: bool = False,
    context: ssl.SSLContext | None = None,
    tls: TlsSettings | None = None,
) -> Iterator[Peer]:
    """A pynetdicom server: verification, query, retrieve and every storage SOP class of the standard.

    Args:
        handlers: of its events.
        max_pdu: the longest PDU that it takes, in bytes; 0 is no limit.
        syntaxes: the transfer syntaxes that it takes instances in.
        sop_classes: what else it accepts, in the uncompressed transfer syntaxes.
        any_storage: accept storage SOP classes that the standard does not know.
        context: for TLS.
        tls: how to call it then.
    """
    entity = ae(title, max_pdu=max_pdu)
    for storage in AllStoragePresentationContexts:
        entity.add_supported_context(storage.abstract_syntax, list(syntaxes), scu_role=True, scp_role=True)
    for uid in (VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values(), *sop_classes):
        entity.add_supported_context(uid, UncompressedTransferSyntaxes, scu_role=True, scp_role=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", any_storage)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers), ssl_context=context)
        try:
            timeouts = Timeouts(5, DEADLINE_S, DEADLINE_S, DEADLINE_S)
            yield Peer("127.0.0.1", server.server_address[1], title, timeouts=timeouts, name=title, tls=tls)
        finally:
            # What is under way ends first: aborting it in the middle of its release is an error inside pynetdicom.
            for served in server.active_associations:
                served.join(DEADLINE_S)
            entity.shutdown()


@contextmanager
def association(
    port: int,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    called: str,
    calling: str = "PYNETDICOM",
    max_pdu: int = 16382,
    negotiation: Sequence[Any] = (),
    handlers: Handlers = (),
    context: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """An association that pynetdicom asks for; released at the end of the block if it was established.

    Args:
        port: on this machine.
        contexts: abstract syntax and transfer syntaxes of each.
        negotiation: further items of the request.
        handlers: of its events.
        context: for TLS.
    """
    entity = ae(calling, max_pdu=max_pdu)
    for abstract_syntax, transfer_syntaxes in contexts:
        entity.add_requested_context(abstract_syntax, list(transfer_syntaxes))
    opened = entity.associate(
        "127.0.0.1",
        port,
        ae_title=called,
        max_pdu=max_pdu,
        ext_neg=list(negotiation) or None,
        evt_handlers=list(handlers),
        tls_args=(context, None) if context else None,
    )
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
        if opened.ident is not None:  # its thread was never started if the association was refused
            opened.join(DEADLINE_S)
            assert not opened.is_alive()


def until_cancelled(event: evt.Event) -> bool:
    """Wait in a handler for the C-CANCEL of its request; false if none comes."""
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if event.is_cancelled:
            return True
        pause.wait(0.01)
    return False


def keeping(received: list[tuple[str, str, bytes]]) -> tuple[Any, Callable[[evt.Event], int]]:
    """A handler of C-STORE that keeps SOP instance UID, transfer syntax and encoded data set."""

    def keep(event: evt.Event) -> int:
        data = event.request.DataSet.getvalue()
        received.append((str(event.request.AffectedSOPInstanceUID), str(event.context.transfer_syntax), data))
        return 0x0000

    return evt.EVT_C_STORE, keep
