from __future__ import annotations

import pytest

from dicomfab.app.build import Application
from tests.unit.web.conftest import ACTOR, Browser

QUERY = {"kind": "query", "saved": "mornings", "cron": "30 6 * * 1-5", "time_zone": "UTC", "title": "Early <b>look</b>"}


@pytest.fixture
def saved(browser: Browser, servers: tuple[str, str]) -> str:
    form = {"pacs": ["alpha"], "patient_name": "Doe", "save": "mornings"}
    assert browser.post("/query/saved", form).status_code == 303
    return "mornings"


def test_a_schedule_is_added_paused_resumed_run_and_removed(
    browser: Browser, application: Application, saved: str
) -> None:
    assert "No schedules yet" in browser.get("/schedules").text
    assert browser.post("/schedules", QUERY).status_code == 303
    [made] = application.schedules.every(ACTOR)
    assert (made.title, made.cron, made.parameters["servers"]) == ("Early <b>look</b>", "30 6 * * 1-5", ["alpha"])
    text = browser.get("/schedules").text
    assert "Early &lt;b&gt;look&lt;/b&gt;" in text
    assert browser.post(f"/schedules/{made.id}/pause").status_code == 303
    assert "paused" in browser.get("/schedules").text
    assert browser.post(f"/schedules/{made.id}/resume").status_code == 303
    assert application.schedules.show(ACTOR, made.id).is_enabled
    assert browser.post(f"/schedules/{made.id}/run").headers["location"].startswith("/jobs/")
    assert browser.post(f"/schedules/{made.id}/remove").status_code == 303
    assert application.schedules.every(ACTOR) == []
    assert browser.post(f"/schedules/{made.id}/remove").status_code == 404


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cron": "often"}, "cannot be used"),
        ({"time_zone": "Atlantis/Centre"}, "is not known here"),
        ({"saved": ""}, "Choose a saved search"),
        ({"kind": "verify"}, "cannot be scheduled"),
        ({"kind": "get"}, "Choose the server that holds the studies"),
        ({"kind": "get", "source": "alpha"}, "Name at least one"),
        ({"kind": "send", "studies": "latest"}, "Choose a server"),
        ({"kind": "send", "studies": "latest", "destination": "beta"}, "is a production server"),
        ({"kind": "fabricate"}, "Choose a recipe"),
        ({"kind": "fabricate", "recipe": "every-sop-class", "count": "0"}, "1 to 1000"),
    ],
)
def test_what_cannot_be_scheduled_is_said_beside_its_field(
    browser: Browser, application: Application, saved: str, changed: dict[str, str], said: str
) -> None:
    response = browser.post("/schedules", {**QUERY, **changed})
    assert response.status_code == 400
    assert said in response.text
    assert application.schedules.every(ACTOR) == []


def test_a_recipe_is_named_and_no_file_is_read(browser: Browser, application: Application) -> None:
    form = {"kind": "fabricate", "cron": "0 2 * * *", "count": "2"}
    assert browser.post("/schedules", {**form, "recipe": "/etc/passwd"}).status_code in (400, 404)
    assert application.schedules.every(ACTOR) == []
    name = application.recipes.every(ACTOR)[0].name
    assert browser.post("/schedules", {**form, "recipe": name}).status_code == 303
    assert application.schedules.every(ACTOR)[0].parameters["count"] == 2


def test_a_study_is_sent_every_night(
    browser: Browser, application: Application, servers: tuple[str, str], study: str
) -> None:
    form = {"kind": "send", "cron": "0 2 * * *", "studies": study, "destination": "alpha"}
    assert browser.post("/schedules", form).status_code == 303
    assert application.schedules.every(ACTOR)[0].parameters["destination"] == "alpha"
