"""Worklist, performed procedure step and availability notification, with DCMTK and pynetdicom as the other side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pynetdicom import evt
from pynetdicom.association import Association

from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.worklist import WorklistKeys
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.performed_step import RETRIEVE, PerformedStepHandler
from dicomfab.dimse.scp.availability import AvailabilityHandler
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu import performed_step as mpps
from dicomfab.dimse.scu.availability import AvailabilityNotice, AvailableInstance, AvailableSeries, notify
from dicomfab.dimse.scu.worklist import default_identifier, worklist
from dicomfab.dimse.sop_classes import (
    AVAILABILITY,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PERFORMED_STEP,
    WORKLIST,
)
from dicomfab.model.errors import ContextRejected, StatusFailure
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.memory_pacs import CT, MemoryPacs
from tests.unit.dimse.test_performed_step import Steps, begun, dataset, ended

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

PLAIN = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
STEP = "1.2.826.0.1.3680043.8.498.7.9"
NOTICE = AvailabilityNotice(
    "1.2.3", (AvailableSeries("1.2.3.4", (AvailableInstance(CT, "1.2.3.4.5", ("PACS",)),)),), STEP
)


def scheduled(
    number: int, name: str, character_set: Any = None, *, modality: str = "CT", time: str = "0900"
) -> Dataset:
    """A worklist item, with all that wlmscpfs wants in one."""
    step = dataset(
        Modality=modality,
        ScheduledStationAETitle=f"{modality}1",
        ScheduledProcedureStepStartDate="20240705",
        ScheduledProcedureStepStartTime=time,
        ScheduledPerformingPhysicianName="House^Gregory",
        ScheduledProcedureStepDescription="Abdomen",
        ScheduledProcedureStepID=f"SPS{number}",
        ScheduledProtocolCodeSequence=[dataset(CodeValue="C1", CodingSchemeDesignator="99LOCAL", CodeMeaning="Code")],
    )
    item = dataset(
        PatientName=name,
        PatientID=f"P{number}",
        PatientBirthDate="19700101",
        PatientSex="O",
        AccessionNumber=f"A{number}",
        ReferringPhysicianName="Doe^Ref",
        RequestingPhysician="Doe^Req",
        StudyInstanceUID=f"1.2.3.{number}",
        RequestedProcedureID=f"RP{number}",
        RequestedProcedureDescription="Abdomen",
        RequestedProcedurePriority="ROUTINE",
        ScheduledProcedureStepSequence=[step],
    )
    if character_set is not None:
        item.SpecificCharacterSet = character_set
    return item


ITEMS = [
    scheduled(1, "Doe^Jane"),
    scheduled(2, JAPANESE, ["", "ISO 2022 IR 87"], modality="MR", time="1000"),
    scheduled(3, JAPANESE, "ISO_IR 192", time="1100"),
    scheduled(4, "Müller^Jörg", "ISO_IR 100", time="1200"),
]


class Ris(MemoryPacs):
    """A PACS that has a worklist."""

    def __init__(self) -> None:
        super().__init__()
        self.items: Iterator[Dataset] | list[Dataset] = ITEMS
        self.closed = threading.Event()

    def worklist(self, requestor: Requestor, identifier: Dataset) -> Iterator[Dataset]:
        self.requestors.append(requestor)
        try:
            keys = WorklistKeys(identifier)
        except ArchiveQueryError as error:
            raise Refusal(error.status, f"{error.field} cannot be matched") from error
        try:
            yield from (keys.answer(item) for item in self.items if keys.matches(item))
        finally:
            self.closed.set()


@pytest.fixture
def ris() -> Ris:
    return Ris()


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def notices() -> list[tuple[Requestor, str, AvailabilityNotice]]:
    return []


@pytest.fixture
def server(ris, steps, notices) -> Iterator[Server]:
    handler = PerformedStepHandler(steps)
    told = AvailabilityHandler(lambda *notice: notices.append(notice))
    normalized = {PERFORMED_STEP: handler, RETRIEVE: handler, AVAILABILITY: told}
    with Server(ServerConfig("OURS"), ris, normalized) as running:
        yield running


@pytest.fixture
def ours(server) -> Peer:
    return Peer("127.0.0.1", server.port, "OURS", "CT1", Timeouts(5, 5, 20), name="ours")


# ------------------------------------------------------------------ DCMTK asks us for the worklist


def findscu(server: Server, folder: Path, *arguments: object) -> list[Dataset]:
    """The answers that findscu wrote to files; its arguments are keys, or the file of a query."""
    folder.mkdir(exist_ok=True)
    ran = programs.dcmtk(
        "findscu", "-W", "-X", "-aet", "CT1", "-aec", "OURS", "127.0.0.1", server.port, *arguments, folder=folder
    )
    assert ran.returncode == 0, ran.stderr
    return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


STEP_KEY = "ScheduledProcedureStepSequence[0]"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["PatientName"], ["P1", "P2", "P3", "P4"]),
        (["PatientName=DOE*"], ["P1"]),
        ([f"{STEP_KEY}.Modality=MR"], ["P2"]),
        ([f"{STEP_KEY}.ScheduledStationAETitle=CT1", "PatientID=P[34]"], []),
        ([f"{STEP_KEY}.ScheduledStationAETitle=CT1"], ["P1", "P3", "P4"]),
        ([f"{STEP_KEY}.ScheduledProcedureStepStartDate=20240705-20240706",
          f"{STEP_KEY}.ScheduledProcedureStepStartTime=0930-0800"], ["P2", "P3", "P4"]),
        ([f"{STEP_KEY}.ScheduledProtocolCodeSequence[0].CodeValue=C2"], []),
        ([f"{STEP_KEY}.ScheduledProtocolCodeSequence[0].CodeValue=C1", "AccessionNumber=A2"], ["P2"]),
    ],
)  # fmt: skip
def test_findscu_finds_what_matches(server, ris, tmp_path, keys, expected):
    answers = findscu(server, tmp_path, *(argument for key in keys for argument in ("-k", key)))
    assert [answer.PatientID for answer in answers] == expected
    assert ris.requestors[0].ae_title == "CT1"
    for answer in answers:
        assert answer.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == "20240705"


def test_findscu_asks_and_is_answered_in_japanese(server, tmp_path):
    for character_set, family in (("ISO_IR 192", "山田"), ("\\ISO 2022 IR 87", "山田")):
        raw = family.encode("utf-8" if "192" in character_set else "iso2022_jp")
        query = Dataset()
        query.SpecificCharacterSet = character_set.split("\\")
        query.PatientName = f"{family}*"
        path = tmp_path / "query.dcm"
        query.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert raw in path.read_bytes()
        folder = tmp_path / str(len(character_set))
        answers = findscu(server, folder, path)
        assert [answer.PatientID for answer in answers] == ["P2", "P3"]
        assert [answer.SpecificCharacterSet for answer in answers] == [["", "ISO 2022 IR 87"], "ISO_IR 192"]
        assert [str(answer.PatientName) for answer in answers] == [JAPANESE] * 2
        assert "山田".encode("iso2022_jp") in answers[0].PatientName.original_string


def test_findscu_is_told_that_a_key_cannot_be_matched(server, tmp_path):
    ran = programs.dcmtk(
        "findscu", "-W", "-d", "-aec", "OURS", "127.0.0.1", server.port,
        "-k", f"{STEP_KEY}.ScheduledProcedureStepStartDate=tomorrow", folder=tmp_path,
    )  # fmt: skip
    assert "0xa900" in (ran.stderr + ran.stdout).lower()


def test_findscu_cancels(server, ris, tmp_path):
    def endless() -> Iterator[Dataset]:
        while True:
            yield ITEMS[0]

    ris.items = endless()
    ran = programs.dcmtk(
        "findscu", "-W", "-v", "--cancel", "2", "-aec", "OURS", "127.0.0.1", server.port, "-k", "PatientID",
        folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Cancel" in ran.stderr + ran.stdout
    assert ris.closed.wait(pynetdicom.DEADLINE_S)


def test_a_server_without_a_worklist_offers_none(tmp_path):
    with Server(ServerConfig("OURS"), MemoryPacs()) as server:
        peer = Peer("127.0.0.1", server.port, "OURS", timeouts=Timeouts(5, 5, 20))
        with pytest.raises(ContextRejected):
            list(worklist(peer, default_identifier()))


# ------------------------------------------------------------------ we ask DCMTK and ourselves


@contextmanager
def wlmscpfs(folder: Path, items: list[Dataset]) -> Iterator[Peer]:
    """DCMTK's worklist server, with items that we wrote."""
    database = folder / "WLM"
    database.mkdir()
    (database / "lockfile").touch()
    for number, item in enumerate(items):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WORKLIST, f"1.2.3.99.{number}"
        meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
        file = FileDataset(None, dict(item.items()), preamble=bytes(128), file_meta=meta)
        file.save_as(database / f"{number}.wl", enforce_file_format=True)
    peer = Peer("127.0.0.1", programs.free_port(), "WLM", "CT1", Timeouts(1, 5, 20), name="wlmscpfs")
    arguments = [programs.program("wlmscpfs"), "-s", "-csk", "-dfp", str(folder), str(peer.port)]
    with programs.running(arguments, peer, folder):
        yield peer


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"P1", "P2", "P3", "P4"}),
        ({"modality": "MR"}, {"P2"}),
        ({"station_ae_title": "CT1", "date": "20240701-20240731"}, {"P1", "P3", "P4"}),
        ({"patient_id": "P4"}, {"P4"}),
        ({"patient_name": "Doe*"}, {"P1"}),
        ({"date": "20240801"}, set()),
    ],
)
def test_wlmscpfs_and_we_answer_the_same(tmp_path, ours, keys, expected):
    with wlmscpfs(tmp_path, ITEMS) as theirs:
        for peer in (theirs, ours):
            found = list(worklist(peer, default_identifier(**keys)))
            assert {answer.PatientID for answer in found} == expected, peer.label
            for answer in found:
                [step] = answer.ScheduledProcedureStepSequence
                number = answer.PatientID[1:]
                assert (step.ScheduledProcedureStepID, answer.StudyInstanceUID) == (f"SPS{number}", f"1.2.3.{number}")
                assert answer.PatientName == ITEMS[int(number) - 1].PatientName


