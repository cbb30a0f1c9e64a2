"""Pages of local studies: several at once, series, instances, attributes, differences, validation."""

from __future__ import annotations

import io
import re
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import quote

import pydicom
import pytest
from PIL import Image

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.audit import EventKind
from dicomfab.model.job import JobState
from dicomfab.services.attributes import first_instance
from dicomfab.storage.audit import AuditFilter
from dicomfab.web.studies import version_of
from tests.unit.web.conftest import ACTOR, Browser, done

HOSTILE = "<script>alert(1)</script>\u202eevil\x1b[31m" + "W" * 10_000


@pytest.fixture
def second(application: Application) -> str:
    """A second study, of two instances."""
    recipe = StudyRecipe((SeriesRecipe.parse("text-card:2"),), seed=2)
    return application.studies.create(
        ACTOR, application.studies.resolve_recipe(ACTOR, recipe)
    ).resolved.study_instance_uid


def _address(application: Application, study: str) -> str:
    found = first_instance(application.studies, ACTOR, study)
    return f"/studies/{study}/series/{found.series_instance_uid}/instances/{found.identity.sop_instance_uid}"


def test_filters_stand_in_the_address_and_are_shown(browser: Browser, study: str, second: str) -> None:
    page = browser.get("/studies?environment=test&since=2026-01-31&until=2026-01-31&modality=ot&name=doe").text
    assert study in page
    assert second not in page
    for said in ("Environment: test", "From: 2026-01-31", "To: 2026-01-31", "Modality: OT", "Patient name: doe"):
        assert said in page
    assert '<details class="filter-more" open>' in page
    assert "No study matches" in browser.get("/studies?environment=prod").text
    assert "No study matches" in browser.get("/studies?modality=MG").text
    assert study in browser.get("/studies?environment=x&since=nonsense&modality=%3Cb%3E&size=7").text


def test_what_is_chosen_stays_chosen_on_another_page(browser: Browser, study: str, second: str) -> None:
    page = browser.get(f"/studies?q=doe&study={study}&study={second}&study=%3Cscript%3E").text
    assert re.search(rf'value="{study}" aria-label="[^"]*" checked', page)
    assert f'value="{second}" checked hidden' in page
    assert "1 of them on other pages" in page
    assert "<script>" not in page.partition("</head>")[2]


def test_several_are_sent_by_one_job_after_one_question(
    browser: Browser, application: Application, study: str, second: str, servers: tuple[str, str]
) -> None:
    asked = browser.get(f"/studies/send?study={study}&study={second}").text
    assert "Send 2 studies, 3 instances, to …" in asked
    form = {"study": [study, second], "destination": "beta"}
    refused = browser.post("/studies/send", form)
    assert refused.status_code == 400
    assert 'id="confirm_name-error"' in refused.text
    assert browser.post("/studies/send", {"destination": "alpha"}).status_code == 400
    last = done(application, browser.post("/studies/send", {**form, "destination": "alpha"}))
    assert (last.state, last.counts.total) == (JobState.QUEUED, 3)


def test_a_zip_has_a_dicomdir_that_names_every_file(
    browser: Browser, application: Application, study: str, second: str
) -> None:
    answer = browser.get(f"/studies/download?study={study}&study={second}")
    assert answer.headers["content-disposition"] == 'attachment; filename="studies-2.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        directory = pydicom.dcmread(io.BytesIO(archive.read("DICOMDIR")))
        named = {"/".join(r.ReferencedFileID) for r in directory.DirectoryRecordSequence if "ReferencedFileID" in r}
        assert named == {name for name in archive.namelist() if name.startswith("DICOM/")}
    exports = [
        e.event for e in application.audit.page(ACTOR, AuditFilter()).entries if e.event.kind is EventKind.EXPORT
    ]
    assert sorted(e.study_uids for e in exports) == sorted([(study,), (second,)])


def test_several_are_deleted_after_one_question(
    browser: Browser, application: Application, study: str, second: str
) -> None:
    assert "Delete 2 studies, 3 instances?" in browser.get(f"/studies/delete?study={study}&study={second}").text
    assert browser.post("/studies/delete", {"study": [study, second]}).status_code == 303
    assert application.studies.page(ACTOR).total == 0
    assert browser.get("/studies/delete").status_code == 400


def test_one_study_is_compared_on_servers(browser: Browser, study: str, second: str) -> None:
    assert browser.get(f"/studies/compare?study={study}").headers["location"].endswith(f"study_instance_uid={study}")
    assert browser.get(f"/studies/compare?study={study}&study={second}").status_code == 400


