"""The first page leads back to what was started."""

from __future__ import annotations

from dicomfab.app.build import Application
from dicomfab.model.errors import Conflict
from tests.unit.web.conftest import ACTOR, Browser


def test_tasks_are_found_again_with_how_they_ended(browser: Browser, application: Application) -> None:
    def failing(_report: object, _cancelled: object) -> None:
        raise Conflict("two of them")

    assert "Tasks since" not in browser.get("/").text
    good = application.tasks.start(ACTOR, "Create a study", lambda _report, _cancelled: "x")
    bad = application.tasks.start(ACTOR, "Send a study", failing)
    for task in (good, bad):
        list(application.tasks.watch(ACTOR, task.id))
    page = browser.get("/").text
    assert f'href="/tasks/{good.id}">Create a study' in page
    assert f'href="/tasks/{bad.id}">Send a study' in page
    assert page.index(f"/tasks/{bad.id}") < page.index(f"/tasks/{good.id}")
    assert "Conflict" in page