def test_we_ask_ourselves_by_accession_number_and_a_japanese_name(ours):
    assert [one.PatientID for one in worklist(ours, default_identifier(accession_number="A2"))] == ["P2"]
    found = list(worklist(ours, default_identifier(patient_name="山田*")))
    assert [one.PatientName for one in found] == [JAPANESE] * 2


def test_our_limit_cancels_the_query(ours, ris):
    ris.items = (ITEMS[0] for _ in iter(int, 1))
    assert len(list(worklist(ours, default_identifier(), limit=3))) == 3
    assert ris.closed.wait(pynetdicom.DEADLINE_S)


def test_we_are_told_that_a_key_cannot_be_matched(ours):
    identifier = default_identifier()
    identifier.ScheduledProcedureStepSequence.append(Dataset())
    with pytest.raises(StatusFailure) as caught:
        list(worklist(ours, identifier))
    assert caught.value.status == 0xA900
    assert "ScheduledProcedureStepSequence" in caught.value.comment


# ------------------------------------------------------------------ performed procedure steps


def opened(server: Server, *sop_classes: str) -> Any:
    return pynetdicom.association(server.port, [(uid, PLAIN) for uid in sop_classes], called="OURS")


def test_pynetdicom_performs_a_step_at_our_server(server, steps):
    name = dataset(PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    with opened(server, PERFORMED_STEP, RETRIEVE) as peer:
        created = begun(**{element.keyword: element.value for element in name})
        assert peer.send_n_create(created, PERFORMED_STEP, STEP)[0].Status == 0x0000
        status, _ = peer.send_n_create(created, PERFORMED_STEP, STEP)
        assert status.Status == 0x0111
        status, _ = peer.send_n_set(ended(PerformedProcedureStepEndDate=None), PERFORMED_STEP, STEP)
        assert (status.Status, status.ErrorComment) == (0x0120, "PerformedProcedureStepEndDate is missing")
        assert peer.send_n_set(ended(), PERFORMED_STEP, STEP)[0].Status == 0x0000
        status, _ = peer.send_n_set(ended(), PERFORMED_STEP, STEP)
        assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
        assert status.ErrorComment == "Performed Procedure Step Object may no longer be updated"
        assert peer.send_n_set(ended(), PERFORMED_STEP, "1.2.3")[0].Status == 0x0112
        assert peer.send_n_get([], PERFORMED_STEP, STEP)[0].Status == 0x0211
        status, got = peer.send_n_get([0x00400252, 0x00100010], RETRIEVE, STEP)
    assert (status.Status, got.PerformedProcedureStepStatus, got.PatientName) == (0x0000, "COMPLETED", "Müller^Jörg")
    assert steps.kept[STEP].PerformedSeriesSequence == ended().PerformedSeriesSequence


def test_our_modality_performs_steps_at_our_server(ours, steps):
    assert mpps.in_progress(ours, STEP, begun()).sop_instance_uid == STEP
    mpps.completed(ours, STEP, ended())
    made = mpps.in_progress(ours, "", begun()).sop_instance_uid
    mpps.discontinued(ours, made, ended(PerformedSeriesSequence=[]))
    assert [kept.PerformedProcedureStepStatus for kept in steps.kept.values()] == ["COMPLETED", "DISCONTINUED"]


@pytest.mark.parametrize(
    ("send", "status"),
    [
        (lambda peer: mpps.in_progress(peer, STEP, begun()), 0x0111),
        (lambda peer: mpps.in_progress(peer, "1.2.4", begun(Modality=None)), 0x0120),
        (lambda peer: mpps.completed(peer, "1.2.4", ended()), 0x0112),
        (lambda peer: mpps.completed(peer, STEP, ended(PerformedSeriesSequence=[])), 0x0121),
    ],
)
def test_refusals_reach_the_modality_with_cause_and_remedy(ours, send, status):
    mpps.in_progress(ours, STEP, begun())
    with pytest.raises(StatusFailure) as caught:
        send(ours)
    assert caught.value.status == status
    assert caught.value.comment
    assert caught.value.cause
    assert caught.value.remedy


class Asked:
    """What a pynetdicom acceptor was asked, and the status that it answers with."""

    def __init__(self) -> None:
        self.status = 0x0000
        self.requests: list[tuple[str, str, Dataset]] = []

    def create(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(("N-CREATE", event.request.AffectedSOPInstanceUID, event.attribute_list))
        return self.status, None

    def set(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(("N-SET", event.request.RequestedSOPInstanceUID, event.modification_list))
        return self.status, None


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def theirs(asked) -> Iterator[Peer]:
    handlers = [(evt.EVT_N_CREATE, asked.create), (evt.EVT_N_SET, asked.set)]
    with pynetdicom.acceptor(handlers, sop_classes=(PERFORMED_STEP, AVAILABILITY)) as peer:
        yield peer


def test_our_modality_performs_a_step_at_pynetdicom(theirs, asked):
    attributes, modifications = begun(PerformedProcedureStepStatus=None), ended("")
    mpps.in_progress(theirs, STEP, attributes)
    mpps.completed(theirs, STEP, modifications)
    mpps.discontinued(theirs, STEP, modifications)
    assert [(operation, str(uid)) for operation, uid, _ in asked.requests] == [
        ("N-CREATE", STEP),
        ("N-SET", STEP),
        ("N-SET", STEP),
    ]
    assert [sent.PerformedProcedureStepStatus for _, _, sent in asked.requests] == [
        "IN PROGRESS",
        "COMPLETED",
        "DISCONTINUED",
    ]
    assert asked.requests[0][2] == begun()
    assert (attributes, modifications) == (begun(PerformedProcedureStepStatus=None), ended(""))


SENDS: list[Callable[[Peer], Any]] = [
    lambda peer: mpps.in_progress(peer, STEP, begun()),
    lambda peer: mpps.completed(peer, STEP, ended()),
    lambda peer: notify(peer, NOTICE),
]


@pytest.mark.parametrize("send", SENDS)
def test_warnings_pass_and_failures_do_not(theirs, asked, send):
    asked.status = 0x0116
    assert send(theirs).response.status == 0x0116
    asked.status = 0x0110
    with pytest.raises(StatusFailure) as caught:
        send(theirs)
    assert caught.value.status == 0x0110


# ------------------------------------------------------------------ instance availability


def test_we_notify_pynetdicom(theirs, asked):
    notify(theirs, NOTICE, sop_instance_uid="1.2.7")
    [(operation, uid, sent)] = asked.requests
    assert (operation, str(uid)) == ("N-CREATE", "1.2.7")
    [series] = sent.ReferencedSeriesSequence
    [instance] = series.ReferencedSOPSequence
    assert (sent.StudyInstanceUID, series.SeriesInstanceUID) == ("1.2.3", "1.2.3.4")
    assert (instance.InstanceAvailability, instance.RetrieveAETitle) == ("ONLINE", "PACS")
    assert sent.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == STEP


def test_pynetdicom_notifies_us(server, notices):
    reference = dataset(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.2.3.4.5")
    reference.InstanceAvailability, reference.RetrieveAETitle = "ONLINE", "PACS"
    series = dataset(SeriesInstanceUID="1.2.3.4", ReferencedSOPSequence=[reference])
    attributes = dataset(ReferencedPerformedProcedureStepSequence=[], StudyInstanceUID="1.2.3")
    peer: Association
    with opened(server, AVAILABILITY) as peer:
        status, _ = peer.send_n_create(attributes, AVAILABILITY, "1.2.7")
        assert (status.Status, status.ErrorComment) == (0x0120, "ReferencedSeriesSequence is missing")
        attributes.ReferencedSeriesSequence = [series]
        status, _ = peer.send_n_create(attributes, AVAILABILITY, "1.2.7")
    assert status.Status == 0x0000
    [(requestor, uid, notice)] = notices
    assert (requestor.ae_title, uid) == ("PYNETDICOM", "1.2.7")
    assert notice == AvailabilityNotice("1.2.3", NOTICE.series)


def test_we_notify_ourselves(ours, notices):
    answered = notify(ours, NOTICE)
    [(requestor, uid, notice)] = notices
    assert (requestor.ae_title, uid, notice) == ("CT1", answered.sop_instance_uid, NOTICE)
