"""Our requesting side against DCMTK, Orthanc and pynetdicom: every service, odd PDU sizes, many contexts, cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import AllStoragePresentationContexts, evt

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import associate
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu import echo as echo_service
from dicomfab.dimse.scu import find as find_service
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    FIND,
    GET,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MOVE,
    VERIFICATION,
    storage_sop_classes,
)
from dicomfab.dimse.status import CANCEL, SUCCESS
from dicomfab.model.errors import AssociationRejected, ContextRejected, StatusFailure
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.ul import UserIdentity
from dicomfab.ul.user_information import IdentityType
from tests.peers import interop_data as data
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.memory_pacs import MemoryPacs, make_instance

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

STUDY_ROOT = QueryModel.STUDY_ROOT
CONTEXT = ProposedContext(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    """Four instances of 60 KB."""
    return data.study(tmp_path_factory.mktemp("study"), 4, rows=200, columns=150, bits=12)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InstanceFile]:
    """Transfer syntax -> instance that DCMTK compressed."""
    folder = tmp_path_factory.mktemp("coded")
    [native] = data.study(folder, 1)
    return data.compressed(native, folder)


@pytest.fixture
def target() -> Iterator[tuple[data.Stored, int]]:
    """A move destination of ours."""
    pacs = data.Stored()
    with Server(ServerConfig("TARGET"), pacs) as server:
        yield pacs, server.port


def moving(port: int, instances: list[InstanceFile]) -> Callable[[evt.Event], Iterator[Any]]:
    """A C-MOVE handler that sends the instances to a port of this machine."""

    def handle(event: evt.Event) -> Iterator[Any]:
        yield "127.0.0.1", port, {"contexts": AllStoragePresentationContexts[:120]}
        yield len(instances)
        for one in instances:
            yield 0xFF00, pydicom.dcmread(one.path)

    return handle


def getting(event: evt.Event, instances: list[InstanceFile]) -> Iterator[Any]:
    yield len(instances)
    for one in instances:
        yield 0xFF00, pydicom.dcmread(one.path)


def found(count: int) -> Iterator[tuple[int, Dataset]]:
    for number in range(count):
        yield (
            0xFF00,
            data.level_study(PatientID=f"SYN{number}", PatientName="Tést^Ünicode", SpecificCharacterSet="ISO_IR 192"),
        )


def test_pynetdicom_answers_every_service(instances, target):
    received: list[tuple[str, str, bytes]] = []
    handlers = [
        pynetdicom.keeping(received),
        (evt.EVT_C_FIND, lambda event: found(3)),
        (evt.EVT_C_MOVE, moving(target[1], instances)),
        (evt.EVT_C_GET, getting, [instances]),
    ]
    local = MemoryPacs()
    with pynetdicom.acceptor(handlers) as peer:
        assert echo(peer).implementation_version.startswith("PYNETDICOM")
        outcomes = list(store(peer, instances))
        matches = list(find(peer, STUDY_ROOT, data.level_study(PatientID="")))
        moved = list(move(peer, STUDY_ROOT, data.level_study(), "TARGET"))
        got = list(get(peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local))
    assert [outcome.error for outcome in outcomes] == [None] * 4
    expected = [(one.identity.sop_instance_uid, EXPLICIT_VR_LITTLE_ENDIAN, data.body(one)) for one in instances]
    assert received == expected
    assert [match.PatientID for match in matches] == ["SYN0", "SYN1", "SYN2"]
    assert {str(match.PatientName) for match in matches} == {"Tést^Ünicode"}
    for final, kept in ((moved[-1], target[0].stored), (got[-1], local.stored)):
        assert (final.status, final.suboperations.completed) == (SUCCESS, 4)
        assert set(kept) == data.uids(instances)


def test_dcmqrscp_answers_every_service(tmp_path, instances, target):
    local = MemoryPacs()
    with programs.dcmqrscp(tmp_path, known={"TARGET": ("127.0.0.1", target[1])}) as peer:
        assert "DCMTK" in echo(peer).implementation_version
        assert [outcome.error for outcome in store(peer, instances)] == [None] * 4
        [match] = find(peer, QueryModel.PATIENT_ROOT, data.level_study(PatientID="SYN1", PatientName=""))
        some = list(find(peer, STUDY_ROOT, one_by_one(), limit=2))
        moved = list(move(peer, STUDY_ROOT, data.level_study(), "TARGET"))
        got = list(get(peer, STUDY_ROOT, data.level_study(), storage_sop_classes(), local))
    assert match.PatientName == "Doe^Jane"
    assert len({one.SOPInstanceUID for one in some} & data.uids(instances)) == 2
    assert (moved[-1].status, got[-1].status) == (SUCCESS, SUCCESS)
    assert set(target[0].stored) == set(local.stored) == data.uids(instances)


def one_by_one() -> Dataset:
    """An identifier that every instance of the study matches."""
    return data.level_study(QueryRetrieveLevel="IMAGE", SeriesInstanceUID=f"{data.STUDY}.0", SOPInstanceUID="")


@pytest.mark.full
def test_orthanc_and_the_limit_of_a_query(tmp_path, instances):
    """The limit is reached in the middle of the answers, and the association goes on being of use."""
    with programs.orthanc(tmp_path) as orthanc:
        assert [outcome.error for outcome in store(orthanc.peer, instances)] == [None] * 4
        with associate(orthanc.peer, [ProposedContext(FIND[STUDY_ROOT], (IMPLICIT_VR_LITTLE_ENDIAN,))]) as association:
            for limit in (1, 3, 4, None):
                found = list(find_service.send(association, FIND[STUDY_ROOT], one_by_one(), limit=limit))
                assert len({one.SOPInstanceUID for one in found}) == len(found) == (limit or 4)


PROFILE = """
[[TransferSyntaxes]]
[Plain]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Storage]
PresentationContext1 = VerificationSOPClass\\Plain
PresentationContext2 = SecondaryCaptureImageStorage\\Plain
[[Profiles]]
[Ours]
PresentationContexts = Storage
"""


@pytest.mark.full
def test_dcmrecv(tmp_path, coded):
    """DCMTK's other receiver takes what its configuration names."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "profile.cfg").write_text(PROFILE)
    peer = Peer("127.0.0.1", programs.free_port(), "DCMRECV", timeouts=Timeouts(1, 5, 30), name="dcmrecv")
    arguments = [programs.program("dcmrecv"), "-xf", "profile.cfg", "Ours", "-od", "kept", str(peer.port)]
    with programs.running(arguments, peer, tmp_path):
        outcomes = list(store(peer, list(coded.values())))
    assert [(outcome.error, outcome.transcoded_to) for outcome in outcomes] == [(None, EXPLICIT_VR_LITTLE_ENDIAN)] * 7
    assert set(data.in_folder(tmp_path / "kept")) == data.uids(coded.values())


