"""Pictures in visible light: colours, rulers and lesions that are what they seem."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ImageCms

from dicomfab.fabricate.render import endoscopy, photo
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.studies import encoded, read, study


@pytest.mark.parametrize("kind", ["es-endoscopy:2", "vl-photo:2"])
def test_bytes_do_not_depend_on_the_workers(kind: str) -> None:
    one, two = ([encoded(i) for i in fabricate(study(kind), workers=n)] for n in (1, 2))
    assert one == two


def test_the_profile_is_srgb_and_undated() -> None:
    for kind in ("es-endoscopy:1", "vl-photo:1"):
        ds = read(next(fabricate(study(kind))))
        profile = ImageCms.ImageCmsProfile(io.BytesIO(ds.ICCProfile))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert profile.profile.creation_date.year == 2000
        assert ds.ColorSpace == "SRGB"


def test_patches_have_their_colours() -> None:
    picture = next(photo.images(7, 7, 1, 1))
    for number, colour in enumerate(photo.PATCHES):
        left, top, right, bottom = photo.patch_box(number)
        assert (picture[top : bottom + 1, left : right + 1] == colour).all()


@pytest.mark.parametrize("index", [0, 1])
def test_the_ruler_is_true(index: int) -> None:
    picture = list(photo.images(7, 7, 2, 1))[index]
    row = picture[photo.ROWS - 180 + 14, :, 0] < 100
    starts = np.nonzero(row[1:] & ~row[:-1])[0]
    assert np.diff(starts).mean() == pytest.approx(1 / photo.PIXELS_MM[index], rel=0.01)


def test_the_lesion_is_brown_and_as_large_as_it_says() -> None:
    picture = next(photo.images(7, 7, 1, 1))[: photo.ROWS - 200, : photo.COLUMNS - 200].astype(np.int16)
    dark = picture[..., 1] < 95
    area_mm2 = dark.sum() * photo.PIXELS_MM[0] ** 2
    circle_mm2 = np.pi * photo.Mole.of(7).radius_mm ** 2
    assert 0.35 * circle_mm2 < area_mm2 < 1.4 * circle_mm2
    assert (picture[dark].mean(axis=0)[:2] > picture[dark].mean(axis=0)[1:]).all()  # red over green over blue


def test_the_endoscope_sees_a_round_picture_and_the_polyp_grows() -> None:
    pictures = list(endoscopy.images(7, 3, 2))
    row, column = np.mgrid[0 : endoscopy.ROWS, 0 : endoscopy.COLUMNS]
    away = np.hypot(row - endoscopy.CENTRE[0], column - endoscopy.CENTRE[1])
    crimson = []
    for picture in pictures:
        assert picture[(away > endoscopy.RADIUS + 1) & (row < 540)].max() == 0
        inside = picture[away < 0.95 * endoscopy.RADIUS].astype(np.float64)
        assert inside[:, 0].mean() > inside[:, 1].mean() > inside[:, 2].mean() > 10
        lit = inside[inside[:, 0] > 120]
        crimson.append(int((lit[:, 1] < 0.48 * lit[:, 0]).sum()))
    assert crimson[-1] > 3 * crimson[0]
