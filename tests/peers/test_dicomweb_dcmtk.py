"""Objects that DCMTK made, by DICOMweb: in and out byte for byte, found, and seen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.dicomweb.multipart import read_parts, written
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import local_admin
from dicomfab.web.app import create_app
from tests.peers.programs import dcmtk
from tests.unit.web.conftest import Browser

pytestmark = pytest.mark.peers

ACTOR = local_admin("tests", "api")
TYPE = 'multipart/related; type="application/dicom"; boundary=b'
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    yield application
    application.close()


@pytest.fixture
def browser(application: Application) -> Browser:
    return Browser(create_app(application))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A text card of ours, for DCMTK to compress."""
    maker = build(Settings(tmp_path / "maker", worker_idle_s=0))
    recipe = maker.studies.resolve_recipe(ACTOR, StudyRecipe((SeriesRecipe("text-card", 1),), seed=5))
    maker.studies.write_files(ACTOR, recipe, tmp_path / "plain")
    maker.close()
    (file,) = (tmp_path / "plain").rglob("*.dcm")
    return file


def made(folder: Path, program: str, *words: object) -> Path:
    """What a program of DCMTK writes."""
    target = folder / "made.dcm"
    done = dcmtk(program, *words, target)
    assert done.returncode == 0, done.stderr
    return target


def stored(browser: Browser, file: Path) -> tuple[FileDataset, str]:
    """Store it; the data set, and the address of the instance."""
    body = b"".join(written([({"Content-Type": "application/dicom"}, [file.read_bytes()])], "b"))
    answer = browser.request("POST", "/dicom-web/studies", content=body, headers={"Content-Type": TYPE})
    assert answer.status_code == 200, answer.text
    ds = dcmread(file)
    address = f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    return ds, address


def content_of(answer: httpx.Response) -> bytes:
    """The data set of the only part of a multipart answer, without preamble and file meta information."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].strip('"')
    ((_, content),) = [(one.headers, b"".join(one.content)) for one in read_parts(iter([answer.content]), boundary)]
    return content


@pytest.mark.parametrize("program", ["dcmcrle", "dcmcjpls", "dcmcjpeg"])
def test_what_dcmtk_compressed_comes_back_as_it_was_and_is_seen(
    browser: Browser, plain: Path, tmp_path: Path, program: str
) -> None:
    file = made(tmp_path, program, plain)
    ds, address = stored(browser, file)
    back = dcmread(io.BytesIO(content_of(browser.get(address, Accept=AS_STORED))))
    assert back.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
    assert back.PixelData == ds.PixelData
    assert back == ds
    (found,) = browser.get(f"/dicom-web/instances?SOPInstanceUID={ds.SOPInstanceUID}").json()
    assert found["00280010"]["Value"] == [ds.Rows]
    frame = browser.get(f"{address}/frames/1", Accept='multipart/related; type="application/octet-stream"')
    assert content_of(frame) == dcmread(plain).PixelData[: ds.Rows * ds.Columns * ds.SamplesPerPixel]
    picture = browser.get(f"{address}/rendered", Accept="image/png")
    with Image.open(io.BytesIO(picture.content)) as shown:
        assert shown.size == (ds.Columns, ds.Rows)


def test_a_pdf_that_dcmtk_encapsulated_is_a_pdf_again(browser: Browser, tmp_path: Path) -> None:
    document = tmp_path / "report.pdf"
    Image.new("L", (200, 100), 128).save(document)
    file = made(tmp_path, "pdf2dcm", "--title", "Report", document)
    ds, address = stored(browser, file)
    rendered = browser.get(f"{address}/rendered", Accept="application/pdf")
    assert rendered.headers["content-type"].startswith("application/pdf")
    assert rendered.content.rstrip(b"\0") == document.read_bytes().rstrip(b"\0")
    opened = browser.get(f"/studies/{ds.StudyInstanceUID}/view")
    assert opened.headers["location"].startswith("/ohif/viewer")
