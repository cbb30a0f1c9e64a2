"""Native frame to coded frame: one encoder for each transfer syntax that is written with encapsulated pixel data."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.model.study import Buffer
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.writable import WRITABLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RLE_SEGMENTS: Final = 15


def encode(transfer_syntax_uid: str, frame: Buffer, description: PixelDescription, quality: int | None = None) -> bytes:
    """Encode one frame. Safe to call from several threads at once; codecs release the GIL.

    Args:
        transfer_syntax_uid: an encapsulated one of :data:`.writable.WRITABLE` that
            :func:`.writable.refusal` has nothing against.
        frame: native, little endian, colour by pixel, ``description.frame_bytes`` long.
        description: of the native frame.
        quality: of a lossy transfer syntax, on its scale; its default if None.

    Returns:
        The content of one fragment, of even length.

    Raises:
        InvalidInput: the quality is not on the scale.
        TranscodingFailed: the frame is not what the description says, or the encoder failed.
    """
    scale = WRITABLE[transfer_syntax_uid].quality
    chosen = scale.checked(quality) if scale else 0
    samples = _samples(frame, description)
    try:
        coded = _ENCODERS[transfer_syntax_uid](samples, description, chosen)
    except (RuntimeError, ValueError) as error:
        raise TranscodingFailed(
            f"the encoder of transfer syntax {transfer_syntax_uid} refuses the frame ({error})",
            cause="these pixels are beyond what the codec can do",
        ) from error
    return _even(coded)


def by_pixel(frame: Buffer, description: PixelDescription) -> bytes:
    """A native colour frame by plane (PlanarConfiguration 1) to one by pixel."""
    import numpy as np

    planes = np.frombuffer(frame, f"u{description.bits_allocated // 8}")
    return np.ascontiguousarray(planes.reshape(description.samples, -1).T).tobytes()


def _samples(frame: Buffer, description: PixelDescription) -> NDArray[Any]:
    """The frame as rows, columns[, samples], checked."""
    import numpy as np

    size = memoryview(frame).nbytes
    if size != description.frame_bytes:
        raise TranscodingFailed(
            f"a native frame has {size} bytes instead of {description.frame_bytes}",
            cause="pixel data and data set contradict each other",
        )
    kind = "i" if description.signed else "u"
    samples = np.frombuffer(frame, f"<{kind}{description.bits_allocated // 8}")
    if description.bits_stored < description.bits_allocated:
        _check_range(samples, description)
    shape = (description.rows, description.columns, *([description.samples] if description.samples > 1 else []))
    return samples.reshape(shape)


def _check_range(samples: NDArray[Any], description: PixelDescription) -> None:
    bits = description.bits_stored - description.signed
    low = -(1 << bits) if description.signed else 0
    if samples.max() >= 1 << bits or samples.min() < low:
        raise TranscodingFailed(
            f"there are samples from {samples.min()} to {samples.max()} with BitsStored {description.bits_stored}",
            cause="bits that are not stored are in use, or the sign bit does not fill them",
        )


def _rle(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """RLE (PS3.5 annex G): a segment for each byte of each sample, the most significant first, coded row by row."""
    import imagecodecs
    import numpy as np

    sample_bytes = description.bits_allocated // 8
    planes = samples.view(np.uint8).reshape(description.rows, description.columns, description.samples, sample_bytes)
    planes = np.ascontiguousarray(planes[..., ::-1].transpose(2, 3, 0, 1)).reshape(-1, *samples.shape[:2])
    segments = [_even(bytes(imagecodecs.packbits_encode(plane, axis=-1))) for plane in planes]
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack(f"<{1 + _RLE_SEGMENTS}I", len(segments), *offsets, *[0] * (_RLE_SEGMENTS - len(offsets)))
    return b"".join((header, *segments))


def _even(data: bytes) -> bytes:
    return data + b"\0" if len(data) % 2 else data


def _jpeg(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG baseline and extended (ISO/IEC 10918-1, processes 1 and 4)."""
    import imagecodecs

    bits = description.bits_stored
    if description.samples == 1:
        return bytes(imagecodecs.jpeg8_encode(samples, level=quality, bitspersample=bits))
    colour = "RGB" if description.photometric == "RGB" else "YCBCR"
    return bytes(
        imagecodecs.jpeg8_encode(
            samples, level=quality, colorspace=colour, outcolorspace="YCBCR", subsampling="422", bitspersample=bits
        )
    )


