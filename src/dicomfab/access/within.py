"""Which roles give nothing beyond what somebody has: read off the policy table."""

from __future__ import annotations

from collections.abc import Iterable

from dicomfab.access.policy import POLICY, Action, Scope
from dicomfab.model.actor import Role


def within(roles: Iterable[Role], held: Iterable[Role]) -> frozenset[Role]:
    """Those of the roles that allow nothing that the roles held do not allow.

    An administrator may hand a program the role ``test_read``, without holding that role by name.
    """
    has = _allowed(held)
    return frozenset(role for role in roles if _allowed((role,)) <= has)


def _allowed(roles: Iterable[Role]) -> frozenset[tuple[Action, Scope]]:
    return frozenset((action, scope) for role in roles for scope in Scope for action in POLICY.get((role, scope), ()))
