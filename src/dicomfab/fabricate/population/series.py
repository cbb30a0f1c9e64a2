"""What a study of an examination consists of: its images, repeats, and the objects that come with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from dicomfab.fabricate.devices import Device
from dicomfab.fabricate.kinds import ALL_KINDS, KINDS, OBJECTS
from dicomfab.fabricate.population.exams import Exam
from dicomfab.fabricate.population.sites import Site
from dicomfab.fabricate.recipe import SeriesRecipe
from dicomfab.fabricate.seeds import Draw

_SMALL_COUNT: Final = 3
_REPEATED: Final = ("DX", "CR")
_REPEAT_PERCENT: Final = 5
# Of several series that are acquired together, a description of ours would be that of all: only these have one.
_TITLES: Final[dict[str, tuple[str, ...]]] = {
    "ct-head": ("HEAD 5.0", "Axial brain", "HEAD W/O ST", "Neuro 5mm H40"),
    "ct-chest": ("CHEST 1.25 MEDIASTINUM", "Thorax venous axial", "AX CHEST +C", "Lung/Med 2mm"),
    "ct-abdomen": ("ABD PEL PV 2.5", "Abdomen venous axial", "AX ABD +C", "PORTAL VENOUS 3mm"),
    "ct-abdomen-native": ("ABD PEL NATIVE 2.5", "Abdomen native axial", "AX ABD -C", "PLAIN 3mm"),
    "ct-body": ("CT AC WB", "Low dose CT", "CTAC 3.75", "WB CT attenuation"),
    "ct-enhanced": ("CHEST MF", "Thorax venous MF"),
    "pt-body": ("PET WB AC", "PET AC 3D", "WB FDG (AC)", "Torso PET corrected"),
    "cr-chest": ("CHEST AP", "Thorax bed", "W033 Chest", "PORTABLE CHEST"),
    "us-abdomen": ("ABDOMEN", "Abd complete"),
    "us-cine": ("A4C", "TTE apical 4ch"),
    "us-colour": ("CAROTID R", "Carotid colour"),
    "nm-bone": ("WB BONE ANT/POST", "Whole body"),
    "xa-cine": ("LCA", "Coro 15 fps"),
    "rf-swallow": ("SWALLOW", "Oesophagus"),
}


def entries(
    exam: Exam, site: Site, draw: Draw, *, script: str, on: dt.date, visit: int, images: str, slices: int | None
) -> tuple[SeriesRecipe, ...]:
    """The entries of a study.

    Args:
        exam: what is done.
        site: where.
        draw: decides; with :class:`Everything`, the most that such a study can have.
        script: that its people's names are written in.
        on: the day.
        visit: how many examinations like this the patient had before.
        images: ``full`` or ``small``.
        slices: of each series of slices; ``None`` leaves it to the kind or the size.
    """
    device = site.device(exam, script, on, draw)
    small = images == "small"
    shot = tuple(_image(kind, device, draw, small=small, slices=slices) for kind in exam.kinds)
    objects = list(_objects(exam, site, draw, visit=visit, small=small))
    at = site.workstation(exam, on)
    if exam.modality in _REPEATED and draw.below(100) < _REPEAT_PERCENT:
        shot = (*shot, SeriesRecipe("ko-rejected", device=at), *shot)
    made = (SeriesRecipe(kind, device=_scanner(device) if kind == "sr-dose" else at) for kind in objects)
    return (*shot, *made)


class Everything(Draw):
    """A draw that takes every chance."""

    def below(self, limit: int) -> int:
        """The lowest, which is below any chance."""
        del limit
        return 0


def _image(kind: str, device: Device, draw: Draw, *, small: bool, slices: int | None) -> SeriesRecipe:
    row = ALL_KINDS[kind]
    if kind in OBJECTS:
        return SeriesRecipe(kind, device=_scanner(device))
    titles = _TITLES.get(kind, ())
    title = titles[draw.below(len(titles) + 1) - 1] if titles and draw.below(10) else None
    count = None
    if row.counted is not None:
        wanted = slices if row.counted.unit == "slices" else None
        if small and wanted is None:
            wanted = min(_SMALL_COUNT, row.counted.default)
        count = None if wanted is None else min(wanted, row.counted.most)
    return SeriesRecipe(kind, count=count, style=_look(kind, small=small), description=title, device=device)


def _look(kind: str, *, small: bool) -> str:
    looks = KINDS[kind].looks
    return next(one for one in (("small", "card", looks[0]) if small else (looks[0],)) if one in looks)


def _objects(exam: Exam, site: Site, draw: Draw, *, visit: int, small: bool) -> Iterator[str]:
    """Kinds of objects, in order; each site has habits of its own."""
    shows = set(exam.kinds)
    if small:  # there is nothing on the pictures that could be outlined, measured or reported
        return
    if exam.modality in ("CT", "PT") and draw.below(100) < 85 and _can("sr-dose", shows):
        yield "sr-dose"
    if exam.modality == "PT" and visit > 0 and _can("seg", shows) and draw.below(100) < 75:
        yield from ("seg", "sr-measurements")
    if site.habit("marks key images", 50) and draw.below(100) < 10 and _can("ko", shows):
        yield "ko"
    if site.habit("keeps presentation states", 50) and draw.below(100) < 8 and _can("pr", shows):
        yield "pr"
    if site.habit("reports as SR", 60) and draw.below(100) < 75 and _can("sr-report", shows):
        yield "sr-report"
    elif site.habit("reports as PDF", 60) and draw.below(100) < 60:
        yield "pdf"


def _can(kind: str, shown: set[str]) -> bool:
    return bool(set(OBJECTS[kind].needs) & shown)


def _scanner(device: Device) -> Device:
    """The same device where nothing is said about the examination: documents have no place for that."""
    return replace(device, performing_physician="", operator="", protocol="", private_creator="", private=())
