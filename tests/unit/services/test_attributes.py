"""What is read from an instance is what was written into it, whatever the encoding."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomfab.model.errors import InvalidInput, NotFound, TranscodingFailed
from dicomfab.services import attributes
from dicomfab.services.attribute_differences import Kind, compare
from dicomfab.services.attributes import Attribute, Node, search, tree, value_of

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\\", exclude_categories=("Cc", "Cs")), max_size=40).map(
    str.strip
)
CODE = st.text("ABCDEFGHIJ0123456789_ ", max_size=16).map(str.strip)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """Data sets with text, numbers and sequences at several levels."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.StudyDescription = draw(TEXT)
    made.Modality = draw(CODE)
    made.Rows = draw(st.integers(0, 65535))
    made.ReferencedFrameNumber = draw(st.lists(st.integers(1, 9999), max_size=4))
    made.RecommendedDisplayFrameRateInFloat = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    if depth:
        made.ProcedureCodeSequence = Sequence(draw(st.lists(data_sets(depth - 1), max_size=3)))
        made["ProcedureCodeSequence"].is_undefined_length = draw(st.booleans())
        for item in made.ProcedureCodeSequence:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    return made


def written(path: Path, dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    """The data set in a file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta = meta
    pydicom.dcmwrite(path, dataset, enforce_file_format=True, implicit_vr=None)
    return path


def flat(nodes: tuple[Node, ...]) -> list[Attribute]:
    """All attributes, in order."""
    found = []
    for node in nodes:
        found.append(node.attribute)
        for item in node.children:
            found += flat(item.nodes)
    return found


def expected(dataset: Dataset) -> list[tuple[str, str, str]]:
    """Keyword, VR and value of each element by pydicom, in order."""
    found = []
    for element in dataset:
        if element.VR == "SQ":
            found.append((element.keyword, "SQ", ""))
            for item in element.value:
                found += expected(item)
        else:
            values = element.value if element.VM > 1 else [] if element.value in (None, "") else [element.value]
            found.append((element.keyword, element.VR, "\\".join(str(one) for one in values)))
    return found


def holds_an_escape_byte() -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.Rows = 0x1B00
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=data_sets(), syntax=st.sampled_from(SYNTAXES))
@example(dataset=holds_an_escape_byte(), syntax=ExplicitVRLittleEndian)
def test_every_value_is_read_as_pydicom_reads_it(tmp_path: Path, dataset: Dataset, syntax: str) -> None:
    path = written(tmp_path / "a.dcm", dataset, syntax)
    found = [one for one in flat(tree(path).nodes) if not one.tag.startswith("(0002")]
    again = pydicom.dcmread(path)
    assert [(one.keyword, one.vr, one.value) for one in found] == expected(again)
    assert [one.path for one in search(path, "").attributes][-len(found) :] == [one.path for one in found]
    for one in found:
        assert value_of(path, one.path).value == one.value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=data_sets(), syntaxes=st.tuples(st.sampled_from(SYNTAXES), st.sampled_from(SYNTAXES)))
def test_the_encoding_makes_no_difference(tmp_path: Path, dataset: Dataset, syntaxes: tuple[str, str]) -> None:
    a, b = (written(tmp_path / f"{n}.dcm", dataset, syntax) for n, syntax in enumerate(syntaxes))
    rows = [row for row in compare(a, b).rows if not row.path.startswith("(0002")]
    assert rows == []


def test_differences_say_where_and_what(tmp_path: Path) -> None:
    one, two = Dataset(), Dataset()
    for dataset, meaning in ((one, "head"), (two, "foot")):
        dataset.PatientID = "SYN1"
        code = Dataset()
        code.CodeMeaning = meaning
        dataset.ProcedureCodeSequence = [code]
    one.Modality, two.Rows = "CT", 5
    two.ProcedureCodeSequence.append(Dataset())
    found = compare(written(tmp_path / "a.dcm", one), written(tmp_path / "b.dcm", two))
    assert [(row.kind, row.path, row.item) for row in found.rows] == [
        (Kind.REMOVED, "(0008,0060)", False),
        (Kind.CHANGED, "(0008,1032)", False),
        (Kind.CHANGED, "(0008,1032)[0].(0008,0104)", False),
        (Kind.ADDED, "(0008,1032)[1]", True),
        (Kind.ADDED, "(0028,0010)", False),
    ]
    assert found.differs
    every = compare(tmp_path / "a.dcm", tmp_path / "a.dcm", everything=True)
    assert not every.differs
    assert {row.kind for row in every.rows} == {Kind.SAME}
    assert "(0008,1032)[0].(0008,0104)" in [row.path for row in every.rows]


def test_ten_thousand_items_are_asked_for_by_and_by(tmp_path: Path) -> None:
    dataset, items = Dataset(), []
    for number in range(10_000):
        item = Dataset()
        item.CodeValue = str(number)
        items.append(item)
    dataset.PerFrameFunctionalGroupsSequence = items
    path = written(tmp_path / "a.dcm", dataset)
    (node,) = [one for one in tree(path).nodes if one.attribute.vr == "SQ"]
    assert (node.attribute.items, len(node.children), node.missing) == (10_000, 5, 9995)
    page = tree(path, node.attribute.path, first=9_980)
    assert [item.nodes[0].attribute.value for item in page.items] == [str(n) for n in range(9_980, 10_000)]
    assert not search(path, "codevalue").is_complete
    assert [one.path for one in search(path, "9999").attributes] == ["(5200,9230)[9999].(0008,0100)"]


def test_names_private_blocks_binary_and_long_values(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    dataset.private_block(0x0099, "SOMEBODY", create=True).add_new(1, "LO", "inside")
    dataset.TextValue = "é" * 40_000
    dataset.PixelData = bytes(range(200))
    dataset["PixelData"].VR = "OB"
    path = written(tmp_path / "a.dcm", dataset)
    by_tag = {one.tag: one for one in flat(tree(path).nodes)}
    assert by_tag["(0010,0010)"].value == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert (by_tag["(0099,1001)"].creator, by_tag["(0099,1001)"].value) == ("SOMEBODY", "inside")
    assert by_tag["(0040,A160)"].value == "é" * attributes.SHOWN
    assert by_tag["(0040,A160)"].is_cut
    assert value_of(path, "(0040,A160)").value == "é" * 32_768
    assert (by_tag["(7FE0,0010)"].value, by_tag["(7FE0,0010)"].length) == (bytes(range(16)).hex(" ").upper(), 200)
    assert [one.tag for one in search(path, "山田").attributes] == ["(0010,0010)"]
    assert [one.tag for one in search(path, "00991001").attributes] == ["(0099,1001)"]


def test_a_file_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.Modality, dataset.PatientID = "CT", "SYN1"
    path = written(tmp_path / "a.dcm", dataset)
    path.write_bytes(path.read_bytes()[:-2])
    found = tree(path)
    assert [node.attribute.keyword for node in found.nodes][-1] == "Modality"
    assert found.problem
    assert search(path, "modality").problem
    assert not compare(path, path).is_complete


@pytest.mark.parametrize("at", ["(0010,0020)[0].(0008,0100)", "(0008,1032)[0]", "(0000,0001)"])
def test_a_place_that_is_not_there_is_not_found(tmp_path: Path, at: str) -> None:
    dataset = Dataset()
    dataset.PatientID = "SYN1"
    path = written(tmp_path / "a.dcm", dataset)
    with pytest.raises(NotFound):
        tree(path, at)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300), at=st.text(max_size=30))
def test_junk_is_refused_or_read_in_part(tmp_path: Path, junk: bytes, at: str) -> None:
    path = tmp_path / "junk.dcm"
    path.write_bytes(bytes(128) + b"DICM" + junk)
    for act in (
        lambda: tree(path),
        lambda: search(path, "x"),
        lambda: compare(path, path),
        lambda: tree(path, at or "x"),
    ):
        with suppress(InvalidInput, NotFound, TranscodingFailed):
            act()
