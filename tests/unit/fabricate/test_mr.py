"""MR of brain and knee: the physics of the sequences, where sections lie, and that they show what they should."""

from __future__ import annotations

import numpy as np
import pytest

from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.iods.mr_protocols import FLAIR, PROTOCOLS, T1, T2, stack
from dicomfab.fabricate.render.mr import Sequence
from dicomfab.fabricate.render.relaxation import SPINS
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.sections import around, body, labels, made, mean, nearest, position, series, with_lesion
from tests.unit.fabricate.studies import encoded, study

GREY, WHITE, CSF = (SPINS[tissue] for tissue in (Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.CSF))


def test_every_tissue_has_spins() -> None:
    assert set(SPINS) == set(Tissue)


def test_sequences_order_tissues_as_they_should() -> None:
    t1, t2, flair = (protocol.sequence.signal for protocol in (T1, T2, FLAIR))
    assert t1(WHITE) > t1(GREY) > t1(CSF)
    assert t2(CSF) > t2(GREY) > t2(WHITE)
    assert flair(CSF) < 0.3 * flair(WHITE) < flair(SPINS[Tissue.OEDEMA])


def test_fat_saturation_takes_fat_alone() -> None:
    plain, saturated = Sequence(3000, 30), Sequence(3000, 30, fat_saturated=True)
    assert saturated.signal(SPINS[Tissue.FAT]) < 0.15 * plain.signal(SPINS[Tissue.FAT])
    assert saturated.signal(CSF) == plain.signal(CSF)


@pytest.mark.parametrize("kind", [*PROTOCOLS, "mr-enhanced"])
def test_the_same_bytes_on_one_and_two_workers(kind: str) -> None:
    one, two = ([encoded(i) for i in fabricate(study(f"{kind}:3"), workers=n)] for n in (1, 2))
    assert one == two


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("seed", [1, 2, 5, 9])
def test_the_mark_stands_beside_the_body(kind: str, seed: int) -> None:
    for protocol in PROTOCOLS[kind]:
        slices = stack(protocol, 9)
        scene = body(kind, protocol.region, seed).scene
        for index in range(9):
            volume = scene.voxels(slices.grid(index))
            plane = volume[0] if protocol.plane == "axial" else volume[:, 0]
            beside = plane[85:300, :18]
            assert not beside.any()


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_sections_are_stacks_across_their_plane(kind: str) -> None:
    instances = made(kind, 4)
    for uid in dict.fromkeys(ds.SeriesInstanceUID for ds in instances):
        slices = [ds for ds in instances if ds.SeriesInstanceUID == uid]
        normal = np.cross(*np.array(slices[0].ImageOrientationPatient, np.float64).reshape(2, 3))
        steps = np.diff([position(ds) for ds in slices[:4]], axis=0)
        assert np.allclose(np.abs(steps @ normal), float(slices[0].SpacingBetweenSlices))
        assert [int(ds.InstanceNumber) for ds in slices] == list(range(1, len(slices) + 1))
        assert len({ds.SeriesTime for ds in slices}) == 1
        assert float(slices[0].SliceThickness) <= float(slices[0].SpacingBetweenSlices)
    assert len({ds.FrameOfReferenceUID for ds in instances}) == 1


def test_the_diffusion_series_holds_both_weightings() -> None:
    instances = made("mr-brain", 2)
    weighted = series(instances, "DWI")
    assert [ds.DiffusionBValue for ds in weighted] == [0, 0, 1000, 1000]
    adc = series(instances, "ADC")
    assert len(adc) == 2
    assert list(adc[0].ImageType) == ["DERIVED", "PRIMARY", "DIFFUSION MAP", "ADC"]
    assert adc[0].SeriesInstanceUID != weighted[0].SeriesInstanceUID


def test_the_map_holds_the_diffusion_of_the_tissues() -> None:
    adc = series(made("mr-brain", 9), "ADC")[4]
    places = labels(adc, body("mr-brain", "head"))
    assert mean(adc, places, Tissue.WHITE_MATTER) == pytest.approx(720, rel=0.1)
    assert mean(adc, places, Tissue.CSF) > 1500


def test_an_infarct_is_bright_in_diffusion_and_dark_in_its_map() -> None:
    seed, lesion = with_lesion("mr-brain", "head", "infarct")
    instances = made("mr-brain", 40, seed)
    weighted = [ds for ds in series(instances, "DWI") if ds.DiffusionBValue == 1000]
    for slices, brighter in ((weighted, True), (series(instances, "FLAIR"), True), (series(instances, "ADC"), False)):
        ds = nearest(slices, lesion.centre_mm)
        inside, outside = around(ds, lesion, 0, 0.5), around(ds, lesion, 1.6, 2.2)
        assert inside > 1.2 * outside if brighter else inside < 0.8 * outside, ds.SeriesDescription


def test_a_bone_bruise_is_bright_where_fat_is_saturated() -> None:
    seed, lesion = with_lesion("mr-knee", "knee", "bone bruise")
    instances = made("mr-knee", 30, seed)
    for description, brighter in (("PD TSE FS", True), ("T1 TSE", False)):
        ds = nearest(series(instances, description), lesion.centre_mm)
        inside, outside = around(ds, lesion, 0, 0.6), around(ds, lesion, 1.4, 1.8)
        assert inside > 2 * outside if brighter else inside < 0.9 * outside
    assert {ds.Laterality for ds in instances} <= {"L", "R"}


def test_the_enhanced_mr_is_the_same_brain() -> None:
    frames, slices = made("mr-enhanced", 3)[0], series(made("mr-brain", 3), "T2 TSE")
    assert frames.NumberOfFrames == 3
    for n, ds in enumerate(slices):
        assert np.allclose(position(frames, n), position(ds))
        assert np.array_equal(frames.pixel_array[n], ds.pixel_array)
