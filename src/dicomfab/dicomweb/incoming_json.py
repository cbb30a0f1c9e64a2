"""Instances that come as metadata in JSON with bulk data in parts of their own (PS3.18 8.7.3.3, F.2)."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from dicomfab.dicomweb.bulk import FRAME_TYPES
from dicomfab.dicomweb.incoming import Announced, NotAnInstance
from dicomfab.dicomweb.json_values import UTF_8
from dicomfab.dicomweb.media_types import DICOM_JSON, OCTETS, MediaType, parse_media_type
from dicomfab.dicomweb.messages import CHUNK
from dicomfab.dicomweb.multipart import MultipartError, Part
from dicomfab.model import values
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import InstanceIdentity
from dicomfab.pixels.elements import ITEM, PIXEL_DATA, SEQUENCE_END, UNDEFINED, delimiter, header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE

#: The longest metadata that are taken, in bytes; they are held.
MAX_METADATA_BYTES: Final = 64 << 20
#: The most parts, and the most instances, of one message.
MAX_ITEMS: Final = 50_000
#: The longest bulk data of one instance beside its pixel data; they are held.
MAX_VALUES_BYTES: Final = 64 << 20
_PIXEL_DATA: Final = f"{PIXEL_DATA:08X}"
_TRANSFER_SYNTAX: Final = "00020010"
_CHARSET: Final = "00080005"
_IDENTITY: Final = ("00080016", "00080018")
_STUDY: Final = "0020000D"
_TAG: Final = re.compile(r"[0-9A-F]{8}")
# What pydicom raises on a data set that cannot be.
_REFUSALS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]


@dataclass(frozen=True, slots=True)
class _Bulk:
    """Bulk data of a part.

    Args:
        file: where they are meanwhile.
        media_type: of the part.
    """

    file: Path
    media_type: MediaType


@dataclass(frozen=True, slots=True)
class Gathered:
    """A message in JSON that has come in whole.

    Args:
        items: metadata, one for each instance.
        bulk: what they name by URI.
    """

    items: list[Any]
    bulk: Mapping[str, _Bulk]

    def announced(self, item: Any) -> Announced:
        """One of the instances, in Explicit VR Little Endian, or encapsulated as its pixel data are.

        Raises:
            NotAnInstance: it cannot be written, lacks a UID, or names bulk data that did not come.
        """
        if not isinstance(item, dict) or not all(_TAG.fullmatch(tag) for tag in item):
            raise NotAnInstance
        item = _in_utf_8(item)
        sop_class_uid, sop_instance_uid = (_uid(item, tag) for tag in _IDENTITY)
        pixel_data = item.get(_PIXEL_DATA, {})
        uri = pixel_data.get("BulkDataURI") if isinstance(pixel_data, dict) else None
        stated = _text(item, _TRANSFER_SYNTAX)
        if uri is None:
            if pixel_data and stated not in ("", *NATIVE):
                raise NotAnInstance  # frames that are coded do not stand in the metadata
            made = InstanceIdentity(sop_class_uid, sop_instance_uid, EXPLICIT_LITTLE)
            return Announced(made, _uid(item, _STUDY), iter((self._encoded(item),)))
        pixels = self._named(uri)
        syntax = pixels.media_type.parameter("transfer-syntax") or stated
        syntax = EXPLICIT_LITTLE if syntax in ("", *NATIVE) else syntax  # of bulk data there is no other native one
        before = self._encoded({tag: one for tag, one in item.items() if tag < _PIXEL_DATA})
        after = self._encoded({tag: one for tag, one in item.items() if tag > _PIXEL_DATA})
        content = _pixel_data(pixels, syntax, str(pixel_data.get("vr")), _text(item, "00280008"))
        made = InstanceIdentity(sop_class_uid, sop_instance_uid, syntax)
        return Announced(made, _uid(item, _STUDY), chain((before,), content, (after,)))

    def _named(self, uri: Any) -> _Bulk:
        found = self.bulk.get(uri) if isinstance(uri, str) else None
        if found is None:
            raise NotAnInstance
        return found

    def _reader(self) -> Callable[[str, str, str], bytes]:
        """Gives the bulk data of one instance, up to a size."""
        left = MAX_VALUES_BYTES

        def read(_tag: str, _vr: str, uri: str) -> bytes:
            nonlocal left
            file = self._named(uri).file
            left -= file.stat().st_size
            if left < 0:
                raise NotAnInstance
            return file.read_bytes()

        return read

    def _encoded(self, item: Mapping[str, Any]) -> bytes:
        """A data set in Explicit VR Little Endian."""
        from pydicom import Dataset
        from pydicom.filebase import DicomBytesIO
        from pydicom.filewriter import write_dataset

        attributes = {tag: one for tag, one in item.items() if not tag.startswith("0002")}
        try:
            data_set = Dataset.from_json(attributes, self._reader())
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_dataset(buffer, data_set)
        except _REFUSALS as error:
            raise NotAnInstance from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise NotAnInstance from error  # a number that its VR cannot hold
        return buffer.getvalue()


def gathered(parts: Iterable[Part], folder: Path) -> Gathered:
    """Take in a message of metadata and bulk data; the latter stay on the disk.

    Args:
        parts: of the message.
        folder: for bulk data, to be removed when the instances are stored.

    Raises:
        MultipartError: it is malformed, or its metadata are not in JSON or too long.
        DiskFull: there is no room for the bulk data.
    """
    items: list[Any] = []
    bulk: dict[str, _Bulk] = {}
    left = MAX_METADATA_BYTES
    for number, part in enumerate(parts):
        media_type = _media_type(part)
        if media_type.name == DICOM_JSON:
            found, length = _items(part, left)
            items += found
            left -= length
        else:
            file = folder / f"{number}"
            _keep(part.content, file)
            bulk[part.headers.get("content-location", "")] = _Bulk(file, media_type)
        if number >= MAX_ITEMS or len(items) > MAX_ITEMS:
            raise _malformed(f"it has more than {MAX_ITEMS} instances or parts")
    return Gathered(items, bulk)


def _media_type(part: Part) -> MediaType:
    with suppress(InvalidInput):
        return parse_media_type(part.headers.get("content-type", OCTETS))
    return MediaType(OCTETS)


def _items(part: Part, most_bytes: int) -> tuple[list[Any], int]:
    """The metadata of a part, and their length."""
    content = bytearray()
    for piece in part.content:
        content += piece
        if len(content) > most_bytes:
            raise _malformed(f"its metadata are longer than {MAX_METADATA_BYTES} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed("its metadata are not in JSON") from error
    return found if isinstance(found, list) else [found], len(content)


def _keep(content: Iterator[bytes], file: Path) -> None:
    try:
        with file.open("wb") as output:
            output.writelines(content)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(file.parent) from error
        raise


def _pixel_data(pixels: _Bulk, syntax: str, vr: str, frames: str) -> Iterator[bytes]:
    """The element of the pixel data, native or with one frame in one fragment (PS3.5 A.4)."""
    length = pixels.file.stat().st_size
    padding = length % 2
    if length + padding >= UNDEFINED:
        raise NotAnInstance
    if syntax == EXPLICIT_LITTLE and pixels.media_type.name == OCTETS and vr in ("OB", "OW"):
        start = header(_EXPLICIT, PIXEL_DATA, vr.encode(), length + padding)
        return chain((start,), _pieces(pixels.file), (bytes(padding),))
    # Of several frames nothing would tell where one ends.
    if FRAME_TYPES.get(syntax, "") != pixels.media_type.name or frames not in ("", "1"):
        raise NotAnInstance
    start = header(_EXPLICIT, PIXEL_DATA, b"OB", UNDEFINED) + delimiter(_EXPLICIT, ITEM, 0)
    item = delimiter(_EXPLICIT, ITEM, length + padding)
    return chain((start, item), _pieces(pixels.file), (bytes(padding), delimiter(_EXPLICIT, SEQUENCE_END, 0)))


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(CHUNK):
            yield piece


def _in_utf_8(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata whose Specific Character Set is what all that JSON can hold can be written in."""
    if _CHARSET not in item and json.dumps(item, ensure_ascii=False).isascii():
        return item
    return {**item, _CHARSET: {"vr": "CS", "Value": [UTF_8]}}


def _uid(item: Mapping[str, Any], tag: str) -> str:
    try:
        return values.uid(_text(item, tag))
    except InvalidInput as error:
        raise NotAnInstance from error


def _text(item: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute as text; empty if there is none."""
    attribute = item.get(tag)
    found = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(found[0]) if isinstance(found, list) and found else ""


def _malformed(what: str) -> MultipartError:
    return MultipartError(
        f"the body cannot be read: {what}",
        field="body",
        cause="it is to hold a list of data sets in the DICOM JSON model, and the bulk data that they name",
        remedy="send it again as PS3.18 F.2 says, or send DICOM files",
    )
