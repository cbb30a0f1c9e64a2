"""Who may do what with accounts, how sign-in names are compared, and what every part of sign-in needs."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.account import AccountEvent
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, InvalidInput

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

LONGEST_NAME: Final = 64
LONGEST_SUBJECT: Final = 255


class OnEvent(Protocol):
    """Told of each thing that happens, for the audit trail."""

    def __call__(self, event: AccountEvent, /, within: Transaction | None = None) -> None:
        """Note an event.

        Args:
            event: what happens.
            within: the transaction of the change, which is undone if the event cannot be noted.

        Raises:
            LocalFailure: it cannot be noted, so it may not happen.
        """


def tell_nobody(_event: AccountEvent, within: Transaction | None = None) -> None:
    """For an installation without an audit trail."""


def may_manage(actor: Actor) -> None:
    """Raise unless the actor manages users; API tokens never do.

    Raises:
        AccessDenied: it may not.
    """
    _no_token(actor)
    require(actor, Action.MANAGE_USERS, Scope.SYSTEM)


def may_see(actor: Actor, account_id: int) -> None:
    """Raise unless it is the actor's own account, or the actor manages users.

    Raises:
        AccessDenied: neither.
    """
    if not _owns(actor, account_id):
        may_manage(actor)


def may_hold_secrets_of(actor: Actor, account_id: int) -> None:
    """Raise unless the actor may be shown what proves the account: its person, or the owner of the home.

    An administrator who has signed in may not: with a token of somebody else, nobody would know who did what.

    Raises:
        AccessDenied: neither.
    """
    if _owns(actor, account_id):
        return
    may_manage(actor)
    if actor.account_id is not None:
        raise AccessDenied(
            f"{actor.name} may not have the secrets of another account",
            cause="tokens and second factors stand for the person whose they are",
            remedy="let that person make it, or use the command line on the server",
        )


def fold(name: str) -> str:
    """A sign-in name as it is compared: capital letters and ways of writing the same letter make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).strip().casefold())


def subject_of(name: str) -> str:
    """What identifies the local account of a sign-in name, as typed; empty, which none is, for what no name can be."""
    folded = fold(name)
    return folded if len(folded) <= LONGEST_SUBJECT and folded == printable(folded) else ""


def printable(text: str) -> str:
    """What was typed, without what could forge a line or that no database takes."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text)


def sign_in_name(name: str) -> str:
    """A sign-in name that a new local account may have.

    Raises:
        InvalidInput: it is empty, too long, or has spaces or characters that cannot be seen.
    """
    clean = unicodedata.normalize("NFKC", name).strip()
    seen = all(c.isalnum() or c in "._-@+" or unicodedata.category(c) in {"Mn", "Mc"} for c in clean)
    if not clean or len(clean) > LONGEST_NAME or not seen or not clean[0].isalnum():
        raise InvalidInput(
            f"name: {name!r} cannot be a sign-in name",
            field="name",
            value=name,
            cause=f"it must have 1 to {LONGEST_NAME} letters, digits or . _ - @ +, and begin with a letter or digit",
            remedy="write for example anna or anna.berg",
        )
    return clean


def text_for_people(text: str, field: str, longest: int) -> str:
    """A display name or label: one line.

    Raises:
        InvalidInput: it is too long, or has characters that cannot be printed.
    """
    clean = text.strip()
    if len(clean) > longest or not clean.isprintable():
        raise InvalidInput(
            f"{field}: this cannot be used",
            field=field,
            value=text,
            cause=f"it must be one line of at most {longest} characters",
            remedy="shorten it",
        )
    return clean


def roles_of(words: Iterable[str]) -> frozenset[Role]:
    """Roles by name.

    Raises:
        InvalidInput: there is no such role.
    """
    known = {str(role): role for role in Role}
    given = [str(word) for word in words]
    for word in given:
        if word not in known:
            raise InvalidInput(
                f"roles: there is no role {word!r}",
                field="roles",
                value=word,
                remedy=f"the roles are {', '.join(known)}",
            )
    return frozenset(known[word] for word in given)


def names_of(roles: Iterable[Role]) -> str:
    """Roles as text."""
    return ", ".join(sorted(roles)) or "none"


def sha256(text: str) -> str:
    """Hexadecimal SHA-256: enough for what is random, never for a password."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _owns(actor: Actor, account_id: int) -> bool:
    return actor.account_id == account_id and not actor.token_id


def _no_token(actor: Actor) -> None:
    if actor.token_id:
        raise AccessDenied(
            f"an API token of {actor.name} may not manage users, passwords or tokens",
            cause="what a program holds must not be able to make itself more powerful or more lasting",
            remedy="sign in with name and password",
        )
