"""Presentation states: what they are of, and what they change (PS3.3 A.33)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from dicomfab.services.readable.blocks import ROWS, Block, Reference, References, Table, cells, facts
from dicomfab.services.readable.reports import reference
from dicomfab.services.readable.source import Item, joined, written


def blocks(whole: Item) -> Iterator[Block]:
    """A presentation state: label, windows, annotations, and the instances that it is for."""
    yield from facts(
        "",
        ("Label", whole.text(0x00700080, characters=64)),
        ("Description", whole.text(0x00700081)),
        ("Made", f"{whole.text(0x00700082, characters=16)} {whole.text(0x00700083, characters=16)}".strip()),
        ("Made by", whole.text(0x00700084, characters=200)),
        ("Shape", whole.text(0x20500020, characters=16)),
        ("Rotation", written(whole.number(0x00700042), "°")),
        ("Flipped", {"Y": "horizontally", "N": ""}.get(whole.text(0x00700041, characters=4), "")),
        ("Shutter", joined(whole.text(0x00181600, characters=64))),
        *(("Window", _window(one)) for one in whole.items(0x00283110, 10)),
    )
    yield from _annotations(whole)
    found = tuple(islice(_references(whole), ROWS + 1))
    yield References("Made for", found[:ROWS], len(found) > ROWS)


def _window(item: Item) -> str:
    centre, width = written(item.number(0x00281050)), written(item.number(0x00281051))
    name = joined(item.text(0x00281055, characters=100))
    said = f"centre {centre}, width {width}" if centre and width else "a table" if item.count(0x00283010) else ""
    return f"{said} ({name})" if said and name else said


def _annotations(whole: Item) -> Iterator[Block]:
    rows = []
    for one in whole.items(0x00700001, ROWS):
        texts = [text.text(0x00700006, characters=500) for text in one.items(0x00700008, 50)]
        shapes = [shape.text(0x00700023, characters=32) for shape in one.items(0x00700009, 50)]
        rows.append(cells(one.text(0x00700002, characters=64), " / ".join(filter(None, texts)), ", ".join(shapes)))
    if rows:
        columns = ("Layer", "Texts", "Shapes")
        yield Table("Annotations", columns, tuple(rows), whole.count(0x00700001))


def _references(whole: Item) -> Iterator[Reference]:
    # A blending state has what it is of in its two parts (PS3.3 C.11.14).
    for part in chain([whole], whole.items(0x00700402, 10)):
        for series in part.items(0x00081115, 200):
            for one in series.items(0x00081140, ROWS + 1):
                yield reference(one)
