"""The viewer in a browser: whether it shows a picture, and what it holds."""

from __future__ import annotations

import hashlib
import io

from PIL import Image
from playwright.sync_api import Page

from tests.browser.conftest import PATIENCE_MS
from tests.unit.dimse.raw import eventually

#: A picture has that many grey values; a viewport that is empty, or holds text alone, has few.
SHADES = 24
_VIEWPORT = "[data-cy='viewport-pane'] canvas, .dicom-microscopy-viewer canvas, .DicomMicroscopyViewer canvas"


def seen(page: Page) -> Image.Image | None:
    """What the largest viewport shows, in grey; nothing before there is one."""
    canvases = [one for one in page.locator(_VIEWPORT).all() if one.is_visible()]
    boxes = [(box["width"] * box["height"], one) for one in canvases if (box := one.bounding_box())]
    if not boxes:
        return None
    _, largest = max(boxes, key=lambda one: one[0])
    with Image.open(io.BytesIO(largest.screenshot(animations="disabled", caret="initial"))) as picture:
        return picture.convert("L")


def shades(page: Page) -> int:
    """How many grey values the largest viewport shows; 0 before there is one."""
    picture = seen(page)
    return 0 if picture is None else len(picture.getcolors(256) or ())


def await_picture(page: Page, *, least: int = SHADES) -> None:
    """Wait until the viewer shows a picture."""
    assert eventually(lambda: shades(page) > least, 2 * PATIENCE_MS / 1000), (page.url, shades(page))


def digest(page: Page) -> str:
    """What the largest viewport shows, to be compared."""
    picture = seen(page)
    return "" if picture is None else hashlib.sha256(picture.tobytes()).hexdigest()
