from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomfab.model.errors import NotFound
from dicomfab.services.readable import documents, kinds, waveforms
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
from dicomfab.services.readable.reports import CONTENT_ITEMS
from dicomfab.services.readable.source import Item
from tests.unit.services.readable import objects
from tests.unit.services.readable.objects import IMAGE, KINDS, code, content, encoded, item, written

B = TypeVar("B")
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _read(folder: Path, name: str, **arguments: Any) -> Readable:
    made = KINDS[name](**arguments)
    return kinds.read(written(folder, made), made.SOPClassUID)


def _only(readable: Readable, kind: type[B]) -> B:
    (found,) = (block for block in readable.blocks if isinstance(block, kind))
    return found


def _facts(readable: Readable) -> dict[str, str]:
    return dict(row for block in readable.blocks if isinstance(block, Facts) for row in block.rows)


def _rows(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def _all(root: Content) -> list[Content]:
    return [root, *(one for child in root.children for one in _all(child))]


def test_a_report_is_a_tree_with_values_units_and_references(tmp_path: Path) -> None:
    readable = _read(tmp_path, "report")
    assert readable.title == "Comprehensive SR"
    assert readable.problem == ""
    assert _facts(readable)["Verified by"] == "Curie^Marie, Radium, 20260131"
    root = _only(readable, Content)
    assert root.concept == "Chest CT Report"
    said = {one.concept: (one.value, one.unit) for one in _all(root)}
    assert said["Finding"] == ("Größe: unverändert\nzweite Zeile", "")
    assert said["Diameter"] == ("12.5", "mm")
    assert said["Side"] == ("Left", "")
    assert said["Observer"] == ("Röntgen^Wilhelm", "")
    assert said["Outline"][0] == "POLYLINE 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 …"
    (source,) = (one for one in _all(root) if one.concept == "Source")
    assert [one.sop_instance_uid for one in source.references] == [IMAGE]


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed")
def test_a_report_says_what_dcmtk_says(tmp_path: Path) -> None:
    made = objects.report()
    path = written(tmp_path, made)
    dumped = subprocess.run(
        ["dsrdump", "+U8", "-Er", "-Ec", "-Ee", "-Ei", "+Pl", path], capture_output=True, timeout=30, check=True
    ).stdout.decode()
    for one in _all(_only(kinds.read(path, made.SOPClassUID), Content)):
        assert one.concept in dumped
        if one.value_type != "SCOORD":  # it writes points in its own way
            assert one.value.split("\n")[0] in dumped


def test_key_objects_are_a_list_of_what_they_select(tmp_path: Path) -> None:
    readable = _read(tmp_path, "key_objects")
    found = _only(readable, References)
    assert [one.sop_instance_uid for one in found.references] == [IMAGE, f"{objects.STUDY}.99"]
    assert _only(readable, Content).children[0].value == "Look at this"


def test_a_report_that_is_too_large_says_what_it_left_out(tmp_path: Path) -> None:
    made = objects.report()
    made.ContentSequence = [
        content(
            "CONTAINS",
            "CONTAINER",
            f"Part {number}",
            ContentSequence=[content("CONTAINS", "TEXT", "T", TextValue=str(n)) for n in range(501)],
        )
        for number in range(7)
    ]
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    root = _only(readable, Content)
    assert readable.is_cut
    assert len(_all(root)) <= CONTENT_ITEMS
    assert root.children[0].missing == 1
    assert root.missing == 7 - len(root.children)


def test_a_report_that_nests_without_end_is_cut(tmp_path: Path) -> None:
    made = objects.report()
    inner = content("CONTAINS", "TEXT", "Deepest", TextValue="x")
    for _ in range(60):
        inner = content("CONTAINS", "CONTAINER", "Level", ContentSequence=[inner])
    made.ContentSequence = [inner]
    root = _only(kinds.read(written(tmp_path, made), made.SOPClassUID), Content)
    found = _all(root)
    assert 20 < len(found) < 40
    assert found[-1].missing == 1


def test_a_pdf_is_a_document_without_its_padding(tmp_path: Path) -> None:
    made = objects.pdf()
    path = written(tmp_path, made)
    found = _only(kinds.read(path, made.SOPClassUID), Document)
    assert (found.title, found.media_type, found.is_pdf) == ("Letter", "application/pdf", True)
    assert b"".join(documents.chunks(path)) == objects.PDF_BYTES
    assert documents.document_of(path) == documents.Held("application/pdf", len(objects.PDF_BYTES), "pdf")


def test_xml_is_text_and_is_never_sent_as_a_page(tmp_path: Path) -> None:
    made = objects.cda()
    path = written(tmp_path, made)
    readable = kinds.read(path, made.SOPClassUID)
    assert "<script>alert(1)</script>Größe" in _only(readable, Passage).text
    assert documents.document_of(path).media_type == "text/plain"


@pytest.mark.parametrize(
    ("said", "data", "sent"),
    [
        ("application/pdf", b"<html><script>", "application/octet-stream"),
        ("text/html", b"<html>", "application/octet-stream"),
        ("image/svg+xml", b"<svg/>", "text/plain"),
        ("model/stl", b"solid ", "model/stl"),
        ("", b"??", "application/octet-stream"),
    ],
)
def test_a_document_is_sent_as_what_cannot_harm(tmp_path: Path, said: str, data: bytes, sent: str) -> None:
    made = objects.pdf()
    made.MIMETypeOfEncapsulatedDocument, made.EncapsulatedDocument = said, data
    del made.EncapsulatedDocumentLength
    assert documents.document_of(written(tmp_path, made)).media_type == sent


def test_an_instance_without_a_document_has_none(tmp_path: Path) -> None:
    for made in (objects.image(), objects.report()):
        path = written(tmp_path, made)
        with pytest.raises(NotFound):
            documents.document_of(path)
        with pytest.raises(NotFound):
            next(documents.chunks(path))
    with pytest.raises(NotFound):
        documents.document_of(tmp_path / "gone.dcm")


def _points(drawing: Drawing, trace: int = 0) -> np.ndarray[Any, Any]:
    lines = drawing.traces[trace].lines
    return np.array([[float(part) for part in pair.split(",")] for line in lines for pair in line.split()])


@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_ecg_is_drawn_to_scale(tmp_path: Path, syntax: str | None) -> None:
    made = objects.ecg()
    if syntax == ExplicitVRBigEndian:
        group = made.WaveformSequence[0]
        group.WaveformData = np.frombuffer(group.WaveformData, "<i2").astype(">i2").tobytes()
    readable = kinds.read(written(tmp_path, made, *([syntax] if syntax else [])), made.SOPClassUID)
    drawing = _only(readable, Drawing)
    assert drawing.has_grid
    assert [trace.label for trace in drawing.traces] == "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
    points = _points(drawing)
    middle = drawing.traces[0].middle_mm
    assert math.isclose(points[:, 1].min(), middle - 10, abs_tol=0.05)  # 1 mV is 10 mm, upwards
    assert math.isclose(points[:, 1].max(), middle + 10, abs_tol=0.05)
    assert math.isclose(points[:, 0].max() - points[:, 0].min(), 50, abs_tol=0.5)  # 2 s are 50 mm
    assert (drawing.traces[0].low, drawing.traces[0].high, drawing.traces[0].unit) == ("-1000", "1000", "uV")
    assert _facts(readable)["Interpretation"] == "Sinus rhythm."


def test_of_a_long_ecg_the_beginning_is_drawn_and_few_points(tmp_path: Path) -> None:
    drawing = _only(_read(tmp_path, "ecg", seconds=60.0), Drawing)
    assert "the first 20 s of 60 s" in drawing.said
    assert drawing.width_mm < 520
    assert sum(len(line) for line in drawing.traces[0].lines) < 100_000


def test_padding_is_a_gap(tmp_path: Path) -> None:
    made = objects.ecg()
    group = made.WaveformSequence[0]
    samples = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
    samples[300:500] = -32768
    group.WaveformData = samples.tobytes()
    group.add_new(0x5400100A, "OW", np.int16(-32768).tobytes())
    drawing = _only(kinds.read(written(tmp_path, made), made.SOPClassUID), Drawing)
    assert len(drawing.traces[0].lines) == 2
    assert _points(drawing)[:, 1].max() < drawing.height_mm


def test_other_waveforms_fill_their_strip(tmp_path: Path) -> None:
    drawing = _only(_read(tmp_path, "sound"), Drawing)
    assert not drawing.has_grid
    assert (drawing.traces[0].label, drawing.traces[0].low, drawing.traces[0].high) == ("Doppler", "0", "249")
    y = _points(drawing)[:, 1]
    assert 0 < y.min() < 3
    assert 17 < y.max() < 20


def test_samples_that_cannot_be_told_apart_are_said_to_be_so(tmp_path: Path) -> None:
    made = objects.ecg()
    made.WaveformSequence[0].WaveformSampleInterpretation = "MB"
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    assert "cannot be told apart" in _facts(readable)["Not drawn"]


@pytest.mark.parametrize("sensitivity", ["2.500000000000000000001", "0.0000000000000000025e18", "2.5" + " " * 40])
def test_long_numbers_are_not_lost(tmp_path: Path, sensitivity: str) -> None:
    made = objects.ecg()
    for channel in made.WaveformSequence[0].ChannelDefinitionSequence:
        channel["ChannelSensitivity"]._value = sensitivity
    drawing = _only(kinds.read(written(tmp_path, made), made.SOPClassUID), Drawing)
    assert drawing.traces[0].high == "1000"


def test_of_many_long_numbers_none_is_lost(tmp_path: Path) -> None:
    made = objects.dose()
    made.Columns, made.Rows = 4, 4
    made.add_new(0x3004000C, "UT", "\\".join(f"{place:.20f}" for place in range(4000)))
    assert _facts(kinds.read(written(tmp_path, made), made.SOPClassUID))["Grid"] == "4 × 4 × 4000"


@pytest.mark.parametrize("keyword", ["ChannelSensitivity", "ChannelSensitivityCorrectionFactor", "ChannelBaseline"])
@pytest.mark.parametrize("value", ["x", "nan", "", "0"])
def test_a_channel_that_does_not_say_what_it_means_is_not_drawn(tmp_path: Path, keyword: str, value: str) -> None:
    made = objects.ecg()
    made.WaveformSequence[0].ChannelDefinitionSequence[3][keyword]._value = value
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    if (keyword, value) == ("ChannelBaseline", "0"):
        assert _only(readable, Drawing).has_grid
        return
    assert not [block for block in readable.blocks if isinstance(block, Drawing)]
    assert "cannot be used" in _facts(readable)["Not drawn"]
    assert "(aVR)" in _facts(readable)["Not drawn"]


@pytest.mark.parametrize("is_stated", [True, False])
def test_only_what_is_all_in_volts_is_drawn_on_paper(tmp_path: Path, is_stated: bool) -> None:
    made = objects.ecg()
    channel = made.WaveformSequence[0].ChannelDefinitionSequence[11]
    if is_stated:
        channel.ChannelSensitivityUnitsSequence = code("millimetre of mercury", "mm[Hg]")
    else:
        del channel.ChannelSensitivity
    drawing = _only(kinds.read(written(tmp_path, made), made.SOPClassUID), Drawing)
    assert not drawing.has_grid
    assert "each channel fills its strip" in drawing.said
    assert drawing.traces[11].unit == ("mm[Hg]" if is_stated else "")
    for number, trace in enumerate(drawing.traces):
        y = _points(drawing, number)[:, 1] - trace.top_mm
        assert (round(y.min(), 1), round(y.max(), 1)) == (1.5, 18.5)


def test_no_more_samples_are_converted_than_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    trace = waveforms._trace
    monkeypatch.setattr(waveforms, "_trace", lambda *a, **k: asked.append(a[1].shape) or trace(*a, **k))  # type: ignore[func-returns-value]
    read: list[int] = []
    data = Item.data
    monkeypatch.setattr(Item, "data", lambda item, tag, limit: read.append(limit) or data(item, tag, limit))  # type: ignore[func-returns-value]
    _read(tmp_path, "ecg", seconds=60.0)
    assert set(asked) == {(10_000,)}
    assert max(read) == 10_000 * 12 * 2
    monkeypatch.setattr(waveforms, "SAMPLES", 100)
    drawing = _only(_read(tmp_path, "sound"), Drawing)
    assert asked[-1] == (100,)
    assert "; the first " in drawing.said


def test_a_presentation_state_lists_what_it_changes_and_what_it_is_for(tmp_path: Path) -> None:
    readable = _read(tmp_path, "presentation")
    assert _facts(readable)["Window"] == "centre -600, width 1500 (LUNG)"
    assert [one.sop_instance_uid for one in _only(readable, References).references] == [IMAGE]
    assert _rows(_only(readable, Table)) == [["ONE", "Here", ""]]


def test_a_structure_set_is_a_table_of_regions(tmp_path: Path) -> None:
    table = _only(_read(tmp_path, "structure_set"), Table)
    assert _rows(table) == [["1", "Heart", "", "MANUAL", "3"], ["2", "PTV", "PTV", "", "0"]]
    assert [row[1].colour for row in table.rows] == ["#ff0010", ""]


def test_dose_and_plan_show_their_main_values(tmp_path: Path) -> None:
    dose, plan = _read(tmp_path, "dose"), _read(tmp_path, "plan")
    assert _facts(dose)["Units"] == "GY"
    assert _rows(_only(dose, Table)) == [["1", "CUMULATIVE", "1 GY", "31 GY", "60.5 GY"]]
    assert _only(dose, References).title == "Plan"
    tables = {block.title: _rows(block) for block in plan.blocks if isinstance(block, Table)}
    assert tables["Dose references"] == [["1", "PTV", "", "", "60 Gy"]]
    assert tables["Fraction groups"] == [["1", "30", "1", ""]]
    assert tables["Beams"] == [["1", "AP", "STATIC", "PHOTON", "LINAC 3", "180 °", "6", "2"]]


def test_a_segmentation_is_a_table_of_segments(tmp_path: Path) -> None:
    readable = _read(tmp_path, "segmentation")
    table = _only(readable, Table)
    assert _rows(table) == [["1", "Liver", "Tissue", "Liver", "Manual"], ["2", "Tumour", "", "", ""]]
    red, green, blue = (int(table.rows[0][1].colour[n : n + 2], 16) for n in (1, 3, 5))
    assert red > 250
    assert green < 10
    assert blue < 10
    assert table.rows[1][1].colour == ""


@pytest.mark.parametrize("stored", ["1e300\\0\\0", "-1\\0\\0", "0\\65536\\0", "1e308\\1e308\\-1e308"])
def test_a_colour_that_is_none_is_left_out(tmp_path: Path, stored: str) -> None:
    made = objects.segmentation()
    made.SegmentSequence[0].add_new(0x0062000D, "LO", stored)
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    assert readable.problem == ""
    assert _only(readable, Table).rows[0][1].colour == ""


@pytest.mark.parametrize("error", [OverflowError, ZeroDivisionError, ValueError, RecursionError])
def test_what_nobody_thought_of_is_a_problem_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(whole: Item) -> Iterator[Block]:
        raise error("secret")

    made = objects.segmentation()
    monkeypatch.setattr(kinds, "_READERS", {made.SOPClassUID: broken})
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    assert "cannot be read" in readable.problem
    assert "secret" not in readable.problem


def test_of_anything_else_the_main_attributes_are_read(tmp_path: Path) -> None:
    readable = _read(tmp_path, "image")
    assert _facts(readable)["Modality"] == "CT"
    assert not kinds.is_readable(objects.CT)
    assert kinds.title_of("1.2.3") == "Unknown SOP class"


def test_a_file_that_is_gone_or_is_no_dicom_gives_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    assert "cannot be read" in kinds.read(path, objects.CT).problem
    path.write_bytes(b"nothing")
    assert "no DICOM file" in kinds.read(path, objects.CT).problem


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@FEW
def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path, name: str, data: st.DataObject) -> None:
    made = KINDS[name]()
    content = bytearray(encoded(made))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content[: data.draw(st.integers(140, len(content)))])
    readable = kinds.read(path, made.SOPClassUID)
    assert isinstance(readable, Readable)
    with contextlib.suppress(NotFound):
        assert len(b"".join(documents.chunks(path))) <= len(content)


