"""Orders, and creating studies from them; recipes and series on the Create page."""

from __future__ import annotations

import html
import re

import httpx
import pydicom
import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.model.job import JobKind, JobState
from dicomfab.model.order import OrderState
from dicomfab.model.values import Environment
from dicomfab.services.provenance import Origin
from dicomfab.storage.jobs import JobFilter
from dicomfab.storage.orders import OrderFilter
from tests.unit.hl7.messages import ADT, OMI_JAPANESE, ORM
from tests.unit.web.conftest import ACTOR, Browser, done, submitted

UID = "1.2.826.0.1.3680043.8.498.77"
TEST_READER = Actor("reader", frozenset({Role.TEST_READ}), "web")


def read(browser: Browser, origin: str, message: str = ORM) -> httpx.Response:
    return browser.post("/studies/new/order/read", {"message": message, "origin": origin})


def fields(response: httpx.Response) -> dict[str, str]:
    """What a browser would send of the form that it was shown."""
    assert response.status_code == 200, response.text
    form = response.text[response.text.index('<form id="study-form"') :]
    found = dict(re.findall(r'<input[^>]*? name="(\w+)"[^>]*? value="([^"]*)"', form))
    message = re.search(r'<textarea name="message"[^>]*>\n(.*?)</textarea>', form, re.DOTALL)
    assert message
    chosen = re.search(r'<option value="([^"]+)" selected', form)
    values = {name: html.unescape(value) for name, value in found.items()}
    return {**values, "message": html.unescape(message.group(1)), "series_kind": chosen.group(1) if chosen else ""}


def test_a_test_order_becomes_a_study_with_its_identifiers(browser: Browser, application: Application) -> None:
    form = fields(read(browser, "test"))
    assert (form["patient_name"], form["accession_number"]) == ("Lindgren^Astrid^M^Dr.^III", "ACC1")
    job = done(application, browser.post("/studies/new/order", {**form, "series_kind": "text-card", "sex": "O"}))
    assert job.state is JobState.SUCCEEDED
    (instance,) = application.studies.local.instances(UID)
    dataset = pydicom.dcmread(instance.path)
    (request,) = dataset.RequestAttributesSequence
    assert (dataset.PatientName, dataset.PatientID, dataset.PatientSex) == ("Lindgren^Astrid^M^Dr.^III", "SYN4711", "O")
    assert (dataset.AccessionNumber, dataset.StudyID, dataset.AdmissionID) == ("ACC1", "RP1", "V77")
    assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP1", "SPS1")
    assert request.ScheduledProtocolCodeSequence[0].CodeValue == "CTC"
    (kept,) = application.orders.page(ACTOR, OrderFilter()).orders
    assert (kept.environment, kept.state) == (Environment.TEST, OrderState.MADE)
    assert (kept.studies[0].study_instance_uid, kept.studies[0].job) == (UID, job.id)
    shown = browser.get(f"/orders/{kept.number}").text
    assert f'href="/studies/{UID}"' in shown
    assert f'href="/jobs/{job.id}"' in shown
    # What was made is known by its instances. The UID proves nothing: the study that the order was for may have it too.
    assert application.provenance.of_local(UID) is Origin.SYNTHETIC
    assert not application.provenance.is_fabricated(UID)
    assert "OBR-18.1" in shown


def test_of_an_order_of_production_nothing_but_the_kind_is_taken(browser: Browser, application: Application) -> None:
    response = read(browser, "prod")
    assert "This counts as production" in response.text
    forged = {"patient_name": "Lindgren^Astrid", "patient_id": "4711", "study_instance_uid": UID}
    form = {**fields(response), "series_kind": "text-card", **forged}
    done(application, browser.post("/studies/new/order", form))
    (study,) = application.studies.page(ACTOR).studies
    assert study.study_instance_uid != UID
    assert study.patient_id.startswith("SYN")
    assert study.patient_id not in {"4711", "SYN4711"}
    assert study.accession_number != "ACC1"
    (kept,) = application.orders.page(ACTOR, OrderFilter()).orders
    assert kept.environment is Environment.PROD


