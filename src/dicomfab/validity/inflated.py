"""Copies of deflated instances (PS3.5 annex A.5) for dciodvfy and dcentvfy, which cannot inflate."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dicomfab.model.part10 import file_header
from dicomfab.pixels.streams import CHUNK
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE
from dicomfab.validity.instance import Instance, opened
from dicomfab.validity.summary import Summary

_PIXEL_HEADER_BYTES = 12


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Whether the external validators need a copy."""
    encoding = NATIVE.get(transfer_syntax_uid)
    return encoding is not None and encoding.deflated


@contextmanager
def inflated(instance: Instance) -> Iterator[Path]:
    """A file that the external validators can read: the instance's own, or a copy for as long as the block runs."""
    if not is_deflated(instance.transfer_syntax_uid):
        yield instance.path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _copy(instance, Path(folder) / "inflated.dcm", None)


@contextmanager
def inflated_headers(summaries: Sequence[Summary]) -> Iterator[dict[Path, Path]]:
    """Files for comparing entities: each instance's own, or a copy up to its pixel data; the originals by them."""
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, summary in enumerate(summaries):
            if not is_deflated(summary.transfer_syntax_uid):
                files[summary.path] = summary.path
                continue
            with opened(summary.path) as instance:
                pixels = instance.pixel_element()
                end = pixels.position - _PIXEL_HEADER_BYTES if pixels else None
                files[_copy(instance, Path(folder) / f"{number}.dcm", end)] = summary.path
        yield files


def _copy(instance: Instance, target: Path, end: int | None) -> Path:
    with target.open("wb") as file:
        file.write(file_header(instance.sop_class_uid, instance.sop_instance_uid, EXPLICIT_LITTLE))
        instance.file.seek(0)
        if end is None:
            shutil.copyfileobj(instance.file, file, CHUNK)
        else:
            file.write(instance.file.read(end))
    return target
