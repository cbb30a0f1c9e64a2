"""Where in a study each of its defects is: which instance has it, decided by the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dicomfab.fabricate.defects.apart import apart, not_together
from dicomfab.fabricate.defects.table import DEFECTS, Defect, Needs
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import Draw
from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.syntaxes import IMPLICIT_LITTLE

if TYPE_CHECKING:
    from dicomfab.fabricate.plan import SeriesPlan

_MAX_UID = 65  # one more than the standard allows (PS3.5 9.1)
_OF_TWO = ("duplicate-sop-uid", "uid-in-two-series")
_RENAMES = (*_OF_TWO, "uid-too-long", "uid-leading-zero")  # an instance has one of them at the most


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


class _Busy:
    """What the instances have so far, by SOP Instance UID."""

    def __init__(self) -> None:
        self._own: dict[str, set[str]] = {}
        self._lent: dict[str, set[str]] = {}

    def add(self, place: Place) -> None:
        """An instance has a defect, and another one lends its UID for it."""
        self._own.setdefault(place.instance.sop_instance_uid, set()).add(place.defect)
        if place.other:
            self._lent.setdefault(place.other.sop_instance_uid, set()).add(place.defect)

    def is_free(self, uid: str) -> bool:
        """Whether nothing is wrong with an instance, and it lends nothing."""
        return uid not in self._own and uid not in self._lent

    def keeps_out(self, name: str, uid: str) -> set[str]:
        """Those of its defects, and of those it lends its UID to, with which it cannot have this one."""
        return (self._own.get(uid, set()) | self._lent.get(uid, set())) & apart(name)

    def may_lend(self, name: str, uid: str) -> bool:
        """Whether an instance can lend its UID to this one."""
        return not self._own.get(uid, set()) & apart(name)


@lru_cache(maxsize=64)
def places(study: ResolvedStudy) -> tuple[Place, ...]:
    """Which instance has which defect; those of the whole study are left out. Nothing is rendered.

    Each instance has one defect, unless there are more defects than instances that can carry them; then none that
    would undo another, see :mod:`.apart`.

    Raises:
        InvalidInput: no series of the study can carry one of them, or two of them have no instance apart.
    """
    from dicomfab.fabricate.planning import plans

    made = list(plans(study, 1))
    names = [name for name in study.defects if not DEFECTS[name].is_everywhere]
    for name in names:
        if not any(_carries(DEFECTS[name], plan, made) for plan in made):
            raise cannot_carry(DEFECTS[name])
    order, moved = list(names), set[str]()
    while True:
        found = _placed(study, order, made)
        if not isinstance(found, str):
            return tuple(sorted(found, key=lambda place: names.index(place.defect)))
        if found in moved:
            raise not_together(*_clash(study, found, names, made), "the instances that can carry them are too few")
        moved.add(found)  # it has the first choice now
        order.remove(found)
        order.insert(0, found)


def _placed(study: ResolvedStudy, order: Sequence[str], made: Sequence[SeriesPlan]) -> list[Place] | str:
    """All of them, or the name of the first that finds no place."""
    busy, found = _Busy(), list[Place]()
    for name in order:
        place = _place(DEFECTS[name], made, busy, study)
        if place is None:
            return name
        busy.add(place)
        found.append(place)
    return found


def _clash(study: ResolvedStudy, name: str, names: Sequence[str], made: Sequence[SeriesPlan]) -> tuple[str, str]:
    """A defect that finds no place, and one that keeps it out: by itself if that is so, else the first."""
    others = [other for other in names if other in apart(name)]
    alone = (other for other in others if isinstance(_placed(study, (name, other), made), str))
    return name, next(alone, others[0])


def cannot_carry(defect: Defect) -> InvalidInput:
    """No series of a study can carry a defect."""
    return InvalidInput(
        f"defects: no series of the study can carry {defect.name}",
        field="defects",
        value=defect.name,
        cause=f"it needs {defect.needs}",
        remedy="add such a series, or leave the defect out",
    )


def received_uids(found: Sequence[Place]) -> dict[str, str]:
    """The SOP Instance UIDs that instances have with their defects, by those they have without."""
    return {
        place.instance.sop_instance_uid: received_uid(
            place.defect, place.instance.sop_instance_uid, place.other.sop_instance_uid if place.other else ""
        )
        for place in found
        if place.defect in _RENAMES
    }


def received_uid(name: str, sop_instance_uid: str, takes: str) -> str:
    """The SOP Instance UID that an instance has with a defect."""
    if name in _OF_TWO:
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


def _place(defect: Defect, made: Sequence[SeriesPlan], busy: _Busy, study: ResolvedStudy) -> Place | None:
    """An instance where nothing is wrong yet if there is one, else another that can have this defect as well."""
    for of in (busy.is_free, lambda uid: not busy.keeps_out(defect.name, uid)):
        draw = Draw(study.seed, "defect", defect.name)
        carriers = [plan for plan in made if _carries(defect, plan, made) and next(_those(plan, of), None) is not None]
        for plan in _from(carriers, draw):
            for index in _those(plan, of, draw.below(plan.count)):
                own = _instance(plan, index)
                if defect.name not in _OF_TWO:
                    return Place(defect.name, own)
                other = _other(defect.name, plan, index, made, busy, draw)
                if other is not None:
                    return Place(defect.name, own, other)
    return None


def _other(
    name: str, plan: SeriesPlan, index: int, made: Sequence[SeriesPlan], busy: _Busy, draw: Draw
) -> Instance | None:
    """The instance that lends its SOP Instance UID to one."""
    own = plan.varying(index)["SOPInstanceUID"]
    lenders, start = [plan], index
    if name == "uid-in-two-series":
        apart_from = [one for one in made if one.dataset.SeriesInstanceUID != plan.dataset.SeriesInstanceUID]
        alike = [one for one in apart_from if one.dataset.SOPClassUID == plan.dataset.SOPClassUID]
        lenders, start = [*_from(alike, draw), *(one for one in apart_from if one not in alike)], 0
    for of in (busy.is_free, lambda uid: busy.may_lend(name, uid)):
        for lender in lenders:
            for n in _those(lender, of, start):
                other = _instance(lender, n)
                if other.sop_instance_uid != own:
                    return other
    return None


def _from(plans: Sequence[SeriesPlan], draw: Draw) -> Sequence[SeriesPlan]:
    """All of them, one that is drawn first."""
    first = draw.below(len(plans)) if plans else 0
    return [*plans[first:], *plans[:first]]


def _those(plan: SeriesPlan, of: Callable[[str], bool], start: int = 0) -> Iterator[int]:
    """The instances with such a SOP Instance UID, from one onwards."""
    indices = ((start + n) % plan.count for n in range(plan.count))
    return (index for index in indices if of(plan.varying(index)["SOPInstanceUID"]))


def _instance(plan: SeriesPlan, index: int) -> Instance:
    values = plan.varying(index)
    return Instance(
        sop_instance_uid=values["SOPInstanceUID"],
        series_instance_uid=str(plan.dataset.SeriesInstanceUID),
        series_number=int(plan.dataset.SeriesNumber),
        instance_number=int(values["InstanceNumber"]),
        transfer_syntax_uid=plan.transfer_syntax_uid,
    )
