"""Two copies of an instance side by side: attribute by attribute, and pixel by pixel."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomfab.model.errors import InvalidInput, TranscodingFailed
from dicomfab.pixels.elements import UNDEFINED, look_ahead
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, NATIVE, can_transcode
from dicomfab.pixels.transcode import transcode

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    from dicomfab.model.study import InstanceFile

#: What servers may change without being asked: how text is encoded, what they note about coercion and about themselves
#: (PS3.3 C.12.1, PS3.4 C.4.1.1.3).
ALLOWED: Final = (
    "SpecificCharacterSet",
    "InstanceCoercionDateTime",
    "OriginalAttributesSequence",
    "ContributingEquipmentSequence",
    "RetrieveAETitle",
    "InstanceAvailability",
    "TimezoneOffsetFromUTC",
)
#: The same, where the transfer syntaxes of the two differ: decoding changes them.
_OF_ENCODING: Final = frozenset({"PhotometricInterpretation", "PlanarConfiguration"})
_PIXELS: Final = 0x7FE0
_FIRST_OF_PIXELS: Final = 0x7FE00000
_PIXEL_TAGS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_PADDING: Final = 0xFFFCFFFC
_MAX_SHOWN: Final = 200
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute that is not the same. Its values may be a patient's: for the report only, never for a log.

    Args:
        tag: ``(0010,0020)``; in a sequence, with the path to it: ``(0040,0275)[1](0008,0050)``.
        keyword: of the attribute; empty for a private one.
        before: at the source, shortened; ``None`` if it is not there.
        after: at the destination.
        allowed: whether a site lets this pass.
    """

    tag: str
    keyword: str
    before: str | None
    after: str | None
    allowed: bool


def allowed_keywords(more: tuple[str, ...]) -> frozenset[str]:
    """The attributes that may differ.

    Raises:
        InvalidInput: a keyword that PS3.6 does not know.
    """
    from pydicom.datadict import tag_for_keyword

    for keyword in more:
        if tag_for_keyword(keyword) is None:
            raise InvalidInput(
                f"allow: {keyword!r} is no keyword of an attribute",
                field="allow",
                value=keyword,
                remedy="write it as PS3.6 does, for example PatientID",
            )
    return frozenset((*ALLOWED, *more))


def differences(
    before: InstanceFile, after: InstanceFile, allowed: frozenset[str], folder: Path
) -> Iterator[Difference]:
    """Compare all attributes but the pixel data, at any depth.

    Values are compared as what they mean: encodings, character sets and padding may differ. A sequence's difference is
    that of its items.

    Args:
        before: the instance at the source.
        after: the one at the destination.
        allowed: keywords of what may differ.
        folder: for a temporary file.

    Raises:
        TranscodingFailed: one of the two cannot be read.
    """
    if before.identity.transfer_syntax_uid != after.identity.transfer_syntax_uid:
        allowed |= _OF_ENCODING
    yield from _of_data_sets(_read(before, folder), _read(after, folder), "", allowed, within=False)


def pixel_digest(file: InstanceFile, folder: Path) -> str:
    """SHA-256 of the pixel data as they are when decoded (PS3.5 8.1), in hexadecimal; empty if there are none.

    What no decoder is here for is read as it is encoded.

    Args:
        file: the instance.
        folder: for a temporary file.

    Raises:
        TranscodingFailed: the pixel data are damaged.
    """
    syntax = file.identity.transfer_syntax_uid
    encoding = NATIVE.get(syntax)
    is_plain = encoding is not None and encoding.little and not encoding.deflated
    if is_plain or not can_transcode(syntax, EXPLICIT_LITTLE):
        return _digest(file)
    native = transcode(file, EXPLICIT_LITTLE, folder)
    try:
        return _digest(native)
    finally:
        native.path.unlink()


def _digest(file: InstanceFile) -> str:
    encoding = NATIVE.get(file.identity.transfer_syntax_uid, NATIVE[EXPLICIT_LITTLE])
    with file.path.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        for tag in _PIXEL_TAGS:
            opened.seek(file.dataset_offset)
            source = Source(opened, file.dataset_offset, size)
            length = look_ahead(source, encoding, size, tag)
            if length is not None:
                left = size - source.position if length == UNDEFINED else length
                return _hashed(source, left)
    return ""


