"""The protocol data units of PS3.8 section 9.3 but P-DATA-TF (see :mod:`dicomfab.ul.pdata`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dicomfab.ul.errors import UNRECOGNIZED_PDU, LocalProtocolError, ProtocolError
from dicomfab.ul.items import decode_items, decode_uid, encode_item, encode_uid
from dicomfab.ul.user_information import UserInformation, decode_user_information, encode_user_information

DICOM_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION: Final = 1
PDU_HEADER_BYTES: Final = 6
MAX_CONTEXTS: Final = 128

ASSOCIATE_RQ: Final = 0x01
ASSOCIATE_AC: Final = 0x02
ASSOCIATE_RJ: Final = 0x03
P_DATA_TF: Final = 0x04
RELEASE_RQ: Final = 0x05
RELEASE_RP: Final = 0x06
ABORT: Final = 0x07

# The longest PDU of each type that is read. An A-ASSOCIATE of 128 contexts with every transfer syntax has some 250 KB.
MAX_BODY_BYTES: Final = {
    ASSOCIATE_RQ: 1 << 20,
    ASSOCIATE_AC: 1 << 20,
    ASSOCIATE_RJ: 4,
    RELEASE_RQ: 4,
    RELEASE_RP: 4,
    ABORT: 4,
}
_HEADER: Final = struct.Struct(">BxI")
_ASSOCIATE: Final = struct.Struct(">H2x16s16s32x")
_APPLICATION_CONTEXT: Final = 0x10
_CONTEXT: Final = 0x20
_CONTEXT_RESULT: Final = 0x21
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40
_USER_INFORMATION: Final = 0x50


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """A proposed presentation context (PS3.8 9.3.2.2).

    Args:
        context_id: odd, 1 to 255.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """The answer to a proposed context (PS3.8 9.3.3.2).

    Args:
        result: 0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax not supported, 4 transfer syntaxes not
            supported.
        transfer_syntax: the one chosen; not significant unless accepted.
    """

    context_id: int
    result: int
    transfer_syntax: str = ""


