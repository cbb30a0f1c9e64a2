from __future__ import annotations

import datetime
import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.job import JobState
from dicomfab.pixels.writable import WRITABLE
from dicomfab.storage.jobs import JobFilter
from tests.unit.web.conftest import ACTOR, Browser, done

CARD = {"kinds": ["text-card"], "seed": "5", "slices": "200"}


def test_a_study_is_created_by_a_job(browser: Browser, application: Application) -> None:
    form = {**CARD, "patient_name": "Roe^Max", "birth_date": "1980-02-03", "sex": "M", "study_date": "2026-01-31"}
    last = done(application, browser.post("/studies/new", {**form, "accession_number": "ACC9"}))
    page = browser.get(f"/jobs/{last.id}").text
    assert "Created" in page
    assert "sse-connect" not in page
    (item,) = application.jobs.items(ACTOR, last.id)
    shown = browser.get(f"/studies/{item.key}").text
    for value in ("Roe^Max", "1980-02-03", "ACC9", "2026-01-31", item.key):
        assert value in shown


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kinds": []}, "kinds"),
        ({"recipe": "text-cards"}, "kinds"),
        ({"kinds": ["mr-toe"]}, "kinds"),
        ({"seed": "-1"}, "seed"),
        ({"seed": "9" * 25}, "seed"),
        ({"kinds": ["ct-chest"], "slices": "0"}, "slices"),
        ({"slices": "many"}, "slices"),
        ({"study_date": "20261399"}, "study_date"),
        ({"accession_number": "A" * 17}, "accession_number"),
        ({"patient_name": "A\\B", "patient_id": "1"}, "patient_name"),
    ],
)
def test_a_mistake_is_said_at_its_field_and_makes_nothing(
    browser: Browser, application: Application, changes: dict[str, object], field: str
) -> None:
    response = browser.post("/studies/new", {**CARD, "study_description": "KEPT", **changes})
    assert response.status_code == 400
    assert f'id="{field}-error"' in response.text
    assert 'value="KEPT"' in response.text
    assert application.studies.page(ACTOR).total == 0


def test_the_list_is_searched_and_sorted_by_its_address(browser: Browser, study: str) -> None:
    assert study in browser.get("/studies").text
    assert study in browser.get("/studies?q=jane+doe&sort=patient_name&order=asc").text
    assert "No study matches" in browser.get("/studies?q=nobody").text
    assert 'aria-sort="ascending"' in browser.get("/studies?sort=size&order=asc").text
    assert browser.get("/studies?sort=nonsense&page=x").status_code == 200


def test_the_list_has_pages(browser: Browser, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    from dicomfab.web import study_listing

    monkeypatch.setattr(study_listing, "SIZES", (2, 50))
    for seed in range(3):
        made = application.studies.resolve_recipe(ACTOR, StudyRecipe(("text-card",), seed=seed))
        application.studies.create(ACTOR, made)
    first, second = browser.get("/studies").text, browser.get("/studies?page=2").text
    assert (first.count("<tbody"), second.count("<tbody")) == (2, 1)
    assert 'rel="next"' in first
    assert 'rel="prev"' in second


def test_the_preview_is_a_small_png_that_is_cached(browser: Browser, study: str) -> None:
    response = browser.get(f"/studies/{study}/preview.png")
    assert response.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(response.content))
    low, high = image.convert("L").getextrema()
    assert max(image.size) <= 512
    assert high - low > 100
    again = browser.get(f"/studies/{study}/preview.png", **{"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.get(f"/studies/{study}/preview.png?series=1.2.3").status_code == 404


def test_sending_to_production_wants_an_explicit_yes(
    browser: Browser, application: Application, study: str, servers: tuple[str, str]
) -> None:
    asked = browser.post(f"/studies/{study}/send", {"destination": "beta"})
    assert asked.status_code == 400
    assert "Beta is a production server; nothing was sent" in asked.text
    assert browser.post(f"/studies/{study}/send", {"destination": ""}).status_code == 400
    for typed in ("true", "Alpha", "Bet"):
        wrong = browser.post(f"/studies/{study}/send", {"destination": "beta", "confirm_name": typed})
        assert wrong.status_code == 400
        assert 'id="confirm_name-error"' in wrong.text
    form = {"destination": "beta", "confirm_name": " beta "}
    refused = browser.post(f"/studies/{study}/send", form)
    assert refused.status_code == 403
    assert "takes no synthetic data (allow_synthetic is off)" in refused.text
    assert application.jobs.page(ACTOR, JobFilter()).total == 0
    application.pacs.edit(ACTOR, "beta", {"allow_synthetic": True})
    last = done(application, browser.post(f"/studies/{study}/send", form))
    assert (last.state, last.error["heading"]) == (JobState.QUEUED, "Connection failed")


def test_deleting_asks_first(browser: Browser, application: Application, study: str) -> None:
    asked = browser.get(f"/studies/{study}/delete")
    assert asked.headers["location"] == f"/studies/delete?study={study}"
    assert "Delete this study?" in browser.get(asked.headers["location"]).text
    assert application.studies.page(ACTOR).total == 1
    assert browser.post(f"/studies/{study}/delete").status_code == 303
    assert application.studies.page(ACTOR).total == 0
    assert browser.get(f"/studies/{study}").status_code == 404


def test_a_recipe_is_chosen_by_its_name_and_never_by_a_path(
    browser: Browser, application: Application, tmp_path: Path
) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("series: [text-card]\n")
    assert 'value="text-cards" selected' in browser.get("/studies/new?recipe=text-cards").text
    assert browser.post("/studies/new", {"recipe": str(file)}).status_code == 404
    form = {"recipe": "text-cards", "seed": "3", "study_description": "BY RECIPE"}
    last = done(application, browser.post("/studies/new", form))
    (item,) = application.jobs.items(ACTOR, last.id)
    assert (item.detail["instances"], item.request["study_description"]) == (10, "BY RECIPE")


@pytest.mark.parametrize("syntax", sorted(one.name for one in WRITABLE.values()))
def test_the_preview_is_the_same_in_every_transfer_syntax(
    browser: Browser, application: Application, syntax: str
) -> None:
    kind = "ct-chest:1" if syntax == "jpeg-extended" else "text-card:1"
    pictures = []
    for name in ("explicit", syntax):
        recipe = StudyRecipe((SeriesRecipe.parse(kind),), seed=4, transfer_syntax=name)
        made = application.studies.resolve_recipe(ACTOR, recipe)
        application.studies.create(ACTOR, made)
        shown = browser.get(f"/studies/{made.study_instance_uid}/preview.png")
        assert shown.status_code == 200
        pictures.append(np.asarray(Image.open(io.BytesIO(shown.content)), np.int16))
    assert np.abs(pictures[0] - pictures[1]).mean() < (2 if WRITABLE[made.series[0].transfer_syntax].lossy else 1e-9)


def test_a_copy_from_production_says_when_it_expires(browser: Browser, application: Application, study: str) -> None:
    with sqlite3.connect(application.settings.studies / "index.sqlite3") as index:
        moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=19)
        index.execute("UPDATE instance SET retrieved_at = ?", (moment.isoformat(timespec="seconds"),))
        index.execute("UPDATE study SET environment = 'prod'")
    index.close()
    assert "expires in 5 h" in browser.get("/studies").text
    assert "Copy from production, expires in 5 h" in browser.get(f"/studies/{study}").text