# ------------------------------------------------------------------ PDU sizes


@pytest.mark.full
@pytest.mark.parametrize("max_pdu", [4096, 4097, 4099, 5000, 16384, 65537, 131071, 131072])
def test_pdu_sizes_of_storescp(tmp_path, instances, max_pdu):
    with programs.storescp(tmp_path, "+B", "-pdu", str(max_pdu)) as peer:
        assert [outcome.error for outcome in store(peer, instances)] == [None] * 4
    kept = data.in_folder(tmp_path)
    for one in instances:
        assert data.body(one) in kept[one.identity.sop_instance_uid].read_bytes()


@pytest.mark.parametrize(
    "max_pdu", [*(pytest.param(size, marks=pytest.mark.full) for size in (8, 9, 13, 127, 128, 65535, 1 << 20)), 4097, 0]
)
def test_pdu_sizes_of_pynetdicom(tmp_path, instances, target, max_pdu):
    [small] = data.study(tmp_path, 1, rows=13, columns=7)
    sent = [small] if max_pdu < 100 else instances
    received: list[tuple[str, str, bytes]] = []
    handlers = [
        pynetdicom.keeping(received),
        (evt.EVT_C_FIND, lambda event: found(2)),
        (evt.EVT_C_GET, getting, [sent]),
    ]
    local = MemoryPacs()
    with pynetdicom.acceptor(handlers, max_pdu=max_pdu) as peer:
        assert [outcome.error for outcome in store(peer, sent)] == [None] * len(sent)
        assert len(list(find(peer, STUDY_ROOT, data.level_study()))) == 2
        list(get(peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local))
    assert [encoded for *_, encoded in received] == [data.body(one) for one in sent]
    assert set(local.stored) == data.uids(sent)


