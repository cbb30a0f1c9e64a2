"""Jobs of a hospital: ledger, queue and workers as the application wires them, with a clock that a test can set on."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.scp.server import Server
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError
from dicomfab.model.job import ItemState, Job, JobEvent, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.fabricate import FabricateExecutor, fabricate_job
from dicomfab.services.jobs.retrieve import RetrieveExecutor, get_job, move_job
from dicomfab.services.jobs.run import Executor
from dicomfab.services.jobs.send import SendExecutor, send_job
from dicomfab.services.jobs.worker import Worker
from dicomfab.storage.database import Database
from dicomfab.storage.job_queue import JobQueue
from dicomfab.storage.jobs import JobRepository
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.services.hospital import ADMIN, Hospital, hospital

STORE = "store-of-the-test"


@dataclass
class Office:
    """Submits jobs and does them.

    Args:
        site: the servers.
        lease_s: of every worker.
    """

    site: Hospital
    lease_s: float = 30.0
    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        database = Database(self.site.folder / "jobs.sqlite3")
        self.site.stack.callback(database.close)
        self.ahead = datetime.timedelta(0)
        self.database = database
        self.ledger = JobRepository(database, now=self.now)
        self.queue = JobQueue(database, now=self.now, lease_s=self.lease_s)
        self.registry = Registry()
        retrieve = RetrieveExecutor(self.site.transfers, lambda: self.registry, self.now)
        self.executors: dict[JobKind, Executor] = {
            JobKind.SEND: SendExecutor(self.site.transfers, lambda: self.registry),
            JobKind.MOVE: retrieve,
            JobKind.GET: retrieve,
            JobKind.FABRICATE: FabricateExecutor(self.site.studies),
        }

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.ahead

    def pass_s(self, seconds: float) -> None:
        """Let time go on for queue and ledger."""
        self.ahead += datetime.timedelta(seconds=seconds)

    def know(self, *servers: PacsServer) -> None:
        """Enter servers into the registry, each a move destination of all others by its own AE title."""
        for server in servers:
            self.registry = self.registry.add(server)
        for source in self.registry.servers:
            others = {one.id: one.aec for one in self.registry.servers if one is not source}
            self.registry = self.registry.set_routes(source.id, others)

    def worker(self, queue: JobQueue | None = None, name: str = "") -> Worker:
        made = Worker(
            queue or self.queue,
            self.ledger,
            self.executors,
            limit=lambda name: self.limits.get(name, 2),
            store_id=STORE,
            now=self.now,
        )
        made.name = name or made.name
        return made

    def send(self, studies: list[str], to: PacsServer, *, as_whom: Actor = ADMIN, **options: Any) -> int:
        options = {"verify_wait_s": 0.0, **options}
        return self.submit(*send_job(as_whom, self.site.local, studies, to, store_id=STORE, **options))

    def move(self, studies: list[str], source: PacsServer, to: PacsServer, **options: Any) -> int:
        return self.submit(*move_job(ADMIN, self.registry, studies, source, to, **{"verify_wait_s": 0.0, **options}))

    def get(self, studies: list[str], source: PacsServer, **options: Any) -> int:
        return self.submit(*get_job(ADMIN, studies, source, store_id=STORE, **options))

    def fabricate(self, studies: list[Any], **options: Any) -> int:
        return self.submit(*fabricate_job(ADMIN, studies, store_id=STORE, **options))

    def submit(self, new: NewJob, items: Iterator[NewItem] | list[NewItem]) -> int:
        return self.ledger.submit(new, items)

    def run(self, job_id: int, **options: Any) -> Job:
        """Do the job here, once; it has to be there to be taken."""
        assert self.worker().run_one(job_id, **options)
        return self.ledger.find(job_id)

    def retried(self, job_id: int) -> Job:
        self.ledger.ask(job_id, JobEvent.RETRY)
        return self.run(job_id)

    def items(self, job_id: int, state: ItemState | None = None) -> list[JobItem]:
        return self.ledger.items(job_id, () if state is None else (state,))

    def checked(self, job_id: int) -> Job:
        """The job, whose counts are those of its items."""
        found = self.ledger.find(job_id)
        states = [item.state for item in self.items(job_id)]
        counted = (len(states), *map(states.count, (ItemState.DONE, ItemState.FAILED, ItemState.HELD)))
        counts = found.counts
        assert (counts.total, counts.done, counts.failed, counts.held) == counted
        return found


@contextlib.contextmanager
def office(folder: Path, **options: Any) -> Iterator[Office]:
    with hospital(folder) as site:
        yield Office(site, **options)


@contextlib.contextmanager
def at_work(worker: Worker, job_id: int) -> Iterator[threading.Thread]:
    """A worker that does a job on a thread of its own, which has ended when the block has."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            worker.run_one(job_id)
        except DicomFabError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert not failures


