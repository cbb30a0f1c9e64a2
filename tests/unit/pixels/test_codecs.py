"""Every codec against its own encoder, and JPEG 2000 against a second decoder."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openjpeg.utils
import pydicom
import pytest
from numpy.typing import NDArray

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, targets_for
from dicomfab.pixels.transcode import transcode
from tests.unit.pixels.instances import data_set, encapsulated, picture, pixels_of

RLE, BASELINE, EXTENDED, LOSSLESS, JPEG_LS, NEAR = (
    f"1.2.840.10008.1.2.{last}" for last in ("5", "4.50", "4.51", "4.70", "4.80", "4.81")
)
J2K, J2K_LOSSY, HT, HT_RPCL, HT_LOSSY = (f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 201, 202, 203))

GREY = {"8": {"bits": 8}, "12": {"bits": 12}, "16": {"bits": 16}, "s12": {"bits": 12, "signed": True}}
COLOUR = {"rgb": {"bits": 8, "samples": 3}}


def j2k(pixels: NDArray[Any], *, lossless: bool = True, mct: bool = True) -> bytes:
    colour = pixels.ndim == 3
    quality = {} if lossless else {"compression_ratios": [12.0]}
    return bytes(
        openjpeg.utils.encode_array(pixels, photometric_interpretation=int(colour), use_mct=colour and mct, **quality)
    )


def ht(pixels: NDArray[Any], *, lossless: bool = True) -> bytes:
    coded = bytes(imagecodecs.htj2k_encode(pixels, None if lossless else 8, reversible=lossless))
    assert coded[coded.index(b"\xff\x52") + 5] == 2  # RPCL, so it is good for every syntax of the three
    return coded


def rle(pixels: NDArray[Any]) -> bytes:
    planes = pixels.reshape(-1, 3) if pixels.ndim == 3 else pixels.reshape(-1, 1)
    big = planes.astype(planes.dtype.newbyteorder(">"))
    parts = [
        bytes(imagecodecs.packbits_encode(big[:, s].copy().view(np.uint8)[byte :: big.itemsize].tobytes()))
        for s in range(planes.shape[1])
        for byte in range(big.itemsize)
    ]
    parts = [part + bytes(len(part) % 2) for part in parts]
    offsets = [64 + sum(map(len, parts[:number])) for number in range(len(parts))]
    return struct.pack("<16I", len(parts), *offsets, *[0] * (15 - len(parts))) + b"".join(parts)


LOSSLESS_CODERS = {
    J2K: j2k,
    HT: ht,
    HT_RPCL: ht,
    RLE: rle,
    LOSSLESS: lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1)),
    JPEG_LS: lambda pixels: bytes(imagecodecs.jpegls_encode(pixels)),
}


def coded_instance(
    folder: Path, pixels: NDArray[Any], syntax: str, frames: list[bytes], *, bits: int, coded_as: str = "", **more: Any
):
    colour = pixels.shape[-1] == 3
    ds = data_set(pixels, bits=bits, photometric="RGB" if colour else "MONOCHROME2", frames=len(frames))
    changes = {"PhotometricInterpretation": coded_as} if coded_as else {}
    return encapsulated(ds, frames, folder / "coded.dcm", syntax, **changes, **more)


@pytest.mark.parametrize("kind", [*GREY, *COLOUR])
@pytest.mark.parametrize("syntax", LOSSLESS_CODERS)
def test_lossless_pixels_come_back_in_every_target(tmp_path, syntax, kind):
    wanted = (GREY | COLOUR)[kind]
    pixels = picture(**wanted)
    if kind == "s12" and syntax == JPEG_LS:  # JPEG and JPEG-LS have no sign
        frame = LOSSLESS_CODERS[syntax](pixels.view(np.uint16))
    elif kind == "s12" and syntax == LOSSLESS:
        unsigned = pixels.view(np.uint16) & 0xFFF
        frame = bytes(imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=1, bitspersample=12))
    else:
        frame = LOSSLESS_CODERS[syntax](pixels)
    transformed = "YBR_RCT" if syntax in (J2K, HT, HT_RPCL) else "RGB"
    coded_as = transformed if kind == "rgb" else "MONOCHROME2"
    source = coded_instance(tmp_path, pixels, syntax, [frame], bits=wanted["bits"], coded_as=coded_as)
    for target in targets_for(syntax):
        result = transcode(source, target, tmp_path)
        np.testing.assert_array_equal(pixels_of(result), pixels)
        assert pydicom.dcmread(result.path).PhotometricInterpretation == ("RGB" if kind == "rgb" else "MONOCHROME2")


LOSSY = {
    J2K_LOSSY: (lambda pixels: j2k(pixels, lossless=False), openjpeg.utils.decode, ["8", "12", "s12", "rgb"]),
    HT_LOSSY: (lambda pixels: ht(pixels, lossless=False), openjpeg.utils.decode, ["8", "12", "s12", "rgb"]),
    NEAR: (lambda pixels: bytes(imagecodecs.jpegls_encode(pixels, 3)), imagecodecs.jpegls_decode, ["8", "12", "rgb"]),
    BASELINE: (lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, 90)), imagecodecs.jpeg8_decode, ["8", "rgb"]),
    EXTENDED: (
        lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, 90, bitspersample=12)),
        imagecodecs.jpeg8_decode,
        ["12"],
    ),
}
LOSSY_CASES = [(syntax, kind) for syntax, (_, _, kinds) in LOSSY.items() for kind in kinds]


@pytest.mark.parametrize(("syntax", "kind"), LOSSY_CASES)
def test_lossy_pixels_are_those_of_the_decoder_and_the_loss_stays_on_record(tmp_path, syntax, kind):
    wanted = (GREY | COLOUR)[kind]
    pixels = picture(**wanted)
    encode, decode, _ = LOSSY[syntax]
    coded = encode(pixels)
    coded_as = {J2K_LOSSY: "YBR_ICT", HT_LOSSY: "YBR_ICT", NEAR: "RGB", BASELINE: "YBR_FULL_422"}.get(syntax, "")
    lost = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 7.25,
        "LossyImageCompressionMethod": "ISO_15444_1",
    }
    source = coded_instance(
        tmp_path, pixels, syntax, [coded], bits=wanted["bits"], coded_as=coded_as if kind == "rgb" else "", **lost
    )
    result = transcode(source, EXPLICIT_LITTLE, tmp_path)
    np.testing.assert_array_equal(pixels_of(result), decode(coded))
    assert not np.array_equal(decode(coded), pixels)
    after = pydicom.dcmread(result.path)
    assert {keyword: after[keyword].value for keyword in lost} == lost


@pytest.mark.parametrize("syntax", [J2K, HT])
@pytest.mark.parametrize("count", [1, 4])
def test_frames_of_odd_size_are_written_without_gaps(tmp_path, syntax, count):
    pixels = picture(65, 63, bits=8, frames=count)
    frames = [LOSSLESS_CODERS[syntax](frame) for frame in pixels.reshape(count, 65, 63)]
    result = transcode(coded_instance(tmp_path, pixels, syntax, frames, bits=8), EXPLICIT_LITTLE, tmp_path)
    np.testing.assert_array_equal(pixels_of(result), pixels)
    assert len(pydicom.dcmread(result.path).PixelData) == count * 65 * 63 + count % 2


def test_rle_of_16_bit_colour_and_of_luminance_keeps_its_colour_space(tmp_path):
    pixels = picture(bits=16, samples=3)
    source = coded_instance(tmp_path, pixels, RLE, [rle(pixels)], bits=16, coded_as="YBR_FULL", PlanarConfiguration=1)
    result = transcode(source, EXPLICIT_LITTLE, tmp_path)
    after = pydicom.dcmread(result.path)
    assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("YBR_FULL", 0)
    np.testing.assert_array_equal(pixels_of(result), pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "PALETTE COLOR"])
def test_one_sample_keeps_its_photometric_interpretation(tmp_path, photometric):
    pixels = picture(bits=8)
    source = coded_instance(tmp_path, pixels, J2K, [j2k(pixels)], bits=8, coded_as=photometric)
    result = transcode(source, EXPLICIT_LITTLE, tmp_path)
    assert pydicom.dcmread(result.path).PhotometricInterpretation == photometric
    assert "PlanarConfiguration" not in pydicom.dcmread(result.path)


def test_jpeg_2000_in_a_jp2_file_is_found_in_it(tmp_path):
    pixels = picture(bits=8)
    coded = bytes(openjpeg.utils.encode_array(pixels, photometric_interpretation=2, codec_format=1))
    assert coded[4:8] == b"jP  "
    result = transcode(coded_instance(tmp_path, pixels, J2K, [coded], bits=8), EXPLICIT_LITTLE, tmp_path)
    np.testing.assert_array_equal(pixels_of(result), pixels)


def test_unsigned_jpeg_2000_of_signed_pixels_holds_their_two_s_complement(tmp_path):
    pixels = picture(bits=12, signed=True)
    coded = bytes(
        openjpeg.utils.encode_array(pixels.astype(np.uint16) & 0xFFF, bits_stored=12, photometric_interpretation=2)
    )
    result = transcode(coded_instance(tmp_path, pixels, J2K, [coded], bits=12), EXPLICIT_LITTLE, tmp_path)
    np.testing.assert_array_equal(pixels_of(result), pixels)


def jpeg_markers(coded: bytes, *, without: bytes = b"", adobe: int | None = None, ids: bytes = b"") -> bytes:
    """Rewrite the markers of a baseline frame: drop APP0, add APP14, rename the components."""
    assert coded[2:4] == b"\xff\xe0"
    app0 = coded[2 : 4 + int.from_bytes(coded[4:6], "big")]
    rest = coded[2 + len(app0) :]
    kept = b"" if without == b"APP0" else app0
    added = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe]) if adobe is not None else b""
    if ids:
        frame, scan = bytearray(rest), rest.index(b"\xff\xda")
        start = rest.index(b"\xff\xc0") + 10
        frame[start : start + 9 : 3] = ids
        frame[scan + 5 : scan + 11 : 2] = ids
        rest = bytes(frame)
    return coded[:2] + kept + added + rest


NO_JFIF = {"without": b"APP0"}
COLOUR_RULES = [
    # what the frame holds, its markers, what the data set says
    ("YCBCR", {}, "YBR_FULL_422"),
    ("YCBCR", {}, "RGB"),  # JFIF is always YCbCr
    ("YCBCR", NO_JFIF, "YBR_FULL_422"),
    ("YCBCR", NO_JFIF, "YBR_FULL"),
    ("YCBCR", {**NO_JFIF, "adobe": 1}, "RGB"),
    ("RGB", NO_JFIF, "RGB"),
    ("RGB", {**NO_JFIF, "adobe": 0}, "RGB"),
    ("RGB", {**NO_JFIF, "ids": b"RGB"}, "YBR_FULL"),
]


@pytest.mark.parametrize(("held", "markers", "stated"), COLOUR_RULES)
def test_colour_of_a_jpeg_frame_is_what_it_says_or_else_what_the_data_set_says(tmp_path, held, markers, stated):
    pixels = picture(64, 48, bits=8, samples=3)
    jfif = bytes(imagecodecs.jpeg8_encode(pixels, 95, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"))
    if held == "RGB":  # the same frame of samples that were no YCbCr
        jfif = bytes(imagecodecs.jpeg8_encode(pixels, 95, colorspace="YCBCR", outcolorspace="YCBCR", subsampling="444"))
    coded = jpeg_markers(jfif, **markers)
    result = transcode(
        coded_instance(tmp_path, pixels, BASELINE, [coded], bits=8, coded_as=stated), EXPLICIT_LITTLE, tmp_path
    )
    assert pydicom.dcmread(result.path).PhotometricInterpretation == "RGB"
    assert np.abs(pixels_of(result).astype(int) - pixels).mean() < 6


def without_transformation(pixels: NDArray[Any]) -> bytes:
    return j2k(pixels, mct=False)


CONTRADICTIONS: list[tuple[str, Any, dict[str, Any], str]] = [
    (J2K, j2k, {"Rows": 60}, "rows, columns and samples"),
    (LOSSLESS, LOSSLESS_CODERS[LOSSLESS], {"Columns": 48}, "rows, columns and samples"),
    (JPEG_LS, LOSSLESS_CODERS[JPEG_LS], {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "bits of a sample"),
    (J2K, j2k, {"HighBit": 15}, "HighBit is 15 with BitsStored 12"),
    (J2K, lambda p: j2k(p.astype(np.int16) - 2048), {}, "signed in the coded frame, unsigned"),
    (RLE, rle, {"BitsAllocated": 32}, "RLE segments"),
    (RLE, rle, {"Rows": 62}, "bytes of an RLE segment"),
    (RLE, rle, {"Rows": 60}, "bytes of an RLE segment"),
    (RLE, lambda p: rle(p)[:60], {}, "RLE header is cut short"),
    (RLE, lambda p: rle(p)[:80], {}, "RLE segment lies outside"),
    (RLE, lambda p: rle(p)[:-40], {}, "RLE segment cannot be decoded"),
    (J2K, lambda p: j2k(p)[:-400], {}, "decoder refuses"),
    (HT, lambda p: ht(p)[:-400], {}, "decoder refuses"),
    (J2K, lambda p: j2k(p)[:43], {}, "ends within its headers"),
    (J2K, lambda p: j2k(p)[:50], {}, "ends within its headers"),
    (J2K, lambda p: j2k(p)[8:], {}, "does not begin with SOC"),
    (J2K, lambda p: b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\2ftyp", {}, "JP2 box"),
    (JPEG_LS, lambda p: LOSSLESS_CODERS[JPEG_LS](p)[:-400], {}, "has no end"),
    (JPEG_LS, lambda p: LOSSLESS_CODERS[JPEG_LS](p)[:-400] + b"\xff\xd9", {}, "decoder refuses"),
    (LOSSLESS, lambda p: LOSSLESS_CODERS[LOSSLESS](p)[:-400], {}, "has no end"),
    (LOSSLESS, lambda p: LOSSLESS_CODERS[LOSSLESS](p)[:9], {}, "ends within its headers"),
    (LOSSLESS, lambda p: LOSSLESS_CODERS[LOSSLESS](p)[2:], {}, "does not begin with SOI"),
    (LOSSLESS, lambda p: b"\xff\xd8\xff\xda\0\4\0\0", {}, "has no frame header"),
    (LOSSLESS, lambda p: b"\xff\xd8\0\0\0\0", {}, "has no marker"),
    (J2K, j2k, {"BitsAllocated": 12}, "BitsAllocated 12"),
    (J2K, j2k, {"NumberOfFrames": 0}, "NumberOfFrames '0'"),
    (J2K, j2k, {"Rows": None}, "no Rows"),
    (J2K, j2k, {"Rows": 0}, "0 rows of 47 columns"),
    (J2K, j2k, {"NumberOfFrames": 2}, "1 fragments do not make 2 frames"),
]


@pytest.mark.parametrize(
    ("syntax", "encode", "changes", "said"), CONTRADICTIONS, ids=[f"{c[0][18:]}-{c[3]}" for c in CONTRADICTIONS]
)
def test_what_contradicts_itself_is_refused_with_a_reason(tmp_path, syntax, encode, changes, said):
    pixels = picture(bits=12)
    source = coded_instance(tmp_path, pixels, syntax, [encode(pixels)], bits=12, **changes)
    with pytest.raises(TranscodingFailed, match=said) as caught:
        transcode(source, EXPLICIT_LITTLE, tmp_path)
    assert caught.value.cause
    assert source.path.name in caught.value.remedy
    assert list(tmp_path.iterdir()) == [source.path]


@pytest.mark.parametrize(
    ("syntax", "encode", "stated"),
    [
        (J2K, without_transformation, "YBR_RCT"),
        (JPEG_LS, LOSSLESS_CODERS[JPEG_LS], "YBR_RCT"),
        (RLE, rle, "YBR_PARTIAL_422"),
    ],
)
def test_colour_spaces_that_nothing_tells_how_to_undo_are_refused(tmp_path, syntax, encode, stated):
    pixels = picture(bits=8, samples=3)
    source = coded_instance(tmp_path, pixels, syntax, [encode(pixels)], bits=8, coded_as=stated)
    with pytest.raises(TranscodingFailed, match=stated):
        transcode(source, EXPLICIT_LITTLE, tmp_path)


def test_subsampled_chrominance_is_full_once_it_is_decoded(tmp_path):
    pixels = picture(bits=8, samples=3)
    frames = [without_transformation(pixels)]
    source = coded_instance(tmp_path, pixels, J2K, frames, bits=8, coded_as="YBR_FULL_422")
    result = transcode(source, EXPLICIT_LITTLE, tmp_path)
    assert pydicom.dcmread(result.path).PhotometricInterpretation == "YBR_FULL"
    np.testing.assert_array_equal(pixels_of(result), pixels)
