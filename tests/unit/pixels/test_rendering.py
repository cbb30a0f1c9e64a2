"""Frames as people see them, against pydicom's own transformations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing

from dicomfab.model.errors import DicomFabError, TranscodingFailed
from dicomfab.model.study import InstanceFile
from dicomfab.pixels import rendering
from dicomfab.pixels.data_set import DamagedInstance, file_at, opened
from dicomfab.pixels.display import Display, Function, Window
from dicomfab.pixels.picture import seen
from dicomfab.pixels.rendering import shown
from dicomfab.pixels.stored_frames import Frames
from dicomfab.pixels.transcode import transcode
from tests.unit.pixels.instances import data_set, picture, write

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".2", ".1.99"))


def drawn(file: InstanceFile, index: int = 0, window: Window | None = None) -> NDArray[np.uint8]:
    with opened(file) as read:
        return shown(Frames(read, file.identity.transfer_syntax_uid), index, window)


def grey(bits: int = 12, *, signed: bool = False, **values: Any) -> Dataset:
    ds = data_set(picture(bits=bits, signed=signed), bits=bits)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def stretched(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    return np.rint((values - low) * (255 / (high - low))).astype(np.uint8)


# --- grey ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", list(Function))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_a_frame_is_seen_with_its_window(tmp_path: Path, function: Function, signed: bool, syntax: str) -> None:
    ds = grey(
        signed=signed, RescaleSlope="2", RescaleIntercept="-1024", WindowCenter="40\\300", WindowWidth="2000\\1500",
        VOILUTFunction=str(function),
    )  # fmt: skip
    plain = write(ds, tmp_path / "a.dcm")
    (tmp_path / "other").mkdir()
    file = plain if syntax == EXPLICIT else transcode(plain, syntax, tmp_path / "other")
    read = pydicom.dcmread(plain.path)
    # pydicom scales to what the rescaled stored values can be.
    low = (-2048 if signed else 0) * 2 - 1024
    expected = apply_windowing(apply_modality_lut(read.pixel_array, read), read, 0)
    assert np.abs(drawn(file).astype(int) - stretched(expected, low, low + 4095 * 2)).max() <= 1
    assert (seen(read, read.pixel_array) == drawn(file)).all()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Function.LINEAR, [0, 0, 85, 170, 255, 255]),
        (Function.LINEAR_EXACT, [0, 0, 64, 128, 191, 255]),
        (Function.SIGMOID, [12, 30, 69, 128, 186, 225]),
    ],
)
def test_the_values_of_a_window_are_those_of_the_standard(function: Function, expected: list[int]) -> None:
    values = np.arange(-3, 3, dtype=np.int16)[np.newaxis]
    assert list(Display(window=Window(0, 4, function)).grey(values)[0]) == expected


@given(st.floats(-4000, 4000), st.floats(0.001, 8000), st.sampled_from(list(Function)), st.booleans())
def test_any_window_keeps_the_order_of_values(centre: float, width: float, function: Function, inverse: bool) -> None:
    values = np.arange(-3000, 3000, 7, dtype=np.int16)[np.newaxis]
    found = Display(window=Window(centre, width, function), is_inverse=inverse).grey(values)[0].astype(int)
    assert (np.diff(found) * (-1 if inverse else 1) >= 0).all()


@settings(deadline=None)
@given(st.sampled_from(["i1", "u1", "i2", "u2"]), st.integers(0, 1 << 32))
def test_a_table_by_value_gives_what_the_values_do(kind: str, seed: int) -> None:
    info = np.iinfo(kind)
    values = np.random.default_rng(seed).integers(info.min, info.max, (5, 7), endpoint=True).astype(kind)
    display = Display(slope=0.3, intercept=-7, window=Window(info.max / 3, info.max / 2))
    assert (display.grey(values) == display.grey(values.astype(np.float64))).all()


def test_another_window_may_be_asked_for(tmp_path: Path) -> None:
    file = write(grey(WindowCenter="1", WindowWidth="2"), tmp_path / "a.dcm")
    values = picture(bits=12)
    assert (drawn(file, window=Window(2048, 4096, Function.LINEAR_EXACT)) == np.rint(values / 4096 * 255)).all()


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", None), ("MONOCHROME2", "INVERSE")])
def test_the_lowest_value_may_be_white(tmp_path: Path, photometric: str, shape: str | None) -> None:
    upright = drawn(write(grey(WindowCenter="2000", WindowWidth="3000"), tmp_path / "a.dcm"))
    ds = grey(WindowCenter="2000", WindowWidth="3000", PhotometricInterpretation=photometric)
    if shape:
        ds.PresentationLUTShape = shape
    inverse = drawn(write(ds, tmp_path / "b.dcm"))
    assert np.abs(upright.astype(int) + inverse - 255).max() <= 1


def test_without_a_window_most_values_are_told_apart(tmp_path: Path) -> None:
    for values in ({}, {"WindowCenter": "5", "WindowWidth": "0"}, {"WindowCenter": "", "WindowWidth": ""}):
        found = drawn(write(grey(**values), tmp_path / "a.dcm"))
        assert found.min() == 0
        assert found.max() == 255
        assert found.std() > 40


def lut(first: int, entries: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def test_modality_and_voi_tables_are_used(tmp_path: Path) -> None:
    ds = grey()
    ds.ModalityLUTSequence = [lut(100, [n * n // 1000 for n in range(3000)], 16)]
    ds.VOILUTSequence = [lut(50, [min(n, 4095) for n in range(0, 9000, 2)], 12)]
    file = write(ds, tmp_path / "a.dcm")
    read = pydicom.dcmread(file.path)
    expected = apply_voi_lut(apply_modality_lut(read.pixel_array, read), read)
    assert (drawn(file) == np.rint(expected / 4095 * 255)).all()


def test_a_table_that_contradicts_its_descriptor_is_told(tmp_path: Path) -> None:
    ds = grey()
    item = lut(0, [1, 2, 3], 12)
    item.add_new(0x00283002, "US", [300, 0, 12])
    ds.VOILUTSequence = [item]
    with pytest.raises(DamagedInstance, match="lookup table"):
        drawn(write(ds, tmp_path / "a.dcm"))


def test_bits_that_are_not_stored_mean_nothing(tmp_path: Path) -> None:
    values = picture(bits=12)
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    expected = drawn(write(grey(**window), tmp_path / "a.dcm"))
    for high_bit, moved in ((11, values | 0xA000), (13, (values << 2) | 3)):
        ds = grey(**window, HighBit=high_bit)
        ds.PixelData = moved.astype("<u2").tobytes() + bytes(moved.size % 2 * 2)
        assert (drawn(write(ds, tmp_path / "b.dcm")) == expected).all()


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels_are_seen(tmp_path: Path, keyword: str, kind: str) -> None:
    values = np.linspace(-0.25, 0.75, 61 * 47).reshape(61, 47)
    values[0, 0], values[0, 1] = np.nan, np.inf
    ds = grey()
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    setattr(ds, keyword, values.astype(kind).tobytes())
    found = drawn(write(ds, tmp_path / "a.dcm"))
    assert found[1:].min() == 0 or found.min() == 0
    assert found.std() > 60
    assert found[-1, -1] == 255


def test_single_bits_are_black_and_white(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (3, 7, 3)).astype(np.uint8)
    ds = data_set(picture(bits=8, rows=7, columns=3), bits=8)
    ds.NumberOfFrames, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 3, 1, 1, 0
    ds.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    file = write(ds, tmp_path / "a.dcm")
    for index, frame in enumerate(bits):
        assert (drawn(file, index) == frame * 255).all()


def test_each_frame_has_the_window_of_its_functional_group(tmp_path: Path) -> None:
    pixels = picture(bits=12, frames=3)
    ds = data_set(pixels, bits=12, frames=3)
    ds.WindowCenter, ds.WindowWidth = "1", "2"
    del ds.RescaleSlope, ds.RescaleIntercept
    shared, per_frame = Dataset(), []
    transformation = Dataset()
    transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = "2", "-10", "US"
    shared.PixelValueTransformationSequence = [transformation]
    for number in range(3):
        group, voi = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = str(1000 * (number + 1)), "3000"
        group.FrameVOILUTSequence = [voi]
        per_frame.append(group)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], per_frame
    file = write(ds, tmp_path / "a.dcm")
    for number in range(3):
        expected = Display(2, -10, window=Window(1000 * (number + 1), 3000)).grey(pixels[number])
        assert (drawn(file, number) == expected).all()


# --- colour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_plane", [False, True])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_is_seen_in_rgb(tmp_path: Path, photometric: str, by_plane: bool) -> None:
    ds = data_set(picture(samples=3), bits=8, photometric=photometric, by_plane=by_plane)
    file = write(ds, tmp_path / "a.dcm")
    expected = pydicom.pixels.pixel_array(file.path).astype(int)  # in RGB
    assert np.abs(drawn(file).astype(int) - expected).max() <= 1


def test_two_pixels_may_share_their_chrominance(tmp_path: Path) -> None:
    pixels = picture(columns=48, samples=3)
    ds = data_set(pixels, bits=8, photometric="YBR_FULL")
    ds.PhotometricInterpretation = "YBR_FULL_422"
    packed = np.empty((61, 24, 4), np.uint8)
    packed[..., 0], packed[..., 1] = pixels[:, ::2, 0], pixels[:, 1::2, 0]
    packed[..., 2:] = pixels[:, ::2, 1:]
    ds.PixelData = packed.tobytes()
    file = write(ds, tmp_path / "a.dcm")
    expected = pydicom.pixels.pixel_array(file.path).astype(int)
    assert np.abs(drawn(file).astype(int) - expected).max() <= 1


def test_colour_of_sixteen_bits_is_seen_by_its_upper_eight(tmp_path: Path) -> None:
    pixels = picture(bits=12, samples=3)
    ds = data_set(pixels, bits=12, photometric="RGB")
    assert (drawn(write(ds, tmp_path / "a.dcm")) == pixels >> 4).all()


def palette(ds: Dataset, bits: int, first: int = 0, *, segmented: bool = False) -> Dataset:
    ds.PhotometricInterpretation = "PALETTE COLOR"
    top = (1 << bits) - 1
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, first, bits])
        entries = ((np.arange(256) * (number + 1) * 37) % (top + 1)).astype("<u2" if bits > 8 else "u1")
        data = entries.tobytes()
        if segmented:  # discrete, then linear
            data = np.array([0, 128, *entries[:128], 1, 128, top], "<u2").tobytes()
        prefix = "Segmented" if segmented else ""
        setattr(ds, f"{prefix}{name}PaletteColorLookupTableData", data)
        ds[f"{prefix}{name}PaletteColorLookupTableData"].VR = "OW"
    return ds


@pytest.mark.parametrize("segmented", [False, True])
@pytest.mark.parametrize(("bits", "first"), [(16, 0), (16, 40), (8, 0)])
def test_colour_may_come_from_a_palette(tmp_path: Path, bits: int, first: int, segmented: bool) -> None:
    ds = palette(data_set(picture(bits=8), bits=8), 16 if segmented else bits, first, segmented=segmented)
    file = write(ds, tmp_path / "a.dcm")
    read = pydicom.dcmread(file.path)
    expected = apply_color_lut(read.pixel_array, read)
    assert (drawn(file) == (expected >> 8 if expected.dtype == np.uint16 else expected)).all()


# --- what cannot be seen ------------------------------------------------------------------------------------------


def without(keyword: str) -> Callable[[Dataset], None]:
    return lambda ds: delattr(ds, keyword)


def changed(**values: Any) -> Callable[[Dataset], None]:
    return lambda ds: [setattr(ds, *value) for value in values.items()] and None


@pytest.mark.parametrize(
    "damage",
    [
        without("Rows"),
        without("BitsAllocated"),
        changed(Rows=60000),
        changed(Rows=0),
        changed(BitsAllocated=12),
        changed(SamplesPerPixel=2, Rows=1),
        changed(PhotometricInterpretation="PALETTE COLOR"),
        changed(PhotometricInterpretation="YBR_PARTIAL_422"),
    ],
)
def test_what_contradicts_itself_is_told(tmp_path: Path, damage: Callable[[Dataset], None]) -> None:
    ds = data_set(picture(bits=8), bits=8)
    damage(ds)
    file = write(ds, tmp_path / "a.dcm")
    with pytest.raises((TranscodingFailed, DamagedInstance)):
        drawn(file)


def test_a_frame_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LARGEST_FRAME_BYTES", 1000)
    with pytest.raises(TranscodingFailed, match="too large"):
        drawn(write(data_set(picture(bits=8), bits=8), tmp_path / "a.dcm"))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_anywhere_is_told_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    ds = palette(grey(), 16) if data.draw(st.booleans()) else grey(WindowCenter="1", WindowWidth="7")
    content = bytearray(write(ds, folder / "a.dcm").path.read_bytes())
    head = len(content) - len(ds.PixelData)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(132, head - 1))] = data.draw(st.integers(0, 255))
    (folder / "b.dcm").write_bytes(content)
    try:
        found = drawn(file_at(folder / "b.dcm"))
    except DicomFabError:
        return
    assert found.dtype == np.uint8
