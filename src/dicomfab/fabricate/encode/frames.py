"""Native frames to what stands in an instance: coded, byte-swapped or deflated, on several threads, in order."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from dicomfab.model.study import Buffer
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.elements import swapped
from dicomfab.pixels.encoders import by_pixel, encode
from dicomfab.pixels.streams import RAW_DEFLATE
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG
from dicomfab.pixels.writable import Writable

T = TypeVar("T")
U = TypeVar("U")
FrameCoder = Callable[[Buffer], Buffer]

DEFLATE_END: Final = b"\x03\x00"  # an empty last block (RFC 1951 3.2.3)
_DEFLATE_LEVEL: Final = 6


def frame_coder(
    syntax: Writable, description: PixelDescription, quality: int | None, *, planes: bool
) -> FrameCoder | None:
    """What makes a native frame ready for a transfer syntax.

    Args:
        syntax: the transfer syntax.
        description: of the native frames.
        quality: of a lossy one.
        planes: native colour is by plane (PlanarConfiguration 1).

    Returns:
        A function that threads may share, or None if a frame stays as it is.
    """
    if syntax.encapsulated:
        uid = syntax.uid
        if planes:
            return lambda frame: encode(uid, by_pixel(frame, description), description, quality)
        return lambda frame: encode(uid, frame, description, quality)
    if syntax.uid == DEFLATED:
        return deflated
    if syntax.uid == EXPLICIT_BIG and description.bits_allocated == 16:
        return lambda frame: swapped(bytes(frame), 2)
    return None


def deflated(data: Buffer) -> bytes:
    """A piece of a raw deflate stream (PS3.5 A.5): pieces joined, and ``DEFLATE_END``, are one stream.

    Each ends at a byte and refers to no other, so they can be made at the same time.
    """
    stream = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)


def mapped(work: Callable[[T], U], items: Iterator[T], count: int, workers: int, batch: int) -> Iterator[U]:
    """``work`` on each item, on threads.

    Args:
        work: must release the GIL to gain anything from threads.
        items: taken in the caller's thread.
        count: how many items there are, about.
        workers: threads; the results do not depend on it. With one, the caller's thread does the work.
        batch: items that a thread is handed at once; fewer towards the end, so that all threads end together.

    Yields:
        The results in order; at most ``workers + 2`` batches are in memory, as items or as results.
    """
    if workers == 1:
        yield from map(work, items)
        return

    def run(some: list[T]) -> list[U]:
        return [work(item) for item in some]

    pending: deque[Future[list[U]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
        try:
            while some := list(islice(items, min(batch, max(1, count // (2 * workers))))):
                count -= len(some)
                pending.append(pool.submit(run, some))
                if len(pending) > workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
