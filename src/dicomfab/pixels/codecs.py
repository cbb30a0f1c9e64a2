"""Coded frame to native frame. Each transfer syntax has one decoder; its errors become :class:`TranscodingFailed`.

High-throughput JPEG 2000 goes through OpenJPEG as well: the OpenJPH binding is faster, but returns what it has when
a frame is damaged, without an error.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.codestream import FrameHeader, jpeg2000_codestream, jpeg2000_header, jpeg_header
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.syntaxes import Codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decode(codec: Codec, data: bytes, description: PixelDescription) -> bytes:
    """Decode one frame.

    Args:
        codec: of the transfer syntax.
        data: the frame's fragments, joined.
        description: what the data set says about it.

    Returns:
        The native frame: little endian, colour by pixel, ``description.frame_bytes`` long.

    Raises:
        TranscodingFailed: it cannot be decoded, or is not what the data set says.
    """
    if codec == Codec.RLE:
        return _rle(data, description)
    if codec == Codec.JPEG_2000:
        data = jpeg2000_codestream(data)
        frame = jpeg2000_header(data)
    else:
        frame = jpeg_header(data)
    _check_fit(frame, description)
    pixels = _decoded(codec, data, frame, description)
    shape = (description.rows, description.columns, *([description.samples] if description.samples > 1 else []))
    if pixels.shape != shape:
        raise TranscodingFailed(
            f"the decoder gave {pixels.shape} samples instead of {shape}", cause="the coded frame is damaged"
        )
    return _stored(pixels, frame, description)


def _check_fit(frame: FrameHeader, description: PixelDescription) -> None:
    coded = (frame.rows, frame.columns, frame.components)
    stated = (description.rows, description.columns, description.samples)
    if coded != stated:
        raise _contradiction("rows, columns and samples", coded, stated)
    if frame.precision > description.bits_allocated:
        raise _contradiction("bits of a sample", frame.precision, description.bits_allocated)
    if description.photometric in ("YBR_RCT", "YBR_ICT") and not frame.says_ycc:
        raise _contradiction("colour", "no component transformation", description.photometric)
    if description.high_bit != description.bits_stored - 1:
        raise TranscodingFailed(
            f"HighBit is {description.high_bit} with BitsStored {description.bits_stored}",
            cause="a coded frame does not say where in the allocated bits its samples belong",
        )


def _decoded(codec: Codec, data: bytes, frame: FrameHeader, description: PixelDescription) -> NDArray[Any]:
    import imagecodecs

    try:
        if codec == Codec.JPEG_2000:
            return imagecodecs.jpeg2k_decode(data)
        if codec == Codec.JPEG_LS:
            return imagecodecs.jpegls_decode(data)
        if frame.components == 1:
            return imagecodecs.jpeg8_decode(data)
        transformed = codec == Codec.JPEG and _is_ycc(frame, description.photometric)
        return imagecodecs.jpeg8_decode(data, colorspace="YCBCR" if transformed else "RGB", outcolorspace="RGB")
    except (RuntimeError, ValueError) as error:
        raise TranscodingFailed(
            f"the {codec} decoder refuses the frame ({error})", cause="the coded frame is damaged"
        ) from error


def _is_ycc(frame: FrameHeader, photometric: str) -> bool:
    """Whether the coded colour is YCbCr: PhotometricInterpretation says so, or the frame itself where that says RGB."""
    return not frame.says_rgb and (photometric.startswith("YBR") or frame.says_ycc)


def _stored(pixels: NDArray[Any], frame: FrameHeader, description: PixelDescription) -> bytes:
    """Put samples into the bits allocated, with the sign that PixelRepresentation gives them."""
    import numpy as np

    if not description.signed and frame.signed and pixels.min() < 0:
        raise _contradiction("samples", "signed", "unsigned")
    if description.signed and not frame.signed and frame.precision < description.bits_allocated:
        # The coded frame holds two's complement of its precision; the sign bit has to fill the bits above.
        sign = 1 << (frame.precision - 1)
        pixels = (pixels.astype(np.int32) ^ sign) - sign
    return pixels.astype(f"<i{description.bits_allocated // 8}", copy=False).tobytes()


def _rle(data: bytes, description: PixelDescription) -> bytes:
    """Decode RLE (PS3.5 annex G): one segment for each byte of each sample, the most significant byte first."""
    import imagecodecs
    import numpy as np

    sample_bytes = description.bits_allocated // 8
    count = description.samples * sample_bytes
    if len(data) < 64:
        raise TranscodingFailed("the RLE header is cut short", cause="the coded frame is damaged")
    segments, *offsets = struct.unpack_from("<16I", data)
    if segments != count:
        raise _contradiction("RLE segments", segments, count)
    pixels: NDArray[np.uint8] = np.empty(
        (description.rows * description.columns, description.samples, sample_bytes), np.uint8
    )
    ends = [*offsets[1:count], len(data)]
    for number, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not 64 <= start <= end <= len(data):
            raise TranscodingFailed("an RLE segment lies outside of its frame", cause="the coded frame is damaged")
        try:
            segment = imagecodecs.packbits_decode(data[start:end])
        except RuntimeError as error:
            raise TranscodingFailed(f"an RLE segment cannot be decoded ({error})", cause="it is damaged") from error
        if len(segment) < len(pixels) or any(segment[len(pixels) :]):
            raise _contradiction("bytes of an RLE segment", len(segment), len(pixels))
        sample, byte = divmod(number, sample_bytes)
        pixels[:, sample, sample_bytes - 1 - byte] = np.frombuffer(segment, np.uint8, len(pixels))
    return pixels.tobytes()


def _contradiction(what: str, coded: object, stated: object) -> TranscodingFailed:
    return TranscodingFailed(
        f"{what}: {coded} in the coded frame, {stated} in the data set",
        cause="pixel data and data set contradict each other",
    )
