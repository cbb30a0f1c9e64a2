"""Our marks in instances that come from outside: what they prove, and whether the instance is whole."""

from __future__ import annotations

import io
import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.elements import UNDEFINED, look_ahead, read_header
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Encoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dicomfab.model.study import InstanceFile

SYNTHETIC_DATA: Final = 0x0008001C
STUDY_INSTANCE_UID: Final = 0x0020000D
# Our private block, as fabricated: creator, version, recipe hash, and the names of declared defects if there are some.
CREATOR, RECIPE_HASH, DEFECTS = 0x00990010, 0x00991002, 0x00991004
_WANTED: Final = frozenset({SYNTHETIC_DATA, STUDY_INSTANCE_UID, CREATOR, RECIPE_HASH, DEFECTS})
_BEYOND: Final = 1 << 32  # no tag is greater
_HEADER_BYTES: Final = 16 << 20  # of a deflated data set; every header ends before
_MAX_VALUE_BYTES: Final = 1024
#: So much of the beginning of a data set has our marks, if it has any.
HEAD_BYTES: Final = 1 << 20
_START_BYTES: Final = 16 << 10  # most headers end before


@dataclass(frozen=True, slots=True)
class Marks:
    """What an instance says about its making.

    Args:
        is_marked: it carries SyntheticData = YES and our private block.
        is_proven: its Study Instance UID follows from the recipe hash in the block, so that the study is ours.
        study_instance_uid: (0020,000D) as it stands there.
        says_synthetic: it carries SyntheticData = YES, whoever wrote that.
        has_defect: it is of a study that was fabricated with declared defects.
    """

    is_marked: bool = False
    is_proven: bool = False
    study_instance_uid: str = ""
    says_synthetic: bool = False
    has_defect: bool = False


def marks_of(file: InstanceFile) -> Marks:
    """Look for SyntheticData (0008,001C) and our private block, in one walk over all elements; most are skipped.

    Raises:
        TranscodingFailed: the data set is cut short or cannot be parsed; only the start of a deflated one is read.
        OSError: the file cannot be read.
    """
    with _opened(file) as (source, encoding):
        found = _texts(source, encoding, _WANTED)
    return proven(found, found.get(STUDY_INSTANCE_UID, ""))


def marks_at_start(file: InstanceFile) -> Marks:
    """The same without a look at what comes behind the private block: whether the instance is whole is not told.

    Raises:
        TranscodingFailed, OSError: as :func:`marks_of`.
    """
    with _opened(file) as (source, encoding):
        start, size = source.position, source.size - source.position
        head = source.take(min(_START_BYTES, size))
        try:  # in memory, since seeking in a file costs more than all the rest
            return _first_marks(Source(io.BytesIO(head), 0, size), encoding)
        except TranscodingFailed:
            source.seek(start)
            return _first_marks(source, encoding)


def marks_in(head: bytes, size_bytes: int, transfer_syntax_uid: str) -> Marks:
    """The same in the beginning of a data set that is coming in; no marks where that cannot be parsed.

    Args:
        head: its first bytes, :data:`HEAD_BYTES` or all of them.
        size_bytes: of all of it.
        transfer_syntax_uid: of all of it.
    """
    encoding = NATIVE.get(transfer_syntax_uid, NATIVE[EXPLICIT_LITTLE])
    try:
        if encoding.deflated:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, _HEADER_BYTES)
            size_bytes = len(head)
        return _first_marks(Source(io.BytesIO(head), 0, size_bytes), encoding)
    except (TranscodingFailed, zlib.error):
        return Marks()


def _first_marks(source: Source, encoding: Encoding) -> Marks:
    found = _texts(source, encoding, _WANTED, to_the_end=False)
    return proven(found, found.get(STUDY_INSTANCE_UID, ""))


def proven(found: Mapping[int, str], study_instance_uid: str) -> Marks:
    """What values by tag prove of a study: SyntheticData, the block's creator, the recipe hash."""
    from dicomfab.fabricate.iods.common import PRIVATE_CREATOR
    from dicomfab.fabricate.seeds import uid

    says, recipe_hash = found.get(SYNTHETIC_DATA) == "YES", found.get(RECIPE_HASH, "")
    is_ours = says and found.get(CREATOR) == PRIVATE_CREATOR and bool(recipe_hash)
    is_proven = is_ours and study_instance_uid == uid(recipe_hash, "study")
    return Marks(is_ours, is_proven, study_instance_uid, says, is_ours and bool(found.get(DEFECTS)))


def uids_of(file: InstanceFile, tags: Sequence[int]) -> list[str]:
    """UIDs of the top level, empty where there are none.

    Raises:
        TranscodingFailed, OSError: as :func:`marks_of`.
    """
    with _opened(file) as (source, encoding):
        found = _texts(source, encoding, frozenset(tags))
    return [found.get(tag, "") for tag in tags]


@contextmanager
def _opened(file: InstanceFile) -> Iterator[tuple[Source, Encoding]]:
    encoding = NATIVE.get(file.identity.transfer_syntax_uid, NATIVE[EXPLICIT_LITTLE])
    with file.path.open("rb") as opened:
        opened.seek(file.dataset_offset)
        if not encoding.deflated:
            yield Source(opened, file.dataset_offset, os.fstat(opened.fileno()).st_size), encoding
            return
        try:
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(opened.read(_HEADER_BYTES), _HEADER_BYTES)
        except zlib.error as error:
            raise TranscodingFailed(f"the data set cannot be inflated ({error})", cause="it is damaged") from error
        yield Source(io.BytesIO(plain), 0, len(plain)), encoding


def _texts(source: Source, encoding: Encoding, wanted: frozenset[int], *, to_the_end: bool = True) -> dict[int, str]:
    """Short values of the top level, by tag; the whole data set is walked over, or only what may hold them."""
    found: dict[int, str] = {}
    last, previous = max(wanted), -1
    while source.position < source.size:
        begin = source.position
        tag, _, length = read_header(source, encoding)
        if tag <= previous:  # else two readers could take it for two instances
            raise TranscodingFailed("its elements are not in order (PS3.5 7.1)", cause="it is damaged")
        previous = tag
        if tag > last and (encoding.deflated or not to_the_end):
            return found
        if length == UNDEFINED:
            source.seek(begin)
            look_ahead(source, encoding, begin + 1, _BEYOND)  # over this one element
        elif tag in wanted and length <= _MAX_VALUE_BYTES:
            found[tag] = source.take(length).decode("latin-1").strip("\0 ")
        else:
            source.seek(source.position + length)
        if tag == last and (encoding.deflated or not to_the_end):
            return found
    if source.position != source.size:
        raise TranscodingFailed(f"the file ends at byte {source.size}, within an element", cause="it was cut short")
    return found
