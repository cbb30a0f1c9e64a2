"""The style card: any series as text cards whose symbols its description repeats."""

from __future__ import annotations

import numpy as np
import pytest

from dicomfab.fabricate.cards import SYMBOLS_ON_A_CARD, symbols_of
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.render.card import SYMBOLS
from dicomfab.fabricate.study import fabricate
from tests.unit.fabricate.studies import read, study


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if "card" in row.styles])
def test_a_card_is_drawn_within_the_window_and_its_symbols_are_in_the_description(kind: str) -> None:
    made = study(kind if KINDS[kind].counted is None else f"{kind}:1", style="card")
    for instance in fabricate(made):
        ds = read(instance)
        assert ds.SeriesDescription.split()[-SYMBOLS_ON_A_CARD:] == list(symbols_of(made, int(ds.SeriesNumber)))
        assert len(ds.SeriesDescription) <= 64
        assert ds.BurnedInAnnotation == "YES"
        pixels = ds.pixel_array
        assert pixels.shape[:2] == (ds.Rows, ds.Columns) or pixels.shape[1:3] == (ds.Rows, ds.Columns)
        assert len(np.unique(pixels)) > (16 if ds.BitsStored > 1 else 1)
        assert int(pixels.max()) < 1 << ds.BitsStored


def test_symbols_differ_within_a_card_and_between_series() -> None:
    made = study("text-card")
    drawn = [symbols_of(made, number) for number in range(1, 21)]
    assert all(len(set(one)) == SYMBOLS_ON_A_CARD and set(one) <= set(SYMBOLS) for one in drawn)
    assert len(set(drawn)) > 15


def test_cards_of_two_instances_differ() -> None:
    first, second = (read(one).pixel_array for one in fabricate(study("text-card:2")))
    assert not np.array_equal(first, second)