@pytest.mark.full
@pytest.mark.parametrize("over", [-2, 0, 2])
def test_data_sets_that_just_fit_or_just_do_not(tmp_path, over):
    """Around one and two fragments of a peer's PDU."""
    received: list[tuple[str, str, bytes]] = []
    sent = []
    for number, fragments in enumerate((1, 2), 1):
        empty = len(data.body(make_instance(tmp_path, number, pixels=0)))
        sent.append(make_instance(tmp_path, number, pixels=fragments * 4096 - empty + over))
    with pynetdicom.acceptor([pynetdicom.keeping(received)], max_pdu=4096 + 6) as peer:
        assert [outcome.error for outcome in store(peer, sent)] == [None, None]
    assert [len(encoded) for *_, encoded in received] == [4096 + over, 8192 + over]
    assert [encoded for *_, encoded in received] == [data.body(one) for one in sent]


# ------------------------------------------------------------------ transfer syntaxes


def test_compressed_instances_arrive_as_dcmtk_compressed_them(tmp_path, coded):
    received: list[tuple[str, str, bytes]] = []
    with pynetdicom.acceptor([pynetdicom.keeping(received)]) as peer:
        outcomes = list(store(peer, list(coded.values())))
    assert [(outcome.error, outcome.transcoded_to) for outcome in outcomes] == [(None, "")] * len(coded)
    assert {syntax: encoded for _, syntax, encoded in received} == {s: data.body(one) for s, one in coded.items()}


@pytest.mark.full
def test_compressed_instances_arrive_at_storescp(tmp_path, coded):
    with programs.storescp(tmp_path, "+xa", "+B") as peer:
        outcomes = {o.instance.identity.transfer_syntax_uid: o for o in store(peer, list(coded.values()))}
    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert [syntax for syntax, outcome in outcomes.items() if outcome.transcoded_to] == [data.PROCESS_14]
    kept = data.in_folder(tmp_path)
    for syntax, one in coded.items():
        assert data.body(one) in kept[one.identity.sop_instance_uid].read_bytes() or syntax == data.PROCESS_14


@pytest.mark.full
def test_compressed_instances_arrive_at_orthanc_and_come_back(tmp_path, coded):
    local = MemoryPacs()
    with programs.orthanc(tmp_path) as orthanc:
        assert [(o.error, o.transcoded_to) for o in store(orthanc.peer, list(coded.values()))] == [(None, "")] * len(
            coded
        )
        held = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in orthanc.rest("/instances?expand")}
        for syntax, one in coded.items():
            header = orthanc.rest(f"/instances/{held[one.identity.sop_instance_uid]}/header")
            assert header["0002,0010"]["Value"] == syntax
        [*_, final] = get(orthanc.peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local)
    assert (final.status, final.suboperations.completed) == (SUCCESS, len(coded))
    # Orthanc transcodes to what was negotiated: our first choice.
    assert {identity.transfer_syntax_uid for identity, _ in local.stored.values()} == {EXPLICIT_VR_LITTLE_ENDIAN}


@pytest.mark.full
def test_orthanc_that_may_not_transcode_says_that_it_failed(tmp_path, coded):
    """Its list of failed instances comes inside the command set."""
    with programs.orthanc(tmp_path, settings={"TranscodeDicomProtocol": False}) as orthanc:
        list(store(orthanc.peer, list(coded.values())))
        with pytest.raises(StatusFailure, match="failed 1") as caught:
            list(get(orthanc.peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], MemoryPacs()))
    assert caught.value.status == 0xC000


@pytest.mark.parametrize(
    ("option", "expected"),
    [("+xi", IMPLICIT_VR_LITTLE_ENDIAN), pytest.param("+xe", EXPLICIT_VR_LITTLE_ENDIAN, marks=pytest.mark.full)],
)
def test_a_storescp_without_codecs_gets_the_same_pixels(tmp_path, coded, option, expected):
    with programs.storescp(tmp_path, option) as peer:
        outcomes = list(store(peer, list(coded.values())))
    assert [(outcome.error, outcome.transcoded_to) for outcome in outcomes] == [(None, expected)] * len(coded)
    kept = data.in_folder(tmp_path)
    for one in coded.values():
        got = pydicom.dcmread(kept[one.identity.sop_instance_uid])
        np.testing.assert_array_equal(got.pixel_array, data.decoded_by_dcmtk(one, tmp_path))