def test_a_kept_order_of_production_stays_one_whatever_the_form_says(
    browser: Browser, application: Application
) -> None:
    (kept,) = application.orders.add(ACTOR, ORM)
    form = {"tab": "order", "order": str(kept.number), "is_test": "true", "patient_id": "P-4711"}
    live = browser.post("/studies/new/live", {**form, "series_kind": "text-card"}).text
    assert "Preview: 1 series" in live
    assert "P-4711" not in live


def test_orders_of_production_are_hidden_from_roles_for_test(browser: Browser, application: Application) -> None:
    (hidden,) = application.orders.add(ACTOR, ORM)
    (seen,) = application.orders.add(ACTOR, ADT, Environment.TEST)
    browser.act_as(TEST_READER)
    shown = browser.get("/orders").text
    assert "Lindgren" not in shown
    assert "Roe, Max" in shown
    assert browser.get(f"/orders/{hidden.number}").status_code == 404
    assert browser.get(f"/studies/new/order?order={hidden.number}").status_code == 404
    assert browser.get(f"/orders/{seen.number}").status_code == 200
    assert browser.post("/studies/new/order/keep", {"message": ORM}).status_code == 403


def test_a_message_of_two_steps_shows_one_and_offers_the_other(browser: Browser) -> None:
    response = read(browser, "test", OMI_JAPANESE)
    assert "Step 1 of 2" in response.text
    assert 'value="SPS1"' in response.text
    again = browser.post("/studies/new/order/read", {**fields(response), "which": "1"})
    assert 'value="SPS2"' in again.text


def test_what_is_no_order_is_said_at_its_field_and_given_back(browser: Browser, application: Application) -> None:
    response = read(browser, "prod", "<script>PID|1")
    assert response.status_code == 400
    assert 'id="message-error"' in response.text
    assert "&lt;script&gt;PID|1" in response.text
    assert application.orders.page(ACTOR, OrderFilter()).total == 0


def test_a_file_is_read_in_its_character_set(browser: Browser) -> None:
    data = ORM.replace("Astrid", "Åsa").encode("latin-1")
    response = browser.post("/studies/new/order/read", {"origin": "test"}, files={"upload": ("o.hl7", data)})
    assert "Lindgren^Åsa" in response.text


def test_the_list_is_searched_and_paged_by_its_address(browser: Browser, application: Application) -> None:
    for number in range(26):
        application.orders.add(ACTOR, ORM.replace("ACC1", f"ACC{number}"), Environment.TEST)
    first, last = browser.get("/orders").text, browser.get("/orders?page=2").text
    assert (first.count("<tbody"), last.count("<tbody")) == (25, 1)
    assert "1 order" in browser.get("/orders?q=astrid+acc13").text
    assert "No order matches" in browser.get("/orders?state=cancelled").text
    assert browser.get("/orders?state=nonsense&page=x").status_code == 200


def test_hostile_values_are_shown_as_text(browser: Browser, application: Application) -> None:
    hostile = ORM.replace("Lindgren", "<img src=x onerror=alert(1)>").replace("cough", "<script>")
    (kept,) = application.orders.add(ACTOR, hostile, Environment.TEST)
    for path in ("/orders", f"/orders/{kept.number}", f"/studies/new/order?order={kept.number}"):
        text = browser.get(path).text
        assert "<img src=x" not in text
        assert "<script>" not in text


def test_every_problem_of_a_recipe_is_said_with_its_line(browser: Browser) -> None:
    text = "series:\n  - kind: text-card\n    count: many\ncolour: red\nseed: -1\n"
    response = browser.post("/studies/new/recipe", {"tab": "recipe", "text": text})
    assert response.status_code == 400
    assert re.findall(r"<span>recipe, line (\d+): ([\w.]+)", response.text) == [
        ("3", "series.0.count"),
        ("5", "seed"),
        ("4", "colour"),
    ]


@pytest.mark.parametrize("text", ["", "series: [", "- a", "series: [nothing]", "series: [text-card:x]"])
def test_a_recipe_that_is_none_makes_nothing(browser: Browser, application: Application, text: str) -> None:
    response = browser.post("/studies/new/recipe", {"tab": "recipe", "text": text})
    assert response.status_code == 400
    assert 'id="text-error"' in response.text
    assert application.jobs.page(ACTOR, JobFilter()).total == 0


