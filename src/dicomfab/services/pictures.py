"""One frame of a stored instance as a small PNG: only that frame is read and decoded, whatever else the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dicomfab.model.errors import DicomFabError, InstanceUnreadable, NotFound
from dicomfab.pixels.data_set import file_at, opened
from dicomfab.pixels.stored_frames import Frames

LONGEST_EDGE: Final = 512
SMALL_EDGE: Final = 112


def frames_of(path: Path) -> int:
    """How many frames an instance has; 0 without pixel data.

    Raises:
        NotFound: the file is not there, or is no DICOM file.
        InstanceUnreadable: it is damaged.
    """
    with _frames(path) as frames:
        return frames.count


def png(path: Path, *, frame: int | None = None, longest: int = LONGEST_EDGE) -> bytes:
    """A frame as it is displayed at first, shrunk.

    Args:
        path: the instance's file; the caller has seen to it that it may be looked at.
        frame: from 0; the middle one if not given.
        longest: edge in pixels.

    Raises:
        NotFound: it has no picture that can be shown, or no such frame.
    """
    from dicomfab.pixels import picture
    from dicomfab.pixels.rendering import shown

    try:
        with _frames(path) as frames:
            if not frames.count:
                raise _nothing("it has no pixel data")
            chosen = frames.count // 2 if frame is None else frame
            if not 0 <= chosen < frames.count:
                raise _nothing(f"it has {frames.count} frames")
            return picture.png(shown(frames, chosen), longest=longest)
    except NotFound:
        raise
    except DicomFabError as error:
        raise _nothing(error.what) from error


@contextmanager
def _frames(path: Path) -> Iterator[Frames]:
    try:
        file = file_at(path)
    except InstanceUnreadable as error:
        raise NotFound(error.what, cause=error.cause, remedy=error.remedy) from error
    with opened(file) as data_set:
        yield Frames(data_set, file.identity.transfer_syntax_uid)


def _nothing(why: str) -> NotFound:
    return NotFound("there is no picture of this instance.", cause=why)
