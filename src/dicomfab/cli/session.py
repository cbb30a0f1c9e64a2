"""What every command needs: the application of this process, and who is asking."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from dicomfab.app.acting import from_environment
from dicomfab.model.actor import Actor, local_admin

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicomfab.app.build import Application
    from dicomfab.dimse.trace import Trace, TraceBook


_built: list[Application] = []
_books: list[TraceBook] = []


def application() -> Application:
    """The installation that ``DICOMFAB_HOME`` names; one for the whole command."""
    from dicomfab.app.build import build

    if not _built:
        _built.append(build(traces=_books[0] if _books else None))
    return _built[0]


def end_with_input(end: Callable[[], None]) -> None:
    """Call something when our standard input ends: whoever started us holds its other end, however he ends."""

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            pass
        end()

    threading.Thread(target=watch, daemon=True).start()


def terminate() -> None:
    """End this process as a service manager's stop does."""
    os.kill(os.getpid(), signal.SIGTERM)


def start_tracing() -> None:
    """From now on note what happens on the network; before the application is built."""
    from dicomfab.dimse.trace import TraceBook

    if not _books:
        _books.append(TraceBook())


def traces() -> list[tuple[str, Trace]]:
    """What was noted, with titles; nothing if nobody asked for it."""
    return _books.pop().take() if _books else []


def close() -> None:
    """Close what the command opened."""
    while _built:
        _built.pop().close()


def is_from_afar() -> bool:
    """Whether this command was sent by somebody at another machine."""
    return from_environment(os.environ) is not None


def actor() -> Actor:
    """The operating system's user: whoever may read the home may administer it; or for whom a server runs this."""
    if acting_for := from_environment(os.environ):
        return acting_for
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have an entry in the password file
        name = f"uid{os.getuid()}"
    return local_admin(name, "cli")
