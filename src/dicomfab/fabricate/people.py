"""Invented patients: plausible names with a sex, a birth date and an identifier that says SYN."""

from __future__ import annotations

import dataclasses
import datetime as dt
from itertools import pairwise
from typing import Final

from dicomfab.fabricate.addresses import PLACES
from dicomfab.fabricate.scripts import LATIN, SCRIPTS, script_of
from dicomfab.fabricate.seeds import Draw, derive
from dicomfab.model.study import Patient

ISSUER: Final = "SYN-DICOMFAB"

FAMILY: Final = (
    "Abbott Almeida Andersson Andrade Araújo Baker Barros Becker Bennett Bianchi Björk Blanc Brennan "
    "Campbell Castro Chevalier Collins Conti Cooper Costa Dahl Delgado Dubois Duffy Edwards Eriksen "
    "Esposito Evans Fernández Ferrari Fischer Fleming Fontaine Foster Franco Gallagher García Garnier "
    "Gibson Graham Greco Gutiérrez Hansen Harper Hartmann Hayes Herrera Hoffmann Hughes Ibáñez Jansen "
    "Jensen Johansson Kelly Köhler Krüger Lambert Larsen Leroy Lindgren Lombardi López MacKenzie Marchand "
    "Marino Martins Meier Mendes Meyer Moreau Moretti Müller Murphy Navarro Nielsen Nuñez O'Brien Olsen "
    "Ortega Palmer Parker Pereira Petersen Quinn Ramírez Renard Ricci Rossi Roux Russell Sánchez Schäfer "
    "Schneider Silva Simmons Solberg Sørensen Souza Taylor Torres Turner Vargas Vidal Visser Wagner Walsh "
    "Weber Whitaker Wood Zimmermann"
).split()

GIVEN: Final = {
    "F": (
        "Agnes Alice Amélie Ana Anna Astrid Beatriz Camila Carla Caroline Cecilia Charlotte Chiara Clara "
        "Claire Diana Elena Elisa Elizabeth Emma Eva Fiona Florence Francesca Gabriela Grace Hanna Helen Inês "
        "Ingrid Isabel Jane Johanna Julia Karin Katherine Laura Leonor Lucía Luisa Margaret Maria Marta "
        "Mathilde Nora Olivia Paula Renata Rosa Ruth Sabine Sara Sofia Sophie Susan Teresa Valentina Victoria "
        "Yvonne Zoé"
    ).split(),
    "M": (
        "Adam Alan Alexander Andreas Antonio Arthur Benjamin Bruno Carlos Christian Daniel David Diego Edward "
        "Emil Enrico Erik Felix Fernando Francis Frank Gabriel George Giovanni Gustav Hans Henrik Henry Hugo "
        "Ian Jakob James Javier Jean João Johan John José Jürgen Karl Lars Leon Louis Luca Lukas Marco Martin "
        "Mateo Michael Nicolas Oliver Oscar Patrick Paul Pedro Peter Philip Rafael René Robert Sebastian "
        "Simon Stefan Thomas Victor Walter William"
    ).split(),
}


def invent(seed: int, on: dt.date, script: str = LATIN, *, contact: bool = False) -> Patient:
    """Invent an adult patient.

    Args:
        seed: the study's seed; the same seed gives the same person, whatever the date.
        on: the study date; only for studies long past does it move the birth year, so that the patient is an adult.
        script: that the name is written in, one of :data:`~dicomfab.fabricate.scripts.SCRIPTS` or ``latin``.
        contact: with an address and a telephone number; nothing else of the person depends on it.
    """
    draw = Draw(seed, "patient")
    sex = draw.choice(("F", "M"))
    family, given = draw.choice(FAMILY), draw.choice(GIVEN[sex])
    middle = draw.choice(GIVEN[sex]) if draw.below(3) == 0 else ""
    birth_year = 1932 + (draw.below(72) + draw.below(72)) // 2
    while birth_year + 18 >= on.year and birth_year > 60:
        birth_year -= 40
    birth = dt.date(birth_year, 1, 1) + dt.timedelta(days=draw.below(365))
    name = f"{family}^{given}^{middle}".rstrip("^")
    if script in SCRIPTS:
        name = SCRIPTS[script].person(Draw(seed, "name", script), sex)
    person = Patient(name, f"SYN{draw.below(10**10):010d}", birth.strftime("%Y%m%d"), sex, ISSUER)
    return with_contact(person, seed) if contact else person


