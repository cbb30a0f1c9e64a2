"""The predecessor's ``users.json`` and ``group_mappings.json``: who may do what.

A person had one role there; here an account, or a group of a directory, may have several. Its passwords are unsalted
SHA-256, which is undone by looking it up: none is taken, and no hash leaves this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.model.account import Account
from dicomfab.model.actor import Role
from dicomfab.model.errors import InvalidInput
from dicomfab.services.account_rules import fold, names_of, sign_in_name
from dicomfab.services.group_roles import group_name
from dicomfab.services.legacy.findings import Finding, Kind, NewAccount, Verdict, clipped, reason, several

_ROLES: Final[Mapping[str, Role]] = {str(role): role for role in Role}
#: What accounts had before the predecessor had these roles -> the role that allows it here. None of them made anybody
#: an administrator, whatever else it allowed.
_PERMISSIONS: Final[Mapping[str, tuple[Role, ...]]] = {
    "pacs_query_test": (Role.TEST_READ,),
    "pacs_test_test": (Role.TEST_READ,),
    "pacs_move_test": (Role.TEST_WRITE,),
    "pacs_store_test": (Role.TEST_WRITE,),
    "pacs_query_prod": (Role.PROD_READ,),
    "pacs_test_prod": (Role.PROD_READ,),
    "pacs_move_prod": (Role.PROD_WRITE,),
    "pacs_store_prod": (Role.PROD_WRITE,),
    "pacs_query": (Role.TEST_READ, Role.PROD_READ),
    "pacs_test": (Role.TEST_READ, Role.PROD_READ),
    "pacs_move": (Role.TEST_WRITE, Role.PROD_WRITE),
    "dicom_view": (Role.TEST_READ,),
    "dicom_generate": (Role.TEST_READ,),
    "dicom_export": (Role.TEST_READ,),
}
_WIDER: Final[Mapping[Role, Role]] = {Role.TEST_READ: Role.TEST_WRITE, Role.PROD_READ: Role.PROD_WRITE}
_DEFAULT_PASSWORD: Final = hashlib.sha256(b"admin123").hexdigest()
_PREFIX: Final = "DF-"


@dataclass(frozen=True, slots=True)
class _Read:
    entry: str
    account: NewAccount
    notes: tuple[str, ...]


def plan_accounts(
    document: Mapping[str, Any], file: str, here: Iterable[Account]
) -> tuple[list[Finding], list[NewAccount]]:
    """Judge the accounts of a file.

    Args:
        document: the file.
        file: what findings call it.
        here: the local accounts that there are.

    Returns:
        A finding for each account, and those to make.
    """
    known = {fold(one.name): one for one in here}
    told: dict[str, Finding] = {}
    read: list[_Read] = []
    for key, value in document.items():
        try:
            read.append(_read(key, value))
        except InvalidInput as error:
            told[key] = Finding(file, clipped(key), Kind.ACCOUNT, Verdict.REFUSED, reason(error.what))
    twice = several(fold(one.account.name) for one in read)
    new = [one.account for one in read if fold(one.account.name) not in twice | known.keys()]
    has_admin = any(one.is_admin for one in known.values()) or any(
        one.is_active and Role.ADMIN in one.roles for one in new
    )
    made = []
    for one in read:
        name = fold(one.account.name)
        verdict, says = _judged(one.account, known.get(name), is_twice=name in twice, has_admin=has_admin)
        notes = one.notes if verdict is Verdict.ADD else ()
        told[one.entry] = Finding(file, clipped(one.entry), Kind.ACCOUNT, verdict, says, notes)
        if verdict is Verdict.ADD:
            made.append(one.account)
    return [told[key] for key in document], made


def _read(key: str, value: object) -> _Read:
    name = sign_in_name(key[:1000])
    if not isinstance(value, dict):
        raise InvalidInput("it is no object with the fields of an account", field="(entry)")
    roles, notes = _roles(value)
    is_active = value.get("is_active", True)
    if not isinstance(is_active, bool):
        raise InvalidInput("is_active: it is neither true nor false", field="is_active")
    account = NewAccount(name, roles, is_active)
    return _Read(key, account, (*notes, *_account_notes(key, value, account)))


def _roles(value: Mapping[str, Any]) -> tuple[frozenset[Role], tuple[str, ...]]:
    role, permissions = value.get("role"), value.get("permissions")
    if isinstance(role, str) and role in _ROLES:
        return frozenset({_ROLES[role]}), ()
    words = [word for word in permissions if isinstance(word, str)] if isinstance(permissions, list) else []
    given = {one for word in words for one in _PERMISSIONS.get(word, ())}
    if not given:
        raise InvalidInput(f"role: {clipped(repr(role))} is none of {', '.join(_ROLES)}", field="role")
    needed = frozenset(one for one in given if _WIDER.get(one) not in given)
    left = sorted({word for word in words if word not in _PERMISSIONS and not word.startswith("patients_")})
    notes = [f"role {clipped(repr(role))} is not one of ours; the roles follow from its permissions"]
    if left:
        notes.append(f"of its permissions nothing is taken for {clipped(', '.join(left))}")
    return needed, tuple(notes)


def _account_notes(key: str, value: Mapping[str, Any], account: NewAccount) -> Iterator[str]:
    yield f"its password is not taken; give it a new one: dicomfab users password {account.name}"
    if value.get("password_hash") == _DEFAULT_PASSWORD:
        yield "its password there is the default that everybody knows: change it there, if the predecessor still runs"
    if not account.is_active:
        yield "it is disabled there, and will be here"
    if value.get("username") not in (None, key):
        yield "it calls itself otherwise; the name that it signed in with is taken"


def _judged(one: NewAccount, known: Account | None, *, is_twice: bool, has_admin: bool) -> tuple[Verdict, str]:
    if is_twice:
        return Verdict.REFUSED, "several accounts have this name: capital and small letters make no difference here"
    if known is None:
        if Role.ADMIN in one.roles and not one.is_active and not has_admin:
            return Verdict.REFUSED, "it is a disabled administrator, and there is no other one yet"
        return Verdict.ADD, f"account with {names_of(one.roles)}"
    differing = [] if known.roles == one.roles else [f"roles {names_of(known.roles)} here, {names_of(one.roles)} there"]
    if known.is_active is not one.is_active:
        differing.append(f"{'active' if known.is_active else 'disabled'} here and not there")
    if not differing:
        return Verdict.SAME, "there is this account already"
    return Verdict.CONFLICT, f"there is this account already: {'; '.join(differing)}; what is here stays"


def plan_groups(
    document: Mapping[str, Any], file: str, here: Mapping[str, frozenset[Role]]
) -> tuple[list[Finding], dict[str, frozenset[Role]]]:
    """Judge the groups of a file.

    Args:
        document: the file: ``mappings``, or the mappings themselves.
        file: what findings call it.
        here: group -> roles that it gives.

    Returns:
        A finding for each group, and the groups to enter.
    """
    known = {name.casefold(): roles for name, roles in here.items()}
    mappings = document.get("mappings", {name: one for name, one in document.items() if isinstance(one, dict)})
    if not isinstance(mappings, dict):
        return [Finding(file, "mappings", Kind.FILE, Verdict.REFUSED, "it is no object keyed by groups")], {}
    findings = list(_default_role(document, file))
    wanted: dict[str, dict[Role, str]] = {}
    names: dict[str, tuple[str, str]] = {}
    for key, value in mappings.items():
        try:
            group, role = _mapping(key, value)
        except InvalidInput as error:
            findings.append(Finding(file, clipped(key), Kind.GROUP, Verdict.REFUSED, reason(error.what)))
            continue
        if role is None:
            findings.append(Finding(file, clipped(key), Kind.GROUP, Verdict.ASIDE, "it is switched off there"))
            continue
        names.setdefault(group.casefold(), (key, group))
        wanted.setdefault(group.casefold(), {})[role] = key
    entered = {}
    for folded, given in wanted.items():
        key, group = names[folded]
        verdict, says = _judged_group(frozenset(given), known.get(folded))
        notes = _group_notes(key, group, given) if verdict is Verdict.ADD else ()
        findings.append(Finding(file, clipped(key), Kind.GROUP, verdict, says, tuple(notes)))
        if verdict is Verdict.ADD:
            entered[group] = frozenset(given)
    return findings, entered


def _mapping(key: str, value: object) -> tuple[str, Role | None]:
    """Group and role; no role if the mapping is switched off."""
    if not isinstance(value, dict):
        raise InvalidInput("it is no object with a group and a role", field="(entry)")
    name, role = value.get("enterprise_group", key), value.get("application_role")
    if not isinstance(name, str):
        raise InvalidInput("enterprise_group: it is not text", field="enterprise_group")
    group = group_name(name)
    if value.get("is_active", True) is False:
        return group, None
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidInput(
            f"application_role: {clipped(repr(role))} is none of {', '.join(_ROLES)};"
            f" give the group what is meant: dicomfab auth set-group '{clipped(group)}' ROLE",
            field="application_role",
        )
    return group, _ROLES[role]


def _judged_group(given: frozenset[Role], known: frozenset[Role] | None) -> tuple[Verdict, str]:
    if known is None:
        return Verdict.ADD, f"gives {names_of(given)}"
    if known == given:
        return Verdict.SAME, "the group gives the same already"
    return Verdict.CONFLICT, f"the group gives {names_of(known)} here, {names_of(given)} there; what is here stays"


def _group_notes(key: str, group: str, given: Mapping[Role, str]) -> Iterator[str]:
    if key != group:
        yield f"it calls itself {clipped(group)!r}, which is taken for the group"
    if len(given) > 1:
        yield "several entries name this group; here it gives all their roles"
    if not group.startswith(_PREFIX):
        yield f"it gave nothing there, where only groups {_PREFIX}... counted; here it does"


def _default_role(document: Mapping[str, Any], file: str) -> Iterator[Finding]:
    if document.get("default_role"):
        says = "whoever is in no group that gives a role has none here, and cannot sign in"
        yield Finding(file, "default_role", Kind.FILE, Verdict.ASIDE, says)
