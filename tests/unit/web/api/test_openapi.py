"""Whatever fits or does not fit the description, is answered as the description says; never by a fault of ours."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import dicomfab
from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.job import JobKind
from dicomfab.model.values import Environment
from dicomfab.testpacs.ports import free_ports
from dicomfab.web.api.messages import HL7
from dicomfab.web.api.root import openapi
from dicomfab.web.app import create_app
from tests.unit.services.ordering.conftest import orm
from tests.unit.web.api.conftest import Program, serving
from tests.unit.web.conftest import ACTOR

DESCRIBED = openapi()
SCHEMA = schemathesis.openapi.from_dict(DESCRIBED)
OPERATIONS = [operation.ok() for operation in SCHEMA.get_all_operations()]
#: Bodies of DICOM are not made from a schema: tests/unit/dicomweb makes them.
WALKED = [one for one in OPERATIONS if not one.label.startswith("POST /dicom-web/")]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schemathesis.serializer(HL7)
def _as_it_is(_context: Any, value: Any) -> bytes:
    """A message, of any characters."""
    return str(value).encode("utf-8", "replace")


@dataclass(frozen=True)
class Served:
    """A home of its own behind a real socket, with one of each."""

    address: str
    session: requests.Session
    known: dict[str, Any]
    closed_port: int


def _import_what_threads_would() -> None:
    """Hypothesis goes through ``sys.modules``, which must not grow meanwhile because a thread imports something."""
    for module in pkgutil.walk_packages(dicomfab.__path__, "dicomfab."):
        if not module.name.endswith(("__main__", "migrations.env")):  # these are run, not imported
            importlib.import_module(module.name)
    importlib.import_module("pydicom.fileset")
    Image.init()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    _import_what_threads_would()
    application = build(Settings(tmp_path_factory.mktemp("api") / "home", worker_idle_s=0))
    ports = free_ports(3, "127.0.0.1")
    for name, port, environment in (("Alpha", ports[0], "test"), ("Beta", ports[1], "prod")):
        entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": environment}
        application.pacs.add(ACTOR, entry)
    recipe = StudyRecipe(("text-card",), seed=1, accession_number="SYN-1")
    made = application.studies.create(ACTOR, application.studies.resolve_recipe(ACTOR, recipe))
    job = application.jobs.fabricate(ACTOR, [application.studies.resolve_recipe(ACTOR, recipe)])
    daily = {"recipe": "series: [text-card]", "count": 1, "priority": 5}
    schedule = application.schedules.add(ACTOR, JobKind.FABRICATE, daily, cron="30 6 * * *")
    account = application.accounts.add(ACTOR, "anna", ["admin"], password="tulip marble seven")
    instance = application.local_archive.instances(made.resolved.study_instance_uid)[0]
    known = {
        "series": instance.series_instance_uid,
        "frames": "1",
        "value": "7FE00010",
        "server_id": "alpha",
        "study": made.resolved.study_instance_uid,
        "number": application.patients.invent(ACTOR, 1).patients[0].number,
        "job_id": job.id,
        "account_id": account.id,
        "schedule_id": schedule.id,
        "instance": instance.identity.sop_instance_uid,
        "seq": 1,
        "accession_number": "A100",
    }
    application.ordering.intake.take(ACTOR, orm(), Environment.TEST)
    with serving(create_app(application)) as address, requests.Session() as session:
        session.headers["Sec-Fetch-Site"] = "same-origin"
        yield Served(address, session, known, ports[2])
    application.close()


#: Keys of bodies that name a server.
SERVERS = {"source": "alpha", "destination": "beta", "server": "alpha", "at": "alpha", "a": "alpha", "b": "beta"}


def _tamed(case: Any, served: Served, *, is_known: bool) -> Any:
    """The same request, about something that is there if wanted (and stays), and leading to no other machine."""
    if is_known and case.method not in {"DELETE", "delete"} and not case.path.endswith("/disable"):
        case.path_parameters |= {name: served.known.get(name, one) for name, one in case.path_parameters.items()}
        if isinstance(case.body, dict):
            case.body |= {name: server for name, server in SERVERS.items() if name in case.body}
            case.body |= {"studies": [served.known["study"]]} if "studies" in case.body else {}
    if is_known and case.query and "pacs" in case.query:
        case.query["pacs"] = "alpha"
    if case.query and "wait_s" in case.query:
        case.query["wait_s"] = 0
    if isinstance(case.body, dict) and "host" in case.body:
        case.body |= {"host": "127.0.0.1", "port": served.closed_port}
    return case


def _walk(operation: Any, served: Served, examples: int) -> None:
    positive, negative = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(positive, negative), is_known=st.booleans())
    def walk(case: Any, is_known: bool) -> None:
        tamed = _tamed(case, served, is_known=is_known)
        response = tamed.call(base_url=served.address, session=served.session, timeout=60)
        is_peers = response.status_code in {502, 504}  # nothing listens where the servers should
        tamed.validate_response(response, checks=CHECKS[1:] if is_peers else CHECKS)

    walk()


@pytest.mark.parametrize("operation", WALKED, ids=lambda one: one.label)
def test_every_operation_answers_as_described(operation: Any, served: Served) -> None:
    _walk(operation, served, 6)


@pytest.mark.full
@pytest.mark.parametrize("operation", WALKED, ids=lambda one: one.label)
def test_every_operation_answers_as_described_at_length(operation: Any, served: Served) -> None:
    _walk(operation, served, 40)


def test_the_description_has_every_route_and_no_page(program: Program) -> None:
    routes = {
        f"{method} {route.path}".replace(":path}", "}")
        for route in iter_route_contexts(program.app.routes)
        if isinstance(route.original_route, APIRoute) and route.path.startswith(("/api/", "/dicom-web/"))
        for method in route.methods or ()
        if method != "HEAD"
    }
    told = {f"{method.upper()} {path}" for path, item in DESCRIBED["paths"].items() for method in item}
    assert told == routes - {"GET /api/v1/openapi.json", "GET /api/v1/docs"}
    assert program.ask("GET", "/openapi.json")["paths"].keys() == DESCRIBED["paths"].keys()


def test_every_operation_is_described_in_full() -> None:
    ids = []
    for path, item in DESCRIBED["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert operation["tags"], where
            assert {"400", "401", "403", "404", "422", "500"} <= operation["responses"].keys(), where
            assert any(status.startswith("2") for status in operation["responses"]), where
            if path.endswith("/commands"):
                continue
            for status, response in operation["responses"].items():
                assert response["description"], where
                assert (status in {"204", "304"}) is ("content" not in response), where
            ids.append(operation["operationId"])
    assert len(ids) == len(set(ids)) == len(OPERATIONS) - 1


@pytest.mark.parametrize("name", ["NewServer", "ServerChange", "Server"])
def test_every_field_of_a_server_is_described_as_its_class_says(name: str) -> None:
    fields = DESCRIBED["components"]["schemas"][name]["properties"]
    # What this says is that of the class, and 3.13 hands the text of one in another shape than 3.11.
    assert {field for field, told in fields.items() if not told.get("description")} <= {"last_test"}
    assert fields["name"]["description"] == "what people call it."
