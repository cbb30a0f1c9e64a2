"""The schema of audit messages (PS3.15 A.5.1.1, RELAX NG there), written down as the content of each element.

An element has attributes (name -> the values that it may have, or the form of its value; ``?`` marks an optional one)
and a content: a regular expression over the names of its children, each followed by a comma.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime
from xml.etree.ElementTree import Element

Values = frozenset[str] | Callable[[str], bool]


def one_of(*values: str) -> Values:
    return frozenset(values)


def numbers(first: int, last: int) -> Values:
    return frozenset(str(number) for number in range(first, last + 1))


def anything(_text: str) -> bool:
    return True


def date_time(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def base64_binary(text: str) -> bool:
    return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


def integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None


CODED: dict[str, Values] = {
    "csd-code": anything,
    "codeSystemName": anything,
    "displayName?": anything,
    "originalText": anything,
}
SOURCE_TYPE: dict[str, Values] = {
    "csd-code": anything,
    "codeSystemName?": anything,
    "displayName?": anything,
    "originalText?": anything,
}

# element -> (attributes, children, form of its text)
SCHEMA: dict[str, tuple[dict[str, Values], str, Values | None]] = {
    "AuditMessage": (
        {},
        "(EventIdentification,)(ActiveParticipant,)+(AuditSourceIdentification,)(ParticipantObjectIdentification,)*",
        None,
    ),
    "EventIdentification": (
        {
            "EventActionCode?": one_of("C", "R", "U", "D", "E"),
            "EventDateTime": date_time,
            "EventOutcomeIndicator": one_of("0", "4", "8", "12"),
        },
        "(EventID,)(EventTypeCode,)*(EventOutcomeDescription,)?",
        None,
    ),
    "EventID": (CODED, "", None),
    "EventTypeCode": (CODED, "", None),
    "EventOutcomeDescription": ({}, "", anything),
    "ActiveParticipant": (
        {
            "UserID": anything,
            "AlternativeUserID?": anything,
            "UserName?": anything,
            "UserIsRequestor": one_of("true", "false"),
            "NetworkAccessPointID?": anything,
            "NetworkAccessPointTypeCode?": numbers(1, 5),
        },
        "(RoleIDCode,)*(MediaIdentifier,)?",
        None,
    ),
    "RoleIDCode": (CODED, "", None),
    "MediaIdentifier": ({}, "(MediaType,)", None),
    "MediaType": (CODED, "", None),
    "AuditSourceIdentification": (
        {"AuditEnterpriseSiteID?": anything, "AuditSourceID": anything},
        "(AuditSourceTypeCode,)*",
        None,
    ),
    "AuditSourceTypeCode": (SOURCE_TYPE, "", None),
    "ParticipantObjectIdentification": (
        {
            "ParticipantObjectID": anything,
            "ParticipantObjectTypeCode?": numbers(1, 4),
            "ParticipantObjectTypeCodeRole?": numbers(1, 26),
            "ParticipantObjectDataLifeCycle?": numbers(1, 15),
            "ParticipantObjectSensitivity?": anything,
        },
        "(ParticipantObjectIDTypeCode,)((ParticipantObjectName,)|(ParticipantObjectQuery,))"
        "(ParticipantObjectDetail,)*(ParticipantObjectDescription,)*",
        None,
    ),
    "ParticipantObjectIDTypeCode": (CODED, "", None),
    "ParticipantObjectName": ({}, "", anything),
    "ParticipantObjectQuery": ({}, "", base64_binary),
    "ParticipantObjectDetail": ({"type": anything, "value": base64_binary}, "", None),
    "ParticipantObjectDescription": ({}, "(SOPClass,)*", None),
    "SOPClass": ({"UID?": anything, "NumberOfInstances": integer}, "", None),
}


def problems(element: Element) -> list[str]:
    """What of an element, and of all below it, the schema does not allow."""
    if element.tag not in SCHEMA:
        return [f"no element {element.tag}"]
    attributes, content, text = SCHEMA[element.tag]
    found = [f"{element.tag}: {problem}" for problem in _attribute_problems(element, attributes)]
    children = "".join(f"{child.tag}," for child in element)
    if not re.fullmatch(content, children):
        found.append(f"{element.tag}: children {children}")
    if text is None and (element.text or "").strip():
        found.append(f"{element.tag}: has text")
    if text is not None and not _is_allowed(text, element.text or ""):
        found.append(f"{element.tag}: text {element.text!r}")
    return found + [problem for child in element for problem in problems(child)]


def _attribute_problems(element: Element, allowed: dict[str, Values]) -> list[str]:
    known = {name.rstrip("?"): values for name, values in allowed.items()}
    missing = [name for name in allowed if not name.endswith("?") and name not in element.attrib]
    wrong = [f"{n}={v!r}" for n, v in element.attrib.items() if n not in known or not _is_allowed(known[n], v)]
    return [f"without {name}" for name in missing] + wrong


def _is_allowed(values: Values, text: str) -> bool:
    try:
        return text in values if isinstance(values, frozenset) else values(text)
    except ValueError:
        return False
