"""Over DICOMweb or DIMSE, as whoever asks by HTTP or Python says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.api import Lab
from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.errors import InvalidInput
from dicomfab.registry.server import PacsServer
from tests.unit.dicomweb.client.servers import by_handler, web_server
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.services.hospital import ADMIN
from tests.unit.web.api.conftest import Program

RECIPE = StudyRecipe((SeriesRecipe("text-card", 2),), seed=5, accession_number="VIA")


def added(application: Application, root: str = "") -> PacsServer:
    """A server of which only the DICOMweb answers."""
    fields = {"name": "There", "host": "127.0.0.1", "port": 1, "aec": "THERE", "environment": "test"}
    return application.pacs.add(ADMIN, {**fields, "dicomweb_root": root})


def answered(program: Program, **wanted: Any) -> dict[str, Any]:
    body = {"servers": ["there"], "accession_number": "VIA", **wanted}
    (answer,) = program.ask("POST", "/queries?wait_s=20", body, status=202)["servers"]
    return dict(answer)


def test_a_query_goes_the_way_that_is_asked_for(program: Program, application: Application, tmp_path: Path) -> None:
    with web_server(by_handler(MemoryStore(tmp_path))) as there:
        added(application, there.root)
        assert answered(program)["state"] == "failed"
        assert answered(program, via="web")["state"] == "ok"
    program.ask("POST", "/queries", {"servers": ["there"], "via": "fax"}, status=400)


def test_a_server_without_an_address_is_told_to_have_none(program: Program, application: Application) -> None:
    added(application)
    answer = answered(program, via="web")
    assert (answer["state"], answer["found"]) == ("failed", 0)
    assert "no DICOMweb address" in answer["error"]["what"]
    problem = program.ask("POST", "/jobs/get", {"studies": ["1.2"], "source": "there", "via": "web"}, status=400)
    assert problem["field"] == "via"


def test_a_job_remembers_the_way(program: Program, application: Application, tmp_path: Path) -> None:
    made = application.studies.create(ADMIN, application.studies.resolve_recipe(ADMIN, RECIPE))
    study = made.resolved.study_instance_uid
    with web_server(by_handler(MemoryStore(tmp_path))) as there:
        added(application, there.root)
        body = {"studies": [study], "destination": "there", "via": "web"}
        number = program.ask("POST", "/jobs/send", body, status=202)["id"]
        assert application.jobs.show(ADMIN, number).request["via"] == "web"


def test_a_schedule_remembers_the_way(program: Program, application: Application) -> None:
    added(application, "http://127.0.0.1:1/dicom-web")
    asked = {"servers": ["there"], "patient_id": "SYN1"}
    for via in ("", "web"):
        body = {"cron": "0 3 * * *", "query": {**asked, "via": via}}
        number = program.ask("POST", "/schedules", body, status=201)["id"]
        assert application.schedules.show(ADMIN, number).parameters["via"] == via
    program.ask("POST", "/schedules", {"cron": "0 3 * * *", "query": {**asked, "via": "fax"}}, status=400)


def test_the_python_api_sends_queries_and_gets(application: Application, tmp_path: Path) -> None:
    lab = Lab(application, ADMIN)
    study = lab.create("text-card", seed=5).resolved.study_instance_uid
    (tmp_path / "held").mkdir()
    with web_server(by_handler(MemoryStore(tmp_path / "held"))) as there:
        server = added(application, there.root)
        assert lab.send(study, to="there", via="web").operation == "STOW-RS"
        (answer,) = lab.query(["there"], via="web", study_instance_uid=study)
        assert (answer.found, answer.server) == (1, replace(server, via="web"))
        assert lab.get(study, source="there", via="web").operation == "WADO-RS"
    with pytest.raises(InvalidInput):
        lab.send(study, to="there", via="fax")
