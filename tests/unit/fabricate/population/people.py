"""A population for the tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.fabricate.population.resolve import resolve

TODAY = dt.date(2026, 6, 30)


def population(**values: Any) -> PopulationRecipe:
    wanted = PopulationRecipe(**{"patients": 600, "seed": 11, "images": "small", **values})
    return resolve(wanted, today=TODAY, draw_seed=lambda: 5)
