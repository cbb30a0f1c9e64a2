"""Pictures of stored instances that are asked for again and again: made once, and kept while there is room.

A picture belongs to a state of a file. As long as that is as it was, no file is opened for a picture that is kept.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound
from dicomfab.pixels.data_set import file_at, opened
from dicomfab.pixels.display import Function, Window, display_of
from dicomfab.pixels.stored_frames import Frames
from dicomfab.services import pictures

#: All pictures that are kept, in bytes.
KEPT_BYTES: Final = 24 << 20
#: Of a preview: the longest edge in pixels, and the quality of JPEG.
PREVIEW_EDGE: Final = 1024
QUALITY: Final = 88
#: What is played where an instance says nothing, in pictures a second, and what is never exceeded.
RATE: Final = 15.0
_FASTEST: Final = 60.0
#: As a window: all values that there are in the frame.
WHOLE: Final = "full"
_CINE_RATE, _DISPLAY_RATE, _FRAME_TIME = 0x00180040, 0x00082144, 0x00181063
_MODALITY: Final = 0x00080060
#: Without a window the values between these percentiles are displayed.
_USUAL: Final = (0.5, 99.5)
_Made = TypeVar("_Made")


class Kept:
    """Pictures by what they show; those that nobody asked for longest go first.

    Args:
        limit_bytes: of all together.
    """

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self._limit, self._size = limit_bytes, 0
        self._pictures: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path, what: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """A picture of a file; made if it is not here.

        Raises:
            NotFound: the file is gone.
        """
        key = (path, *state_of(path), *what)
        with self._lock:
            found = self._pictures.get(key)
            if found is not None:
                self._pictures.move_to_end(key)
                return found
        made = make()
        with self._lock:
            if key not in self._pictures and len(made) <= self._limit // 4:
                self._pictures[key] = made
                self._size += len(made)
                while self._size > self._limit:
                    self._size -= len(self._pictures.popitem(last=False)[1])
        return made

    @property
    def size_bytes(self) -> int:
        """Of the pictures that are kept."""
        return self._size


_KEPT: Final = Kept()


def state_of(path: Path) -> tuple[int, int]:
    """When a file was changed, in nanoseconds, and its size in bytes.

    Raises:
        NotFound: the file is gone.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise NotFound("there is no picture of this instance.", cause=error.strerror or "its file is gone") from None
    return found.st_mtime_ns, found.st_size


def png(path: Path, *, frame: int | None = None, longest: int = pictures.LONGEST_EDGE) -> bytes:
    """As :func:`dicomfab.services.pictures.png`, kept.

    Raises:
        NotFound: it has no picture that can be shown, or no such frame.
    """
    return _KEPT.of(path, ("png", frame, longest), lambda: pictures.png(path, frame=frame, longest=longest))


def parsed(text: str) -> Window | str | None:
    """A window as an address names it: ``centre,width``, ``full``, or blank for that of the instance.

    Raises:
        InvalidInput: it is none of these.
    """
    if text in ("", WHOLE):
        return text or None
    try:
        centre, width = (float(part) for part in text[:64].split(","))
    except ValueError:
        centre = width = float("nan")
    if not (abs(centre) < 1e12 and 0 < width < 1e12):
        raise InvalidInput(
            f"window: {text[:64]!r} is no window",
            field="window",
            value=text[:64],
            cause="a window is its centre and its width, above 0",
            remedy="write it as window=40,400",
        )
    return Window(centre, width)


def preview(path: Path, *, frame: int = 0, window: Window | str | None = None) -> bytes:
    """A frame as JPEG, in full size as long as that is no larger than a screen.

    Args:
        path: the instance's file; the caller has seen to it that it may be looked at.
        frame: from 0.
        window: see :func:`parsed`.

    Raises:
        NotFound: it has no picture that can be shown, or no such frame.
    """
    return _KEPT.of(path, ("jpeg", frame, window), lambda: _preview(path, frame, window))


def _preview(path: Path, frame: int, window: Window | str | None) -> bytes:
    from dicomfab.pixels.picture import Viewport, encoded
    from dicomfab.pixels.rendering import shown

    def made(frames: Frames) -> bytes:
        picture = shown(frames, frame, _chosen(frames, frame, window))
        large = max(picture.shape[:2]) > PREVIEW_EDGE
        viewport = Viewport(PREVIEW_EDGE, PREVIEW_EDGE) if large else None
        return encoded(picture, "image/jpeg", viewport=viewport, quality=QUALITY)

    return _of_frame(path, frame, made)


