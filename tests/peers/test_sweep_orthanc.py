"""A sweep of a real Orthanc: the dry run, its REST interface, a list where nothing can be deleted, and asking again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.cli.main import run
from tests.peers import programs
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, Hospital, hospital
from tests.unit.services.test_derivation import add

pytestmark = pytest.mark.peers

PATIENTS = "1.2.840.5.5"


class Lab:
    """An Orthanc in production, and the command line of an installation that sent a study to it."""

    def __init__(
        self,
        folder: Path,
        orthanc: programs.Orthanc,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.orthanc, self._capsys = orthanc, capsys
        monkeypatch.setenv("DICOMFAB_HOME", str(folder / "home"))
        built = Application(Settings(folder / "home"))
        entry = {"name": "Hospital", "host": "127.0.0.1", "port": orthanc.peer.port, "aec": "ORTHANC"}
        built.pacs.add(ADMIN, {**entry, "environment": "prod", "allow_synthetic": True})
        built.close()
        self.call("study", "create", "--kind", "text-card:3", "--seed", "3")
        assert self.call("study", "send", "latest", "--to", "hospital", "--yes-production")[0] == 0

    def call(self, *words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            run(list(words))
        return int(left.value.code or 0), self._capsys.readouterr().out

    @property
    def instances(self) -> int:
        """What Orthanc itself says that it holds."""
        return int(self.orthanc.rest("/statistics")["CountInstances"])


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Lab]:
    (folder := tmp_path / "orthanc").mkdir()
    with programs.orthanc(folder) as running, hospital(tmp_path / "site") as site:
        made = Lab(tmp_path, running, monkeypatch, capsys)
        assert made.instances == 3
        _put_a_patients_study(site, running)
        yield made


def _put_a_patients_study(site: Hospital, orthanc: programs.Orthanc) -> None:
    add(site, PATIENTS, data_set(picture(), bits=8))
    server = site.entry("ORTHANC", orthanc.peer.port, allow_real=True)
    assert site.transfers.send(ADMIN, PATIENTS, server).accepted == 1


@pytest.mark.full
def test_only_ours_goes_by_the_rest_interface_and_it_is_asked_again(lab: Lab) -> None:
    where = ("sweep", "hospital", "--orthanc", lab.orthanc.http, "--json")
    code, out = lab.call(*where)
    seen = json.loads(out)
    assert (code, seen["way"], seen["asked"], seen["remaining"]) == (0, "orthanc", 1, None)
    assert lab.instances == 4
    code, _ = lab.call(*where, "--delete")
    assert code != 0
    assert lab.instances == 4
    code, out = lab.call(*where, "--delete", "--yes-production")
    done = json.loads(out)
    assert (code, [one["outcome"] for one in done["found"]], done["remaining"]) == (0, ["deleted"], [])
    assert lab.instances == 1
    (left,) = lab.orthanc.rest("/studies?expand")
    assert left["MainDicomTags"]["StudyInstanceUID"] == PATIENTS


def test_where_nothing_can_be_deleted_there_is_a_list_and_the_exit_code_says_what_remains(
    lab: Lab, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    code, out = lab.call("sweep", "hospital", "--delete", "--yes-production", "--out", str(file), "--json")
    told = json.loads(out)
    assert (code, told["way"], len(told["remaining"])) == (1, "list", 1)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    ours = {one["MainDicomTags"]["SOPInstanceUID"] for one in lab.orthanc.rest("/instances?expand")}
    listed = {row["SOPInstanceUID"] for row in rows}
    assert len(listed) == 3
    assert listed < ours
    assert PATIENTS not in {row["StudyInstanceUID"] for row in rows}
    assert lab.instances == 4


@pytest.mark.full
def test_an_address_without_dicomweb_deletes_nothing_and_says_so(lab: Lab) -> None:
    lab.call("pacs", "edit", "hospital", "--dicomweb-root", f"{lab.orthanc.http}/dicom-web")
    code, out = lab.call("sweep", "hospital", "--delete", "--yes-production", "--json")
    told = json.loads(out)
    assert (code, told["way"], len(told["remaining"])) == (1, "dicomweb", 1)
    assert "answers 404 to DELETE" in told["found"][0]["outcome"]
    assert lab.instances == 4


@pytest.mark.parametrize(("url", "said"), [("http://127.0.0.1:{port}", "REST interface does not answer")])
def test_a_rest_interface_that_is_away_is_no_deletion(lab: Lab, url: str, said: str) -> None:
    away = url.format(port=programs.free_port())
    code, out = lab.call("sweep", "hospital", "--orthanc", away, "--delete", "--yes-production", "--json")
    told = json.loads(out)
    assert (code, len(told["remaining"])) == (1, 1)
    assert said in told["found"][0]["outcome"]
    assert lab.call("sweep", "hospital", "--orthanc", "file:///etc")[0] == 2
    assert lab.instances == 4
