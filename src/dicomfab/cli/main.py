"""The root of the command line: knows the name and one line of help of every command, and loads what is called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dicomfab import __version__
from dicomfab.cli import session
from dicomfab.cli.output import print_error
from dicomfab.model.errors import DicomFabError

# Command -> (module whose ``app`` is its Typer application, the line that `dicomfab --help` shows).
COMMANDS: dict[str, tuple[str, str]] = {
    "study": ("dicomfab.cli.study", "Studies: create, import, list, show, send, export, delete."),
    "recipe": ("dicomfab.cli.recipe", "Recipes: list, show, save, remove, preview, kinds of series."),
    "patient": ("dicomfab.cli.patient", "Patients to fabricate studies of: list, add, invent, edit, import, export."),
    "validate": ("dicomfab.cli.validate", "Whether DICOM files are valid: dciodvfy, dcentvfy and rules of our own."),
    "query": ("dicomfab.cli.query", "Search studies on many PACS servers at once (C-FIND)."),
    "move": ("dicomfab.cli.move", "Move a study from one PACS server to another (C-MOVE)."),
    "get": ("dicomfab.cli.get", "Fetch a study from a PACS server into the local store (C-GET)."),
    "send": ("dicomfab.cli.send", "Send files, folders, zips or local studies to a PACS server (C-STORE)."),
    "verify": ("dicomfab.cli.verify", "Whether a server holds studies as they are elsewhere."),
    "receive": ("dicomfab.cli.receive", "Receive what registered servers send into the local store (C-STORE)."),
    "pacs": ("dicomfab.cli.pacs", "PACS servers: list, add, edit, test, C-MOVE routes, import, export."),
    "lab": ("dicomfab.cli.lab", "The four test PACS servers: start, status, stop, restart, clean, configure."),
    "jobs": ("dicomfab.cli.jobs", "Jobs: list, show, watch, cancel, pause, resume, retry, workers."),
    "schedule": (
        "dicomfab.cli.schedule",
        "Schedules: jobs made at certain times; add, list, pause, resume, remove, run.",
    ),
    "worker": ("dicomfab.cli.worker", "Do jobs until stopped."),
    "serve": ("dicomfab.cli.serve", "The web interface, on this computer only."),
    "demo": ("dicomfab.cli.demo", "The main job before your eyes: fabricate, send, find, move, verify."),
}


class LazyGroup(TyperGroup):
    """Lists its commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, summary) in COMMANDS.items():
            self.add_command(TyperCommand(name, callback=None, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called, in the place of its line of help."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and _load(str(name)), rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the rich help costs 0.2 s of imports
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _load(name: str) -> Any:
    module, summary = COMMANDS[name]
    command = typer.main.get_command(importlib.import_module(module).app)
    command.name = name
    command.help = command.help or summary
    for part in (command, *getattr(command, "commands", {}).values()):
        part.rich_markup_mode = None  # one style of help everywhere, and no rich for it
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dicomfab {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """DICOM Fabricator: fabricate valid DICOM studies, run test PACS servers, send, find, move, explain."""


def run(args: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code (see :mod:`dicomfab.cli.output`).

    Args:
        args: the words after ``dicomfab``; those of the process when none are given.
    """
    # Without a handler Python would print warnings of the library between the lines of a command.
    logging.getLogger("dicomfab").addHandler(logging.NullHandler())
    words = list(sys.argv[1:] if args is None else args)
    try:
        app(args=words, prog_name="dicomfab")
    except DicomFabError as error:
        print_error(error, as_json="--json" in words)
        sys.exit(error.exit_code)
    finally:
        if traces := session.traces():
            from dicomfab.cli.timeline import print_traces

            print_traces(traces, as_json="--json" in words)
        session.close()
