"""Show long work on the terminal, and let Ctrl-C end it in good order."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomfab.model.suboperations import Suboperations
    from dicomfab.services.progress import Progress


@dataclass(frozen=True, slots=True)
class Shown:
    """What a service is given to report to and to ask.

    Args:
        on_progress: draws the newest state.
        cancelled: true once Ctrl-C was pressed.
    """

    on_progress: Callable[[Progress], None]
    cancelled: Callable[[], bool]


@contextlib.contextmanager
def shown(title: str, *, quiet: bool) -> Iterator[Shown]:
    """Draw progress on standard error while the block runs.

    The first Ctrl-C asks the work to stop before its next instance, so that the report still says what was done; a
    second one ends the program at once.

    Args:
        title: what is being done.
        quiet: draw nothing (``--json``); nothing is drawn either where standard error is no terminal.
    """
    stop = threading.Event()

    def interrupt(_signal: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            print("\nStopping before the next instance (Ctrl-C again ends at once) ...", file=sys.stderr)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        if quiet or not sys.stderr.isatty():
            yield Shown(lambda _progress: None, stop.is_set)
        else:
            with _bar(title) as draw:
                yield Shown(draw, stop.is_set)
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counters]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, counters="")

        def draw(progress: Progress) -> None:
            counters = counters_text(progress.suboperations) if progress.suboperations else ""
            description = f"{title}: {progress.stage}"
            bar.update(task, description=description, completed=progress.done, total=progress.total, counters=counters)

        yield draw


def counters_text(counters: Suboperations | Mapping[str, int | None]) -> str:
    """The four sub-operation counters; what the peer did not send is said to be unreported."""
    names = ("remaining", "completed", "failed", "warning")
    values = counters if isinstance(counters, Mapping) else {name: getattr(counters, name) for name in names}
    return "  ".join(f"{name} {'unreported' if values[name] is None else values[name]}" for name in names)
