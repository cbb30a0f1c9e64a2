"""Do jobs: take them from the queue, keep them, and write down how they ended."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, DiskFull, LocalFailure
from dicomfab.model.job import Job, JobEvent, JobKind, Wish, WorkerInfo
from dicomfab.model.log_lines import log_failure
from dicomfab.services.jobs.run import Executor, JobRun, Result, unchanged
from dicomfab.services.progress import Cancelled, OnProgress, ignore, never
from dicomfab.services.recording import Record, nobody, refused
from dicomfab.storage.job_queue import Claim, JobQueue, LeaseLost
from dicomfab.storage.jobs import JobRepository

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 300.0
SEEN_EVERY_S: Final = 3.0
ALIVE_S: Final = 10.0
_POLL_S: Final = 0.5


class Worker:
    """Does the jobs of an installation, on threads of this process.

    Args:
        queue: where jobs are taken from.
        ledger: where they are read.
        executors: what does each kind.
        limit: how many jobs of a queue may run at once.
        store_id: of the local store that this process reaches.
        now: the moment, with time zone.
        beat: called every few seconds while jobs are waited for; true if the worker has to stay for what comes.
        record: has it recorded when a job is refused.
        present: as whom a job runs now, with the roles that are left of those that it was submitted with.
    """

    def __init__(
        self,
        queue: JobQueue,
        ledger: JobRepository,
        executors: Mapping[JobKind, Executor],
        *,
        limit: Callable[[str], int],
        store_id: str,
        now: Callable[[], datetime],
        beat: Callable[[], bool] = lambda: False,
        record: Record = nobody,
        present: Callable[[Actor], Actor] = unchanged,
    ) -> None:
        self._record = record
        self._present = present
        self._queue = queue
        self._beat = beat
        self._ledger = ledger
        self._executors = executors
        self._limit = limit
        self._store_id = store_id
        self._now = now
        self._queues: tuple[str, ...] = ()
        self._stop = threading.Event()
        self._running = 0
        self._counting = threading.Lock()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def stop(self) -> None:
        """Have every job stop before its next item and wait for another worker; from any thread, or a signal."""
        self._stop.set()

    def serve(self, *, threads: int = 4, queues: Sequence[str] = (), idle_exit_s: float | None = None) -> None:
        """Do jobs until told to stop.

        Args:
            threads: jobs at once.
            queues: only of these, if any are named.
            idle_exit_s: end when nothing has been there to do for so long; never if ``None``.
        """
        started, self._queues = self._now(), tuple(queues)
        self._queue.see(self._info(started))  # a database that cannot be used is said at once
        pool = [
            threading.Thread(target=self._take_turns, args=(queues,), name=f"job-{number}") for number in range(threads)
        ]
        for thread in pool:
            thread.start()
        idle_since = time.monotonic()
        try:
            while not self._stop.is_set():
                stays = self._beat()
                if self._is_expected(started) or self._running or stays:
                    idle_since = time.monotonic()
                if idle_exit_s is not None and time.monotonic() - idle_since >= idle_exit_s:
                    break
                self._stop.wait(SEEN_EVERY_S if idle_exit_s is None else min(SEEN_EVERY_S, idle_exit_s))
        finally:
            self._stop.set()
            for thread in pool:
                thread.join()
            with suppress(DicomFabError):  # it is forgotten by itself when it is not seen
                self._queue.forget(self.name)

    def run_one(self, job_id: int, *, on_progress: OnProgress = ignore, cancelled: Cancelled = never) -> bool:
        """Do one job in this thread, if it can be had.

        Args:
            job_id: the job.
            on_progress: told of every step.
            cancelled: asked now and then; true cancels the job.

        Returns:
            False if another worker has it, or it has to wait.
        """
        taken = self._queue.claim(self.name, store_id=self._store_id, limit=self._limit, only=job_id)
        if taken is None:
            return False
        self._do(*taken, on_progress=on_progress, cancelled=cancelled)
        return True

    def _take_turns(self, queues: Sequence[str]) -> None:
        while not self._stop.is_set():
            try:
                taken = self._queue.claim(self.name, store_id=self._store_id, limit=self._limit, queues=queues)
            except DicomFabError as error:
                log.warning("no job could be taken: %s", error.heading)
                taken = None
            if taken is None:
                self._stop.wait(_POLL_S)
                continue
            with self._counting:
                self._running += 1
            try:
                self._do(*taken)
            finally:
                with self._counting:
                    self._running -= 1

    def _do(
        self,
        job: Job,
        claim: Claim,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> None:
        run = JobRun(
            job,
            claim,
            self._queue,
            self._ledger,
            on_progress=on_progress,
            told_to_stop=lambda: self._stop.is_set() or cancelled(),
        )
        with run.kept():
            try:
                result = self._result(run)
                self._finish(run, claim, result, cancelled=cancelled())
            except LeaseLost:
                log.warning("job %d goes on in another worker: this one was cut off for too long", job.id)
            except DicomFabError as error:
                log.warning("job %d: its end could not be noted, so it is done again: %s", job.id, error.heading)

    def _result(self, run: JobRun) -> Result | DicomFabError:
        try:
            run.actor = self._present(run.actor)
            return self._executors[run.job.kind](run)
        except DicomFabError as error:
            refused(self._record, run.actor, error, detail={"job": str(run.job.id)})
            return error
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 (a job's outermost door; it would be done again for ever)
            log_failure(log, f"job {run.job.id} ({run.job.kind})", error)
            return LocalFailure(
                "an unexpected error occurred", cause="a fault in this program", remedy="see the log, and report it"
            )

    def _finish(self, run: JobRun, claim: Claim, result: Result | DicomFabError, *, cancelled: bool) -> None:
        report = None if isinstance(result, DicomFabError) else result.report
        error = result if isinstance(result, DicomFabError) else result.error
        event, not_before = self._event(run, result, cancelled=cancelled)
        self._queue.finish(claim, event, report=report, error=error.as_dict() if error else None, not_before=not_before)

    def _event(
        self, run: JobRun, result: Result | DicomFabError, *, cancelled: bool
    ) -> tuple[JobEvent, datetime | None]:
        if isinstance(result, Result) and result.event is not None:
            return result.event, result.not_before
        if cancelled or run.wish is Wish.CANCEL:
            return JobEvent.CANCEL, None
        if run.wish is Wish.PAUSE or isinstance(result, DiskFull):
            return JobEvent.PAUSE, None
        if isinstance(result, Result):  # this process is to end: another worker goes on at once
            return JobEvent.LOSE, None
        attempts = run.failures_in_a_row
        if result.transient and attempts < run.job.max_attempts:
            return JobEvent.POSTPONE, self._now() + timedelta(seconds=pause_s(attempts))
        return JobEvent.FAIL, None

    def _is_expected(self, started: datetime) -> bool:
        """Say that this worker lives, and whether there is something to wait for."""
        try:
            self._queue.see(self._info(started))
            return self._queue.next_due(self._store_id) is not None
        except DicomFabError as error:
            log.warning("the ledger is out of reach: %s", error.heading)
            return True

    def _info(self, started: datetime) -> WorkerInfo:
        host, now = socket.gethostname(), self._now()
        return WorkerInfo(self.name, host, os.getpid(), self._store_id, started, now, self._queues)


def pause_s(attempts: int, draw: Callable[[], float] = random.random) -> float:
    """How long to wait after failures in a row: doubled each time, and spread, so that jobs do not come back at once.

    Args:
        attempts: that failed, 1 or more.
        draw: a number from 0 to 1.
    """
    longest: float = min(FIRST_PAUSE_S * 2 ** (attempts - 1), LONGEST_PAUSE_S)
    return longest * (0.5 + 0.5 * draw())