def until(condition: Callable[[], object], *, patience_s: float = 60.0) -> None:
    """Look again and again until it is so."""
    given_up_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


class Gate:
    """Holds what calls it up at a given call until the test says so; later calls pass."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._calls = 0
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == self._at:
            self.reached.set()
            assert self.opened.wait(120)

    def wait(self) -> None:
        assert self.reached.wait(120)


class Picky(PacsHandlers):
    """A test PACS that refuses what it is told to, and lets a test look on.

    Args:
        archive, ae_title, environment, destinations: as of :class:`PacsHandlers`.
    """

    def __init__(self, archive: Archive, ae_title: str, environment: Environment, destinations: Any) -> None:
        super().__init__(archive, ae_title, environment, destinations)
        self._destinations = destinations
        self.refusals: dict[str, Refusal] = {}
        self.refuse_after: tuple[int, Refusal] | None = None
        self.received: list[str] = []
        self.on_store: Callable[[], None] = lambda: None
        self.on_move: Callable[[], None] = lambda: None

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        self.received.append(identity.sop_instance_uid)
        self.on_store()
        if refusal := self.refusals.get(identity.sop_instance_uid):
            raise refusal
        if self.refuse_after and len(self.received) > self.refuse_after[0]:
            raise self.refuse_after[1]
        return super().begin_store(requestor, identity)

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        self.on_move()
        return super().select(requestor, model, identifier)


@dataclass
class Mortal:
    """A server that can be killed and brought back at the same address."""

    site: Hospital
    handlers: Picky
    ae_title: str

    def __post_init__(self) -> None:
        self.running = Server(ServerConfig(self.ae_title), self.handlers)
        self.running.__enter__()
        self.port = self.running.port
        self.site.destinations[self.ae_title] = ("127.0.0.1", self.port)
        self.site.stack.callback(self.kill)

        self.dying: threading.Thread | None = None

    def kill(self) -> None:
        self.running.__exit__(None, None, None)

    def die(self) -> None:
        """Be killed at this moment, called from one of its own handlers, which gets no answer out any more."""
        for abort in dict(self.running._sessions).values():
            abort()
        dying = threading.Thread(target=self.kill)
        dying.start()
        self.dying = dying  # not before: somebody may wait for it from here on
        assert self.running._closing.wait(30)

    def revive(self) -> None:
        if self.dying is not None:
            self.dying.join()  # until its port is free
        self.handlers.on_store = self.handlers.on_move = lambda: None
        self.running = Server(ServerConfig(self.ae_title, port=self.port), self.handlers)
        self.running.__enter__()


def picky(office: Office, ae_title: str = "PICKY", **settings: Any) -> tuple[Picky, PacsServer]:
    """A picky server, known to the registry."""
    site = office.site
    handlers = Picky(site.archive(ae_title), ae_title, Environment.TEST, site.destinations)
    server = site.server(ae_title, handlers, **settings)
    office.know(server)
    return handlers, server


def mortal(office: Office, ae_title: str = "MORTAL") -> tuple[Mortal, PacsServer]:
    """A server that can die, known to the registry."""
    site = office.site
    one = Mortal(site, Picky(site.archive(ae_title), ae_title, Environment.TEST, site.destinations), ae_title)
    server = site.entry(ae_title, one.port)
    office.know(server)
    return one, server


def cards(count: int, seed: int = 5) -> StudyRecipe:
    return StudyRecipe((SeriesRecipe("text-card", count),), seed=seed, accession_number=f"CARDS{seed}")
