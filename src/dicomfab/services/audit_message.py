"""The audit message of an event, as XML (PS3.15 A.5.1 schema, A.5.2 conventions, A.5.3 messages).

The same event gives the same bytes. Codes are those of PS3.16 CID 400 (event), 401 (type), 402 (role), 404 (object).
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome

OUTCOMES: Final = {Outcome.SUCCESS: "0", Outcome.MINOR: "4", Outcome.SERIOUS: "8", Outcome.MAJOR: "12"}
AUDIT_LOG_URI: Final = "urn:dicomfab:audit"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value."""

    value: str
    meaning: str
    scheme: str = "DCM"


_SOURCE: Final = Code("110153", "Source Role ID")
_DESTINATION: Final = Code("110152", "Destination Role ID")
_STUDY: Final = Code("110180", "Study Instance UID")
_PATIENT: Final = Code("2", "Patient Number", "RFC-3881")
_URI: Final = Code("12", "URI", "RFC-3881")
_NODE: Final = Code("110182", "Node ID")

# kind -> (event ID, action, event type or None); A.5.3.1 to A.5.3.12.
EVENTS: Final[dict[EventKind, tuple[Code, str, Code | None]]] = {
    EventKind.SIGN_IN: (Code("110114", "User Authentication"), "E", Code("110122", "Login")),
    EventKind.SIGN_OUT: (Code("110114", "User Authentication"), "E", Code("110123", "Logout")),
    EventKind.REFUSAL: (Code("110113", "Security Alert"), "E", Code("110132", "Use of Restricted Function")),
    EventKind.QUERY: (Code("110112", "Query"), "E", None),
    EventKind.TRANSFER_BEGUN: (Code("110102", "Begin Transferring DICOM Instances"), "E", None),
    # Whether the receiver held the instances before is not known here: then the action is "read" (A.5.3.7).
    EventKind.TRANSFER_ENDED: (Code("110104", "DICOM Instances Transferred"), "R", None),
    EventKind.EXPORT: (Code("110106", "Export"), "R", None),
    EventKind.IMPORT: (Code("110107", "Import"), "C", None),
    EventKind.VIEW: (Code("110103", "DICOM Instances Accessed"), "R", None),
    EventKind.FABRICATION: (Code("110103", "DICOM Instances Accessed"), "C", None),
    EventKind.DELETION: (Code("110105", "DICOM Study Deleted"), "D", None),
    EventKind.PATIENT_CHANGE: (Code("110110", "Patient Record"), "U", None),
    EventKind.REGISTRY_CHANGE: (Code("110113", "Security Alert"), "E", Code("110128", "Network Configuration")),
    EventKind.ROUTE_CHANGE: (Code("110113", "Security Alert"), "E", Code("110128", "Network Configuration")),
    EventKind.SETTINGS_CHANGE: (Code("110113", "Security Alert"), "E", Code("110131", "Software Configuration")),
    EventKind.USER_CHANGE: (Code("110113", "Security Alert"), "E", Code("110137", "User Security Attributes Changed")),
    EventKind.ROLE_CHANGE: (Code("110113", "Security Alert"), "E", Code("110136", "Security Roles Changed")),
    EventKind.TOKEN_CHANGE: (Code("110113", "Security Alert"), "E", Code("110137", "User Security Attributes Changed")),
    EventKind.START: (Code("110100", "Application Activity"), "E", Code("110120", "Application Start")),
    EventKind.STOP: (Code("110100", "Application Activity"), "E", Code("110121", "Application Stop")),
    EventKind.AUDIT_READ: (Code("110101", "Audit Log Used"), "R", None),
    EventKind.AUDIT_PURGE: (Code("110113", "Security Alert"), "E", Code("110129", "Security Configuration")),
    EventKind.KEY_CHANGE: (Code("110113", "Security Alert"), "E", Code("110129", "Security Configuration")),
    EventKind.CHAIN_BREAK: (
        Code("110113", "Security Alert"),
        "E",
        Code("110135", "Object Security Attributes Changed"),
    ),
}
_BETWEEN_NODES: Final = frozenset({EventKind.QUERY, EventKind.TRANSFER_BEGUN, EventKind.TRANSFER_ENDED})
_WITH_STUDIES: Final = frozenset(
    {
        EventKind.TRANSFER_BEGUN,
        EventKind.TRANSFER_ENDED,
        EventKind.EXPORT,
        EventKind.IMPORT,
        EventKind.VIEW,
        EventKind.FABRICATION,
        EventKind.DELETION,
    }
)
_MEDIA: Final = {
    EventKind.EXPORT: Code("110154", "Destination Media"),
    EventKind.IMPORT: Code("110155", "Source Media"),
}


