"""The whole slide: levels of one picture, true places and sizes, a label that can be read."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.fabricate.render import slide
from dicomfab.fabricate.study import count, fabricate
from tests.unit.fabricate.studies import encoded, read, study


@pytest.fixture(scope="module")
def images() -> list[Dataset]:
    return [read(one) for one in fabricate(study("wsi:4"))]


def whole(ds: Dataset) -> NDArray[np.uint8]:
    """The total pixel matrix."""
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns, 3)
    across = -(-ds.TotalPixelMatrixColumns // ds.Columns)
    rows = [np.hstack(list(frames[n : n + across])) for n in range(0, len(frames), across)]
    return np.asarray(np.vstack(rows)[: ds.TotalPixelMatrixRows, : ds.TotalPixelMatrixColumns])


def test_bytes_do_not_depend_on_the_workers() -> None:
    one, two = ([encoded(i) for i in fabricate(study("wsi:2"), workers=n)] for n in (1, 2))
    assert one == two
    assert len(one) == count(study("wsi:2")) == 5


def test_memory_does_not_grow_with_the_slide() -> None:
    level = slide.Level(2048, 1)
    next(slide.tiles(level, 7, 2))  # compiled before measuring
    tracemalloc.start()
    assert sum(1 for _ in slide.tiles(level, 7, 2)) == 64
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6  # the tiles hold 12.6 MB


def test_three_levels_label_and_overview(images: list[Dataset]) -> None:
    assert [ds.ImageType[2] for ds in images] == ["VOLUME"] * 3 + ["LABEL", "OVERVIEW"]
    assert [ds.TotalPixelMatrixColumns for ds in images[:3]] == [256, 512, 1024]
    assert [ds.NumberOfFrames for ds in images] == [1, 4, 16, 1, 1]
    assert len({ds.SeriesInstanceUID for ds in images}) == len({ds.FrameOfReferenceUID for ds in images}) == 1
    assert [ds.InstanceNumber for ds in images] == [1, 2, 3, 4, 5]
    assert len({ds.PyramidUID for ds in images[:3]}) == 1
    base = images[2]
    assert {ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in images[:2]} == {base.SOPInstanceUID}
    assert list(base.ImageType) == ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


def test_a_level_is_the_mean_of_the_one_below(images: list[Dataset]) -> None:
    base, middle = whole(images[2]).astype(np.float64), whole(images[1]).astype(np.float64)
    mean = base.reshape(512, 2, 512, 2, 3).mean(axis=(1, 3))
    below = slice(60, 512)  # of the mark, which each level draws with its own pixels
    assert np.abs(mean[below] - middle[below]).max() < 1.5


def test_tiles_fit_together(images: list[Dataset]) -> None:
    base = whole(images[2]).astype(np.float64)
    steps = np.abs(np.diff(base, axis=1)).mean(axis=(0, 2))
    seams = steps[[255, 511, 767]]
    assert seams.mean() < 1.3 * steps[200:824].mean()


def test_sizes_and_places_are_true(images: list[Dataset]) -> None:
    for ds in images:
        spacing = [float(value) for value in ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing]
        assert ds.ImagedVolumeWidth == pytest.approx(ds.TotalPixelMatrixColumns * spacing[1])
        assert ds.ImagedVolumeHeight == pytest.approx(ds.TotalPixelMatrixRows * spacing[0])
    corners = [ds.TotalPixelMatrixOriginSequence[0] for ds in images]
    assert len({(c.XOffsetInSlideCoordinateSystem, c.YOffsetInSlideCoordinateSystem) for c in corners[:3]}) == 1
    overview, base = images[4], images[2]
    assert tuple(overview.ImageOrientationSlide) == tuple(base.ImageOrientationSlide) == (0, -1, 0, -1, 0, 0)
    picture = whole(overview).astype(np.int16)
    pink = (picture[..., 0] - picture[..., 1] > 25) & (np.arange(1500)[None, :] > 500)
    rows, columns = np.nonzero(pink)
    left = (float(corners[4].YOffsetInSlideCoordinateSystem) - float(corners[2].YOffsetInSlideCoordinateSystem)) / 0.05
    top = (float(corners[4].XOffsetInSlideCoordinateSystem) - float(corners[2].XOffsetInSlideCoordinateSystem)) / 0.05
    size = base.ImagedVolumeWidth / 0.05
    assert left - 1.5 <= columns.min() <= columns.max() <= left + size + 1.5
    assert top - 1.5 <= rows.min() <= rows.max() <= top + size + 1.5


def test_tissue_is_pink_and_blue_on_white_glass(images: list[Dataset]) -> None:
    base = whole(images[2])
    corner = base[-40:, :40]
    assert (corner == corner[0, 0]).all()
    assert corner[0, 0].min() > 235
    middle = base[400:700, 300:700].reshape(-1, 3).astype(np.int16)
    nuclei = (middle[:, 2] > middle[:, 0] + 10) & (middle[:, 0] < 110)
    stroma = (middle[:, 0] > 170) & (middle[:, 0] > middle[:, 1] + 40)
    assert nuclei.mean() > 0.03
    assert stroma.mean() > 0.1


def test_the_bar_code_says_the_container(images: list[Dataset]) -> None:
    label = images[3]
    text = label.ContainerIdentifier
    assert label.BarcodeValue == text
    assert label.LabelText.startswith(text)
    dark = whole(label)[60, :, 0] < 128
    first = int(np.nonzero(dark)[0][0])
    modules = slide.code39(text)
    assert tuple(dark[first : first + 2 * len(modules) : 2]) == modules
    assert label.SpecimenLabelInImage == label.BurnedInAnnotation == "YES"
    assert {ds.SpecimenDescriptionSequence[0].SpecimenIdentifier for ds in images} == {text}


def test_code_39_has_three_wide_of_nine_in_each_character() -> None:
    # Start and stop, as ISO/IEC 16388 draws them.
    star = (1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1)
    assert slide.code39("") == tuple(map(bool, (*star, 0, *star)))
    assert len(slide.code39("SYN123456-1")) == 13 * 13 - 1
