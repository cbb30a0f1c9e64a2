"""WADO-RS: instances of a study, a series or one alone (PS3.18 10.4), as they are stored or transcoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO, Final

from dicomfab.dicomweb.conditional import CACHING, entity_tag, gone, not_modified, single_part, stat_of
from dicomfab.dicomweb.held import UntilSent, address, begun, held_at
from dicomfab.dicomweb.media_types import DICOM, Offer, acceptable, choose
from dicomfab.dicomweb.messages import CHUNK, OpenFile, Piece, Request, Response
from dicomfab.dicomweb.multipart import content_type, new_boundary, written, written_length
from dicomfab.dicomweb.ports import HeldInstance, WebStore
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, can_transcode

#: Shall not be used with web services (PS3.18 8.7.3).
NOT_ON_THE_WEB: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_BIG})

Chosen = tuple[HeldInstance, Offer]


def retrieve(store: WebStore, request: Request, uids: Mapping[str, str]) -> Response:
    """Answer with instances: one after the other, none held.

    Either all of them can be given as was asked, or none is: a part of a study never looks like the whole.

    Args:
        store: where they are.
        request: with what is accepted.
        uids: what the path names.

    Raises:
        NotFound: there is no such instance.
        NotAcceptable, TranscodingFailed: one cannot be given in any transfer syntax that is accepted.
    """
    held = list(held_at(store, uids))
    ranges = acceptable(request)
    alone = "SOPInstanceUID" in uids
    by_syntax: dict[str, Offer] = {}
    for one in held:
        syntax = one.file.identity.transfer_syntax_uid
        if syntax not in by_syntax:
            by_syntax[syntax] = choose(ranges, offers(syntax, alone=alone))
    chosen = [(one, by_syntax[one.file.identity.transfer_syntax_uid]) for one in held]
    multipart = chosen[0][1].multipart
    etag = entity_tag(held, *(f"{syntax} {offer}" for syntax, offer in by_syntax.items()), weak=multipart)
    unchanged = not_modified(request, etag)
    if unchanged:
        return unchanged
    if not multipart:
        return _single(store, request, chosen[0], etag)
    boundary = new_boundary()
    body = begun(written(_parts(store, request.root, chosen), boundary), 2)
    headers = {"Content-Type": content_type(DICOM, boundary), "ETag": etag, "Cache-Control": CACHING}
    if all(_is_as_stored(one, offer) for one, offer in chosen):
        measured = ((_part_headers(request.root, *one), stat_of(one[0]).st_size) for one in chosen)
        headers["Content-Length"] = str(written_length(measured, boundary))
    return Response(200, headers, body)


def offers(stored: str, *, alone: bool) -> Sequence[Offer]:
    """How an instance can be given.

    Args:
        stored: the transfer syntax that it is in; given unless another one is asked for.
        alone: it may be given as it is, without multipart.
    """
    syntaxes = [] if stored in NOT_ON_THE_WEB else [stored]
    syntaxes += [one for one in (EXPLICIT_LITTLE, DEFLATED) if can_transcode(stored, one)]
    default = EXPLICIT_LITTLE if EXPLICIT_LITTLE in syntaxes else stored
    return [
        Offer(DICOM, multipart, syntax, is_default=syntax == default)
        for multipart in ((True, False) if alone else (True,))
        for syntax in syntaxes
    ]


def _single(store: WebStore, request: Request, chosen: Chosen, etag: str) -> Response:
    held, offer = chosen
    media_type = f"{DICOM}; transfer-syntax={offer.transfer_syntax_uid}"
    with ExitStack() as stack:
        content = _opened(stack, held, _file(stack, store, held, offer))
        length = content.seek(0, 2)
        return single_part(
            request,
            media_type,
            etag,
            length,
            lambda start, end: UntilSent(stack.pop_all(), _pieces(content, start, end)),
        )


def _parts(store: WebStore, root: str, chosen: Sequence[Chosen]) -> Iterator[tuple[Mapping[str, str], Iterator[Piece]]]:
    for held, offer in chosen:
        yield _part_headers(root, held, offer), _content(store, held, offer)


def _part_headers(root: str, held: HeldInstance, offer: Offer) -> Mapping[str, str]:
    media_type = f"{DICOM}; transfer-syntax={offer.transfer_syntax_uid}"
    return {"Content-Type": media_type, "Content-Location": address(root, held)}


def _is_as_stored(held: HeldInstance, offer: Offer) -> bool:
    return offer.transfer_syntax_uid == held.file.identity.transfer_syntax_uid


def _content(store: WebStore, held: HeldInstance, offer: Offer) -> Iterator[Piece]:
    if _is_as_stored(held, offer) and (whole := _as_stored(held)).size_bytes <= CHUNK:
        yield whole
        return
    with ExitStack() as stack:
        content = _opened(stack, held, _file(stack, store, held, offer))
        yield from _pieces(content, 0, os.fstat(content.fileno()).st_size)


def _as_stored(held: HeldInstance) -> OpenFile:
    try:
        return OpenFile(held.file.path)
    except FileNotFoundError as error:
        raise gone(held) from error


def _file(stack: ExitStack, store: WebStore, held: HeldInstance, offer: Offer) -> InstanceFile:
    if _is_as_stored(held, offer):
        return held.file
    return stack.enter_context(store.transcoded(held.file, offer.transfer_syntax_uid))


def _opened(stack: ExitStack, held: HeldInstance, file: InstanceFile) -> BinaryIO:
    try:
        return stack.enter_context(file.path.open("rb", buffering=0))
    except FileNotFoundError as error:
        raise gone(held) from error


def _pieces(content: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    content.seek(start)
    while start < end and (piece := content.read(min(CHUNK, end - start))):
        start += len(piece)
        yield piece
