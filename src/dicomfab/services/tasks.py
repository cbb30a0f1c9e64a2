"""Long work of one process, run beside whoever asked for it: started, watched, cancelled.

Tasks live as long as the process; what they did to servers and studies is kept there.
"""

from __future__ import annotations

import enum
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, LocalFailure, NotFound
from dicomfab.services.progress import Cancelled, OnProgress, Progress

log = logging.getLogger(__name__)

SHUTDOWN_WAIT_S = 5.0
_KEPT = 200

#: The work itself: reports progress, asks whether it is cancelled, returns its result.
Work: TypeAlias = Callable[[OnProgress, Cancelled], Any]


class TaskState(enum.StrEnum):
    """running -> done | failed; a cancelled task ends as one of the two, saying so in its result."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A moment of a task.

    Args:
        id: unique in this process.
        title: what it does, for people.
        owner: name of the actor who started it.
        state: see :class:`TaskState`.
        progress: the newest report, if any.
        result: what the work returned, once done.
        error: why it failed.
        cancelling: cancel was asked for.
        version: grows with every change, so that a watcher sees each once.
    """

    id: int
    title: str
    owner: str
    state: TaskState = TaskState.RUNNING
    progress: Progress | None = None
    result: Any = None
    error: DicomFabError | None = None
    cancelling: bool = False
    version: int = 0


@dataclass(slots=True)
class _Task:
    status: TaskStatus
    cancel: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class TaskRunner:
    """Runs each task on a thread of its own."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._tasks: dict[int, _Task] = {}
        self._changed = threading.Condition()

    def start(self, actor: Actor, title: str, work: Work) -> TaskStatus:
        """Begin and return at once."""
        with self._changed:
            task = _Task(TaskStatus(next(self._ids), title, actor.name))
            self._tasks[task.status.id] = task
            self._forget_oldest()
            name = f"task-{task.status.id}"
            task.thread = threading.Thread(target=self._run, args=(task, work), name=name, daemon=True)
            task.thread.start()
            return task.status

    def status(self, actor: Actor, task_id: int) -> TaskStatus:
        """The state now.

        Raises:
            NotFound: no such task of this actor.
        """
        with self._changed:
            return self._find(actor, task_id).status

    def watch(self, actor: Actor, task_id: int, *, beat_s: float = 15.0) -> Iterator[TaskStatus]:
        """Yield the state now and after each change until the task ends; at least every ``beat_s`` seconds."""
        seen = -1
        while True:
            with self._changed:
                task = self._find(actor, task_id)
                if task.status.version <= seen:
                    self._changed.wait(beat_s)
                status = task.status
            seen = status.version
            yield status
            if status.state is not TaskState.RUNNING:
                return

    def cancel(self, actor: Actor, task_id: int) -> TaskStatus:
        """Ask the task to stop; it does so before its next instance."""
        with self._changed:
            task = self._find(actor, task_id)
            task.cancel.set()
            if task.status.state is TaskState.RUNNING:
                self._update(task, cancelling=True)
            return task.status

    def list(self, actor: Actor) -> tuple[TaskStatus, ...]:
        """The actor's tasks, the newest first."""
        with self._changed:
            return tuple(t.status for t in reversed(self._tasks.values()) if t.status.owner == actor.name)

    def shutdown(self, *, wait_s: float = SHUTDOWN_WAIT_S) -> None:
        """Cancel everything and wait until it has stopped: each stops with what it did so far recorded.

        Args:
            wait_s: in all. A task that still waits for a silent peer then ends with the process; what it wrote is
                whole, since the archive and the registry survive a kill at any moment.
        """
        with self._changed:
            tasks = [task for task in self._tasks.values() if task.thread is not None and task.thread.is_alive()]
        for task in tasks:
            task.cancel.set()
        end = time.monotonic() + wait_s
        for task in tasks:
            if task.thread is not None:
                task.thread.join(max(0.0, end - time.monotonic()))
                if task.thread.is_alive():
                    log.warning("task %d did not stop within %.0f s and ends with the process", task.status.id, wait_s)

    def _run(self, task: _Task, work: Work) -> None:
        def report(progress: Progress) -> None:
            with self._changed:
                self._update(task, progress=progress)

        try:
            result = work(report, task.cancel.is_set)
        except DicomFabError as error:
            self._end(task, state=TaskState.FAILED, error=error)
        except Exception:  # noqa: BLE001: the outermost door of a task; without it the watcher would wait for ever
            log.exception("task %d failed unexpectedly", task.status.id)
            fault = LocalFailure(
                "an unexpected error occurred", cause="a fault in this program", remedy="see the log, and report it"
            )
            self._end(task, state=TaskState.FAILED, error=fault)
        else:
            self._end(task, state=TaskState.DONE, result=result)

    def _end(self, task: _Task, **changes: Any) -> None:
        with self._changed:
            self._update(task, **changes)

    def _update(self, task: _Task, **changes: Any) -> None:
        task.status = replace(task.status, version=task.status.version + 1, **changes)
        self._changed.notify_all()

    def _find(self, actor: Actor, task_id: int) -> _Task:
        task = self._tasks.get(task_id)
        if task is None or task.status.owner != actor.name:
            raise NotFound(
                f"there is no task {task_id}.",
                cause="it belongs to someone else, or the web interface was restarted since",
                remedy="look at the studies and servers themselves for what was done",
            )
        return task

    def _forget_oldest(self) -> None:
        ended = [i for i, t in self._tasks.items() if t.status.state is not TaskState.RUNNING]
        for task_id in ended[: max(0, len(self._tasks) - _KEPT)]:
            del self._tasks[task_id]
