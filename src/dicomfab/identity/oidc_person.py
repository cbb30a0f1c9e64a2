"""Read a person out of what an OpenID provider says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from dicomfab.identity.oidc_values import OidcSettings, Refused
from dicomfab.model.person import Person

_LONGEST_SUBJECT: Final = 255
_LONGEST_NAME: Final = 200
_OVERAGE: Final = (
    "the person is in so many groups that the provider only says where to ask for them, which is not done: have it send"
    " only the groups that are assigned to this application, or application roles, and set the claim to read"
)


def lacks(settings: OidcSettings, claims: Mapping[str, Any]) -> bool:
    """Whether userinfo should be asked for more: providers may leave all but the subject to it."""
    return settings.groups_claim not in claims or settings.name_claim not in claims


def refuse_overage(settings: OidcSettings, claims: Mapping[str, Any]) -> None:
    """Raise if groups are given as a pointer (OpenID Connect Core 1.0, section 5.6.2; of Entra above 200 groups).

    Raises:
        Refused: they are.
    """
    pointers = claims.get("_claim_names")
    is_pointer = isinstance(pointers, dict) and settings.groups_claim in pointers
    if is_pointer or (settings.groups_claim == "groups" and claims.get("hasgroups") is True):
        raise Refused(_OVERAGE)


def person_of(settings: OidcSettings, claims: Mapping[str, Any]) -> Person:
    """The person of claims whose ``sub`` has been checked.

    Raises:
        Refused: the groups cannot be read.
    """
    name = _name(claims, settings.name_claim) or str(claims["sub"])[:_LONGEST_NAME]
    return Person(
        subject=subject_of(settings.issuer, claims["sub"]),
        name=name,
        display_name=_name(claims, settings.display_name_claim) or name,
        groups=_groups(claims.get(settings.groups_claim)),
    )


def subject_of(issuer: str, sub: str) -> str:
    """Issuer and subject together, which alone identify somebody (section 5.7). Cut, two could be one."""
    both = f"{issuer} {sub}"
    return both if len(both) <= _LONGEST_SUBJECT else f"sha256 {hashlib.sha256(both.encode()).hexdigest()}"


def _name(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str):
        return ""
    return "".join(one if one.isprintable() else " " for one in value).strip()[:_LONGEST_NAME]


def _groups(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    groups = [value] if isinstance(value, str) else value
    if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise Refused("the groups are no list of names: set the claim that holds such a list")
    return frozenset(one for one in groups if one)
