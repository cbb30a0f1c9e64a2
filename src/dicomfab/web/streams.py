"""Server-sent events from blocking iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent

#: The event that tells the page to close its stream; without it the browser would connect again.
END = "end"

_EXHAUSTED = object()


def stream(events: Iterator[ServerSentEvent], *, on_close: Callable[[], None] = lambda: None) -> EventSourceResponse:
    """Send events as they come, then the end.

    Args:
        events: may block between two events; is left alone in its thread when the page goes away meanwhile.
        on_close: called once, when the last event was sent or the page went away.
    """
    return EventSourceResponse(_followed_by_end(events, on_close), headers={"Cache-Control": "no-store"})


async def _followed_by_end(
    events: Iterator[ServerSentEvent], on_close: Callable[[], None]
) -> AsyncIterator[ServerSentEvent]:
    try:
        async for event in _in_thread(events):
            yield event
        yield ServerSentEvent(event=END, data="")
    finally:
        on_close()


async def _in_thread(items: Iterator[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    # A limiter of its own: streams that wait must not use up the threads that answer requests.
    limiter = anyio.CapacityLimiter(1)
    while True:
        item = await anyio.to_thread.run_sync(next, items, _EXHAUSTED, abandon_on_cancel=True, limiter=limiter)
        if not isinstance(item, ServerSentEvent):
            return
        yield item
