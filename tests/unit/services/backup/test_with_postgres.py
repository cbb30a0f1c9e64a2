"""With the database on PostgreSQL: the command that is printed and the rest in a backup make the installation again."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.errors import InvalidInput
from dicomfab.services.backup.packing import Wanted
from tests.peers.postgres import PostgresServer, postgres_server
from tests.unit.services.backup.world import ADMIN, check_archive, fill
from tests.unit.services.test_audit_fail_closed import server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.mark.full
def test_both_parts_make_it_again(postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.database() as name, postgres.database(empty=True) as other:
        old = Application(Settings(home=tmp_path / "home", worker_idle_s=0, postgres=postgres.address(name)))
        old.pacs.add(ADMIN, server("Ward", 104))
        fill(old.local_archive)
        with pytest.raises(InvalidInput) as refused:
            old.backups.take(ADMIN, tmp_path / "a.tar")
        printed = refused.value.remedy.partition("pg_dump ")[2].partition(" and then")[0]
        subprocess.run(["pg_dump", *shlex.split(printed)], cwd=tmp_path, check=True)
        taken = old.backups.take(ADMIN, tmp_path / "a.tar", Wanted(without_database=True))
        old.close()
        assert (taken.about.database, taken.instances) == ("", 6)

        place = [f"--dbname={other}", "--host=127.0.0.1", f"--port={postgres.port}", "--username=owner"]
        subprocess.run(["pg_restore", *place, "dicomfab.dump"], cwd=tmp_path, check=True)
        new = Application(Settings(home=tmp_path / "new", worker_idle_s=0, postgres=postgres.address(other)))
        new.restoring.restore(ADMIN, taken.file)
        assert [one.name for one in new.pacs.servers(ADMIN)] == ["Ward"]
        assert new.audit.verify(ADMIN).broken is None
        assert len(check_archive(tmp_path / "new" / "studies")) == 6
        new.close()
