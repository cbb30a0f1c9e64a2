"""One instance, file to file, in another transfer syntax: for a peer that refuses the one it is in.

Decoded pixels stay the same and everything else stays as it is, byte for byte where the encoding allows; nothing is
ever compressed with loss. Memory does not grow with the pixel data: frames are decoded one at a time, and native pixel
data are never held at all.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from dicomfab.model.errors import TranscodingFailed
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.rewrite import Rewriter
from dicomfab.pixels.streams import CHUNK, RAW_DEFLATE, Output, Source, inflate
from dicomfab.pixels.syntaxes import ENCAPSULATED, EXPLICIT_LITTLE, NATIVE, can_transcode

_DEFLATE_LEVEL = 6


def transcode(source: InstanceFile, target_transfer_syntax_uid: str, folder: Path) -> InstanceFile:
    """Write an instance in another transfer syntax.

    Args:
        source: the instance; its file is only read.
        target_transfer_syntax_uid: one of :func:`.syntaxes.targets_for` the source's.
        folder: where the new file goes, under a name of its own; temporary files too.

    Returns:
        The new file: the same SOP instance, to be removed by the caller.

    Raises:
        TranscodingFailed: it cannot be read, decoded or written. Nothing is left in ``folder``.
    """
    identity = source.identity
    try:
        if not can_transcode(identity.transfer_syntax_uid, target_transfer_syntax_uid):
            raise TranscodingFailed(
                f"there is no way from transfer syntax {identity.transfer_syntax_uid or '(none)'}",
                cause="no decoder for the one or no encoder for the other is part of this software",
            )
        return _written(source, target_transfer_syntax_uid, folder)
    except (TranscodingFailed, OSError) as error:
        reason = error.what if isinstance(error, TranscodingFailed) else str(error)
        cause = error.cause if isinstance(error, TranscodingFailed) else ""
        raise TranscodingFailed(
            f"SOP instance {identity.sop_instance_uid} cannot be written in transfer syntax "
            f"{target_transfer_syntax_uid}: {reason}",
            cause=cause or "the file or the folder for temporary files cannot be used",
            remedy=f"check {source.path.name} with a DICOM validator, or send it to a server that accepts transfer "
            f"syntax {identity.transfer_syntax_uid}",
        ) from error


def _written(source: InstanceFile, target: str, folder: Path) -> InstanceFile:
    identity = InstanceIdentity(source.identity.sop_class_uid, source.identity.sop_instance_uid, target)
    start = file_header(identity.sop_class_uid, identity.sop_instance_uid, target)
    fd, name = tempfile.mkstemp(suffix=".dcm", dir=folder)
    path = Path(name)
    try:
        with open(fd, "wb", buffering=0):
            output = Output(fd)
            output.write(start)
            _write_data_set(source, target, folder, output)
            output.flush()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return InstanceFile(path, identity, len(start))


def _write_data_set(source: InstanceFile, target: str, folder: Path, output: Output) -> None:
    syntax = source.identity.transfer_syntax_uid
    codec = ENCAPSULATED.get(syntax)
    read, write = NATIVE[EXPLICIT_LITTLE if codec else syntax], NATIVE[target]
    with ExitStack() as files:
        file: BinaryIO = files.enter_context(source.path.open("rb"))
        file.seek(source.dataset_offset)
        position = source.dataset_offset
        if read.deflated:
            inflated = _temporary(files, folder)
            inflate(file, inflated)
            file, position = inflated, 0
        plain = _temporary(files, folder) if write.deflated else None
        output_of_pass = Output(plain.fileno()) if plain else output
        whole = Source(file, position, os.fstat(file.fileno()).st_size)
        Rewriter(whole, output_of_pass, codec).run(read, write)
        if plain:
            output_of_pass.flush()
            plain.seek(0)
            _deflate(plain, output)


def _temporary(files: ExitStack, folder: Path) -> BinaryIO:
    return cast(BinaryIO, files.enter_context(tempfile.TemporaryFile(dir=folder)))


def _deflate(plain: BinaryIO, output: Output) -> None:
    stream = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    start = output.position
    while data := plain.read(CHUNK):
        output.write(stream.compress(data))
    output.write(stream.flush())
    output.write(bytes((output.position - start) % 2))
