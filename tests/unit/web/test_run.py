from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app import workers
from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import WebSettings
from dicomfab.app.workers import ensure_worker
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.errors import PortInUse
from dicomfab.model.job import JobState
from dicomfab.web.run import serve, workers_kept
from tests.unit.web.conftest import ACTOR


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_explained_with_its_process(application: Application, taken: int) -> None:
    with pytest.raises(PortInUse) as caught:
        serve(application, WebSettings(), taken, lambda _url: pytest.fail("must not be ready"))
    assert str(taken) in caught.value.what
    assert "pid" in caught.value.what
    assert "dicomfab serve --port" in caught.value.remedy


def test_a_worker_is_started_when_a_job_is_due_and_none_is_alive(tmp_path: Path) -> None:
    application = build(Settings(tmp_path / "home", worker_idle_s=1))
    recipe = StudyRecipe(("text-card",), seed=1)
    try:
        with workers_kept(application, every_s=0.2):
            assert application.jobs.workers() == []
            job = application.jobs.fabricate(ACTOR, [application.studies.resolve_recipe(ACTOR, recipe)])
            *_, last = application.jobs.watch(ACTOR, job.id)
        assert last.state is JobState.SUCCEEDED
        (child,) = [one for one in workers._CHILDREN if last.worker == f"{socket.gethostname()}:{one.pid}"]
        assert child.wait(timeout=30) == 0  # by itself, since nothing is left to do
        assert application.jobs.workers() == []
    finally:
        application.close()


def test_no_worker_is_started_where_that_is_switched_off(application: Application) -> None:
    assert application.settings.worker_idle_s == 0
    assert not ensure_worker(application)
    assert application.jobs.workers() == []
