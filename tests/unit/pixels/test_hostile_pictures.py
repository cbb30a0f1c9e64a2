"""Lookup tables, numbers of frames and sizes that no honest instance has: told, or left out, and nothing else."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from dicomfab.model.errors import TranscodingFailed
from dicomfab.model.study import InstanceFile
from dicomfab.pixels import data_set as data_sets
from dicomfab.pixels.data_set import DamagedInstance, opened
from dicomfab.pixels.display import Table
from dicomfab.pixels.picture import Viewport, encoded
from dicomfab.pixels.rendering import shown
from dicomfab.pixels.stored_frames import Frames
from tests.unit.archive.builders import DEFLATED
from tests.unit.archive.builders import encode as encoded_data_set
from tests.unit.pixels.instances import data_set, picture, write

COLOURS = ("Red", "Green", "Blue")
TOLD = (TranscodingFailed, DamagedInstance)


def drawn(ds: Dataset, path: Path) -> NDArray[np.uint8]:
    file = write(ds, path)
    with opened(file) as read:
        return shown(Frames(read, file.identity.transfer_syntax_uid), 0)


def raw(ds: Dataset, tag: int, vr: str, value: bytes) -> None:
    """An element with these bytes; where pydicom would not write them, it is said to be one of bytes."""
    vr = "OB" if vr in ("US", "SS") and len(value) % 2 else vr
    ds.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(value), value, 0, False, True))


def palette(segments: bytes, *, bits: int = 16, count: int = 256) -> Dataset:
    ds = data_set(picture(bits=8), bits=8)
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for number, name in enumerate(COLOURS):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [count, 0, bits])
        raw(ds, 0x00281221 + number, "OW", segments)
    return ds


def words(*numbers: int) -> bytes:
    return np.array(numbers, "<u2").tobytes()


def entries(ds: Dataset, path: Path) -> NDArray[Any]:
    """What the values from 0 to 255 become in red."""
    ds.Rows, ds.Columns, ds.PixelData = 16, 16, bytes(range(256))
    return drawn(ds, path)[..., 0].ravel()


@pytest.mark.parametrize("size", [0, 2, 4, 8, 12])
@pytest.mark.parametrize("is_segmented", [False, True])
def test_a_descriptor_of_another_length_is_told(tmp_path: Path, size: int, is_segmented: bool) -> None:
    ds = palette(words(0, 256, *range(256)))
    for number in range(3):
        raw(ds, 0x00281101 + number, "US", words(256, 0, 16, 0, 0, 0)[:size])
        if not is_segmented:
            raw(ds, 0x00281201 + number, "OW", words(*range(256)))
    with pytest.raises(TOLD):
        drawn(ds, tmp_path / "a.dcm")


def test_an_empty_table_is_left_out(tmp_path: Path) -> None:
    ds, plain = data_set(picture(bits=12), bits=12), data_set(picture(bits=12), bits=12)
    for descriptor, data in ((b"", words(1)), (words(4, 0, 12), b"")):
        item = Dataset()
        raw(item, 0x00283002, "US", descriptor)
        raw(item, 0x00283006, "OW", data)
        ds.ModalityLUTSequence = ds.VOILUTSequence = [item]
        assert (drawn(ds, tmp_path / "a.dcm") == drawn(plain, tmp_path / "b.dcm")).all()


def test_segments_may_be_copied(tmp_path: Path) -> None:
    """An indirect segment points at bytes and copies discrete and linear ones (PS3.3 C.7.9.2.3)."""
    segments = words(0, 2, 0x1000, 0x2000, 1, 62, 0x4000, 2, 2, 0, 0, 2, 1, 8, 0, 1, 66, 0xFF00)
    found = entries(palette(segments), tmp_path / "a.dcm")
    once = [0x10, 0x20, *((0x2000 + round(0x2000 * step / 62)) >> 8 for step in range(1, 63))]
    assert found[:128].tolist() == once * 2
    assert set(found[128:190]) == {0x40}
    assert (found[190], found[255]) == (0x40 + (0xFF00 - 0x4000) // 66 // 256, 0xFF)


@pytest.mark.parametrize("bits", [8, 16])
def test_segments_are_expanded_as_pydicom_does(tmp_path: Path, bits: int) -> None:
    top = (1 << bits) - 1
    segments = np.array([0, 3, 5, top, 1, 1, 173, 0, 1, 77, top, 0, 3, 1, 2, 3], f"<u{bits // 8}").tobytes()
    ds = palette(segments, bits=bits)
    file = write(ds, tmp_path / "a.dcm")
    read = pydicom.dcmread(file.path)
    expected = apply_color_lut(read.pixel_array, read)
    assert (drawn(ds, tmp_path / "b.dcm") == (expected >> (bits - 8))).all()


@pytest.mark.parametrize(
    "segments",
    [
        words(0, 255, *range(255)),  # one entry is missing
        words(1, 256, 7),  # a line from nowhere
        words(2, 1, 0, 0),  # copies itself
        words(0, 1, 1, 2, 1, 6, 0),  # copies the one that copies
        words(0, 1, 1, 2, 65535, 0, 0),  # goes on into itself
        words(0, 1, 1, 2, 1, 0xFFFF, 0xFFFF),
        words(0, 1, 1, 1, 300),
        words(0, 1, 1, 3, 255, 1),
        words(0, 1, 1, *[0, 0] * 100_000),
        words(0, 0, *[1, 0, 0] * 10),
    ],
    ids=lambda segments: f"{len(segments)} bytes",
)
def test_segments_that_do_not_make_the_table_are_told(tmp_path: Path, segments: bytes) -> None:
    with pytest.raises(DamagedInstance, match="lookup table"):
        drawn(palette(segments), tmp_path / "a.dcm")


def test_empty_segments_that_are_copied_again_and_again_end(tmp_path: Path) -> None:
    segments = words(0, 1, 1, *[0, 0] * 60_000, *[2, 60_000, 6, 0] * 10_000)
    with pytest.raises(DamagedInstance, match="lookup table"):
        drawn(palette(segments), tmp_path / "a.dcm")


def test_no_more_is_expanded_than_the_table_has(tmp_path: Path) -> None:
    segments = words(0, 1, 0x1100, *[1, 65535, 0x1100] * 20_000)
    assert set(drawn(palette(segments, count=0), tmp_path / "a.dcm").ravel()) == {0x11}


TABLES = (0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203, 0x00281221, 0x00281222, 0x00281223)
NUMBERS = st.lists(st.one_of(st.integers(0, 4), st.sampled_from([8, 12, 16, 256]), st.integers(0, 65535)), max_size=24)
BYTES = st.one_of(st.binary(max_size=40), NUMBERS.map(lambda numbers: words(*numbers)))
DESCRIPTORS = st.one_of(
    BYTES, st.tuples(st.integers(0, 300), st.integers(0, 65535), st.integers(7, 17)).map(lambda one: words(*one))
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_tables_of_any_bytes_are_told_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    ds = data_set(picture(bits=8), bits=8)
    if data.draw(st.booleans()):
        ds.PhotometricInterpretation = "PALETTE COLOR"
        for tag in TABLES:
            if tag < 0x00281200 or data.draw(st.booleans()):
                vr = data.draw(st.sampled_from(["US", "SS"])) if tag < 0x00281200 else "OW"
                raw(ds, tag, vr, data.draw(DESCRIPTORS if tag < 0x00281200 else BYTES))
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        if data.draw(st.booleans()):
            item = Dataset()
            raw(item, 0x00283002, data.draw(st.sampled_from(["US", "SS"])), data.draw(DESCRIPTORS))
            raw(item, 0x00283006, "OW", data.draw(BYTES))
            setattr(ds, sequence, [item])
    try:
        found = drawn(ds, folder / "any.dcm")
    except TOLD:
        return
    assert found.dtype == np.uint8


def test_a_table_holds_for_numbers_of_any_size() -> None:
    table = Table(-5, np.arange(10), 8)
    values = np.array([-np.inf, -1e300, np.nan, 0.4, 1e300, np.inf])
    assert table.of(values).tolist() == [0, 0, 5, 5, 9, 9]


@pytest.mark.parametrize(
    "values",
    [
        {"RescaleSlope": "1e308", "RescaleIntercept": "1e308"},
        {"WindowCenter": "-1e308", "WindowWidth": "1e308", "RescaleSlope": "1e308"},
        {"BitsStored": 65535},
    ],
)
def test_numbers_of_any_size_are_displayed(tmp_path: Path, values: dict[str, Any]) -> None:
    for photometric, shape in (("MONOCHROME2", {}), ("RGB", {"samples": 3})):
        ds = data_set(picture(bits=8, **shape), bits=8, photometric=photometric)
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        assert drawn(ds, tmp_path / "a.dcm").dtype == np.uint8


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_colour_of_floating_point_numbers_is_told(tmp_path: Path, photometric: str) -> None:
    ds = data_set(picture(rows=4, columns=4, bits=8, samples=3), bits=8, photometric="RGB")
    ds.PhotometricInterpretation = photometric
    ds.FloatPixelData = bytes(4 * 4 * 3 * 4)
    del ds.PixelData
    with pytest.raises(TOLD):
        drawn(ds, tmp_path / "a.dcm")


@pytest.mark.parametrize("text", [b"1" * 5000, b"0" * 4998 + b"12", b"0", b"-1", b"1.5 "])
def test_a_number_of_frames_that_is_none_is_told(tmp_path: Path, text: bytes) -> None:
    ds = data_set(picture(bits=8), bits=8)
    raw(ds, 0x00280008, "OB", text)
    file = write(ds, tmp_path / "a.dcm")
    with opened(file) as read, pytest.raises(DamagedInstance, match="NumberOfFrames"):
        _ = Frames(read, file.identity.transfer_syntax_uid).count


def deflated(ds: Dataset, path: Path) -> InstanceFile:
    file = write(ds, path, DEFLATED)
    head = path.read_bytes()[: file.dataset_offset]
    path.write_bytes(head + encoded_data_set(ds, DEFLATED))
    return file


def test_a_data_set_inflates_to_so_many_times_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = data_set(picture(bits=8), bits=8)
    ds.PixelData = bytes(5 << 20)
    file = deflated(ds, tmp_path / "a.dcm")
    assert len(zlib.compress(ds.PixelData)) * 200 < len(ds.PixelData)
    with opened(file) as read:  # small, whatever it is made of
        assert read.find(0x7FE00010) is not None
    monkeypatch.setattr(data_sets, "_SMALL_BYTES", 1 << 20)
    with pytest.raises(DamagedInstance, match="inflates to more than"), opened(file):
        pass
    noise = np.random.default_rng(1).integers(0, 256, 5 << 20, np.uint8).tobytes()
    ds.PixelData = noise
    with opened(deflated(ds, tmp_path / "b.dcm")) as read:
        assert read.find(0x7FE00010) is not None


def test_what_a_format_cannot_hold_is_told() -> None:
    wide = np.zeros((1, 65_501), np.uint8)
    with pytest.raises(TranscodingFailed, match="65501 × 1 pixels"):
        encoded(wide, "image/jpeg")
    with pytest.raises(TranscodingFailed, match="cannot be encoded"):
        encoded(np.zeros((2, 2), np.uint8), "image/jpeg", viewport=Viewport(70_000, 70_000, 0, 0, 2, 0.00001))
    assert encoded(wide, "image/png")
