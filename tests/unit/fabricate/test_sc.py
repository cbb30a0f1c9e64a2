"""Secondary captures: bits packed as the standard wants them, frames that say what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.cards import SYMBOLS_ON_A_CARD
from dicomfab.fabricate.render import document, reformat, turntable
from dicomfab.fabricate.render.bits import packed
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.studies import encoded, read, study

MULTI_FRAME = ("sc-multiframe-bit", "sc-multiframe-byte", "sc-multiframe-word", "sc-multiframe-colour")


@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_frames_of_any_size_are_packed_without_a_gap(count: int, pixels: int, seed: int) -> None:
    frames = np.random.default_rng(seed).random((count, pixels)) < 0.5
    data = b"".join(packed(iter(frames), count))
    assert len(data) == -(-count * pixels // 16) * 2
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    assert np.array_equal(bits[: count * pixels].astype(bool), frames.reshape(-1))
    assert not bits[count * pixels :].any()


def test_there_is_one_buffer_for_each_packed_frame() -> None:
    frames = np.ones((3, 13), np.bool_)
    assert [len(part) for part in packed(iter(frames), 3)] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["sc-rgb", *MULTI_FRAME])
def test_bytes_do_not_depend_on_the_workers(kind: str) -> None:
    one, two = ([encoded(i) for i in fabricate(study(f"{kind}:2"), workers=n)] for n in (1, 2))
    assert one == two


def test_pages_decode_to_what_was_drawn() -> None:
    ds = read(next(fabricate(study("sc-multiframe-bit:3"))))
    assert ds.Rows * ds.Columns % 8  # pages begin within a byte
    assert ds.pixel_array.shape == (3, ds.Rows, ds.Columns)
    for shown, drawn in zip(ds.pixel_array, document.pages(7, 3), strict=True):
        assert np.array_equal(shown.astype(bool), drawn)
        assert 0.8 < drawn.mean() < 0.99
    assert list(ds.PageNumberVector) == [1, 2, 3]


@pytest.mark.parametrize("kind", MULTI_FRAME)
def test_the_vector_of_the_frames_has_a_value_for_each(kind: str) -> None:
    ds = read(next(fabricate(study(f"{kind}:4"))))
    assert ds.NumberOfFrames == 4
    pointed = ds[ds.FrameIncrementPointer]
    assert pointed.keyword == "FrameTime" or len(pointed.value) == 4


def test_the_body_turns() -> None:
    scene = build_thorax(7, "M", "up").scene
    front, side, back = (next(turntable.surfaces(scene, n, 1, 4, 1))[:480] for n in (0, 1, 2))
    widths = [int(np.ptp(np.nonzero(picture.max(axis=(0, 2)))[0])) for picture in (front, side, back)]
    assert widths[1] < 0.85 * widths[0]
    outline = front.max(axis=2) > 0
    mirrored = (back.max(axis=2) > 0)[:, ::-1]
    assert (outline == np.roll(mirrored, 1, axis=1)).mean() > 0.97
    assert (front != back[:, ::-1]).mean() > 0.05


def test_the_brightest_voxels_are_the_bones() -> None:
    scene = build_thorax(7, "M", "up").scene
    picture = next(turntable.brightest(scene, 1, 1))
    assert 0.04 < (picture[:480] > 200).mean() < 0.5


def test_reformats_hold_ct_numbers() -> None:
    ds = read(next(fabricate(study("sc-multiframe-word:5"))))
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    assert ds.RescaleType == "HU"
    assert abs(np.median(hu[2, 100:200, 2:12]) + 1000) < 15
    assert (hu[2] > 300).sum() > 500
    places = [float(value) for value in ds.SliceLocationVector]
    assert places == sorted(places) == [reformat.place_mm(n, 5) for n in range(5)]


def test_a_card_of_single_bits_is_black_and_white_and_names_its_symbols() -> None:
    ds = read(next(fabricate(study("sc-multiframe-bit:2", style="card"))))
    pixels = ds.pixel_array
    assert set(np.unique(pixels)) == {0, 1}
    assert 0.01 < pixels.mean() < 0.3
    assert len(ds.SeriesDescription.split()) >= SYMBOLS_ON_A_CARD
    assert ds.BurnedInAnnotation == "YES"