def _jpeg_lossless(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG lossless, process 14 with predictor 1.

    Signed samples go in with all their allocated bits: the codestream cannot tell a decoder to fill in the sign.
    """
    import imagecodecs

    words = description.bits_allocated == 16
    whole = description.signed or description.bits_stored <= 8
    precision = (description.bits_allocated if whole else description.bits_stored) if words else 8
    unsigned = _unsigned(samples)
    colour = None if description.samples == 1 else "RGB"  # three components as they are, whatever they stand for
    return bytes(
        imagecodecs.jpeg8_encode(
            unsigned,
            lossless=True,
            predictor=1,
            bitspersample=precision,
            colorspace=colour,
            outcolorspace=colour,
        )
    )


def _jpeg_ls(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG-LS lossless (ISO/IEC 14495-1); signed samples as their two's complement (PS3.5 8.2.3)."""
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(_unsigned(samples)))


def _jpeg_ls_near(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG-LS near-lossless: no sample differs by more than ``quality``.

    The encoder writes the precision of the allocated bits, so a decoder would not clip to the stored ones. Where a
    sample could pass them, half of the difference is spent on keeping away from the end, the other half on coding.
    """
    import imagecodecs
    import numpy as np

    highest = (1 << description.bits_stored) - 1
    if description.bits_stored < description.bits_allocated and int(samples.max()) + quality > highest:
        quality //= 2
        samples = np.minimum(samples, highest - quality)
    return bytes(imagecodecs.jpegls_encode(samples, level=quality))


def _jpeg_2000(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG 2000 (ISO/IEC 15444-1), reversible."""
    return _openjpeg(samples, description, reversible=True, level=0)


def _jpeg_2000_lossy(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """JPEG 2000, irreversible, with noise that is small against the values that the frame has.

    The encoder relates noise to all values that the bits can hold; counts of a few hundred in 16 bits would drown.
    """
    import numpy as np

    used = max(float(np.ptp(samples)), 1.0)
    unused_db = 20 * math.log10(max(((1 << description.bits_stored) - 1) / used, 1.0))
    return _openjpeg(samples, description, reversible=False, level=quality + math.ceil(unused_db))


def _openjpeg(samples: NDArray[Any], description: PixelDescription, *, reversible: bool, level: int) -> bytes:
    import imagecodecs

    if description.bits_stored <= 8 < description.bits_allocated:  # the encoder loses the words' other bytes otherwise
        samples = samples.astype("i1" if description.signed else "u1")
    return bytes(
        imagecodecs.jpeg2k_encode(
            samples,
            level=level,
            codecformat="j2k",
            planar=False,
            bitspersample=description.bits_stored,
            reversible=reversible,
            mct=description.photometric == "RGB",
            numthreads=1,
        )
    )


def _htj2k(samples: NDArray[Any], description: PixelDescription, quality: int) -> bytes:
    """High-throughput JPEG 2000 (ISO/IEC 15444-15), reversible.

    The encoder takes the precision from the type of its samples. So it gets signed ones, which need no level shift
    (15444-1 annex G.1), and the SIZ marker segment is then told the true precision and sign.
    """
    import imagecodecs
    import numpy as np

    if not description.signed:
        samples = (samples - samples.dtype.type(1 << (description.bits_stored - 1))).view(f"i{samples.itemsize}")
    coded = bytearray(
        imagecodecs.htj2k_encode(
            np.ascontiguousarray(samples), reversible=True, planar=False, rgb=description.photometric == "RGB"
        )
    )
    depth = description.bits_stored - 1 | (0x80 if description.signed else 0)
    for component in range(description.samples):
        coded[42 + 3 * component] = depth
    return bytes(coded)


def _unsigned(samples: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    return samples.view(f"u{samples.itemsize}")


_ENCODERS: Final[dict[str, Callable[[NDArray[Any], PixelDescription, int], bytes]]] = {
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.4.50": _jpeg,
    "1.2.840.10008.1.2.4.51": _jpeg,
    "1.2.840.10008.1.2.4.70": _jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,
    "1.2.840.10008.1.2.4.81": _jpeg_ls_near,
    "1.2.840.10008.1.2.4.90": _jpeg_2000,
    "1.2.840.10008.1.2.4.91": _jpeg_2000_lossy,
    "1.2.840.10008.1.2.4.201": _htj2k,
}
