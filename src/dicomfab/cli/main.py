"""The root of the command line: knows the name and one line of help of every command, and loads what is called."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dicomfab import __version__
from dicomfab.cli import session
from dicomfab.cli.output import print_error
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, DicomFabError, InvalidInput

# Command -> (module whose ``app`` is its Typer application, the line that `dicomfab --help` shows).
COMMANDS: dict[str, tuple[str, str]] = {
    "study": ("dicomfab.cli.study", "Studies: create, import, list, show, send, export, delete."),
    "recipe": ("dicomfab.cli.recipe", "Recipes: list, show, save, remove, preview, kinds of series."),
    "population": ("dicomfab.cli.population", "Populations: many patients with studies over years, as plain files."),
    "order": ("dicomfab.cli.order", "HL7 orders: add, list, show, procedures, check, profiles."),
    "orders": ("dicomfab.cli.order", "The same as order."),
    "hl7": ("dicomfab.cli.hl7", "HL7 messages: list, show, send, take."),
    "modality": ("dicomfab.cli.modality", "A simulated modality: looks at a worklist, performs what it asks for."),
    "ris": ("dicomfab.cli.ris", "Take orders over MLLP, and offer the worklist."),
    "patient": ("dicomfab.cli.patient", "Patients to fabricate studies of: list, add, invent, edit, import, export."),
    "validate": ("dicomfab.cli.validate", "Whether DICOM files are valid: dciodvfy, dcentvfy and rules of our own."),
    "query": ("dicomfab.cli.query", "Search studies on many PACS servers at once (C-FIND)."),
    "move": ("dicomfab.cli.move", "Move a study from one PACS server to another (C-MOVE)."),
    "get": ("dicomfab.cli.get", "Fetch a study from a PACS server into the local store (C-GET)."),
    "send": ("dicomfab.cli.send", "Send files, folders, zips or local studies to a PACS server (C-STORE)."),
    "verify": ("dicomfab.cli.verify", "Whether a server holds studies as they are elsewhere."),
    "compare": ("dicomfab.cli.compare", "What two PACS servers hold, side by side; move what is missing."),
    "sweep": ("dicomfab.cli.sweep", "What of our fabricated data a PACS server still holds; delete it."),
    "receive": ("dicomfab.cli.receive", "Receive what registered servers send into the local store (C-STORE)."),
    "doctor": ("dicomfab.cli.doctor", "Say why DICOM fails, and who has to change what."),
    "pacs": ("dicomfab.cli.pacs", "PACS servers: list, add, edit, test, C-MOVE routes, import, export."),
    "lab": ("dicomfab.cli.lab", "The four test PACS servers: start, run, status, stop, restart, clean, configure."),
    "jobs": ("dicomfab.cli.jobs", "Jobs: list, show, watch, cancel, pause, resume, retry, workers."),
    "schedule": (
        "dicomfab.cli.schedule",
        "Schedules: jobs made at certain times; add, list, pause, resume, remove, run.",
    ),
    "monitor": ("dicomfab.cli.monitor", "Monitoring by C-ECHO: status, history, events, set, run, metrics."),
    "users": ("dicomfab.cli.users", "Who may sign in: accounts, roles, passwords, second factors, sessions."),
    "token": ("dicomfab.cli.token", "API tokens for programs: create, list, revoke."),
    "access": ("dicomfab.cli.access", "Who may do what: the policy table, and what each web address needs."),
    "settings": ("dicomfab.cli.settings", "Every setting: what it is for, its value, whether it was given."),
    "auth": (
        "dicomfab.cli.auth",
        "Directories and identity providers: what is set, which groups give which roles, how a sign-in goes.",
    ),
    "audit": ("dicomfab.cli.audit", "The audit log: list, show, export, verify, purge."),
    "import-legacy": (
        "dicomfab.cli.legacy",
        "Move over from the predecessor: servers, routes, patients, accounts.",
    ),
    "backup": ("dicomfab.cli.backup", "Back up all of an installation into one file, while it runs."),
    "restore": ("dicomfab.cli.restore", "Put a backup back, or check it."),
    "worker": ("dicomfab.cli.worker", "Do jobs until stopped."),
    "serve": ("dicomfab.cli.serve", "The web interface."),
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
    if session.is_from_afar():
        from dicomfab.cli.remote import confine

        confine(command, name)
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
    _server: Annotated[
        str,
        typer.Option(
            "--server",
            help="Run the command on a server, as the owner of the API token in DICOMFAB_TOKEN. First of all options.",
            envvar="DICOMFAB_SERVER",
            metavar="URL",
        ),
    ] = "",
) -> None:
    """DICOM Fabricator: fabricate valid DICOM studies, run test PACS servers, send, find, move, explain."""
    if _server:
        raise _not_first()


def _not_first() -> InvalidInput:
    return InvalidInput(
        "--server: it is not the first word",
        field="--server",
        cause="what comes after the command are its own options; nothing was run",
        remedy="dicomfab --server URL COMMAND ..., or set DICOMFAB_SERVER",
    )


def _is_late(words: Sequence[str]) -> bool:
    """Whether the server is named after the command, where only one command has an option of that name."""
    own = words[: words.index("--")] if "--" in words else words
    named = any(word == "--server" or word.startswith("--server=") for word in own[1:])
    return named and tuple(words[:2]) != ("jobs", "list")


def _run_afar(words: list[str]) -> int:
    from dicomfab.cli import remote

    address, rest = remote.split(words)
    # No server is needed to explain. After an option, such a word may be its value: then the server decides.
    explain = not rest or rest[-1] in {"-h", "--help", "--version"}
    if explain and not any(word.startswith("-") for word in rest[:-1]):
        os.environ.pop(remote.SERVER, None)
        app(args=rest, prog_name="dicomfab")
    return remote.run(address, rest)


def _note_refusal(error: DicomFabError, words: list[str]) -> None:
    """Have the audit log know that somebody was refused; what a server refuses, it records itself."""
    to_server = words[:1] and (words[0].split("=")[0] == "--server" or os.environ.get("DICOMFAB_SERVER", "").strip())
    if isinstance(error, AccessDenied | ConfirmationRequired) and (session.is_from_afar() or not to_server):
        from dicomfab.services.recording import refused

        refused(session.application().audit.record, session.actor(), error)


def run(args: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code (see :mod:`dicomfab.cli.output`).

    Args:
        args: the words after ``dicomfab``; those of the process when none are given.
    """
    # Imports make many objects that stay: looking through them for garbage every 700 takes a tenth of a short command.
    gc.set_threshold(10_000)
    # Without a handler Python would print warnings of the library between the lines of a command.
    logging.getLogger("dicomfab").addHandler(logging.NullHandler())
    words = list(sys.argv[1:] if args is None else args)
    try:
        if words and session.is_from_afar():  # what was sent here goes nowhere else, and installs no completion
            if words[0].startswith("-"):
                raise InvalidInput(f"{words[0]}: from afar, a command comes first", remedy="dicomfab --help")
        elif words:
            if words[0].split("=")[0] == "--server" or os.environ.get("DICOMFAB_SERVER", "").strip():
                sys.exit(_run_afar(words))
            if _is_late(words):
                raise _not_first()
        app(args=words, prog_name="dicomfab")
    except DicomFabError as error:
        _note_refusal(error, words)
        print_error(error, as_json="--json" in words)
        sys.exit(error.exit_code)
    except OSError as error:
        from dicomfab.model.disk import file_failure

        failure = file_failure(error)
        if failure is None:
            raise
        print_error(failure, as_json="--json" in words)
        sys.exit(failure.exit_code)
    finally:
        if traces := session.traces():
            from dicomfab.cli.timeline import print_traces

            print_traces(traces, as_json="--json" in words)
        session.close()