@pytest.mark.parametrize(
    ("text", "key", "after"),
    [
        ("series: [text-card]\n", "seed", "series: [text-card]\nseed: 7\n"),
        ("series:\n  - kind: a\nseed: 1\n", "series.count", "series:\n  - kind: a\n    count: 40\nseed: 1\n"),
        ("series:\n  - a\n", "series.kind", "series:\n  - a\n  - kind: ct-chest\n"),
        ("seed: 1\n", "patient.id", "seed: 1\npatient:\n  id: SYN0001\n"),
    ],
)
def test_an_example_is_put_where_it_belongs(browser: Browser, text: str, key: str, after: str) -> None:
    response = browser.post("/studies/new/recipe/insert", {"tab": "recipe", "text": text, "key": key})
    found = re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', response.text, re.DOTALL)
    assert found
    assert html.unescape(found.group(1)) == after
    assert browser.post("/studies/new/recipe/insert", {"tab": "recipe", "key": "x"}).status_code in (400, 422)


def test_several_series_each_with_its_own_count_and_syntax(browser: Browser, application: Application) -> None:
    form = {"series_kind": ["text-card", "text-card", ""], "series_count": ["2", "", ""]}
    form["series_syntax"] = ["", "rle", ""]
    assert done(application, browser.post("/studies/new", form)).state is JobState.SUCCEEDED
    (study,) = application.studies.page(ACTOR).studies
    detail = application.studies.show(ACTOR, study.study_instance_uid)
    assert [one.instance_count for one in detail.series] == [2, 1]
    wrong = browser.post("/studies/new", {**form, "series_count": ["2", "x", ""]})
    assert wrong.status_code == 400
    assert 'id="series_count-1-error"' in wrong.text


@pytest.mark.parametrize(("patients", "different"), [("", 3), ("one", 1)])
def test_a_batch_is_of_a_patient_each_or_of_one(
    browser: Browser, application: Application, patients: str, different: int
) -> None:
    form = {"kinds": ["text-card"], "studies": "3", "patients": patients}
    assert done(application, browser.post("/studies/new", form)).counts.done == 3
    studies = application.studies.page(ACTOR).studies
    assert len({one.patient_id for one in studies}) == different
    assert len({one.accession_number for one in studies}) == 3


@pytest.mark.parametrize("count", ["0", "1001", "many"])
def test_a_batch_has_a_limit(browser: Browser, count: str) -> None:
    response = browser.post("/studies/new", {"kinds": ["text-card"], "studies": count})
    assert response.status_code == 400
    assert 'id="studies-error"' in response.text


def test_sending_at_once_is_a_job_of_its_own_after_the_studies_are_there(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    form = {"kinds": ["text-card"], "destination": servers[0]}
    made = done(application, browser.post("/studies/new", form))
    assert made.state is JobState.SUCCEEDED
    (sending,) = application.jobs.page(ACTOR, JobFilter(kinds=frozenset({JobKind.SEND}))).jobs
    assert made.report["sent_by"] == sending.id
    assert (sending.state, sending.request["after"]) == (JobState.QUEUED, made.id)
    # Whoever does the job again, since its end was not noted, submits no second one.
    studies = [item.detail["study_instance_uid"] for item in application.jobs.every_item(ACTOR, made.id)]
    assert application.jobs.send_made(made, ACTOR, studies).id == sending.id


def test_sending_to_production_at_once_wants_its_name_and_a_server_that_takes_it(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    form = {"kinds": ["text-card"], "destination": servers[1]}
    asked = browser.post("/studies/new", form)
    assert asked.status_code == 400
    assert 'id="confirm_name-error"' in asked.text
    refused = browser.post("/studies/new", {**form, "confirm_name": "Beta"})
    assert refused.status_code == 403
    assert "takes no synthetic data" in refused.text
    assert application.jobs.page(ACTOR, JobFilter()).total == 0
    application.pacs.edit(ACTOR, servers[1], {"allow_synthetic": True})
    assert submitted(browser.post("/studies/new", {**form, "confirm_name": "Beta"}))


def test_pictures_are_for_whoever_asked_for_the_preview(browser: Browser) -> None:
    shown = browser.post("/studies/new/live", {"kinds": ["text-card"]}).text
    found = re.search(r'sse-connect="([^"]+)"', shown)
    assert found
    assert "picture-0" in browser.get(found.group(1)).text
    browser.act_as(TEST_READER)
    assert browser.get(found.group(1)).status_code == 404
