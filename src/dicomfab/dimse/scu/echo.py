"""C-ECHO: does the peer answer at all (PS3.4 annex A)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.responses import response_of
from dicomfab.dimse.sop_classes import VERIFICATION
from dicomfab.dimse.status import SUCCESS, failure

CONTEXT = ProposedContext(VERIFICATION, PLAIN_SYNTAXES)


@dataclass(frozen=True, slots=True)
class EchoResult:
    """A successful C-ECHO.

    Args:
        latency_s: from opening the connection to the response, in seconds.
        implementation_class_uid: the peer's, from A-ASSOCIATE-AC.
        implementation_version: the peer's, from A-ASSOCIATE-AC.
    """

    latency_s: float
    implementation_class_uid: str
    implementation_version: str


def echo(peer: Peer) -> EchoResult:
    """Associate, send C-ECHO-RQ, release.

    Raises:
        PeerError: in every other case than status 0000.
    """
    start = time.perf_counter()
    with associate(peer, [CONTEXT]) as association:
        response = send(association)
        latency_s = time.perf_counter() - start
        implementation = association.implementation
    if response.status != SUCCESS:
        raise failure("C-ECHO", response, peer.label, implementation)
    return EchoResult(latency_s, implementation.class_uid, implementation.version_name)


def send(association: Association) -> Response:
    """One C-ECHO over an association that is open (PS3.7 9.1.5).

    Raises:
        PeerError: no response.
    """
    context = association.context_for(VERIFICATION, "C-ECHO")
    message_id = association.next_message_id()
    association.send(
        context,
        {
            "AffectedSOPClassUID": VERIFICATION,
            "CommandField": dimse_command.C_ECHO_RQ,
            "MessageID": message_id,
            "CommandDataSetType": dimse_command.NO_DATA_SET,
        },
    )
    message = association.response_to(message_id, "C-ECHO", association.peer.timeouts.dimse_s)
    return response_of(message.command)
