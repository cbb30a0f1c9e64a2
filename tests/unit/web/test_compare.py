"""Compare two servers: a form, a job, three columns, and a button that makes it good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Actor, Role
from dicomfab.model.job import JobState
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.web.conftest import ACTOR, Browser, done, submitted


@dataclass
class Pair:
    """Two servers that know each other."""

    application: Application
    archives: dict[str, Archive]
    only_left: str
    partial: str
    other_name: str

    def route(self) -> None:
        self.application.pacs.set_routes(ACTOR, "left", {"right": "RIGHT"})


@pytest.fixture
def pair(application: Application, tmp_path: Path) -> Iterator[Pair]:
    """*Left* (test) has a study that *Right* (prod) lacks, and both have two others, not quite the same."""
    with ExitStack() as stack:
        archives: dict[str, Archive] = {}
        known: dict[str, tuple[str, int]] = {}
        for name, environment in (("LEFT", "test"), ("RIGHT", "prod")):
            archives[name] = Archive(tmp_path / name)
            stack.callback(archives[name].close)
            handlers = PacsHandlers(archives[name], name, Environment(environment), {})
            handlers._destinations = known
            port = stack.enter_context(Server(ServerConfig(name), handlers)).port
            known[name] = "127.0.0.1", port
            entry = {"name": name.capitalize(), "host": "127.0.0.1", "port": port, "aec": name}
            application.pacs.add(ACTOR, {**entry, "environment": environment, "allow_synthetic": True})
        made = [study(application, seed) for seed in (1, 2, 3)]
        for one in made:
            application.transfers.send(ACTOR, one, application.pacs.get(ACTOR, "left"))
        right = application.pacs.get(ACTOR, "right")
        for one in made[1:]:
            application.transfers.send(ACTOR, one, right, confirm_production=True)
        gone = archives["RIGHT"].instances(made[1])[0].identity.sop_instance_uid
        lose(archives["RIGHT"], made[1], gone)
        yield Pair(application, archives, made[0], made[1], made[2])


def study(application: Application, seed: int) -> str:
    recipe = StudyRecipe(
        (SeriesRecipe("text-card", 2),), seed=seed, patient=Patient(f"Secret^Name{seed}", f"SYN{seed}"),
        accession_number=f"A{seed}", study_date="20260131",
    )  # fmt: skip
    return application.studies.create(
        ACTOR, application.studies.resolve_recipe(ACTOR, recipe)
    ).resolved.study_instance_uid


def lose(archive: Archive, study_uid: str, instance_uid: str) -> None:
    """Take one instance from an archive."""
    kept = [i for i in archive.instances(study_uid) if i.identity.sop_instance_uid != instance_uid]
    files = [(i.identity, i.path.read_bytes()[i.file.dataset_offset :]) for i in kept]
    archive.delete_study(study_uid)
    for identity, data in files:
        with archive.begin(identity) as incoming:
            incoming.write(data)
            incoming.commit(environment=Environment.PROD)


WANTED = {"a": "left", "b": "right", "date": "2026-01-31"}


def test_the_form_offers_the_servers_and_an_address_fills_it_in(browser: Browser, pair: Pair) -> None:
    assert 'href="/compare"' in browser.get("/pacs").text.partition("<main")[2]
    page = browser.get("/compare?a=right&date=today&instances=true")
    assert page.status_code == 200
    assert '<option value="right" selected>Right (prod)</option>' in page.text
    assert 'value="today"' in page.text
    assert re.search(r'id="instances"[^>]* checked', page.text)


def test_one_server_alone_cannot_be_compared(browser: Browser, application: Application) -> None:
    assert "Two servers are needed" in browser.get("/compare").text
    assert 'href="/compare"' not in browser.get("/pacs").text.partition("<main")[2]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"b": ""}, "Choose a server"),
        ({"b": "left"}, "also the other server"),
        ({"date": ""}, "too wide for Right (prod)"),
        ({"date": "someday"}, "date-error"),
        ({"study_instance_uid": "one"}, "is not a DICOM UID"),
    ],
)
def test_what_cannot_be_compared_is_said_beside_the_form(
    browser: Browser, pair: Pair, changes: dict[str, str], told: str
) -> None:
    page = browser.post("/compare", {**WANTED, **changes})
    assert page.status_code == 400
    assert told in page.text
    assert pair.application.jobs.page(ACTOR, _every()).total == 0


def _every():  # type: ignore[no-untyped-def]
    from dicomfab.storage.jobs import JobFilter

    return JobFilter()


def test_three_columns_and_what_is_missing_is_sent(browser: Browser, application: Application, pair: Pair) -> None:
    job = done(application, browser.post("/compare", WANTED))
    assert (job.state, job.report["verdict"]) == (JobState.SUCCEEDED, "mismatch")
    page = browser.get(f"/jobs/{job.id}").text
    left, _, rest = page.partition('id="only_b"')
    middle, _, right = rest.partition('id="differs"')
    assert pair.only_left in left
    assert pair.only_left not in middle
    assert "Nothing." in middle
    assert pair.partial in right
    assert "1 instance missing at Right" in right
    assert "Secret" not in page
    assert "Left has no C-MOVE route to Right" in page
    assert browser.post(f"/compare/{job.id}/fix", {"to": "right", "confirm_name": "Right"}).status_code == 409

    pair.route()
    page = browser.get(f"/jobs/{job.id}").text
    assert "Send what is missing to Right" in page
    assert "Send what is missing to Left" not in page
    assert "Right is production: type its name" in page
    refused = browser.post(f"/compare/{job.id}/fix", {"to": "right"})
    assert (refused.status_code, "Right is a production server" in refused.text) == (400, True)
    moved = done(application, browser.post(f"/compare/{job.id}/fix", {"to": "right", "confirm_name": "Right"}))
    assert moved.state is JobState.SUCCEEDED
    again = done(application, browser.post("/compare", WANTED))
    page = browser.get(f"/jobs/{again.id}").text
    assert "Both hold the same" in page
    assert "Send what is missing" not in page


def test_who_may_only_read_may_compare_and_not_send(browser: Browser, application: Application, pair: Pair) -> None:
    pair.route()
    reader = Actor("reader", frozenset({Role.TEST_READ, Role.PROD_READ}), "web")
    browser.act_as(reader)
    number = submitted(browser.post("/compare", WANTED))
    assert application.worker.run_one(number)
    assert browser.get(f"/jobs/{number}").status_code == 200
    fix = {"to": "right", "confirm_name": "Right"}
    assert browser.post(f"/compare/{number}/fix", fix).status_code == 403
    browser.act_as(Actor("t", frozenset({Role.TEST_WRITE}), "web"))
    assert browser.post(f"/compare/{number}/fix", {"to": "left"}).status_code == 404
