"""The life of a lab with each engine: stopped, started, killed, cleaned, changed to the other engine and back."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dicomfab.archive.records import Duplicate
from dicomfab.dimse.commitment import Failed, Reference, Transaction, Verdict
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports, request_commitment
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.model.errors import AssociationRejected, Conflict, PortInUse, StatusFailure
from dicomfab.testpacs.lab import State
from dicomfab.testpacs.spec import IDS, EngineName
from tests.contract.answers import ANSWERS
from tests.contract.bench import Bench, bench, study_of
from tests.unit.archive.builders import CT
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.testpacs.labs import running_lab

pytestmark = [pytest.mark.peers, pytest.mark.full]

STUDY = "1.2.80"
OTHER = {EngineName.EMBEDDED: EngineName.ORTHANC, EngineName.ORTHANC: EngineName.EMBEDDED}


@pytest.fixture(params=list(EngineName), ids=str)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, request.param) as running:
        yield running


def held(lab: Bench) -> list[int]:
    return [-1 if one.holdings is None else one.holdings.instances for one in lab.lab.status()]


def test_what_is_held_outlives_a_restart_and_a_kill_and_no_cleaning(lab: Bench) -> None:
    assert lab.send(*(lab.file(data) for data in study_of("80", 3))) == [0, 0, 0]
    assert set(lab.lab.stop()) == set(IDS)
    assert {one.state for one in lab.lab.status()} == {State.STOPPED}
    lab.lab.start()
    assert held(lab) == [3, 0, 0, 0]
    lab.kill("test-pacs-1")
    assert held(lab) == [-1, 0, 0, 0]
    again = {one.server.id: one.was_running for one in lab.lab.start()}
    assert again == {**dict.fromkeys(IDS, True), "test-pacs-1": False}
    assert lab.instances(STUDY) == {f"{STUDY}.1.{number}" for number in (1, 2, 3)}
    assert set(lab.lab.clean()) == set(IDS)
    assert lab.engine not in lab.lab.engines_with_data()
    assert list((lab.lab.folders.root / "logs").iterdir()) == []
    lab.lab.start()
    assert held(lab) == [0, 0, 0, 0]


def test_each_engine_finds_its_own_studies_again(lab: Bench) -> None:
    def change(engine: EngineName) -> None:
        lab.lab.configure(lambda config: replace(config, engine=engine))

    assert lab.send(*(lab.file(data) for data in study_of("80", 2))) == [0, 0]
    with pytest.raises(Conflict, match="would not follow"):
        change(OTHER[lab.engine])
    lab.lab.stop()
    change(OTHER[lab.engine])
    lab.lab.start()
    assert held(lab) == [0, 0, 0, 0]
    lab.lab.clean()
    assert lab.lab.engines_with_data() == (lab.engine,)
    change(lab.engine)
    lab.lab.start()
    assert held(lab) == [2, 0, 0, 0]


def test_a_move_to_a_server_that_does_not_run(lab: Bench) -> None:
    lab.send(*(lab.file(data) for data in study_of("80", 2)))
    lab.kill("prod-pacs-2")
    with pytest.raises(StatusFailure) as caught:
        lab.move("PRODPACS2", QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    assert caught.value.status == ANSWERS[lab.engine].dead_destination


def test_storage_is_committed_to_on_a_new_association(lab: Bench) -> None:
    lab.send(*(lab.file(data) for data in study_of("80", 1)))
    lab.kill("prod-pacs-2")  # we take its place: the servers know where that is
    told: list[tuple[str, Verdict]] = []
    reports = CommitmentReports(lambda requestor, verdict: told.append((requestor.ae_title, verdict)))
    config = ServerConfig("PRODPACS2", port=lab.lab.config.server("prod-pacs-2").dicom_port)
    there, absent = Reference(CT, f"{STUDY}.1.1"), Reference(CT, "1.2.99")
    transaction = Transaction("1.2.826.0.1.3680043.8.498.4", (there, absent))
    with Server(config, MemoryPacs(), {COMMITMENT: reports}):
        assert request_commitment(lab.peer(calling="PRODPACS2"), transaction) is None
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.02)
    assert told == [("TESTPACS", Verdict(transaction.transaction_uid, (there,), (Failed(absent, 0x0112),)))]


def test_nobody_else_may_read_the_settings_or_see_a_password(lab: Bench) -> None:
    files = [path for path in lab.lab.folders.root.rglob("*") if path.is_file() and b"test123" in path.read_bytes()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    for one in lab.lab.status():
        assert one.pid is not None
        process = psutil.Process(one.pid)
        assert "test123" not in " ".join(process.cmdline())
        assert os.getsid(one.pid) == one.pid
        assert process.cwd() == str(lab.lab.folders.root)


def test_a_taken_port_is_the_labs_own(lab: Bench, tmp_path: Path) -> None:
    with running_lab(tmp_path / "second") as second:
        second.stop()
        second.configure(lambda config: replace(config, engine=lab.engine, servers=lab.lab.config.servers))
        with pytest.raises(PortInUse) as caught:
            second.start()
    assert caught.value.cause == "that is the lab of another DICOMFAB_HOME"


@pytest.mark.parametrize("engine", list(EngineName), ids=str)
def test_strict_and_replacing(engine: EngineName, tmp_path: Path) -> None:
    with bench(tmp_path, engine, strict=True, on_duplicate=Duplicate.REPLACE) as lab:
        for calling in ("DICOMFAB", "MODALITY1", "PRODPACS2"):
            echo(lab.peer(calling=calling))
        with pytest.raises(AssociationRejected) as caught:
            echo(lab.peer(calling="SOMEBODY"))
        assert caught.value.code == "1/1/3"
        [data] = study_of("80", 1, AccessionNumber="FIRST")
        lab.send(lab.file(data))
        data.AccessionNumber = "SECOND"
        assert lab.send(lab.file(data)) == [0]
        [found] = lab.find(QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY, AccessionNumber="")
        assert found.AccessionNumber == "SECOND"
