"""C-ECHO: does the peer answer at all (PS3.4 annex A)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dicomfab.dimse.association import associate
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from dicomfab.dimse.status import SUCCESS, failure


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
    context = ProposedContext(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
    start = time.perf_counter()
    with associate(peer, [context]) as association:
        response = association.echo()
        latency_s = time.perf_counter() - start
        implementation = association.implementation
    if response.status != SUCCESS:
        raise failure("C-ECHO", response, peer.label)
    return EchoResult(latency_s, implementation.class_uid, implementation.version_name)
