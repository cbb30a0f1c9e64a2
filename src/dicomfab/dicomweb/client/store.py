"""STOW-RS: instances from files in one request, and what the answer says of each (PS3.18 10.5, annex I)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.connection import Answer, WebConnection
from dicomfab.dicomweb.client.search import read_json
from dicomfab.dicomweb.media_types import DICOM, DICOM_JSON, JSON
from dicomfab.dicomweb.multipart import content_type, new_boundary, written, written_length
from dicomfab.model.study import InstanceFile

OPERATION: Final = "STOW-RS"
#: A request has no more instances, and no more bytes unless it is a single instance.
MAX_INSTANCES: Final = 100
MAX_BYTES: Final = 64 << 20
_CHUNK: Final = 256 << 10
_HEADERS: Final = {"Content-Type": DICOM}
#: What an answer with an account of the instances comes with (table 10.5.3-1).
_ACCOUNTED: Final = frozenset({200, 202, 409})

_REFERENCED: Final = "00081199"
_FAILED: Final = "00081198"
_INSTANCE: Final = "00081155"
_WARNING_REASON: Final = "00081196"
_FAILURE_REASON: Final = "00081197"
_PROCESSING_FAILURE: Final = 0x0110


class FileUnreadable(Exception):
    """The file of an instance cannot be read, or not to its end; the request was broken off.

    Args:
        instance: whose file.
        why: what the operating system said.
    """

    def __init__(self, instance: InstanceFile, why: OSError | EOFError) -> None:
        super().__init__(str(why))
        self.instance = instance
        self.why = why


class Stopped(Exception):
    """Whoever sends has stopped it; the request was broken off."""


@dataclass(frozen=True, slots=True)
class Account:
    """What an answer says.

    Args:
        stored: SOP instance UID -> warning reason (0008,1196), 0 if there is none.
        failed: SOP instance UID -> failure reason (0008,1197).
    """

    stored: Mapping[str, int]
    failed: Mapping[str, int]


def groups(instances: Sequence[InstanceFile]) -> Iterator[list[InstanceFile]]:
    """Instances in their order, as many together as one request may have."""
    group: list[InstanceFile] = []
    size = 0
    for instance in instances:
        own = _size(instance)
        if group and (len(group) == MAX_INSTANCES or size + own > MAX_BYTES):
            yield group
            group, size = [], 0
        group.append(instance)
        size += own
    if group:
        yield group


def store(
    connection: WebConnection,
    instances: Sequence[InstanceFile],
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Account:
    """Send instances in one request, each as its file is, and read what became of them.

    Args:
        connection: to the server.
        instances: at least one.
        cancelled: asked between pieces; true breaks the request off.

    Returns:
        The account of the answer. An instance that it does not name was not stored as far as anyone knows.

    Raises:
        FileUnreadable: one of the files; nobody knows what became of the others.
        Stopped: it was cancelled.
        PeerError: there is no account.
    """
    boundary = new_boundary()
    with ExitStack() as stack:
        opened = [(instance, _open(stack, instance)) for instance in instances]
        sizes = [os.fstat(file.fileno()).st_size for _, file in opened]
        length = written_length(((_HEADERS, size) for size in sizes), boundary)
        parts = (
            (_HEADERS, _content(instance, file, size, cancelled))
            for (instance, file), size in zip(opened, sizes, strict=True)
        )
        headers = {
            "Accept": f"{DICOM_JSON}, {JSON};q=0.9",
            "Content-Type": content_type(DICOM, boundary),
            "Content-Length": str(length),
        }
        peer = connection.peer
        asked = connection.asking(
            OPERATION, "/studies", headers, method="POST", content=written(parts, boundary), read_s=peer.retrieve_s
        )
        with asked as answer:
            return _account(answer)


def _account(answer: Answer) -> Account:
    if answer.status not in _ACCOUNTED:
        raise answer.failure()
    if answer.status == 409 and answer.media_type.name not in (DICOM_JSON, JSON):
        raise answer.failure()
    told = read_json(answer)
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    if not isinstance(told, dict):
        raise explain.violated(answer.peer, OPERATION, "its answer is no data set")
    failed = dict(_items(told, _FAILED, _FAILURE_REASON, _PROCESSING_FAILURE))
    stored = {uid: reason for uid, reason in _items(told, _REFERENCED, _WARNING_REASON, 0) if uid not in failed}
    if answer.status == 409 and not (failed or stored):
        raise answer.failure()
    return Account(stored, failed)


def _items(told: Mapping[str, Any], sequence: str, reason: str, default: int) -> Iterator[tuple[str, int]]:
    for item in _values(told, sequence):
        uids = _values(item, _INSTANCE) if isinstance(item, dict) else []
        if uids and isinstance(uids[0], str):
            reasons = _values(item, reason)
            number = reasons[0] if reasons else default
            yield uids[0].strip("\0 "), number & 0xFFFF if isinstance(number, int) else default


def _values(data_set: Mapping[str, Any], tag: str) -> list[Any]:
    attribute = data_set.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []


def _content(instance: InstanceFile, file: BinaryIO, size: int, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    left = size
    while left:
        if cancelled():
            raise Stopped
        try:
            piece = file.read(min(_CHUNK, left))
        except OSError as error:
            raise FileUnreadable(instance, error) from error
        if not piece:
            raise FileUnreadable(instance, EOFError("it ended early"))
        left -= len(piece)
        yield piece


def _open(stack: ExitStack, instance: InstanceFile) -> BinaryIO:
    try:
        return stack.enter_context(instance.path.open("rb"))
    except OSError as error:
        raise FileUnreadable(instance, error) from error


def _size(instance: InstanceFile) -> int:
    try:
        return instance.path.stat().st_size
    except OSError:  # it is told when it is opened
        return 0
