"""WADO-RS: single values and frames (PS3.18 10.4.1.1.4, 10.4.1.1.5), as they are stored or decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.conditional import CACHING, entity_tag, not_modified, single_part
from dicomfab.dicomweb.held import UntilSent, address, begun, held_at, open_now
from dicomfab.dicomweb.json_model import find_place
from dicomfab.dicomweb.media_types import OCTETS, Offer, acceptable, choose
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.multipart import content_type, new_boundary, written, written_length
from dicomfab.dicomweb.ports import HeldInstance, WebStore
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.pixels.data_set import PIXEL_DATA_TAGS, DataSet, Element
from dicomfab.pixels.stored_frames import Frames, value_bytes
from dicomfab.pixels.syntaxes import ENCAPSULATED, EXPLICIT_LITTLE

_PLACE: Final = re.compile(r"[0-9A-Fa-f]{8}(/[1-9][0-9]{0,8}/[0-9A-Fa-f]{8}){0,64}")
_FRAME_LIST: Final = re.compile(r"[0-9]{1,10}(,[0-9]{1,10})*")
#: Media types of single frames by transfer syntax (PS3.18 table 8.7.3-5).
FRAME_TYPES: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """An instance that is open, and the frames of it that are wanted, from 0."""

    held: HeldInstance
    frames: Frames
    numbers: Sequence[int]


def frames(store: WebStore, request: Request, uids: Mapping[str, str], listed: str) -> Response:
    """Answer with frames: as they are stored (``transfer-syntax=*`` or theirs), else native.

    Args:
        store: where the instance is.
        request: with what is accepted.
        uids: what the path names.
        listed: numbers from 1, with commas between.

    Raises:
        InvalidInput: no such list.
        NotFound: no such instance, or no such frame in it.
        NotAcceptable, TranscodingFailed: they cannot be given as is accepted.
    """
    numbers = frame_numbers(listed)
    (held,) = held_at(store, uids)[:1]
    with ExitStack() as stack:
        found = Frames(open_now(stack, held), held.file.identity.transfer_syntax_uid)
        for number in numbers:
            if not 0 <= number < found.count:
                raise NotFound(
                    f"there is no frame {number + 1} in SOP instance {held.file.identity.sop_instance_uid}",
                    cause=f"it has {found.count} frames" if found.count else "it has no pixel data",
                    remedy="see NumberOfFrames in its metadata",
                )
        return _frames(request, stack, _Asked(held, found, numbers), f"frames/{listed}")


def frame_numbers(listed: str) -> list[int]:
    """Numbers of frames from 0, of a list in a path, where they are from 1.

    Raises:
        InvalidInput: it is no such list.
    """
    if not _FRAME_LIST.fullmatch(listed):
        raise InvalidInput(
            f"frames: {listed[:100]!r} is no list of frames",
            field="frames",
            value=listed,
            cause="frames are numbers from 1 with commas between them",
            remedy="for example: frames/1,2,3",
        )
    return [int(number) - 1 for number in listed.split(",")]


def bulk_data(store: WebStore, request: Request, uids: Mapping[str, str], place: str) -> Response:
    """Answer with one value; of encapsulated pixel data, with all frames.

    Args:
        store: where the instance is.
        request: with what is accepted.
        uids: what the path names.
        place: of the value, as the metadata name it.

    Raises:
        NotFound: no such instance, or no such value in it.
        NotAcceptable: it cannot be given as is accepted.
    """
    (held,) = held_at(store, uids)[:1]
    with ExitStack() as stack:
        data_set = open_now(stack, held)
        found = find_place(data_set, place) if _PLACE.fullmatch(place) else None
        if found is None or found[1].is_sequence:
            raise NotFound(
                f"there is no value {place[:100]} in SOP instance {held.file.identity.sop_instance_uid}",
                cause="the instance has no such attribute, or was replaced since its metadata were read",
                remedy="read its metadata again",
            )
        element = found[1]
        if element.next != element.end and element.tag in PIXEL_DATA_TAGS and "/" not in place:
            pixel_data = Frames(data_set, held.file.identity.transfer_syntax_uid)
            return _frames(request, stack, _Asked(held, pixel_data, range(pixel_data.count)), f"bulkdata/{place}")
        return _value(request, stack, held, found, f"bulkdata/{place}")


def _value(
    request: Request, stack: ExitStack, held: HeldInstance, found: tuple[DataSet, Element], place: str
) -> Response:
    offer = choose(acceptable(request), [Offer(OCTETS, multipart, EXPLICIT_LITTLE) for multipart in (True, False)])
    data_set, element = found
    etag = entity_tag([held], place, weak=offer.multipart)
    unchanged = not_modified(request, etag)
    if unchanged:
        return unchanged
    media_type = f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"
    length = element.end - element.start
    if offer.multipart:
        headers = {"Content-Type": media_type, "Content-Location": f"{address(request.root, held)}/{place}"}
        content = value_bytes(data_set.data, element, 0, length)
        return _multipart(stack, OCTETS, etag, iter([(headers, content)]), [(headers, length)])
    return single_part(
        request,
        media_type,
        etag,
        length,
        lambda start, end: UntilSent(stack.pop_all(), value_bytes(data_set.data, element, start, end)),
    )


def _frames(request: Request, stack: ExitStack, asked: _Asked, place: str) -> Response:
    syntax = asked.held.file.identity.transfer_syntax_uid
    offers = _offers(syntax, encapsulated=asked.frames.is_encapsulated, alone=len(asked.numbers) == 1)
    offer = choose(acceptable(request), offers)
    if asked.numbers:
        asked.frames.check(max(asked.numbers))
    etag = entity_tag([asked.held], place, f"{offer}", weak=offer.multipart)
    unchanged = not_modified(request, etag)
    if unchanged:
        return unchanged
    media_type = f"{offer.name}; transfer-syntax={offer.transfer_syntax_uid}"
    if offer.multipart:
        headers = [_part_headers(request.root, asked, number, media_type) for number in asked.numbers]
        parts = zip(headers, ([_frame(asked, offer, number)] for number in asked.numbers), strict=True)
        return _multipart(stack, offer.name, etag, parts, _measured(asked, offer, headers))
    content = _frame(asked, offer, asked.numbers[0])
    return single_part(request, media_type, etag, len(content), lambda start, end: iter((content[start:end],)))


def _offers(syntax: str, *, encapsulated: bool, alone: bool) -> list[Offer]:
    """How frames can be given; octets in the stored transfer syntax are for whoever asks for any."""
    kinds = (True, False) if alone else (True,)
    if not encapsulated:
        return [Offer(OCTETS, multipart, EXPLICIT_LITTLE) for multipart in kinds]
    can_decode = syntax in ENCAPSULATED
    named = FRAME_TYPES.get(syntax)
    made = []
    for multipart in kinds:
        made.append(Offer(OCTETS, multipart, syntax, is_default=not can_decode))
        if can_decode:
            made.append(Offer(OCTETS, multipart, EXPLICIT_LITTLE))
        if named:
            made.append(Offer(named, multipart, syntax))
    return made


def _part_headers(root: str, asked: _Asked, number: int, media_type: str) -> Mapping[str, str]:
    return {"Content-Type": media_type, "Content-Location": f"{address(root, asked.held)}/frames/{number + 1}"}


def _measured(
    asked: _Asked, offer: Offer, headers: Sequence[Mapping[str, str]]
) -> Sequence[tuple[Mapping[str, str], int]] | None:
    """The parts with their lengths, if nothing has to be decoded to know them."""
    if asked.frames.is_encapsulated and offer.transfer_syntax_uid != asked.held.file.identity.transfer_syntax_uid:
        return None
    return [(one, asked.frames.stored_length(number)) for one, number in zip(headers, asked.numbers, strict=True)]


def _frame(asked: _Asked, offer: Offer, number: int) -> bytes:
    stored = offer.transfer_syntax_uid == asked.held.file.identity.transfer_syntax_uid
    return asked.frames.stored(number) if stored else asked.frames.decoded(number)


def _multipart(
    stack: ExitStack,
    part_type: str,
    etag: str,
    parts: Iterator[tuple[Mapping[str, str], Sequence[bytes] | Iterator[bytes]]],
    measured: Sequence[tuple[Mapping[str, str], int]] | None,
) -> Response:
    boundary = new_boundary()
    body = begun(written(parts, boundary), 2)
    headers = {"Content-Type": content_type(part_type, boundary), "ETag": etag, "Cache-Control": CACHING}
    if measured is not None:
        headers["Content-Length"] = str(written_length(measured, boundary))
    return Response(200, headers, UntilSent(stack.pop_all(), body))
