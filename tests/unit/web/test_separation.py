"""Nothing of production on the pages of somebody with a test role: lists, counts, pictures, what was begun earlier."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from dicomfab.model.job import JobEvent
from dicomfab.model.values import Environment
from dicomfab.testpacs.ports import free_ports
from dicomfab.web.study_form import StudyForm
from tests.unit.archive.builders import dataset, store
from tests.unit.dimse.raw import eventually
from tests.unit.web.conftest import Browser
from tests.unit.web.people import OWNER, PASSWORD, Person, add, nobody

HIDDEN = "QUARTZCANARY"
ASKED = "quartzcan"  # finds it; its echo is not it
STUDY = "1.2.826.9.7"
ORDER = f"MSH|^~\\&|RIS|SITE|PACS|SITE|||ORM^O01|M1|P|2.5\rPID|1||{HIDDEN}||{HIDDEN}^A\rORC|NW|P1\rOBR|1|P1||CT\r"
SHOWING = (
    "/", f"/palette?q={ASKED}", "/orders", f"/orders?q={ASKED}", "/orders/1", "/pacs", "/pacs/matrix", "/pacs/network",
    "/pacs/network.svg", "/monitor", "/jobs", f"/jobs?q={ASKED}", "/jobs/1", "/studies",
    f"/studies?q={ASKED}", f"/studies/{STUDY}", "/query", "/doctor", "/compare", "/studies/new/order?order=1",
    "/api/v1/servers", "/api/v1/servers/matrix", "/api/v1/studies", "/api/v1/jobs", "/api/v1/monitor/servers",
    "/api/v1/orders", "/api/v1/orders/1", "/api/v1/procedures", "/api/v1/procedures/1",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    application: Application
    people: dict[Role, Person]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A production side of which every name is ``HIDDEN``, and a test side without anything."""
    from dicomfab.app.build import build
    from dicomfab.app.settings import Settings

    application = build(Settings(tmp_path_factory.mktemp("home"), worker_idle_s=0))
    for name, port in zip((HIDDEN, f"{HIDDEN}-2"), free_ports(2, "127.0.0.1"), strict=True):
        entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": "P" + str(port), "environment": "prod"}
        application.pacs.add(OWNER, entry)
    first, second = (server.id for server in application.pacs.servers(OWNER))
    application.pacs.set_routes(OWNER, first, {second: "THERE"})
    one = dataset(STUDY, f"{STUDY}.1", f"{STUDY}.1.1", PatientName=f"{HIDDEN}^A", StudyDescription=HIDDEN)
    store(application.local_archive, one, environment=Environment.PROD)
    application.orders.add(OWNER, ORDER, Environment.PROD)
    job = application.jobs.get(OWNER, [STUDY], application.pacs.get(OWNER, first))
    application.jobs.ask(OWNER, job.id, JobEvent.PAUSE)
    app = nobody(application).app
    people = {}
    for role in (Role.TEST_READ, Role.PROD_READ):
        person = people[role] = Person(app)
        assert person.sign_in(add(application, str(role), role).name).status_code == 303
    yield Place(application, people)
    application.close()


@pytest.mark.parametrize("path", SHOWING)
def test_a_test_role_sees_nothing_of_production(place: Place, path: str) -> None:
    assert HIDDEN in place.people[Role.PROD_READ].get(path).text  # else this proves nothing
    refused = place.people[Role.TEST_READ].get(path)
    assert HIDDEN not in refused.text
    assert STUDY not in refused.text.replace(path, "")
    assert refused.status_code in {200, 403, 404}


def test_counts_do_not_tell_of_production(place: Place) -> None:
    def figures(role: Role) -> dict[str, str]:
        text = place.people[role].get("/").text
        return dict(re.findall(r'<div class="figure"><dt>([^<]+)</dt><dd>(?:<a [^>]+>)?([^<]+)', text))

    assert figures(Role.PROD_READ)["Local studies"] == "1"
    seen = figures(Role.TEST_READ)
    assert [seen[one] for one in ("Local studies", "Instances", "Patients with studies")] == ["0", "0", "0"]


def test_what_was_begun_is_not_shown_to_somebody_who_lost_the_role(place: Place) -> None:
    built = place.application
    account = add(built, "moved", Role.TEST_READ, Role.PROD_READ)
    person = Person(place.people[Role.TEST_READ].app)
    person.sign_in("moved")
    begun = [
        person.post("/studies/validate", {"study": STUDY}),
        person.post("/doctor/server", {"pacs": HIDDEN.lower()}),
    ]
    addresses = [response.headers["location"].partition("#")[0] for response in begun]
    run_id = addresses[1].partition("run=")[2]
    assert eventually(lambda: "Not valid" in person.get(addresses[0]).text, 60)
    assert all(HIDDEN in person.get(address).text for address in addresses)
    assert person.get(f"/api/v1/diagnoses/{run_id}").status_code == 200
    built.accounts.set_roles(OWNER, account.id, [Role.TEST_READ])
    person.sign_in("moved", PASSWORD)
    assert [HIDDEN in person.get(address).text for address in addresses] == [False, False]
    assert person.get(addresses[0]).status_code == 404
    assert person.get(f"/api/v1/diagnoses/{run_id}").status_code == 404
    assert person.get(f"/doctor/checks?run={run_id}").status_code == 404


def test_a_tab_that_is_none_is_the_form(browser: Browser) -> None:
    assert StudyForm(tab="../error").tab == "form"
    assert browser.post("/studies/new", {"tab": "1", "kinds": "x"}).status_code == 400
