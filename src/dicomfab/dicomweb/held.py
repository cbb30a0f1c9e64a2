"""Instances by their place in the path, and the addresses of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Final, TypeVar

from dicomfab.dicomweb.conditional import gone
from dicomfab.dicomweb.ports import HeldInstance, WebStore
from dicomfab.model.errors import InstanceUnreadable, NotFound
from dicomfab.pixels.data_set import DataSet, opened

_T = TypeVar("_T")
#: Of the UIDs in a path, in their order.
KEYWORDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_NAMES: Final = {"StudyInstanceUID": "study", "SeriesInstanceUID": "series", "SOPInstanceUID": "SOP instance"}


def held_at(store: WebStore, uids: Mapping[str, str]) -> Sequence[HeldInstance]:
    """The instances that a path names; at least one.

    Args:
        store: where they are.
        uids: by keyword, as the path has them.

    Raises:
        NotFound: there is none.
    """
    found = store.instances(*(uids[keyword] for keyword in KEYWORDS if keyword in uids))
    if not found:
        raise no_such(uids)
    return found


def named(uids: Mapping[str, str]) -> str:
    """What UIDs by keyword name, for people."""
    keyword = next(one for one in reversed(KEYWORDS) if uids.get(one))
    return f"{_NAMES[keyword]} {uids[keyword]}"


def no_such(uids: Mapping[str, str]) -> NotFound:
    """What UIDs by keyword name is not there."""
    return NotFound(
        f"there is no {named(uids)} here",
        cause="it was never stored here, was deleted, or belongs to another study or series than the address says",
        remedy="search for it",
    )


def address(root: str, held: HeldInstance) -> str:
    """The URL of an instance."""
    return (
        f"{root}/studies/{held.study_instance_uid}/series/{held.series_instance_uid}"
        f"/instances/{held.file.identity.sop_instance_uid}"
    )


def open_now(stack: ExitStack, held: HeldInstance) -> DataSet:
    """The data set of an instance, until the stack is left.

    Raises:
        NotFound: it was deleted meanwhile.
        InstanceUnreadable: it cannot be read.
    """
    try:
        return stack.enter_context(opened(held.file))
    except InstanceUnreadable as error:
        if not held.file.path.exists():
            raise gone(held) from error
        raise


class UntilSent:
    """Pieces of what is open until they are read, or closed.

    Args:
        stack: what is open.
        pieces: of it.
    """

    def __init__(self, stack: ExitStack, pieces: Iterator[bytes]) -> None:
        self._stack = stack
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close what is open; nothing more is read."""
        self._pieces = iter(())
        self._stack.close()


def begun(pieces: Iterator[_T], count: int = 1) -> Iterator[_T]:
    """The same pieces, of which the first are made at once: what fails there fails before anything is sent."""
    first = list(islice(pieces, count))
    return chain(first, pieces)