def test_what_may_not_be_transcoded_is_reported_and_the_rest_is_sent(tmp_path, instances, coded):
    with programs.storescp(tmp_path, "+xe") as peer:
        outcomes = list(store(peer, [*coded.values(), instances[0]], transcode=False))
        with pytest.raises(ContextRejected):
            list(store(peer, list(coded.values()), transcode=False))
    assert [type(outcome.error) for outcome in outcomes] == [ContextRejected] * len(coded) + [type(None)]
    assert [outcome.response is None for outcome in outcomes] == [True] * len(coded) + [False]
    assert set(data.in_folder(tmp_path)) == {instances[0].identity.sop_instance_uid}


# ------------------------------------------------------------------ negotiation


@pytest.mark.parametrize("kinds", [128, pytest.param(300, marks=pytest.mark.full)])
def test_as_many_contexts_as_there_can_be(tmp_path, kinds):
    sent = [
        make_instance(tmp_path, n, sop_class=f"1.2.840.10008.5.1.4.1.1.999.{n}", pixels=10) for n in range(1, kinds + 1)
    ]
    received: list[tuple[str, str, bytes]] = []
    requested: list[int] = []
    handlers = [
        pynetdicom.keeping(received),
        (
            evt.EVT_REQUESTED,
            lambda event: requested.append(len(event.assoc.requestor.primitive.presentation_context_definition_list)),
        ),
    ]
    with pynetdicom.acceptor(handlers, any_storage=True) as peer:
        assert [outcome.error for outcome in store(peer, sent, transcode=False)] == [None] * kinds
    assert [uid for uid, *_ in received] == [one.identity.sop_instance_uid for one in sent]
    assert requested == [128] * (kinds // 128) + [kinds % 128] * bool(kinds % 128)


@pytest.mark.full
def test_128_contexts_at_storescp(tmp_path):
    (tmp_path / "sent").mkdir()
    (tmp_path / "kept").mkdir()
    sent = [
        make_instance(tmp_path / "sent", n, sop_class=f"1.2.840.10008.5.1.4.1.1.999.{n}", pixels=10)
        for n in range(1, 129)
    ]
    with programs.storescp(tmp_path / "kept", "--promiscuous") as peer:
        assert [outcome.error for outcome in store(peer, sent, transcode=False)] == [None] * 128
        # A context for each, and one for its conversion: two associations.
        assert [outcome.error for outcome in store(peer, sent)] == [None] * 128
    assert set(data.in_folder(tmp_path / "kept")) == data.uids(sent)


IDENTITIES = [
    UserIdentity(IdentityType.USERNAME, b"jane"),
    UserIdentity(IdentityType.USERNAME, b"jane", response_requested=True),
    UserIdentity(IdentityType.USERNAME_AND_PASSCODE, "jäne".encode(), b"s3cret", response_requested=True),
    UserIdentity(IdentityType.KERBEROS, bytes(range(256)), response_requested=True),
    UserIdentity(IdentityType.SAML, b"<saml/>" * 5000, response_requested=True),
    UserIdentity(IdentityType.JWT, b"a.b.c", response_requested=True),
]


def test_pynetdicom_learns_who_the_user_is():
    seen: list[tuple[int, bytes, bytes]] = []

    def judge(event: evt.Event) -> tuple[bool, bytes]:
        seen.append((event.user_id_type, event.primary_field, event.secondary_field))
        return True, b"ticket"

    with pynetdicom.acceptor([(evt.EVT_USER_ID, judge)]) as peer:
        for identity in IDENTITIES:
            with associate(peer, [CONTEXT], identity=identity) as association:
                assert echo_service.send(association).status == SUCCESS
                answered = identity.response_requested and identity.kind > IdentityType.USERNAME_AND_PASSCODE
                assert (association.identity_response or b"") == (b"ticket" if answered else b"")
    assert seen == [(identity.kind, identity.primary, identity.secondary or b"") for identity in IDENTITIES]


def test_pynetdicom_refuses_the_user():
    with (
        pynetdicom.acceptor([(evt.EVT_USER_ID, lambda event: (False, None))]) as peer,
        pytest.raises(AssociationRejected) as caught,
        associate(peer, [CONTEXT], identity=IDENTITIES[0]),
    ):
        pass
    assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 2, 1)


