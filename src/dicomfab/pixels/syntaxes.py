"""Which transfer syntax can be written as which other one: data only, cheap to import and to ask.

A sender asks before it opens an association, to know which presentation contexts are worth proposing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set without encapsulated pixel data is written down (PS3.5 annex A.1 to A.3, A.5).

    Args:
        explicit: whether elements state their VR.
        little: little endian byte order.
        deflated: the whole data set is one raw deflate stream.
    """

    explicit: bool
    little: bool
    deflated: bool = False


class Codec(enum.StrEnum):
    """What decodes the frames of an encapsulated transfer syntax."""

    RLE = "RLE"
    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


NATIVE: Final[dict[str, Encoding]] = {
    # In order of preference as a target: what any peer reads, and keeps the VRs, first.
    EXPLICIT_LITTLE: Encoding(explicit=True, little=True),
    IMPLICIT_LITTLE: Encoding(explicit=False, little=True),
    DEFLATED: Encoding(explicit=True, little=True, deflated=True),
    EXPLICIT_BIG: Encoding(explicit=True, little=False),
}

ENCAPSULATED: Final[dict[str, Codec]] = {
    "1.2.840.10008.1.2.5": Codec.RLE,
    "1.2.840.10008.1.2.4.50": Codec.JPEG,  # baseline
    "1.2.840.10008.1.2.4.51": Codec.JPEG,  # extended, 8 and 12 bit
    "1.2.840.10008.1.2.4.57": Codec.JPEG_LOSSLESS,
    "1.2.840.10008.1.2.4.70": Codec.JPEG_LOSSLESS,  # first-order prediction
    "1.2.840.10008.1.2.4.80": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.81": Codec.JPEG_LS,  # near lossless
    "1.2.840.10008.1.2.4.90": Codec.JPEG_2000,  # lossless only
    "1.2.840.10008.1.2.4.91": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.201": Codec.JPEG_2000,  # high throughput, lossless only
    "1.2.840.10008.1.2.4.202": Codec.JPEG_2000,  # the same with RPCL progression
    "1.2.840.10008.1.2.4.203": Codec.JPEG_2000,  # high throughput
}

_TARGETS: Final[dict[str, tuple[str, ...]]] = {
    source: tuple(target for target in NATIVE if target != source) for source in (*NATIVE, *ENCAPSULATED)
}


def targets_for(source_ts: str) -> tuple[str, ...]:
    """The transfer syntaxes that an instance in ``source_ts`` can be written in, the preferred one first.

    Never ``source_ts`` itself; empty for a transfer syntax that cannot be decoded or is not known.
    """
    return _TARGETS.get(source_ts, ())


def can_transcode(source_ts: str, target_ts: str) -> bool:
    """Whether an instance in ``source_ts`` can be written in ``target_ts`` (two different ones)."""
    return target_ts in targets_for(source_ts)
