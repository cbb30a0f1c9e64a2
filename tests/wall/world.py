"""A small hospital behind a web interface: a test side, a production side that is watched, and what an admin did."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import Handlers, Requestor, ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.account import Origin
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.errors import Conflict, NotSignedIn
from dicomfab.model.job import ENDED, Job, JobEvent, JobKind, JobState
from dicomfab.model.values import Environment
from dicomfab.services.search_saved import SavedSearch
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.jobs import JobFilter
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.testpacs.ports import free_ports, listening
from dicomfab.web.app import create_app
from tests.unit.archive.builders import dataset, store
from tests.unit.dimse.raw import eventually
from tests.unit.services.accounts_office import weaken_passwords

ADMIN = local_admin("chief", "cli")
PASSWORD = "tulip marble seven"
#: Stands in every text of a production patient, and never in what somebody types.
CANARY = "WALLCANARY"
PROD_STUDY = "1.2.826.9.1"  # typed by people, so its echo says nothing; what is below it does
HIDDEN_STUDY = "1.2.826.9.4242"  # never typed
HIDDEN_UIDS = (HIDDEN_STUDY, f"{PROD_STUDY}.77")
TEST_STUDY = "1.2.826.8.1"
ORDER = (
    "MSH|^~\\&|RIS|SITE|PACS|SITE|20240506101112||ORM^O01|M1|P|2.5\rPID|1||{0}||{0}^CARLA\rORC|NW|P1\rOBR|1|P1||CT\r"
)
LOCAL_STUDY = StudyRecipe((SeriesRecipe("text-card", 1),), seed=5, accession_number="CARDS")
PEOPLE = {
    "reader": (Role.TEST_READ,),
    "writer": (Role.TEST_WRITE,),
    "both": (Role.TEST_READ, Role.TEST_WRITE),
    "nobody": (),
}
_PIXELS: dict[str, Any] = {
    "Rows": 8, "Columns": 8, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
    "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelData": bytes(128),
}  # fmt: skip


@dataclass
class Watch:
    """Lets every caller of a server in, and counts them."""

    handlers: Handlers
    calls: int = 0

    def admit(self, requestor: Requestor) -> Handlers:
        self.calls += 1
        return self.handlers

    def rejected(self, *_: object) -> None:
        self.calls += 1

    def ended(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Credentials:
    """How a person shows who he is."""

    session: str
    token: str
    actor: Actor


@dataclass
class World:
    """The installation, its servers, and the people.

    Args:
        folder: for everything.
        stack: ends what is started.
    """

    folder: Path
    stack: contextlib.ExitStack
    archives: dict[str, Archive] = field(default_factory=dict)
    own: dict[str, Credentials] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weaken_passwords(self.stack.enter_context(pytest.MonkeyPatch.context()))
        (scp,) = free_ports(1, "127.0.0.1")
        self.application: Application = build(Settings(self.folder / "home", worker_idle_s=0, scp_port=scp))
        self.stack.callback(self.application.close)
        self._servers()
        self._data()
        self.app: FastAPI = create_app(self.application, WebSettings((Mode.LOCAL,)))
        self.port = self.stack.enter_context(_served(self.app))
        self.accounts = {
            name: self.application.accounts.add(ADMIN, name, roles, password=PASSWORD)
            for name, roles in {**PEOPLE, "boss": (Role.ADMIN,)}.items()
        }
        self.admins = self._what_the_admin_did()
        self.untouched = self.fingerprint()

    # ------------------------------------------------------------------ making it

    def _servers(self) -> None:
        destinations: dict[str, tuple[str, int]] = {}
        for name, environment in (("TEST1", "test"), ("TEST2", "test"), ("PROD", "prod")):
            archive = self.archives[name] = Archive(self.folder / name)
            self.stack.callback(archive.close)
            handlers = PacsHandlers(archive, name, Environment(environment), {})
            handlers._destinations = destinations  # each knows those that come after it, too
            watch = Watch(handlers)
            running = self.stack.enter_context(Server(ServerConfig(name), handlers, gate=watch))
            destinations[name] = ("127.0.0.1", running.port)
            entry = {"name": name, "host": "127.0.0.1", "port": running.port, "aec": name, "environment": environment}
            self.application.pacs.add(ADMIN, {**entry, "allow_real": True, "allow_synthetic": True})
        self.application.pacs.add(ADMIN, {**entry, "name": "PROD2", "aec": "PROD2"})  # another name of the same
        self.prod_port, self.watch = running.port, watch
        for source in ("test1", "test2", "prod"):
            titles = {other: other.upper() for other in ("test1", "test2", "prod") if other != source}
            self.application.pacs.set_routes(ADMIN, source, titles)

    def _data(self) -> None:
        who = {"PatientName": f"{CANARY}^QUARTZ", "PatientID": f"{CANARY}-7", "AccessionNumber": f"{CANARY}1"}
        said = {"StudyDescription": f"{CANARY} skull", "SeriesDescription": f"{CANARY} axial"}
        for study in (PROD_STUDY, HIDDEN_STUDY):
            for number in (1, 2):
                below = {"series": f"{study}.77", "instance": f"{study}.77.{number}"}
                one = dataset(study, **below, **who, **said, **_PIXELS)
                store(self.archives["PROD"], one, environment=Environment.PROD)
        self.replenish()

    def replenish(self) -> None:
        """What people may delete is there again; one test server holds a study of the same UID as production."""
        for study in (TEST_STUDY, PROD_STUDY):
            if not self.archives["TEST1"].instances(study):
                one = dataset(study, f"{study}.5", f"{study}.5.1", PatientName="TESTER^TWIN", PatientID="T1", **_PIXELS)
                store(self.archives["TEST1"], one)
        studies = self.application.studies
        resolved = studies.resolve_recipe(ADMIN, LOCAL_STUDY)
        self.local_study = resolved.study_instance_uid
        if not self.application.local_archive.instances(self.local_study):
            studies.create(ADMIN, resolved)

    def _what_the_admin_did(self) -> dict[str, list[str]]:
        """Jobs, a schedule, searches, orders and diagnoses over production; their numbers and ids."""
        built, get = self.application, self.application.pacs.get
        test, prod = get(ADMIN, "test1"), get(ADMIN, "prod")
        wanted = StudyFilter(patient_name=f"{CANARY}*")
        ran = [
            built.jobs.get(ADMIN, [PROD_STUDY], prod),
            built.jobs.get(ADMIN, ["1.2.826.9.0"], prod),  # not there: it fails, and could be tried again
            built.jobs.move(ADMIN, [TEST_STUDY], test, prod, confirm_production=True),
            built.compare_jobs.submit(ADMIN, prod, test, StudyFilter(study_instance_uid=PROD_STUDY), instances=True),
            built.query_jobs.submit(ADMIN, [prod, test], wanted),
        ]
        for job in ran:
            assert built.worker.run_one(job.id)
        waiting = built.jobs.get(ADMIN, [HIDDEN_STUDY], prod)
        built.jobs.ask(ADMIN, waiting.id, JobEvent.PAUSE)
        parameters = {"studies": [HIDDEN_STUDY], "source": "prod"}
        schedule = built.schedules.add(ADMIN, JobKind.GET, parameters, cron="0 0 1 1 *")
        texts = {Environment.TEST: ORDER.format("TESTER"), Environment.PROD: ORDER.format(CANARY)}
        taken = [built.ordering.intake.take(ADMIN, text.encode(), env) for env, text in texts.items()]
        orders = [one for each in taken for one in each.orders]
        search = built.searches.begin(ADMIN, [prod, test], wanted, 50)
        assert {answer.found for answer in built.searches.run(ADMIN, search)} == {2, 0}
        built.searches.saved.save(ADMIN, SavedSearch("of-the-chief", ("prod",), wanted, 50))
        return {
            "job": [str(job.id) for job in (*ran, waiting)],
            "schedule": [str(schedule.id)],
            "search": [search],
            "order": [str(one.number) for one in orders],
            "procedure": [str(built.orders.brief(ADMIN, one.number).procedure) for one in orders],
            "message": [str(each.message.number) for each in taken],
        }

    # ------------------------------------------------------------------ people

    def credentials(self, name: str) -> Credentials:
        """A session and a token that are valid, whatever the person did to those he had."""
        built, here = self.application, Origin("127.0.0.1")
        if known := self.own.get(name):
            with contextlib.suppress(NotSignedIn):
                built.sign_in.by_session(known.session)
                if known.token:
                    built.api_tokens.by_token(known.token, here)
                return known
        account = self.accounts[name]
        for old in built.api_tokens.of(ADMIN, account.id):
            with contextlib.suppress(Conflict):
                built.api_tokens.revoke(ADMIN, old.id)
        session, who = built.sign_in.sign_in(name, PASSWORD, Origin("127.0.0.9"))
        token = ""
        if account.roles:
            token, _ = built.api_tokens.create(ADMIN, account.id, account.roles, label="wall")
        self.own[name] = Credentials(
            session, token, built.api_tokens.by_token(token, here).actor if token else who.actor
        )
        return self.own[name]

    # ------------------------------------------------------------------ work and judgement

    def work(self) -> int:
        """Make what schedules owe, and do every job that people left; what has not ended then is cancelled."""
        built, done = self.application, 0
        built.schedules.beat()
        for job in self._jobs(others=True):
            if job.state is JobState.QUEUED:
                done += built.worker.run_one(job.id)
        for job in self._jobs(others=True):
            with contextlib.suppress(Conflict):
                built.jobs.ask(ADMIN, job.id, JobEvent.CANCEL)
        for schedule in built.schedules.every(ADMIN):
            if schedule.owner != ADMIN.name:
                built.schedules.remove(ADMIN, schedule.id)
        return done

    def _jobs(self, *, others: bool) -> list[Job]:
        active = JobFilter(states=frozenset(JobState) - ENDED) if others else JobFilter(owner=ADMIN.name)
        found = self.application.jobs.page(ADMIN, active, limit=1000).jobs
        return [job for job in reversed(found) if (job.owner != ADMIN.name) is others]

    def fingerprint(self) -> dict[str, Any]:
        """All that nobody with a test role may change."""
        built = self.application
        return {
            "calls of the production server": self.watch.calls,
            "what it holds": sorted(_held(self.archives["PROD"])),
            "production's copy here": sorted(
                uid for uid in _held(built.local_archive) if uid.startswith(f"{PROD_STUDY}.77")
            ),
            "servers and routes": built.pacs.export_json(ADMIN, None),
            "monitoring": [(one.server.id, one.switch, one.interval_s) for one in built.monitoring.board(ADMIN)],
            "accounts": [(one.name, sorted(one.roles), one.is_active) for one in built.accounts.every(ADMIN)],
            "the admin's jobs": [
                (job.id, job.state, job.wish, job.priority)
                for job in self._jobs(others=False)
                if job.environment is Environment.PROD
            ],
            "the admin's schedules": [
                (one.id, one.next_at) for one in built.schedules.every(ADMIN) if one.owner == ADMIN.name
            ],
            "the order of production": built.orders.brief(ADMIN, int(self.admins["order"][1])),
            "the admin's saved search": [
                one for one in built.searches.saved.every(ADMIN) if one.name == "of-the-chief"
            ],
        }

    def leaked(self) -> list[str]:
        """Instances of production that got to a test server."""
        return [uid for name in ("TEST1", "TEST2") for uid in _held(self.archives[name]) if uid.startswith(HIDDEN_UIDS)]


def _held(archive: Archive) -> Iterator[str]:
    for study in archive.studies(limit=10_000).studies:
        for one in archive.instances(study.study_instance_uid):
            yield one.identity.sop_instance_uid


@contextlib.contextmanager
def _served(app: FastAPI) -> Iterator[int]:
    """The pages on a port of this computer, by the server that ``dicomfab serve`` uses."""
    with listening("127.0.0.1", 0) as bound:
        bound.listen()
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            assert eventually(lambda: server.started, 20)
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """A new one."""
    with contextlib.ExitStack() as stack:
        yield World(folder, stack)
