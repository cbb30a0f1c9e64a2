"""Accounts of a directory, which is asked with the password, and asked again what it still gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final, Protocol

from dicomfab.model.account import Account, Identity, Refusal
from dicomfab.model.actor import Role
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Person, Step, Tell, untold
from dicomfab.services.account_rules import LONGEST_SUBJECT, names_of, printable
from dicomfab.storage.sign_in_traces import SignInTraces

LDAP: Final = "ldap"
#: What a directory said about somebody holds so long.
HOLDS: Final = timedelta(minutes=15)
_SIGNED_IN: Final = "signed_in"

#: The roles that groups give, as of now.
GroupRoles = Callable[[], Mapping[str, frozenset[Role]]]


class Directory(Protocol):
    """A directory of people. Each question may end in :class:`DirectoryUnavailable`, which lets nobody in."""

    def authenticate(self, name: str, password: str, groups: Collection[str], tell: Tell) -> Person | Refusal:
        """Who somebody is, by name and password, and in which of these groups; or why not."""

    def look_up(self, name: str, groups: Collection[str], tell: Tell) -> Person | Refusal:
        """The same without a password."""

    def find(self, subject: str, groups: Collection[str], tell: Tell) -> Person | Refusal:
        """The same by subject, of somebody who was proven before."""


class DirectoryUsers:
    """A source of accounts (see :class:`~dicomfab.services.sign_in_provider.SignInProvider`).

    Args:
        directory: that is asked.
        group_roles: which roles its groups give.
        traces: how sign-ins went.
    """

    source = LDAP
    recheck: timedelta | None = HOLDS
    is_elsewhere = False

    def __init__(self, directory: Directory, group_roles: GroupRoles, traces: SignInTraces) -> None:
        self._directory = directory
        self._group_roles = group_roles
        self._traces = traces

    def authenticate(self, name: str, password: str) -> Identity | Account | Refusal:
        """Who somebody is. How it went is kept for administrators.

        Raises:
            DirectoryUnavailable: it could not be asked.
        """
        steps: list[Step] = []
        came = "unavailable"
        group_roles = self._group_roles()
        try:
            proven = self._directory.authenticate(name, password, group_roles, steps.append)
            found = self._found(proven, group_roles, steps.append)
            came = str(found) if isinstance(found, Refusal) else _SIGNED_IN
        except DirectoryUnavailable as error:
            steps.append(gave_up(error))
            raise
        finally:
            self._traces.add(self.source, printable(name), came, steps)
        return found

    def refresh(self, account: Account) -> frozenset[Role] | None:
        """The roles of now; ``None`` if the account is gone or may not be used there.

        Raises:
            DirectoryUnavailable: it could not be asked.
        """
        group_roles = self._group_roles()
        found = self._directory.find(account.subject, group_roles, untold)
        return None if isinstance(found, Refusal) else roles_in(group_roles, found.groups)

    def explain(self, name: str, password: str | None) -> tuple[str, list[Step]]:
        """How a sign-in goes, for an administrator: nobody is signed in, and nothing is kept.

        Args:
            name: as typed.
            password: none: everything but the proof.

        Returns:
            ``signed_in`` or why not, in a word; and the steps.
        """
        steps: list[Step] = []
        group_roles = self._group_roles()
        try:
            if password is None:
                proven = self._directory.look_up(name, group_roles, steps.append)
            else:
                proven = self._directory.authenticate(name, password, group_roles, steps.append)
        except DirectoryUnavailable as error:
            steps.append(gave_up(error))
            return "unavailable", steps
        found = self._found(proven, group_roles, steps.append)
        return (str(found) if isinstance(found, Refusal) else _SIGNED_IN), steps

    def _found(
        self, proven: Person | Refusal, group_roles: Mapping[str, frozenset[Role]], tell: Tell
    ) -> Identity | Refusal:
        return proven if isinstance(proven, Refusal) else identity_of(self.source, proven, group_roles, tell)


def identity_of(
    source: str, person: Person, group_roles: Mapping[str, frozenset[Role]], tell: Tell
) -> Identity | Refusal:
    """An identity with the roles that the groups of a person give; without any there is no access."""
    roles = roles_in(group_roles, person.groups)
    known = {name.casefold() for name in group_roles}
    giving = sorted(group for group in person.groups if group.casefold() in known)
    tell(Step("look for groups that give roles", ", ".join(giving) or "none of them does", is_good=bool(roles)))
    tell(Step("give the roles", names_of(roles), is_good=bool(roles)))
    if not roles:
        return Refusal.NO_GROUP
    if not 0 < len(person.subject) <= LONGEST_SUBJECT:
        tell(Step("know the person again", f"the subject has {len(person.subject)} characters", is_good=False))
        return Refusal.ANSWER_INVALID
    return Identity(source, person.subject, person.name[:200], (person.display_name or person.name)[:200], roles)


def gave_up(error: DirectoryUnavailable) -> Step:
    """The last step of a sign-in that could not be decided."""
    return Step("give up", f"{error.what}: {error.cause}. What to do: {error.remedy}", is_good=False)


def roles_in(group_roles: Mapping[str, frozenset[Role]], groups: Iterable[str]) -> frozenset[Role]:
    """The roles that these groups give; capital and small letters make no difference."""
    by_name = {name.casefold(): roles for name, roles in group_roles.items()}
    return frozenset[Role]().union(*(by_name.get(group.casefold(), frozenset()) for group in groups))
