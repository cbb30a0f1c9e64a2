"""Ask servers that are due by C-ECHO, keep what they answered, and tell what is news.

Several workers may do this on one database: each server is taken by one of them. Nobody waits for a server that hangs:
checks run side by side, each with short timeouts.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.model.errors import DicomFabError, InvalidInput, PeerError
from dicomfab.model.log_lines import log_failure
from dicomfab.model.monitoring import Check, Monitored, ServerState, StateChange
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.monitor.plan import LEAST_INTERVAL_S, is_monitored, needs_a_worker, terms
from dicomfab.services.monitor.webhook import Webhook
from dicomfab.services.pacs import Echo
from dicomfab.services.peers import peer_for
from dicomfab.storage.monitoring import CheckClaim, MonitorRepository

log = logging.getLogger(__name__)

SIDE_BY_SIDE: Final = 8
MOST_TIMEOUT_S: Final = 5.0
BEAT_S: Final = 1.0
KEEP_DAYS: Final = 400
_PURGE_EVERY: Final = timedelta(hours=1)
_TRIES: Final = 8
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
_TELL_CLAIM_S: Final = 60.0
_NEWS_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that was made.

    Args:
        server: as it was then.
        check: how it ended.
        change: what is news, if anything is.
    """

    server: PacsServer
    check: Check
    change: StateChange | None