@given(
    channels=st.integers(0, 70_000),
    samples=st.integers(0, 2**32 - 1),
    rate=st.sampled_from(["", "0", "-1", "1e-300", "1e300", "0.001", "500", "nan", "inf"]),
    sensitivity=st.sampled_from(["", "0", "1e308", "-1e308", "nan", "1e-320", "x"]),
    unit=st.sampled_from(["mV", "uV", "", "mm[Hg]"]),
    pattern=st.binary(min_size=2, max_size=64).filter(lambda one: len(one) % 2 == 0),
)
@FEW
def test_hostile_waveforms_are_drawn_or_said_not_to_be(
    tmp_path: Path, channels: int, samples: int, rate: str, sensitivity: str, unit: str, pattern: bytes
) -> None:
    made = objects.ecg(0.1)
    group = made.WaveformSequence[0]
    group.NumberOfWaveformChannels = channels & 0xFFFF
    group.NumberOfWaveformSamples = samples
    group["SamplingFrequency"]._value = rate
    group.WaveformData = pattern * 40
    for channel in group.ChannelDefinitionSequence:
        channel["ChannelSensitivity"]._value = sensitivity
        channel.ChannelSensitivityUnitsSequence = code("unit", unit)
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    for drawing in (block for block in readable.blocks if isinstance(block, Drawing)):
        assert 0 < drawing.width_mm < 600
        assert 0 < drawing.height_mm < 1000
        assert all("nan" not in line and "inf" not in line for trace in drawing.traces for line in trace.lines)


@given(
    text=st.text(max_size=300), numbers=st.lists(st.text(alphabet="0123456789.eE+-xnaif \\", max_size=16), max_size=4)
)
@FEW
def test_hostile_values_stay_text(tmp_path: Path, text: str, numbers: list[str]) -> None:
    made = objects.structure_set()
    made.StructureSetDescription = text.replace("\ud800", "")
    made.ROIContourSequence[0].add_new(0x3006002A, "LO", "\\".join(numbers))
    made.StructureSetROISequence[0] = item(ROINumber=1, ROIName=text[:60])
    readable = kinds.read(written(tmp_path, made), made.SOPClassUID)
    colour = _only(readable, Table).rows[0][1].colour
    assert colour == "" or (len(colour) == 7 and int(colour[1:], 16) >= 0)
