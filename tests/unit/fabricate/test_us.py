"""Ultrasound: calibrated regions, the physics of echoes, and what moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import acoustics, doppler, echo, us
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.studies import encoded, read, study

BEAM = acoustics.Beam(3.5, 0.2, 0.32, 1.0, 60.0)
Floats = NDArray[np.float32]


def scanned(*spots: tuple[slice, slice, Tissue]) -> Floats:
    """The echoes of a liver with something in it, (600, 128)."""
    labels = np.full((600, 128), Tissue.LIVER, np.uint8)
    for depth, across, tissue in spots:
        labels[depth, across] = tissue
    speckle = np.random.default_rng(1).standard_normal((2, 600, 128), dtype=np.float32)
    return acoustics.detected(labels, speckle, np.ones((1, 1), np.float32), BEAM, 1)


@pytest.mark.parametrize("kind", ["us-abdomen:2", "us-cine:3", "us-colour:2"])
def test_bytes_do_not_depend_on_the_workers(kind: str) -> None:
    one, two = ([encoded(i) for i in fabricate(study(kind), workers=n)] for n in (1, 2))
    assert one == two


def test_a_cyst_is_black_and_bright_behind() -> None:
    image = scanned((slice(250, 330), slice(44, 84), Tissue.LIVER_CYST))
    liver = image[260:320, 5:35].mean()
    assert image[260:320, 50:78].mean() < 0.3 * liver
    assert image[360:420, 50:78].mean() > image[360:420, 5:35].mean() + 0.05


def test_a_metastasis_is_darker_than_the_liver_but_not_black() -> None:
    image = scanned((slice(250, 330), slice(44, 84), Tissue.LIVER_METASTASIS))
    inside, liver = image[260:320, 50:78].mean(), image[260:320, 5:35].mean()
    assert 0.4 * liver < inside < liver - 0.08


@pytest.mark.parametrize("tissue", [Tissue.STONE, Tissue.BONE, Tissue.GAS])
def test_what_lies_behind_stone_bone_and_gas_is_in_shadow(tissue: Tissue) -> None:
    image = scanned((slice(250, 290), slice(44, 84), tissue))
    assert image[246:256, 54:74].mean() > image[246:256, 5:35].mean() + 0.1  # their surface is bright
    assert image[420:590, 54:74].mean() < 0.6 * image[420:590, 5:35].mean()


def test_depth_is_compensated_in_the_liver() -> None:
    image = scanned()
    assert abs(image[100:200].mean() - image[420:520].mean()) < 0.06


def test_a_cyst_lies_where_and_is_as_large_as_the_calibration_says() -> None:
    view = us.VIEWS[2]
    heading = np.array((np.cos(np.radians(view.heading)), np.sin(np.radians(view.heading))))
    target = np.array(view.target)
    along = target @ heading
    back_mm = along + np.sqrt(along**2 - target @ target + 130**2 - view.place_mm**2)  # to the skin of a ball
    depth_mm, radius_mm = 115.0, 12.0
    x, y = target + (depth_mm - back_mm) * heading
    scene = Scene()
    scene.ellipsoid((0, 0, 0), (130, 130, 130), Tissue.LIVER)
    scene.ellipsoid((x, y, view.place_mm), (radius_mm,) * 3, Tissue.LIVER_CYST)
    image = list(us.images(scene, (0, 0, 0), 1.0, 7, 3, 1))[2]
    row, column = us.CURVED.top + round(depth_mm / us.CURVED.pixel_mm), us.CURVED.columns // 2
    part = image[row - 88 : row + 88, column - 88 : column + 88]
    means = part.reshape(44, 4, 44, 4).mean(axis=(1, 3))  # of 4 x 4 pixels, so that speckle does not count
    rows, columns = np.nonzero(means < 0.5 * np.median(means[:8]))
    assert (rows.mean(), columns.mean()) == pytest.approx((21.5, 21.5), abs=1.0)
    high_mm, wide_mm = ((np.ptp(edge) + 1) * 4 * us.CURVED.pixel_mm for edge in (rows, columns))
    assert high_mm == pytest.approx(2 * radius_mm, abs=2.5)  # a block at each end is partly wall
    assert 0.75 * high_mm < wide_mm <= high_mm + 1.1  # the beam is wider than the pulse is long


def test_the_region_is_that_of_the_sector() -> None:
    for kind, sector in (("us-abdomen:1", us.CURVED), ("us-cine:1", echo.PHASED)):
        ds = read(next(fabricate(study(kind))))
        (region,) = ds.SequenceOfUltrasoundRegions
        assert region.PhysicalUnitsXDirection == region.PhysicalUnitsYDirection == 3
        rows = region.RegionLocationMaxY1 - region.RegionLocationMinY0 - region.ReferencePixelY0
        assert rows * region.PhysicalDeltaY == pytest.approx(sector.depth_mm / 10, abs=0.06)
        shown = ds.pixel_array
        middle = region.RegionLocationMinX0 + region.ReferencePixelX0
        column = np.nonzero(shown[:, middle])[0]
        surface = region.RegionLocationMinY0 + region.ReferencePixelY0
        assert abs(int(column[column >= surface - 2][0]) - surface) <= 12
        part = shown[surface : region.RegionLocationMaxY1, region.RegionLocationMinX0 : region.RegionLocationMaxX1]
        assert (part > 20).mean() > 0.3


def test_images_of_the_belly_differ_and_have_times_in_order() -> None:
    made = [read(one) for one in fabricate(study("us-abdomen:7"))]
    assert [ds.AcquisitionTime for ds in made] == sorted({ds.AcquisitionTime for ds in made})
    assert len({ds.PixelData for ds in made}) == 7
    assert len(us.VIEWS) == 6


def test_the_heart_beats() -> None:
    heart = echo.Heart.of(7)
    beat_frames = 60_000 / heart.rate_bpm / echo.FRAME_TIME_MS
    frames = list(echo.frames(heart, 7, int(beat_frames) + 1, 2))
    assert len(frames) > 15
    cavity = [float((frame[140:300, 380:560] < 40).sum()) for frame in frames]
    smallest = int(np.argmin(cavity))
    assert 0.2 < smallest / beat_frames < 0.6  # in systole, which the R wave begins
    assert cavity[smallest] < 0.8 * cavity[0]


def test_contraction_is_a_cycle() -> None:
    assert echo.contraction(0.0) == echo.contraction(1.0) == 0.0
    assert max(echo.contraction(n / 100) for n in range(100)) == echo.contraction(0.34)


def test_the_cine_says_how_fast_it_is() -> None:
    made = study("us-cine:5")
    ds = read(next(fabricate(made)))
    assert ds.NumberOfFrames == 5
    assert float(ds.FrameTime) == echo.FRAME_TIME_MS
    assert int(ds.HeartRate) == echo.Heart.of(made.body_seed).rate_bpm
    assert ds.pixel_array.shape == (5, 600, 800)


def test_colours_lie_in_the_region_of_flow_and_grow_with_the_pulse() -> None:
    vessel = doppler.Vessel.of(study("us-colour:1").body_seed)
    beat_frames = 60_000 / vessel.rate_bpm / doppler.FRAME_TIME_MS
    ds = read(next(fabricate(study(f"us-colour:{int(beat_frames) + 1}"))))
    tissue, flow = ds.SequenceOfUltrasoundRegions
    assert (tissue.RegionDataType, flow.RegionDataType) == (1, 2)
    frames = ds.pixel_array.astype(np.int16)
    coloured = frames.max(axis=-1) - frames.min(axis=-1) > 40
    coloured[:, :, : tissue.RegionLocationMinX0] = False  # the bar of colours
    left, right = flow.RegionLocationMinX0, flow.RegionLocationMaxX1
    top, bottom = flow.RegionLocationMinY0, flow.RegionLocationMaxY1
    assert coloured.sum() == coloured[:, top : bottom + 1, left : right + 1].sum() > 0
    red = [int(frame[mask][:, 0].sum()) for frame, mask in zip(frames, coloured, strict=True)]
    assert max(red) > 2 * min(red)
    assert red.index(max(red)) / beat_frames < 0.3


def test_the_nyquist_limit_fits_the_repetition_frequency() -> None:
    limit_cm_s = 154_000 * doppler.REPETITION_HZ / (4 * doppler.DOPPLER_MHZ * 1e6)
    assert pytest.approx(limit_cm_s, abs=0.1) == doppler.NYQUIST_CM_S
