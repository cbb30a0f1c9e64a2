"""The messages that can be built, as data: what each is for, and which values it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.hl7.entries import ENTRIES, Entry
from dicomfab.model.errors import NotFound

_NUMBERS: Final = (
    "StudyInstanceUID", "AccessionNumber", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)  # fmt: skip
_HEADER: Final = tuple(one.keyword for one in ENTRIES.values() if one.part == "message")
_PATIENT: Final = (
    "PatientID", "IssuerOfPatientID", "UniversalEntityID", "UniversalEntityIDType", "OtherPatientIDs", "PatientName",
    "PatientBirthDate", "PatientSex", "PatientMotherBirthName",
)  # fmt: skip
_MEASURES: Final = ("PatientSize", "PatientWeight")
_PRIOR: Final = ("PriorPatientID", "PriorIssuerOfPatientID", "PriorPatientName")
_VISIT: Final = tuple(one.keyword for one in ENTRIES.values() if one.part == "visit")
_ORDER: Final = tuple(one.keyword for one in ENTRIES.values() if one.part == "order")
_STEP: Final = tuple(one.keyword for one in ENTRIES.values() if one.part == "step")
#: An ORM or OMG has no place for them.
_OF_OMI: Final = frozenset({"ScheduledStationAETitle", "ScheduledStationName", "ScheduledProcedureStepLocation"})
_REPORT: Final = (
    *_PATIENT, *_VISIT, "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    "AccessionNumber", "RequestedProcedureID", "StudyInstanceUID", "RequestedProcedureCodeSequence",
    "RequestedProcedureDescription", "RequestingPhysician", "Modality",
    "ResultStatus", "NameOfPhysiciansReadingStudy", "ReportText",
)  # fmt: skip
_DEFAULTS: Final = {"PatientClass": "O", "SendingApplication": "DICOMFAB", "ProcessingID": "P", "ResultStatus": "F"}


@dataclass(frozen=True, slots=True)
class TemplateField:
    """One value that a message takes.

    Args:
        entry: what it is, and how it is checked.
        default: counts if nothing is given; empty if there is none.
        is_needed: whether there is no message without it.
    """

    entry: Entry
    default: str = ""
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of message.

    Args:
        name: such as ``orm-new``.
        description: for people, one line.
        message_type: such as ``ORM^O01``.
        structure: MSH-9.3; empty in a version that has none.
        version: MSH-12.
        control: ORC-1; empty in a message without an order.
        fields: the values that it takes, in the order of a form.
        any_of: one of these at least is needed; none if it is empty.
    """

    name: str
    description: str
    message_type: str
    structure: str
    version: str
    control: str
    fields: tuple[TemplateField, ...]
    any_of: tuple[str, ...] = ()

    def takes(self, keyword: str) -> bool:
        """Whether a value has a place in the message."""
        return any(one.entry.keyword == keyword for one in self.fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "description": self.description,
            "message_type": self.message_type,
            "version": self.version,
            "any_of": list(self.any_of),
            "fields": [
                {
                    "keyword": one.entry.keyword,
                    "label": one.entry.label,
                    "part": one.entry.part,
                    "default": one.default,
                    "example": one.entry.example,
                    "choices": list(one.entry.choices),
                    "is_needed": one.is_needed,
                }
                for one in self.fields
            ],
        }


def template(name: str) -> Template:
    """A template by its name.

    Raises:
        NotFound: there is none.
    """
    found = TEMPLATES.get(name)
    if found is None:
        raise NotFound(
            f"there is no message template {name!r}.",
            cause="the name is mistyped",
            remedy="see what there is: dicomfab hl7 templates",
        )
    return found


def _fields(keywords: Iterable[str], needed: Iterable[str], **defaults: str) -> tuple[TemplateField, ...]:
    needed, given = set(needed), {**_DEFAULTS, **defaults}
    return tuple(TemplateField(ENTRIES[one], given.get(one, ""), one in needed) for one in (*keywords, *_HEADER))


#: Name -> message type, structure, version.
_ORDERS: Final = {
    "orm": ("ORM^O01", "", "2.3.1"),
    "omg": ("OMG^O19", "OMG_O19", "2.5.1"),
    "omi": ("OMI^O23", "OMI_O23", "2.5.1"),
}
#: Name -> order control, order status, what it is for.
_CONTROLS: Final = {
    "new": ("NW", "SC", "orders a procedure"),
    "change": ("XO", "SC", "changes an order"),
    "cancel": ("CA", "CA", "cancels an order that has not begun"),
    "discontinue": ("DC", "CA", "discontinues an order"),
    "status": ("SC", "CM", "says how far an order has come"),
}
#: Name -> event, structure, what it is for.
_EVENTS: Final = {
    "admit": ("A01", "ADT_A01", "admits a patient"),
    "register": ("A04", "ADT_A01", "registers an outpatient"),
    "pre-admit": ("A05", "ADT_A05", "announces a patient"),
    "update": ("A08", "ADT_A01", "changes a patient's data"),
    "cancel-admit": ("A11", "ADT_A09", "takes an admission back"),
    "update-person": ("A31", "ADT_A05", "changes a person's data, without a visit"),
    "merge": ("A40", "ADT_A39", "merges one patient into another"),
    "change-id": ("A47", "ADT_A30", "gives a patient another ID"),
}


def _order(kind: str, action: str) -> Template:
    message_type, structure, version = _ORDERS[kind]
    control, status, does = _CONTROLS[action]
    own = [one for one in (*_ORDER, *_STEP) if kind == "omi" or one not in _OF_OMI]
    needed = ("PatientID", "PatientName") if action == "new" else ("PatientID",)
    fields = _fields((*_PATIENT, *_MEASURES, "PatientComments", *_VISIT, *own), needed, OrderStatus=status)
    any_of = () if action == "new" else _NUMBERS
    return Template(
        f"{kind}-{action}", f"{does} ({control})", message_type, structure, version, control, fields, any_of
    )


def _adt(name: str) -> Template:
    event, structure, does = _EVENTS[name]
    is_merge = event in ("A40", "A47")
    own = (*_PATIENT, *(_PRIOR if is_merge else (*_MEASURES, *_VISIT)))
    needed = ("PatientID", "PriorPatientID") if is_merge else ("PatientID",)
    return Template(f"adt-{name}", f"{does} ({event})", f"ADT^{event}", structure, "2.5.1", "", _fields(own, needed))


_ALL: Final = (
    *(_order(kind, action) for kind in _ORDERS for action in _CONTROLS),
    *(_adt(name) for name in _EVENTS),
    Template(
        "oru-report", "reports on a study", "ORU^R01", "ORU_R01", "2.5.1", "",
        _fields(_REPORT, ("PatientID", "ReportText")), _NUMBERS,
    ),
)  # fmt: skip

#: Name -> template.
TEMPLATES: Final = {one.name: one for one in _ALL}
