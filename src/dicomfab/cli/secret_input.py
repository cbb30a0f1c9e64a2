"""Passwords reach a command from a prompt, a file or standard input: on a command line everybody could read them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from dicomfab.model.errors import InvalidInput

_LONGEST: Final = 8192

PasswordFile: TypeAlias = Annotated[
    str,
    typer.Option(
        "--password-file", help="Read the password from the first line of this file; - is standard input. [asks]"
    ),
]


def read_password(file: str, name: str, *, is_new: bool = True) -> str:
    """A password.

    Args:
        file: that holds it; ``-`` for standard input, blank to ask for it on the terminal.
        name: whose it is.
        is_new: asked for twice.

    Raises:
        InvalidInput: the file cannot be read, or there is no terminal to ask on.
    """
    if file:
        return _first_line(file)
    if not sys.stdin.isatty():
        raise InvalidInput(
            "password: there is no terminal to ask on",
            field="password",
            cause="standard input is not a terminal",
            remedy="give it with --password-file FILE, or on standard input with --password-file -",
        )
    asked = f"{'New password' if is_new else 'Password'} of {name}"
    typed: str = typer.prompt(asked, hide_input=True, confirmation_prompt=is_new, err=True)
    return typed


def _first_line(file: str) -> str:
    try:
        if file == "-":
            raw = sys.stdin.buffer.readline(_LONGEST)
        else:
            with Path(file).open("rb") as source:
                raw = source.readline(_LONGEST)
        return raw.rstrip(b"\r\n").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "password-file: no password can be read from it",
            field="password-file",
            value=file,
            cause=str(error) if isinstance(error, OSError) else "it is not UTF-8 text",
            remedy="name a text file whose first line is the password",
        ) from error