def _chosen(frames: Frames, index: int, window: Window | str | None) -> Window | None:
    """The window that is asked for, with the function of the frame's own one (PS3.3 C.11.2.1.3)."""
    if window == WHOLE:
        return _spread(frames, index, 0, 100)
    if not isinstance(window, Window) or not frames.photometric.startswith("MONOCHROME"):
        return None
    own = display_of(frames, index).window
    return replace(window, function=own.function) if own else window


@dataclass(frozen=True, slots=True)
class Look:
    """How the frames of an instance are looked at.

    Args:
        modality: of its series.
        is_grey: windows mean something.
        window: centre and width that it is displayed with at first; none for a table, or for colour.
        whole: centre and width of all values of the middle frame.
        rate: pictures a second when it is played.
    """

    modality: str
    is_grey: bool
    window: tuple[float, float] | None
    whole: tuple[float, float] | None
    rate: float


def look(path: Path) -> Look:
    """How the frames of an instance are looked at, decided by its middle one.

    Raises:
        NotFound: it has no picture that can be shown.
    """
    told = _KEPT.of(path, ("look",), lambda: json.dumps(asdict(_of_frame(path, None, _look))).encode())
    values = json.loads(told)
    pairs = {name: tuple(values[name]) if values[name] else None for name in ("window", "whole")}
    return Look(**{**values, **pairs})


def _look(frames: Frames) -> Look:
    index = frames.count // 2
    modality = frames.elements.get(_MODALITY)
    named = frames.data_set.value(modality)[:16].decode("latin-1").strip(" \0") if modality else ""
    whole = _spread(frames, index, 0, 100)
    window = None
    if whole is not None:
        display = display_of(frames, index)
        window = display.window or (None if display.voi else _spread(frames, index, *_USUAL))
    return Look(named, whole is not None, _pair(window), _pair(whole), _rate(frames))


def _pair(window: Window | None) -> tuple[float, float] | None:
    return (window.centre, window.width) if window else None


def _spread(frames: Frames, index: int, low_percent: float, high_percent: float) -> Window | None:
    """The window between two percentiles of a frame's values; nothing for colour."""
    import numpy as np

    from dicomfab.pixels.rendering import pixel_values

    pixels, photometric = pixel_values(frames, index)
    if pixels.ndim == 3 or not photometric.startswith("MONOCHROME"):
        return None
    there = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if not there.size:
        return None
    # Percentiles sort; the ends do not have to.
    ends = [there.min(), there.max()] if high_percent == 100 else np.percentile(there, (low_percent, high_percent))
    display = display_of(frames, index)
    with np.errstate(over="ignore", invalid="ignore"):
        values = display.transformed(np.asarray(ends, np.float64))
    low, high = sorted(float(value) for value in values)
    if not math.isfinite(high - low) or not math.isfinite(low + high):
        return None
    return Window((low + high) / 2, high - low or 1.0, Function.LINEAR_EXACT)


def _rate(frames: Frames) -> float:
    for tag in (_CINE_RATE, _DISPLAY_RATE):
        rate = _number(frames, tag)
        if rate > 0:
            return min(rate, _FASTEST)
    time_ms = _number(frames, _FRAME_TIME)
    return min(1000 / time_ms, _FASTEST) if time_ms > 0 else RATE


def _number(frames: Frames, tag: int) -> float:
    element = frames.elements.get(tag)
    if element is None:
        return 0.0
    try:
        number = float(frames.data_set.value(element)[:16].decode("latin-1").strip(" \0"))
    except ValueError:
        return 0.0
    return number if 0 < number < 1e6 else 0.0


def _of_frame(path: Path, frame: int | None, make: Callable[[Frames], _Made]) -> _Made:
    try:
        file = file_at(path)
        with opened(file) as data_set:
            frames = Frames(data_set, file.identity.transfer_syntax_uid)
            if not frames.count or not 0 <= (frame or 0) < frames.count:
                raise NotFound("there is no such picture in this instance.", cause=f"it has {frames.count} frames")
            return make(frames)
    except NotFound:
        raise
    except DicomFabError as error:
        raise NotFound("there is no picture of this instance.", cause=error.what) from error
