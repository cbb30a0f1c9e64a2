"""WADO-RS: pictures of instances, frames, series and studies, and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.6, 8.7.4).

What was rendered is kept for a while: a picture that many look at is made once, and its file is not opened again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from dicomfab.dicomweb.bulk import frame_numbers
from dicomfab.dicomweb.conditional import CACHING, entity_tag, file_key, not_modified, single_part
from dicomfab.dicomweb.errors import NotAcceptable
from dicomfab.dicomweb.held import UntilSent, address, begun, held_at, open_now
from dicomfab.dicomweb.media_types import Offer, acceptable, choose
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.multipart import content_type, new_boundary, written
from dicomfab.dicomweb.ports import HeldInstance, WebStore
from dicomfab.dicomweb.remembered import Remembered
from dicomfab.dicomweb.view import View, parse_view, parse_viewport
from dicomfab.model.errors import InvalidInput, NotFound, TranscodingFailed
from dicomfab.pixels.data_set import DamagedInstance, DataSet
from dicomfab.pixels.picture import FORMATS, Viewport, encoded
from dicomfab.pixels.stored_frames import Frames, value_bytes
from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE

#: The longest edge of a thumbnail, in pixels, where no viewport says otherwise.
THUMBNAIL_EDGE: Final = 128
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_PDF: Final = "application/pdf"
_DOCUMENT, _DOCUMENT_LENGTH = 0x00420011, 0x00420015
_ICC_PROFILE, _OPTICAL_PATHS = 0x00282000, 0x00480105
_ALONE: Final = tuple(Offer(name) for name in FORMATS)
_IN_PARTS: Final = tuple(Offer(name, multipart=True) for name in FORMATS)
_PICTURES: Final = Remembered[bytes](64 << 20)
_Parts = Iterator[tuple[Mapping[str, str], Sequence[bytes]]]


def rendered(store: WebStore, request: Request, uids: Mapping[str, str], listed: str) -> Response:
    """Answer with pictures: all there are as multipart, or a representative one where a single picture is accepted.

    Args:
        store: where the instances are.
        request: with what is accepted and how they are wanted.
        uids: what the path names.
        listed: numbers of frames, if the path has them.

    Raises:
        InvalidInput: a parameter that cannot be; ``field`` names it.
        NotFound: no such instance, or no such frame in it.
        NotAcceptable: there is no picture, or none as is accepted.
        TranscodingFailed, DamagedInstance: it cannot be decoded.
    """
    view = parse_view(request)
    held = held_at(store, uids)
    if "SOPInstanceUID" not in uids:
        response = _of_many(request, held, view)
    elif held[0].file.identity.sop_class_uid == ENCAPSULATED_PDF:
        return _document(request, held[0])
    else:
        response = _of_instance(request, held[0], listed, view)
    told = f'299 {request.root}: "No annotation is burned into pictures"' if view.annotated else ""
    return response.with_headers(Warning=told)


def thumbnail(store: WebStore, request: Request, uids: Mapping[str, str], listed: str) -> Response:
    """Answer with one small picture: of the middle frame, of the middle instance that has any.

    Args:
        store: where the instances are.
        request: with what is accepted, and perhaps a viewport.
        uids: what the path names.
        listed: numbers of frames, if the path has them; the middle one is taken.

    Raises:
        InvalidInput: a viewport that cannot be.
        NotFound: no such instance or frame, or no picture.
        NotAcceptable: pictures are not accepted.
        TranscodingFailed, DamagedInstance: none can be decoded.
    """
    view = View(viewport=parse_viewport(request), longest=THUMBNAIL_EDGE)
    numbers = frame_numbers(listed) if listed else []
    index = numbers[len(numbers) // 2] if numbers else None
    offer = choose(acceptable(request), _ALONE)
    found = _representative(request, held_at(store, uids), index, view, offer)
    if found is None:
        raise NotFound(
            "there is no picture to make a thumbnail of",
            cause="nothing in it has pixel data",
            remedy="see its metadata for what it is",
        )
    return found


# --- one picture --------------------------------------------------------------------------------------------------


def _of_instance(request: Request, held: HeldInstance, listed: str, view: View) -> Response:
    numbers = frame_numbers(listed) if listed else None
    with ExitStack() as stack:
        frames = _frames(stack, held)
        if not frames.count:
            raise _nothing(f"SOP instance {held.file.identity.sop_instance_uid}")
        for number in numbers or ():
            _check(held, frames, number)
        wanted = numbers or range(frames.count)
        several = _IN_PARTS if numbers else (*_IN_PARTS, *_ALONE)
        offer = choose(acceptable(request), (*_ALONE, *_IN_PARTS) if len(wanted) == 1 else several)
        if offer.multipart:
            _check_syntax(held)
            etag = entity_tag([held], f"{offer} {view} {listed}", weak=True)
            return not_modified(request, etag) or _multipart(
                offer, etag, _pictures(request.root, held, frames, wanted, offer.name, view), stack.pop_all()
            )
    found = _representative(request, [held], numbers[0] if numbers else None, view, offer)
    if found is None:
        raise _nothing(f"SOP instance {held.file.identity.sop_instance_uid}")
    return found


def _representative(
    request: Request, held: Sequence[HeldInstance], index: int | None, view: View, offer: Offer
) -> Response | None:
    """One picture of several instances, the middle one if that has any; nothing if none has."""
    problem: TranscodingFailed | DamagedInstance | None = None
    for one in _from_middle(held):
        etag = entity_tag([one], f"{offer} {view} {index}")
        # Whoever has the tag has got a picture with it.
        unchanged = not_modified(request, etag)
        if unchanged:
            return unchanged
        try:
            content = _remembered(one, index, offer.name, view)
        except (TranscodingFailed, DamagedInstance) as error:
            problem = problem or error
            continue
        if content:
            return _picture(request, offer.name, etag, content)
    if problem is not None:
        raise problem
    return None


def _picture(request: Request, media_type: str, etag: str, content: bytes) -> Response:
    return single_part(request, media_type, etag, len(content), lambda start, end: iter((content[start:end],)))


def _from_middle(held: Sequence[HeldInstance]) -> Iterator[HeldInstance]:
    middle = len(held) // 2
    for distance in range(len(held)):
        for place in {middle + distance, middle - distance}:
            if 0 <= place < len(held):
                yield held[place]


def _remembered(held: HeldInstance, index: int | None, media_type: str, view: View) -> bytes:
    """A picture; of the middle frame if none is named. Empty for an instance without pixel data."""

    def made() -> bytes:
        with ExitStack() as stack:
            frames = _frames(stack, held)
            if index is not None:
                _check(held, frames, index)
            if not frames.count:
                return b""
            return _drawn(frames, frames.count // 2 if index is None else index, media_type, view)

    return _PICTURES.get((*file_key(held), index, media_type, view), made)


def _drawn(frames: Frames, index: int, media_type: str, view: View) -> bytes:
    from dicomfab.pixels.rendering import shown

    pixels = shown(frames, index, view.window)
    rows, columns = pixels.shape[:2]
    viewport = view.viewport
    if viewport is not None and viewport.part_of(columns, rows) is None:
        raise InvalidInput(
            "viewport: the part of the picture lies outside of it",
            field="viewport",
            cause=f"the picture has {columns} columns and {rows} rows",
            remedy="name a part that is in it",
        )
    if viewport is None and 0 < view.longest < max(rows, columns):
        viewport = Viewport(view.longest, view.longest)
    profile = _profile(frames) if view.with_profile and pixels.ndim == 3 else b""
    return encoded(pixels, media_type, viewport=viewport, quality=view.quality, profile=profile)


def _profile(frames: Frames) -> bytes:
    """The ICC profile of an instance, or of its first optical path (PS3.3 C.11.15, C.8.12.5)."""
    element, paths = frames.elements.get(_ICC_PROFILE), frames.elements.get(_OPTICAL_PATHS)
    if element is None and paths is not None and paths.is_sequence:
        first = next(frames.data_set.items(paths), None)
        element = first.find(_ICC_PROFILE) if first is not None else None
    return b"" if element is None else frames.data_set.value(element)


# --- several pictures ---------------------------------------------------------------------------------------------


def _of_many(request: Request, held: Sequence[HeldInstance], view: View) -> Response:
    offer = choose(acceptable(request), (*_IN_PARTS, *_ALONE))
    if not offer.multipart:
        found = _representative(request, held, None, view, offer)
        if found is None:
            raise _nothing("what was asked for")
        return found
    held = list(held)
    for one in held:
        _check_syntax(one)
    etag = entity_tag(held, f"{offer} {view}", weak=True)
    unchanged = not_modified(request, etag)
    return unchanged or _multipart(offer, etag, _all_pictures(request.root, held, offer.name, view), ExitStack())


def _all_pictures(root: str, held: Sequence[HeldInstance], media_type: str, view: View) -> _Parts:
    """The pictures of instances; those without pixel data have none."""
    is_empty = True
    for one in held:
        with ExitStack() as stack:
            frames = _frames(stack, one)
            for part in _pictures(root, one, frames, range(frames.count), media_type, view):
                is_empty = False
                yield part
    if is_empty:
        raise _nothing("what was asked for")


def _pictures(
    root: str, held: HeldInstance, frames: Frames, wanted: Sequence[int], media_type: str, view: View
) -> _Parts:
    for index in wanted:
        place = f"/frames/{index + 1}" if frames.count > 1 else ""
        headers = {"Content-Type": media_type, "Content-Location": f"{address(root, held)}{place}/rendered"}
        yield headers, [_drawn(frames, index, media_type, view)]


def _multipart(offer: Offer, etag: str, parts: _Parts, stack: ExitStack) -> Response:
    boundary = new_boundary()
    headers = {"Content-Type": content_type(offer.name, boundary), "ETag": etag, "Cache-Control": CACHING}
    with stack:
        body = begun(written(parts, boundary), 2)
        return Response(200, headers, UntilSent(stack.pop_all(), body))


# --- documents ----------------------------------------------------------------------------------------------------


def _document(request: Request, held: HeldInstance) -> Response:
    """An encapsulated PDF, without what was added to make its length even (PS3.3 C.24.2)."""
    choose(acceptable(request), [Offer(_PDF)])
    with ExitStack() as stack:
        data_set = open_now(stack, held)
        element = data_set.find(_DOCUMENT)
        if element is None or element.is_sequence or element.start == element.end:
            raise _nothing(f"SOP instance {held.file.identity.sop_instance_uid}")
        length = _document_length(data_set, element.end - element.start)
        etag = entity_tag([held], _PDF)
        unchanged = not_modified(request, etag)
        if unchanged:
            return unchanged
        return single_part(
            request,
            _PDF,
            etag,
            length,
            lambda start, end: UntilSent(stack.pop_all(), value_bytes(data_set.data, element, start, end)),
        )


def _document_length(data_set: DataSet, stored: int) -> int:
    element = data_set.find(_DOCUMENT_LENGTH)
    stated = int.from_bytes(data_set.plain_value(element)[:4], "little") if element else 0
    return stated if 0 < stated <= stored else stored


def _frames(stack: ExitStack, held: HeldInstance) -> Frames:
    return Frames(open_now(stack, held), held.file.identity.transfer_syntax_uid)


def _check(held: HeldInstance, frames: Frames, index: int) -> None:
    if not 0 <= index < frames.count:
        raise NotFound(
            f"there is no frame {index + 1} in SOP instance {held.file.identity.sop_instance_uid}",
            cause=f"it has {frames.count} frames" if frames.count else "it has no pixel data",
            remedy="see NumberOfFrames in its metadata",
        )


def _check_syntax(held: HeldInstance) -> None:
    """Refuse before anything is sent what will not be decoded: a part of the pictures never looks like all."""
    syntax = held.file.identity.transfer_syntax_uid
    if syntax not in ENCAPSULATED and syntax not in NATIVE:
        raise TranscodingFailed(
            f"SOP instance {held.file.identity.sop_instance_uid} of transfer syntax {syntax} cannot be rendered",
            cause="it is a video, or no decoder for it is part of this software",
            remedy="retrieve it as it is stored, or ask for pictures of other instances",
        )


def _nothing(what: str) -> NotAcceptable:
    return NotAcceptable(
        f"there is no picture of {what}",
        cause="it has no pixel data: a report, a plan, a waveform or another object that is no image",
        remedy="retrieve it as application/dicom, or its metadata",
    )
