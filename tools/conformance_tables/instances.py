"""What is in the instances that are made, and what a file set holds."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_description
from pydicom.fileset import _FOUR_LEVEL_SOP_CLASSES

from conformance_tables.words import name_of, table, tag_of
from dicomfab.fabricate.iods.common import PRIVATE_CREATOR, PRIVATE_GROUP, base
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.planning import plans
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.scripts import SCRIPTS

_DEFINED: Final = re.compile(r"|ISO_IR \d+|ISO 2022 IR \d+|GB18030|GBK")
_NOW: Final = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
_PRIVATE: Final = {
    0x10: "private creator",
    0x01: "version of the software",
    0x02: "hash of the resolved recipe; the Study Instance UID follows from it",
    0x03: "seed",
    0x04: "names of declared defects, if there are some",
}


def _resolved(*kinds: str, defects: tuple[str, ...] = ()) -> ResolvedStudy:
    recipe = StudyRecipe(tuple(SeriesRecipe(kind) for kind in kinds), seed=1, accession_number="A1", defects=defects)
    return resolve(recipe, now=_NOW, draw_seed=lambda: 1)


def common() -> str:
    """Attributes of every instance that is made, but for the private ones."""
    dataset = base(_resolved("ct-head"), "1.2.840.10008.5.1.4.1.1.2", "CT", 1)
    rows = [
        (dictionary_description(one.tag), tag_of(int(one.tag)), one.VR) for one in dataset if not one.tag.is_private
    ]
    return table(("Attribute", "Tag", "VR"), rows)


def private() -> str:
    dataset = base(_resolved("ct-head", defects=("uid-too-long",)), "1.2.840.10008.5.1.4.1.1.2", "CT", 1)
    rows = []
    for one in dataset:
        if one.tag.is_private:
            assert one.tag >> 16 == PRIVATE_GROUP
            number = one.tag & 0xFF
            place = f"({PRIVATE_GROUP:04X},{'00' if number == 0x10 else 'xx'}{number:02X})"
            value = f"`{PRIVATE_CREATOR}`" if number == 0x10 else "-"
            rows.append((place, one.VR, _PRIVATE[number], value))
    assert len(rows) == len(_PRIVATE)
    return table(("Element", "VR", "What it holds", "Value"), rows)


def character_sets() -> str:
    """Defined terms that are read, and what names of each script are written in."""
    written: dict[str, list[str]] = {}
    for script in SCRIPTS.values():
        for term in script.character_set.split("\\"):
            written.setdefault(term, []).append(script.name)
    rows = [
        (f"`{term or '(none)'}`", "yes", ", ".join(written.get(term, ())) or "-")
        for term in sorted(term for term in python_encoding if _DEFINED.fullmatch(term))
    ]
    return table(("Specific Character Set (0008,0005)", "Read", "Written for names in"), rows)


def records() -> str:
    found: dict[str, list[str]] = {}
    for uid, kind in _FOUR_LEVEL_SOP_CLASSES.items():
        found.setdefault(kind, []).append(name_of(str(uid)).removesuffix(" Storage"))
    rows = [(f"`{kind}`", ", ".join(names)) for kind, names in sorted(found.items())]
    rows += [("`IMAGE`", "all others, and what lacks the attributes of its own record")]
    return table(("Directory record", "Of instances of"), [("`PATIENT`, `STUDY`, `SERIES`", "the tree above"), *rows])


@cache
def _planned() -> Mapping[str, tuple[Dataset, ...]]:
    """The data sets of each kind: one of each of its series."""
    found = {}
    for name, kind in ALL_KINDS.items():
        made = list(plans(_resolved(*kind.needs[:1], name), 1))
        before = len(list(plans(_resolved(*kind.needs[:1]), 1))) if kind.needs else 0
        found[name] = tuple(plan.attributes(0) for plan in made[before:])
    return found


def created() -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for name, datasets in _planned().items():
        for dataset in datasets:
            key = str(dataset.SOPClassUID), str(dataset.Modality)
            if name not in rows.setdefault(key, []):
                rows[key].append(name)
    return table(
        ("SOP class", "UID", "Modality", "Kinds"),
        [
            (name_of(uid), uid, modality, ", ".join(f"`{name}`" for name in names))
            for (uid, modality), names in sorted(rows.items())
        ],
    )


def own_attributes() -> str:
    """What instances of a SOP class have beside what all have."""
    shared = set(base(_resolved("ct-head"), "1.2.840.10008.5.1.4.1.1.2", "CT", 1).keys())
    found: dict[str, set[int]] = {}
    for datasets in _planned().values():
        for dataset in datasets:
            found.setdefault(str(dataset.SOPClassUID), set()).update(int(tag) for tag in dataset.keys() - shared)
    rows = [
        (name_of(uid), ", ".join(dictionary_description(tag) for tag in sorted(tags) if not tag >> 16 & 1))
        for uid, tags in sorted(found.items())
    ]
    return table(("SOP class", "Attributes beside those of every instance"), rows)


def _codes(dataset: Dataset) -> Iterator[tuple[str, str, str]]:
    if "CodingSchemeDesignator" in dataset and "CodeMeaning" in dataset:
        value: Any = dataset.get("CodeValue") or dataset.get("LongCodeValue") or ""
        yield str(dataset.CodingSchemeDesignator), str(value), str(dataset.CodeMeaning)
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            yield from _codes(item)


def codes() -> str:
    """Every code that is in an instance of some kind."""
    found = {code for datasets in _planned().values() for dataset in datasets for code in _codes(dataset)}
    assert not any(scheme.startswith("99") for scheme, _, _ in found)  # the page says that no code is our own
    return table(("Scheme", "Code", "Meaning"), [(scheme, f"`{code}`", text) for scheme, code, text in sorted(found)])


QUICK: Final[Mapping[str, Callable[[], str]]] = {
    "created-common": common,
    "private-attributes": private,
    "character-sets": character_sets,
    "directory-records": records,
}
PLANNED: Final[Mapping[str, Callable[[], str]]] = {
    "created-sop-classes": created,
    "created-attributes": own_attributes,
    "codes": codes,
}
