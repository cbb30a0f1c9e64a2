"""Files as pieces of a body: read where they are sent, closed whatever happens to the answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.media_types import DICOM
from dicomfab.dicomweb.messages import OpenFile, Request
from tests.unit.dicomweb.asking import ROOT, place, related
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.dicomweb.test_json_model import file_of
from tests.unit.dicomweb.test_wado import EXPLICIT
from tests.unit.pixels.instances import data_set, picture


def test_it_is_read_although_it_was_deleted_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"content")
    piece = OpenFile(path)
    path.unlink()
    assert (piece.size_bytes, piece.read()) == (7, b"content")


def test_it_tells_of_what_was_just_written_that_it_is_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(bytes(100_000))
    if not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("this system cannot tell")
    assert OpenFile(path).will_not_wait() in (True, False)
    (tmp_path / "empty").touch()
    assert not OpenFile(tmp_path / "empty").will_not_wait()
    with pytest.raises(FileNotFoundError):
        OpenFile(tmp_path / "none")


def test_an_answer_that_nobody_reads_leaves_no_file_open(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, [file_of(data_set(picture(bits=8), bits=8), tmp_path, EXPLICIT)])
    asked = Request("GET", place(store.held[0][0]), ROOT, (), {"accept": related(DICOM)})

    def left_open() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = left_open()
    for _ in range(20):
        response = Handler().answer(store, asked)
        assert response.status == 200
        response.close()
        del response
    assert left_open() <= before