def message(event: AuditEvent, source_id: str) -> bytes:
    """One ``AuditMessage`` document in UTF-8.

    Args:
        event: with its moment.
        source_id: names this installation (AuditSourceID).
    """
    document: bytes = tostring(element(event, source_id), encoding="utf-8", xml_declaration=True)
    return document


def element(event: AuditEvent, source_id: str) -> Element:
    """The root element of the message, for a document that holds several.

    Raises:
        ValueError: the event has no moment; the log gives it one.
    """
    if event.at is None:
        raise ValueError("an event without a moment has no message")
    event_id, action, event_type = EVENTS[event.kind]
    root = Element("AuditMessage")
    values = {
        "EventActionCode": action,
        "EventDateTime": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "EventOutcomeIndicator": OUTCOMES[event.outcome],
    }
    identification = SubElement(root, "EventIdentification", values)
    _coded(identification, "EventID", event_id)
    if event_type is not None:
        _coded(identification, "EventTypeCode", event_type)
    if event.reason:
        SubElement(identification, "EventOutcomeDescription").text = event.reason
    _participants(root, event)
    source = SubElement(root, "AuditSourceIdentification", {"AuditSourceID": source_id})
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "3" if event.door == "web" else "4"})
    _objects(root, event)
    return root


def _participants(root: Element, event: AuditEvent) -> None:
    if event.kind in _BETWEEN_NODES:
        _node(root, event, event.sender, _SOURCE)
        _node(root, event, event.receiver, _DESTINATION)
        _user(root, event, ())
    elif event.kind in (EventKind.START, EventKind.STOP):
        _process(root, event, (Code("110150", "Application"),))
        if event.actor:
            _user(root, event, (Code("110151", "Application Launcher"),))
    else:
        own = {EventKind.EXPORT: (_SOURCE,), EventKind.IMPORT: (_DESTINATION,)}.get(event.kind, ())
        _user(root, event, own)
        _process(root, event, own)
    if event.kind in _MEDIA:
        _medium(root, event.subject, _MEDIA[event.kind])


def _user(root: Element, event: AuditEvent, codes: Iterable[Code]) -> None:
    """Who asked; the one participant that is the requestor."""
    values = {"UserID": event.actor, "UserIsRequestor": "true"}
    if event.source:
        values["AlternativeUserID"] = f"{event.source}:{event.actor}"
    # A sign-in has to say where it came from; without a network address it came from this machine.
    _participant(root, values, event.address or event.host, [*codes, *(Code(r, r, "99DICOMFAB") for r in event.roles)])


def _process(root: Element, event: AuditEvent, codes: Iterable[Code]) -> None:
    values = {"UserID": str(event.process), "UserName": "dicomfab", "UserIsRequestor": "false"}
    _participant(root, values, event.host, codes)


def _node(root: Element, event: AuditEvent, node: Node | None, role: Code) -> None:
    if node is None:
        _process(root, event, (role,))
        return
    values = {"UserID": node.ae_title or node.name, "UserIsRequestor": "false"}
    if node.ae_title:
        values["AlternativeUserID"] = f"AETITLES={node.ae_title}"
    if node.name:
        values["UserName"] = node.name
    _participant(root, values, node.host, (role,))


