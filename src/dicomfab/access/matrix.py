"""The policy table as rows, for people: read off :data:`~dicomfab.access.policy.POLICY`, never written down again."""

from __future__ import annotations

from collections.abc import Iterable

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.model.actor import Actor, Role


def scopes_of(role: Role, action: Action) -> tuple[Scope, ...]:
    """Where a role may do an action; empty if nowhere."""
    actor = Actor("", frozenset({role}))
    return tuple(scope for scope in Scope if decide(actor, action, scope).allowed)


def table() -> dict[Action, dict[Role, tuple[Scope, ...]]]:
    """Action -> role -> where it is allowed; every action and role is there."""
    return {action: {role: scopes_of(role, action) for role in Role} for action in Action}


def let_in(actions: Iterable[Action]) -> tuple[Role, ...]:
    """The roles that may do all of the actions somewhere: those that a door with these needs lets in."""
    wanted = tuple(actions)
    return tuple(role for role in Role if all(scopes_of(role, action) for action in wanted))
