"""DCMTK's, Orthanc's and pynetdicom's requesting sides against our server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, UncompressedTransferSyntaxes
from pynetdicom import build_role, evt
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.sop_classes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    FIND,
    GET,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MOVE,
    VERIFICATION,
)
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.ul import UserIdentity
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
AE_TITLE = "OURS"
KEYS = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={data.STUDY}")
DEADLINE_S = pynetdicom.DEADLINE_S


class Pacs(data.Stored):
    """Handlers whose matches can be made to wait after the first two, until somebody says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.left_early = threading.Event()

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        self.identifiers.append(identifier)
        try:
            for number, match in enumerate(self.matches):
                assert number < 2 or self.go_on.wait(DEADLINE_S)
                yield match
        except GeneratorExit:
            self.left_early.set()
            raise


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
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def port(pacs: Pacs) -> Iterator[int]:
    with Server(ServerConfig(AE_TITLE), pacs) as server:
        yield server.port


def dcmtk(name: str, port: int, *more: object, options: Sequence[object] = (), folder: Path | None = None) -> Any:
    """Run a client of DCMTK against our server and see that it ends well."""
    done = programs.dcmtk(name, "-aec", AE_TITLE, *options, "127.0.0.1", port, *more, folder=folder)
    assert done.returncode == 0, done.stderr
    return done


def matches(count: int) -> list[Dataset]:
    return [data.level_study(PatientID=f"SYN{number}") for number in range(count)]


# ------------------------------------------------------------------ DCMTK


def test_echoscu_with_every_context_that_it_can_propose(port):
    dcmtk("echoscu", port, options=("-ppc", 128, "-pts", 38, "--repeat", 3))
    dcmtk("echoscu", port, options=("--abort",))
    dcmtk("echoscu", port)


@pytest.mark.parametrize(
    "options", [(), *(pytest.param((o,), marks=pytest.mark.full) for o in ("-R", "-xe", "-xi", "-xb"))]
)
def test_storescu(port, pacs, instances, options):
    dcmtk("storescu", port, *(one.path for one in instances), options=options)
    for one in instances:
        identity, received = pacs.stored[one.identity.sop_instance_uid]
        np.testing.assert_array_equal(data.pixels_in(identity, received), data.pixels_of(one))
    assert {requestor.ae_title for requestor in pacs.requestors} == {"STORESCU"}


PROPOSALS = {"50": "-xy", "51": "-xx", "70": "-xs", "80": "-xt", "81": "-xu", "5": "-xr"}


@pytest.mark.parametrize("last", ["70", *(pytest.param(n, marks=pytest.mark.full) for n in PROPOSALS if n != "70")])
def test_storescu_sends_what_dcmtk_compressed(port, pacs, coded, last):
    [one] = [one for syntax, one in coded.items() if syntax.rpartition(".")[2] == last]
    for options in ((PROPOSALS[last],), (PROPOSALS[last], "+C"), (PROPOSALS[last], "-R")):
        pacs.stored.clear()
        dcmtk("storescu", port, one.path, options=options)
        identity, received = pacs.stored[one.identity.sop_instance_uid]
        assert identity == one.identity
        assert received == data.body(one)


@pytest.mark.full
def test_dcmsend(port, pacs, instances, coded):
    sent = [*instances, *coded.values()]
    dcmtk("dcmsend", port, *(one.path for one in sent), options=("--decompress-never",))
    for one in sent:
        assert pacs.stored[one.identity.sop_instance_uid] == (one.identity, data.body(one))
    pacs.stored.clear()
    dcmtk("dcmsend", port, *(one.path for one in sent), options=("--decompress-lossy", "--multi-associations"))
    assert set(pacs.stored) == data.uids(sent)


@pytest.mark.full
def test_storescu_deflates(port, pacs, instances):
    dcmtk("storescu", port, instances[0].path, options=("-xd", "-R"))
    [(identity, received)] = pacs.stored.values()
    assert identity.transfer_syntax_uid == "1.2.840.10008.1.2.1.99"
    np.testing.assert_array_equal(data.pixels_in(identity, received), data.pixels_of(instances[0]))


