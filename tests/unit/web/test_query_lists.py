from __future__ import annotations

import csv
import io
import time

import pytest

from dicomfab.app.build import Application
from dicomfab.model.job import JobKind
from tests.unit.web.conftest import ACTOR, Browser, submitted
from tests.unit.web.test_query import answering


def looked_up(browser: Browser, form: dict[str, object]) -> str:
    """The page of a look-up that has ended."""
    response = browser.post("/query/list", form)
    assert response.status_code == 303, response.text
    address: str = response.headers["location"]
    end = time.monotonic() + 30
    while "questions answered" in browser.get(address).text:
        assert time.monotonic() < end
    return address


def test_a_list_is_looked_up_chosen_from_and_written(browser: Browser, application: Application) -> None:
    with answering(application, "One", "Two"):
        form = {"contents": "study_instance_uid", "text": "1.2.7\n\n 1.2.8 \n", "pacs": ["one", "two"]}
        address = looked_up(browser, form)
        text = browser.get(f"{address}?row=one|1.2.7").text
    assert "2 of 2</strong> rows found" in text
    assert 'value="one|1.2.7"' in text
    file = browser.get(f"{address}/export?kind=csv").text
    rows = list(csv.reader(io.StringIO(file.removeprefix("\ufeff"))))
    assert len(rows) == 3
    assert browser.get(f"{address}/export?kind=exe").status_code == 400
    assert browser.get("/query/list/nothing").status_code == 404


def test_a_row_that_fits_several_is_to_be_chosen(browser: Browser, application: Application) -> None:
    with answering(application, "One"):
        address = looked_up(browser, {"contents": "patient_id", "text": "007", "pacs": "one"})
        text = browser.get(address).text
    assert "several: choose" in text
    assert 'aria-label="Select study 2 of line 2 on One"' in text


def test_a_server_that_fails_is_no_empty_one(browser: Browser, servers: tuple[str, str]) -> None:
    text = browser.get(looked_up(browser, {"contents": "patient_id", "text": "1\n2\n", "pacs": "alpha"})).text
    assert "0 of 2</strong> rows found" in text
    assert text.count("failed") >= 2
    assert ">none<" not in text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"text": " \n"}, "Paste a list, or choose a file"),
        ({"text": "1", "pacs": ""}, "Choose at least one server"),
        ({"text": "1*"}, "wildcards"),
        ({"contents": "study_instance_uid", "text": "x"}, "is no UID"),
        ({"contents": "csv", "text": "colour\nred"}, "colour"),
    ],
)
def test_a_list_that_cannot_be_used_asks_nobody(
    browser: Browser, servers: tuple[str, str], form: dict[str, str], said: str
) -> None:
    response = browser.post("/query/list", {"contents": "accession_number", "pacs": "alpha", **form})
    assert response.status_code == 400
    assert said in response.text


def test_a_list_is_moved_and_fetched_by_a_job(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    application.pacs.add(
        ACTOR, {"name": "Gamma", "host": "127.0.0.1", "port": 1, "aec": "GAMMA", "environment": "test"}
    )
    application.pacs.set_routes(ACTOR, "alpha", {"gamma": "GAMMA", "beta": "BETA"})
    form = {"contents": "accession_number", "text": "0012\nA,1", "source": "alpha"}
    assert "Choose a server" in browser.post("/query/list/move", form).text
    assert "is a production server" in browser.post("/query/list/move", {**form, "destination": "beta"}).text
    job = application.jobs.show(ACTOR, submitted(browser.post("/query/list/move", {**form, "destination": "gamma"})))
    assert (job.kind, job.counts.total) == (JobKind.MOVE, 2)
    numbers = [item.request["accession_number"] for item in application.jobs.every_item(ACTOR, job.id)]
    assert numbers == ["0012", "A,1"]
    file = {"file": ("list.csv", b"patient_id\n007\n", "text/csv")}
    fetched = browser.post("/query/list/get", {"contents": "csv", "source": "alpha"}, files=file)
    assert application.jobs.show(ACTOR, submitted(fetched)).kind is JobKind.GET
    assert browser.post("/query/list/get", {**form, "source": ""}).status_code == 400