@dataclass(frozen=True, slots=True)
class AssociateRQ:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[PresentationContext, ...]
    user: UserInformation = field(default_factory=UserInformation)
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateAC:
    """A-ASSOCIATE-AC (PS3.8 9.3.3). The AE titles are those of the request and not to be tested."""

    called_ae_title: str
    calling_ae_title: str
    results: tuple[ContextResult, ...]
    user: UserInformation = field(default_factory=UserInformation)
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateRJ:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4, table 9-21).

    Args:
        result: 1 permanent, 2 transient.
        source: 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
        reason: by source.
    """

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRQ:
    """A-RELEASE-RQ (PS3.8 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseRP:
    """A-RELEASE-RP (PS3.8 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 9.3.8, table 9-26).

    Args:
        source: 0 service user, 2 service provider.
        reason: significant for source 2 only.
    """

    source: int
    reason: int = 0


Pdu: TypeAlias = AssociateRQ | AssociateAC | AssociateRJ | ReleaseRQ | ReleaseRP | Abort


def encode_pdu(pdu: Pdu) -> bytes:
    """A whole PDU, header included.

    Raises:
        LocalProtocolError: a value that the PDU cannot hold.
    """
    try:
        return _encode(pdu)
    except (ValueError, struct.error) as error:
        raise LocalProtocolError(f"{type(pdu).__name__}: a number does not fit into its field ({error})") from error


def _encode(pdu: Pdu) -> bytes:
    match pdu:
        case AssociateRQ():
            _check_ae_titles(pdu)
            return _pdu(ASSOCIATE_RQ, _associate(pdu, b"".join(map(_encode_context, _checked(pdu.contexts)))))
        case AssociateAC():
            return _pdu(ASSOCIATE_AC, _associate(pdu, b"".join(map(_encode_result, pdu.results))))
        case AssociateRJ():
            return _pdu(ASSOCIATE_RJ, bytes((0, pdu.result, pdu.source, pdu.reason)))
        case ReleaseRQ():
            return _pdu(RELEASE_RQ, bytes(4))
        case ReleaseRP():
            return _pdu(RELEASE_RP, bytes(4))
        case Abort():
            return _pdu(ABORT, bytes((0, 0, pdu.source, pdu.reason)))


def decode_pdu(kind: int, body: bytes) -> Pdu:
    """A PDU from its type and variable field.

    Raises:
        ProtocolError: no such PDU, or one that cannot be read.
    """
    if kind == ASSOCIATE_RQ:
        return _decode_request(body)
    if kind == ASSOCIATE_AC:
        return _decode_answer(body)
    if kind not in MAX_BODY_BYTES:
        raise ProtocolError(f"PDU type {kind:02X}H", UNRECOGNIZED_PDU)
    if len(body) != 4:
        raise ProtocolError(f"a PDU of type {kind:02X}H with {len(body)} bytes instead of 4")
    if kind == ASSOCIATE_RJ:
        return AssociateRJ(body[1], body[2], body[3])
    if kind == ABORT:
        return Abort(body[2], body[3])
    return ReleaseRQ() if kind == RELEASE_RQ else ReleaseRP()


def _pdu(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _associate(pdu: AssociateRQ | AssociateAC, contexts: bytes) -> bytes:
    return (
        _ASSOCIATE.pack(
            pdu.protocol_version, _encode_ae_title(pdu.called_ae_title), _encode_ae_title(pdu.calling_ae_title)
        )
        + encode_item(_APPLICATION_CONTEXT, encode_uid(pdu.application_context))
        + contexts
        + encode_item(_USER_INFORMATION, encode_user_information(pdu.user))
    )


def _checked(contexts: tuple[PresentationContext, ...]) -> tuple[PresentationContext, ...]:
    ids = [context.context_id for context in contexts]
    if not 1 <= len(ids) <= MAX_CONTEXTS or len(set(ids)) < len(ids) or not all(i % 2 and 1 <= i <= 255 for i in ids):
        raise LocalProtocolError("an association has 1 to 128 presentation contexts with odd ids, each once")
    if not all(context.transfer_syntaxes for context in contexts):
        raise LocalProtocolError("a presentation context needs a transfer syntax")
    return contexts


def _encode_context(context: PresentationContext) -> bytes:
    syntaxes = b"".join(encode_item(_TRANSFER_SYNTAX, encode_uid(uid)) for uid in context.transfer_syntaxes)
    head = bytes((context.context_id, 0, 0, 0))
    return encode_item(_CONTEXT, head + encode_item(_ABSTRACT_SYNTAX, encode_uid(context.abstract_syntax)) + syntaxes)


def _encode_result(result: ContextResult) -> bytes:
    if not result.context_id % 2 or (result.result == 0 and not result.transfer_syntax):
        raise LocalProtocolError("a presentation context has an odd id and, if accepted, a transfer syntax")
    # A transfer syntax item is there for a rejected context too; its value is not significant (PS3.8 9.3.3.2).
    syntax = encode_uid(result.transfer_syntax) if result.transfer_syntax else b""
    head = bytes((result.context_id, 0, result.result, 0))
    return encode_item(_CONTEXT_RESULT, head + encode_item(_TRANSFER_SYNTAX, syntax))


def _check_ae_titles(pdu: AssociateRQ) -> None:
    for title in (pdu.called_ae_title, pdu.calling_ae_title):
        if not (title.strip(" ") and title.isascii() and title.isprintable()):
            raise LocalProtocolError(f"{title!r} cannot be an AE title")


def _encode_ae_title(title: str) -> bytes:
    # An answer repeats what the peer sent, whatever that was.
    encoded = title.encode("ascii", "replace").ljust(16)
    if len(encoded) > 16:
        raise LocalProtocolError(f"{title!r} cannot be an AE title")
    return encoded


def _decode_ae_title(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def _decode_request(body: bytes) -> AssociateRQ:
    version, called, calling, application, items, user = _decode_associate(body, _CONTEXT)
    contexts = tuple(map(_decode_context, items))
    ids = [context.context_id for context in contexts]
    if not contexts or len(set(ids)) < len(ids):
        raise ProtocolError("A-ASSOCIATE-RQ: presentation contexts are missing, or have one id twice")
    return AssociateRQ(called, calling, contexts, user, application, version)


def _decode_answer(body: bytes) -> AssociateAC:
    version, called, calling, application, items, user = _decode_associate(body, _CONTEXT_RESULT)
    return AssociateAC(called, calling, tuple(map(_decode_result, items)), user, application, version)


def _decode_associate(body: bytes, context_item: int) -> tuple[int, str, str, str, list[bytes], UserInformation]:
    if len(body) < _ASSOCIATE.size:
        raise ProtocolError(f"an A-ASSOCIATE of {len(body)} bytes")
    version, called, calling = _ASSOCIATE.unpack_from(body)
    application, user = "", UserInformation()
    contexts = []
    for kind, value in decode_items(body[_ASSOCIATE.size :], "A-ASSOCIATE"):
        if kind == _APPLICATION_CONTEXT:
            application = decode_uid(value, "application context")
        elif kind == context_item:
            contexts.append(value)
        elif kind == _USER_INFORMATION:
            user = decode_user_information(value)
    if len(contexts) > MAX_CONTEXTS:
        raise ProtocolError(f"{len(contexts)} presentation contexts; 128 is the most")
    return version, _decode_ae_title(called), _decode_ae_title(calling), application, contexts, user


def _decode_context(value: bytes) -> PresentationContext:
    context_id = _context_id(value)
    abstract = ""
    syntaxes = []
    for kind, uid in decode_items(value[4:], f"presentation context {context_id}"):
        if kind == _ABSTRACT_SYNTAX:
            abstract = decode_uid(uid, "abstract syntax")
        elif kind == _TRANSFER_SYNTAX:
            syntaxes.append(decode_uid(uid, "transfer syntax"))
    if not abstract or not syntaxes:
        raise ProtocolError(f"presentation context {context_id} lacks an abstract or a transfer syntax")
    return PresentationContext(context_id, abstract, tuple(syntaxes))


def _decode_result(value: bytes) -> ContextResult:
    context_id = _context_id(value)
    result, syntax = value[2], ""
    if result != 0:
        return ContextResult(context_id, result)  # what follows is not significant, and some peers send nonsense
    for kind, uid in decode_items(value[4:], f"presentation context {context_id}"):
        if kind == _TRANSFER_SYNTAX:
            syntax = decode_uid(uid, "transfer syntax")
    if not syntax:
        raise ProtocolError(f"presentation context {context_id} was accepted without a transfer syntax")
    return ContextResult(context_id, result, syntax)


def _context_id(value: bytes) -> int:
    if len(value) < 4:
        raise ProtocolError(f"a presentation context of {len(value)} bytes")
    if not value[0] % 2:
        raise ProtocolError(f"presentation context id {value[0]} is even")
    return value[0]
