"""The command line. Each file is one command group; nothing heavy is imported before a command runs."""

from __future__ import annotations


def entry() -> None:
    """Entry point of the ``dicomfab`` command."""
    from dicomfab.cli.main import run

    run()
