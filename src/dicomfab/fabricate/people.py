"""Invented patients: plausible names with a sex, a birth date and an identifier that says SYN."""

from __future__ import annotations

import datetime as dt
from typing import Final

from dicomfab.fabricate.seeds import Draw
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


def invent(seed: int, on: dt.date) -> Patient:
    """Invent an adult patient.

    Args:
        seed: the study's seed; the same seed gives the same person, whatever the date.
        on: the study date; only for studies long past does it move the birth year, so that the patient is an adult.
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
    return Patient(name, f"SYN{draw.below(10**10):010d}", birth.strftime("%Y%m%d"), sex, ISSUER)


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
