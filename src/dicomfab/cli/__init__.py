"""The command line. Each file is one command group; nothing heavy is imported before a command runs."""

from __future__ import annotations

import signal
from types import FrameType


def entry() -> None:
    """Entry point of the ``dicomfab`` command."""
    from dicomfab.cli.main import run

    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is signal.SIG_DFL:  # nohup has one of them ignored
            signal.signal(ending, _like_ctrl_c)
    run()


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    """``kill``, ``timeout`` or a closed terminal: what was done is reported and recorded all the same."""
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt):  # a shell had Ctrl-C ignored for what it runs in the background
        interrupt = signal.default_int_handler
    interrupt(number, frame)
