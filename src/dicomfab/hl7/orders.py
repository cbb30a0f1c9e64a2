"""Orders of a message: ORM^O01, OMG^O19, OMI^O23, and the patient of an ADT message.

The mapping is that of IHE RAD TF-2 4.4 and 4.13: for each DICOM attribute the elements that hold it, the first that is
valued counts. Where messages of many sites differ from IHE, their element comes last, and the note says that it is a
guess. A :class:`~dicomfab.hl7.profile.Profile` says otherwise for one sending system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7 import values
from dicomfab.hl7.character_sets import decoded, term
from dicomfab.hl7.er7 import NULL, Message, Segment, parse, path
from dicomfab.hl7.groups import Group, Grouped, grouped
from dicomfab.hl7.profile import Profile, profile_for
from dicomfab.hl7.values import Noted
from dicomfab.model.order import Order, OrderField
from dicomfab.model.values import is_uid

_SH: Final = 16
_LO: Final = 64

Convert = Callable[[str], Noted]


@dataclass(frozen=True, slots=True)
class Row:
    """Where an attribute comes from.

    Args:
        keyword: of the attribute.
        sources: elements, the best first.
        convert: to what DICOM writes.
        guesses: source -> what makes it a guess.
    """

    keyword: str
    sources: tuple[str, ...]
    convert: Convert
    guesses: tuple[tuple[str, str], ...] = ()


def _short(value: str) -> Noted:
    return values.text(value, _SH, is_identifier=True)


def _identifier(value: str) -> Noted:
    return values.text(value, _LO, is_identifier=True)


def _long(value: str) -> Noted:
    return values.text(value, _LO)


def _ae_title(value: str) -> Noted:
    return values.text(value, 16, is_identifier=True)


def _comment(value: str) -> Noted:
    return values.text(value, 1024)


def _uid(value: str) -> Noted:
    return (value, "") if is_uid(value) else ("", f"{value[:70]!r} is no UID" if value != NULL else "")


def _modality(value: str) -> Noted:
    found, note = values.text(value.upper(), 16, is_identifier=True)
    return found, note


def _pregnancy(value: str) -> Noted:
    return ("3", "B6: pregnant") if value.upper() == "B6" else ("", "")


_MANY_SITES: Final = "IHE's element is empty: many sites put the accession number here"
_NO_CODE: Final = "OBR-44 is empty: taken from the universal service"
_NO_MEDIA: Final = "by default: the sending facility"

PATIENT_ROWS: Final = (
    Row("PatientID", ("PID-3.1", "PID-2.1"), _identifier, (("PID-2.1", "PID-3 is empty: the external ID until 2.3"),)),
    Row("IssuerOfPatientID", ("PID-3.4.1",), _identifier),
    Row("UniversalEntityID", ("PID-3.4.2",), _identifier),
    Row("UniversalEntityIDType", ("PID-3.4.3",), _short),
    Row("PatientBirthDate", ("PID-7",), values.date),
    Row("PatientSex", ("PID-8.1",), values.sex),
    Row("PatientMotherBirthName", ("PID-6.1",), _long),
    Row("PregnancyStatus", ("PV1-15.1",), _pregnancy),
    Row("CurrentPatientLocation", ("PV1-3.1",), _long),
    Row(
        "AdmissionID",
        ("PV1-19.1", "PID-18.1"),
        _identifier,
        (("PID-18.1", "PV1-19 is empty: the account number stands in"),),
    ),
)

ORDER_ROWS: Final = (
    Row("StudyInstanceUID", ("IPC-3.1", "ZDS-1.1"), _uid),
    Row(
        "AccessionNumber",
        ("IPC-1.1", "OBR-18.1", "OBR-3.1", "ORC-3.1"),
        _short,
        (("OBR-3.1", _MANY_SITES), ("ORC-3.1", _MANY_SITES)),
    ),
    Row("RequestedProcedureID", ("IPC-2.1", "OBR-19.1"), _short),
    Row("ScheduledProcedureStepID", ("IPC-4.1", "OBR-20.1"), _short),
    Row("Modality", ("IPC-5.1", "OBR-24.1"), _modality),
    Row(
        "RequestedProcedureDescription",
        ("OBR-44.2", "OBR-4.2", "OBR-4.1"),
        _long,
        (("OBR-4.2", _NO_CODE), ("OBR-4.1", _NO_CODE)),
    ),
    Row("ScheduledProcedureStepDescription", ("IPC-6.2", "OBR-4.5", "OBR-4.2"), _long),
    Row("ReasonForTheRequestedProcedure", ("OBR-31.2", "OBR-31.1"), _long),
    Row("ScheduledStationAETitle", ("IPC-9.1",), _ae_title),
    Row("ScheduledStationName", ("IPC-7.1",), _short),
    Row("ScheduledProcedureStepLocation", ("IPC-8.1",), _short),
    Row("ScheduledProcedureStepStartDate", ("TQ1-7.1", "ORC-7.4", "OBR-27.4", "OBR-36.1"), values.date),
    Row("ScheduledProcedureStepStartTime", ("TQ1-7.1", "ORC-7.4", "OBR-27.4", "OBR-36.1"), values.time),
    Row("RequestedProcedurePriority", ("TQ1-9.1", "ORC-7.6", "OBR-27.6"), values.priority),
    Row("PlacerOrderNumberImagingServiceRequest", ("ORC-2.1", "OBR-2.1"), _identifier),
    Row("FillerOrderNumberImagingServiceRequest", ("ORC-3.1", "OBR-3.1"), _identifier),
    Row("PatientState", ("OBR-12.1",), _long),
    Row("MedicalAlerts", ("OBR-13.1",), _long),
    Row("PatientTransportArrangements", ("OBR-30.1",), _long),
    Row("ConfidentialityConstraintOnPatientDataDescription", ("ORC-28.1",), _long),
    Row("InstitutionName", ("ORC-17.2", "ORC-17.1", "MSH-4.1"), _long, (("MSH-4.1", _NO_MEDIA),)),
)

_PEOPLE: Final = (
    ("ReferringPhysicianName", (("PV1", 8),)),
    ("RequestingPhysician", (("OBR", 16), ("ORC", 12))),
    ("ScheduledPerformingPhysicianName", (("OBR", 34),)),
)

#: Attribute -> where value, meaning and scheme of a code stand.
_CODES: Final = (
    ("RequestedProcedureCodeSequence", (("OBR-44", 1), ("OBR-4", 1))),
    ("ScheduledProtocolCodeSequence", (("IPC-6", 1), ("OBR-4", 4), ("OBR-4", 1))),
)


#: What a profile can say something about.
MAPPED: Final = {row.keyword: row for row in (*PATIENT_ROWS, *ORDER_ROWS)}


def read(message: str | bytes, profiles: Iterable[Profile] = ()) -> tuple[Order, ...]:
    """The orders of a message, at least one; for a message about a patient one that asks for nothing.

    Args:
        message: text; or bytes, read in the character set that MSH-18 names.
        profiles: that there are; the one for who sent the message is used.

    Raises:
        Hl7Error: it is no HL7 v2 message.
    """
    text, notes = decoded(message) if isinstance(message, bytes) else (message, ())
    parsed = parse(text)
    found = grouped(parsed.segments)
    header = parsed.segments[0]
    profile = profile_for(header, profiles)
    shared = (*notes, *parsed.notes, *_remarks(parsed, found))
    if profile.name:
        shared = (*shared, f"read by the profile {profile.name}")
    return tuple(_order(header, group, found, shared, profile) for group in found.orders)


def _remarks(parsed: Message, found: Grouped) -> list[str]:
    names = {segment.name for segment in parsed.segments}
    remarks = [] if "PID" in names else ["no PID segment: nothing is known of the patient"]
    if len(found.orders) > 1:
        remarks.append(f"the message holds {len(found.orders)} steps or orders")
    return remarks


def _order(header: Segment, group: Group, found: Grouped, notes: tuple[str, ...], profile: Profile) -> Order:
    control = _plain(group, "ORC-1")
    asks = bool(group.get("ORC") or group.get("OBR"))
    if asks and not control:
        control, notes = "NW", (*notes, "ORC-1 is empty or absent: taken as a new order (NW)")
    fields = [*_patient(group, found, profile)]
    if asks:
        fields += [*_rows(ORDER_ROWS, group, profile), *_codes(group), *_comments(group)]
        fields = _with_modality(fields, profile)
    fields += _people(group)
    if header.raw(18):
        value, note = term(header.raw(18))
        fields.append(OrderField("SpecificCharacterSet", value, "MSH-18", note))
    return Order(
        message_type="^".join(part for part in (header.get(9, 1), header.get(9, 2)) if part)[:32],
        control=control[:8],
        status=_plain(group, "ORC-5")[:8],
        control_id=values.text(header.get(10), 199)[0],
        sender=values.text("|".join(part for part in (header.get(3), header.get(4)) if part), 199)[0],
        fields=tuple(fields),
        notes=notes,
    )


def _plain(group: Group, source: str) -> str:
    name, number, component, subcomponent = path(source)
    segment = group.get(name)
    found = segment.get(number, component or 1, subcomponent or 1) if segment else ""
    return "" if found == NULL else found


def _rows(rows: Sequence[Row], group: Group, profile: Profile) -> list[OrderField]:
    """What the message says, or else the profile."""
    fields = []
    for row in rows:
        found = _field(row, group, profile)
        if found is None and row.keyword in profile.defaults:
            found = OrderField(row.keyword, profile.defaults[row.keyword], "", profile.note)
        fields += [found] if found else []
    return fields


def _with_modality(fields: list[OrderField], profile: Profile) -> list[OrderField]:
    """The fields with the modality that the profile's rules give, if they give one."""
    by_keyword = {one.keyword: one for one in reversed(fields)}

    def value(keyword: str) -> str:
        return by_keyword[keyword].value if keyword in by_keyword else ""

    codes = (value(keyword).split("^") for keyword, _ in _CODES)
    texts = (value("RequestedProcedureDescription"), value("ScheduledProcedureStepDescription"))
    named = [(code[0], code[1]) for code in codes if len(code) > 1]
    modality, why = profile.modality(named, " ".join(texts), said=bool(value("Modality")))
    if not modality:
        return fields
    said = f"{why}; the message says {value('Modality')}" if value("Modality") not in ("", modality) else why
    return [*(one for one in fields if one.keyword != "Modality"), OrderField("Modality", modality, "", said)]