class Monitor:
    """Checks the servers of an installation, on threads of this process.

    Args:
        repository: what is known, and who checks what.
        registry: the servers as they are.
        echo: performs one C-ECHO, raising a :class:`~dicomfab.model.errors.PeerError` when it fails.
        webhook: told of what is news, if there is one.
        down_after: failures in a row that make a server down.
        keep_checks_days: for how long single checks are kept.
        draw: a number from 0 to 1, for jitter.
    """

    def __init__(
        self,
        repository: MonitorRepository,
        registry: Callable[[], Registry],
        echo: Echo,
        *,
        webhook: Webhook | None = None,
        down_after: int = 2,
        keep_checks_days: float = 7.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._repository = repository
        self._registry = registry
        self._echo = echo
        self._webhook = webhook
        self._down_after = down_after
        self._keep_checks = timedelta(days=keep_checks_days)
        self._draw = draw
        self._running: set[str] = set()
        self._changing = threading.Lock()
        self._telling = threading.Lock()
        self._purged_at: datetime | None = None

    def beat(self) -> bool:
        """Begin the checks that are due, without waiting for them; for workers, every few seconds.

        Returns:
            Whether a worker has to stay, because somebody has switched a server's monitoring on. True also if that
            could not be told.
        """
        try:
            known = self._known()
            self._begin(known, lambda _checked: None)
            self._purge()
        except DicomFabError as error:
            log.warning("servers could not be monitored: %s", error.heading)
            return True
        if self._webhook is not None:
            threading.Thread(target=self.tell, name="webhook", daemon=True).start()
        return any(needs_a_worker(*one) for one in known)

    def once(self) -> list[Checked]:
        """Check every server that is due, each once, wait for all, and tell what is news.

        Raises:
            DicomFabError: the database cannot be used.
        """
        ended: queue.SimpleQueue[Checked | None] = queue.SimpleQueue()
        begun: set[str] = set()
        checked: list[Checked | None] = []
        known = self._known()
        while True:
            begun |= self._begin(known, ended.put, begun)
            if len(checked) == len(begun):
                break
            checked.append(ended.get())
        self._purge()
        self.tell()
        return [one for one in checked if one is not None]

    def run(self, stopped: threading.Event) -> None:
        """Check servers until told to stop."""
        while not stopped.is_set():
            self.beat()
            stopped.wait(BEAT_S)

    def need_a_worker(self) -> bool:
        """Whether somebody has switched a server's monitoring on."""
        return any(needs_a_worker(*one) for one in self._known())

    def tell(self) -> None:
        """Tell the webhook what it has not been told, the oldest first; one at a time, and later if it does not listen.

        An event that it does not take is tried again after 5 s, 10 s and so on, eight times. Then, or a day after it
        happened, it is left.
        """
        if self._webhook is None or not self._telling.acquire(blocking=False):
            return
        try:
            while self._tell_next(self._webhook):
                pass
        except DicomFabError as error:
            log.warning("the webhook could not be told: %s", error.heading)
        finally:
            self._telling.release()

    def _known(self) -> list[tuple[PacsServer, Monitored]]:
        states = self._repository.states()
        return [(one, states.get(one.id, Monitored(server_id=one.id))) for one in self._registry().servers]

    def _begin(
        self,
        known: list[tuple[PacsServer, Monitored]],
        on_end: Callable[[Checked | None], None],
        but: Collection[str] = (),
    ) -> set[str]:
        """Begin as many of the checks that are due as there is room for; returns the servers."""
        now = self._repository.now()
        with self._changing:
            passed_over, free = {*but, *self._running}, SIDE_BY_SIDE - len(self._running)
        due = {
            server.id: (server, row)
            for server, row in sorted(known, key=lambda one: one[1].next_at or datetime.min.replace(tzinfo=now.tzinfo))
            if is_monitored(server, row)
            and (row.next_at is None or row.next_at <= now)
            and server.id not in passed_over
        }
        wanted = list(due)[:free]
        claims = self._repository.claim(wanted) if wanted else []
        for claim in claims:
            with self._changing:
                self._running.add(claim.server_id)
            arguments = (claim, *due[claim.server_id], on_end)
            threading.Thread(target=self._check, args=arguments, name=f"echo-{claim.server_id}", daemon=True).start()
        return {claim.server_id for claim in claims}

    def _check(
        self, claim: CheckClaim, server: PacsServer, row: Monitored, on_end: Callable[[Checked | None], None]
    ) -> None:
        checked = None
        try:
            checked = self._checked(claim, server, row)
        except DicomFabError as error:
            log.warning("nothing was learned of %s: %s", server.id, error.heading)
        except Exception as error:  # noqa: BLE001 (outermost door of a thread)
            log_failure(log, f"the check of {server.id}", error)
        finally:
            with self._changing:
                self._running.discard(server.id)
            on_end(checked)

    def _checked(self, claim: CheckClaim, server: PacsServer, row: Monitored) -> Checked:
        try:
            answer = self._echo(_hurried(peer_for(server, Capability.ECHO)))
            check = Check(claim.at, True, round(answer.latency_s * 1000, 3))
        except (PeerError, InvalidInput) as error:  # a certificate's file may have gone since it was named
            check = Check(claim.at, False, None, error.as_dict())
        except BaseException:  # a fault of ours says nothing about the server
            pause = timedelta(seconds=LEAST_INTERVAL_S[server.environment])
            self._repository.give_back(claim, claim.at + pause)
            raise
        holds = terms(server, row, down_after=self._down_after, draw=self._draw)
        change = self._repository.record(claim, check, holds, tell=self._webhook is not None)
        if change is not None:
            level = logging.WARNING if change.state is ServerState.DOWN else logging.INFO
            reason = f": {change.heading}" if change.heading else ""
            log.log(
                level, "%s is %s since %s%s", server.id, change.state, change.at.isoformat(timespec="seconds"), reason
            )
        return Checked(server, check, change)

    def _tell_next(self, webhook: Webhook) -> bool:
        """Whether an event was dealt with, so that the next one's turn has come."""
        now = self._repository.now()
        untold = self._repository.next_untold(now + timedelta(seconds=_TELL_CLAIM_S))
        if untold is None:
            return False
        event = untold.event
        server = next((one for one in self._registry().servers if one.id == event.server_id), None)
        if server is None or now - event.at > _NEWS_FOR:
            self._repository.tell_again(event.id, None)
            return True
        problem = webhook.post(document_of(event, server))
        if not problem:
            self._repository.tell_again(event.id, None)
            return True
        is_left = untold.tries >= _TRIES
        log.warning("the webhook did not take event %d (%s)%s", event.id, problem, "; it is left" if is_left else "")
        pause_s = min(_FIRST_PAUSE_S * 2 ** (untold.tries - 1), _LONGEST_PAUSE_S)
        self._repository.tell_again(event.id, None if is_left else now + timedelta(seconds=pause_s))
        return is_left

    def _purge(self) -> None:
        now = self._repository.now()
        if self._purged_at is not None and abs(now - self._purged_at) < _PURGE_EVERY:
            return
        self._purged_at = now
        rest_before = now - timedelta(days=KEEP_DAYS)
        self._repository.purge(checks_before=max(now - self._keep_checks, rest_before), rest_before=rest_before)


def document_of(event: StateChange, server: PacsServer) -> dict[str, Any]:
    """What the webhook is told: nothing but names, state and time."""
    return {
        "event": event.id,
        "server": server.id,
        "name": server.name,
        "environment": str(server.environment),
        "state": str(event.state),
        "since": event.at.isoformat(),
        "previous_state_lasted_s": event.lasted_s,
        "error": event.heading or None,
    }


def _hurried(peer: Peer) -> Peer:
    """The same with timeouts that end a check soon: a server that needs longer is as good as down."""
    given = peer.timeouts
    short = Timeouts(*(min(value, MOST_TIMEOUT_S) for value in (given.connect_s, given.association_s, given.dimse_s)))
    return replace(peer, timeouts=short)
