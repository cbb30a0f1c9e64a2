"""The first page leads back to what was started."""

from __future__ import annotations

from dicomfab.app.build import Application
from tests.unit.web.conftest import ACTOR, Browser, submitted

CARD = {"kinds": ["text-card"], "seed": "5"}


def test_jobs_are_found_again_with_how_they_stand_the_running_first(browser: Browser, application: Application) -> None:
    assert "No worker runs at the moment" in browser.get("/").text
    first, second, third = (submitted(browser.post("/studies/new", CARD)) for _ in range(3))
    assert application.worker.run_one(second)
    assert application.job_queue.claim("w", store_id=application.store_id, limit=lambda _queue: 1, only=first)
    page = browser.get("/").text
    places = [page.index(f'href="/jobs/{number}">Fabricate') for number in (first, third, second)]
    assert places == sorted(places)
    for word in ("Running", "Waiting", "succeeded"):
        assert word in page
    assert application.jobs.show(ACTOR, third).state == "queued"
