"""Which domain controller to ask first: in the order of the settings, those that failed lately last."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from dicomfab.identity import ldap_explain
from dicomfab.identity.ldap_budget import Budget
from dicomfab.identity.ldap_explain import ControllerUnusable
from dicomfab.identity.ldap_reach import Place, literal
from dicomfab.identity.ldap_settings import LdapServer
from dicomfab.model.person import Step, Tell

#: A controller that failed is asked last for so long.
REST_S: Final = 60.0

_Key = tuple[LdapServer, str]


class Controllers:
    """Remembers which controllers failed, for all threads.

    Args:
        servers: in the order to be asked.
        now: a clock in seconds that never goes back.
    """

    def __init__(self, servers: tuple[LdapServer, ...], *, now: Callable[[], float] = time.monotonic) -> None:
        self._servers = servers
        self._now = now
        self._failed_at: dict[_Key, float] = {}  # single keys are set and taken away: that needs no lock

    def places(self, budget: Budget, tell: Tell, fail: Callable[[ControllerUnusable], None]) -> Iterator[Place]:
        """Where to try, until the budget is spent.

        Args:
            budget: a step is begun for each name whose address has to be found.
            tell: told of names and their addresses.
            fail: told of servers whose address cannot be found, or that there was no time for.
        """
        late: list[Place | LdapServer] = []
        for server in self._servers:
            if self._rests(server, ""):
                late.append(server)
                continue
            for place in self._of(server, budget, tell, fail):
                if self._rests(server, str(place.address[0])):
                    late.append(place)
                elif not budget.is_spent:
                    yield place
        for entry in late:
            found = [entry] if isinstance(entry, Place) else self._of(entry, budget, tell, fail)
            yield from (place for place in found if not budget.is_spent)

    def failed(self, place: Place) -> None:
        """A place could not be used."""
        self._failed_at[place.server, str(place.address[0])] = self._now()

    def worked(self, place: Place) -> None:
        """A place could be used."""
        self._failed_at.pop((place.server, str(place.address[0])), None)

    def _rests(self, server: LdapServer, address: str) -> bool:
        failed_at = self._failed_at.get((server, address))
        return failed_at is not None and self._now() - failed_at < REST_S

    def _of(
        self, server: LdapServer, budget: Budget, tell: Tell, fail: Callable[[ControllerUnusable], None]
    ) -> list[Place]:
        """The places of one server."""
        if budget.is_spent:
            return []
        is_address = literal(server.host) is not None
        found = _addresses(server, budget)
        if isinstance(found, ControllerUnusable):
            tell(Step(f"find the address of {server.host}", f"{found.what}: {found.cause}", is_good=False))
            self._failed_at[server, ""] = self._now()
            fail(found)
            return []
        self._failed_at.pop((server, ""), None)
        if not is_address:
            tell(Step(f"find the address of {server.host}", ", ".join(str(place.address[0]) for place in found)))
        return found


def _addresses(server: LdapServer, budget: Budget) -> list[Place] | ControllerUnusable:
    """The name service knows no time limit: it is asked in a thread, which is left behind if it takes too long."""
    answers: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            answers.put(None)

    if literal(server.host) is not None:
        resolve()  # nobody is asked
    else:
        threading.Thread(target=resolve, name=f"resolve-{server.host}", daemon=True).start()
    budget.begin()
    try:
        entries = answers.get(timeout=budget.left())
    except (queue.Empty, TimeoutError):
        return ldap_explain.name_unknown(server, was_silent=True)
    if not entries:
        return ldap_explain.name_unknown(server, was_silent=False)
    return [Place(server, family, address) for family, _, _, _, address in entries]
