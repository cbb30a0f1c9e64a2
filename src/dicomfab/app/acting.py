"""As whom a process acts that another one started for somebody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from dicomfab.model.actor import Actor, Role

#: Only for child processes. Whoever can set it for a command of their own owns the home, and may do all of it anyway.
VARIABLE: Final = "DICOMFAB_ACTING_FOR"
#: What says for whom or where one command is, and is no business of the processes that it starts.
_PERSONAL: Final = frozenset({VARIABLE, "DICOMFAB_SERVER", "DICOMFAB_TOKEN", "DICOMFAB_TOKEN_FILE"})


def as_environment(actor: Actor) -> dict[str, str]:
    """What tells a child process for whom it acts."""
    values = {
        "name": actor.name,
        "roles": sorted(actor.roles),
        "account_id": actor.account_id,
        "token_id": actor.token_id,
        "address": actor.address,
    }
    return {VARIABLE: json.dumps(values)}


def for_nobody(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that acts for itself, on this machine: a worker does jobs of many people."""
    return {name: value for name, value in environ.items() if name not in _PERSONAL}


def from_environment(environ: Mapping[str, str]) -> Actor | None:
    """For whom this process acts; ``None`` if for whoever started it."""
    text = environ.get(VARIABLE, "")
    if not text:
        return None
    values = json.loads(text)
    roles = frozenset(Role(role) for role in values["roles"])
    return Actor(values["name"], roles, "remote", values["account_id"], values["token_id"], values["address"])
