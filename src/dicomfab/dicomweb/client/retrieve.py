"""WADO-RS: instances as DICOM files, one after the other as they come in (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.connection import Answer, WebConnection
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.incoming import Announced, NotAnInstance, announced
from dicomfab.dicomweb.media_types import DICOM, RELATED
from dicomfab.dicomweb.multipart import MultipartError, read_parts
from dicomfab.model.errors import ConnectionLost, PeerError

OPERATION: Final = "WADO-RS"
_PARTIAL: Final = 206
#: What is accepted, the best first; the next one is tried when a server refuses.
_ACCEPT: Final = (
    f'{RELATED}; type="{DICOM}"; transfer-syntax=*',  # as it is stored
    f'{RELATED}; type="{DICOM}"',
    f"{RELATED}; type={DICOM}",
)
_NOT_LIKE_THIS: Final = frozenset({400, 406, 415})


@dataclass(frozen=True, slots=True)
class Retrieval:
    """An answer under way.

    Args:
        instances: in their order; ``None`` stands for a part that is no instance. What of one is not read before the
            next one is asked for is skipped. Raises a :class:`PeerError` when the answer does not come to its end.
        is_partial: the server says that it does not give everything.
    """

    instances: Iterator[Announced | None]
    is_partial: bool


@contextmanager
def retrieving(peer: WebPeer, path: str) -> Iterator[Retrieval]:
    """Retrieve what a path names, as it is stored if the server gives that.

    Args:
        peer: who holds it.
        path: of a study, series or instance.

    Raises:
        PeerError: it is not given.
    """
    with WebConnection(peer) as connection:
        for number, accept in enumerate(_ACCEPT, 1):
            with connection.asking(OPERATION, path, {"Accept": accept}, read_s=peer.retrieve_s) as answer:
                if answer.status in _NOT_LIKE_THIS and number < len(_ACCEPT):
                    continue
                if answer.status not in (200, _PARTIAL):
                    raise answer.failure()
                yield Retrieval(_instances(answer), answer.status == _PARTIAL)
                return


def _instances(answer: Answer) -> Iterator[Announced | None]:
    media_type = answer.media_type
    if media_type.name == DICOM:  # some servers give a single instance like this
        yield _begun(answer.pieces())
        return
    if media_type.name != RELATED:
        raise explain.other_content(answer.peer, OPERATION, media_type.name)
    parts = read_parts(answer.pieces(), media_type.parameter("boundary"))
    while True:
        try:
            part = next(parts, None)
            if part is None:
                return
            found = _begun(_pieces(answer, part.content))
        except MultipartError as error:
            raise _broken(answer, error) from error
        yield found


def _begun(pieces: Iterator[bytes]) -> Announced | None:
    try:
        return announced(pieces)
    except NotAnInstance:
        return None


def _pieces(answer: Answer, content: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from content
    except MultipartError as error:
        raise _broken(answer, error) from error


def _broken(answer: Answer, error: MultipartError) -> PeerError:
    if "it ends within" in error.what:  # the connection ended where nothing told its length
        lost: ConnectionLost = explain.lost(answer.peer, OPERATION)
        return lost
    return explain.violated(answer.peer, OPERATION, "its multipart body is malformed")
