"""The side of a radiology information system, with DCMTK, pynetdicom and plain sockets as the other side."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.dimse.association import associate
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.worklist import CONTEXT
from dicomfab.dimse.sop_classes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PERFORMED_STEP,
)
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import AssociationRejected
from dicomfab.model.hl7_message import Hl7Message
from dicomfab.model.procedure import ProcedureFilter, RequestedProcedure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.hl7_messages import MessageFilter
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.test_performed_step import begun, dataset, ended
from tests.unit.hl7.messages import OMI_JAPANESE
from tests.unit.services.job_office import until
from tests.unit.services.ordering.conftest import message, orm, pid
from tests.unit.services.test_audit_fail_closed import server

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

ACTOR = local_admin("tester", "cli")
PLAIN = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
UID = "1.2.826.0.1.3680043.8.498.31"
STEP = "1.2.826.0.1.3680043.8.498.32"
DEADLINE_S = pynetdicom.DEADLINE_S


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home"))
    yield application
    application.close()


@contextmanager
def serving(site: Application, *, any_caller: bool = True) -> Iterator[RisConfig]:
    config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=any_caller)
    with site.ordering.ris.serving(ACTOR, config) as running:
        yield running


@pytest.fixture
def ris(site: Application) -> Iterator[RisConfig]:
    with serving(site) as running:
        yield running


class Engine:
    """An integration engine, as plain as MLLP is: whole answers come out of what the socket gives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def answer(self) -> bytes:
        """The next answer, without the bytes around it."""
        while b"\x1c\r" not in self._held:
            data = self._connection.recv(65536)
            assert data, "the connection was closed"
            self._held += data
        found, _, self._held = self._held.partition(b"\x1c\r")
        assert found.startswith(b"\x0b")
        return found[1:]

    def send(self, data: bytes) -> bytes:
        self.write(b"\x0b" + data + b"\x1c\r")
        return self.answer()


@contextmanager
def engine(port: int) -> Iterator[Engine]:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
        yield Engine(connection)


