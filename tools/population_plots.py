"""Draw what a population is like, from its plan alone. Usage: tools/population_plots.py OUT"""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.people import age_years
from dicomfab.fabricate.population.plan import studies
from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.fabricate.population.resolve import resolve

PATIENTS, SEED, END = 1000, 2026, "20260630"
WIDTH, HEIGHT, COLUMNS, GAP = 620, 300, 2, 20
PAPER, INK, PALE, GRID, BAR = "#ffffff", "#1f2933", "#5f6c7b", "#e3e8ee", "#2f6f9f"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Chart:
    """Bars with what they stand for."""

    title: str
    labels: Sequence[str]
    values: Sequence[float]


def charts(recipe: PopulationRecipe) -> list[Chart]:
    """Counts over the whole population."""
    ages: Counter[int] = Counter()
    modalities: Counter[str] = Counter()
    hours: Counter[int] = Counter()
    days: Counter[int] = Counter()
    priors: Counter[int] = Counter()
    months: Counter[int] = Counter()
    years: Counter[str] = Counter()
    before: dt.date | None = None
    for planned in studies(recipe):
        study = planned.study
        day = dt.date.fromisoformat(study.study_date)
        if planned.number == 0:
            ages[int(age_years(study.patient.birth_date, study.study_date) or 0) // 10] += 1
        elif before is not None:
            months[min((day - before).days // 61, 12)] += 1
        before = day
        modalities[planned.modality] += 1
        hours[int(study.study_time[:2])] += 1
        days[day.weekday()] += 1
        priors[planned.number] += 1
        years[study.study_date[:4]] += 1
    last = max(priors)
    return [
        Chart("Patients by age at the first study", [f"{n}0s" for n in range(10)], [ages[n] for n in range(10)]),
        Chart("Studies by modality", [name for name, _ in modalities.most_common()], _sorted(modalities)),
        Chart("Studies by hour of the day", [f"{n}" for n in range(24)], [hours[n] for n in range(24)]),
        Chart("Studies by day of the week", DAYS, [days[n] for n in range(7)]),
        Chart("Studies by number of priors", [f"{n}" for n in range(last + 1)], [priors[n] for n in range(last + 1)]),
        Chart(
            "Months from one study to the next",
            [f"{2 * n}" if n < 12 else "24+" for n in range(13)],
            [months[n] for n in range(13)],
        ),
        Chart("Studies by year", sorted(years), [years[year] for year in sorted(years)]),
    ]


def _sorted(counts: Counter[str]) -> list[float]:
    return [number for _, number in counts.most_common()]


def draw(found: Sequence[Chart], heading: str) -> Image.Image:
    """All of them on one page."""
    rows = -(-len(found) // COLUMNS)
    size = (COLUMNS * WIDTH + (COLUMNS + 1) * GAP, rows * HEIGHT + (rows + 1) * GAP + 40)
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), heading, fill=INK, font=ImageFont.load_default(22))
    for number, chart in enumerate(found):
        row, column = divmod(number, COLUMNS)
        _chart(pen, chart, GAP + column * (WIDTH + GAP), 40 + GAP + row * (HEIGHT + GAP))
    return page


def _chart(pen: ImageDraw.ImageDraw, chart: Chart, left: int, top: int) -> None:
    pen.text((left, top + 8), chart.title, fill=INK, font=ImageFont.load_default(18))
    high, low = top + 60, top + HEIGHT - 36
    small = ImageFont.load_default(13)
    most, step = max(chart.values), WIDTH / len(chart.values)
    for part in (0.0, 0.5, 1.0):
        y = low - part * (low - high)
        pen.line((left, y, left + WIDTH, y), fill=GRID)
    for place, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        x, y = left + place * step, low - value / most * (low - high)
        pen.rectangle((x + step * 0.14, y, x + step * 0.86, low), fill=BAR)
        for text, at in ((label, low + 6), (f"{value:g}" if step > 30 else "", y - 17)):
            pen.text((x + step / 2 - pen.textlength(text, font=small) / 2, at), text, fill=PALE, font=small)
    pen.line((left, low, left + WIDTH, low), fill=PALE)


if __name__ == "__main__":
    wanted = PopulationRecipe(patients=PATIENTS, seed=SEED, end_date=END)
    resolved = resolve(wanted, today=dt.date(2026, 6, 30), draw_seed=lambda: SEED)
    said = f"{PATIENTS} patients over {resolved.years} years, up to 2026-06-30, seed {SEED}"
    draw(charts(resolved), said).save(Path(sys.argv[1]), optimize=True)
