"""Parts of an installation that are made when they are first asked for, once, whichever thread asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, overload

Made = TypeVar("Made")

# One for all, since parts are made of parts: with one for each, two threads could wait for each other.
_MAKING: Final = threading.RLock()


class part(Generic[Made]):  # noqa: N801 - reads as the decorator that it is
    """``functools.cached_property``, for any thread.

    That one has no lock from Python 3.12 on: two pages asked for at once would each be given a database of their own.

    Args:
        make: makes the part of an owner.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[object]) -> part[Made]: ...

    @overload
    def __get__(self, instance: object, owner: type[object]) -> Made: ...

    def __get__(self, instance: object | None, owner: type[object]) -> part[Made] | Made:
        if instance is None:
            return self
        values = instance.__dict__
        with _MAKING:
            if self._name not in values:
                values[self._name] = self._make(instance)
            made: Made = values[self._name]
        return made
