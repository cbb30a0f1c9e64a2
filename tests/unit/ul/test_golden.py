"""Every PDU against bytes written by hand from the standard, and against bytes of real peers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomfab.ul import (
    AssociateAC,
    AssociateRQ,
    AssociationAccepted,
    AssociationRequested,
    AsynchronousOperations,
    ContextResult,
    Fragment,
    PresentationContext,
    Released,
    ReleaseRequested,
    Role,
    State,
    UpperLayer,
    UserIdentity,
    UserInformation,
)
from dicomfab.ul.pdata import fragments
from dicomfab.ul.pdu import Pdu, decode_pdu, encode_pdu
from dicomfab.ul.user_information import decode_user_information, encode_user_information
from tests.unit.ul import goldens
from tests.unit.ul.driving import (
    CT,
    EXPLICIT,
    IMPLICIT,
    REQUEST,
    VERIFICATION,
    acceptor,
    captured,
    content,
    established,
    joined,
    receive,
)

PDUS: dict[str, tuple[Pdu, bytes]] = {
    "A-ASSOCIATE-RQ": (goldens.ASSOCIATE_RQ, goldens.ASSOCIATE_RQ_BYTES),
    "A-ASSOCIATE-AC": (goldens.ASSOCIATE_AC, goldens.ASSOCIATE_AC_BYTES),
    "A-ASSOCIATE-RJ": (goldens.ASSOCIATE_RJ, goldens.ASSOCIATE_RJ_BYTES),
    "A-RELEASE-RQ": (goldens.RELEASE_RQ, goldens.RELEASE_RQ_BYTES),
    "A-RELEASE-RP": (goldens.RELEASE_RP, goldens.RELEASE_RP_BYTES),
    "A-ABORT": (goldens.ABORT, goldens.ABORT_BYTES),
}
IMPLICIT_BIG = "1.2.840.10008.1.2.2"
DCMTK = "1.2.276.0.7230010.3.0.3.6.7"


@pytest.mark.parametrize("name", PDUS)
def test_encoding_gives_the_bytes_of_the_standard(name: str) -> None:
    value, expected = PDUS[name]
    assert encode_pdu(value).hex(" ") == expected.hex(" ")


def as_read(value: Pdu) -> Pdu:
    """The value without what a reader must not look at: the transfer syntax of a context that was not accepted."""
    if not isinstance(value, AssociateAC):
        return value
    return replace(
        value, results=tuple(one if one.result == 0 else replace(one, transfer_syntax="") for one in value.results)
    )


@pytest.mark.parametrize("name", PDUS)
def test_decoding_the_bytes_of_the_standard_gives_the_value(name: str) -> None:
    value, data = PDUS[name]
    assert decode_pdu(data[0], data[6:]) == as_read(value)


def test_p_data_tf_of_a_command_without_a_data_set() -> None:
    assert content(fragments(1, goldens.ECHO_COMMAND, (), 0)) == goldens.ECHO_BYTES
    layer = established(Role.ACCEPTOR)
    assert receive(layer, goldens.ECHO_BYTES) == [Fragment(1, True, True, goldens.ECHO_COMMAND)]  # type: ignore[arg-type]


def test_p_data_tf_of_a_data_set_in_fragments() -> None:
    assert content(fragments(3, bytes(4), (goldens.DATA,), 16)).hex(" ") == goldens.DATA_BYTES.hex(" ")
    layer = established(Role.ACCEPTOR)
    assert [tuple(event) for event in receive(layer, goldens.DATA_BYTES) if isinstance(event, Fragment)] == [
        (3, True, True, bytes(4)),
        (3, False, False, goldens.DATA[:10]),
        (3, False, False, goldens.DATA[10:20]),
        (3, False, True, goldens.DATA[20:]),
    ]


def test_p_data_tf_with_several_data_values() -> None:
    layer = established(Role.ACCEPTOR)
    assert [tuple(event) for event in receive(layer, goldens.MIXED_BYTES) if isinstance(event, Fragment)] == [
        (3, True, True, b"abcd"),
        (3, False, False, b"efgh"),
        (3, False, False, b""),
        (3, False, True, b"ij"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"\x01\xff" + data[2:], id="PDU's second byte"),
        pytest.param(lambda data: data[:8] + b"\xff\xff" + data[10:], id="bytes 9 and 10"),
        pytest.param(lambda data: data[:42] + b"\xee" * 32 + data[74:], id="bytes 43 to 74"),
        pytest.param(lambda data: data.replace(b"\x01\x00\x00\x00\x30\x00", b"\x01\xff\xff\xff\x30\xff"), id="items'"),
        pytest.param(lambda data: data[:6] + b"\xff\xff" + data[8:], id="further protocol versions"),
    ],
)
def test_reserved_fields_are_not_tested(change: object) -> None:
    data = change(goldens.ASSOCIATE_RQ_BYTES)  # type: ignore[operator]
    assert data != goldens.ASSOCIATE_RQ_BYTES
    version = int.from_bytes(data[6:8], "big")
    assert decode_pdu(data[0], data[6:]) == replace(goldens.ASSOCIATE_RQ, protocol_version=version)
    assert isinstance(receive(acceptor(), data)[0], AssociationRequested)


def test_unknown_items_are_ignored() -> None:
    data = goldens.ASSOCIATE_RQ_BYTES
    unknown = b"\x77\x00\x00\x03abc"
    longer = data[6:] + unknown
    assert decode_pdu(1, longer) == goldens.ASSOCIATE_RQ
    user = data[-221:]
    assert decode_user_information(unknown + user + unknown) == goldens.ASSOCIATE_RQ.user


def test_padding_of_uids_and_titles_is_dropped() -> None:
    body = bytearray(goldens.ASSOCIATE_RQ_BYTES[6:])
    body[4:20] = b"  ANY-SCP\0\0\0\0\0\0\0"
    odd = b"1.2.840.10008.3.1.1.1"
    at = body.index(odd)
    for padding in (b"\x00", b" "):
        padded = body[: at - 2] + b"\x00\x16" + odd + padding + body[at + len(odd) :]
        assert decode_pdu(1, bytes(padded)) == goldens.ASSOCIATE_RQ


def test_the_identity_of_a_user_is_not_shown() -> None:
    assert "secret" not in repr(goldens.ASSOCIATE_RQ)
    assert "nurse" not in repr(goldens.ASSOCIATE_RQ)


# ---------------------------------------------------------------------- recorded from real peers


def test_request_of_dcmtk_storescu_with_a_user() -> None:
    request = AssociateRQ(
        "ARCHIVE",
        "MODALITY",
        (
            PresentationContext(1, CT, (EXPLICIT,)),
            PresentationContext(3, CT, (IMPLICIT_BIG, IMPLICIT)),
        ),
        UserInformation(
            max_pdu_length=16384,
            implementation_class_uid=DCMTK,
            implementation_version_name="OFFIS_DCMTK_367",
            identity=UserIdentity(2, b"nurse", b"secret", response_requested=True),
        ),
    )
    assert receive(acceptor(), captured("dcmtk_storescu_request")) == [AssociationRequested(request)]


def test_request_of_orthanc_has_the_contexts_that_it_stores_with() -> None:
    (event,) = receive(acceptor(), captured("orthanc_store_request"))
    assert isinstance(event, AssociationRequested)
    request = event.request
    assert (request.called_ae_title, request.calling_ae_title) == ("RECORDER", "ORTHANC")
    assert [context.context_id for context in request.contexts] == list(range(1, 2 * len(request.contexts), 2))
    assert {context.transfer_syntaxes for context in request.contexts} == {(EXPLICIT,), (IMPLICIT, IMPLICIT_BIG)}
    assert request.user.implementation_class_uid == DCMTK


def test_an_echo_between_dcmtk_and_dcmtk_seen_from_the_acceptor() -> None:
    layer = UpperLayer(Role.ACCEPTOR, max_pdu_length=16384)
    layer.connected()
    stream = captured("dcmtk_echoscu_to_storescp")
    end = 6 + int.from_bytes(stream[2:6], "big")
    (asked,) = receive(layer, stream[:end])
    assert isinstance(asked, AssociationRequested)
    assert asked.request.contexts == (PresentationContext(1, VERIFICATION, (IMPLICIT,)),)
    layer.accept(AssociateAC("ARCHIVE", "MODALITY", (ContextResult(1, 0, IMPLICIT),)))
    echo, release = joined(receive(layer, stream[end:]))
    assert isinstance(echo, Fragment)
    assert (echo.context_id, echo.is_command, echo.is_last) == (1, True, True)
    assert bytes(echo.data) == goldens.ECHO_COMMAND
    assert release == ReleaseRequested()
    assert layer.state is State.STA8


def test_an_echo_between_dcmtk_and_dcmtk_seen_from_the_requestor() -> None:
    layer = UpperLayer(Role.REQUESTOR)
    layer.associate(REQUEST)
    layer.connected()
    layer.data_to_send()
    stream = captured("dcmtk_storescp_to_echoscu")
    accepted, response = joined(receive(layer, stream[:-10]))
    assert isinstance(accepted, AssociationAccepted)
    assert accepted.answer.results == (ContextResult(1, 0, IMPLICIT),)
    assert accepted.answer.user.implementation_version_name == "OFFIS_DCMTK_367"
    assert layer.peer_max_pdu_length == 16384
    assert isinstance(response, Fragment)
    assert response.is_command
    layer.release()
    assert content(layer.data_to_send())[-10:] == goldens.RELEASE_RQ_BYTES
    assert receive(layer, stream[-10:]) == [Released()]
    assert layer.closing


def test_an_answer_of_orthanc() -> None:
    layer = UpperLayer(Role.REQUESTOR)
    layer.associate(REQUEST)
    layer.connected()
    accepted, response = joined(receive(layer, captured("orthanc_to_storescu")[:-10]))
    assert isinstance(accepted, AssociationAccepted)
    assert [result.result for result in accepted.answer.results] == [0, 0]
    assert isinstance(response, Fragment)
    assert response.is_command
    assert response.is_last


def test_the_requests_of_dcmtk_encode_again_to_the_same_bytes() -> None:
    # DCMTK puts the sub-items in the order that we use too; its presentation contexts have FFH in a reserved byte.
    for name in ("dcmtk_storescu_request", "orthanc_store_request"):
        data = captured(name)
        again = encode_pdu(decode_pdu(data[0], data[6:]))
        assert len(again) == len(data)
        differing = [(mine, theirs) for mine, theirs in zip(again, data, strict=True) if mine != theirs]
        assert set(differing) <= {(0x00, 0xFF)}


def test_asynchronous_operations_default_to_one_each_way() -> None:
    assert AsynchronousOperations() == AsynchronousOperations(1, 1)
    assert decode_user_information(encode_user_information(UserInformation())) == UserInformation()