@pytest.mark.parametrize(
    "max_pdu", [127, *(pytest.param(n, marks=pytest.mark.full) for n in (128, 1001, 4097, 65535, 0))]
)
def test_storescu_sends_pdus_of_the_size_that_we_take(pacs, instances, max_pdu):
    with Server(ServerConfig(AE_TITLE, max_pdu_length=max_pdu), pacs) as server:
        for option in ("-pdu", "--max-send-pdu"):
            for theirs in (4096, 131072):
                pacs.stored.clear()
                dcmtk("storescu", server.port, *(one.path for one in instances), options=(option, theirs))
                for one in instances:
                    assert pacs.stored[one.identity.sop_instance_uid] == (one.identity, data.body(one))


IDENTITIES = [
    (("-usr", "jane"), UserIdentity(1, b"jane")),
    (("-usr", "jane", "-rsp"), UserIdentity(1, b"jane", response_requested=True)),
    (("-usr", "jane", "-pwd", "s3cret", "-rsp"), UserIdentity(2, b"jane", b"s3cret", response_requested=True)),
    (("-usr", "jane", "-epw"), UserIdentity(2, b"jane")),
    (("-kt", "ticket", "-rsp"), UserIdentity(3, b"ticket of 16 byte", response_requested=True)),
    (("--saml", "ticket", "-rsp"), UserIdentity(4, b"ticket of 16 byte", response_requested=True)),
    (("--jwt", "ticket"), UserIdentity(5, b"ticket of 16 byte")),
]


def test_storescu_says_who_the_user_is(tmp_path, pacs, instances):
    (tmp_path / "ticket").write_bytes(b"ticket of 16 byte")
    seen: list[UserIdentity] = []

    def identify(identity: UserIdentity) -> bytes:
        seen.append(identity)
        return b"" if identity.kind < 3 else b"server ticket"

    with Server(ServerConfig(AE_TITLE, identify=identify), pacs) as server:
        for options, _ in IDENTITIES:
            dcmtk("storescu", server.port, instances[0].path, options=("-R", *options), folder=tmp_path)
    assert seen == [identity for _, identity in IDENTITIES]
    with Server(ServerConfig(AE_TITLE, identify=lambda identity: None), pacs) as server:
        arguments = ("-aec", AE_TITLE, "-R", "-usr", "jane", "127.0.0.1", server.port, instances[0].path)
        refused = programs.dcmtk("storescu", *arguments)
    assert refused.returncode != 0
    assert "No Reason" in refused.stderr


def test_findscu(port, pacs):
    pacs.matches = matches(3)
    for options in ((), ("-xi",), ("-xe",), ("-xb",), ("-xd",)):
        found = dcmtk("findscu", port, options=("-v", "-S", *options, *KEYS, "-k", "PatientID="))
        assert [f"[SYN{n}" in found.stderr for n in range(4)] == [True, True, True, False]
    assert {identifier.StudyInstanceUID for identifier in pacs.identifiers} == {data.STUDY}


def test_findscu_cancels(port, pacs, tmp_path):
    """It cancels after the first response. When it has read the second, the C-CANCEL is out; then we go on.

    The second half of the C-CANCEL comes when the first is acknowledged: our next response does that.
    """
    pacs.matches = matches(2000)
    pacs.go_on.clear()
    arguments = ("-d", "-aec", AE_TITLE, "-S", "--cancel", 1, *KEYS, "127.0.0.1", port)
    with programs.client("findscu", *arguments, folder=tmp_path) as process:
        assert logged(tmp_path / "findscu.log", "Received Find Response 2")
        pacs.go_on.set()
        assert process.wait(DEADLINE_S) == 0
    assert pacs.left_early.wait(DEADLINE_S)
    log = (tmp_path / "findscu.log").read_text()
    assert "Cancel: Matching terminated due to Cancel Request" in log
    assert "Received Find Response 2000" not in log


def logged(log: Path, text: str) -> bool:
    """Whether a line is written in time."""
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        if text in log.read_text():
            return True
        pause.wait(0.02)
    return False


