"""Everything random comes from here, named by what it is for: the same seed and name give the same draw anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
SEED_LIMIT = 2**63


def derive(seed: int, *purpose: object) -> int:
    """A 64-bit number that follows from a seed and the purpose that it is drawn for."""
    text = "\0".join((str(seed), *(str(part) for part in purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


class Draw:
    """A stream of draws for one purpose, independent of every other stream of the same seed.

    It does not use :mod:`random`, whose derived methods may change between Python versions.
    """

    def __init__(self, seed: int, *purpose: object) -> None:
        self._seed = seed
        self._purpose = purpose
        self._count = 0

    def below(self, limit: int) -> int:
        """A whole number in ``[0, limit)``."""
        self._count += 1
        return derive(self._seed, *self._purpose, self._count) % limit

    def between(self, low: float, high: float) -> float:
        """A number in ``[low, high)``."""
        return low + (high - low) * self.below(2**53) / 2**53

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]


def uid(*names: object) -> str:
    """A UID under root 2.25 that follows from the names (PS3.5 B.2).

    The number is a version 8 UUID (RFC 9562) whose top bit is set, so every UID has 44 characters.
    """
    text = "\0".join(str(name) for name in names)
    number = int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest(), "big")
    number |= 1 << 127
    number = number & ~(0xF << 76) | 0x8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"2.25.{number}"
