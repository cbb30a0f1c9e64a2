"""Pictures to scroll through, thumbnails, and what instances say for reading."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import EventKind
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services import kept_pictures
from dicomfab.services.kept_pictures import Kept
from dicomfab.storage.audit import AuditFilter
from dicomfab.web.access import declared_actions
from dicomfab.web.studies import KEPT, version_of
from tests.unit.archive.builders import store
from tests.unit.services.readable import objects
from tests.unit.services.readable.objects import KINDS, STUDY, content
from tests.unit.web.conftest import ACTOR, Browser

TESTER = Actor("tester", frozenset({Role.TEST_READ}))
HOSTILE = "<script>alert(1)</script>\u202eevil"
LOOK = f"/studies/{STUDY}/look"


@pytest.fixture
def everything(application: Application) -> str:
    """A study of production with an instance of each kind that can be read."""
    for make in KINDS.values():
        store(application.local_archive, make(), environment=Environment.PROD)
    return STUDY


@pytest.fixture
def stack(application: Application) -> tuple[str, str]:
    """A study and its series: three instances of CT."""
    recipe = StudyRecipe((SeriesRecipe.parse("ct-head:3"),), seed=4)
    made = application.studies.create(ACTOR, application.studies.resolve_recipe(ACTOR, recipe))
    study = made.resolved.study_instance_uid
    return study, application.studies.brief(ACTOR, study).series[0].series_instance_uid


def _list(browser: Browser, study: str, series: str) -> dict[str, Any]:
    answer = browser.get(f"/studies/{study}/series/{series}/pictures")
    assert answer.status_code == 200
    listed: dict[str, Any] = answer.json()
    return listed


def _grey(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("L")


def test_a_series_lists_its_pictures_in_the_order_of_their_numbers(
    browser: Browser, application: Application, stack: tuple[str, str]
) -> None:
    listed = _list(browser, *stack)
    begins = listed["address"].rpartition("/")[2]
    uids = [begins + rest for rest, frames in listed["instances"] if frames == 1]
    assert uids == application.studies.local.instance_uids(*stack)
    assert listed["isGrey"]
    assert listed["rate"] == kept_pictures.RATE
    assert ["Lung", [-600, 1500]] in listed["presets"]
    low, high = (listed["whole"][0] + side * listed["whole"][1] / 2 for side in (-1, 1))
    assert low < -900 < 200 < high
    tag = browser.get(f"/studies/{stack[0]}/series/{stack[1]}/pictures").headers["etag"]
    path = f"/studies/{stack[0]}/series/{stack[1]}/pictures"
    assert browser.get(path, **{"If-None-Match": tag}).status_code == 304


def test_a_preview_is_a_jpeg_with_the_window_that_was_asked_for(browser: Browser, stack: tuple[str, str]) -> None:
    listed = _list(browser, *stack)
    address = f"{listed['address']}{listed['instances'][1][0]}/preview.jpg"
    stored = browser.get(f"{address}?frame=1&v={listed['version']}")
    assert stored.headers["content-type"] == "image/jpeg"
    assert "immutable" in stored.headers["cache-control"]
    assert "no-cache" in browser.get(address).headers["cache-control"]
    same = ",".join(str(one) for one in listed["window"])
    assert browser.get(f"{address}?window={same}").content == stored.content
    dark, light = (_grey(browser.get(f"{address}?window={window}").content) for window in ("5000,10", "-5000,10"))
    assert dark.getextrema() == (0, 0)
    assert light.getextrema() == (255, 255)
    whole = _grey(browser.get(f"{address}?window=full").content).getextrema()
    assert whole[0] < 10
    assert whole[1] > 245
    tag = {"If-None-Match": stored.headers["etag"]}
    assert browser.get(f"{address}?frame=1", **tag).status_code == 304


@pytest.mark.parametrize("window", ["x", "1", "1,2,3", "1,0", "1,-5", "nan,nan", "1e400,1", "inf,5", "1" * 100])
def test_a_window_that_is_none_is_refused(browser: Browser, stack: tuple[str, str], window: str) -> None:
    listed = _list(browser, *stack)
    answer = browser.get(f"{listed['address']}{listed['instances'][0][0]}/preview.jpg?window={window}")
    assert answer.status_code == 400
    with pytest.raises(InvalidInput, match="window"):
        kept_pictures.parsed(window)


def test_a_picture_that_is_not_there_is_not_found(browser: Browser, everything: str, stack: tuple[str, str]) -> None:
    listed = _list(browser, *stack)
    address = f"{listed['address']}{listed['instances'][0][0]}"
    assert browser.get(f"{address}/preview.jpg?frame=2").status_code == 404
    assert browser.get(f"{address}/preview.jpg?frame=0").status_code in {400, 422}
    assert browser.get(f"{address}/document").status_code == 404
    assert browser.get(f"/studies/{STUDY}/series/{STUDY}.2/instances/{STUDY}.2.1/preview.jpg").status_code == 404
    assert browser.get(f"/studies/{STUDY}/series/1.2.3/pictures").status_code == 404
    assert browser.get(f"{LOOK}?series=1.2.3").status_code == 404
    assert browser.get(f"{LOOK}?instance=1.2.3").status_code == 404
    assert browser.get("/studies/1.2.3/look").status_code == 404


def test_cine_says_its_rate_and_its_frames(browser: Browser, application: Application) -> None:
    recipe = StudyRecipe(("us-cine",), seed=5)
    study = application.studies.create(ACTOR, application.studies.resolve_recipe(ACTOR, recipe))
    uid = study.resolved.study_instance_uid
    listed = _list(browser, uid, application.studies.brief(ACTOR, uid).series[0].series_instance_uid)
    ((rest, frames),) = listed["instances"]
    assert frames > 1
    assert listed["rate"] not in (0, kept_pictures.RATE)
    first, last = (
        browser.get(f"{listed['address']}{rest}/preview.jpg?frame={number}").content for number in (1, frames)
    )
    assert first != last


def test_a_series_without_pictures_says_what_it_is(browser: Browser, everything: str) -> None:
    listed = _list(browser, STUDY, f"{STUDY}.2")
    assert listed["instances"] == []
    assert listed["kind"] == "Comprehensive SR"
    assert browser.get(listed["read"]).status_code == 200
    page = browser.get(f"/studies/{STUDY}/series/{STUDY}.2").text
    assert "No pictures: Comprehensive SR" in page
    assert "data-scroller" not in page


def test_pages_have_a_picture_without_scripts(browser: Browser, stack: tuple[str, str]) -> None:
    study, series = stack
    listed = _list(browser, study, series)
    instance = f"{listed['address']}{listed['instances'][0][0]}"
    pages = (f"/studies/{study}", f"/studies/{study}/series/{series}", instance)
    for address in pages:
        page = browser.get(address).text
        stage = page.partition("data-stage>")[2].partition("</div>")[0]
        picture = re.search(r'<img src="([^"]+)" alt="[^"]+"', stage)
        assert picture, address
        assert browser.get(picture[1].replace("&amp;", "&")).headers["content-type"] == "image/png"


def test_a_warm_picture_opens_no_file(browser: Browser, application: Application, stack: tuple[str, str]) -> None:
    study, series = stack
    paths = [one.path for one in application.studies.local.instances(study)]
    addresses = [f"/studies/{study}/thumbnail.png?v=1"]
    addresses += [f"/studies/{study}/series/{series}/instances/{uid}/preview.jpg?v=1" for uid in
                  application.studies.local.instance_uids(study, series)]  # fmt: skip
    cold = [browser.get(address).content for address in addresses]
    for path in paths:  # what is in the files is gone, and nothing looks at it
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert [browser.get(address).content for address in addresses] == cold
    for path in paths:
        os.utime(path)
    assert browser.get(addresses[1]).status_code == 404


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_by_hand_keeps_the_function_of_the_instance(tmp_path: Path, function: str) -> None:
    made = objects.image()
    made.VOILUTFunction = function
    made.WindowCenter, made.WindowWidth = "-500", "400"
    path = objects.written(tmp_path, made)
    by_hand = kept_pictures.preview(path, window=kept_pictures.parsed("-500,400"))
    assert by_hand == kept_pictures.preview(path)
    made.VOILUTFunction = "LINEAR" if function == "SIGMOID" else "SIGMOID"
    (tmp_path / "other").mkdir()
    other = objects.written(tmp_path / "other", made)
    assert by_hand != kept_pictures.preview(other, window=kept_pictures.parsed("-500,400"))


def test_values_without_end_have_no_window(tmp_path: Path) -> None:
    made = objects.image()
    made.RescaleSlope = made.RescaleIntercept = "1e308"
    found = kept_pictures.look(objects.written(tmp_path, made))
    assert (found.whole, found.is_grey) == (None, False)


def test_a_study_that_is_stored_again_shows_its_new_pictures(browser: Browser, application: Application) -> None:
    address = f"/studies/{STUDY}/series/{STUDY}.1"
    preview, small = f"{address}/instances/{STUDY}.1.1/preview.jpg", f"/studies/{STUDY}/thumbnail.png"
    made = objects.image()
    store(application.local_archive, made)
    before = [browser.get(one) for one in (f"{address}/pictures", preview, small)]
    application.local_archive.delete_study(STUDY)
    made.PixelData = bytes(reversed(made.PixelData))
    store(application.local_archive, made)
    again = [browser.get(str(one.request.url), **{"If-None-Match": one.headers["etag"]}) for one in before]
    assert [one.status_code for one in again] == [200, 200, 200]
    assert before[0].json()["version"] != again[0].json()["version"]
    assert before[1].content != again[1].content
    assert before[2].content != again[2].content


@pytest.mark.parametrize("environment", list(Environment))
def test_nothing_of_production_stays_in_browsers(
    browser: Browser, application: Application, environment: Environment
) -> None:
    store(application.local_archive, objects.image(), environment=environment)
    version = quote(version_of(application.studies.brief(ACTOR, STUDY).summary))
    instance = f"/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.1"
    for address in (
        f"{instance}/preview.jpg", f"{instance}/picture.png", f"/studies/{STUDY}/thumbnail.png",
        f"/studies/{STUDY}/preview.png",
    ):  # fmt: skip
        answer = browser.get(f"{address}?v={version}")
        expected = KEPT if environment is Environment.TEST else "private, no-cache"
        assert answer.headers["cache-control"] == expected
        plain = browser.get(address)
        assert plain.headers["cache-control"] == "private, no-cache"
        assert browser.get(address, **{"If-None-Match": plain.headers["etag"]}).status_code == 304
    assert browser.get(f"/studies/{STUDY}/thumbnail.png?v=1").headers["cache-control"] == "private, no-cache"


def test_what_is_kept_is_bounded_and_follows_the_file(tmp_path: Path) -> None:
    kept, path = Kept(limit_bytes=1000), tmp_path / "file"
    path.write_bytes(b"1")
    made = []

    def picture(number: int, size: int = 100) -> bytes:
        made.append(number)
        return bytes(size)

    for number in range(20):
        kept.of(path, (number,), lambda number=number: picture(number))  # type: ignore[misc]
        kept.of(path, (0,), lambda: picture(0))  # asked for all the time, so it stays
    assert kept.size_bytes == 1000
    assert made == list(range(20))
    kept.of(path, ("large",), lambda: picture(99, 600))
    assert kept.size_bytes == 1000
    path.write_bytes(b"22")
    kept.of(path, (0,), lambda: picture(0))
    assert made[-1] == 0
    path.unlink()
    with pytest.raises(NotFound):
        kept.of(path, (0,), lambda: picture(0))


def test_a_study_of_all_kinds_is_read_on_one_page(browser: Browser, application: Application, everything: str) -> None:
    answer = browser.get(LOOK)
    assert answer.status_code == 200
    for said in (
        "Chest CT Report", "12.5</bdi> mm", "Look at this", "Sinus rhythm", "Heart", "60.5 GY", "LINAC 3", "Tumour",
        "centre -600, width 1500 (LUNG)", "25 mm/s, 10 mm/mV", "not here: " + f"{STUDY}.99",
    ):  # fmt: skip
        assert said in answer.text, said
    assert answer.text.count("<polyline") >= 13
    assert f'href="/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.1"' in answer.text
    assert f'<iframe class="look-document" src="/studies/{STUDY}/series/{STUDY}.4/instances/{STUDY}.4.1/document"' in (
        answer.text
    )
    assert "style=" not in answer.text.partition("<main")[2]
    views = application.audit.page(ACTOR, AuditFilter(kinds=frozenset({EventKind.VIEW})))
    assert views.entries[0].event.study_uids == (STUDY,)


def test_a_report_that_nests_without_end_has_a_page(browser: Browser, application: Application) -> None:
    report = objects.report()
    inner = content("CONTAINS", "TEXT", "Deepest", TextValue="x")
    for _ in range(50):
        inner = content("CONTAINS", "CONTAINER", "Level", ContentSequence=[inner])
    report.ContentSequence = [inner]
    store(application.local_archive, report)
    answer = browser.get(LOOK)
    assert answer.status_code == 200
    assert "1 more, which are not shown here" in answer.text


def test_one_series_or_one_instance_is_read_by_itself(browser: Browser, everything: str) -> None:
    page = browser.get(f"{LOOK}?series={STUDY}.9").text
    assert "Heart" in page
    assert "Chest CT Report" not in page
    page = browser.get(f"{LOOK}?series={STUDY}.2&instance={STUDY}.2.1").text
    assert "Chest CT Report" in page


def test_a_document_is_streamed_and_can_do_nothing(browser: Browser, everything: str) -> None:
    pdf = browser.get(f"/studies/{STUDY}/series/{STUDY}.4/instances/{STUDY}.4.1/document")
    assert pdf.content == objects.PDF_BYTES
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.headers["content-disposition"].startswith("inline")
    assert pdf.headers["x-frame-options"] == "SAMEORIGIN"
    policy = pdf.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    xml = browser.get(f"/studies/{STUDY}/series/{STUDY}.5/instances/{STUDY}.5.1/document")
    assert xml.headers["content-type"] == "text/plain; charset=utf-8"
    kept = browser.get(f"/studies/{STUDY}/series/{STUDY}.4/instances/{STUDY}.4.1/document?download=1")
    assert kept.headers["content-disposition"] == f'attachment; filename="{STUDY}.4.1.pdf"'


def test_hostile_values_are_only_shown(browser: Browser, application: Application) -> None:
    report, regions, wave = objects.report(), objects.structure_set(), objects.ecg()
    report.ContentSequence[0].ContentSequence[0].TextValue = HOSTILE
    report.ConceptNameCodeSequence[0].CodeMeaning = HOSTILE[:64]
    regions.StructureSetROISequence[0].ROIName = HOSTILE
    wave.WaveformSequence[0].MultiplexGroupLabel = HOSTILE[:16]
    wave.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelLabel = HOSTILE[:16]
    for made in (report, regions, wave, objects.cda()):
        made.SeriesDescription = HOSTILE
        store(application.local_archive, made)
    text = browser.get(LOOK).text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_gives_a_page_with_the_reason(browser: Browser, application: Application, name: str) -> None:
    stored = store(application.local_archive, KINDS[name]()).instance
    whole = stored.path.read_bytes()
    for damaged in (whole[: len(whole) * 3 // 4], b"nothing", b""):
        stored.path.write_bytes(damaged)
        answer = browser.get(LOOK)
        assert answer.status_code == 200
        assert "cannot be read" in answer.text
    stored.path.unlink()
    assert "cannot be read" in browser.get(LOOK).text
    series = f"/studies/{STUDY}/series/{stored.series_instance_uid}"
    assert browser.get(f"{series}/pictures").status_code == 200
    assert browser.get(f"{series}/instances/{stored.identity.sop_instance_uid}/document").status_code == 404
    assert browser.get(f"{series}/instances/{stored.identity.sop_instance_uid}/preview.jpg").status_code == 404


def test_who_may_look_at_test_only_sees_nothing_of_production(
    browser: Browser, application: Application, everything: str
) -> None:
    routes = {
        route: actions
        for route, actions in declared_actions(browser.app).items()
        if route.endswith(("/look", "/pictures", "/preview.jpg", "/document"))
    }
    assert len(routes) == 4
    assert all(actions == {Action.VIEW} for actions in routes.values())
    # A study of test that refers to one of production: it may not say that that is here.
    report = objects.report()
    report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPInstanceUID = "1.2.9", "1.2.9.1", "1.2.9.1.1"
    store(application.local_archive, report, environment=Environment.TEST)
    browser.act_as(TESTER)
    instance = f"/studies/{STUDY}/series/{STUDY}.4/instances/{STUDY}.4.1"
    for address in (
        LOOK,
        f"{LOOK}?series={STUDY}.4",
        f"/studies/{STUDY}/series/{STUDY}.1/pictures",
        f"/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.1/preview.jpg",
        f"{instance}/document",
    ):
        answer = browser.get(address)
        assert answer.status_code == 403, address
        assert "Heart" not in answer.text
    page = browser.get("/studies/1.2.9/look").text
    assert "Chest CT Report" in page
    assert f"/studies/{STUDY}" not in page
