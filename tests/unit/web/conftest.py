"""The real application on a temporary home, asked as a browser on this computer would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.job import Job
from dicomfab.model.study import Patient
from dicomfab.testpacs.ports import free_ports
from dicomfab.web import access
from dicomfab.web.app import create_app
from tests.unit.services.accounts_office import weaken_passwords

ORIGIN = "http://localhost:5001"
ACTOR: Actor = local_admin("local", "web")


@dataclass(frozen=True)
class Browser:
    """Asks pages in this process.

    Args:
        app: the pages.
        monkeypatch: of the test, for :meth:`act_as`.
    """

    app: FastAPI
    monkeypatch: pytest.MonkeyPatch | None = None

    def act_as(self, actor: Actor) -> None:
        """Be somebody else than the administrator that mode ``none`` makes of everybody."""
        assert self.monkeypatch is not None
        self.monkeypatch.setattr(access, "local_admin", lambda *_: actor)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, files: Any = None, **headers: str
    ) -> httpx.Response:
        given = {"Sec-Fetch-Site": "same-origin", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.request("POST", path, headers=given, data=data, files=files)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, **arguments)

        # In a thread of its own: tests in a real browser, in the same run, keep a loop running in the main thread.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(ask())).result()


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    weaken_passwords(monkeypatch)
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    yield application
    application.close()


@pytest.fixture
def browser(application: Application, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return Browser(create_app(application), monkeypatch)


@pytest.fixture
def servers(application: Application) -> tuple[str, str]:
    """Ids of a test and a production server on ports where nothing listens."""
    ports = free_ports(2, "127.0.0.1")
    for name, port, environment in (("Alpha", ports[0], "test"), ("Beta", ports[1], "prod")):
        entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": environment}
        application.pacs.add(ACTOR, entry)
    return "alpha", "beta"


@pytest.fixture
def study(application: Application) -> str:
    """UID of a text card in the local store."""
    patient = Patient("Doe^Jane", "SYN1", "19700101", "F")
    recipe = StudyRecipe(("text-card",), patient=patient, seed=1, accession_number="SYN-1", study_date="20260131")
    made = application.studies.create(ACTOR, application.studies.resolve_recipe(ACTOR, recipe))
    return made.resolved.study_instance_uid


def submitted(response: httpx.Response) -> int:
    """The number of the job that a form submitted."""
    assert response.status_code == 303, response.text
    return int(response.headers["location"].rpartition("/")[2])


def done(application: Application, response: httpx.Response) -> Job:
    """The job that a form submitted, after a worker (this process) has done it once."""
    number = submitted(response)
    assert application.worker.run_one(number)
    return application.jobs.show(ACTOR, number)
