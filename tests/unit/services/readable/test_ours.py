"""What we fabricate beside images is shown whole by our own pages: titles, values and what it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from dicomfab.fabricate.sinks import write_files
from dicomfab.services.readable import documents, kinds
from dicomfab.services.readable.blocks import (
    Block,
    Content,
    Document,
    Drawing,
    Facts,
    Passage,
    Readable,
    References,
    Table,
)
from tests.unit.fabricate.studies import study

B = TypeVar("B", bound=Block)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files by kind; the images come first in the study."""
    asked = ("ko", "ko-rejected", "pr", "pdf", "cda", "ecg")
    made = study("ct-chest", *asked, slices=40, script="japanese")
    files = [one.path for one in write_files(made, tmp_path_factory.mktemp("ours"))]
    return {"image": files[0], **dict(zip(asked, files[40:], strict=True))}


def read(path: Path) -> Readable:
    from pydicom import dcmread

    uid = str(dcmread(path, stop_before_pixels=True).SOPClassUID)
    assert kinds.is_readable(uid)
    readable = kinds.read(path, uid)
    assert (readable.problem, readable.is_cut) == ("", False)
    return readable


def only(readable: Readable, kind: type[B]) -> B:
    (found,) = (block for block in readable.blocks if isinstance(block, kind))
    return found


def facts(readable: Readable) -> dict[str, str]:
    return dict(row for block in readable.blocks if isinstance(block, Facts) for row in block.rows)


def whole(root: Content) -> Iterator[Content]:
    yield root
    for child in root.children:
        yield from whole(child)


@pytest.mark.parametrize(("kind", "count"), [("ko", None), ("ko-rejected", 40)])
def test_key_objects(paths: dict[str, Path], kind: str, count: int | None) -> None:
    readable = read(paths[kind])
    assert readable.title == "Key Object Selection Document"
    root = only(readable, Content)
    items = list(whole(root))
    assert root.concept == ("Of Interest" if count is None else "Rejected for Quality Reasons")
    assert all(one.value or one.references or one is root for one in items), "an item says nothing"
    assert not any(one.missing for one in items)
    said = {one.concept: one.value for one in items}
    assert said["Key Object Description"].startswith("SYNTHETIC DATA.")
    assert ("Document Title Modifier" in said) == (count is not None)
    selected = only(readable, References)
    shown = [one.references[0].sop_instance_uid for one in items if one.value_type == "IMAGE"]
    assert [one.sop_instance_uid for one in selected.references] == shown
    assert len(shown) == (count or len(set(shown)))


def test_a_presentation_state(paths: dict[str, Path]) -> None:
    readable = read(paths["pr"])
    said = facts(readable)
    assert said["Window"] == "centre -550, width 1600 (LUNG)"
    assert (said["Label"], said["Shape"]) == ("FINDINGS", "IDENTITY")
    rows = [[cell.text for cell in row] for row in only(readable, Table).rows]
    assert rows[0] == ["FINDINGS", "SYNTHETIC DATA", ""]
    assert all(text.startswith("Nodule in the") and "CIRCLE" in shape for _, text, shape in rows[1:])
    assert len(rows) > 1
    assert len(only(readable, References).references) == 40


def test_a_pdf(paths: dict[str, Path]) -> None:
    readable = read(paths["pdf"])
    document = only(readable, Document)
    assert (document.title, document.is_pdf) == ("SYNTHETIC imaging report", True)
    data = b"".join(documents.chunks(paths["pdf"]))
    assert (len(data), data[-6:]) == (document.size_bytes, b"%%EOF\n")
    assert facts(readable)["Concept"] == "Diagnostic imaging report"


def test_a_cda_document(paths: dict[str, Path]) -> None:
    readable = read(paths["cda"])
    passage = only(readable, Passage)
    assert passage.text.startswith("<?xml")
    assert passage.text.rstrip().endswith("</ClinicalDocument>")
    assert '<name use="IDE">' in passage.text
    assert only(readable, Document).media_type == "text/plain"


def test_an_ecg(paths: dict[str, Path]) -> None:
    readable = read(paths["ecg"])
    drawing = only(readable, Drawing)
    assert [trace.label for trace in drawing.traces] == "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
    assert {trace.unit for trace in drawing.traces} == {"uV"}
    assert (drawing.title, drawing.has_grid) == ("RHYTHM", True)
    said = facts(readable)
    assert "Not drawn" not in said
    assert said["Interpretation"].startswith("SYNTHETIC DATA. Sinus rhythm. Rate ")
