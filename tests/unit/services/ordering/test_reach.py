"""Addresses that somebody types: who may talk to which, and that every door asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.dimse.peer import Peer
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, ConnectionFailed, InvalidInput
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.modality import ModalityConfig
from dicomfab.services.ordering.reach import require_reach
from dicomfab.storage.hl7_messages import MessageFilter
from tests.unit.services.ordering.conftest import ACTOR, orm

TESTER = dataclasses.replace(ACTOR, roles=frozenset({Role.TEST_WRITE}))
TEST, PROD = Environment.TEST, Environment.PROD
#: What is registered: host, port, environment.
SERVERS = (
    ("test.example", 104, "test"),
    ("prod.example", 104, "prod"),
    ("both.example", 104, "prod"),
    ("both.example", 11112, "test"),
    ("127.0.0.1", 4104, "prod"),
)


@pytest.fixture
def known(site: Application) -> Application:
    for number, (host, port, environment) in enumerate(SERVERS):
        given = {"id": f"s{number}", "name": f"S{number}", "host": host, "port": port, "aec": "PACS"}
        site.pacs.add(ACTOR, {**given, "environment": environment})
    return site


@pytest.mark.parametrize(
    ("host", "port", "of_tester", "of_admin"),
    [
        ("127.0.0.1", 2575, None, None),
        ("::1", 2575, None, None),
        ("0.0.0.0", 4104, InvalidInput, InvalidInput),
        ("localhost", 4104, InvalidInput, InvalidInput),
        ("test.example", 2575, None, None),
        ("TEST.EXAMPLE", 104, None, None),
        ("prod.example", 2575, InvalidInput, InvalidInput),
        ("Prod.Example", 104, InvalidInput, InvalidInput),
        ("both.example", 2575, None, None),
        ("both.example", 104, InvalidInput, InvalidInput),
        ("elsewhere.example", 2575, AccessDenied, None),
        ("192.0.2.7", 2575, AccessDenied, None),
    ],
)
def test_who_reaches_an_address_that_is_said_to_be_of_test(
    known: Application, host: str, port: int, of_tester: type[Exception] | None, of_admin: type[Exception] | None
) -> None:
    servers = known.pacs.servers(ACTOR)
    for actor, refusal in ((TESTER, of_tester), (ACTOR, of_admin)):
        if refusal is None:
            require_reach(actor, Action.STORE, TEST, host, port, servers)
        else:
            with pytest.raises(refusal):
                require_reach(actor, Action.STORE, TEST, host, port, servers)
    require_reach(ACTOR, Action.STORE, PROD, host, port, servers)
    with pytest.raises(AccessDenied):
        require_reach(TESTER, Action.STORE, PROD, host, port, servers)


def config(site: Application) -> ModalityConfig:
    return ModalityConfig(Peer("elsewhere.example", 11114, "RIS"), site.pacs.get(ACTOR, "s0"))


DOORS: dict[str, Callable[[Application], object]] = {
    "send": lambda site: site.ordering.messages.send(TESTER, orm(), TEST, "elsewhere.example", 2575),
    "worklist": lambda site: site.modality.items(TESTER, config(site)),
    "perform": lambda site: list(site.modality.perform(TESTER, config(site))),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_asks_before_anything_is_kept_or_sent(known: Application, door: str) -> None:
    with pytest.raises(AccessDenied, match="nobody has registered it"):
        DOORS[door](known)
    assert known.ordering.messages.page(ACTOR, MessageFilter()).total == 0


def test_what_failed_goes_nowhere_that_became_production_meanwhile(site: Application) -> None:
    with pytest.raises(ConnectionFailed):
        site.ordering.messages.send(TESTER, orm(), TEST, "127.0.0.1", 9)
    [failed] = site.ordering.messages.page(ACTOR, MessageFilter()).messages
    given = {"id": "p", "name": "P", "host": "127.0.0.1", "port": 9, "aec": "PACS", "environment": "prod"}
    site.pacs.add(ACTOR, given)
    with pytest.raises(InvalidInput, match="production"):
        site.ordering.messages.resend(TESTER, failed.number)
    assert site.ordering.messages.show(ACTOR, failed.number).state is MessageState.FAILED
