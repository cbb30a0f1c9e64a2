"""What people type as their name, as what to search for: filters (RFC 4515), and the names of groups."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from dicomfab.model.account import Refusal

#: No name in Active Directory is longer (``userPrincipalName``, MS-ADA3 2.349).
_MAX_NAME: Final = 1024
#: Nor any password.
_MAX_PASSWORD: Final = 256

#: People, and not the computers that are users as well.
_PEOPLE: Final = "(&(objectCategory=person)(objectClass=user){})"
_SPECIAL: Final = frozenset("\\*()")
_WHOLE_NAME: Final = re.compile(r"(CN|OU)=.+,\s*DC=", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to search for.

    Args:
        filter: matches them (RFC 4515).
        domain: that they have to be of, as typed before a backslash; blank if none was.
    """

    filter: str
    domain: str = ""


def hopeless(name: str) -> Refusal | None:
    """``UNKNOWN_NAME`` if no account can bear a name, so that nobody need be asked."""
    account = name.rpartition("\\")[2]
    if account and len(name) <= _MAX_NAME and name.isprintable() and is_text(name):
        return None
    return Refusal.UNKNOWN_NAME


def hopeless_password(password: str) -> Refusal | None:
    """``WRONG_PASSWORD`` if nobody can have a password: an empty one would make an anonymous bind (RFC 4513 5.1.2)."""
    if password and len(password) <= _MAX_PASSWORD and "\0" not in password and is_text(password):
        return None
    return Refusal.WRONG_PASSWORD


def is_text(given: str) -> bool:
    """Whether something can be sent as UTF-8: half of a surrogate pair cannot."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def typed(name: str) -> Wanted:
    """Whom a name stands for: no ``sAMAccountName`` holds a backslash or is spelled with an ``@``."""
    domain, _, account = name.rpartition("\\")
    if "\\" in name:
        # A backslash without a domain before it is no way to leave the domain open.
        return Wanted(_PEOPLE.format(f"(sAMAccountName={escaped(account)})"), domain or "\\")
    attribute = "userPrincipalName" if "@" in name else "sAMAccountName"
    return Wanted(_PEOPLE.format(f"({attribute}={escaped(name)})"))


def known_as(subject: str) -> Wanted | None:
    """Whom a subject stands for; none if it is no ``objectGUID``."""
    try:
        identifier = uuid.UUID(subject)
    except ValueError:
        return None
    octets = "".join(f"\\{octet:02x}" for octet in identifier.bytes_le)
    return Wanted(_PEOPLE.format(f"(objectGUID={octets})"))


def escaped(value: str) -> str:
    """A value as it may stand in a filter (RFC 4515 3)."""
    last = len(value) - 1
    return "".join(
        char if char.isprintable() and char not in _SPECIAL and (char != " " or 0 < at < last) else _octets(char)
        for at, char in enumerate(value)
    )


def _octets(char: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in char.encode())


def is_whole_name(group: str) -> bool:
    """Whether a group is named by its distinguished name."""
    return _WHOLE_NAME.match(group) is not None


def same(name: str) -> str:
    """A form in which two spellings of one name are alike.

    It leaves apart what Active Directory may take for the same when it searches: ``o`` and ``ö``, ``ss`` and ``ß``.
    """
    return unicodedata.normalize("NFC", name).lower()