def _medium(root: Element, subject: str, role: Code) -> None:
    made = _participant(root, {"UserID": subject or "file", "UserIsRequestor": "false"}, "", (role,))
    _coded(SubElement(made, "MediaIdentifier"), "MediaType", Code("110037", "URI"))


def _participant(root: Element, values: dict[str, str], access_point: str, codes: Iterable[Code]) -> Element:
    if access_point:
        values = values | {
            "NetworkAccessPointID": access_point,
            "NetworkAccessPointTypeCode": "2" if _is_ip(access_point) else "1",
        }
    made = SubElement(root, "ActiveParticipant", values)
    for code in codes:
        _coded(made, "RoleIDCode", code)
    return made


def _objects(root: Element, event: AuditEvent) -> None:
    if event.kind is EventKind.QUERY:
        made = _object(root, event.query_sop_class, ("2", "3"), Code("110181", "SOP Class UID"))
        SubElement(made, "ParticipantObjectQuery").text = base64.b64encode(event.query).decode("ascii")
        _details(made, {"TransferSyntax": event.query_syntax, **event.detail})
    elif event.kind in _WITH_STUDIES:
        _studies(root, event)
    elif event.kind is EventKind.AUDIT_READ:
        made = _object(root, AUDIT_LOG_URI, ("2", "13"), _URI)
        SubElement(made, "ParticipantObjectName").text = "Security Audit Log"
        _details(made, event.detail)
    elif EVENTS[event.kind][0].value == "110113":
        _alert(root, event)
    for patient in event.patient_ids:
        made = _object(root, patient, ("1", "1"), _PATIENT)
        # The schema wants a name or a query; names of patients are not kept.
        SubElement(made, "ParticipantObjectName")


def _studies(root: Element, event: AuditEvent) -> None:
    for number, study in enumerate(event.study_uids):
        made = _object(root, study, ("2", "3"), _STUDY)
        SubElement(made, "ParticipantObjectName").text = "Study"
        _details(made, event.detail if number == 0 else {})
        if len(event.study_uids) > 1:  # which instances are of which study was not noted
            _details(made, *({"ContainsSOPClass": uid} for uid in sorted(event.sop_classes)))
        elif event.sop_classes:
            description = SubElement(made, "ParticipantObjectDescription")
            for uid, instances in sorted(event.sop_classes.items()):
                SubElement(description, "SOPClass", {"UID": uid, "NumberOfInstances": str(instances)})


def _alert(root: Element, event: AuditEvent) -> None:
    is_network = event.kind in (EventKind.REGISTRY_CHANGE, EventKind.ROUTE_CHANGE)
    is_log = event.kind in (EventKind.AUDIT_PURGE, EventKind.KEY_CHANGE, EventKind.CHAIN_BREAK)
    if is_network:
        subject = _object(root, event.subject, ("2", "5"), _NODE)
    else:
        uri = AUDIT_LOG_URI if is_log else f"urn:dicomfab:{event.kind}:{event.subject}"
        subject = _object(root, uri, ("2", "13"), _URI)
    SubElement(subject, "ParticipantObjectName").text = event.subject
    words = event.reason or f"{event.kind} {event.subject}".strip()
    _details(subject, {"Alert Description": words, **event.detail})


def _object(root: Element, identifier: str, types: tuple[str, str], code: Code) -> Element:
    values = {
        "ParticipantObjectID": identifier,
        "ParticipantObjectTypeCode": types[0],
        "ParticipantObjectTypeCodeRole": types[1],
    }
    made = SubElement(root, "ParticipantObjectIdentification", values)
    _coded(made, "ParticipantObjectIDTypeCode", code)
    return made


def _details(parent: Element, *groups: Mapping[str, str]) -> None:
    for group in groups:
        for name, value in sorted(group.items()):
            SubElement(parent, "ParticipantObjectDetail", {"type": name, "value": _base64(value)})


def _coded(parent: Element, tag: str, code: Code) -> None:
    values = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, tag, values)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
