"""Whether the instance owns up to its lossy compression (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomfab.pixels.syntaxes import ENCAPSULATED
from dicomfab.validity.dataset import label
from dicomfab.validity.encapsulated import frame_bytes, take_apart
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.pixel_facts import pixel_facts

_FLAG: Final = 0x00282110
_RATIO: Final = 0x00282112
_METHOD: Final = 0x00282114
# The method of the last compression, by transfer syntax.
_METHODS: Final = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
# These can be lossless too, which the coded frame tells.
_EITHER: Final = frozenset({"1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"})
_TOLERANCE: Final = 1.5


@rule("lossy-flag", "PS3.3 C.7.6.1.1.5", "set LossyImageCompression to 01")
def lossy_flag(instance: Instance) -> Iterator[Problem]:
    """An image in a lossy transfer syntax says that it is lossy."""
    if instance.transfer_syntax_uid in _METHODS and instance.string(_FLAG) != "01" and not _lossless(instance):
        stated = instance.string(_FLAG) or "absent"
        yield Problem("not 01 in a lossy transfer syntax", "LossyImageCompression", stated)


@rule("lossy-stated", "PS3.3 C.7.6.1.1.5", "state ratio and method of each lossy compression", Severity.WARNING)
def lossy_stated(instance: Instance) -> Iterator[Problem]:
    """A lossy image states ratio and method; most IODs leave it open, but a reader wants to know."""
    if instance.string(_FLAG) == "01":
        for tag in (_RATIO, _METHOD):
            if not instance.strings(tag):
                yield Problem("missing, though the image is lossy", label(tag))


@rule("lossy-method", "PS3.3 C.7.6.1.1.5", "state the method of each lossy compression, the last one last")
def lossy_method(instance: Instance) -> Iterator[Problem]:
    """There are as many methods as ratios, and the last one is that of the transfer syntax."""
    if instance.string(_FLAG) != "01":
        return
    ratios, methods = instance.strings(_RATIO), instance.strings(_METHOD)
    if ratios and methods and len(ratios) != len(methods):
        yield Problem(
            "not as many as ratios", "LossyImageCompressionMethod", f"{len(methods)} methods, {len(ratios)} ratios"
        )
    expected = _METHODS.get(instance.transfer_syntax_uid)
    if expected and methods and methods[-1] != expected and not _lossless(instance):
        yield Problem(f"not {expected}, that of the transfer syntax", "LossyImageCompressionMethod", methods[-1])


@rule("lossy-ratio", "PS3.3 C.7.6.1.1.5.2", "state the ratio that was reached", Severity.WARNING)
def lossy_ratio(instance: Instance) -> Iterator[Problem]:
    """The ratio stated is near the one that the pixel data have."""
    facts, ratios = pixel_facts(instance), instance.decimals(_RATIO)
    if facts is None or len(ratios) != 1 or instance.transfer_syntax_uid not in _METHODS or not facts.encapsulated:
        return
    coded = sum(length for _, length in instance.fragments()[1:])
    d = facts.description
    # Only the bits stored carry anything, so both ways to count are met with.
    full = facts.native_bytes / d.bits_allocated
    possible = [full * bits / coded for bits in (d.bits_stored, d.bits_allocated)] if coded else []
    if possible and not min(possible) / _TOLERANCE <= ratios[0] <= max(possible) * _TOLERANCE:
        detail = f"{ratios[0]:g} stated, {max(possible):.1f} reached"
        yield Problem("far from the ratio that was reached", "LossyImageCompressionRatio", detail)


def _lossless(instance: Instance) -> bool:
    """Whether the first coded frame is free of loss, in a transfer syntax that leaves it open."""
    facts = pixel_facts(instance)
    if instance.transfer_syntax_uid not in _EITHER or facts is None or not facts.encapsulated:
        return False
    groups = take_apart(instance, facts.description.frames).groups
    frame = frame_bytes(instance, groups[0]) if groups else b""
    if ENCAPSULATED[instance.transfer_syntax_uid] == "JPEG-LS":
        scan = frame.find(b"\xff\xda")
        return scan > 0 and frame[scan + 5 + 2 * frame[scan + 4] : scan + 6 + 2 * frame[scan + 4]] == b"\0"
    style = frame.find(b"\xff\x52")  # coding style default: the last byte is the wavelet, 1 the reversible one
    return style > 0 and frame[style + 13 : style + 14] == b"\1"


RULES: Final[tuple[Rule[Instance], ...]] = (lossy_flag, lossy_stated, lossy_method, lossy_ratio)