def acknowledged(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    msa = segments(answer, "MSA")[0]
    return msa.get(1), msa.get(2)


def segments(answer: bytes, name: str) -> list[Segment]:
    return [one for one in parse(answer.decode("utf-8")).segments if one.name == name]


def findscu(port: int, folder: Path, *keys: str, calling: str = "CT1") -> list[Dataset]:
    """The answers that findscu wrote to files."""
    folder.mkdir()
    arguments = [argument for key in ("PatientName", "PatientID", *keys) for argument in ("-k", key)]
    ran = programs.dcmtk(
        "findscu", "-W", "-X", "-aet", calling, "-aec", "DICOMFAB", "127.0.0.1", port, *arguments, folder=folder
    )
    assert ran.returncode == 0, ran.stderr
    return [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def opened(port: int, *sop_classes: str, calling: str = "CT1") -> Any:
    contexts = [(uid, PLAIN) for uid in sop_classes]
    return pynetdicom.association(port, contexts, called="DICOMFAB", calling=calling)


def procedures(site: Application) -> tuple[RequestedProcedure, ...]:
    return tuple(site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures)


def messages(site: Application) -> tuple[Hl7Message, ...]:
    return tuple(site.ordering.messages.page(ACTOR, MessageFilter()).messages)


def states(site: Application) -> list[str]:
    return [str(step.state) for one in procedures(site) for step in one.steps]


def for_step(study: str, step: str) -> list[Dataset]:
    """ScheduledStepAttributesSequence of a performed step."""
    return [dataset(StudyInstanceUID=study, AccessionNumber="A100", ScheduledProcedureStepID=step)]


# ------------------------------------------------------------------ the closed loop


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
def test_an_order_is_offered_performed_and_leaves_the_worklist(
    site: Application, ris: RisConfig, tmp_path: Path, end: str
) -> None:
    with engine(ris.hl7_port) as sender:
        assert acknowledged(sender.send(orm(uid=UID))) == ("AA", "M1")
    [item] = findscu(ris.dicom_port, tmp_path / "before", "AccessionNumber", "StudyInstanceUID")
    assert (item.PatientID, str(item.PatientName), item.AccessionNumber) == ("P100", "DOE^JANE", "A100")
    [scheduled] = item.ScheduledProcedureStepSequence
    assert (item.StudyInstanceUID, scheduled.ScheduledProcedureStepID) == (UID, "SPS1")

    with opened(ris.dicom_port, PERFORMED_STEP) as modality:
        steps = for_step(item.StudyInstanceUID, scheduled.ScheduledProcedureStepID)
        started = begun(ScheduledStepAttributesSequence=steps)
        assert modality.send_n_create(started, PERFORMED_STEP, STEP)[0].Status == 0x0000
        assert states(site) == ["STARTED"]
        assert [one.PatientID for one in findscu(ris.dicom_port, tmp_path / "during")] == ["P100"]
        assert modality.send_n_set(ended(end), PERFORMED_STEP, STEP)[0].Status == 0x0000
    assert states(site) == [end]
    assert findscu(ris.dicom_port, tmp_path / "after") == []
    [performed] = site.ordering.schedule.show(ACTOR, procedures(site)[0].number).performed
    assert (performed.sop_instance_uid, performed.calling_ae_title) == (STEP, "CT1")


def test_what_an_order_cancels_leaves_the_worklist_unless_it_has_begun(
    site: Application, ris: RisConfig, tmp_path: Path
) -> None:
    with engine(ris.hl7_port) as sender:
        for number, accession in enumerate(("A100", "A200"), 1):
            made = orm(f"M{number}", accession=accession, uid=f"{UID}.{number}", rp=f"RP{number}")
            assert acknowledged(sender.send(made))[0] == "AA"
        with opened(ris.dicom_port, PERFORMED_STEP) as modality:
            started = begun(ScheduledStepAttributesSequence=for_step(f"{UID}.2", "SPS1"))
            assert modality.send_n_create(started, PERFORMED_STEP, STEP)[0].Status == 0x0000
        assert acknowledged(sender.send(orm("M3", control="CA"))) == ("AA", "M3")
        late = sender.send(orm("M4", control="CA", accession="A200", rp="RP2"))
    assert acknowledged(late) == ("AE", "M4")
    assert segments(late, "ERR")[0].get(3) == "206"
    [left] = findscu(ris.dicom_port, tmp_path / "left", "AccessionNumber")
    assert left.AccessionNumber == "A200"
    assert sorted(states(site)) == ["CANCELLED", "STARTED"]


def test_a_merge_is_seen_on_the_worklist(ris: RisConfig, tmp_path: Path) -> None:
    merge = message(pid("P200", "ROE^JANE"), "MRG|P100^^^RIS", control_id="M2", kind="ADT^A40")
    with engine(ris.hl7_port) as sender:
        sender.send(orm())
        assert acknowledged(sender.send(merge)) == ("AA", "M2")
    [item] = findscu(ris.dicom_port, tmp_path / "found")
    assert (item.PatientID, str(item.PatientName)) == ("P200", "ROE^JANE")


def test_an_order_in_japanese_is_offered_with_a_step_for_each_ipc(ris: RisConfig, tmp_path: Path) -> None:
    with engine(ris.hl7_port) as sender:
        assert acknowledged(sender.send(OMI_JAPANESE.encode("utf-8"))) == ("AA", "MSG0002")
    asked = ("SpecificCharacterSet", "AccessionNumber", "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID")
    found = findscu(ris.dicom_port, tmp_path / "found", *asked)
    assert [one.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID for one in found] == ["SPS1", "SPS2"]
    for item in found:
        assert (item.SpecificCharacterSet, item.AccessionNumber) == ("ISO_IR 192", "ACC9")
        assert str(item.PatientName) == "YAMADA^TARO=山田^太郎=やまだ^たろう"


# ------------------------------------------------------------------ what is no message, and who is nobody


def test_after_what_is_no_message_the_connection_goes_on(site: Application, ris: RisConfig) -> None:
    with engine(ris.hl7_port) as sender:
        sender.write(b"GET / HTTP/1.1\r\n\r\n")  # outside of a frame: nobody is answered
        sender.write(b"\x0b" + orm("CUT")[:120])
        sender.write(b"\x0bhello\x1c\r")
        cut, hello = sender.answer(), sender.answer()
        assert acknowledged(cut) == ("AR", "CUT")
        assert acknowledged(hello) == ("AR", "")
        assert "no MSH" in segments(hello, "ERR")[0].get(8)
        assert acknowledged(sender.send(orm("GOOD"))) == ("AA", "GOOD")
    assert len(procedures(site)) == 1
    assert [one.control_id for one in messages(site)] == ["GOOD", ""]


def test_enhanced_mode_commits_first_and_applies_then(site: Application, ris: RisConfig, tmp_path: Path) -> None:
    header, rest = orm().split(b"\r", 1)
    enhanced = header + b"|||AL|NE\r" + rest
    with engine(ris.hl7_port) as sender:
        first = sender.send(enhanced)
        assert acknowledged(first) == ("CA", "M1")
        until(lambda: [str(one.state) for one in messages(site)] == ["applied"])
        assert sender.send(enhanced) == first
    assert [one.repeats for one in messages(site)] == [1]
    assert [one.PatientID for one in findscu(ris.dicom_port, tmp_path / "found")] == ["P100"]


def admitted(port: int, calling: str) -> bool:
    # Not by pynetdicom: when a connection ends at once after a rejection, it may say that it was aborted.
    try:
        with associate(Peer("127.0.0.1", port, "DICOMFAB", calling), [CONTEXT]):
            return True
    except AssociationRejected as rejection:
        return rejection.code != "1/1/3"


def test_without_any_caller_only_registered_servers_are_admitted(site: Application) -> None:
    with serving(site, any_caller=False) as ris:
        assert not admitted(ris.dicom_port, "MODALITY")
        site.pacs.add(ACTOR, server("Modality", 104))
        assert admitted(ris.dicom_port, "MODALITY")
        assert not admitted(ris.dicom_port, "STRANGER")
        site.pacs.add(ACTOR, server("Ward", 104, environment="prod"))
        site.pacs.add(ACTOR, server("Elsewhere", 104, host="192.0.2.1"))
        assert not admitted(ris.dicom_port, "WARD")
        assert not admitted(ris.dicom_port, "ELSEWHERE")


# ------------------------------------------------------------------ processes


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "dicomfab", *map(str, words)]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "DICOMFAB_HOME": str(home)}


