"""Structured reports as a tree of text (PS3.3 C.17), and key object selections (PS3.3 C.17.6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomfab.services.readable.blocks import ROWS, Block, Content, Reference, References, facts
from dicomfab.services.readable.source import Item, joined, written

#: Content items of a report that are shown at most, children of one, and levels.
CONTENT_ITEMS: Final = 3000
_CHILDREN: Final = 500
_LEVELS: Final = 30
_CONTENT, _CONCEPT, _VALUE_TYPE, _RELATIONSHIP = 0x0040A730, 0x0040A043, 0x0040A040, 0x0040A010
_REFERENCED = 0x00081199
_PLAIN: Final = {
    "TEXT": 0x0040A160,
    "DATETIME": 0x0040A120,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "PNAME": 0x0040A123,
    "UIDREF": 0x0040A124,
    "TCOORD": 0x0040A130,
}
_COORDINATES: Final = ("SCOORD", "SCOORD3D")
_COORDINATES_SHOWN: Final = 12


def blocks(whole: Item) -> Iterator[Block]:
    """A report: whether it is complete and verified, then what it says."""
    yield from facts(
        "",
        ("Completion", whole.text(0x0040A491)),
        ("Verification", whole.text(0x0040A493)),
        ("Preliminary", whole.text(0x0040A496)),
        ("Written", _date_time(whole, 0x00080023, 0x00080033)),
        *(("Verified by", _observer(one)) for one in whole.items(0x0040A073, 5)),
    )
    yield _Tree().content(whole, 0)
    evidence = tuple(evidence_of(whole))
    if whole.text(0x00080016) == "1.2.840.10008.5.1.4.1.1.88.59":  # key objects: what they select is the point
        yield References("Selected instances", evidence[:ROWS], len(evidence) > ROWS)


def evidence_of(whole: Item) -> Iterator[Reference]:
    """Instances that a document rests on, as its evidence sequence lists them; one more than are shown."""
    left = ROWS + 1
    for study in whole.items(0x0040A375, 50):
        for series in study.items(0x00081115, 200):
            for one in series.items(_REFERENCED, left):
                yield reference(one)
                left -= 1
                if not left:
                    return


def reference(item: Item) -> Reference:
    """An item of a sequence of SOP instance references (PS3.3 10.8)."""
    return Reference(
        item.text(0x00081150, characters=64),
        item.text(0x00081155, characters=64),
        joined(item.text(0x00081160, characters=200)),
    )


class _Tree:
    """Makes content items until there are enough."""

    def __init__(self) -> None:
        self.left = CONTENT_ITEMS

    def content(self, item: Item, level: int) -> Content:
        self.left -= 1
        value_type = item.text(_VALUE_TYPE, characters=16)
        value, unit = _value(item, value_type)
        children: list[Content] = []
        total = item.count(_CONTENT)
        if level < _LEVELS:
            for child in item.items(_CONTENT, _CHILDREN):
                if self.left <= 0:
                    break
                children.append(self.content(child, level + 1))
        return Content(
            item.text(_RELATIONSHIP, characters=32),
            value_type,
            item.code(_CONCEPT),
            value,
            unit,
            tuple(reference(one) for one in item.items(_REFERENCED, 20)),
            tuple(children),
            max(0, total - len(children)),
        )


def _value(item: Item, value_type: str) -> tuple[str, str]:
    """What a content item says, and the unit of it."""
    if value_type in _PLAIN:
        return (joined(item.text(_PLAIN[value_type])) if value_type == "TCOORD" else item.text(_PLAIN[value_type])), ""
    if value_type == "CODE":
        return item.code(0x0040A168), ""
    if value_type == "NUM":
        return _measured(item)
    if value_type in _COORDINATES:
        points = item.numbers(0x00700022, limit=_COORDINATES_SHOWN + 1)
        said = ", ".join(written(one) for one in points[:_COORDINATES_SHOWN])
        more = " …" if len(points) > _COORDINATES_SHOWN else ""
        return f"{item.text(0x00700023, characters=32)} {said}{more}".strip(), ""
    if not value_type and item.raw(0x0040DB73):
        return f"see content item {'.'.join(item.text(0x0040DB73).split(chr(92)))}", ""
    return "", ""


def _measured(item: Item) -> tuple[str, str]:
    measured = item.item(0x0040A300)
    if measured is None:
        return item.code(0x0040A301) or "no value", ""
    unit = measured.item(0x004008EA)
    symbol = unit.text(0x00080100, characters=32) if unit is not None else ""
    if symbol in ("1", "{}", "") or symbol.startswith("{"):
        symbol = "" if symbol == "1" else measured.code(0x004008EA)
    return measured.text(0x0040A30A, characters=64), symbol


def _observer(item: Item) -> str:
    said = (item.text(0x0040A075), item.text(0x0040A027), item.text(0x0040A030))
    return ", ".join(one for one in said if one)


def _date_time(item: Item, date: int, time: int) -> str:
    return f"{item.text(date, characters=16)} {item.text(time, characters=16)}".strip()
