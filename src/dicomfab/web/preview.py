"""What a study that is not yet made will be: its series, their attributes, and one small picture of each."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sse_starlette import ServerSentEvent

from dicomfab.model.errors import DicomFabError
from dicomfab.web.templating import fragment

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.fabricate.preview import Preview

#: Of a picture among many.
SMALL_EDGE = 384
#: No picture is begun later than this after the first; each takes about a second at most.
LONGEST_S = 90.0


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What a preview says about a series.

    Args:
        number: SeriesNumber (0020,0011).
        modality: (0008,0060).
        description: SeriesDescription (0008,103E).
        sop_class: by name.
        instances: how many.
        frames: in each.
        rows: of a frame.
        columns: of a frame.
        transfer_syntax: by name.
    """

    number: str
    modality: str
    description: str
    sop_class: str
    instances: int
    frames: int
    rows: int
    columns: int
    transfer_syntax: str


def facts(shown: Preview) -> SeriesFacts:
    """The main attributes of a series in advance; nothing is rendered."""
    from dicomfab.pixels.writable import WRITABLE

    dataset = shown.dataset
    return SeriesFacts(
        number=str(dataset.SeriesNumber),
        modality=str(dataset.Modality),
        description=str(dataset.get("SeriesDescription", "")),
        sop_class=_sop_class(str(dataset.SOPClassUID)),
        instances=shown.instances,
        frames=shown.frames,
        rows=int(dataset.get("Rows", 0)),
        columns=int(dataset.get("Columns", 0)),
        transfer_syntax=WRITABLE[shown.plan.transfer_syntax_uid].title,
    )


def _sop_class(uid: str) -> str:
    from pydicom.uid import UID

    # pydicom's dictionary does not have this one yet.
    return "Label Map Segmentation Storage" if uid == "1.2.840.10008.5.1.4.1.1.66.7" else UID(uid).name


#: A value that is longer is cut where attributes are listed.
_LONGEST_VALUE = 80
_NOT_LISTED = (0x7FE0, 0x5400)


def attributes(shown: Preview) -> tuple[tuple[str, str, str], ...]:
    """Tag, keyword and value of what will be written; those of sequences follow, with the sequence before the name."""
    return tuple(_rows(shown.dataset, ""))


def _rows(dataset: Dataset, above: str) -> Iterator[tuple[str, str, str]]:
    for element in dataset:
        name = above + (element.keyword or "private")
        if element.VR == "SQ":
            for item in element.value:
                yield from _rows(item, f"{name} \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ")
        elif element.tag.group not in _NOT_LISTED and not isinstance(element.value, bytes):
            tag = f"({element.tag.group:04X},{element.tag.element:04X})"
            yield tag, name, _short("" if element.value is None else str(element.value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def pictures(
    shown: Sequence[Preview], *, is_gone: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> Iterator[ServerSentEvent]:
    """Render the picture of each series: a ``picture-N``, counted from 0, and a ``count`` of those that are done.

    Args:
        shown: the series.
        is_gone: asked before each picture; the page that wanted them is gone.
        clock: seconds.
    """
    end = clock() + LONGEST_S
    for place, one in enumerate(shown):
        if is_gone():
            return
        picture, problem = "", "Not rendered: the preview took too long."
        if clock() < end:
            try:
                picture, problem = _data_address(one), ""
            except DicomFabError as error:
                problem = error.what
        body = fragment("studies/preview_picture.html", picture=picture, problem=problem, series=facts(one))
        yield ServerSentEvent(event=f"picture-{place}", data=body)
        yield ServerSentEvent(event="count", data=f"{place + 1} of {len(shown)} rendered")


def _data_address(shown: Preview) -> str:
    from dicomfab.pixels import picture

    encoded = picture.png(shown.picture(), longest=SMALL_EDGE)
    return f"data:image/png;base64,{base64.b64encode(encoded).decode('ascii')}"