def _field(row: Row, group: Group, profile: Profile) -> OrderField | None:
    """The first source that is valued, even if its value cannot be used: that is to be seen, not passed over."""
    guesses = {} if row.keyword in profile.sources else dict(row.guesses)
    for source in profile.sources.get(row.keyword, row.sources):
        name, number, component, subcomponent = path(source)
        segment = group.get(name)
        raw = segment.get(number, component or 1, subcomponent or 1) if segment else ""
        if not raw:
            continue
        value, note = row.convert(raw)
        if value or note:
            said = "; ".join(one for one in (guesses.get(source, ""), note) if one)
            return OrderField(row.keyword, value, source, said)
    return None


def _patient(group: Group, found: Grouped, profile: Profile) -> list[OrderField]:
    fields = []
    pid = group.get("PID")
    if pid:
        name, note = values.person(pid.repetitions(5))
        if name or note:
            fields.append(OrderField("PatientName", name, "PID-5", note))
    fields += _rows(PATIENT_ROWS, group, profile)
    if pid:
        fields += _other_ids(pid)
    fields += _measures(found.observations)
    comment, note = values.text(" ".join(one.get(3) for one in found.patient_comments), 1024)
    if comment:
        fields.append(OrderField("PatientComments", comment, "NTE-3", note))
    return fields


