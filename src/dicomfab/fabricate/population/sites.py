"""Hospitals and practices that never were: their stations, the people at them, and how they write things."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dicomfab.fabricate.devices import Device
from dicomfab.fabricate.people import FAMILY, GIVEN
from dicomfab.fabricate.population.exams import Exam
from dicomfab.fabricate.population.names import fits
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.fabricate.seeds import Draw, derive

# Institutions, makers, models and private creators are invented; none is to be like a real one.
_PLACES: Final = (
    "Falkenmoor", "Brindlebay", "Eastmeresyn", "Kestrelfjord", "Ostervale", "Quillhaven", "Tarnwick Hollow", "Varnsund",
)  # fmt: skip
_FORMS: Final = ("University Hospital", "General Hospital", "Imaging Practice", "District Hospital")
_IN_PRACTICES: Final = ("CT", "MR", "DX", "CR", "US", "MG", "NM", "OT")
_NOT_IN_PRACTICES: Final = ("Emergency Radiology", "Intensive Care", "Ward imaging")
_FIRST_IN_USE: Final = dt.date(1990, 1, 1)


@dataclass(frozen=True, slots=True)
class Maker:
    """Who builds devices.

    Args:
        name: Manufacturer (0008,0070).
        series: how its models are called, newest last.
        creator: of its private block in group 0019.
        version: how it writes its software versions, from a major and a minor number.
    """

    name: str
    series: tuple[str, ...]
    creator: str
    version: str


_MAKERS: Final = (
    Maker("Orbiquant Medical", ("Strata", "Strata II", "Strata Apex"), "ORBIQUANT ACQ HEADER", "OQ{0}.{1}"),
    Maker("Zephyrad Systems", ("ZR 100", "ZR 300", "ZR 500"), "ZEPHYRAD PRIVATE 01", "syn{0}0.{1}"),
    Maker("Lumovant Imaging", ("Perla", "Perla Nova", "Perla Prime"), "LUMOVANT_SCAN_INFO", "{0}.{1}.0 HF{1}"),
    Maker("Kelvatron Health", ("KT Aster", "KT Boreal", "KT Celest"), "Kelvatron: Acquisition", "R{0:02d}_M{1}"),
)

# What an enterprise's private elements say, in the manner of scanners: job, calibration, table and the like.
_PRIVATE: Final = ("SCANJOB", "CALIB", "OPMODE", "RECONSET", "EXAMCARD")


@dataclass(frozen=True, slots=True)
class Site:
    """An institution.

    Args:
        number: from 0.
        seed: of the population.
        name: InstitutionName (0008,0080).
        code: two letters, part of its accession numbers and station names.
        is_open_at_night: whether emergencies come here.
    """

    number: int
    seed: int
    name: str
    code: str
    is_open_at_night: bool

    def offers(self, exam: Exam) -> bool:
        """Whether this is done here: a practice has not all of what a hospital has."""
        return self.is_open_at_night or exam.modality in _IN_PRACTICES

    def accession(self, year: int, serial: int) -> str:
        """AccessionNumber (0008,0050) as this site writes it; of one site, no two serials give the same.

        Args:
            year: of the study.
            serial: below 10**8.
        """
        forms = (f"{self.code}{year % 100:02d}{serial:08d}", f"{self.code}-{serial:08d}", f"{self.code}{serial:08d}A")
        return forms[self.number % len(forms)]

    def ward(self, exam: Exam) -> str:
        """InstitutionalDepartmentName (0008,1040); some sites have none in their headers."""
        here = [ward for ward in exam.wards if self.is_open_at_night or ward not in _NOT_IN_PRACTICES]
        return self._draw("ward", exam.modality).choice((*here, ""))

    def title(self, exam: Exam, draw: Draw) -> str:
        """StudyDescription: mostly as usual here, else as somebody else would write it."""
        return exam.titles[self._usual(exam, "title", len(exam.titles), draw)]

    def protocol(self, exam: Exam, draw: Draw) -> str:
        """ProtocolName, likewise."""
        return exam.protocols[self._usual(exam, "protocol", len(exam.protocols), draw)]

    def physician(self, purpose: str, script: str, draw: Draw, *, pool: int) -> str:
        """Somebody of a pool of people that stays the same over the years, as PN in the script.

        The first of a pool have more to do than the last.
        """
        return _physician(self.seed, self.number, purpose, script, min(draw.below(pool), draw.below(pool)))

    def device(self, exam: Exam, script: str, on: dt.date, draw: Draw) -> Device:
        """What acquires an examination on a day, and who is at it; not all of it is in the header every time."""
        stations = 1 + self._draw("stations", exam.modality).below(3 if self.is_open_at_night else 2)
        station = _station(self.seed, self.number, self.code, exam.modality, draw.below(stations))
        device = station.device(on)
        named = draw.below(100)
        return Device(
            manufacturer=device.manufacturer,
            model=f"{device.model} {exam.modality}",
            station=device.station,
            serial_number=device.serial_number,
            software=device.software,
            institution=self.name,
            department=self.ward(exam),
            performing_physician=self.physician(exam.modality, script, draw, pool=6) if named < 70 else "",
            operator=self.physician("operator", script, draw, pool=12) if station.names_operator else "",
            protocol=self.protocol(exam, draw) if draw.below(100) < 92 else "",
            private_creator=station.maker.creator if station.writes_private else "",
            private=station.private(on, draw) if station.writes_private else (),
        )

    def workstation(self, exam: Exam, on: dt.date) -> Device:
        """Where reports and other objects are made."""
        station = _station(self.seed, self.number, self.code, "WS", 0).device(on)
        return Device(
            manufacturer=station.manufacturer,
            model=f"{station.model} Reporting",
            station=station.station,
            serial_number=station.serial_number,
            software=station.software,
            institution=self.name,
            department=self.ward(exam),
        )

    def habit(self, purpose: str, percent: int) -> bool:
        """Whether this is done here, as at so many of a hundred sites."""
        return self._draw("habit", purpose).below(100) < percent

    def _usual(self, exam: Exam, purpose: str, count: int, draw: Draw) -> int:
        own = self._draw(purpose, exam.name)
        first, second = own.below(count), own.below(count)
        chance = draw.below(100)
        if chance < 70:
            return first
        return second if chance < 92 else draw.below(count)

    def _draw(self, *purpose: object) -> Draw:
        return Draw(self.seed, "site", self.number, *purpose)


@lru_cache(maxsize=8)
def sites(seed: int, count: int) -> tuple[Site, ...]:
    """The institutions of a population, each with its two letters; the first is open day and night."""
    draw = Draw(seed, "sites")
    places = list(_PLACES)
    found = []
    for number in range(count):
        place = places.pop(draw.below(len(places)))
        form = _FORMS[number % len(_FORMS)]
        code = f"{chr(65 + number)}{place[0].upper()}"
        found.append(Site(number, seed, f"{place} {form} (SYN)", code, "Hospital" in form))
    return tuple(found)


@lru_cache(maxsize=4096)
def _physician(seed: int, site: int, purpose: str, script: str, number: int) -> str:
    draw = Draw(seed, "site", site, "person", purpose, script, number)
    sex = draw.choice(("F", "M"))
    if script in SCRIPTS:
        drawn = (SCRIPTS[script].person(draw, sex) for _ in itertools.count())
        return next(name for name in drawn if fits(name, script))
    name = f"{draw.choice(FAMILY)}^{draw.choice(GIVEN[sex])}"
    return f"{name}^^Dr." if purpose != "operator" and draw.below(3) else name


@dataclass(frozen=True, slots=True)
class Station:
    """A room with a device in it, which is replaced every few years.

    Args:
        name: StationName (0008,1010).
        seed: decides what is in it.
        maker: of its devices.
        names_operator: whether OperatorsName (0008,1070) is filled in here.
        writes_private: whether its devices write private elements.
    """

    name: str
    seed: int
    maker: Maker
    names_operator: bool
    writes_private: bool

    def device(self, on: dt.date) -> Device:
        """What stands here on a day, with the software of that time."""
        draw = Draw(self.seed, "station")
        months = (on.year - _FIRST_IN_USE.year) * 12 + on.month - 1
        life, update = 84 + draw.below(60), 9 + draw.below(9)
        generation, age = divmod(months + draw.below(life), life)
        release, patch = divmod(age // (update // 3), 3)
        own = derive(self.seed, "device", generation)
        return Device(
            manufacturer=self.maker.name,
            model=self.maker.series[min(generation // 2, len(self.maker.series) - 1)],
            station=self.name,
            serial_number=f"SYN{own % 10**6:06d}",
            software=self.maker.version.format(generation + 1, f"{release}.{patch}"),
        )

    def private(self, on: dt.date, draw: Draw) -> tuple[str, ...]:
        """Texts of its private elements; the same names in each instance of a maker."""
        day = on.replace(day=1).isoformat()
        values = (draw.below(10**6), day, "AUTO" if draw.below(3) else "MANUAL", draw.below(40) + 1, draw.below(900))
        return tuple(f"{name}={value}" for name, value in zip(_PRIVATE, values, strict=True))


@lru_cache(maxsize=1024)
def _station(seed: int, site: int, code: str, modality: str, number: int) -> Station:
    own = derive(seed, "station", site, modality, number)
    draw = Draw(own, "equipment")
    return Station(
        name=f"{code}{modality}{number + 1:02d}",
        seed=own,
        maker=draw.choice(_MAKERS),
        names_operator=draw.below(100) < 75,
        writes_private=draw.below(100) < 60,
    )
