"""A change of who may do what, or of the configuration, and its entry are one: without the entry there is no change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.account import Origin
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import LocalFailure
from dicomfab.model.job import JobKind
from dicomfab.services.monitor.service import Switch
from dicomfab.storage.audit import AuditFilter
from tests.unit.services.accounts_office import PASSWORD, _up_to_date
from tests.unit.services.hospital import ADMIN, Hospital, hospital

OWNER = local_admin("owner", "cli")
HERE = Origin("127.0.0.1")
#: What must not change without an entry: all columns but what only counts attempts.
TABLES = ("account", "session", "api_token", "set_up_code", "pacs_server", "move_route", "schedule", "monitor", "job")
REFUSES = "CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'nothing is taken'); END"


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    file = tmp_path / "home" / "dicomfab.sqlite3"
    file.parent.mkdir()
    file.write_bytes(_up_to_date())
    file.chmod(0o600)
    made = Application(Settings(home=file.parent))
    yield made
    made.close()


def by_hand(application: Application, statement: str) -> None:
    with sqlite3.connect(str(application.settings.database)) as database:
        database.execute(statement)
    database.close()


def snapshot(application: Application) -> dict[str, list[Any]]:
    with sqlite3.connect(str(application.settings.database)) as database:
        found = {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    database.close()
    return found


def server(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": "test", **more}


def changes(application: Application) -> dict[str, Callable[[], object]]:
    """Each change that must have its entry, in an order in which all of them can be made."""
    accounts, tokens, signs, pacs = application.accounts, application.api_tokens, application.sign_in, application.pacs
    root = accounts.add(OWNER, "root", ("admin",), password=PASSWORD)
    anna = accounts.add(OWNER, "anna", ("test_read",), password=PASSWORD)
    ben = accounts.add(OWNER, "ben", ("test_read",), password=PASSWORD)
    cookie, _ = signs.sign_in("anna", PASSWORD, HERE)
    for _ in range(2):
        signs.sign_in("root", PASSWORD, HERE)
    begun = signs.sessions(OWNER, root.id)[0]
    token = tokens.create(OWNER, anna.id, ("test_read",), label="old")[1]
    secret = accounts.offer_totp(OWNER, ben.id).secret
    pacs.add(OWNER, server("Ward", 104))
    pacs.add(OWNER, server("Clinic", 105))
    file = pacs.export_json(OWNER, "clinic").replace("105", "107")
    parameters = {"studies": ["1.2.3"], "source": "ward"}
    kept = application.schedules.add(OWNER, JobKind.GET, parameters, cron="0 3 * * *")
    return {
        "user created": lambda: accounts.add(OWNER, "carl", ("test_read",), password=PASSWORD),
        "signed in": lambda: signs.sign_in("anna", PASSWORD, HERE),
        "signed out": lambda: signs.sign_out(cookie, HERE),
        "session ended": lambda: signs.end_session(OWNER, root.id, begun.id),
        "sessions ended": lambda: signs.end_sessions(OWNER, root.id),
        "roles changed": lambda: accounts.set_roles(OWNER, anna.id, ("prod_read",)),
        "renamed": lambda: accounts.rename(OWNER, anna.id, "Anna B."),
        "password changed": lambda: accounts.set_password(OWNER, anna.id, "another marble nine"),
        "second factor": lambda: accounts.confirm_totp(OWNER, ben.id, pyotp.TOTP(secret).now()),
        "second factor removed": lambda: accounts.remove_totp(OWNER, ben.id),
        "token made": lambda: tokens.create(OWNER, ben.id, ("test_read",), label="new"),
        "token revoked": lambda: tokens.revoke(OWNER, token.id),
        "disabled": lambda: accounts.disable(OWNER, anna.id),
        "enabled": lambda: accounts.enable(OWNER, anna.id),
        "removed": lambda: accounts.remove(OWNER, ben.id),
        "server added": lambda: pacs.add(OWNER, server("Lab", 106)),
        "server edited": lambda: pacs.edit(OWNER, "ward", {"allow_real": True}),
        "environment changed": lambda: pacs.edit(OWNER, "ward", {"environment": "prod"}, confirm_environment=True),
        "routes set": lambda: pacs.set_routes(OWNER, "ward", {"clinic": "CLINIC"}),
        "imported": lambda: pacs.import_json(OWNER, file, source="a file", into="clinic"),
        "monitoring": lambda: application.monitoring.change(OWNER, "clinic", switch=Switch.ON),
        "schedule run": lambda: application.schedules.run(OWNER, kept.id),
        "schedule paused": lambda: application.schedules.pause(OWNER, kept.id),
        "schedule resumed": lambda: application.schedules.resume(OWNER, kept.id),
        "schedule removed": lambda: application.schedules.remove(OWNER, kept.id),
        "schedule added": lambda: application.schedules.add(OWNER, JobKind.GET, parameters, cron="0 4 * * *"),
        "server removed": lambda: pacs.remove(OWNER, "clinic"),
    }


def test_no_security_change_is_made_without_its_entry(application: Application) -> None:
    for name, change in changes(application).items():
        before = snapshot(application)
        by_hand(application, REFUSES)
        with pytest.raises(LocalFailure) as refused:
            change()
        assert "audit log takes no entry" in refused.value.what, name
        assert refused.value.remedy, name
        by_hand(application, "DROP TRIGGER full")
        assert snapshot(application) == before, name
        count = application.audit._log.page(AuditFilter(), limit=1).total
        change()
        assert snapshot(application) != before, name
        assert application.audit._log.page(AuditFilter(), limit=1).total > count, name


def test_the_first_administrator_is_not_made_without_its_entry(application: Application) -> None:
    by_hand(application, REFUSES)
    with pytest.raises(LocalFailure):
        application.set_up.offer(OWNER)
    by_hand(application, "DROP TRIGGER full")
    code = application.set_up.offer(OWNER)
    assert code
    by_hand(application, REFUSES)
    before = snapshot(application)
    with pytest.raises(LocalFailure):
        application.set_up.make_first_admin(code, "root", PASSWORD, HERE)
    assert snapshot(application) == before
    by_hand(application, "DROP TRIGGER full")
    assert application.set_up.make_first_admin(code, "root", PASSWORD, HERE).name == "root"


@pytest.fixture
def site(tmp_path: Path, application: Application) -> Iterator[Hospital]:
    with hospital(tmp_path / "hospital") as made:
        made.transfers.record = made.queries.record = made.studies.record = application.audit.record
        yield made


def test_a_transfer_is_on_record_before_its_first_byte_and_refused_if_it_cannot_be(
    application: Application, site: Hospital
) -> None:
    ward, clinic = site.pacs("WARD"), site.pacs("CLINIC")
    study = site.make()
    newest: list[str] = []

    def noting(scu: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            newest.append(str(application.audit._log.page(AuditFilter(), limit=1).entries[0].event.kind))
            return scu(*args, **options)

        return call

    transfers = site.transfers
    transfers.store, transfers.move_scu, transfers.get_scu = map(
        noting, (transfers.store, transfers.move_scu, transfers.get_scu)
    )
    doing: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("send", lambda: transfers.send(ADMIN, study, ward), lambda: site.held("WARD", study)),
        (
            "move",
            lambda: transfers.move(ADMIN, study, ward, clinic, "CLINIC"),
            lambda: site.held("CLINIC", study),
        ),
        ("get", lambda: transfers.get(ADMIN, study, ward), lambda: site.local.has_study(study)),
    ]
    for name, do, arrived in doing:
        if name == "get":
            site.studies.delete(ADMIN, study)
        by_hand(application, REFUSES)
        with pytest.raises(LocalFailure, match="audit log takes no entry"):
            do()
        assert not newest, name
        assert not arrived(), name
        by_hand(application, "DROP TRIGGER full")
        do()
        assert newest == ["transfer-begun"], name
        assert arrived(), name
        newest.clear()


def test_a_local_study_is_not_deleted_without_its_entry(application: Application, site: Hospital) -> None:
    study = site.make()
    by_hand(application, REFUSES)
    with pytest.raises(LocalFailure, match="audit log takes no entry"):
        site.studies.delete(ADMIN, study)
    assert site.local.has_study(study)
