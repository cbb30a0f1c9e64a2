"""Structure sets, doses and plans of radiotherapy (PS3.3 C.8.8), in tables."""

from __future__ import annotations

from collections.abc import Iterator

from dicomfab.services.readable.blocks import ROWS, Block, Cell, Reference, References, Table, cells, facts
from dicomfab.services.readable.reports import reference
from dicomfab.services.readable.source import Item, joined, written

_REFERENCED_ROI = 0x30060084


def structure_set(whole: Item) -> Iterator[Block]:
    """Its regions of interest: name, colour, how many contours."""
    yield from facts(
        "",
        ("Label", whole.text(0x30060002, characters=64)),
        ("Name", whole.text(0x30060004, characters=200)),
        ("Description", whole.text(0x30060006)),
        ("Date", f"{whole.text(0x30060008, characters=16)} {whole.text(0x30060009, characters=16)}".strip()),
        *_approval(whole),
    )
    drawn = {one.text(_REFERENCED_ROI, characters=16): one for one in whole.items(0x30060039, ROWS)}
    meant = {
        one.text(_REFERENCED_ROI, characters=16): one.text(0x300600A4, characters=32)
        for one in whole.items(0x30060080, ROWS)
    }
    rows = []
    for one in whole.items(0x30060020, ROWS):
        number = one.text(0x30060022, characters=16)
        contours = drawn.get(number)
        rows.append(
            cells(
                Cell(number, is_number=True),
                Cell(one.text(0x30060026, characters=100), _colour(contours)),
                meant.get(number, ""),
                one.text(0x30060036, characters=32),
                Cell(str(contours.count(0x30060040) if contours else 0), is_number=True),
            )
        )
    columns = ("No.", "Name", "Type", "Made", "Contours")
    yield Table("Regions of interest", columns, tuple(rows), whole.count(0x30060020))


def _colour(contours: Item | None) -> str:
    parts = [int(number) for number in contours.numbers(0x3006002A, limit=3)] if contours else []
    is_one = len(parts) == 3 and all(0 <= part < 256 for part in parts)
    return "#" + "".join(f"{part:02x}" for part in parts) if is_one else ""


def dose(whole: Item) -> Iterator[Block]:
    """Units, kind and grid of a dose, and its histograms."""
    planes = len(whole.numbers(0x3004000C))
    spacing = whole.numbers(0x00280030, limit=2)
    yield from facts(
        "",
        ("Units", whole.text(0x30040002, characters=16)),
        ("Type", whole.text(0x30040004, characters=16)),
        ("Summation", whole.text(0x3004000A, characters=32)),
        ("Comment", whole.text(0x30040006)),
        ("Grid", _grid(whole, planes)),
        ("Spacing", " × ".join(written(one) for one in spacing) + " mm" if spacing else ""),
        ("Scaling", written(whole.number(0x3004000E))),
    )
    rows = []
    for one in whole.items(0x30040050, ROWS):
        about = one.item(0x30040060)
        unit = one.text(0x30040002, characters=16)
        figures = (Cell(written(one.number(tag), unit), is_number=True) for tag in (0x30040070, 0x30040074, 0x30040072))
        number = about.text(_REFERENCED_ROI, characters=16) if about else ""
        rows.append(cells(Cell(number, is_number=True), one.text(0x30040001, characters=16), *figures))
    if rows:
        columns = ("ROI", "Type", "Minimum", "Mean", "Maximum")
        yield Table("Dose volume histograms", columns, tuple(rows), whole.count(0x30040050))
    yield from _related(whole, 0x300C0002, "Plan")


def _grid(whole: Item, planes: int) -> str:
    sizes = (whole.text(0x00280011, characters=8), whole.text(0x00280010, characters=8), str(planes) if planes else "")
    return " × ".join(size for size in sizes if size)


def plan(whole: Item) -> Iterator[Block]:
    """Label, prescriptions, fractions and beams of a plan."""
    yield from facts(
        "",
        ("Label", whole.text(0x300A0002, characters=64)),
        ("Name", whole.text(0x300A0003, characters=200)),
        ("Description", whole.text(0x300A0004)),
        ("Date", f"{whole.text(0x300A0006, characters=16)} {whole.text(0x300A0007, characters=16)}".strip()),
        ("Intent", whole.text(0x300A000A, characters=32)),
        ("Geometry", whole.text(0x300A000C, characters=32)),
        *_approval(whole),
    )
    yield from _prescriptions(whole)
    yield from _fractions(whole)
    yield from _beams(whole, 0x300A00B0, 0x300A0111)
    yield from _beams(whole, 0x300A03A2, 0x300A03A8)
    yield from _related(whole, 0x300C0060, "Structure set")


def _prescriptions(whole: Item) -> Iterator[Block]:
    rows = [
        cells(
            Cell(one.text(0x300A0012, characters=16), is_number=True),
            one.text(0x300A0016, characters=200),
            one.text(0x300A0020, characters=32),
            one.text(0x300A0014, characters=32),
            Cell(written(one.number(0x300A0026), "Gy"), is_number=True),
        )
        for one in whole.items(0x300A0010, ROWS)
    ]
    if rows:
        columns = ("No.", "Description", "Type", "Structure", "Prescribed")
        yield Table("Dose references", columns, tuple(rows), whole.count(0x300A0010))


def _fractions(whole: Item) -> Iterator[Block]:
    tags = (0x300A0071, 0x300A0078, 0x300A0080, 0x300A00A0)
    rows = [
        cells(*(Cell(one.text(tag, characters=16), is_number=True) for tag in tags))
        for one in whole.items(0x300A0070, ROWS)
    ]
    if rows:
        columns = ("No.", "Fractions", "Beams", "Brachy set-ups")
        yield Table("Fraction groups", columns, tuple(rows), whole.count(0x300A0070))


def _beams(whole: Item, sequence: int, control_points: int) -> Iterator[Block]:
    rows = []
    for one in whole.items(sequence, ROWS):
        first = one.item(control_points)
        rows.append(
            cells(
                Cell(one.text(0x300A00C0, characters=16), is_number=True),
                one.text(0x300A00C2, characters=100),
                one.text(0x300A00C4, characters=16),
                one.text(0x300A00C6, characters=16),
                one.text(0x300A00B2, characters=64),
                Cell(written(first.number(0x300A011E), "°") if first else "", is_number=True),
                Cell(written(first.number(0x300A0114)) if first else "", is_number=True),
                Cell(str(one.count(control_points)), is_number=True),
            )
        )
    if rows:
        columns = ("No.", "Name", "Type", "Radiation", "Machine", "Gantry", "Energy (MeV)", "Control points")
        yield Table("Beams", columns, tuple(rows), whole.count(sequence))


def _approval(whole: Item) -> Iterator[tuple[str, str]]:
    yield "Approval", joined(whole.text(0x300E0002, characters=32))
    yield "Reviewed by", whole.text(0x300E0008, characters=200)


def _related(whole: Item, tag: int, title: str) -> Iterator[Block]:
    found: tuple[Reference, ...] = tuple(reference(one) for one in whole.items(tag, 20))
    if found:
        yield References(title, found, whole.count(tag) > len(found))