def roles(peer: Peer) -> dict[str, set[tuple[bool, bool]]]:
    """Abstract syntax -> (as SCU, as SCP) of the contexts that a C-GET and a C-STORE would like to have."""
    contexts = [ProposedContext(GET[STUDY_ROOT], (IMPLICIT_VR_LITTLE_ENDIAN,))]
    contexts.append(ProposedContext(data.SECONDARY_CAPTURE, (EXPLICIT_VR_LITTLE_ENDIAN,), as_scp=True))
    contexts.append(ProposedContext("1.2.840.10008.5.1.4.1.1.2", (EXPLICIT_VR_LITTLE_ENDIAN,)))
    with associate(peer, contexts) as association:
        agreed: dict[str, set[tuple[bool, bool]]] = {}
        for context in association.contexts.values():
            agreed.setdefault(context.abstract_syntax, set()).add((context.as_scu, context.as_scp))
        return agreed


def test_peers_grant_the_scp_role(tmp_path):
    with pynetdicom.acceptor([]) as peer:
        assert list(roles(peer).values()) == [{(True, False)}, {(False, True)}, {(True, False)}]
    with programs.dcmqrscp(tmp_path) as peer:
        assert roles(peer)[data.SECONDARY_CAPTURE] == {(False, True)}


# ------------------------------------------------------------------ cancel


def test_pynetdicom_is_cancelled_in_the_middle_of_a_find():
    cancelled: list[bool] = []

    def handle(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield from found(2)
        cancelled.append(pynetdicom.until_cancelled(event))
        yield from found(1)  # what was under way when the cancel came
        yield 0xFE00, None

    with pynetdicom.acceptor([(evt.EVT_C_FIND, handle)]) as peer:
        seen: list[Dataset] = []
        for match in find(peer, STUDY_ROOT, data.level_study(), cancelled=lambda: len(seen) >= 1):
            seen.append(match)
    assert cancelled == [True]
    assert [match.PatientID for match in seen] == ["SYN0"]


def test_pynetdicom_is_cancelled_in_the_middle_of_a_move(instances, target):
    cancelled: list[bool] = []

    def handle(event: evt.Event) -> Iterator[Any]:
        steps = moving(target[1], instances)(event)
        yield from (next(steps) for _ in range(3))
        cancelled.append(pynetdicom.until_cancelled(event))
        yield 0xFE00, None

    with pynetdicom.acceptor([(evt.EVT_C_MOVE, handle)]) as peer:
        responses = list(move(peer, STUDY_ROOT, data.level_study(), "TARGET", cancelled=lambda: True))
    assert cancelled == [True]
    assert [response.status for response in responses] == [0xFF00, CANCEL]
    assert set(target[0].stored) == {instances[0].identity.sop_instance_uid}


def cancelled_move(peer: Peer, out: threading.Event) -> list[Response]:
    """The responses to a move that is cancelled after the first of them; sets the event once the cancel is out."""
    with associate(peer, [ProposedContext(MOVE[STUDY_ROOT], (IMPLICIT_VR_LITTLE_ENDIAN,))]) as association:
        query = Query(association, "C-MOVE", MOVE[STUDY_ROOT])
        query.send(dimse_command.C_MOVE_RQ, data.level_study(), {"MoveDestination": "TARGET"})
        responses = []
        for response, _ in query.responses(pynetdicom.DEADLINE_S):
            responses.append(response)
            query.cancel()
            out.set()
        return responses


def test_dcmqrscp_is_cancelled_in_the_middle_of_a_move(tmp_path, instances, target):
    """Our destination holds the second instance back until the C-CANCEL is out."""
    out = threading.Event()
    target[0].on_piece = lambda uid, _size: holding(target[0], out)
    with programs.dcmqrscp(tmp_path, known={"TARGET": ("127.0.0.1", target[1])}) as peer:
        assert [outcome.error for outcome in store(peer, instances)] == [None] * 4
        responses = cancelled_move(peer, out)
    assert responses[-1].status == CANCEL
    assert 1 <= len(target[0].stored) < 4


def holding(pacs: MemoryPacs, until: threading.Event) -> None:
    """Let the first instance pass and wait with the others."""
    assert not pacs.stored or until.wait(pynetdicom.DEADLINE_S)
