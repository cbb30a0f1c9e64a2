"""What can be wrong on purpose: each by its name, and nothing without it.

A study with declared defects says so: our private block names them in (0099,1004) of every instance, so that such a
study never reaches a production server, and :func:`declared` tells which instance has which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dicomfab.fabricate.defects.apart import check_study
from dicomfab.fabricate.defects.table import DEFECTS, REUSED_ACCESSION, Defect, noticed
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.fabricate.defects.places import Instance, Place
    from dicomfab.fabricate.instance import FabricatedInstance
    from dicomfab.fabricate.recipe import ResolvedStudy

__all__ = ["DEFECTS", "Defect", "applied", "checked", "declared", "noticed", "settled"]

_DIRECTORY = "dicomdir-lies"


def checked(names: Sequence[str], kinds: Sequence[str]) -> tuple[str, ...]:
    """The names of defects, each once and in the order of the table, that the kinds of a study can carry together.

    Raises:
        InvalidInput: naming the field.
    """
    for name in names:
        if name not in DEFECTS:
            raise InvalidInput(
                f"defects: {name!r} is not known",
                field="defects",
                value=name,
                cause=f"known defects: {', '.join(DEFECTS)}",
                remedy="name one of them; what they are: dicomfab recipe defects",
            )
        if not set(DEFECTS[name].kinds) & set(kinds):
            from dicomfab.fabricate.defects.places import cannot_carry

            raise cannot_carry(DEFECTS[name])
    found = tuple(name for name in DEFECTS if name in names)
    check_study(found)
    return found


def settled(study: ResolvedStudy) -> ResolvedStudy:
    """The study with what its defects decide of the recipe itself; a study without defects as it is.

    Raises:
        InvalidInput: no series of it can carry one of its defects, or two of them have no instance apart.
    """
    if not study.defects:
        return study
    from dicomfab.fabricate.defects.places import places

    if "accession-reused" in study.defects:
        study = dataclasses.replace(study, accession_number=REUSED_ACCESSION)
    places(study)
    return study


def applied(study: ResolvedStudy, instances: Iterable[FabricatedInstance]) -> Iterator[FabricatedInstance]:
    """The instances with the declared defects; one that has none is handed on as it is, another is held as a whole."""
    from dicomfab.fabricate.defects.places import places

    everywhere = [name for name in study.defects if DEFECTS[name].is_everywhere and name.startswith("name-")]
    by_uid: dict[str, list[Place]] = {}
    for place in places(study):
        by_uid.setdefault(place.instance.sop_instance_uid, []).append(place)
    for number, instance in enumerate(instances, start=1):
        own = by_uid.get(instance.identity.sop_instance_uid, ())
        made = _damaged(study, instance, everywhere, own) if own or everywhere else instance
        yield dataclasses.replace(made, file_name=f"IM{number:06d}") if _DIRECTORY in study.defects else made


def _damaged(
    study: ResolvedStudy, instance: FabricatedInstance, everywhere: Sequence[str], own: Sequence[Place]
) -> FabricatedInstance:
    from dicomfab.fabricate.defects.data_set import DataSet
    from dicomfab.fabricate.defects.making import Damaged, make

    data = DataSet(b"".join(instance.buffers), instance.identity.transfer_syntax_uid)
    one = Damaged(study, data, instance.identity)
    takes = {place.defect: place.other.sop_instance_uid for place in own if place.other}
    names = {*everywhere, *(place.defect for place in own)}
    for name in (name for name in DEFECTS if name in names):
        one.takes = takes.get(name, "")
        make(name, one)
    return dataclasses.replace(
        instance, identity=one.identity, buffers=iter((one.data.encoded(),)), file_header=one.header()
    )


def declared(study: ResolvedStudy) -> list[dict[str, Any]]:
    """What is wrong with a study, ready for JSON; empty if nothing was declared.

    Returns:
        For each defect ``name``, ``title``, ``wrong``, ``expected`` (of a careful receiver), ``whole_study`` and
        ``instances``, those that have it; none are listed if the whole study has it. Each has ``series_number`` and
        ``instance_number``, and ``sop_instance_uid`` and ``series_instance_uid`` twice: as ``received``, and as they
        are ``without`` the defects; ``uid_of`` are those of the instance whose SOP Instance UID it has. ``directory``,
        of a DICOMDIR that lies, has for each lie the ``file`` that the record is of, and what it ``says`` instead.
    """
    if not study.defects:
        return []
    from dicomfab.fabricate.defects.places import places

    found = places(study)
    return [
        {
            "name": name,
            "title": DEFECTS[name].title,
            "wrong": DEFECTS[name].wrong,
            "expected": DEFECTS[name].expected,
            "whole_study": DEFECTS[name].is_everywhere,
            "instances": [_told(place, found) for place in found if place.defect == name],
            **({"directory": _lies(study)} if name == _DIRECTORY else {}),
        }
        for name in study.defects
    ]


def _lies(study: ResolvedStudy) -> list[dict[str, str]]:
    from dicomfab.fabricate.defects.directory import told

    return told(study)


def _told(place: Place, found: Sequence[Place]) -> dict[str, Any]:
    instance, other = place.instance, place.other
    told = {
        "series_number": instance.series_number,
        "instance_number": instance.instance_number,
        "received": _received(instance, found),
        "without": _uids(instance.sop_instance_uid, instance.series_instance_uid),
    }
    return {**told, "uid_of": _uids(other.sop_instance_uid, other.series_instance_uid)} if other else told


def _received(instance: Instance, found: Sequence[Place]) -> dict[str, str]:
    from dicomfab.fabricate.defects.places import received_uids

    own = [place for place in found if place.instance == instance]
    uid = received_uids(own).get(instance.sop_instance_uid, instance.sop_instance_uid)
    has_series = all(place.defect != "empty-type-1" for place in own)
    return _uids(uid, instance.series_instance_uid if has_series else "")


def _uids(sop_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
    return {"sop_instance_uid": sop_instance_uid, "series_instance_uid": series_instance_uid}
