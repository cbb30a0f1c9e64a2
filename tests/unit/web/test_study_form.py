"""The Create page: what would be made, in advance, and whom of."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import re

import httpx
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from dicomfab.app.build import Application
from dicomfab.fabricate.preview import Preview
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.recipe_file import read
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import TranscodingFailed
from dicomfab.services.previews import resolve_preview
from dicomfab.web import preview
from tests.unit.web.conftest import ACTOR, Browser, done

CARD = {"kinds": ["text-card"], "seed": "5"}
PATTERNS = "series: [text-card]\naccession_pattern: ACC{2digits}\npatient_id_pattern: SYN{3digits}\n"
HTMX = {"HX-Request": "true", "HX-Target": "study-form"}


def pictures_address(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    found = re.search(r'sse-connect="([^"]+)"', response.text)
    assert found
    return html.unescape(found.group(1))


def shown_seed(response: httpx.Response) -> str:
    found = re.search(r'name="shown_seed" value="(\d+)"', response.text)
    assert found
    return found.group(1)


def only_instance(application: Application) -> Dataset:
    (study,) = application.studies.page(ACTOR).studies
    (instance,) = application.studies.local.instances(study.study_instance_uid)
    return pydicom.dcmread(instance.path)


def add_patient(application: Application, **values: object) -> int:
    return application.patients.add(ACTOR, values).patients[0].number


def test_a_preview_says_what_would_be_made_and_keeps_nothing(browser: Browser, application: Application) -> None:
    form = {"kinds": ["ct-chest", "text-card"], "seed": "5", "slices": "40", "transfer_syntax": "jpeg-ls"}
    response = browser.post("/studies/new/preview", {**form, "patient_name": "Roe^Max", "study_description": "KEPT"})
    for said in ("Roe, Max", "KEPT", "CT Image Storage", "40 instances, 512 × 512", "JPEG-LS", 'value="Roe^Max"'):
        assert said in response.text
    events = browser.get(pictures_address(response)).text
    assert re.findall(r"event: (\S+)", events) == ["picture-0", "count", "picture-1", "count", "end"]
    encoded = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", events)
    images = [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]
    assert [image.format for image in images] == ["PNG", "PNG"]
    assert images[0].size == (preview.SMALL_EDGE, preview.SMALL_EDGE)
    low, high = images[0].convert("L").getextrema()
    assert high - low > 100
    assert application.studies.page(ACTOR).total == 0


def test_for_htmx_the_preview_is_the_form_alone(browser: Browser) -> None:
    response = browser.post("/studies/new/preview", CARD, **HTMX)
    assert response.text.lstrip().startswith('<form id="study-form"')
    assert "<html" not in response.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kinds": []}, "kinds"),
        ({"recipe": "text-cards"}, "kinds"),
        ({"seed": "-1"}, "seed"),
        ({"kinds": ["ct-chest"], "slices": "0"}, "slices"),
        ({"study_date": "20261399"}, "study_date"),
        ({"patient_name": "A\\B", "patient_id": "1"}, "patient_name"),
        ({"kinds": ["ct-chest"], "transfer_syntax": "jpeg"}, "transfer_syntax"),
        ({"patient": "99"}, "patient"),
        ({"patient": "x"}, "patient"),
        ({"patient": "9" * 19}, "patient"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_a_mistake_is_said_as_creating_says_it(
    browser: Browser, changes: dict[str, object], field: str, headers: dict[str, str]
) -> None:
    form = {**CARD, "study_description": "KEPT", **changes}
    response = browser.post("/studies/new/preview", form, **headers)
    assert response.status_code == 400
    assert f'id="{field}-error"' in response.text
    assert 'value="KEPT"' in response.text
    assert "sse-connect" not in response.text
    assert response.text == browser.post("/studies/new", form, **headers).text


def test_what_was_seen_is_created(browser: Browser, application: Application) -> None:
    form: dict[str, object] = {"kinds": ["text-card"]}
    first = browser.post("/studies/new/preview", form)
    seed = shown_seed(first)
    again = browser.post("/studies/new/preview", {**form, "shown_seed": seed, "study_description": "OTHER"})
    assert shown_seed(again) == seed
    assert shown_seed(browser.post("/studies/new/preview", {**form, "shown_seed": seed, "anew": "true"})) != seed
    done(application, browser.post("/studies/new", {**form, "shown_seed": seed}))
    made = only_instance(application)
    for said in (made.PatientID, made.AccessionNumber, made.StudyDescription):
        assert said in first.text


def test_a_typed_seed_goes_before_that_of_the_preview(browser: Browser) -> None:
    assert shown_seed(browser.post("/studies/new/preview", {**CARD, "shown_seed": "77"})) == "5"


def test_a_preview_uses_no_identifier_up(browser: Browser, application: Application) -> None:
    application.recipes.save(ACTOR, "by-pattern", read(PATTERNS, source="test"))
    for seed in range(120):  # more than the pattern could give out
        recipe = dataclasses.replace(application.recipes.named(ACTOR, "by-pattern").recipe.study(), seed=seed)
        resolved = resolve_preview(application.studies, ACTOR, recipe)
        assert re.fullmatch(r"ACC\d\d", resolved.accession_number)
        assert re.fullmatch(r"SYN\d{3}", resolved.patient.patient_id)
    assert "none is used up" in browser.post("/studies/new/preview", {"recipe": "by-pattern"}).text
    done(application, browser.post("/studies/new", {"recipe": "by-pattern"}))
    for _ in range(99):
        application.studies.resolve_recipe(ACTOR, StudyRecipe(("text-card",), accession_pattern="ACC{2digits}"))


def test_a_pattern_that_cannot_be_is_refused_in_advance_too(browser: Browser, application: Application) -> None:
    path = application.recipes.save(ACTOR, "by-pattern", read(PATTERNS, source="test"))
    path.write_text(PATTERNS.replace("2digits", "2digts"))
    preview_said, create_said = (
        browser.post(f"/studies/new{end}", {"recipe": "by-pattern"}) for end in ("/preview", "")
    )
    assert preview_said.status_code == 400
    assert "accession_pattern" in preview_said.text
    assert preview_said.text == create_said.text


def test_pictures_stop_when_the_page_is_gone_or_time_is_up(application: Application) -> None:
    resolved = resolve_preview(application.studies, ACTOR, StudyRecipe(("text-card",) * 3, seed=1))
    shown = application.studies.preview(ACTOR, resolved)
    asked = iter((False, True))
    assert [one.event for one in preview.pictures(shown, is_gone=lambda: next(asked))] == ["picture-0", "count"]
    times = iter((0.0, 1.0, preview.LONGEST_S + 1, preview.LONGEST_S + 2))
    said = [one.data for one in preview.pictures(shown, is_gone=lambda: False, clock=lambda: next(times))][::2]
    assert ["data:image/png" in one for one in said] == [True, False, False]
    assert "took too long" in said[2]


def test_a_picture_that_fails_is_said_in_its_place(application: Application) -> None:
    def broken() -> object:
        raise TranscodingFailed("this series cannot be drawn.")

    resolved = resolve_preview(application.studies, ACTOR, StudyRecipe(("text-card",) * 2, seed=1))
    first, second = application.studies.preview(ACTOR, resolved)
    plan = dataclasses.replace(first.plan, pixels=broken)
    failing = Preview(first.dataset, first.instances, first.frames, plan)
    said = [one.data for one in preview.pictures([failing, second], is_gone=lambda: False)]
    assert "this series cannot be drawn." in said[0]
    assert "data:image/png" in said[2]


def test_an_address_is_invented_if_it_is_ticked(browser: Browser, application: Application) -> None:
    form = {**CARD, "script": "greek", "contact": "true"}
    assert 'name="contact" value="true" checked' in browser.post("/studies/new/preview", form).text
    done(application, browser.post("/studies/new", form))
    made = only_instance(application)
    assert str(made.PatientTelephoneNumbers).startswith("+30 210 0")
    assert made.PatientAddress


def test_a_registered_patient_is_taken_exactly(browser: Browser, application: Application) -> None:
    values = {"name": "Quuxberg^Åsa", "patient_id": "HSP42", "birth_date": "19500102", "sex": "F", "issuer": "SYN-X"}
    number = add_patient(application, **values, size_m=1.61, weight_kg=61.5)
    opened = browser.get(f"/studies/new?patient={number}").text
    assert f'id="patient-{number}" name="patient" value="{number}" checked' in opened
    assert "--patient HSP42" in opened
    form = {**CARD, "patient": str(number), "patient_name": "Left^Aside", "sex": "M"}
    assert "Quuxberg, Åsa" in browser.post("/studies/new/preview", form).text
    done(application, browser.post("/studies/new", form))
    made = only_instance(application)
    assert (made.PatientName, made.PatientID, made.IssuerOfPatientID) == ("Quuxberg^Åsa", "HSP42", "SYN-X")
    assert (made.PatientBirthDate, made.PatientSex) == ("19500102", "F")
    assert (made.PatientSize, made.PatientWeight) == (1.61, 61.5)


def test_a_registered_patient_too_young_for_the_study_is_said_where_it_was_chosen(
    browser: Browser, application: Application
) -> None:
    number = add_patient(application, name="New^Born", birth_date="20200101")
    response = browser.post("/studies/new", {**CARD, "patient": str(number), "study_date": "2010-01-01"})
    assert response.status_code == 400
    assert 'id="patient-error"' in response.text
    assert "lies after the study date" in response.text
    assert 'id="birth_date-error"' not in response.text


def test_the_registry_is_searched_and_only_a_few_are_offered(browser: Browser, application: Application) -> None:
    application.patients.invent(ACTOR, 200, seed=3)
    chosen = add_patient(application, name="Quuxberg^Åsa")
    other = add_patient(application, name="Quuxberg^Olof")
    found = browser.get(f"/studies/new/patients?patient_search=quuxberg&patient={chosen}", **HTMX).text
    assert re.findall(r'value="(\d+)"( checked)?>', found) == [(str(chosen), " checked"), (str(other), "")]
    assert "2 patients matching" in found
    everyone = browser.get("/studies/new/patients", **HTMX).text
    assert everyone.count('type="radio"') == 1 + 5
    assert "202 patients in the registry; type more" in everyone
    kept = browser.get(f"/studies/new/patients?patient_search=nobody+here&patient={chosen}", **HTMX).text
    assert "No patient matches" in kept
    assert f'value="{chosen}" checked' in kept


def test_without_patients_the_form_says_where_they_come_from(browser: Browser) -> None:
    assert "No patient is registered yet" in browser.get("/studies/new").text


def test_an_address_with_an_unknown_patient_says_so_and_offers_the_form(browser: Browser) -> None:
    response = browser.get("/studies/new?patient=42")
    assert response.status_code == 400
    assert 'id="patient-error"' in response.text
    assert 'id="patient-none" name="patient" value="" checked' in response.text


def test_who_may_not_look_at_patients_is_offered_none(browser: Browser, application: Application) -> None:
    number = add_patient(application, name="Secret^Sally")
    browser.act_as(Actor("x", frozenset({Role.PROD_READ}), "web"))
    opened = browser.get("/studies/new")
    assert opened.status_code == 200
    assert "Secret" not in opened.text
    assert "Secret" not in browser.get("/studies/new/patients").text
    assert browser.get(f"/studies/new?patient={number}").status_code == 403
    assert browser.post("/studies/new", {**CARD, "patient": str(number)}).status_code == 403


def test_the_patients_pages_lead_to_a_study_of_the_patient(browser: Browser, application: Application) -> None:
    number = add_patient(application, name="Quuxberg^Åsa")
    for address in ("/patients", f"/patients/{number}/edit"):
        text = browser.get(address).text
        assert f'href="/studies/new?patient={number}"' in text
        assert "Create a study for this patient" in text