def test_a_validation_is_followed_to_its_end(browser: Browser, study: str) -> None:
    address = browser.post("/studies/validate", {"study": [study]}).headers["location"]
    deadline = time.monotonic() + 60
    while "every 1s" in (page := browser.get(address).text) and time.monotonic() < deadline:
        threading.Event().wait(0.1)
    assert "1 of 1 instances checked" in page
    assert "Valid" in page
    assert browser.get(f"{address}?severity=error").text.count("Nothing found of this kind") == 1
    assert browser.get("/studies/validations/nowhere").status_code == 404


def test_a_series_lists_its_instances(browser: Browser, application: Application, second: str) -> None:
    series = _address(application, second).rpartition("/instances/")[0]
    page = browser.get(series).text
    assert page.count('class="pick"') == 3
    assert browser.get(f"{series}?page=9").status_code == 200
    assert browser.get(f"/studies/{second}/series/1.2.3").status_code == 404


def test_an_instance_shows_picture_neighbours_and_attributes(
    browser: Browser, application: Application, study: str, second: str
) -> None:
    address = _address(application, second)
    page = browser.get(address).text
    assert "Instance 1 of 2" in page
    assert 'rel="next"' in page
    assert 'rel="prev"' not in page
    assert "(7FE0,0010)" in page
    version = quote(version_of(application.studies.brief(ACTOR, second).summary))
    picture = browser.get(f"{address}/picture.png?small=1&v={version}")
    assert max(Image.open(io.BytesIO(picture.content)).size) <= 112
    assert "immutable" in picture.headers["cache-control"]
    assert browser.get(f"{address}/picture.png?frame=2").status_code == 404
    elsewhere = address.replace(second, study)
    assert browser.get(elsewhere).status_code == 404
    assert browser.get(f"{elsewhere}/picture.png").status_code == 404


def test_attributes_are_searched_at_all_levels(browser: Browser, application: Application, study: str) -> None:
    address = _address(application, study)
    page = browser.get(f"{address}?q=PatientName").text
    assert '<bdi dir="auto" class="attr-group" title="alphabetic">Doe^Jane</bdi>' in page
    assert "0 of" in browser.get(f"{address}?q=nothinglikethis").text
    assert browser.get(f"{address}/items?path=(0010,0010)").status_code == 404
    assert browser.get(f"{address}/items?path=nonsense").status_code == 400
    assert "Doe^Jane" in browser.get(f"{address}/value?path=(0010,0010)").text


def test_hostile_values_are_shown_as_text(
    browser: Browser, application: Application, tmp_path: Path, study: str
) -> None:
    dataset = pydicom.dcmread(first_instance(application.studies, ACTOR, study).path)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageComments = HOSTILE
    dataset.PatientName = "<b>Evil</b>^\u202eX"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.save_as(tmp_path / "evil.dcm")
    application.importing.take(ACTOR, [tmp_path / "evil.dcm"])
    for address in ("/studies", "/studies/1.2.3", "/studies/1.2.3/series/1.2.3.1", _address(application, "1.2.3"),
                    f"/studies/diff?a=1.2.3.4&b={study}", "/studies/send?study=1.2.3"):  # fmt: skip
        answer = browser.get(address)
        assert answer.status_code == 200, address
        body = re.sub(r'data-copy="[^"]*"', "", answer.text)
        assert "<b>Evil" not in body, address
        assert "alert(1)</script>" not in body, address
        assert "\u202e" not in body, address
        assert len(answer.content) < 200_000, address
    assert "⟨U+202E⟩" in browser.get(_address(application, "1.2.3")).text
    whole = browser.get(f"{_address(application, '1.2.3')}/value?path=(0020,4000)").text
    assert "W" * 10_000 in whole


def test_differences_of_two_studies(browser: Browser, study: str, second: str) -> None:
    assert "No attribute differs" in browser.get(f"/studies/diff?a={study}&b={study}").text
    page = browser.get(f"/studies/diff?study={study}&study={second}").text
    assert "They differ" in page
    assert "(0010,0010)" in page
    assert "TransferSyntaxUID" not in page
    assert "TransferSyntaxUID" in browser.get(f"/studies/diff?a={study}&b={second}&every=1").text
    assert browser.get("/studies/diff?a=1.2.3.4.5&b=x").status_code == 404
    assert browser.get(f"/studies/diff?study={study}&study={second}&study=1.2").status_code == 400
    assert browser.get("/studies/diff").status_code == 200


def test_what_has_no_pixels_has_a_neutral_tile(browser: Browser, application: Application, study: str) -> None:
    assert browser.get(f"/studies/{study}/thumbnail.png?v=1").headers["content-type"] == "image/png"
    assert browser.get(f"/studies/{study}/thumbnail.png?series=1.2").headers["content-type"] == "image/svg+xml"
    assert browser.get("/studies/1.2.9/thumbnail.png").status_code == 404
