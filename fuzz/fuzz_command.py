"""Command sets: what can be read can be written and read again."""

from __future__ import annotations

from dicomfab.dimse import command as commands
from dicomfab.dimse.command import CommandError


def one_input(data: bytes) -> None:
    """An encoded command set."""
    try:
        command = commands.decode(data)
    except CommandError:
        return
    assert commands.name_of(command)
    commands.has_data_set(command)
    try:
        encoded = commands.encode(command)
    except CommandError:
        # A UID that is none is refused when it is sent, not when it is read.
        assert any(not value.isascii() or len(value) > 64 for value in command.values() if isinstance(value, str))
        return
    again = commands.decode(encoded)
    readable = {
        keyword: value.replace("\ufffd", "?") if isinstance(value, str) else value for keyword, value in command.items()
    }
    assert again == {keyword: value for keyword, value in readable.items() if value not in ("", ())}
