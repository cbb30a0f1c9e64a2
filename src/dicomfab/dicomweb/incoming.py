"""The beginning of a DICOM file as it comes in: who it says it is, before the rest is read (PS3.10 7.1)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from dicomfab.model.study import InstanceIdentity
from dicomfab.pixels.data_set import META_BYTES, DamagedInstance, DataSet, identity_in, layout_of
from dicomfab.pixels.syntaxes import DEFLATED

#: How much of an instance is looked at before the rest is taken.
HEAD_BYTES: Final = META_BYTES
_STUDY: Final = 0x0020000D


class Announced(NamedTuple):
    """What the beginning of a file tells.

    Args:
        identity: from the file meta information.
        study_instance_uid: from the data set; empty if it stands behind what was looked at, or nowhere.
        content: the data set, in pieces.
    """

    identity: InstanceIdentity
    study_instance_uid: str
    content: Iterator[bytes]


class NotAnInstance(Exception):
    """What came is no DICOM file, or does not say which instance it is."""


def announced(pieces: Iterator[bytes]) -> Announced:
    """Read the beginning of a DICOM file.

    Args:
        pieces: the file; at most 64 KiB and one piece of it are held.

    Raises:
        NotAnInstance: it is none, or its file meta information lacks a UID or has one that is none.
    """
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    start = bytes(head)
    try:
        identity, offset = identity_in(start)
    except DamagedInstance as error:
        raise NotAnInstance from error
    content = start[offset:]
    return Announced(identity, _study(content, identity.transfer_syntax_uid), chain((content,), pieces))


def _study(content: bytes, transfer_syntax_uid: str) -> str:
    """The Study Instance UID, as far as it is within reach; the store reads it again."""
    try:
        if transfer_syntax_uid == DEFLATED:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, HEAD_BYTES * 4)
        head = DataSet(content, 0, len(content), layout_of(transfer_syntax_uid))
        element = head.find(_STUDY)
    except (DamagedInstance, zlib.error):
        return ""
    return head.value(element).decode("latin-1").strip("\0 ") if element else ""
