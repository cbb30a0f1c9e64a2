"""Kill, with SIGKILL, the process that does a job, let another go on, and count what is at the peer."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.actor import local_admin
from dicomfab.model.job import ItemState, Job
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.service import Options
from dicomfab.storage.address import PostgresAddress
from tests.unit.services.job_office import Picky

ACTOR = local_admin("tester", "api")
COUNT = 2_000
BATCH = 200  # of a send
STUDY = 100  # instances of each study of a move
LEASE_S = 2.0
PATIENCE_S = 90.0
#: Nobody waits for it: what may pass is tried again. The archives of these tests list at once what they have taken.
OPTIONS = Options(verify_wait_s=5.0, max_attempts=8)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"
_UID = "2.25.77777777777777777777"  # stands for the SOP Instance UID in the one header that is encoded


def fill(archive: Archive, *, studies: int, each: int, root: int) -> list[str]:
    """Put studies of instances of 5 KB into an archive; returns their UIDs."""
    uids = [f"2.25.{root}{number:04d}" for number in range(studies)]
    with archive.batch() as batch:
        for study in uids:
            encoded = _encoded(study)
            for number in range(each):
                uid = f"{study}{number:0{len(_UID) - len(study)}d}"
                with batch.begin(InstanceIdentity(SECONDARY_CAPTURE, uid, EXPLICIT)) as incoming:
                    incoming.write(encoded.replace(_UID.encode(), uid.encode()))
                    incoming.commit(environment=Environment.TEST)
    return uids


def _encoded(study: str) -> bytes:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = SECONDARY_CAPTURE, _UID
    made.StudyDate, made.Modality, made.PatientID, made.PatientName = "20260101", "OT", "SYN1", "SYN^KILLED"
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study}.1"
    made.Rows = made.Columns = 64
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = bytes(64 * 64)
    made["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    sink = DicomIO(buffer)
    sink.is_implicit_VR, sink.is_little_endian = False, True
    write_dataset(sink, made)
    return buffer.getvalue()


@dataclass(frozen=True)
class Trial:
    """What one trial came to.

    Args:
        counts: whether the kill came between 10 % and 90 % of the instances, and was the only reason why the job went
            over to another worker: a machine that is too slow costs living ones their lease, too.
        killed_at: how many different instances had begun to arrive at the destination when the process was killed.
        repeated: how many arrived twice.
        resent: what the ledger says about that, in items.
        at_peer: SOP instances that the destination holds.
        in_ledger: instances that the ledger says are done.
    """

    counts: bool
    killed_at: int
    repeated: int
    resent: int
    at_peer: int
    in_ledger: int

    def __str__(self) -> str:
        return (
            f"killed at {self.killed_at:,}/{COUNT:,}, resent {self.repeated}, at the peer {self.at_peer:,}, "
            f"ledger {self.in_ledger:,}"
        )


@dataclass
class Laboratory:
    """An installation with workers, a source and a destination.

    Args:
        folder: for everything.
        stack: ends it all.
        postgres: where the ledger is, if not in a file.
        crew: how many workers.
    """

    folder: Path
    stack: contextlib.ExitStack
    postgres: PostgresAddress | None = None
    crew: int = 2
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    by_title: dict[str, Picky] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = Settings(home=self.folder / "home", lease_s=LEASE_S, postgres=self.postgres)
        self.application = Application(settings)
        self.stack.callback(self.application.close)
        addresses: dict[str, tuple[str, int]] = {}
        self.source, self.source_archive = self._server("SOURCE", addresses)
        self.target, self.archive = self._server("TARGET", addresses)
        self.application.registry.change(
            lambda registry: registry.add(self.source).add(self.target).set_routes("source", {"target": "TARGET"})
        )
        self.stack.callback(self._end_workers)
        self._whole_crew()

    def send(self, studies: Sequence[str]) -> Job:
        return self.application.jobs.send(ACTOR, studies, self.target, options=OPTIONS)

    def move(self, studies: Sequence[str]) -> Job:
        return self.application.jobs.move(ACTOR, studies, self.source, self.target, options=OPTIONS)

    def trial(self, seed: int, submit: Callable[[], Job]) -> Trial:
        """Have a job begun, kill its worker at a moment that follows from the seed, and let another one finish."""
        draw = random.Random(seed)
        self._whole_crew()
        self.handlers.received.clear()
        moment, delay_s = draw.randrange(COUNT // 10, COUNT * 9 // 10), draw.uniform(0, 0.005)
        reached = threading.Event()
        self.handlers.on_store = lambda: reached.set() if len(self.handlers.received) >= moment else None
        job = submit()
        assert reached.wait(PATIENCE_S), f"job {job.id} did not get as far as {moment}"
        time.sleep(delay_s)  # anywhere in the exchange of an instance
        self._kill(self.application.jobs.show(ACTOR, job.id).worker)
        killed_at = len(set(self.handlers.received))
        return self._counted(self._ended(job.id), killed_at)

    def _counted(self, job: Job, killed_at: int) -> Trial:
        items = self.application.jobs.items(ACTOR, job.id, limit=COUNT + 1)
        assert {item.state for item in items} == {ItemState.DONE}, job
        assert (job.counts.done, job.counts.failed) == (len(items), 0)
        reports = [item.detail["report"]["verdict"]["present"] for item in items if "report" in item.detail]
        return Trial(
            counts=COUNT // 10 <= killed_at <= COUNT * 9 // 10 and job.fence == 2,
            killed_at=killed_at,
            repeated=len(self.handlers.received) - len(set(self.handlers.received)),
            resent=job.counts.resent,
            at_peer=self.archive.storage().instances,
            in_ledger=sum(reports) if reports else job.counts.done,
        )

    def empty_target(self, studies: Sequence[str]) -> None:
        for study in studies:
            self.archive.delete_study(study)

    def _ended(self, job_id: int) -> Job:
        until = time.monotonic() + PATIENCE_S
        while not (job := self.application.jobs.show(ACTOR, job_id)).state.has_ended:
            assert time.monotonic() < until, job
            time.sleep(0.1)
        assert str(job.state) == "succeeded", job
        return job

    def _whole_crew(self) -> None:
        while len(self.workers) < self.crew:
            with (self.folder / "worker.log").open("ab") as log:
                self.workers.append(self.start("worker", "--threads", "1", stdout=log, stderr=log))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command of this installation."""
        own = {
            "DICOMFAB_HOME": str(self.application.settings.home),
            "DICOMFAB_LEASE_S": str(LEASE_S),
            "DICOMFAB_WORKER_IDLE_S": "0",  # no worker is started that the test does not know of
        }
        if self.postgres is not None:
            place = self.postgres
            own["DICOMFAB_DATABASE"] = f"postgresql://{place.user}@{place.host}:{place.port}/{place.database}"
        return subprocess.Popen([sys.executable, "-m", "dicomfab", *words], env={**os.environ, **own}, **options)

    def _kill(self, name: str) -> None:
        """Kill the worker that has the job; it is one of ours."""
        process_id = int(name.rpartition(":")[2])
        (one,) = [worker for worker in self.workers if worker.pid == process_id]
        one.send_signal(signal.SIGKILL)
        one.wait()
        self.workers.remove(one)

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)

    def _server(self, ae_title: str, addresses: dict[str, tuple[str, int]]) -> tuple[PacsServer, Archive]:
        archive = Archive(self.folder / ae_title)
        self.stack.callback(archive.close)
        handlers = Picky(archive, ae_title, Environment.TEST, addresses)
        running = self.stack.enter_context(Server(ServerConfig(ae_title), handlers))
        addresses[ae_title] = ("127.0.0.1", running.port)
        self.handlers = handlers  # the last one made is the destination's
        self.by_title[ae_title] = handlers
        name = ae_title.lower()
        entry = PacsServer(
            id=name,
            name=ae_title,
            host="127.0.0.1",
            port=running.port,
            aec=ae_title,
            environment="test",
            allow_real=True,
        )
        return entry, archive