def _other_ids(pid: Segment) -> list[OrderField]:
    fields = []
    for place, one in enumerate(pid.repetitions(3)[1:], 2):
        value, note = _identifier(one.get(1))
        issuer = values.text(one.get(4), 64)[0]
        if value:
            said = "; ".join(part for part in (f"issuer {issuer}" if issuer else "", note) if part)
            fields.append(OrderField("OtherPatientIDs", value, f"PID-3[{place}].1", said))
    return fields


def _measures(observations: list[Segment]) -> list[OrderField]:
    """Body height and weight of OBX, in metres and kilograms."""
    fields: dict[str, OrderField] = {}
    for segment in observations:
        what = f"{segment.get(3, 1)} {segment.get(3, 2)}".casefold()
        unit, raw = segment.get(6).casefold(), segment.get(5)
        if "body weight" in what and raw:
            factor = 0.001 if unit == "g" else 1.0
            fields.setdefault("PatientWeight", _measure("PatientWeight", raw, factor, (0.2, 650.0)))
        elif "body height" in what and raw:
            factor = 0.01 if unit == "cm" else 1.0
            fields.setdefault("PatientSize", _measure("PatientSize", raw, factor, (0.2, 2.8)))
    return list(fields.values())


def _measure(keyword: str, raw: str, factor: float, limits: tuple[float, float]) -> OrderField:
    value, note = values.number(raw, limits[0] / factor, limits[1] / factor)
    return OrderField(keyword, f"{float(value) * factor:g}" if value else "", "OBX-5", note)


def _people(group: Group) -> list[OrderField]:
    fields = []
    for keyword, sources in _PEOPLE:
        for name, number in sources:
            segment = group.get(name)
            if not segment or not segment.raw(number):
                continue
            elements = segment.repetitions(number)[:1]
            if elements[0].has_subcomponents:  # the CM type of 2.3.1: the name is the first component alone
                value, note = values.person([elements[0].component(1)], first=2)
            else:
                value, note = values.person(elements, first=2)
            if not value and elements[0].get(1) not in ("", NULL):
                note = "names a code and no person"
            if value or note:
                fields.append(OrderField(keyword, value, f"{name}-{number}", note))
                break
    return fields


def _codes(group: Group) -> list[OrderField]:
    fields = []
    for keyword, sources in _CODES:
        for source, first in sources:
            name, number, _, _ = path(source)
            segment = group.get(name)
            parts = [segment.get(number, first + n) for n in range(3)] if segment else ["", "", ""]
            value, note = values.code(parts)
            if value:
                guess = _NO_CODE if keyword.startswith("Requested") and source == "OBR-4" else ""
                origin = f"{source}.{first}"
                fields.append(OrderField(keyword, value, origin, "; ".join(one for one in (guess, note) if one)))
                break
    return fields


def _comments(group: Group) -> list[OrderField]:
    value, note = _comment(" ".join(one.get(3) for one in group.comments))
    return [OrderField("RequestedProcedureComments", value, "NTE-3", note)] if value else []
