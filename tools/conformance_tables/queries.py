"""Keys of C-FIND and of the worklist, and attributes of performed procedure steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_description, dictionary_VR, keyword_for_tag, tag_for_keyword

from conformance_tables.words import attribute, table, tag_of
from dicomfab.archive import matching, worklist
from dicomfab.archive.attributes import ATTRIBUTES, UNIQUE_KEY
from dicomfab.archive.computed import COMPUTED
from dicomfab.dimse import performed_step
from dicomfab.dimse.scu.worklist import default_identifier
from dicomfab.hl7.entries import ENTRIES

_UNMATCHED: Final = worklist._UNMATCHED_VRS
#: Required keys of both information models (PS3.4 tables C.6-1 to C.6-4).
_REQUIRED: Final = (
    "PatientName", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "Modality", "SeriesNumber", "InstanceNumber",
)  # fmt: skip


def kinds_of_matching(vr: str) -> str:
    """How a key of a value representation is matched (PS3.4 C.2.2.2)."""
    if vr in _UNMATCHED:
        return "universal"
    kinds = ["single value"]
    if vr in ("DA", "TM"):
        kinds.append("range")
    if vr in matching.WILDCARD_VRS:
        kinds.append("wildcard")
    if vr not in matching.TEXT_VRS:
        kinds.append("list")
    return ", ".join(kinds)


def query_keys() -> str:
    rows = [
        (
            one.level,
            dictionary_description(one.tag),
            tag_of(one.tag),
            one.vr,
            _type(one.keyword),
            kinds_of_matching(one.vr),
        )
        for one in ATTRIBUTES
    ]  # fmt: skip
    return table(("Level", "Attribute", "Tag", "VR", "Type", "Matching, beside universal"), rows)


def _type(keyword: str) -> str:
    return "U" if keyword in UNIQUE_KEY.values() else "R" if keyword in _REQUIRED else "O"


def computed_keys() -> str:
    rows = [
        (
            one.level, dictionary_description(tag), tag_of(tag), one.vr,
            kinds_of_matching(one.vr) if one.listed else "none: it is returned",
        )
        for tag, one in COMPUTED.items()
    ]  # fmt: skip
    return table(("Level", "Attribute", "Tag", "VR", "Matching"), rows)


def vr_matching() -> str:
    vrs = sorted({*matching.WILDCARD_VRS, *matching.TEXT_VRS, *matching.NUMBER_VRS, "AS", "DA", "TM", "UI"})
    found: dict[str, list[str]] = {}
    for vr in vrs:
        found.setdefault(kinds_of_matching(vr) + (", as numbers" if vr in matching.NUMBER_VRS else ""), []).append(vr)
    return table(("Value representation", "Matching, beside universal"), [(", ".join(v), k) for k, v in found.items()])


def worklist_asked() -> str:
    """What the client and the modality ask for."""
    return table(("Attribute", "Tag", "Within"), _flat(default_identifier(), ""))


def _flat(identifier: Dataset, within: str) -> list[tuple[str, str, str]]:
    rows = []
    for element in identifier:
        rows.append((dictionary_description(element.tag), tag_of(int(element.tag)), within or "-"))
        for item in element.value if element.VR == "SQ" else ():
            rows += _flat(item, dictionary_description(element.tag))
    return rows


def worklist_answered() -> str:
    """Return keys of type 1 of the SCP: answered whether they were asked for or not."""
    rows = [(dictionary_description(tag), tag_of(tag), "-") for tag in worklist._ALWAYS]
    rows += [
        (dictionary_description(tag), tag_of(tag), dictionary_description(worklist.SCHEDULED_STEP))
        for tag in worklist._ALWAYS_IN_STEP
    ]
    return table(("Attribute", "Tag", "Within"), rows)


def worklist_offered() -> str:
    """What an order may give to an item, by the keywords that messages are read into."""
    tags = sorted({tag for one in ENTRIES.values() if (tag := tag_for_keyword(one.keyword)) is not None})
    return table(
        ("Attribute", "Tag", "VR", "Matching, beside universal"),
        [
            (dictionary_description(tag), tag_of(tag), dictionary_VR(tag), _of_worklist(dictionary_VR(tag)))
            for tag in tags
            if keyword_for_tag(tag) not in ("SpecificCharacterSet",)
        ],
    )


def _of_worklist(vr: str) -> str:
    return "sequence, by its keys" if vr == "SQ" else kinds_of_matching(vr)


def performed() -> str:
    """Attributes of MPPS that the SCP demands or keeps from being changed."""
    begin = {*performed_step._BEGIN, performed_step._STATUS, "ScheduledStepAttributesSequence"}
    end = {*performed_step._END}
    keywords = sorted({*begin, *end, *performed_step._FIXED}, key=lambda one: tag_for_keyword(one) or 0)
    rows = [
        (
            attribute(one),
            "1" if one in begin else "optional",
            "no" if one in performed_step._FIXED else "yes",
            "1" if one in end else "-",
        )
        for one in keywords
    ]
    return table(("Attribute", "N-CREATE", "N-SET may change it", "To end the step"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "query-keys": query_keys,
    "computed-keys": computed_keys,
    "vr-matching": vr_matching,
    "worklist-asked": worklist_asked,
    "worklist-answered": worklist_answered,
    "worklist-offered": worklist_offered,
    "performed-step": performed,
}
