"""dicomweb-client, as a library and as its command, against the local store and against a test PACS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pydicom import dcmread
from pydicom.dataset import Dataset
from requests import HTTPError, Session

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import WebSettings
from dicomfab.archive.archive import Archive
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import local_admin
from dicomfab.model.study import Patient
from dicomfab.testpacs.ports import free_ports
from dicomfab.testpacs.server import web_page
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER, LabConfig
from tests.security.served import in_this_process

ACTOR = local_admin("local", "web")
#: As it is stored, whatever that is.
AS_STORED = (("application/dicom", "*"),)


@dataclass(frozen=True)
class Site:
    """A place that speaks DICOMweb.

    Args:
        url: its root.
        credentials: for the command.
        session: for the library.
    """

    url: str
    credentials: tuple[str, ...]
    session: Session

    @property
    def client(self) -> DICOMwebClient:
        return DICOMwebClient(self.url, session=self.session)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("dicomweb_client")), "--url", self.url, *self.credentials, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.fixture(params=["local store", "test PACS"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "local store":
        application = build(Settings(tmp_path / "served", worker_idle_s=0))
        with in_this_process(application, WebSettings()) as address:
            yield Site(f"{address}/dicom-web", (), Session())
        application.close()
        return
    found = free_ports(8, "127.0.0.1")
    config = LabConfig().with_ports(dicom_ports=found[:4], web_ports=found[4:])
    archive = Archive(tmp_path / "pacs")
    with web_page(config, config.servers[0], archive):
        session = create_session_from_user_pass(WEB_USER, WEB_PASSWORD)
        yield Site(f"http://127.0.0.1:{found[4]}/dicom-web", ("-u", WEB_USER, "-p", WEB_PASSWORD), session)
    archive.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A study of four CT slices, two of them compressed."""
    application = build(Settings(tmp_path_factory.mktemp("home"), worker_idle_s=0))
    recipe = StudyRecipe(
        (SeriesRecipe("text-card", count=2), SeriesRecipe("text-card", count=2, transfer_syntax="j2k")),
        patient=Patient("Webb^Dora", "SYN77", "19700101", "F"),
        seed=3,
        accession_number="SYN-W1",
    )
    folder = tmp_path_factory.mktemp("files") / "study"
    application.studies.write_files(ACTOR, application.studies.resolve_recipe(ACTOR, recipe), folder)
    application.close()
    return sorted(folder.rglob("*.dcm"))


def data_set_bytes(ds: Dataset) -> bytes:
    import io

    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_what_is_stored_is_found_and_retrieved(site: Site, files: list[Path]) -> None:
    client, sent = site.client, [dcmread(one) for one in files]
    answer = client.store_instances(sent)
    assert len(answer.ReferencedSOPSequence) == len(files)
    assert "FailedSOPSequence" not in answer
    study = sent[0].StudyInstanceUID
    (found,) = client.search_for_studies(search_filters={"PatientName": "WEBB*"}, fields=["StudyDescription"])
    assert found["0020000D"]["Value"] == [study]
    assert len(client.search_for_series(study)) == 2
    assert len(client.search_for_instances(study)) == len(files)
    assert client.search_for_studies(search_filters={"PatientName": "NOBODY"}) == []
    metadata = client.retrieve_study_metadata(study)
    assert {one["00080018"]["Value"][0] for one in metadata} == {one.SOPInstanceUID for one in sent}


def test_instances_come_back_as_they_were(site: Site, files: list[Path]) -> None:
    sent = {one.SOPInstanceUID: one for one in map(dcmread, files)}
    site.client.store_instances(list(sent.values()))
    study = next(iter(sent.values())).StudyInstanceUID
    back = {one.SOPInstanceUID: one for one in site.client.iter_study(study, media_types=AS_STORED)}
    assert back.keys() == sent.keys()
    for uid, before in sent.items():
        assert back[uid].file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
        assert back[uid] == before


def test_frames_and_pictures(site: Site, files: list[Path]) -> None:
    sent = [dcmread(one) for one in files]
    site.client.store_instances(sent)
    for one in sent:
        place = (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
        (frame,) = site.client.retrieve_instance_frames(*place, frame_numbers=[1])
        pixels = np.frombuffer(frame, one.pixel_array.dtype).reshape(one.pixel_array.shape)
        assert np.array_equal(pixels, one.pixel_array)
        picture = site.client.retrieve_instance_rendered(*place, media_types=("image/png",))
        assert picture.startswith(b"\x89PNG")


def test_deleting(site: Site, files: list[Path]) -> None:
    sent = [dcmread(one) for one in files]
    site.client.store_instances(sent)
    place = (sent[0].StudyInstanceUID, sent[0].SeriesInstanceUID, sent[0].SOPInstanceUID)
    site.client.delete_instance(*place)
    assert len(site.client.search_for_instances(place[0])) == len(files) - 1
    site.client.delete_study(place[0])
    assert site.client.search_for_studies() == []
    with pytest.raises(HTTPError, match="404"):
        site.client.retrieve_study_metadata(place[0])


def test_its_command_stores_finds_and_retrieves(site: Site, files: list[Path], tmp_path: Path) -> None:
    site.command("store", "instances", *map(str, files))
    (found,) = json.loads(site.command("search", "studies", "--filter", "PatientID=SYN77").stdout)
    study = found["0020000D"]["Value"][0]
    out = tmp_path / "out"
    out.mkdir()
    site.command("retrieve", "studies", "--study", study, "full", "--save", "--output-dir", str(out))
    assert {dcmread(one).SOPInstanceUID for one in out.iterdir()} == {dcmread(one).SOPInstanceUID for one in files}
