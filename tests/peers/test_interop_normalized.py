"""The N-services in both directions: MPPS, storage commitment, printers and print sessions (PS3.7 section 10)."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_role, evt

from dicomfab.dimse.association import associate
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor, ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.normalized import n_action, n_create, n_delete, n_event_report, n_get, n_set
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.model.errors import ContextRejected
from tests.peers import interop_data as data
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.memory_pacs import MemoryPacs

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

MPPS = "1.2.840.10008.3.1.2.3.3"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
FILM_SESSION = "1.2.840.10008.5.1.1.1"
PLAIN = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
STEP = "1.2.826.0.1.3680043.8.498.7.9"
CONTEXTS = [ProposedContext(uid, tuple(PLAIN)) for uid in (MPPS, COMMITMENT, PRINTER, FILM_SESSION)]


def step(status: str) -> Dataset:
    """What a modality says of a performed procedure step, a sequence in it."""
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = status
    attributes.PatientName = "Müller^Jörg"
    attributes.SpecificCharacterSet = "ISO_IR 100"
    scheduled = Dataset()
    scheduled.StudyInstanceUID = data.STUDY
    attributes.ScheduledStepAttributesSequence = [scheduled]
    return attributes


def commitment(transaction: str, count: int = 2) -> Dataset:
    """What a storage commitment is about (PS3.4 tables J.3-1 and J.3-2)."""
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = []
    for number in range(1, count + 1):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data.SECONDARY_CAPTURE, f"{data.STUDY}.0.{number}"
        information.ReferencedSOPSequence.append(item)
    return information


# ------------------------------------------------------------------ we ask


@dataclass
class Asked:
    """What a pynetdicom acceptor was asked, in order."""

    requests: list[tuple[str, str, Dataset | None]] = field(default_factory=list)

    def handlers(self) -> list[tuple[object, object]]:
        return [
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_GET, self._get),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_N_EVENT_REPORT, self._report),
            (evt.EVT_N_DELETE, self._delete),
        ]

    def _create(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.requests.append(("N-CREATE", event.request.AffectedSOPInstanceUID, event.attribute_list))
        if event.request.AffectedSOPInstanceUID is None:
            made = Dataset()
            made.AffectedSOPInstanceUID = STEP
            return 0x0000, made
        return (0x0111, None) if len(self.requests) > 1 else (0x0000, event.attribute_list)

    def _set(self, event: evt.Event) -> tuple[int, Dataset]:
        self.requests.append(("N-SET", event.request.RequestedSOPInstanceUID, event.modification_list))
        return 0x0000, event.modification_list

    def _get(self, event: evt.Event) -> tuple[int, Dataset]:
        wanted = Dataset()
        wanted.PrinterStatus = ",".join(str(tag) for tag in event.attribute_identifiers)[:16]
        self.requests.append(("N-GET", event.request.RequestedSOPInstanceUID, None))
        return 0x0000, wanted

    def _action(self, event: evt.Event) -> tuple[int, Dataset]:
        assert event.action_type == 1
        self.requests.append(("N-ACTION", event.request.RequestedSOPInstanceUID, event.action_information))
        return 0x0000, event.action_information

    def _report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.requests.append(("N-EVENT-REPORT", event.request.AffectedSOPInstanceUID, event.event_information))
        return 0x0000, None

    def _delete(self, event: evt.Event) -> int:
        self.requests.append(("N-DELETE", event.request.RequestedSOPInstanceUID, None))
        return 0x0112


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def peer(asked: Asked) -> Iterator[Peer]:
    with pynetdicom.acceptor(asked.handlers(), sop_classes=(MPPS, COMMITMENT, PRINTER, FILM_SESSION)) as peer:
        yield peer


def test_we_ask_pynetdicom_for_every_operation(peer, asked):
    with associate(peer, CONTEXTS) as association:
        created = n_create(association, MPPS, STEP, step("IN PROGRESS"))
        again = n_create(association, MPPS, STEP, step("IN PROGRESS"))
        changed = n_set(association, MPPS, STEP, step("COMPLETED"))
        some = n_get(association, PRINTER, PRINTER_INSTANCE, [0x21100010])
        everything = n_get(association, PRINTER, PRINTER_INSTANCE)
        acted = n_action(association, COMMITMENT, COMMITMENT_INSTANCE, 1, commitment("1.2.3"))
        deleted = n_delete(association, FILM_SESSION, "1.2.4")
    assert (created.response.status, created.sop_instance_uid) == (0x0000, STEP)
    assert created.attributes is not None
    assert created.attributes.PatientName == "Müller^Jörg"
    assert created.attributes.ScheduledStepAttributesSequence[0].StudyInstanceUID == data.STUDY
    assert (again.response.status, again.attributes) == (0x0111, None)
    assert changed.attributes == step("COMPLETED")
    assert some.attributes is not None
    assert everything.attributes is not None
    assert (some.attributes.PrinterStatus, everything.attributes.PrinterStatus) == ("(2110,0010)", "")
    assert acted.attributes == commitment("1.2.3")
    assert (deleted.response.status, deleted.attributes) == (0x0112, None)
    expected = [("N-CREATE", STEP), ("N-CREATE", STEP), ("N-SET", STEP), ("N-GET", PRINTER_INSTANCE)]
    expected += [("N-GET", PRINTER_INSTANCE), ("N-ACTION", COMMITMENT_INSTANCE), ("N-DELETE", "1.2.4")]
    assert [(operation, uid) for operation, uid, _ in asked.requests] == expected


def test_pynetdicom_makes_up_the_sop_instance_uid(peer, asked):
    with associate(peer, CONTEXTS) as association:
        created = n_create(association, MPPS, attributes=step("IN PROGRESS"))
    assert (created.response.status, created.sop_instance_uid) == (0x0000, STEP)


@pytest.mark.parametrize("count", [2, pytest.param(5000, marks=pytest.mark.full)])
def test_we_report_a_storage_commitment_as_its_scp(peer, asked, count):
    with associate(peer, [ProposedContext(COMMITMENT, tuple(PLAIN), as_scp=True)]) as association:
        assert {(c.as_scu, c.as_scp) for c in association.contexts.values()} == {(False, True)}
        with pytest.raises(ContextRejected):
            n_action(association, COMMITMENT, COMMITMENT_INSTANCE, 1, commitment("1.2.3"))
        report = n_event_report(association, COMMITMENT, COMMITMENT_INSTANCE, 1, commitment("1.2.3", count))
    assert report.response.status == 0x0000
    assert asked.requests == [("N-EVENT-REPORT", COMMITMENT_INSTANCE, commitment("1.2.3", count))]


# ------------------------------------------------------------------ we are asked


class Keeper:
    """Performs all operations on the instances of one SOP class."""

    def __init__(self) -> None:
        self.kept: dict[str, Dataset] = {}
        self.requests: queue.Queue[tuple[Requestor, NormalizedRequest]] = queue.Queue()

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        self.requests.put((requestor, request))
        uid = request.sop_instance_uid
        match request.operation:
            case "N-CREATE":
                uid = uid or STEP
                if uid in self.kept:
                    raise Refusal(0x0111, "it is there already")
                self.kept[uid] = request.attributes or Dataset()
                return NormalizedReply(0x0000, uid, self.kept[uid])
            case "N-SET":
                self.kept[uid].update(request.attributes or Dataset())
                return NormalizedReply(0x0000)
            case "N-GET":
                everything = self.kept[uid]
                wanted = [element for element in everything if not request.tags or element.tag in request.tags]
                return NormalizedReply(0x0000, attributes=Dataset({element.tag: element for element in wanted}))
            case "N-DELETE":
                return NormalizedReply(0x0000 if self.kept.pop(uid, None) is not None else 0x0112)
            case "N-ACTION" | "N-EVENT-REPORT":
                return NormalizedReply(0x0000)
        raise Refusal(0x0211)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def port(keeper: Keeper) -> Iterator[int]:
    handlers = dict.fromkeys((MPPS, COMMITMENT, PRINTER, FILM_SESSION), keeper)
    with Server(ServerConfig("OURS"), MemoryPacs(), handlers) as server:
        yield server.port


class _Lost(Exception):
    """Pynetdicom has lost a response, as it does once in some thousands."""


def _status(answer: Any) -> Any:
    status = answer[0] if isinstance(answer, tuple) else answer
    if "Status" not in status:
        raise _Lost
    return answer


def _every_operation(port: int) -> list[Dataset]:
    """Ask for each operation; gives the command sets of the responses."""
    contexts = [(uid, PLAIN) for uid in (MPPS, COMMITMENT, FILM_SESSION)]
    responses: list[Dataset] = []
    hear = (evt.EVT_DIMSE_RECV, lambda event: responses.append(event.message.command_set))
    with pynetdicom.association(port, contexts, called="OURS", handlers=[hear]) as opened:
        opened.dimse_timeout = 5
        status, created = _status(opened.send_n_create(step("IN PROGRESS"), MPPS, STEP))
        assert (status.Status, created) == (0x0000, step("IN PROGRESS"))
        status, _ = _status(opened.send_n_create(step("IN PROGRESS"), MPPS, STEP))
        assert (status.Status, status.ErrorComment) == (0x0111, "it is there already")
        assert _status(opened.send_n_set(step("COMPLETED"), MPPS, STEP))[0].Status == 0x0000
        status, got = _status(opened.send_n_get([0x00400252, 0x00100010], MPPS, STEP))
        assert (status.Status, sorted(got.dir())) == (0x0000, ["PatientName", "PerformedProcedureStepStatus"])
        assert got.PerformedProcedureStepStatus == "COMPLETED"
        answer = _status(opened.send_n_action(commitment("1.2.3"), 1, COMMITMENT, COMMITMENT_INSTANCE))
        assert answer[0].Status == 0x0000
        assert _status(opened.send_n_delete(MPPS, STEP)).Status == 0x0000
        assert _status(opened.send_n_delete(MPPS, STEP)).Status == 0x0112
        status, _ = _status(opened.send_n_get([], MPPS, STEP))  # our handler fails: there is no such instance
        assert status.Status == 0x0110
        status, _ = _status(opened.send_n_create(step("IN PROGRESS"), MPPS))
        assert status.Status == 0x0000
    return responses


def test_pynetdicom_asks_us_for_every_operation():
    for attempt in range(3):
        keeper = Keeper()
        handlers = dict.fromkeys((MPPS, COMMITMENT, PRINTER, FILM_SESSION), keeper)
        try:
            with Server(ServerConfig("OURS"), MemoryPacs(), handlers) as server:
                responses = _every_operation(server.port)
                break
        except _Lost:
            assert attempt < 2
    operations = [keeper.requests.get_nowait()[1] for _ in range(keeper.requests.qsize())]
    named = [response.get("AffectedSOPInstanceUID") for response in responses]
    assert named == [STEP, STEP, STEP, STEP, COMMITMENT_INSTANCE, STEP, STEP, STEP, STEP]
    assert [(request.operation, request.number) for request in operations if request.number] == [("N-ACTION", 1)]


def test_pynetdicom_reports_to_us_as_the_scp(port, keeper):
    role = build_role(COMMITMENT, scp_role=True)
    with pynetdicom.association(port, [(COMMITMENT, PLAIN)], called="OURS", negotiation=[role]) as opened:
        assert opened.acceptor.role_selection[COMMITMENT].scp_role
        status, _ = opened.send_n_event_report(commitment("1.2.3"), 2, COMMITMENT, COMMITMENT_INSTANCE)
    requestor, request = keeper.requests.get_nowait()
    assert status.Status == 0x0000
    assert requestor.ae_title == "PYNETDICOM"
    assert (request.operation, request.number, request.attributes) == ("N-EVENT-REPORT", 2, commitment("1.2.3"))


def test_a_server_without_handlers_accepts_no_such_context():
    with (
        Server(ServerConfig("OURS"), MemoryPacs()) as server,
        pynetdicom.association(server.port, [(MPPS, PLAIN), (data.SECONDARY_CAPTURE, PLAIN)], called="OURS") as opened,
    ):
        assert [context.abstract_syntax for context in opened.accepted_contexts] == [data.SECONDARY_CAPTURE]
        assert {context.result for context in opened.rejected_contexts} == {3}


# ------------------------------------------------------------------ Orthanc


def test_orthanc_commits_to_us_and_we_to_it(port, keeper, tmp_path):
    """The report comes on an association of its own, whose requestor has the SCP role."""
    instances = data.study(tmp_path, 2)
    (tmp_path / "orthanc").mkdir()
    with programs.orthanc(tmp_path / "orthanc", known={"OURS": ("127.0.0.1", port)}) as orthanc:
        ours = Peer("127.0.0.1", orthanc.peer.port, "ORTHANC", "OURS", Timeouts(1, 5, 30), name="Orthanc")
        assert [outcome.error for outcome in store(ours, instances)] == [None, None]
        transaction = str(generate_uid())
        with associate(ours, CONTEXTS[1:2]) as association:
            acted = n_action(association, COMMITMENT, COMMITMENT_INSTANCE, 1, commitment(transaction, 3))
        assert acted.response.status == 0x0000
        requestor, report = keeper.requests.get(timeout=pynetdicom.DEADLINE_S)
        assert (requestor.ae_title, report.operation, report.number) == ("ORTHANC", "N-EVENT-REPORT", 2)
        assert report.attributes is not None
        assert report.attributes.TransactionUID == transaction
        committed = {item.ReferencedSOPInstanceUID for item in report.attributes.ReferencedSOPSequence}
        [failed] = report.attributes.FailedSOPSequence
        assert committed == data.uids(instances)
        assert failed.ReferencedSOPInstanceUID == f"{data.STUDY}.0.3"

        references = [{"SOPClassUID": data.SECONDARY_CAPTURE, "SOPInstanceUID": uid} for uid in data.uids(instances)]
        asked = orthanc.post("/modalities/OURS/storage-commitment", {"DicomInstances": references})
        _, request = keeper.requests.get(timeout=pynetdicom.DEADLINE_S)
        assert (request.operation, request.number) == ("N-ACTION", 1)
        assert request.attributes is not None
        assert orthanc.rest(f"/storage-commitment/{asked['ID']}")["Status"] == "Pending"
        with associate(ours, [ProposedContext(COMMITMENT, tuple(PLAIN), as_scp=True)]) as association:
            told = n_event_report(association, COMMITMENT, COMMITMENT_INSTANCE, 1, request.attributes)
        assert told.response.status == 0x0000
        result = orthanc.rest(f"/storage-commitment/{asked['ID']}")
    assert result["Status"] == "Success"
    assert {one["SOPInstanceUID"] for one in result["Success"]} == data.uids(instances)
