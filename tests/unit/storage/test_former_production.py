"""Addresses where production stood are remembered with the change that leaves them, on both databases."""

from __future__ import annotations

import pytest

from dicomfab.model.errors import ConfirmationRequired
from dicomfab.registry.server import PacsServer
from dicomfab.storage.registry import RegistryRepository

VALUES = {"name": "P", "host": "Pacs.Example.com", "port": 104, "aec": "P"}


def server(server_id, environment, **values):
    return PacsServer(id=server_id, environment=environment, **{**VALUES, "name": server_id, **values})


@pytest.fixture
def repository(database):
    return RegistryRepository(database)


def test_an_address_is_remembered_until_a_server_is_entered_there_again(repository):
    end = ("pacs.example.com", 104, "P")
    repository.change(lambda registry: registry.add(server("p", "prod")))
    assert repository.former_production() == {}
    repository.change(lambda registry: registry.remove("p"))
    assert repository.former_production() == {end: "p"}
    with pytest.raises(ConfirmationRequired):
        repository.change(lambda registry: registry.add(server("t", "test")), confirm_environment=False)
    assert repository.load().servers == ()
    assert repository.former_production() == {end: "p"}
    repository.change(lambda registry: registry.add(server("t", "test")), confirm_environment=True)
    assert repository.former_production() == {}
    repository.change(lambda registry: registry.edit("t", {"notes": "x"}), confirm_environment=False)
    repository.change(lambda registry: registry.remove("t"), confirm_environment=False)
    repository.change(lambda registry: registry.add(server("t", "test")), confirm_environment=False)


def test_a_change_that_fails_remembers_nothing(repository):
    repository.change(lambda registry: registry.add(server("p", "prod")))

    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        repository.change(lambda registry: registry.remove("p"), fail)
    assert repository.former_production() == {}
