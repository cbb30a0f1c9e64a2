"""From a study to the viewer: a local one at once, one of a server by a job that fetches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.actor import Actor, Role
from dicomfab.model.job import JobState
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.archive.builders import dataset, store
from tests.unit.web.conftest import ACTOR, Browser

STUDY = "1.2.1"


@pytest.fixture
def held(application: Application, tmp_path: Path) -> Iterator[Archive]:
    """What the server Ward holds: a study of two instances that nothing proves to be synthetic."""
    archive = Archive(tmp_path / "ward")
    for number in (1, 2):
        store(archive, dataset(instance=f"1.2.1.1.{number}", InstanceNumber=str(number)))
    handlers = PacsHandlers(archive, "WARD", Environment.TEST, {})
    with Server(ServerConfig("WARD"), handlers) as server:
        entry = {"name": "Ward", "host": "127.0.0.1", "port": server.port, "aec": "WARD", "environment": "test"}
        application.pacs.add(ACTOR, {**entry, "allow_real": True})
        yield archive
    archive.close()


def fetched(browser: Browser, application: Application) -> int:
    """The number of the job that fetched the study, which is done."""
    answer = browser.post("/query/view", {"row": f"ward|{STUDY}", "instances": "2"})
    assert answer.status_code == 303, answer.text
    number = int(answer.headers["location"].removeprefix("/view/"))
    waiting = browser.get(f"/view/{number}")
    assert waiting.status_code == 200
    assert f'data-then="/view/{number}/open"' in waiting.text
    assert application.worker.run_one(number)
    assert application.jobs.show(ACTOR, number).state is JobState.SUCCEEDED
    return number


def test_a_local_study_opens_at_once(browser: Browser, study: str) -> None:
    answer = browser.get(f"/studies/{study}/view")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ohif/viewer?StudyInstanceUIDs={study}")


def test_a_study_of_a_server_is_fetched_first_and_expires(
    browser: Browser, application: Application, held: Archive
) -> None:
    number = fetched(browser, application)
    assert browser.get(f"/view/{number}").headers["location"] == f"/view/{number}/open"
    assert browser.get(f"/view/{number}/open").headers["location"] == f"/studies/{STUDY}/view"
    assert browser.get(f"/studies/{STUDY}/view").headers["location"].startswith("/ohif/viewer?")
    summary = application.local_archive.study(STUDY).summary
    assert (summary.environment, summary.instance_count) == (Environment.TEST, 2)
    assert application.copies.said(summary) == "expires in 24 h"
    page = browser.get(f"/studies/{STUDY}").text
    assert "Fetched to look at, expires in 24 h" in page
    assert "expires in 24 h" in browser.get("/studies").text


def test_what_is_here_is_not_fetched_again_unless_the_server_has_more(
    browser: Browser, application: Application, held: Archive
) -> None:
    fetched(browser, application)
    again = browser.post("/query/view", {"row": f"ward|{STUDY}", "instances": "2"})
    assert again.headers["location"] == f"/studies/{STUDY}/view"
    store(held, dataset(instance="1.2.1.1.3", InstanceNumber="3"))
    more = browser.post("/query/view", {"row": f"ward|{STUDY}", "instances": "3"})
    assert more.headers["location"].startswith("/view/")


def test_what_somebody_keeps_does_not_expire(browser: Browser, application: Application, held: Archive) -> None:
    fetched(browser, application)
    assert browser.post(f"/studies/{STUDY}/keep").status_code == 303
    summary = application.local_archive.study(STUDY).summary
    assert application.copies.said(summary) == ""
    assert "Keep" not in browser.get(f"/studies/{STUDY}").text


def test_a_fetch_that_fails_leads_to_the_job_that_says_why(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    answer = browser.post("/query/view", {"row": f"alpha|{STUDY}"})
    number = int(answer.headers["location"].removeprefix("/view/"))
    application.worker.run_one(number)
    assert browser.get(f"/view/{number}/open").headers["location"] == f"/jobs/{number}"


def test_a_job_that_fetches_nothing_opens_nothing(
    browser: Browser, application: Application, study: str, servers: tuple[str, str]
) -> None:
    job = application.jobs.send(ACTOR, [study], application.pacs.get(ACTOR, "alpha"))
    assert browser.get(f"/view/{job.id}").status_code == 404


@pytest.mark.parametrize("row", ["", "ward", "ward|x", "ward|1.2.1|1.2.1.1", "nowhere|1.2.1"])
def test_only_one_study_of_a_known_server_is_looked_at(browser: Browser, held: Archive, row: str) -> None:
    assert browser.post("/query/view", {"row": row}).status_code in (400, 404)


def test_test_people_fetch_nothing_from_production(
    browser: Browser, application: Application, servers: tuple[str, str]
) -> None:
    browser.act_as(Actor("tess", frozenset({Role.TEST_WRITE}), "web"))
    assert browser.post("/query/view", {"row": f"beta|{STUDY}"}).status_code in (403, 404)
    assert application.copies.fetched.least_recent_first() == []
