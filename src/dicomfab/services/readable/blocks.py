"""What a readable instance consists of: plain values, that a page writes down one below the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

#: Rows of a table, and references of a list, that are shown at most.
ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that another one refers to.

    Args:
        sop_class_uid, sop_instance_uid: as the instance writes them.
        frames: which of its frames; blank for all.
        note: what is said of it.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frames: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with values; blank values are left out."""

    kind: ClassVar[str] = "facts"
    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a table.

    Args:
        text: what it says.
        colour: that is shown beside it, ``#rrggbb``; blank for none.
        is_number: it stands at the right.
    """

    text: str
    colour: str = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns.

    Args:
        title: of the table.
        columns: their names.
        rows: as many cells as there are columns.
        total: rows that there are in the instance.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int


@dataclass(frozen=True, slots=True)
class References:
    """Instances that are referred to.

    Args:
        title: of the list.
        references: in the order of the instance.
        is_cut: there are more.
    """

    kind: ClassVar[str] = "references"
    title: str
    references: tuple[Reference, ...]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """A content item of a structured report (PS3.3 C.17.3).

    Args:
        relationship: to what is above it.
        value_type: ``TEXT``, ``NUM`` and so on.
        concept: its name.
        value: for reading.
        unit: of a number.
        references: instances that it points at.
        children: below it.
        missing: children that were left out.
    """

    kind: ClassVar[str] = "content"
    relationship: str
    value_type: str
    concept: str
    value: str = ""
    unit: str = ""
    references: tuple[Reference, ...] = ()
    children: tuple[Content, ...] = ()
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """One channel, drawn.

    Args:
        label: of the channel.
        unit: of its values.
        low, high: its lowest and highest value, for reading.
        lines: points of unbroken lines in millimetres, ``x,y x,y``; y grows downwards.
        middle_mm: where its zero line is, from the top of the drawing.
        top_mm: where its strip begins.
    """

    label: str
    unit: str
    low: str
    high: str
    lines: tuple[str, ...]
    middle_mm: float
    top_mm: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A multiplex group of a waveform (PS3.3 C.10.9), drawn.

    Args:
        title: of the group.
        traces: its channels.
        width_mm, height_mm: of the drawing.
        has_grid: it is drawn at 25 mm/s and 10 mm/mV, on a grid of 1 and 5 mm.
        said: how it is drawn.
        seconds: marks of the time axis, with their place in millimetres.
    """

    kind: ClassVar[str] = "drawing"
    title: str
    traces: tuple[Trace, ...]
    width_mm: float
    height_mm: float
    has_grid: bool
    said: str
    seconds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """An encapsulated document (PS3.3 C.24.2); its bytes are asked for by themselves.

    Args:
        title: of the document.
        media_type: as it is sent.
        size_bytes: of the document.
        is_pdf: it can be shown inline.
    """

    kind: ClassVar[str] = "document"
    title: str
    media_type: str
    size_bytes: int
    is_pdf: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """Text in lines."""

    kind: ClassVar[str] = "passage"
    title: str
    text: str
    is_cut: bool = False


Block: TypeAlias = Facts | Table | References | Content | Drawing | Document | Passage


@dataclass(frozen=True, slots=True)
class Readable:
    """An instance for reading.

    Args:
        title: what it is.
        blocks: what it says.
        problem: why the file could not be read to its end; blank if it could.
        is_cut: something was left out, since there was too much.
    """

    title: str
    blocks: tuple[Block, ...] = field(default=())
    problem: str = ""
    is_cut: bool = False


def cells(*texts: str | Cell) -> tuple[Cell, ...]:
    """A row of a table."""
    return tuple(one if isinstance(one, Cell) else Cell(one) for one in texts)


def facts(title: str, *rows: tuple[str, str]) -> tuple[Facts, ...]:
    """Names with values; nothing if there is no value."""
    told = tuple(row for row in rows if row[1])
    return (Facts(title, told),) if told else ()
