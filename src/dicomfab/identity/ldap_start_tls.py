"""The one request that is sent without TLS, which asks for it (RFC 4511 4.14).

It is written here and not by a library: until TLS begins, what comes may be from anybody.
"""

from __future__ import annotations

import socket
from typing import Final

from dicomfab.identity.ldap_budget import Budget

# ExtendedRequest with the name 1.3.6.1.4.1.1466.20037, as message 1 (RFC 4511 4.14.1, encoded as of 5.1).
_REQUEST: Final = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_SEQUENCE, _ENUMERATED, _EXTENDED_RESPONSE = 0x30, 0x0A, 0x78
_MAX_ANSWER: Final = 65_536


def start_tls(plain: socket.socket, budget: Budget) -> int:
    """Ask for TLS over a connection that has none yet.

    Args:
        plain: the connection; nothing was said over it.
        budget: the step that goes on.

    Returns:
        The result code (RFC 4511 4.1.9): 0 if TLS begins now.

    Raises:
        ValueError, LookupError: what came is no answer to that, or more than one: somebody speaks in between.
        OSError: none came.
    """
    plain.settimeout(budget.left())
    plain.sendall(_REQUEST)
    data = b""
    while True:
        plain.settimeout(budget.left())
        received = plain.recv(_MAX_ANSWER)
        if not received:
            raise ConnectionResetError("closed")
        data += received
        if data[0] != _SEQUENCE or len(data) > _MAX_ANSWER:
            raise ValueError("no LDAP message")
        length = _length(data, 1)
        if length is not None and len(data) >= sum(length):
            break
    message, rest = _element(data, _SEQUENCE)
    if rest:
        raise ValueError("more than one answer")
    _, operation = _element(message, message[0])
    response, _ = _element(operation, _EXTENDED_RESPONSE)
    code, _ = _element(response, _ENUMERATED)
    return int.from_bytes(code, "big")


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the element that stands first (X.690 8.1), and what follows it."""
    length = _length(data, 1)
    if data[0] != tag or length is None or sum(length) > len(data):
        raise ValueError("not the element that was expected")
    start, size = length
    return data[start : start + size], data[start + size :]


def _length(data: bytes, at: int) -> tuple[int, int] | None:
    """Where content begins, and its length (X.690 8.1.3); none if that has not arrived."""
    if len(data) <= at:
        return None
    first = data[at]
    octets = first & 0x7F if first & 0x80 else 0
    if octets > 4:
        raise ValueError("too long")
    if len(data) <= at + octets:
        return None
    size = int.from_bytes(data[at + 1 : at + 1 + octets], "big") if octets else first
    return at + 1 + octets, size
