"""Use cases on the roles that groups of directories give, and on how sign-ins by directories went."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from dicomfab.model.account import AccountEvent, AccountEventKind
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import Conflict, InvalidInput
from dicomfab.model.person import Step
from dicomfab.services.account_rules import OnEvent, may_manage, names_of, roles_of, tell_nobody
from dicomfab.services.directory_users import DirectoryUsers
from dicomfab.storage.group_roles import GroupRoleRepository
from dicomfab.storage.sign_in_traces import SignInTrace, SignInTraces

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

_LONGEST: Final = 300


class GroupRoleService:
    """Use cases of administrators.

    Args:
        groups: where they are kept.
        traces: how sign-ins went.
        directory: that can be asked about somebody, if there is one.
        on_event: told what happens, in the transaction that does it.
    """

    def __init__(
        self,
        groups: GroupRoleRepository,
        traces: SignInTraces,
        directory: DirectoryUsers | None = None,
        on_event: OnEvent = tell_nobody,
    ) -> None:
        self._groups = groups
        self._traces = traces
        self._directory = directory
        self._on_event = on_event

    def every(self, actor: Actor) -> Mapping[str, frozenset[Role]]:
        """The groups that give roles.

        Raises:
            AccessDenied: the actor does not manage users.
        """
        may_manage(actor)
        return self._groups.every()

    def put(self, actor: Actor, group: str, roles: Iterable[str]) -> None:
        """Have a group give these roles and no others. Every account of a directory is then asked about again.

        Args:
            actor: who wants it.
            group: as the directory or the provider names it: a common name, a Windows name, or a distinguished name.
            roles: at least one.

        Raises:
            AccessDenied: the actor does not manage users.
            InvalidInput: a role that there is not, or a group that cannot be.
        """
        may_manage(actor)
        name, wanted = group_name(group), roles_of(roles)
        if not wanted:
            raise InvalidInput(
                "roles: a group that gives none needs no entry",
                field="roles",
                remedy="name a role, or remove the group",
            )
        self._groups.put(name, wanted, lambda within: self._tell(actor, name, names_of(wanted), within))

    def remove(self, actor: Actor, group: str) -> None:
        """Have a group give nothing any more.

        Raises:
            AccessDenied: the actor does not manage users.
            NotFound: it gives nothing.
        """
        may_manage(actor)
        name = group_name(group)
        self._groups.remove(name, lambda within: self._tell(actor, name, "none", within))

    def traces(self, actor: Actor, limit: int = 50) -> list[SignInTrace]:
        """How the last sign-ins by directories went, the newest first.

        Raises:
            AccessDenied: the actor does not manage users.
        """
        may_manage(actor)
        return self._traces.newest(limit)

    def explain(self, actor: Actor, name: str, password: str | None = None) -> tuple[str, list[Step]]:
        """How a sign-in by the directory goes, step by step; nobody is signed in.

        Args:
            actor: who wants to know.
            name: as it would be typed.
            password: none: everything but the proof is done.

        Returns:
            ``signed_in`` or why not, in a word; and the steps.

        Raises:
            AccessDenied: the actor does not manage users.
            Conflict: no directory is set.
        """
        may_manage(actor)
        if self._directory is None:
            raise Conflict(
                "no directory is set, so there is nothing to explain",
                cause="only Active Directory can be asked about somebody; identity providers ask the person",
                remedy="set DICOMFAB_LDAP_SERVERS, or look at the last sign-ins",
            )
        return self._directory.explain(name, password)

    def _tell(self, actor: Actor, group: str, roles: str, within: Transaction) -> None:
        kind, detail = AccountEventKind.GROUP_CHANGED, {"group": group, "roles": roles}
        event = AccountEvent(kind, actor.name, group, "", detail=detail, address=actor.address, door=actor.door)
        self._on_event(event, within)


def group_name(text: str) -> str:
    """The name of a group, as it is kept.

    Raises:
        InvalidInput: no group can have it.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise InvalidInput(
            "group: this cannot be the name of a group",
            field="group",
            value=text,
            cause=f"it must be one line of 1 to {_LONGEST} characters",
            remedy="write it as the directory shows it, such as DF-TestRead",
        )
    return name