def test_movescu_to_another_server_and_to_itself(port, pacs, instances, tmp_path):
    pacs.selected = instances
    target = MemoryPacs()
    with Server(ServerConfig("TARGET"), target) as server:
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        dcmtk("movescu", port, options=("-S", "-aem", "TARGET", *KEYS))
    assert set(target.stored) == data.uids(instances)
    own = programs.free_port()
    pacs.destinations["MOVESCU"] = ("127.0.0.1", own)
    dcmtk("movescu", port, options=("-S", "-aem", "MOVESCU", "--port", own, "+B", *KEYS), folder=tmp_path)
    kept = data.in_folder(tmp_path)
    assert set(kept) == data.uids(instances)
    assert all(data.body(one) in kept[one.identity.sop_instance_uid].read_bytes() for one in instances)


def test_movescu_cancels(port, pacs, tmp_path):
    """As findscu: the destination waits with the third instance for the second response to be read."""
    (tmp_path / "study").mkdir()
    pacs.selected = data.study(tmp_path / "study", 40)
    target = data.Stored()
    log = tmp_path / "movescu.log"
    target.on_piece = lambda _uid, _size: holding(target, lambda: logged(log, "Received Move Response 2"), after=2)
    with Server(ServerConfig("TARGET"), target) as server:
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        arguments = ("-d", "-aec", AE_TITLE, "-S", "-aem", "TARGET", "--cancel", 1, *KEYS, "127.0.0.1", port)
        with programs.client("movescu", *arguments, folder=tmp_path) as process:
            process.wait(DEADLINE_S)
    assert 2 <= len(target.stored) < 40
    assert f"Remaining Suboperations       : {40 - len(target.stored)}" in log.read_text()
    assert "0xfe00" in log.read_text()


def holding(pacs: MemoryPacs, until: Callable[[], bool], *, after: int = 1) -> None:
    """Let some instances pass and wait with the others."""
    assert len(pacs.stored) < after or until()


@pytest.mark.parametrize(
    "options", [(), *(pytest.param((o,), marks=pytest.mark.full) for o in ("+xe", "+xb", "+xi", "+xs", "+xv"))]
)
def test_getscu(port, pacs, instances, coded, tmp_path, options):
    pacs.selected = [*instances, *coded.values()]
    dcmtk("getscu", port, options=("-S", "+B", *options, *KEYS), folder=tmp_path)
    kept = data.in_folder(tmp_path)
    assert set(kept) == data.uids(pacs.selected)
    for one in instances:
        got = pydicom.dcmread(kept[one.identity.sop_instance_uid])
        np.testing.assert_array_equal(got.pixel_array, data.pixels_of(one))
    for one in coded.values():
        got = pydicom.dcmread(kept[one.identity.sop_instance_uid])
        np.testing.assert_array_equal(got.pixel_array, data.decoded_by_dcmtk(one, tmp_path))


# ------------------------------------------------------------------ pynetdicom


def test_pynetdicom_asks_for_every_service(port, pacs, instances):
    pacs.matches, pacs.selected = matches(3), instances
    target = MemoryPacs()
    returned: list[tuple[str, str, bytes]] = []
    contexts = [
        (uid, [IMPLICIT_VR_LITTLE_ENDIAN]) for uid in (VERIFICATION, *FIND.values(), *MOVE.values(), *GET.values())
    ]
    contexts.append((data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN]))
    role = build_role(data.SECONDARY_CAPTURE, scu_role=True, scp_role=True)
    with (
        Server(ServerConfig("TARGET"), target) as server,
        pynetdicom.association(
            port, contexts, called=AE_TITLE, negotiation=[role], handlers=[pynetdicom.keeping(returned)]
        ) as opened,
    ):
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        assert opened.send_c_echo().Status == 0x0000
        sent = [opened.send_c_store(pydicom.dcmread(one.path)).Status for one in instances]
        found = [match.PatientID for _, match in opened.send_c_find(data.level_study(), FIND[STUDY_ROOT]) if match]
        moved = list(opened.send_c_move(data.level_study(), "TARGET", MOVE[STUDY_ROOT]))
        got = list(opened.send_c_get(data.level_study(), GET[STUDY_ROOT]))
    assert sent == [0x0000] * 4
    assert found == ["SYN0", "SYN1", "SYN2"]
    for status, _ in (moved[-1], got[-1]):
        assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, 4)
    assert set(pacs.stored) == set(target.stored) == {uid for uid, *_ in returned} == data.uids(instances)


