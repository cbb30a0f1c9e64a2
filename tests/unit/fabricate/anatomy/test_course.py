"""Lesions between examinations: the same places, other sizes, and only what is said about them changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.fabricate.anatomy import regions
from dicomfab.fabricate.anatomy.course import Course
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.truth import truth
from tests.unit.fabricate.studies import study


def sizes(seed: int, region: str, months: int) -> dict[tuple[str, tuple[float, ...]], float]:
    body = regions.build(region, seed, "F", months=months)  # type: ignore[arg-type]
    return {(one.kind, one.centre_mm): one.radii_mm[0] for one in body.lesions}


@given(st.integers(0, 2**40), st.integers(1, 600), st.integers(0, 9))
def test_what_heals_gets_smaller_and_nothing_grows_without_end(seed: int, months: int, number: int) -> None:
    course = Course(seed, months)
    assert 0 < course.factor("infarct", number) < 1
    assert course.factor("kidney stone", number) == 1
    assert 0 <= course.factor("nodule", number) <= 1.8


def test_some_nodules_grow_some_shrink_some_go_and_some_stay() -> None:
    found = [Course(seed, 24).factor("nodule", 0) for seed in range(400)]
    share = {
        "grown": sum(one > 1 for one in found) / 400,
        "same": sum(one == 1 for one in found) / 400,
        "shrunk": sum(0 < one < 1 for one in found) / 400,
        "gone": sum(one == 0 for one in found) / 400,
    }
    assert 0.35 < share["grown"] < 0.55
    assert 0.18 < share["same"] < 0.32
    assert share["shrunk"] > 0.1
    assert share["gone"] > 0.03


@pytest.mark.parametrize("region", ["chest", "abdomen", "head", "knee", "breast", "whole"])
def test_lesions_stay_where_they_are(region: str) -> None:
    first, later = sizes(11, region, 0), sizes(11, region, 30)
    assert first
    assert set(later) <= set(first)
    assert later != first


def test_the_picture_shows_what_the_truth_says() -> None:
    """A nodule that has grown is painted as large as it is said to be."""
    seed = next(n for n in range(100) if any(Course(n, 36).factor("nodule", k) > 1.4 for k in range(2)))
    for months in (0, 36):
        body = regions.build("chest", seed, "F", months=months)
        for one in body.lesions:
            spacing, half = 0.5, max(one.radii_mm) + 2
            count = int(2 * half / spacing)
            x, y, z = one.centre_mm
            grid = Grid((x - half, y - half, z - half), (spacing,) * 3, (count,) * 3)
            volume = (body.scene.voxels(grid) == one.tissue).sum() * spacing**3
            a, b, c = one.radii_mm
            assert volume == pytest.approx(4 / 3 * 3.14159 * a * b * c, rel=0.06)


def test_a_study_says_it_and_older_recipes_give_what_they_gave() -> None:
    now, later = study("ct-chest", study_id="1"), study("ct-chest", study_id="1", course_months=18)
    assert "course_months" not in now.as_dict()
    assert later.from_dict(later.as_dict()) == later
    assert now.body_seed == later.body_seed
    assert truth(now)["regions"][0]["lesions"] != truth(later)["regions"][0]["lesions"]
