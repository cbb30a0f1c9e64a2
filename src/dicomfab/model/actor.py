"""Who asks: every service method takes an Actor."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.StrEnum):
    """The seed's five roles; a person may hold several."""

    TEST_READ = "test_read"
    TEST_WRITE = "test_write"
    PROD_READ = "prod_read"
    PROD_WRITE = "prod_write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or program with its roles.

    Args:
        name: the sign-in name, or the operating system's user on the command line.
        roles: what the policy table is asked with; none means nothing is allowed.
        door: where the request came in: ``cli``, ``web``, ``api``, or ``remote`` for a command from afar.
        account_id: of the account that signed in; none for the local administrator and for jobs.
        token_id: of the API token that stands for the account, if one does.
        address: the network address that the request came from; blank for this machine and for jobs.
    """

    name: str
    roles: frozenset[Role] = frozenset()
    door: str = "api"
    account_id: int | None = None
    token_id: str = ""
    address: str = ""


def local_admin(name: str, door: str) -> Actor:
    """The one person there is while no sign-in is configured (mode ``none``, loopback only)."""
    return Actor(name, frozenset({Role.ADMIN}), door)
