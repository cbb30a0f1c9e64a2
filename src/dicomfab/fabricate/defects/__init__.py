"""What can be wrong on purpose: each by its name, and nothing without it."""

from __future__ import annotations

from collections.abc import Sequence

from dicomfab.model.errors import InvalidInput


def checked(names: Sequence[str], kinds: Sequence[str]) -> tuple[str, ...]:
    """The names of defects, each once, that the kinds of a study can carry.

    Raises:
        InvalidInput: naming the field.
    """
    for name in names:
        raise InvalidInput(f"defects: {name!r} is not known", field="defects", value=name, remedy="leave it out")
    return ()
