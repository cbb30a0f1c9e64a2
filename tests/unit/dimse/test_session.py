"""Both ends of an association, where it takes exact bytes to see what they agree upon and keep to."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import associate
from dicomfab.dimse.command import decode, encode
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Requestor, ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu import echo as echo_service
from dicomfab.dimse.scu import find as find_service
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import FIND, GET, MOVE, VERIFICATION
from dicomfab.model.errors import AssociationRejected
from dicomfab.model.query import QueryModel
from dicomfab.ul import (
    Abort,
    AssociateAC,
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    PresentationContext,
    RoleSelection,
    UserIdentity,
)
from dicomfab.ul.negotiation import accepted_contexts
from dicomfab.ul.pdu import P_DATA_TF, decode_pdu, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs, make_instance

IMPLICIT = raw.IMPLICIT
JPEG, BIG_ENDIAN = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.2"
COMMITMENT, MPPS = "1.2.840.10008.1.20.1", "1.2.840.10008.3.1.2.3.3"
STUDY_ROOT = QueryModel.STUDY_ROOT
ENHANCED_SR, COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33"


class Agreeing:
    """Performs every operation of an N-service."""

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        return NormalizedReply()


@contextmanager
def serving(pacs: MemoryPacs | None = None, **config: Any) -> Iterator[Server]:
    with Server(ServerConfig("MEMORY", **config), pacs or MemoryPacs(), {COMMITMENT: Agreeing()}) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def answer_to(server: Server, request: Any) -> AssociateAC:
    """The A-ASSOCIATE-AC to a request."""
    with raw.connect(server.port) as wire:
        wire.send(encode_pdu(request))
        pdu = wire.pdu()
        answer = decode_pdu(pdu[0], pdu[6:])
        wire.release()
    assert isinstance(answer, AssociateAC)
    return answer


# ------------------------------------------------------------------ negotiation


@pytest.mark.parametrize("proposed", [None, (1, 1), (0, 0), (5, 7), (0xFFFF, 1)])
def test_asynchronous_operations_are_answered_with_one_and_one(server, proposed):
    """Whatever is proposed, and not at all if nothing is (PS3.7 D.3.3.3)."""
    wanted = AsynchronousOperations(*proposed) if proposed else None
    answer = answer_to(server, raw.request(asynchronous_operations=wanted))
    assert answer.user.asynchronous_operations == (AsynchronousOperations(1, 1) if proposed else None)


def test_requests_that_do_not_wait_are_answered_in_their_order(server):
    with raw.connect(server.port) as wire:
        wire.associate((VERIFICATION, IMPLICIT))
        echoes = [
            {"CommandField": dimse_command.C_ECHO_RQ, "MessageID": n, "CommandDataSetType": 0x0101} for n in (7, 8, 9)
        ]
        wire.send(b"".join(raw.message(1, one) for one in echoes))
        assert [wire.message()[1]["MessageIDBeingRespondedTo"] for _ in echoes] == [7, 8, 9]
        wire.release()


def test_extended_negotiations_are_taken_and_not_answered(server):
    """No answer means: none of it is supported (PS3.7 D.3.3.5); to the common one there is none (D.3.3.6)."""
    contexts = [(ENHANCED_SR, EXPLICIT), (FIND[STUDY_ROOT], IMPLICIT)]
    request = raw.request(
        *contexts,
        extended=(ExtendedNegotiation(FIND[STUDY_ROOT], b"\1\1\1"),),
        common_extended=(
            CommonExtendedNegotiation(ENHANCED_SR, "1.2.840.10008.4.2", (COMPREHENSIVE_SR,)),
            CommonExtendedNegotiation(CT, "1.2.840.10008.4.2"),
        ),
    )
    answer = answer_to(server, request)
    assert [result.result for result in answer.results] == [0, 0]
    assert (answer.user.extended, answer.user.common_extended) == ((), ())


ROLES = st.dictionaries(
    st.sampled_from([CT, ENHANCED_SR, VERIFICATION, FIND[STUDY_ROOT], COMMITMENT, MPPS, "1.2.3.4"]),
    st.tuples(st.booleans(), st.booleans()),
    min_size=1,
)
PERFORMED_BY_REQUESTORS = {
    CT,
    ENHANCED_SR,
    COMMITMENT,
    "1.2.3.4",
}  # storage, a private class counts as that; and events


@settings(max_examples=30, deadline=None)
@given(ROLES)
def test_roles_are_granted_where_they_make_sense(server, proposed):
    roles = tuple(RoleSelection(uid, scu, scp) for uid, (scu, scp) in proposed.items())
    request = raw.request(*((uid, IMPLICIT) for uid in proposed), roles=roles)
    answer = answer_to(server, request)
    granted = {uid: (scu, scp and uid in PERFORMED_BY_REQUESTORS) for uid, (scu, scp) in proposed.items()}
    assert {role.sop_class_uid: (role.scu, role.scp) for role in answer.user.roles} == granted
    agreed = {c.abstract_syntax: (c.as_scu, c.as_scp) for c in accepted_contexts(request, answer).values()}
    assert agreed == {uid: pair for uid, pair in granted.items() if uid != MPPS}  # nobody performs that


@pytest.mark.parametrize(
    ("proposed", "for_storing", "for_getting"),
    [
        ((JPEG, EXPLICIT, IMPLICIT), JPEG, EXPLICIT),
        ((BIG_ENDIAN, IMPLICIT, EXPLICIT), BIG_ENDIAN, IMPLICIT),
        ((EXPLICIT, JPEG), EXPLICIT, EXPLICIT),
        ((JPEG, BIG_ENDIAN), JPEG, JPEG),
    ],
)
def test_the_transfer_syntax_is_one_that_the_sender_can_produce(server, proposed, for_storing, for_getting):
    """A requestor that stores can produce all that it proposes; in a C-GET it is we who send."""
    request = replace(raw.request(), contexts=(PresentationContext(1, CT, proposed),))
    with_role = replace(request, user=replace(request.user, roles=(RoleSelection(CT, scu=False, scp=True),)))
    for one, expected in ((request, for_storing), (with_role, for_getting)):
        [result] = answer_to(server, one).results
        assert (result.result, result.transfer_syntax) == (0, expected)


def test_128_contexts_are_answered_in_their_order(server):
    kinds = [VERIFICATION, "1.2.840.10008.1.9", CT, MPPS, GET[STUDY_ROOT], MOVE[STUDY_ROOT], COMMITMENT, "1.2.3"] * 16
    answer = answer_to(server, raw.request(*((uid, EXPLICIT) for uid in kinds)))
    assert [result.context_id for result in answer.results] == list(range(1, 256, 2))
    assert [result.result for result in answer.results] == [0, 3, 0, 3, 0, 0, 0, 0] * 16


def test_what_the_server_says_of_itself(server):
    answer = answer_to(server, raw.request(max_pdu_length=0))
    assert (answer.user.max_pdu_length, answer.called_ae_title) == (128 << 10, "MEMORY")
    with serving(max_pdu_length=0) as unlimited:
        assert answer_to(unlimited, raw.request()).user.max_pdu_length == 0


# ------------------------------------------------------------------ user identity


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("said", [b"", b"ticket"])
@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 99])
def test_the_user_identity_is_answered_when_an_answer_is_wanted(kind, said, wanted):
    seen: list[UserIdentity] = []

    def identify(identity: UserIdentity) -> bytes:
        seen.append(identity)
        return said

    given_identity = UserIdentity(kind, b"jane", b"s3cret", response_requested=wanted)
    with serving(identify=identify) as server:
        peer = Peer("127.0.0.1", server.port, "MEMORY")
        with associate(peer, [echo_service.CONTEXT], identity=given_identity) as association:
            assert association.identity_response == (said if wanted else None)
            assert echo_service.send(association).status == 0x0000
        with associate(peer, [echo_service.CONTEXT]) as association:
            assert association.identity_response is None
    assert seen == [given_identity]


def test_a_user_who_is_refused_and_whose_passcode_nobody_logs(caplog):
    caplog.set_level("DEBUG")
    identity = UserIdentity(2, b"jane", b"s3cret", response_requested=True)
    with serving(identify=lambda _: None) as server:
        peer = Peer("127.0.0.1", server.port, "MEMORY")
        with pytest.raises(AssociationRejected) as caught, associate(peer, [echo_service.CONTEXT], identity=identity):
            pass
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 1)
    assert "rejected: 1/1/1" in caplog.text
    assert "s3cret" not in caplog.text + repr(identity) + str(caught.value)


# ------------------------------------------------------------------ PDU sizes


SIZES = st.one_of(st.integers(8, 64), st.integers(64, 5000))


def lengths_of(wire: raw.Wire) -> tuple[list[int], dict[str, Any], bytes]:
    """The lengths of the PDUs of the next message, its command set and data set."""
    lengths, halves = [], [bytearray(), bytearray()]
    while True:
        pdu = wire.pdu()
        assert pdu[0] == P_DATA_TF
        length, _, flags = struct.unpack_from(">IBB", pdu, 6)
        assert length + 4 == len(pdu) - 6  # one fragment in each
        lengths.append(len(pdu) - 6)
        halves[not flags & 1] += pdu[12:]
        if flags == 2 or (flags == 3 and not dimse_command.has_data_set(decode(bytes(halves[0])))):
            return lengths, decode(bytes(halves[0])), bytes(halves[1])


def check_fragments(lengths: list[int], limit: int) -> None:
    assert max(lengths) <= limit
    assert all(length % 2 == 0 for length in lengths)  # even fragments (PS3.8 annex E.2)


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 300))
def test_our_server_sends_no_longer_pdus_than_its_caller_takes(limit, size):
    pacs = MemoryPacs()
    match = Dataset()
    match.PatientID = "x" * size
    pacs.matches = [match]
    query = {"CommandField": dimse_command.C_FIND_RQ, "MessageID": 1, "CommandDataSetType": 1}
    with serving(pacs) as server, raw.connect(server.port) as wire:
        wire.associate((FIND[STUDY_ROOT], IMPLICIT), max_pdu_length=limit)
        wire.send(raw.message(1, query, b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY "))
        for _ in range(2):
            lengths, _, _ = lengths_of(wire)
            check_fragments(lengths, limit)
        wire.release()


@settings(max_examples=25, deadline=None)
@given(limit=SIZES, size=st.integers(1, 3000))
def test_we_send_no_longer_pdus_than_the_peer_takes(tmp_path_factory, limit, size):
    instance = make_instance(tmp_path_factory.mktemp("sent"), 1, pixels=size)

    def behave(wire: raw.Wire) -> None:
        wire.accept(max_pdu_length=limit)
        lengths, command, data = lengths_of(wire)
        check_fragments(lengths, limit)
        assert data == instance.path.read_bytes()[instance.dataset_offset :]
        wire.send(raw.message(1, raw.response(command)))
        wire.released()

    with raw.peer(behave) as peer:
        [outcome] = store(peer, [instance])
    assert outcome.accepted


# ------------------------------------------------------------------ requests and answers


def asked(server: Server, abstract_syntax: str, command: dict[str, Any], data: bytes | None = None) -> dict[str, Any]:
    """The command set of the response to one request."""
    with raw.connect(server.port) as wire:
        wire.associate((abstract_syntax, IMPLICIT))
        wire.send(
            raw.message(1, {"MessageID": 5, "CommandDataSetType": 0x0101 if data is None else 1, **command}, data)
        )
        _, answer, _ = wire.message()
        wire.release()
    assert answer["MessageIDBeingRespondedTo"] == 5
    return answer


def test_a_service_that_the_context_is_not_for(server):
    store_request = {"CommandField": dimse_command.C_STORE_RQ, "AffectedSOPClassUID": CT}
    answer = asked(server, VERIFICATION, {**store_request, "AffectedSOPInstanceUID": "1.2"}, b"\0" * 500)
    assert (answer["CommandField"], answer["Status"]) == (dimse_command.C_STORE_RSP, 0x0122)
    for field, operation in ((dimse_command.C_FIND_RQ, CT), (dimse_command.N_GET_RQ, VERIFICATION)):
        assert asked(server, operation, {"CommandField": field})["Status"] == 0x0122
    assert asked(server, CT, {"CommandField": 0x0777})["Status"] == 0x0211


def test_a_cancel_for_another_request_or_for_none_is_no_cancel(server):
    cancel = {"CommandField": dimse_command.C_CANCEL_RQ, "CommandDataSetType": 0x0101}
    echo = {"CommandField": dimse_command.C_ECHO_RQ, "MessageID": 5, "CommandDataSetType": 0x0101}
    query = {"CommandField": dimse_command.C_FIND_RQ, "MessageID": 6, "CommandDataSetType": 0x0001}
    pacs = MemoryPacs()
    pacs.matches = [Dataset()] * 3
    with serving(pacs) as busy, raw.connect(busy.port) as wire:
        wire.associate((VERIFICATION, IMPLICIT), (FIND[STUDY_ROOT], IMPLICIT))
        wire.send(raw.message(1, cancel | {"MessageIDBeingRespondedTo": 5}) + raw.message(1, echo))
        assert wire.message()[1]["Status"] == 0x0000
        # The cancel is there before the first match is sent.
        wire.send(raw.message(3, query, b"") + raw.message(3, cancel | {"MessageIDBeingRespondedTo": 5}))
        assert [wire.message()[1]["Status"] for _ in range(4)] == [0xFF00, 0xFF00, 0xFF00, 0x0000]
        wire.send(raw.message(3, query, b"") + raw.message(3, cancel | {"MessageIDBeingRespondedTo": 6}))
        assert wire.message()[1]["Status"] == 0xFE00
        wire.release()


def test_a_final_response_with_a_data_set_is_no_match():
    def behave(wire: raw.Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        found = b"\x20\x00\x0d\x00\x04\x00\x00\x001.2\0"
        wire.send(raw.message(context_id, raw.response(command, 0xFF01, data=True), found))
        wire.send(raw.message(context_id, raw.response(command, 0x0000, data=True), b""))
        wire.released()

    with raw.peer(behave) as peer:
        assert [match.StudyInstanceUID for match in find(peer, STUDY_ROOT, Dataset())] == ["1.2"]


def test_what_a_peer_appends_to_its_command_set_is_no_violation():
    """DCMTK and Orthanc put the list of failed instances there, and other details of a status."""
    command = {"CommandField": 0x8010, "MessageIDBeingRespondedTo": 1, "CommandDataSetType": 0x0101, "Status": 0xB000}
    appended = b"\x08\x00\x00\x00\x04\0\0\0\x10\0\0\0" + b"\x08\x00\x58\x00\x08\0\0\x001.2\\1.3\0"
    assert decode(encode(command) + appended) == {
        **command,
        "FailedSOPInstanceUIDList": ("1.2", "1.3"),
    }
    with pytest.raises(dimse_command.CommandError):
        decode(encode(command) + appended[:-2])


NAMES = [
    ("", "Doe^Jane"),
    ("ISO_IR 100", "Müller^Jörg"),
    ("ISO_IR 192", "Ünïcode^山田"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize(("charset", "name"), NAMES)
def test_names_arrive_in_any_character_set(syntax, charset, name):
    pacs = MemoryPacs()
    match = Dataset()
    match.SpecificCharacterSet, match.PatientName = charset, name
    pacs.matches = [match]
    with serving(pacs) as server:
        peer = Peer("127.0.0.1", server.port, "MEMORY")
        with associate(peer, [ProposedContext(FIND[STUDY_ROOT], (syntax,))]) as association:
            [found] = find_service.send(association, FIND[STUDY_ROOT], match)
    assert str(found.PatientName) == str(pacs.identifiers[0].PatientName) == name


# ------------------------------------------------------------------ the end


def test_an_abort_behind_the_release_closes_the_connection_at_once():
    """DCMTK does so when our data cross its A-RELEASE-RQ, and waits until we close (PS3.8: Sta13, AA-2)."""
    with serving(artim_s=600.0) as server, raw.connect(server.port) as wire:
        wire.associate()
        wire.send(raw.RELEASE_REQUEST)
        assert wire.pdu() == raw.RELEASE_RESPONSE
        wire.send(encode_pdu(Abort(0)))
        assert wire.rest() == b""
        assert raw.eventually(lambda: server.associations == 0)


def test_an_association_is_aborted_by_the_server_that_ends():
    with serving() as server:
        wire = raw.connect(server.port)
        wire.associate()
    assert wire.aborted() == (0, 0)
    assert wire.rest() == b""
    wire.sock.close()