@contextlib.contextmanager
def laboratory(folder: Path, postgres: PostgresAddress | None = None, *, crew: int = 2) -> Iterator[Laboratory]:
    with contextlib.ExitStack() as stack:
        yield Laboratory(folder, stack, postgres, crew)


def trials(lab: Laboratory, kind: str, count: int, *, seed: int, tell: Callable[[str], Any]) -> list[Trial]:
    """So many trials that count, one line each.

    Args:
        lab: where.
        kind: ``send``, 2,000 instances of one study; or ``move``, 20 studies of 100.
        count: trials whose kill came in time.
        seed: of the first one; those that do not count are repeated with the next.
        tell: prints a line.
    """
    if kind == "send":
        studies = fill(lab.application.local_archive, studies=1, each=COUNT, root=1)
        submit = lab.send
    else:
        studies = fill(lab.source_archive, studies=COUNT // STUDY, each=STUDY, root=2)
        submit = lab.move
    done: list[Trial] = []
    for number in range(3 * count):
        trial = lab.trial(seed + number, lambda: submit(studies))
        assert (trial.at_peer, trial.in_ledger) == (COUNT, COUNT), trial
        lab.empty_target(studies)
        if not trial.counts:
            tell(f"{kind}: {trial}: not counted")
            continue
        done.append(trial)
        tell(f"{kind}: trial {len(done)}/{count}: {trial}")
        if len(done) == count:
            return done
    raise AssertionError(f"only {len(done)} of {3 * count} kills came in time")
