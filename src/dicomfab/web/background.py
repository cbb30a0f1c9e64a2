"""Work that pages follow: begun by a form, done in a thread of its own, kept in memory for whoever began it."""

from __future__ import annotations

import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, Generic, TypeVar

from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.web.errors import unexpected

#: Bytes of an id that nobody can guess.
_ID_BYTES: Final = 16


class Work(ABC):
    """One piece of work, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
    """

    #: Of its thread.
    NAME: ClassVar[str]
    #: Whether this process waits for it at its end.
    IS_WAITED_FOR: ClassVar[bool] = False

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.failure: DicomFabError | None = None
        self.has_ended = False
        self.is_stopped = False
        #: How often there was something new to show.
        self.changes = 0
        self._begun: float | None = None
        self._ended: float | None = None
        self._changed = threading.Condition()

    @abstractmethod
    def _do(self) -> None:
        """Do it, looking at ``is_stopped`` now and then, and noting what is done below ``_changing``."""

    @property
    def seconds(self) -> float:
        """Since it began, until it ended."""
        return 0.0 if self._begun is None else (self._ended or time.monotonic()) - self._begun

    @property
    def is_under_way(self) -> bool:
        """Whether it counts among those at once."""
        return not self.has_ended

    def is_for(self, actor: Actor) -> bool:
        """Whether the actor may look at it."""
        return self.owner == actor.name

    def start(self) -> None:
        """Begin, if it has not begun."""
        with self._changed:
            if self._begun is not None:
                return
            self._begun = time.monotonic()
        threading.Thread(target=self._work, name=self.NAME, daemon=not self.IS_WAITED_FOR).start()

    def stop(self) -> None:
        """Have it end after the step under way."""
        if not self.has_ended:
            self.is_stopped = True

    def wait(self, seen: int, seconds: float | None) -> None:
        """Until there were more changes than were seen, or it has ended, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_ended or self.changes > seen, seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Until it has ended, or the time is over; what has not begun is not waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_ended or self._begun is None, seconds)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changed:
            yield
            self.changes += 1
            self._changed.notify_all()

    def _work(self) -> None:
        is_known = False
        try:
            self._do()
            is_known = True
        except DicomFabError as error:
            self.failure, is_known = error, True
        finally:
            if not is_known:
                self.failure = unexpected()
            with self._changing():
                self._ended = time.monotonic()
                self.has_ended = True


W = TypeVar("W", bound=Work)


class Kept(Generic[W]):
    """The latest pieces of work of one kind, each for whoever began it."""

    #: So many are kept; the oldest that has ended goes first.
    KEPT: ClassVar[int]
    #: So many may be under way: of all, or of each owner.
    AT_ONCE: ClassVar[int]
    IS_FOR_EACH_OWNER: ClassVar[bool] = False
    #: What they are, and why there cannot be more of them at once.
    MANY: ClassVar[tuple[str, str]]
    #: What one is, why it is gone, and what to do.
    GONE: ClassVar[tuple[str, str, str]]

    def __init__(self) -> None:
        self._kept: OrderedDict[str, W] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, work: W) -> str:
        """Keep one that has not begun; its id, which nobody can guess.

        Raises:
            Conflict: too many are under way.
        """
        with self._lock:
            counted = (one for one in self._kept.values() if not self.IS_FOR_EACH_OWNER or one.owner == work.owner)
            if sum(one.is_under_way for one in counted) >= self.AT_ONCE:
                what, cause = self.MANY
                raise Conflict(
                    f"{self.AT_ONCE} {what}{' of yours' if self.IS_FOR_EACH_OWNER else ''} are under way already",
                    cause=cause,
                    remedy="try again when one of them has ended",
                )
            work_id = secrets.token_urlsafe(_ID_BYTES)
            self._kept[work_id] = work
            ended = [one for one, kept in self._kept.items() if not kept.is_under_way and kept is not work]
            for one in ended[: max(0, len(self._kept) - self.KEPT)]:
                del self._kept[one]
        return work_id

    def begin(self, work: W) -> str:
        """Keep and start one.

        Raises:
            Conflict: too many are under way.
        """
        work_id = self.add(work)
        work.start()
        return work_id

    def get(self, actor: Actor, work_id: str) -> W:
        """One that the actor may look at.

        Raises:
            NotFound: there is none, or it is another's, or about what the actor may not view any more.
        """
        with self._lock:
            work = self._kept.get(work_id)
        if work is None or not work.is_for(actor):
            what, cause, remedy = self.GONE
            raise NotFound(f"this {what} is not kept any more", cause=cause, remedy=remedy)
        return work

    def end(self, seconds: float) -> None:
        """Stop what is under way, and wait for each no longer than so."""
        with self._lock:
            everything = [*self._kept.values()]
        for one in everything:
            one.stop()
        for one in everything:
            one.wait_for_end(seconds)