@pytest.mark.parametrize("max_pdu", [4097, *(pytest.param(n, marks=pytest.mark.full) for n in (7, 8, 9, 13, 127, 0))])
def test_pdu_sizes_with_pynetdicom(pacs, instances, tmp_path, max_pdu):
    """The same limit on both sides."""
    [small] = data.study(tmp_path, 1, rows=13, columns=7)
    one = instances[0] if max_pdu > 100 or not max_pdu else small
    pacs.matches = matches(2)
    contexts = [(FIND[STUDY_ROOT], [IMPLICIT_VR_LITTLE_ENDIAN]), (data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN])]
    theirs = max(max_pdu, 8) if max_pdu else 0
    with (
        Server(ServerConfig(AE_TITLE, max_pdu_length=max_pdu), pacs) as server,
        pynetdicom.association(server.port, contexts, called=AE_TITLE, max_pdu=theirs) as opened,
    ):
        assert opened.send_c_store(pydicom.dcmread(one.path)).Status == 0x0000
        assert len(list(opened.send_c_find(data.level_study(), FIND[STUDY_ROOT]))) == 3
    identity, received = pacs.stored[one.identity.sop_instance_uid]
    np.testing.assert_array_equal(data.pixels_in(identity, received), data.pixels_of(one))


def test_128_contexts_of_pynetdicom(port, pacs, tmp_path):
    sent = [make_instance(tmp_path, n, sop_class=f"1.2.840.10008.5.1.4.1.1.999.{n}", pixels=10) for n in range(1, 129)]
    contexts = [(one.identity.sop_class_uid, UncompressedTransferSyntaxes) for one in sent]
    with pynetdicom.association(port, contexts, called=AE_TITLE) as opened:
        assert len(opened.accepted_contexts) == 128
        for one in (sent[0], sent[-1]):
            assert opened.send_c_store(pydicom.dcmread(one.path)).Status == 0x0000
    assert set(pacs.stored) == data.uids((sent[0], sent[-1]))


def test_everything_that_pynetdicom_negotiates():
    """User identity, roles, asynchronous operations, extended and common extended negotiation in one request."""
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.positive_response_requested = 5, b"a.b.c", True
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 0, 7
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = FIND[STUDY_ROOT], b"\1\1\1\1"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.88.33"]
    roles = [build_role(data.SECONDARY_CAPTURE, scp_role=True), build_role(VERIFICATION, scu_role=True, scp_role=True)]
    contexts = [(uid, [IMPLICIT_VR_LITTLE_ENDIAN]) for uid in (VERIFICATION, data.SECONDARY_CAPTURE, FIND[STUDY_ROOT])]
    seen: list[UserIdentity] = []

    def identify(identity: UserIdentity) -> bytes:
        seen.append(identity)
        return b"welcome"

    with (
        Server(ServerConfig(AE_TITLE, identify=identify), MemoryPacs()) as server,
        pynetdicom.association(
            server.port, contexts, called=AE_TITLE, negotiation=[user, window, extended, common, *roles]
        ) as opened,
    ):
        assert opened.is_established
        acceptor = opened.acceptor
        assert acceptor.user_identity.server_response == b"welcome"
        assert acceptor.asynchronous_operations == (1, 1)
        assert {uid: (role.scu_role, role.scp_role) for uid, role in acceptor.role_selection.items()} == {
            data.SECONDARY_CAPTURE: (False, True),
            VERIFICATION: (True, False),
        }
        assert opened.send_c_echo().Status == 0x0000
    assert seen == [UserIdentity(5, b"a.b.c", response_requested=True)]


C_CANCEL = b"\0\0\0\1\2\0\0\0\xff\x0f"  # the command field


