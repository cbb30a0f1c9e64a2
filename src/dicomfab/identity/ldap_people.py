"""Entries of people in Active Directory: which one is meant, and whether it may be used."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dicomfab.identity.ldap_names import Wanted, escaped, same
from dicomfab.identity.ldap_talk import Found, Talk
from dicomfab.model.account import Refusal
from dicomfab.model.person import Step, Tell

_ATTRIBUTES: Final = (
    "objectGUID", "sAMAccountName", "displayName", "userAccountControl", "msDS-User-Account-Control-Computed",
    "accountExpires", "pwdLastSet",
)  # fmt: skip
# Bits of userAccountControl and of what is computed with it (MS-ADTS 2.2.16 and 3.1.1.4.5.17).
_DISABLED, _LOCKED, _PASSWORD_EXPIRED = 0x2, 0x10, 0x800000
#: Times are counted in 100 ns from here; these two values mean never (MS-ADA1 2.3).
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER: Final = frozenset({0, 0x7FFF_FFFF_FFFF_FFFF})
_GUID: Final = 16

#: The domain that a distinguished name ends with.
_HOME: Final = re.compile(r"(?<=(?<!\\),)DC=[^,]+(,DC=[^,]+)*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody in Active Directory.

    Args:
        found: the entry.
        subject: its ``objectGUID``, which stays whatever becomes of names.
    """

    found: Found
    subject: str

    @property
    def dn(self) -> str:
        """The distinguished name."""
        return self.found.dn

    def text(self, attribute: str) -> str:
        """An attribute; blank if there is none."""
        values = self.found.attributes.get(attribute.lower()) or (b"",)
        return values[0].decode(errors="replace")

    def number(self, attribute: str) -> int:
        """An attribute; 0 if there is none."""
        text = self.text(attribute)
        return int(text) if text.removeprefix("-").isdigit() else 0


def entry_of(talk: Talk, wanted: Wanted) -> Entry | Refusal:
    """The one entry that is wanted; ``UNKNOWN_NAME`` or ``AMBIGUOUS`` if there is not exactly one.

    Raises:
        DirectoryUnavailable: the search could not be done.
    """
    found = talk.search(wanted.filter, _ATTRIBUTES, few=True)
    entries = [Entry(one, str(uuid.UUID(bytes_le=one.attributes["objectguid"][0]))) for one in found if _is_whole(one)]
    what = f"look for {wanted.filter} below {talk.base}"
    if len(entries) != len(found):
        talk.tell(Step(what, "an entry without objectGUID or sAMAccountName cannot be used", is_good=False))
        return Refusal.UNKNOWN_NAME
    if not entries:
        talk.tell(Step(what, "nobody", is_good=False))
        return Refusal.UNKNOWN_NAME
    talk.tell(Step(what, "; ".join(entry.dn for entry in entries)))
    if wanted.domain:
        entries = [entry for entry in entries if _is_of(talk, entry.dn, wanted.domain)]
    if len(entries) == 1:
        return entries[0]
    if entries:
        talk.tell(Step("choose one of them", "the name does not say which one is meant", is_good=False))
    return Refusal.AMBIGUOUS if entries else Refusal.UNKNOWN_NAME


def _is_whole(found: Found) -> bool:
    return len(b"".join(found.attributes.get("objectguid", ()))) == _GUID and "samaccountname" in found.attributes


def _is_of(talk: Talk, dn: str, domain: str) -> bool:
    """Whether an entry is of the domain that was typed before the backslash, by its short name or its DNS name.

    Every domain of a forest is listed with both (MS-ADTS 6.1.1.2.1.1.2).
    """
    home = _HOME.search(dn)
    root = talk.read("", ("configurationNamingContext",))
    contexts = root.attributes.get("configurationnamingcontext", ()) if root else ()
    names: list[str] = []
    if home and contexts:
        listed = talk.search(
            f"(&(objectClass=crossRef)(nCName={escaped(home[0])}))",
            ("nETBIOSName", "dnsRoot"),
            below=f"CN=Partitions,{contexts[0].decode()}",
        )
        for one in listed:
            values = (*one.attributes.get("netbiosname", ()), *one.attributes.get("dnsroot", ()))
            names += [value.decode(errors="replace") for value in values]
    is_of = same(domain) in map(same, names)
    talk.tell(Step(f"compare the domain {domain}", f"{dn} is of {', '.join(names) or 'none'}", is_good=is_of))
    return is_of


def standing(entry: Entry, tell: Tell, *, is_signing_in: bool = True) -> Refusal | None:
    """Why an account may not be used, as far as can be seen from outside.

    Args:
        entry: whose.
        tell: told of what was seen.
        is_signing_in: whether locks and the password's age count as well.
    """
    refusal, said = _seen(entry, is_signing_in=is_signing_in)
    tell(Step("look whether the account may be used", said, is_good=refusal is None))
    return refusal


def _seen(entry: Entry, *, is_signing_in: bool) -> tuple[Refusal | None, str]:
    if entry.number("userAccountControl") & _DISABLED:
        return Refusal.DISABLED, "it is disabled"
    expires = entry.number("accountExpires")
    if expires not in _NEVER and _moment(expires) <= datetime.now(UTC):
        return Refusal.ACCOUNT_EXPIRED, f"it has expired on {_moment(expires):%Y-%m-%d}"
    computed = entry.number("msDS-User-Account-Control-Computed")
    if is_signing_in and computed & _LOCKED:
        return Refusal.LOCKED, "it is locked"
    if is_signing_in and computed & _PASSWORD_EXPIRED:
        if entry.number("pwdLastSet") == 0:
            return Refusal.MUST_CHANGE_PASSWORD, "its password has to be changed first"
        return Refusal.PASSWORD_EXPIRED, "its password has expired"
    return None, "it may be used"


def _moment(ticks: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
