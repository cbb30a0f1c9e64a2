"""Run a command in a terminal, and answer what it asks: ``python terminal.py COMMAND ANSWER...``."""

from __future__ import annotations

import os
import pty
import sys


def main(command: str, *answers: str) -> int:
    """The exit code of the command. What it shows goes to standard output."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("bash", ["bash", "-c", command])
    waiting, shown = list(answers), b""
    while read := _read(terminal):
        os.write(1, read)
        shown += read
        # An answer before its question would be thrown away with whatever was typed too early.
        if waiting and shown.endswith((b": ", b"? ")):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
            shown = b""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the command has closed the terminal
        return b""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
