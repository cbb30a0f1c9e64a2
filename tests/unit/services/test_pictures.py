from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomfab.model.errors import InstanceUnreadable, NotFound
from dicomfab.services import pictures
from tests.unit.pixels.instances import data_set, picture, write


def cine(folder: Path) -> Path:
    """Four frames, one brighter than the other."""
    frames = np.stack([np.full((40, 60), level, np.uint8) for level in (10, 80, 160, 250)])
    ds = data_set(frames, bits=8, frames=4)
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    return write(ds, folder / "cine.dcm").path


def image(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_the_middle_frame_is_shown_unless_another_one_is_asked_for(tmp_path: Path) -> None:
    path = cine(tmp_path)
    assert pictures.frames_of(path) == 4
    for frame, level in ((None, 160), (0, 10), (3, 250)):
        found = np.asarray(image(pictures.png(path, frame=frame)))
        assert found.shape == (40, 60)
        assert np.abs(found.astype(int) - level).max() <= 1


def test_a_picture_is_shrunk_and_never_enlarged(tmp_path: Path) -> None:
    path = cine(tmp_path)
    assert image(pictures.png(path, longest=30)).size == (30, 20)
    assert image(pictures.png(path, longest=300)).size == (60, 40)


@pytest.mark.parametrize(
    ("keyword", "value"), [("PixelData", None), ("Rows", None), ("NumberOfFrames", 0), ("BitsAllocated", 12)]
)
def test_what_cannot_be_shown_is_told_with_its_reason(tmp_path: Path, keyword: str, value: int | None) -> None:
    ds = data_set(picture(bits=8), bits=8)
    if value is None:
        delattr(ds, keyword)
    else:
        setattr(ds, keyword, value)
    with pytest.raises(NotFound, match="no picture") as told:
        pictures.png(write(ds, tmp_path / "a.dcm").path)
    assert told.value.cause


@pytest.mark.parametrize("frame", [-1, 4])
def test_a_frame_that_is_not_there_is_told(tmp_path: Path, frame: int) -> None:
    with pytest.raises(NotFound) as told:
        pictures.png(cine(tmp_path), frame=frame)
    assert "4 frames" in told.value.cause


def test_what_is_no_dicom_file_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no DICOM")
    for name in ("text", "missing"):
        for ask in (pictures.png, pictures.frames_of):
            with pytest.raises(NotFound):
                ask(tmp_path / name)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = cine(tmp_path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InstanceUnreadable):
        pictures.frames_of(path)
    with pytest.raises(NotFound):
        pictures.png(path)
