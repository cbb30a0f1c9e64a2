"""Examinations that pages follow: begun by a form, performed whether or not somebody looks, kept for a while."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.web.errors import unexpected

if TYPE_CHECKING:
    from dicomfab.services.ordering.modality import Told

KEPT: Final = 50
AT_ONCE: Final = 4
#: When the pages end, an examination that does not come to its end is left alone.
END_WITHIN_S: Final = 30.0

#: Performs, and asks now and then whether it shall stop.
Perform = Callable[[Callable[[], bool]], "Iterator[Told]"]


class ModalityRun:
    """One examination, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        perform: does it.
    """

    def __init__(self, owner: str, perform: Perform) -> None:
        self.owner = owner
        self.told: list[tuple[float, Told]] = []
        self.failure: DicomFabError | None = None
        self.has_ended = False
        self.is_stopped = False
        self._perform = perform
        self._begun = time.monotonic()
        self._ended = 0.0
        self._changed = threading.Condition()

    @property
    def seconds(self) -> float:
        """Since it began, until it ended."""
        return (self._ended or time.monotonic()) - self._begun

    @property
    def study_instance_uid(self) -> str:
        """Of the study that is made; empty before there is one."""
        return next((one.study_instance_uid for _, one in reversed(self.told) if one.study_instance_uid), "")

    def stop(self) -> None:
        """Have it break off."""
        self.is_stopped = True

    def wait(self, seen: int, seconds: float) -> None:
        """Until there is more than was seen, or it has ended, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.told) != seen or self.has_ended, seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Until it has ended, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_ended, seconds)

    def work(self) -> None:
        """Perform, to the end."""
        is_known = False
        try:
            for one in self._perform(lambda: self.is_stopped):
                with self._changed:
                    self.told.append((self.seconds, one))
                    self._changed.notify_all()
            is_known = True
        except DicomFabError as error:
            self.failure, is_known = error, True
        finally:
            if not is_known:
                self.failure = unexpected()
            with self._changed:
                self._ended = time.monotonic()
                self.has_ended = True
                self._changed.notify_all()


class ModalityRuns:
    """The latest examinations, each for whoever wanted it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, ModalityRun] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, actor: Actor, perform: Perform) -> str:
        """Begin one in a thread of its own; its id, which nobody can guess.

        Raises:
            Conflict: too many are under way.
        """
        run = ModalityRun(actor.name, perform)
        with self._lock:
            if sum(not one.has_ended for one in self._runs.values()) >= AT_ONCE:
                raise Conflict(
                    f"{AT_ONCE} examinations are under way",
                    cause="each makes and sends a study",
                    remedy="wait until one has ended, or stop it",
                )
            run_id = secrets.token_urlsafe(16)
            self._runs[run_id] = run
            ended = [one for one, kept in self._runs.items() if kept.has_ended]
            for one in ended[: max(0, len(self._runs) - KEPT)]:
                del self._runs[one]
        # It is waited for when this process ends, so that nothing stays in progress at the RIS.
        threading.Thread(target=run.work, name="modality").start()
        return run_id

    def end(self) -> None:
        """Break off what is under way, and wait until that is reported to its RIS."""
        with self._lock:
            runs = [*self._runs.values()]
        for run in runs:
            run.stop()
        for run in runs:
            run.wait_for_end(END_WITHIN_S)

    def get(self, actor: Actor, run_id: str) -> ModalityRun:
        """One of the actor's.

        Raises:
            NotFound: there is none, or it is another's.
        """
        run = self._runs.get(run_id)
        if run is None or run.owner != actor.name:
            raise NotFound(
                "this examination is not kept any more",
                cause="examinations are kept for a while, for whoever began them",
                remedy="what it did is with its requested procedure",
            )
        return run