def with_contact(patient: Patient, seed: int) -> Patient:
    """The patient with an address and a telephone number, where there is none, that go with the script of the name.

    Args:
        patient: what is given stays.
        seed: the same seed and script give the same.
    """
    address, phone = PLACES[script_of(patient.name)].home(Draw(seed, "address"))
    return dataclasses.replace(patient, address=patient.address or address, phone=patient.phone or phone)


def physique(seed: int, sex: str, age_years: float | None) -> tuple[float, float]:
    """How tall and heavy a person is: an adult's size follows the frame of the body that the seed draws.

    Args:
        seed: the study's seed.
        sex: ``F`` or ``M``; anything else leaves it to the seed, as the body does.
        age_years: at the study; ``None`` (not known) counts as an adult.

    Returns:
        Height in m, to the centimetre, and weight in kg, to the kilogram (to 100 g below 20 kg).
    """
    size, height, fat_mm = _frame(seed, sex)
    age = 40.0 if age_years is None else age_years
    tall_m = 1.314 * size + 0.408 * size * height  # from the vertex to the soles of the whole body
    index = 20.8 + 0.72 * fat_mm + Draw(seed, "physique").between(-1.2, 1.2)  # body mass index, kg/m2
    size_m = round(tall_m * _between(_HEIGHT_BY_AGE, age), 2)
    weight_kg = index * _between(_INDEX_BY_AGE, age) * size_m**2
    return size_m, round(weight_kg, 0 if weight_kg >= 20 else 1)


# Years, and the part of an adult's height and body mass index that children of that age have.
_HEIGHT_BY_AGE: Final = (
    (0, 0.29), (0.5, 0.385), (1, 0.435), (2, 0.50), (3, 0.55), (5, 0.63), (8, 0.735), (10, 0.80), (12, 0.865),
    (14, 0.93), (16, 0.98), (18, 1.0),
)  # fmt: skip
_INDEX_BY_AGE: Final = (
    (0, 0.58), (0.5, 0.74), (1, 0.73), (2, 0.70), (5, 0.66), (8, 0.68), (10, 0.72), (12, 0.77), (14, 0.83),
    (16, 0.90), (18, 1.0),
)  # fmt: skip


def _frame(seed: int, sex: str) -> tuple[float, float, float]:
    """The scale of the body, the extra scale of the chest's height, and subcutaneous fat in mm.

    These are the first draws of :meth:`dicomfab.fabricate.anatomy.build.Build.draw`, done again because loading bodies
    takes a second; a test holds the two together.
    """
    import numpy as np

    rng = np.random.default_rng(derive(seed, "anatomy"))
    female = bool(rng.integers(2)) if sex not in ("F", "M") else sex == "F"
    size = min(max(rng.normal(0.955 if female else 1.0, 0.022), 0.9), 1.05)
    height = min(max(rng.normal(1.0, 0.025), 0.95), 1.05)
    rng.normal(1.0, 0.035)  # the depth of the trunk
    fat_mm = min(max(rng.gamma(4.0, 1.9), 1.0), 20.0) - 3.0
    return float(size), float(height), float(fat_mm)


def _between(table: tuple[tuple[float, float], ...], age: float) -> float:
    for (low, first), (high, second) in pairwise(table):
        if age < high:
            return first + (second - first) * max(age - low, 0.0) / (high - low)
    return table[-1][1]


def age_years(birth_date: str, on_date: str) -> float | None:
    """Age in years on a date, both ``YYYYMMDD``; ``None`` if the birth date is empty."""
    if not birth_date:
        return None
    birth, on = (dt.date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in (birth_date, on_date))
    return (on - birth).days / 365.25


def age_string(birth_date: str, on_date: str) -> str:
    """PatientAge (VR AS) on a date, both ``YYYYMMDD``; empty if the birth date is.

    Years from the age of two on, months from one month on, days before.
    """
    if not birth_date:
        return ""
    birth = dt.datetime.strptime(birth_date, "%Y%m%d").date()  # noqa: DTZ007 (a date has no time zone)
    on = dt.datetime.strptime(on_date, "%Y%m%d").date()  # noqa: DTZ007
    months = (on.year - birth.year) * 12 + on.month - birth.month - (on.day < birth.day)
    if months >= 24:
        return f"{months // 12:03d}Y"
    return f"{months:03d}M" if months else f"{(on - birth).days:03d}D"