@contextmanager
def ris_process(home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``dicomfab ris run`` on free ports, and its port for HL7; killed at the end if it is not over by then."""
    words = ("ris", "run", "--test", "--any-caller", "--hl7-port", 0, "--dicom-port", 0, "--json")
    with subprocess.Popen(
        command(*words), env=environment(home), stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["listening"]["hl7_port"]
        finally:
            process.kill()


def test_a_message_is_recognised_by_the_next_process_after_the_first_was_killed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ris_process(home) as (process, port), engine(port) as sender:
        first = sender.send(orm())
        process.send_signal(signal.SIGKILL)
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
    with ris_process(home) as (_, port), engine(port) as sender:
        assert sender.send(orm()) == first
        assert acknowledged(first) == ("AA", "M1")
    application = build(Settings(home))
    assert len(procedures(application)) == 1
    assert [(one.control_id, one.repeats) for one in messages(application)] == [("M1", 1)]
    application.close()


@pytest.mark.full
def test_sending_tells_by_its_exit_code_what_became_of_a_message(
    site: Application, ris: RisConfig, tmp_path: Path
) -> None:
    def sent(data: bytes, port: int) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "message.hl7"
        file.write_bytes(data)
        words = ("hl7", "send", file, "--to", f"127.0.0.1:{port}", "--test")
        home = tmp_path / "sender"
        return subprocess.run(
            command(*words), env=environment(home), capture_output=True, text=True, check=False, timeout=60
        )

    accepted = sent(orm(), ris.hl7_port)
    assert (accepted.returncode, accepted.stdout) == (0, "message 1: AA\n")
    refused = sent(orm("M2", control="CA", accession="NONE", placer="NONE"), ris.hl7_port)
    assert refused.returncode == 6
    assert "there is no order" in refused.stderr
    nobody = sent(orm("M3"), programs.free_port())
    assert nobody.returncode == 4
    assert "cannot be reached" in nobody.stderr
    assert [one.control_id for one in messages(site)] == ["M2", "M1"]
