"""How pixels are described (PS3.3 C.7.6.3, C.11.1, C.11.2; PS3.5 8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE, Codec
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.pixel_facts import PixelFacts, pixel_facts

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_LOSSY_JPEG: Final = _GREY | {"RGB", "YBR_FULL", "YBR_FULL_422"}
_PLAIN: Final = _GREY | {"PALETTE COLOR", "RGB", "YBR_FULL"}
_LEGAL: Final = {
    **dict.fromkeys(NATIVE, _PLAIN | {"YBR_FULL_422", "YBR_PARTIAL_422"}),
    "1.2.840.10008.1.2.5": _PLAIN,
    "1.2.840.10008.1.2.4.50": _LOSSY_JPEG,
    "1.2.840.10008.1.2.4.51": _LOSSY_JPEG,
    "1.2.840.10008.1.2.4.57": _PLAIN | {"YBR_FULL_422"},
    "1.2.840.10008.1.2.4.70": _PLAIN | {"YBR_FULL_422"},
    "1.2.840.10008.1.2.4.80": _PLAIN,
    "1.2.840.10008.1.2.4.81": _PLAIN - {"PALETTE COLOR"},
    "1.2.840.10008.1.2.4.90": _PLAIN | {"YBR_RCT"},
    "1.2.840.10008.1.2.4.91": _PLAIN | {"YBR_RCT", "YBR_ICT"},
    "1.2.840.10008.1.2.4.201": _PLAIN | {"YBR_RCT"},
    "1.2.840.10008.1.2.4.202": _PLAIN | {"YBR_RCT"},
    "1.2.840.10008.1.2.4.203": _PLAIN | {"YBR_RCT", "YBR_ICT"},
}
_MOST_BITS: Final = 64
_BY_PIXEL_ONLY: Final = frozenset({Codec.JPEG, Codec.JPEG_LOSSLESS, Codec.JPEG_2000})


@rule("pixel-length", "PS3.5 8.1.1", "make PixelData as long as rows x columns x samples x bits x frames say")
def pixel_length(instance: Instance) -> Iterator[Problem]:
    """Native pixel data are as long as their description says, padded to even."""
    facts = pixel_facts(instance)
    if facts is None or facts.encapsulated or instance.transfer_syntax_uid not in NATIVE:
        return
    if facts.length != facts.native_bytes:
        detail = f"{facts.length} bytes instead of {facts.native_bytes}"
        yield Problem(
            "longer than described" if facts.length > facts.native_bytes else "too short", facts.keyword, detail
        )


@rule("pixel-description", "PS3.3 C.7.6.3", "state Rows, Columns, SamplesPerPixel, BitsAllocated and NumberOfFrames")
def pixel_description(instance: Instance) -> Iterator[Problem]:
    """Pixel data are described at all, and their bits fit into each other."""
    element, facts = instance.pixel_element(), pixel_facts(instance)
    if element is not None and facts is None:
        yield Problem("not described completely: how long they are cannot be told", "PixelData")
    if facts is None or facts.keyword != "PixelData":
        return
    d = facts.description
    if not 0 < d.bits_stored <= d.bits_allocated:
        yield Problem("more than BitsAllocated", "BitsStored", f"{d.bits_stored} of {d.bits_allocated}")
    elif d.high_bit != d.bits_stored - 1:
        yield Problem("not one less than BitsStored", "HighBit", f"{d.high_bit} with BitsStored {d.bits_stored}")
    if instance.number(0x00280103) not in (None, 0, 1):
        yield Problem("neither 0 nor 1", "PixelRepresentation", str(instance.number(0x00280103)))


@rule("photometric", "PS3.5 8.2", "name the colour space that the pixels are in, one that the transfer syntax allows")
def photometric(instance: Instance) -> Iterator[Problem]:
    """PhotometricInterpretation fits samples and transfer syntax."""
    facts = pixel_facts(instance)
    legal = _LEGAL.get(instance.transfer_syntax_uid)
    if facts is None or legal is None or facts.keyword != "PixelData":
        return
    stated = facts.description.photometric
    if stated not in legal:
        yield Problem(f"{stated or '(none)'} cannot stand with the transfer syntax", "PhotometricInterpretation")
        return
    samples = 1 if stated in _GREY or stated == "PALETTE COLOR" else 3
    if facts.description.samples != samples:
        detail = f"{facts.description.samples} samples per pixel"
        yield Problem(f"{stated} needs SamplesPerPixel {samples}", "PhotometricInterpretation", detail)


@rule("planar", "PS3.3 C.7.6.3.1.3, PS3.5 8.2", "set PlanarConfiguration to how the samples are stored; 0 for JPEG")
def planar(instance: Instance) -> Iterator[Problem]:
    """Colour has a PlanarConfiguration, and one that its transfer syntax knows."""
    facts = pixel_facts(instance)
    if facts is None or facts.description.samples == 1:
        return
    stated = instance.number(0x00280006)
    if stated is None:
        yield Problem("missing with several samples per pixel", "PlanarConfiguration")
    elif stated not in (0, 1):
        yield Problem("neither 0 nor 1", "PlanarConfiguration", str(stated))
    elif stated and (_by_pixel_only(instance, facts)):
        yield Problem("colour by plane, where only colour by pixel is possible", "PlanarConfiguration")


def _by_pixel_only(instance: Instance, facts: PixelFacts) -> bool:
    return ENCAPSULATED.get(instance.transfer_syntax_uid) in _BY_PIXEL_ONLY or facts.description.photometric.endswith(
        "_422"
    )


@rule("rescale", "PS3.3 C.11.1", "write RescaleSlope (not 0) and RescaleIntercept together")
def rescale(instance: Instance) -> Iterator[Problem]:
    """Rescale slope and intercept come together, and the slope is not 0."""
    slope, intercept = instance.decimals(0x00281053), instance.decimals(0x00281052)
    if bool(slope) != bool(intercept):
        yield Problem("one without the other", "RescaleSlope, RescaleIntercept")
    if slope and slope[0] == 0:
        yield Problem("is 0: every pixel would have the same value", "RescaleSlope")


@rule("window", "PS3.3 C.11.2", "write as many widths as centers, each at least 1")
def window(instance: Instance) -> Iterator[Problem]:
    """Each window has a center and a possible width."""
    centers, widths = instance.decimals(0x00281050), instance.decimals(0x00281051)
    if len(centers) != len(widths):
        yield Problem("not as many as WindowCenter", "WindowWidth", f"{len(widths)}, {len(centers)} centers")
    least = 0.0 if instance.string(0x00281056) in ("LINEAR_EXACT", "SIGMOID") else 1.0
    if any(width < least or width <= 0 for width in widths):
        yield Problem("too small for its function", "WindowWidth", str(min(widths)))


@rule("window-range", "PS3.3 C.11.2", "choose a window within the values of the image", Severity.WARNING)
def window_range(instance: Instance) -> Iterator[Problem]:
    """Each window lies at least partly within the values that pixels can have; else the image is black or white."""
    facts = pixel_facts(instance)
    slope, intercept = instance.decimals(0x00281053) or [1.0], instance.decimals(0x00281052) or [0.0]
    # A modality LUT maps to values of its own.
    if facts is None or instance.get(0x00283000) is not None or facts.description.samples > 1 or not slope[0]:
        return
    d = facts.description
    if not 0 < d.bits_stored <= d.bits_allocated <= _MOST_BITS:
        return
    low = -(1 << (d.bits_stored - 1)) if d.signed else 0
    ends = sorted(value * slope[0] + intercept[0] for value in (low, low + (1 << d.bits_stored) - 1))
    windows = zip(instance.decimals(0x00281050), instance.decimals(0x00281051), strict=False)
    for center, width in windows:
        if center + width / 2 < ends[0] or center - width / 2 > ends[1]:
            detail = f"center {center:g}, width {width:g}; values from {ends[0]:g} to {ends[1]:g}"
            yield Problem("outside of every possible value", "WindowCenter", detail)


RULES: Final[tuple[Rule[Instance], ...]] = (
    pixel_length,
    pixel_description,
    photometric,
    planar,
    rescale,
    window,
    window_range,
)
