"""What was made before, as much as fits into a size; what was not asked for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

#: Also what is empty takes a place.
_MOST: Final = 10_000
Made = TypeVar("Made", str, bytes)


class Remembered(Generic[Made]):
    """A cache of texts, or of bytes. Safe for several threads.

    Args:
        max_length: of all together, in characters or bytes; one that takes more than a hundredth of it is not kept.
    """

    def __init__(self, max_length: int) -> None:
        self._max = max_length
        self._held = 0
        self._kept: OrderedDict[Hashable, Made] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What belongs to a key, made if it is not there; what fails is not remembered.

        Args:
            key: what decides the result, all of it.
            make: makes it.
        """
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        if len(made) <= self._max // 100:
            with self._lock:
                before = self._kept.pop(key, None)
                self._held += len(made) - (0 if before is None else len(before))
                self._kept[key] = made
                while self._held > self._max or len(self._kept) > _MOST:
                    self._held -= len(self._kept.popitem(last=False)[1])
        return made
