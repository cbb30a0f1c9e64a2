from __future__ import annotations

import pytest

from dicomfab.access.policy import Role
from dicomfab.app.build import build
from dicomfab.app.lab import configure_registry, correct_registry, routes, servers, web_password
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.errors import AccessDenied, Conflict
from dicomfab.services.lab_registry import LabRegistryService
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.testpacs.spec import WEB_PASSWORD, LabConfig

ADMIN = local_admin("tester", "test")
LAB = LabConfig()
MINE = {"name": "Mine", "host": "pacs.example.com", "port": 104, "aec": "MINE", "environment": "prod"}


@pytest.fixture
def repository(tmp_path):
    database = Database(tmp_path / "registry.sqlite3")
    yield RegistryRepository(database)
    database.close()


def configure(repository, config=LAB, actor=ADMIN):
    return LabRegistryService(repository).configure(actor, servers(config), routes(config))


def add(repository, server_id, **fields):
    from dicomfab.registry.server import server_from

    repository.change(lambda registry: registry.add(server_from({**MINE, **fields}, server_id=server_id)))


def test_four_servers_and_twelve_routes(repository):
    difference = configure(repository)
    registry = repository.load()
    assert difference.added == ("prod-pacs-1", "prod-pacs-2", "test-pacs-1", "test-pacs-2")
    assert len(registry.routes) == 12
    by_id = {s.id: s for s in registry.servers}
    assert {r.ae_title == by_id[r.destination].aec for r in registry.routes} == {True}
    assert {(s.aet_find, s.aet_store, s.aet_echo) for s in registry.servers} == {("DICOMFAB",) * 3}
    assert {s.id: str(s.environment) for s in registry.servers}["prod-pacs-2"] == "prod"
    assert registry.default is None


def test_a_second_time_nothing_is_different(repository):
    configure(repository)
    before = repository.load()
    difference = configure(repository)
    assert (difference.added, difference.changed, difference.removed) == ((), (), ())
    assert repository.load() == before


def test_everything_else_stays(repository):
    configure(repository)
    add(repository, "mine")
    repository.change(
        lambda r: (
            r.edit("test-pacs-1", {"notes": "my notes", "is_default": True})
            .set_routes("test-pacs-1", {"mine": "TO_MINE"})
            .set_routes("mine", {"test-pacs-1": "BACK"})
        )
    )
    before = repository.load()
    configure(repository)
    assert repository.load() == before


def test_what_was_changed_is_put_right(repository):
    configure(repository)
    before = repository.load()
    repository.change(
        lambda r: r.edit(
            "prod-pacs-1", {"port": 9, "aet_store": "", "environment": "test"}, confirm_environment=True
        ).set_routes("test-pacs-1", {"prod-pacs-1": "", "test-pacs-2": "WRONG"})
    )
    difference = configure(repository)
    assert {c.id for c in difference.changed} == {"prod-pacs-1", "test-pacs-1"}
    assert repository.load() == before


def test_overridden_ports_are_followed(repository):
    configure(repository)
    configure(repository, LAB.with_ports(dicom_ports=[11, 12, 13, 14], web_ports=None))
    assert {s.id: s.port for s in repository.load().servers}["prod-pacs-1"] == 13


def test_a_name_that_belongs_to_somebody_else_is_not_taken(repository):
    add(repository, "mine", name="Test PACS 2")
    before = repository.load()
    with pytest.raises(Conflict, match="mine"):
        configure(repository)
    assert repository.load() == before


def test_only_those_who_may_configure(repository):
    with pytest.raises(AccessDenied):
        configure(repository, actor=Actor("somebody", frozenset({Role.TEST_WRITE, Role.PROD_WRITE})))
    assert repository.load().servers == ()


def test_where_the_servers_are_asked_over_dicomweb_is_put_right_and_nothing_else(repository, tmp_path):
    service = LabRegistryService(repository)
    secret = tmp_path / "web-password"
    assert service.correct(ADMIN, servers(LAB, secret)).changed == ()
    assert repository.load().servers == ()
    configure(repository)
    repository.change(lambda r: r.remove("prod-pacs-2").edit("test-pacs-1", {"port": 9, "dicomweb_root": "http://old"}))
    difference = service.correct(ADMIN, servers(LAB, secret))
    assert {c.id for c in difference.changed} == {"prod-pacs-1", "test-pacs-1", "test-pacs-2"}
    found = {s.id: s for s in repository.load().servers}
    assert sorted(found) == ["prod-pacs-1", "test-pacs-1", "test-pacs-2"]
    first = found["test-pacs-1"]
    assert (first.port, first.dicomweb_root) == (9, "http://localhost:8042/dicom-web")
    assert (first.dicomweb_user, first.dicomweb_secret_file, first.via) == ("test", str(secret), "dimse")
    assert service.correct(ADMIN, servers(LAB, secret)).changed == ()
    with pytest.raises(AccessDenied):
        service.correct(Actor("somebody", frozenset({Role.TEST_WRITE})), servers(LAB, secret))


def test_the_password_file_is_its_owners_alone(tmp_path):
    settings = Settings(tmp_path / "home")
    path = web_password(settings)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (f"{WEB_PASSWORD}\n", 0o600)
    path.write_text("old")
    assert web_password(settings).read_text() == f"{WEB_PASSWORD}\n"


def test_no_registry_is_made_to_be_put_right(tmp_path):
    application = build(Settings(tmp_path / "home"))
    assert correct_registry(application, ADMIN) is None
    assert not application.settings.database.exists()
    configure_registry(application, ADMIN)
    assert correct_registry(application, ADMIN).changed == ()
    assert correct_registry(application, Actor("somebody", frozenset({Role.TEST_WRITE}))) is None
    application.close()
