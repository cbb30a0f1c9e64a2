"""The user information item of A-ASSOCIATE-RQ and -AC and its sub-items (PS3.8 annex D, PS3.7 annex D.3.3)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.ul.errors import LocalProtocolError, ProtocolError
from dicomfab.ul.items import decode_items, decode_uid, encode_item, encode_sized, encode_uid, take_sized

_U32: Final = struct.Struct(">I")
_WINDOW: Final = struct.Struct(">HH")
_MAX_LENGTH: Final = 0x51
_IMPLEMENTATION_CLASS: Final = 0x52
_ASYNCHRONOUS: Final = 0x53
_ROLE: Final = 0x54
_IMPLEMENTATION_VERSION: Final = 0x55
_EXTENDED: Final = 0x56
_COMMON_EXTENDED: Final = 0x57
_IDENTITY_RQ: Final = 0x58
_IDENTITY_AC: Final = 0x59


@dataclass(frozen=True, slots=True)
class AsynchronousOperations:
    """How many operations may be outstanding in each direction; 0 is unlimited (PS3.7 D.3.3.3)."""

    invoked: int = 1
    performed: int = 1


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Which roles the requestor has for a SOP class: proposed in the request, accepted in the answer (D.3.3.4)."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Service-class application information for a SOP class, as the service defines it (D.3.3.5)."""

    sop_class_uid: str
    information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """Which service a SOP class belongs to, and which general SOP classes it is related to (D.3.3.6)."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()


class IdentityType(enum.IntEnum):
    """Forms of user identity (table D.3-14)."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who the user behind the requestor is (D.3.3.7.1).

    Args:
        kind: an :class:`IdentityType`, kept as a number because peers may send others.
        primary: user name, service ticket, assertion or token.
        secondary: the passcode, for kind 2.
        response_requested: whether the acceptor shall answer with a server response.
    """

    kind: int
    primary: bytes
    secondary: bytes = b""
    response_requested: bool = False

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"UserIdentity(kind={self.kind}, response_requested={self.response_requested})"


@dataclass(frozen=True, slots=True)
class UserInformation:
    """What one side tells the other about itself.

    Args:
        max_pdu_length: the longest P-DATA-TF variable field that it takes, in bytes; 0 is no limit (PS3.8 D.1).
        implementation_class_uid: which software (PS3.7 D.3.3.2).
        implementation_version_name: which version of it, at most 16 characters.
        identity: of A-ASSOCIATE-RQ.
        identity_response: the server response of A-ASSOCIATE-AC (D.3.3.7.2).
    """

    max_pdu_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_operations: AsynchronousOperations | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = None


def encode_user_information(user: UserInformation) -> bytes:
    """The value of item 50H, sub-items in ascending order of their types.

    Raises:
        LocalProtocolError: a value that the sub-item cannot hold.
    """
    if not 0 <= user.max_pdu_length <= 0xFFFFFFFF:
        raise LocalProtocolError(f"a maximum PDU length of {user.max_pdu_length}")
    parts = [encode_item(_MAX_LENGTH, _U32.pack(user.max_pdu_length))]
    if user.implementation_class_uid:
        parts.append(encode_item(_IMPLEMENTATION_CLASS, encode_uid(user.implementation_class_uid)))
    if user.asynchronous_operations:
        window = user.asynchronous_operations
        parts.append(encode_item(_ASYNCHRONOUS, _WINDOW.pack(window.invoked, window.performed)))
    for role in user.roles:
        flags = bytes((role.scu, role.scp))
        parts.append(encode_item(_ROLE, encode_sized(encode_uid(role.sop_class_uid)) + flags))
    if user.implementation_version_name:
        name = user.implementation_version_name.encode("ascii", "replace")
        if len(name) > 16:
            raise LocalProtocolError(f"an implementation version name of {len(name)} characters")
        parts.append(encode_item(_IMPLEMENTATION_VERSION, name))
    for one in user.extended:
        parts.append(encode_item(_EXTENDED, encode_sized(encode_uid(one.sop_class_uid)) + one.information))
    parts.extend(encode_item(_COMMON_EXTENDED, _encode_common(common)) for common in user.common_extended)
    if user.identity:
        identity = user.identity
        head = bytes((identity.kind, identity.response_requested))
        parts.append(
            encode_item(_IDENTITY_RQ, head + encode_sized(identity.primary) + encode_sized(identity.secondary))
        )
    if user.identity_response is not None:
        parts.append(encode_item(_IDENTITY_AC, encode_sized(user.identity_response)))
    return b"".join(parts)


def decode_user_information(data: bytes) -> UserInformation:
    """Read item 50H; sub-items that PS3.7 does not know are skipped (PS3.8 9.3.1).

    Raises:
        ProtocolError: a sub-item that cannot be read.
    """
    found: dict[str, Any] = {}
    for kind, value in decode_items(data, "user information"):
        known = _DECODERS.get(kind)
        if known is None:
            continue
        name, decode = known
        if name in _SEVERAL:
            found.setdefault(name, []).append(decode(value))
        else:
            found[name] = decode(value)
    for name in _SEVERAL & found.keys():
        found[name] = tuple(found[name])
    return UserInformation(**found)


def _encode_common(common: CommonExtendedNegotiation) -> bytes:
    related = b"".join(encode_sized(encode_uid(uid)) for uid in common.related_general_sop_class_uids)
    return (
        encode_sized(encode_uid(common.sop_class_uid))
        + encode_sized(encode_uid(common.service_class_uid))
        + encode_sized(related)
    )


def _max_length(value: bytes) -> int:
    return int(_U32.unpack(_exactly(value, 4, "maximum length"))[0])


def _implementation_class(value: bytes) -> str:
    return decode_uid(value, "implementation class UID")


def _implementation_version(value: bytes) -> str:
    return value[:64].decode("ascii", "replace").strip("\0 ")


def _asynchronous(value: bytes) -> AsynchronousOperations:
    return AsynchronousOperations(*_WINDOW.unpack(_exactly(value, 4, "asynchronous operations window")))


def _role(value: bytes) -> RoleSelection:
    uid, end = take_sized(value, 0, "role selection")
    scu, scp = _exactly(value[end:], 2, "role selection")
    return RoleSelection(decode_uid(uid, "role selection"), bool(scu), bool(scp))


def _extended(value: bytes) -> ExtendedNegotiation:
    uid, end = take_sized(value, 0, "extended negotiation")
    return ExtendedNegotiation(decode_uid(uid, "extended negotiation"), value[end:])


def _common(value: bytes) -> CommonExtendedNegotiation:
    where = "common extended negotiation"
    sop_class, position = take_sized(value, 0, where)
    service_class, position = take_sized(value, position, where)
    listed, _ = take_sized(value, position, where)
    related = []
    position = 0
    while position < len(listed):
        uid, position = take_sized(listed, position, where)
        related.append(decode_uid(uid, where))
    return CommonExtendedNegotiation(decode_uid(sop_class, where), decode_uid(service_class, where), tuple(related))


def _identity(value: bytes) -> UserIdentity:
    if len(value) < 2:
        raise ProtocolError(f"user identity of {len(value)} bytes")
    primary, position = take_sized(value, 2, "user identity")
    secondary, _ = take_sized(value, position, "user identity")
    return UserIdentity(value[0], primary, secondary, bool(value[1]))


def _identity_response(value: bytes) -> bytes:
    return take_sized(value, 0, "user identity response")[0]


_DECODERS: Final[dict[int, tuple[str, Callable[[bytes], Any]]]] = {
    _MAX_LENGTH: ("max_pdu_length", _max_length),
    _IMPLEMENTATION_CLASS: ("implementation_class_uid", _implementation_class),
    _ASYNCHRONOUS: ("asynchronous_operations", _asynchronous),
    _ROLE: ("roles", _role),
    _IMPLEMENTATION_VERSION: ("implementation_version_name", _implementation_version),
    _EXTENDED: ("extended", _extended),
    _COMMON_EXTENDED: ("common_extended", _common),
    _IDENTITY_RQ: ("identity", _identity),
    _IDENTITY_AC: ("identity_response", _identity_response),
}


_SEVERAL: Final = frozenset({"roles", "extended", "common_extended"})


def _exactly(value: bytes, length: int, where: str) -> bytes:
    if len(value) != length:
        raise ProtocolError(f"{where}: {len(value)} bytes instead of {length}")
    return value
