"""Control PDUs: what can be read can be written and read again."""

from __future__ import annotations

from dataclasses import replace

from dicomfab.ul import AssociateAC, AssociateRQ
from dicomfab.ul.errors import ProtocolError
from dicomfab.ul.pdu import DICOM_APPLICATION_CONTEXT, Pdu, decode_pdu, encode_pdu
from fuzz.fuzz_user_information import sendable

# One item of user information holds no more than this, and one that had none gets a maximum length.
_LONG = 60_000


def _title(title: str, *, of_answer: bool) -> str:
    """An answer repeats any title; a request may only have a proper one."""
    repeated = title.encode("ascii", "replace").decode("ascii").strip("\0 ")
    proper = repeated != "" and repeated.isprintable()
    return repeated if of_answer or proper else "ANY-SCP"


def _sendable(pdu: Pdu) -> Pdu:
    if not isinstance(pdu, AssociateRQ | AssociateAC):
        return pdu
    of_answer = isinstance(pdu, AssociateAC)
    return replace(
        pdu,
        called_ae_title=_title(pdu.called_ae_title, of_answer=of_answer),
        calling_ae_title=_title(pdu.calling_ae_title, of_answer=of_answer),
        application_context=pdu.application_context or DICOM_APPLICATION_CONTEXT,
        user=sendable(pdu.user),
    )


def one_input(data: bytes) -> None:
    """The PDU's type, and its variable field."""
    if not data or len(data) > _LONG:
        return
    try:
        pdu = decode_pdu(data[0], data[1:])
    except ProtocolError:
        return
    pdu = _sendable(pdu)
    encoded = encode_pdu(pdu)
    assert encoded[0] == data[0]
    assert int.from_bytes(encoded[2:6], "big") == len(encoded) - 6
    assert decode_pdu(encoded[0], encoded[6:]) == pdu
