"""Where in a study each of its defects is: which instance has it, decided by the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dicomfab.fabricate.defects.table import DEFECTS, Defect, Needs
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import Draw
from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.syntaxes import IMPLICIT_LITTLE

if TYPE_CHECKING:
    from dicomfab.fabricate.plan import SeriesPlan

_MAX_UID = 65  # one more than the standard allows (PS3.5 9.1)


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the study as it would be without defects."""

    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Place:
    """The instance that has a defect.

    Args:
        defect: its name.
        instance: that has it.
        other: the instance whose SOP Instance UID it takes.
    """

    defect: str
    instance: Instance
    other: Instance | None = None


@lru_cache(maxsize=64)
def places(study: ResolvedStudy) -> tuple[Place, ...]:
    """Which instance has which defect; those of the whole study are left out. Nothing is rendered.

    Each instance has one defect, unless there are more defects than instances that can carry them.

    Raises:
        InvalidInput: no series of the study can carry one of them.
    """
    from dicomfab.fabricate.planning import plans

    taken: set[str] = set()
    found: list[Place] = []
    made = list(plans(study, 1))
    for name in study.defects:
        defect = DEFECTS[name]
        if defect.is_everywhere:
            continue
        carriers = [plan for plan in made if _carries(defect, plan, made)]
        if not carriers:
            raise cannot_carry(defect)
        draw = Draw(study.seed, "defect", name)
        place = _place(defect, _preferred(carriers, taken, draw), made, taken, draw)
        found.append(place)
        taken |= {one.sop_instance_uid for one in (place.instance, place.other) if one}
    return tuple(found)


def cannot_carry(defect: Defect) -> InvalidInput:
    """No series of a study can carry a defect."""
    return InvalidInput(
        f"defects: no series of the study can carry {defect.name}",
        field="defects",
        value=defect.name,
        cause=f"it needs {defect.needs}",
        remedy="add such a series, or leave the defect out",
    )


def received_uid(name: str, sop_instance_uid: str, takes: str) -> str:
    """The SOP Instance UID that an instance has with a defect."""
    if name in ("duplicate-sop-uid", "uid-in-two-series"):
        return takes
    if name == "uid-too-long":
        return f"{sop_instance_uid}.".ljust(_MAX_UID, "1")
    if name == "uid-leading-zero":
        head, _, last = sop_instance_uid.rpartition(".")
        return f"{head}.0{last}"
    return sop_instance_uid


def _carries(defect: Defect, plan: SeriesPlan, made: Sequence[SeriesPlan]) -> bool:
    ds, needs = plan.dataset, defect.needs
    if needs is Needs.EXPLICIT:
        return plan.transfer_syntax_uid != IMPLICIT_LITTLE
    if needs is Needs.TWO_INSTANCES:
        return plan.count > 1
    if needs is Needs.TWO_SERIES:
        return any(other.dataset.SeriesInstanceUID != ds.SeriesInstanceUID for other in made)
    if needs is Needs.PIXELS:
        return plan.frames > 0
    if needs is Needs.MONOCHROME:
        return _is_grey(plan)
    if needs is Needs.SPARE_BITS:
        return _is_grey(plan) and ds.BitsAllocated == 16 and ds.BitsStored < 16
    return True


def _is_grey(plan: SeriesPlan) -> bool:
    ds: Any = plan.dataset
    return plan.frames > 0 and ds.SamplesPerPixel == 1 and str(ds.PhotometricInterpretation).startswith("MONOCHROME")


def _preferred(carriers: Sequence[SeriesPlan], taken: set[str], draw: Draw) -> SeriesPlan:
    """One that has an instance left."""
    free = [plan for plan in carriers if next(_free(plan, taken), None) is not None]
    return draw.choice(free or carriers)


def _free(plan: SeriesPlan, taken: set[str], start: int = 0) -> Iterator[int]:
    indices = ((start + n) % plan.count for n in range(plan.count))
    return (index for index in indices if plan.varying(index)["SOPInstanceUID"] not in taken)


def _place(defect: Defect, plan: SeriesPlan, made: Sequence[SeriesPlan], taken: set[str], draw: Draw) -> Place:
    start = draw.below(plan.count)
    index = next(_free(plan, taken, start), start)
    own = _instance(plan, index)
    other = None
    if defect.name == "duplicate-sop-uid":
        rest = [n for n in _free(plan, taken, index) if n != index]
        other = _instance(plan, rest[0] if rest else (index + 1) % plan.count)
    elif defect.name == "uid-in-two-series":
        apart = [one for one in made if one.dataset.SeriesInstanceUID != plan.dataset.SeriesInstanceUID]
        alike = [one for one in apart if one.dataset.SOPClassUID == plan.dataset.SOPClassUID]
        second = draw.choice(alike or apart)
        other = _instance(second, next(_free(second, taken), 0))
    return Place(defect.name, own, other)


def _instance(plan: SeriesPlan, index: int) -> Instance:
    values = plan.varying(index)
    return Instance(
        sop_instance_uid=values["SOPInstanceUID"],
        series_instance_uid=str(plan.dataset.SeriesInstanceUID),
        series_number=int(plan.dataset.SeriesNumber),
        instance_number=int(values["InstanceNumber"]),
        transfer_syntax_uid=plan.transfer_syntax_uid,
    )
