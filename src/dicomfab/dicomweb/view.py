"""How pictures are wanted: the query parameters of rendered resources (PS3.18 8.3.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.messages import Request
from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.display import Function, Window
from dicomfab.pixels.picture import QUALITY, Viewport

#: The longest edge that a picture is scaled to, in pixels.
LONGEST_EDGE: Final = 8192
_ANNOTATIONS: Final = ("patient", "technique")
_SIZE: Final = re.compile(r"[1-9][0-9]{0,4}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})")
_WHOLE: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is wanted.

    Args:
        window: other than its own.
        viewport: what it is fitted into.
        quality: of JPEG, 1 to 100.
        with_profile: whether an ICC profile of the instance goes with it.
        longest: edge in pixels that it is reduced to, if there is no viewport; 0 leaves it as it is.
        annotated: whether text was to be burned in, which is never done.
    """

    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = QUALITY
    with_profile: bool = False
    longest: int = 0
    annotated: bool = False


def parse_view(request: Request) -> View:
    """Read the parameters of a rendered resource; unknown ones do not count.

    Raises:
        InvalidInput: one that cannot be; ``field`` names it.
    """
    return View(
        _window(_only(request, "window")),
        parse_viewport(request),
        _quality(_only(request, "quality")),
        with_profile=_profile(_only(request, "iccprofile")),
        annotated=_annotation(_only(request, "annotation")),
    )


def parse_viewport(request: Request) -> Viewport | None:
    """Read the ``viewport``: width and height, and which part of the picture goes there (8.3.5.1.3).

    Raises:
        InvalidInput: it cannot be.
    """
    text = _only(request, "viewport")
    if not text:
        return None
    size, part = text.split(",")[:2], text.split(",")[2:]
    if len(size) != 2 or not all(_SIZE.fullmatch(one) and int(one) <= LONGEST_EDGE for one in size):
        raise _wrong("viewport", text, f"it begins with a width and a height, 1 to {LONGEST_EDGE}", "viewport=512,512")
    if len(part) > 4 or not all(one == "" or _DECIMAL.fullmatch(one) for one in part):
        raise _wrong("viewport", text, "its part of the picture is up to four numbers", "viewport=512,512,0,0,256,256")
    x, y, columns, rows = (float(one or 0) for one in (*part, "", "", "", "")[:4])
    if x < 0 or y < 0 or any(one and float(one) == 0 for one in part[2:]):
        raise _wrong("viewport", text, "its part of the picture begins in it and is not empty", "viewport=512,512,0,0")
    return Viewport(int(size[0]), int(size[1]), x, y, columns, rows)


def _window(text: str) -> Window | None:
    if not text:
        return None
    pieces = text.split(",")
    example = "window=40,400,linear"
    if len(pieces) != 3 or not all(_DECIMAL.fullmatch(one) for one in pieces[:2]):
        raise _wrong("window", text, "it is centre, width and function", example)
    name = pieces[2].upper().replace("-", "_")
    if name not in list(Function):
        raise _wrong("window", text, "its function is linear, linear-exact or sigmoid", example)
    width, least = float(pieces[1]), 1 if name == Function.LINEAR else 0
    if width < least or width == 0:
        raise _wrong("window", text, "its width is positive, and at least 1 if it is linear", example)
    return Window(float(pieces[0]), width, Function(name))


def _quality(text: str) -> int:
    if not text:
        return QUALITY
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= 100:
        raise _wrong("quality", text, "it is a whole number, 1 to 100", "quality=80")
    return int(text)


def _annotation(text: str) -> bool:
    if text and not all(one in _ANNOTATIONS for one in text.split(",")):
        raise _wrong("annotation", text, "it is patient, technique, or both", "annotation=patient,technique")
    return bool(text)


def _profile(text: str) -> bool:
    if text not in ("", "no", "yes"):
        raise _wrong("iccprofile", text, "colours are not converted from one profile to another", "iccprofile=yes")
    return text == "yes"


def _only(request: Request, name: str) -> str:
    values: Sequence[str] = request.values(name)
    if len(values) > 1:
        raise InvalidInput(f"{name} is given {len(values)} times", field=name, remedy="give it once")
    if values == [""]:
        raise InvalidInput(f"{name} has no value", field=name, remedy=f"leave {name} out, or give it a value")
    return values[0] if values else ""


def _wrong(name: str, text: str, cause: str, example: str) -> InvalidInput:
    return InvalidInput(
        f"{name}: {text[:100]!r} cannot be done", field=name, value=text, cause=cause, remedy=f"for example: {example}"
    )