@pytest.mark.parametrize(("service", "done"), [("find", 2), ("move", 2), ("get", 1)])
def test_pynetdicom_cancels(port, pacs, instances, service, done):
    """It cancels on the first response, or instance; our handler or the destination waits until that is out."""
    pacs.matches, pacs.selected = matches(4), instances
    pacs.go_on.clear()
    target = data.Stored()
    target.on_piece = lambda _uid, _size: holding(target, lambda: pacs.go_on.wait(DEADLINE_S))
    model = {"find": FIND, "move": MOVE, "get": GET}[service][STUDY_ROOT]
    contexts = [(model, [IMPLICIT_VR_LITTLE_ENDIAN]), (data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN])]
    returned: list[str] = []

    def keep(event: evt.Event) -> int:
        returned.append(event.request.AffectedSOPInstanceUID)
        event.assoc.send_c_cancel(1, query_model=model)
        return 0x0000

    def watch(event: evt.Event) -> None:
        if C_CANCEL in event.data:
            pacs.go_on.set()

    with (
        Server(ServerConfig("TARGET"), target) as server,
        pynetdicom.association(
            port,
            contexts,
            called=AE_TITLE,
            negotiation=[build_role(data.SECONDARY_CAPTURE, scp_role=True)],
            handlers=[(evt.EVT_C_STORE, keep), (evt.EVT_DATA_SENT, watch)],
        ) as opened,
    ):
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        where = ("TARGET",) if service == "move" else ()
        statuses = []
        for status, _ in getattr(opened, f"send_c_{service}")(data.level_study(), *where, model):
            if not statuses and service != "get":
                opened.send_c_cancel(1, query_model=model)
            statuses.append(status)
        assert opened.is_established
    *pending, last = [status.Status for status in statuses]
    assert (set(pending), last) == ({0xFF00}, 0xFE00)
    if service == "find":  # what it asks for may be noticed before the second match is made
        assert len(pending) <= done
    else:
        assert len(pending) == done
        assert len(target.stored if service == "move" else returned) == done
        assert statuses[-1].NumberOfRemainingSuboperations == 4 - done


# ------------------------------------------------------------------ Orthanc


def test_orthanc_asks_for_every_service(port, pacs, instances, coded, tmp_path):
    instances = [*instances, *coded.values()]
    pacs.matches, pacs.selected = matches(2), instances
    unchanged = 0
    with programs.orthanc(tmp_path, known={"OURS": ("127.0.0.1", port)}) as orthanc:
        orthanc.post("/modalities/OURS/echo", {})
        for one in instances:
            orthanc.post("/instances", one.path.read_bytes())
        job = orthanc.post("/modalities/OURS/store", {"Resources": orthanc.rest("/studies"), "Synchronous": True})
        assert (job["InstancesCount"], job["FailedInstancesCount"]) == (len(instances), 0)
        for one in instances:
            identity, body = pacs.stored[one.identity.sop_instance_uid]
            if identity == one.identity:
                assert body == data.body(one)
                unchanged += 1
            else:  # from 1.12 on it decodes what it has no context for, rather than to negotiate again
                assert identity == replace(one.identity, transfer_syntax_uid=ExplicitVRLittleEndian)
        assert unchanged
        query = orthanc.post("/modalities/OURS/query", {"Level": "Study", "Query": {"StudyInstanceUID": data.STUDY}})
        assert len(orthanc.rest(f"/queries/{query['ID']}/answers")) == 2
        for patient in orthanc.rest("/patients"):
            orthanc.delete(f"/patients/{patient}")
        pacs.destinations["ORTHANC"] = ("127.0.0.1", orthanc.peer.port)
        orthanc.post(f"/queries/{query['ID']}/answers/0/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
        held = {one["MainDicomTags"]["SOPInstanceUID"] for one in orthanc.rest("/instances?expand")}
        assert held == set(pacs.stored) == data.uids(instances)
        moved = {"Level": "Study", "Resources": [{"StudyInstanceUID": data.STUDY}], "TargetAet": "ORTHANC"}
        orthanc.post("/modalities/OURS/move", moved | {"Synchronous": True})
    assert len(pacs.identifiers) == 3
