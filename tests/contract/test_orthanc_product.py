"""What else of the product touches the lab, run on Orthanc: doctor, sweeps, DICOMweb by the registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfab.app.lab_store import remove_doctors_study
from dicomfab.app.settings import Settings
from dicomfab.cli.main import run
from dicomfab.registry.server import PacsServer
from dicomfab.testpacs.orthanc_rest import OrthancStudies
from dicomfab.testpacs.spec import EngineName
from tests.contract.bench import Bench, bench, study_of

pytestmark = [pytest.mark.peers, pytest.mark.full]

Call = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("home"), EngineName.ORTHANC) as running:
        yield running


@pytest.fixture
def home(lab: Bench) -> Path:
    return lab.lab.folders.root.parent


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setenv("DICOMFAB_HOME", str(home))

    def command(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run(list(words))
        return int(left.value.code or 0), capsys.readouterr().out

    command("lab", "configure")
    return command


def test_the_doctor_leaves_nothing_behind(lab: Bench, call: Call) -> None:
    code, out = call("doctor", "move", "--from", "Test PACS 1", "--to", "Prod PACS 2", "--yes-production", "--json")
    found = json.loads(out)
    assert (code, found["verdict"]) == (0, "nothing wrong")
    assert found["checks"][-1]["seen"] == "removed from Test PACS 1 and Prod PACS 2"


def test_no_other_study_is_removed_for_the_doctor(lab: Bench, home: Path) -> None:
    assert lab.send(lab.file(study_of("90", 1)[0])) == [0]
    server = lab.lab.config.server("test-pacs-1")
    entry = PacsServer(
        id=server.id, name=server.name, host="localhost", port=server.dicom_port, aec=server.ae_title,
        environment=server.environment,
    )  # fmt: skip
    assert not remove_doctors_study(Settings(home), entry, "1.2.90")
    assert lab.instances("1.2.90") == {"1.2.90.1.1"}
    assert remove_doctors_study(Settings(home), entry, "1.2.91")  # it is not there
    OrthancStudies(lab.lab.config, server).delete_study("1.2.90")
    assert lab.instances("1.2.90") == set()


def test_a_sweep_deletes_what_was_sent(lab: Bench, call: Call) -> None:
    made = json.loads(call("study", "create", "--kind", "text-card", "--json")[1])
    study = made["study_instance_uid"]
    assert call("send", study, "--to", "test-pacs-2")[0] == 0
    [before] = lab.find(at="test-pacs-2", QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
    assert before.StudyInstanceUID == study
    code, out = call("sweep", "test-pacs-2", "--delete", "--json")
    swept = json.loads(out)
    assert (code, swept["way"], [one["outcome"] for one in swept["found"]]) == (0, "lab", ["deleted"])
    assert lab.find(at="test-pacs-2", QueryRetrieveLevel="STUDY", StudyInstanceUID=study) == []


def test_it_is_searched_by_dicomweb_with_the_password_of_the_registry(lab: Bench, call: Call) -> None:
    assert lab.send(lab.file(study_of("92", 1, AccessionNumber="WEB1")[0])) == [0]
    code, out = call("query", "--accession", "WEB1", "--pacs", "test-pacs-1", "--via", "web", "--json")
    assert code == 0
    assert "1.2.92" in out
