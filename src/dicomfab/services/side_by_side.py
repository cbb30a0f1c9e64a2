"""Servers that are asked at the same time, each in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from dicomfab.registry.server import PacsServer
from dicomfab.services.progress import Cancelled

Answer = TypeVar("Answer")

_CANCEL_POLL_S: Final = 0.2
# Those that nobody waits for any more are told to stop; what they did is recorded when they have.
_STOPPING_S: Final = 2.0


def side_by_side(
    servers: Sequence[PacsServer],
    ask: Callable[[PacsServer, Cancelled], Answer],
    most: int,
    cancelled: Cancelled,
    left: Callable[[PacsServer], object],
) -> Iterator[tuple[PacsServer, Answer | None]]:
    """Ask servers and yield each answer as soon as it is there: a hung one delays no other.

    Whoever stops reading before the end waits for those still asked, but not for long; nobody else is asked then.

    Args:
        servers: whom to ask, each once.
        ask: asks one of them, from any thread; to be ended when its second argument says so.
        most: how many are asked at once.
        cancelled: asked several times a second; once true, those that did not answer yet are yielded with ``None``.
        left: told of each server that is still being asked when nobody waits for it any more.

    Raises:
        Exception: whatever ``ask`` raises.
    """
    answers: SimpleQueue[tuple[PacsServer, Future[Answer]]] = SimpleQueue()
    slots, over = threading.BoundedSemaphore(most), threading.Event()
    asking: dict[str, PacsServer] = {}

    def asked(server: PacsServer) -> None:
        future: Future[Answer] = Future()
        with slots:
            if over.is_set():
                return
            asking[server.id] = server
            try:
                future.set_result(ask(server, lambda: over.is_set() or cancelled()))
            except BaseException as error:  # noqa: BLE001 (raised again where the answers are read)
                future.set_exception(error)
            finally:
                del asking[server.id]
        answers.put((server, future))

    # Daemons: a program that is told to end must not wait for the slowest server.
    threads = [threading.Thread(target=asked, args=(one,), name=f"query-{one.id}", daemon=True) for one in servers]
    waiting = {server.id: server for server in servers}
    try:
        for thread in threads:
            thread.start()
        while waiting:
            try:
                server, future = answers.get(timeout=_CANCEL_POLL_S)
            except Empty:
                if cancelled():
                    yield from ((server, None) for server in waiting.values())
                    return
                continue
            del waiting[server.id]
            yield server, future.result()
    finally:
        over.set()
        end = time.monotonic() + _STOPPING_S
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join(max(0.0, end - time.monotonic()))
        for server in tuple(asking.values()):
            left(server)
