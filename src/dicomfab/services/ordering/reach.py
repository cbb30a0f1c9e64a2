"""Whether an address may be talked to as one of test: what nobody has registered as test counts as production."""

from __future__ import annotations

from collections.abc import Sequence

from dicomfab.access.policy import Action, decide, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer, canonical_host


def require_reach(
    actor: Actor, action: Action, environment: Environment, host: str, port: int, servers: Sequence[PacsServer]
) -> None:
    """Raise unless the actor may do something at an address that is said to be of an environment.

    A receiver of HL7 messages and a worklist need not be registered. So that nobody reaches production by calling it
    test, whoever may not do the same in production reaches only this computer and hosts of registered test servers;
    and nobody reaches a registered server of production as one of test.

    Args:
        actor: who wants it.
        action: what.
        environment: that the address is said to be of.
        host: name or address.
        port: that is listened on there.
        servers: that are registered.

    Raises:
        AccessDenied: the actor may not.
        InvalidInput: the address is known as production.
    """
    require(actor, action, environment)
    if environment is Environment.PROD:
        return
    there = [one for one in servers if canonical_host(one.host) == canonical_host(host)]
    at_port = [one for one in there if one.port == port]
    known = {one.environment for one in at_port or there}
    is_here = canonical_host(host) == canonical_host("localhost")
    if known == {Environment.PROD} and (at_port or not is_here):
        name = (at_port or there)[0].name
        raise InvalidInput(
            f"host: {host} is where {name} is, which is of production",
            field="host",
            value=host,
            cause="it was said to be of test",
            remedy="say that it is production if you mean it, or name a receiver of test",
        )
    if is_here or Environment.TEST in known or decide(actor, action, Environment.PROD).allowed:
        return
    raise AccessDenied(
        f"{actor.name} may not {action} at {host}: nobody has registered it as test",
        cause="an address that is not known counts as production",
        remedy="ask an administrator to register a test server at this host, or for the role",
    )
