"""What is encoded comes back: with our decoders for every frame, with pydicom's where it has one of its own."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import openjpeg
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydicom.encaps import encapsulate

from dicomfab.model.errors import InvalidInput, TranscodingFailed
from dicomfab.pixels.codecs import decode
from dicomfab.pixels.codestream import jpeg2000_header, jpeg_header
from dicomfab.pixels.description import PixelDescription, encoded_photometric
from dicomfab.pixels.encoders import by_pixel, encode
from dicomfab.pixels.syntaxes import ENCAPSULATED
from dicomfab.pixels.writable import WRITABLE, refusal, writable
from tests.unit.pixels.instances import data_set, picture

SYNTAXES = [one for one in WRITABLE.values() if one.encapsulated]
LOSSLESS = [one.name for one in SYNTAXES if not one.lossy]
PICTURES: dict[str, tuple[dict[str, Any], int, str]] = {
    "8": ({"bits": 8}, 8, "MONOCHROME2"),
    "8 signed": ({"bits": 8, "signed": True}, 8, "MONOCHROME2"),
    "8 in 16": ({"bits": 8}, 16, "MONOCHROME1"),
    "10": ({"bits": 10}, 16, "MONOCHROME2"),
    "12": ({"bits": 12}, 16, "MONOCHROME2"),
    "12 signed": ({"bits": 12, "signed": True}, 16, "MONOCHROME2"),
    "16": ({"bits": 16}, 16, "MONOCHROME2"),
    "16 signed": ({"bits": 16, "signed": True}, 16, "MONOCHROME2"),
    "RGB": ({"bits": 8, "samples": 3}, 8, "RGB"),
    "YBR_FULL": ({"bits": 8, "samples": 3}, 8, "YBR_FULL"),
    "RGB 12": ({"bits": 12, "samples": 3}, 16, "RGB"),
    "RGB 16": ({"bits": 16, "samples": 3}, 16, "RGB"),
    "palette": ({"bits": 8}, 8, "PALETTE COLOR"),
}
SIZES = [(61, 47), (1, 1), (1, 9), (9, 1), (3, 3), (64, 64), (2, 301)]


def describe(pixels: NDArray[Any], bits: int, photometric: str = "MONOCHROME2") -> PixelDescription:
    rows, columns, *samples = pixels.shape
    return PixelDescription(
        frames=1,
        rows=rows,
        columns=columns,
        samples=samples[0] if samples else 1,
        bits_allocated=pixels.dtype.itemsize * 8,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=pixels.dtype.kind == "i",
        photometric=photometric,
    )


def made(name: str, rows: int = 61, columns: int = 47) -> tuple[NDArray[Any], PixelDescription]:
    wanted, allocated, photometric = PICTURES[name]
    pixels = picture(rows, columns, **wanted)
    pixels = pixels.astype(f"{pixels.dtype.kind}{allocated // 8}")
    return pixels, describe(pixels, wanted["bits"], photometric)


def round_trip(uid: str, pixels: NDArray[Any], description: PixelDescription, **how: Any) -> NDArray[Any]:
    coded = encode(uid, pixels.tobytes(), description, **how)
    assert len(coded) % 2 == 0
    after = replace(description, photometric=encoded_photometric(uid, description.photometric))
    return np.frombuffer(decode(ENCAPSULATED[uid], coded, after), pixels.dtype).reshape(pixels.shape)


def possible(names: list[str]) -> list[Any]:
    return [
        pytest.param(writable(name).uid, what, id=f"{name}-{what}")
        for name in names
        for what in PICTURES
        if refusal(writable(name).uid, made(what)[1], "") is None
    ]


@pytest.mark.parametrize(("uid", "what"), possible(LOSSLESS))
def test_lossless_is(uid: str, what: str) -> None:
    for rows, columns in SIZES:
        pixels, description = made(what, rows, columns)
        np.testing.assert_array_equal(round_trip(uid, pixels, description), pixels)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LOSSLESS), st.integers(1, 16), st.booleans(), st.booleans(), st.booleans(), st.data())
def test_lossless_is_for_any_samples(
    name: str, bits: int, wide: bool, signed: bool, colour: bool, data: st.DataObject
) -> None:
    words = wide or bits > 8
    dtype = f"{'i' if signed else 'u'}{2 if words else 1}"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    sides = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    shape = (*sides, 3) if colour else sides
    pixels = data.draw(arrays.arrays(dtype, shape, elements=st.integers(low, high)))
    description = describe(pixels, bits, "RGB" if colour else "MONOCHROME2")
    uid = writable(name).uid
    if refusal(uid, description, "") is None:
        np.testing.assert_array_equal(round_trip(uid, pixels, description), pixels)
    else:
        assert bits == 1
        assert name == "jpeg-ls"


OTHERS = ["8", "12", "12 signed", "16", "16 signed", "RGB", "RGB 16", "YBR_FULL", "palette"]


@pytest.mark.parametrize("what", OTHERS)
def test_pydicom_decodes_rle_to_the_same(what: str) -> None:
    pixels, description = made(what)
    ds = data_set(pixels, bits=description.bits_stored, photometric="RGB" if pixels.ndim == 3 else "MONOCHROME2")
    ds.PixelData = encapsulate([encode(writable("rle").uid, pixels.tobytes(), description)])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = writable("rle").uid
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    file.seek(0)
    got = pydicom.pixels.pixel_array(pydicom.dcmread(file), raw=True, decoding_plugin="pydicom")
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["j2k", "htj2k"])
def test_openjpeg_decodes_jpeg_2000_to_the_same(name: str, what: str) -> None:
    pixels, description = made(what)
    got = openjpeg.decode(encode(writable(name).uid, pixels.tobytes(), description))
    np.testing.assert_array_equal(got, pixels)


def peak(pixels: NDArray[Any]) -> int:
    return int(np.abs(pixels.astype(np.int64)).max())


@pytest.mark.parametrize("what", ["8", "8 in 16", "10", "12", "16", "RGB", "RGB 12", "YBR_FULL"])
@pytest.mark.parametrize("near", [1, 2, 3, 7, 127])
def test_near_lossless_keeps_its_promise(what: str, near: int) -> None:
    for rows, columns in SIZES:
        pixels, description = made(what, rows, columns)
        got = round_trip(writable("jpeg-ls-near").uid, pixels, description, quality=near)
        assert peak(got.astype(np.int64) - pixels) <= near
        assert got.max() < 1 << description.bits_stored


@pytest.mark.parametrize(
    ("name", "what", "quality", "bound"),
    [
        ("jpeg", "8", 95, 8), ("jpeg", "8", None, 14), ("jpeg", "RGB", None, 40),
        ("jpeg-extended", "12", None, 16), ("jpeg-extended", "12", 50, 400),
        ("j2k-lossy", "8", 50, 6), ("j2k-lossy", "8 in 16", 50, 6), ("j2k-lossy", "12", None, 20),
        ("j2k-lossy", "12 signed", None, 20), ("j2k-lossy", "16 signed", 70, 120), ("j2k-lossy", "RGB", None, 6),
        ("j2k-lossy", "YBR_FULL", None, 6),
    ],
)  # fmt: skip
def test_loss_is_bounded(name: str, what: str, quality: int | None, bound: int) -> None:
    pixels, description = made(what)
    got = round_trip(writable(name).uid, pixels, description, quality=quality)
    assert 0 < peak(got.astype(np.int64) - pixels) <= bound


def test_baseline_keeps_colour_that_is_already_ycc() -> None:
    pixels, description = made("YBR_FULL")
    smooth = np.ascontiguousarray(np.broadcast_to(np.array([120, 90, 200], np.uint8), pixels.shape))
    got = round_trip(writable("jpeg").uid, smooth, description)
    red, green, blue = (int(value) for value in got[30, 20])
    assert (red, green, blue) == pytest.approx((221, 82, 53), abs=3)  # BT.601, as the decoder gives RGB


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name in ("jpeg", "jpeg-extended", "j2k-lossy", "jpeg-ls-near")
                       for what in ("8", "12") if (name, what) not in {("jpeg", "12"), ("jpeg-extended", "8")}]
)  # fmt: skip
def test_quality_goes_the_way_it_says(name: str, what: str) -> None:
    pixels, description = made(what, 200, 200)
    scale = writable(name).quality
    assert scale is not None
    sizes = [
        len(encode(writable(name).uid, pixels.tobytes(), description, quality))
        for quality in (scale.low, scale.default, scale.high)
    ]
    assert sizes == sorted(sizes, reverse=name == "jpeg-ls-near")
    assert sizes[0] != sizes[2]


def frame_marker(coded: bytes) -> int:
    position = 2
    while not 0xC0 <= coded[position + 1] <= 0xCF or coded[position + 1] == 0xC4:
        position += 2 + struct.unpack_from(">H", coded, position + 2)[0]
    return coded[position + 1]


def test_the_process_is_the_one_of_the_transfer_syntax() -> None:
    for quality in (1, 20, 100):  # low qualities have large quantizers, which baseline cannot have in 16 bits
        for what in ("8", "RGB"):
            pixels, description = made(what)
            coded = encode(writable("jpeg").uid, pixels.tobytes(), description, quality)
            assert frame_marker(coded) == 0xC0
        pixels, description = made("12")
        assert frame_marker(encode(writable("jpeg-extended").uid, pixels.tobytes(), description, quality)) == 0xC1
    for what in PICTURES:
        pixels, description = made(what)
        coded = encode(writable("jpeg-lossless").uid, pixels.tobytes(), description)
        assert frame_marker(coded) == 0xC3
        scan = coded.index(b"\xff\xda")
        components = coded[scan + 4]
        assert coded[scan + 5 + 2 * components] == 1  # the predictor, called selection value


@pytest.mark.parametrize("what", list(PICTURES))
def test_jpeg_2000_frames_say_what_is_stored(what: str) -> None:
    pixels, description = made(what)
    for name in ("j2k", "htj2k"):
        frame = jpeg2000_header(encode(writable(name).uid, pixels.tobytes(), description))
        assert (frame.precision, frame.signed) == (description.bits_stored, description.signed)
        assert frame.says_ycc == (description.photometric == "RGB")


def test_unsigned_words_of_jpeg_lossless_say_what_is_stored() -> None:
    for what, precision in {"12": 12, "10": 10, "16": 16, "12 signed": 16, "8": 8, "8 in 16": 16}.items():
        pixels, description = made(what)
        frame = jpeg_header(encode(writable("jpeg-lossless").uid, pixels.tobytes(), description))
        assert frame.precision == precision, what


def test_rle_codes_each_row_by_itself() -> None:
    pixels = np.zeros((3, 200), np.uint8)
    coded = encode(writable("rle").uid, pixels.tobytes(), describe(pixels, 8))
    assert coded[:8] == struct.pack("<2I", 1, 64)
    assert coded[64:] == b"\x81\0\xb9\0" * 3  # runs of 128 and of 72, three times


def test_rle_segments_begin_at_even_offsets() -> None:
    pixels = np.arange(15, dtype="<u2").reshape(3, 5)
    coded = encode(writable("rle").uid, pixels.tobytes(), describe(pixels, 16))
    count, *offsets = struct.unpack_from("<16I", coded)
    assert count == 2
    assert offsets[0] == 64
    assert all(offset % 2 == 0 for offset in offsets)


def test_rle_holds_words_of_32_bits() -> None:
    pixels = np.random.default_rng(1).integers(0, 1 << 32, (9, 7), np.uint32)
    got = round_trip(writable("rle").uid, pixels, describe(pixels, 32))
    np.testing.assert_array_equal(got, pixels)


def test_colour_by_plane_becomes_colour_by_pixel() -> None:
    for what in ("RGB", "RGB 16"):
        pixels, description = made(what)
        planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        assert by_pixel(planes.tobytes(), description) == pixels.tobytes()


@pytest.mark.parametrize("name", [one.name for one in SYNTAXES])
@pytest.mark.parametrize("change", [-1, 1, -47])
def test_a_frame_of_another_size_is_refused(name: str, change: int) -> None:
    pixels, description = made("12" if name == "jpeg-extended" else "8")
    frame = pixels.tobytes()
    frame = frame[:change] if change < 0 else frame + b"\0"
    with pytest.raises(TranscodingFailed, match="bytes instead of"):
        encode(writable(name).uid, frame, description)


@pytest.mark.parametrize("name", [one.name for one in SYNTAXES])
def test_samples_beyond_bits_stored_are_refused(name: str) -> None:
    pixels, description = made("12")
    pixels[5, 5] = 4096
    if refusal(writable(name).uid, description, "") is None:
        with pytest.raises(TranscodingFailed, match="BitsStored 12"):
            encode(writable(name).uid, pixels.tobytes(), description)


@pytest.mark.parametrize("value", [2048, -2049])
def test_a_sign_that_does_not_fill_its_bits_is_refused(value: int) -> None:
    pixels, description = made("12 signed")
    pixels[5, 5] = value
    with pytest.raises(TranscodingFailed, match="BitsStored 12"):
        encode(writable("j2k").uid, pixels.tobytes(), description)


@pytest.mark.parametrize(("name", "quality"), [("jpeg", 0), ("jpeg", 101), ("jpeg-ls-near", 0), ("j2k-lossy", 19)])
def test_a_quality_off_the_scale_is_refused(name: str, quality: int) -> None:
    pixels, description = made("8")
    with pytest.raises(InvalidInput) as refused:
        encode(writable(name).uid, pixels.tobytes(), description, quality)
    assert refused.value.field == "quality"
