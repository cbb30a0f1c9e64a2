"""The policy table and the one function that reads it.

A cell is (role, environment) -> the actions allowed there. What is not in the table is denied.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied
from dicomfab.model.values import Environment


class Action(enum.StrEnum):
    """What can be asked of the services."""

    VIEW = "view"  # see a server's registry entry, or a study and its images
    ECHO = "echo"
    QUERY = "query"
    RETRIEVE = "retrieve"  # copy instances from a server to the local store
    EXPORT = "export"  # write local studies out as files
    STORE = "store"  # send instances to a server; both ends of a C-MOVE need it
    DELETE = "delete"
    FABRICATE = "fabricate"
    CONFIGURE = "configure"  # registry, routes, the lab's servers
    READ_AUDIT = "read_audit"  # who did what, and with which patients
    MANAGE_USERS = "manage_users"  # accounts, their roles, sessions and tokens
    OWN_ACCOUNT = "own_account"  # one's own password, second factor, sessions and tokens


class Scope(enum.StrEnum):
    """What an action is aimed at: data or a server of an environment, or the installation itself."""

    TEST = "test"
    PROD = "prod"
    SYSTEM = "system"


READ = frozenset({Action.VIEW, Action.ECHO, Action.QUERY, Action.RETRIEVE, Action.EXPORT})
WRITE = READ | {Action.STORE, Action.DELETE}
LOCAL = frozenset({Action.FABRICATE, Action.OWN_ACCOUNT})

POLICY: dict[tuple[Role, Scope], frozenset[Action]] = {
    (Role.TEST_READ, Scope.TEST): READ,
    (Role.TEST_WRITE, Scope.TEST): WRITE,
    (Role.PROD_READ, Scope.PROD): READ,
    (Role.PROD_WRITE, Scope.PROD): WRITE,
    (Role.ADMIN, Scope.TEST): WRITE,
    (Role.ADMIN, Scope.PROD): WRITE,
    (Role.ADMIN, Scope.SYSTEM): LOCAL | {Action.CONFIGURE, Action.READ_AUDIT, Action.MANAGE_USERS},
    # Fabricating touches no server: any signed-in role may do it.
    (Role.TEST_READ, Scope.SYSTEM): LOCAL,
    (Role.TEST_WRITE, Scope.SYSTEM): LOCAL,
    (Role.PROD_READ, Scope.SYSTEM): LOCAL,
    (Role.PROD_WRITE, Scope.SYSTEM): LOCAL,
}


_NOTHING: frozenset[Action] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, and what it followed from.

    Args:
        allowed: whether it may be done.
        roles: those that were asked for.
        action: what was asked for.
        scope: where.
    """

    allowed: bool
    roles: frozenset[Role]
    action: Action
    scope: Scope

    @property
    def reason(self) -> str:
        """The sentence that explains it; made when somebody reads it, which is seldom."""
        able = sorted(role for role in Role if self.action in POLICY.get((role, self.scope), _NOTHING))
        if self.allowed:
            return f"{min(self.roles.intersection(able))} may {self.action} ({self.scope})"
        held = ", ".join(sorted(self.roles)) or "no role"
        wanted = ", ".join(able) or "nobody has it"
        return f"{self.action} ({self.scope}) needs one of: {wanted}; you have {held}"


def decide(actor: Actor, action: Action, target: Environment | Scope) -> Decision:
    """Look the request up in the table."""
    scope = target if isinstance(target, Scope) else Scope(target)
    allowed = any(action in POLICY.get((role, scope), _NOTHING) for role in actor.roles)
    return Decision(allowed, actor.roles, action, scope)


def require(actor: Actor, action: Action, target: Environment | Scope) -> None:
    """Raise unless the table allows it.

    Raises:
        AccessDenied: with the roles that would allow it.
    """
    decision = decide(actor, action, target)
    if not decision.allowed:
        raise AccessDenied(
            f"{actor.name} may not {action} in {Scope(target)}",
            cause=decision.reason,
            remedy="ask an administrator for the role, or choose a server of the other environment",
        )


def visible(actor: Actor, action: Action, environments: Iterable[Environment] = Environment) -> frozenset[Environment]:
    """The environments in which the actor may do the action: what a list may show."""
    return frozenset(e for e in environments if decide(actor, action, e).allowed)
