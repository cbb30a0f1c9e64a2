"""What a child process does with pynetdicom, for comparison, in its best settings that are public.

TCP_NODELAY on, no logging of messages, data sets sent from the file in pieces.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence
from typing import Any

from child import HOST, TOUCHED, Files, identifier_of, timed
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.association import Association

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
# It loses about one response in 2,000 to a race between its own threads, and then waits for it and aborts: short, so
# that such a run ends soon. A median does not notice one; a run that is cut off by it is repeated.
DIMSE_TIMEOUT_S = 5

_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.STORE_SEND_CHUNKED_DATASET = True


def _no_delay(event: evt.Event) -> None:
    transport: Any = event.assoc.dul.socket
    transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _associate(peer: dict[str, Any], sop_classes: Sequence[str], timeout_s: float) -> Association:
    ae = AE(ae_title="DICOMFAB")
    ae.dimse_timeout = timeout_s
    ae.maximum_pdu_size = 0
    association = ae.associate(
        HOST,
        peer["port"],
        contexts=[build_context(uid, [EXPLICIT, IMPLICIT]) for uid in sop_classes],
        ae_title=peer["ae_title"],
        evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay)],
    )
    if not association.is_established:
        raise RuntimeError("pynetdicom got no association")
    return association


def send(peer: dict[str, Any]) -> dict[str, Any]:
    """Send what was loaded over one association, from opening it to its release."""
    cpu, start = time.process_time(), time.monotonic()
    association = _associate(peer, sorted({one.identity.sop_class_uid for one in Files.instances}), DIMSE_TIMEOUT_S)
    accepted = 0
    for instance in Files.instances:
        status = association.send_c_store(instance.path)
        if status.get("Status") != 0:
            association.abort()
            break
        accepted += 1
    else:
        association.release()
    end = time.monotonic()
    return {"start": start, "end": end, "accepted": accepted, "cpu_s": time.process_time() - cpu}


def query(peer: dict[str, Any], keys: dict[str, str], touch: bool = True) -> dict[str, Any]:
    """C-FIND, study root, reading three attributes of each match unless told not to."""
    identifier = identifier_of(keys)
    cpu, start = time.process_time(), time.monotonic()
    association = _associate(peer, [STUDY_ROOT_FIND], 120)
    matches = 0
    for _status, match in association.send_c_find(identifier, STUDY_ROOT_FIND):
        if match is not None:
            for keyword in TOUCHED if touch else ():
                str(match[keyword].value)
            matches += 1
    if association.is_established:
        association.release()
    return {"seconds": time.monotonic() - start, "cpu_s": time.process_time() - cpu, "matches": matches}


def echoes(peer: dict[str, Any], count: int) -> float:
    """The median seconds of open, C-ECHO and release."""

    def once() -> None:
        association = _associate(peer, [VERIFICATION], DIMSE_TIMEOUT_S)
        association.send_c_echo()
        if association.is_established:
            association.release()

    return statistics.median(timed(once, count))


def echoes_on_one(peer: dict[str, Any], count: int) -> float:
    """The median seconds of C-ECHO on an open association; on a new one after a response was lost."""
    measured: list[float] = []
    association = _associate(peer, [VERIFICATION], DIMSE_TIMEOUT_S)
    for _ in range(count):
        if not association.is_established:
            association = _associate(peer, [VERIFICATION], DIMSE_TIMEOUT_S)
        measured += timed(association.send_c_echo, 1)
    if association.is_established:
        association.release()
    return statistics.median(measured)
