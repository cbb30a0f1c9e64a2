"""Who somebody is, by an assertion that was proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dicomfab.identity.saml_messages import TRANSIENT
from dicomfab.identity.saml_values import Refused, SamlSettings
from dicomfab.identity.saml_xml import ASSERTION, text_of
from dicomfab.model.person import Person

#: Attributes by their short names -> object identifiers (RFC 4524, RFC 4519, RFC 2798, eduPerson, Active Directory).
_OIDS: Final = {
    "uid": "0.9.2342.19200300.100.1.1",
    "mail": "0.9.2342.19200300.100.1.3",
    "cn": "2.5.4.3",
    "displayName": "2.16.840.1.113730.3.1.241",
    "employeeNumber": "2.16.840.1.113730.3.1.3",
    "eduPersonPrincipalName": "1.3.6.1.4.1.5923.1.1.1.6",
    "eduPersonUniqueId": "1.3.6.1.4.1.5923.1.1.1.13",
    "isMemberOf": "1.3.6.1.4.1.5923.1.5.1.1",
    "memberOf": "1.2.840.113556.1.2.102",
}
_MACE: Final = "urn:mace:dir:attribute-def:"
# Entra ID gives this address instead of the groups of who is in more than 150.
_GROUPS_ELSEWHERE: Final = "http://schemas.microsoft.com/claims/groups.link"


def name_id_of(assertion: Any) -> tuple[str, str]:
    """The name of the subject and its format; blank if there is none, or not in clear."""
    name = assertion.find(f"{ASSERTION}Subject/{ASSERTION}NameID")
    return ("", "") if name is None else (text_of(name), name.get("Format", ""))


def attributes_of(assertion: Any) -> dict[str, tuple[str, ...]]:
    """The attributes, with their values in their order and without doubles."""
    found: dict[str, list[str]] = {}
    for attribute in assertion.findall(f"{ASSERTION}AttributeStatement/{ASSERTION}Attribute"):
        values = found.setdefault(attribute.get("Name", ""), [])
        values += [text for value in attribute.findall(f"{ASSERTION}AttributeValue") if (text := _value(value))]
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def person_of(settings: SamlSettings, assertion: Any) -> Person:
    """Who somebody is, by the attributes that the settings name.

    Raises:
        Refused: the assertion does not say it.
    """
    attributes = attributes_of(assertion)
    name = _single(attributes, settings.name_attribute)
    if settings.subject_attribute:
        subject = _single(attributes, settings.subject_attribute)
    else:
        subject, form = name_id_of(assertion)
        if not subject:
            raise Refused("the assertion has no NameID that can be read; have one given, or name an attribute")
        if form == TRANSIENT:
            raise Refused("the NameID is another one each time; ask for a persistent one, or name an attribute")
    groups = _values(attributes, settings.groups_attribute)
    if groups is None and _GROUPS_ELSEWHERE in attributes:
        raise Refused(
            "the person is in too many groups for Entra ID to name; have it give only those of the application"
        )
    display = _values(attributes, settings.display_name_attribute)
    return Person(subject, name, display[0] if display else name, frozenset(groups or ()))


def _value(element: Any) -> str:
    """An identifier may stand in an element of its own (eduPersonTargetedID)."""
    inner = element.find(f"{ASSERTION}NameID")
    return text_of(element if inner is None else inner)


def _spellings(name: str) -> Iterator[str]:
    yield name
    if name in _OIDS:
        yield f"urn:oid:{_OIDS[name]}"
    yield f"{_MACE}{name}"


def _values(attributes: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...] | None:
    return next((attributes[spelling] for spelling in _spellings(name) if spelling in attributes), None)


def _single(attributes: Mapping[str, tuple[str, ...]], name: str) -> str:
    values = _values(attributes, name)
    if not values:
        there = ", ".join(sorted(attributes)) or "none"
        raise Refused(f"the assertion has no attribute {name}; those that it has: {there}")
    if len(values) > 1:
        raise Refused(f"the attribute {name} has {len(values)} values, not one")
    return values[0]
