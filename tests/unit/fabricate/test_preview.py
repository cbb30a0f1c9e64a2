"""A preview shows what would be made, without making it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.preview import previews
from dicomfab.fabricate.study import fabricate
from dicomfab.model.errors import NotFound
from tests.unit.fabricate.studies import read, study

GOLDEN = Path(__file__).parent / "golden"


def test_attributes_are_those_of_the_middle_instance() -> None:
    made = study("ct-chest:5", "dx-chest")
    shown = list(previews(made))
    assert [one.instances for one in shown] == [5, 1, 1]
    middle = read(list(fabricate(made))[2])
    for element in shown[0].dataset:
        assert element.value == middle[element.tag].value, element.keyword


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_looks_like_the_pictures_that_were_reviewed(kind: str) -> None:
    """DICOMFAB_GOLDEN=1 draws them anew, to be looked at before they are kept."""
    for number, shown in enumerate(previews(study(kind)), 1):
        picture = shown.picture()
        assert picture.dtype == np.uint8
        small = Image.fromarray(picture).convert("RGB").resize((64, 64), Image.Resampling.BOX)
        golden = GOLDEN / f"{kind}-{number}.png"
        if os.environ.get("DICOMFAB_GOLDEN"):
            small.save(golden, optimize=True)
        difference = np.abs(np.asarray(small, np.int16) - np.asarray(Image.open(golden).convert("RGB"), np.int16))
        assert difference.mean() < 4, f"{golden.name} differs by {difference.mean():.1f} grey levels"
        assert np.asarray(small).std() > 3


def test_a_picture_costs_a_few_instances_and_not_the_study() -> None:
    taken = []
    made = study("text-card:5000")
    shown = next(previews(made))
    pixels = shown.plan.pixels
    object.__setattr__(shown.plan, "pixels", lambda: (taken.append(1) or frame for frame in pixels()))
    shown.picture()
    assert 0 < len(taken) <= 3


def test_objects_are_previewed_by_their_attributes() -> None:
    shown = list(previews(study("ct-chest:40", *OBJECTS)))
    assert [one.dataset.Modality for one in shown[1:]] == [kind.modality for kind in OBJECTS.values()]
    for one in shown:
        if one.plan.frames:
            assert min(one.picture().shape) > 0
        else:
            with pytest.raises(NotFound, match="no pixels"):
                one.picture()