def _hashed(source: Source, left: int) -> str:
    digest = hashlib.sha256()
    while left:
        data = source.take(min(left, _CHUNK))
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def _read(file: InstanceFile, folder: Path) -> Dataset:
    """The attributes, little endian."""
    if file.identity.transfer_syntax_uid != EXPLICIT_BIG:
        return _read_little(file)
    turned = transcode(file, EXPLICIT_LITTLE, folder)
    try:
        return _read_little(turned)
    finally:
        turned.path.unlink()


def _read_little(file: InstanceFile) -> Dataset:
    import pydicom
    from pydicom.errors import InvalidDicomError

    def behind(tag: int, _vr: str | None, _length: int) -> bool:
        return tag >= _FIRST_OF_PIXELS

    try:
        with file.path.open("rb") as opened:
            return pydicom.filereader.read_partial(opened, stop_when=behind)
    except (InvalidDicomError, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise TranscodingFailed(
            f"SOP instance {file.identity.sop_instance_uid} cannot be read ({type(error).__name__})",
            cause="the data set is damaged",
            remedy="check it with dicomfab validate; send or fetch it again from where it is whole",
        ) from error


def _of_data_sets(
    before: Dataset, after: Dataset, path: str, allowed: frozenset[str], *, within: bool
) -> Iterator[Difference]:
    from pydicom.datadict import keyword_for_tag

    for tag in sorted({*before.keys(), *after.keys()}):
        if not tag.element or tag.group == _PIXELS or tag == _PADDING or tag.group == 2:
            continue
        if _same_bytes(before, after, tag):
            continue
        one, other = _element(before, tag), _element(after, tag)
        if one is not None and other is not None and _same(one, other):
            continue
        place = f"{path}({tag.group:04X},{tag.element:04X})"
        keyword = keyword_for_tag(tag)
        may = within or keyword in allowed
        if one is not None and other is not None and one.VR == other.VR == "SQ":
            yield from _of_items(one, other, place, allowed, within=may)
        else:
            yield Difference(place, keyword, _shown(one), _shown(other), may)


def _of_items(
    one: DataElement, other: DataElement, place: str, allowed: frozenset[str], *, within: bool
) -> Iterator[Difference]:
    if len(one.value) != len(other.value):
        yield Difference(place, one.keyword, f"{len(one.value)} items", f"{len(other.value)} items", within)
        return
    for number, (first, second) in enumerate(zip(one.value, other.value, strict=True), 1):
        yield from _of_data_sets(first, second, f"{place}[{number}]", allowed, within=within)


def _element(dataset: Dataset, tag: Any) -> DataElement | None:
    found: DataElement | None = dataset.get(tag)
    return found


def _same_bytes(before: Dataset, after: Dataset, tag: Any) -> bool:
    """Whether a value is encoded alike, whatever VR is stated; both data sets are little endian."""
    if tag not in before or tag not in after:
        return False
    one, other = before.get_item(tag), after.get_item(tag)
    is_raw = hasattr(one, "is_raw") and one.is_raw and hasattr(other, "is_raw") and other.is_raw
    return is_raw and (one.value or b"").rstrip(b"\0 ") == (other.value or b"").rstrip(b"\0 ")


def _same(one: DataElement, other: DataElement) -> bool:
    if one.VR == "SQ" and other.VR == "SQ":
        return False  # looked into
    return _plain(one) == _plain(other)


def _plain(element: DataElement) -> object:
    """A value that compares equal where the same is meant."""
    value = element.value
    if isinstance(value, bytes | bytearray):
        return bytes(value).rstrip(b"\0 ")
    if value is None:
        return ""
    if element.VR == "UN" or not isinstance(value, str | int | float):
        return str(value)
    return value.rstrip("\0 ") if isinstance(value, str) else value


def _shown(element: DataElement | None) -> str | None:
    if element is None:
        return None
    value = element.value
    if element.VR == "SQ":
        return f"{len(value)} items"
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()[:16]}"
    text = "" if value is None else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
