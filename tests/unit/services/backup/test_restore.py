"""A backup put back: what it is then, what is refused, and that nothing is ever half there."""

from __future__ import annotations

import datetime
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.audit import EventKind
from dicomfab.model.errors import Conflict, DicomFabError, DiskFull, Interrupted, InvalidInput, NotFound
from dicomfab.model.job import JobEvent, JobState, WorkerInfo
from dicomfab.services.backup.about import About
from dicomfab.services.backup.packing import Wanted
from dicomfab.services.jobs.fabricate import fabricate_job
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.audit import AuditFilter
from tests.unit.services.backup.world import ADMIN, check_archive, content, fill, installation, packed
from tests.unit.services.job_office import cards
from tests.unit.services.test_audit_fail_closed import HERE, PASSWORD, server
from tests.unit.small_disk import small_disk

Taken = Callable[[], Path]


@pytest.fixture
def backup(lived_in: Application, tmp_path: Path) -> Path:
    file = lived_in.backups.take(ADMIN, tmp_path / "a.tar").file
    lived_in.close()
    return file


def test_it_is_what_it_was_wherever_it_is_put(lived_in: Application, backup: Path, tmp_path: Path) -> None:
    there = tmp_path / "deep" / "down" / "home"
    with installation(there) as other:
        restored = other.restoring.restore(ADMIN, backup)
        assert restored.home == there
        assert [one.name for one in other.pacs.servers(ADMIN)] == ["Ward"]
        assert check_archive(there / "studies") == check_archive(lived_in.settings.studies)
        found = other.audit.verify(ADMIN)
        assert (found.broken, found.entries >= 2) == (None, True)
        imports = AuditFilter(kinds=frozenset({EventKind.IMPORT}))
        (event,) = [entry.event for entry in other.audit._log.entries(imports)]
        assert (event.subject, event.detail["taken at"]) == (str(backup), restored.read.about.taken_at)
        fill(other.local_archive, studies=1, root="1.2.8")  # it goes on
    for name in ("secrets/ward", "recipes/mine.yaml", "audit.key"):
        assert (there / name).read_bytes() == (lived_in.settings.home / name).read_bytes()
    assert {path.stat().st_mode & 0o077 for path in there.iterdir() if path.name != "logs"} == {0}
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "deep", "home"}
    assert [path.name for path in there.parent.iterdir()] == ["home"]


def test_several_processes_can_use_it_as_before(backup: Path, tmp_path: Path) -> None:
    with installation(tmp_path / "there") as other:
        other.restoring.restore(ADMIN, backup)
    with closing(sqlite3.connect(tmp_path / "there" / "dicomfab.sqlite3")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_empty_folder_is_taken_and_a_lived_in_one_is_not(backup: Path, tmp_path: Path, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    with installation(tmp_path / "empty") as other:
        other.restoring.restore(ADMIN, backup)
    before = content(home)
    with installation(home) as other, pytest.raises(Conflict, match="not empty") as refused:
        other.restoring.restore(ADMIN, backup)
    assert "home.before" in refused.value.remedy
    assert content(home) == before


def test_paths_below_the_old_home_are_those_below_the_new_one(home: Path, tmp_path: Path) -> None:
    inside, outside = home / "secrets" / "ward", tmp_path / "home2" / "secret"
    with installation(home) as old:
        old.pacs.add(ADMIN, server("Ward", 104))
        for port, (name, path) in enumerate((("One", inside), ("Two", outside)), start=105):
            web = {"dicomweb_root": "http://x.example/dicom-web", "dicomweb_user": "u"}
            old.pacs.add(ADMIN, server(name, port, **web, dicomweb_secret_file=str(path)))
        taken = old.backups.take(ADMIN, tmp_path / "a.tar")
    assert taken.outside == [str(outside)]
    with installation(tmp_path / "new") as new:
        restored = new.restoring.restore(ADMIN, taken.file)
        files = {one.name: one.dicomweb_secret_file for one in new.registry.load().servers}
        assert files == {"Ward": "", "One": str(tmp_path / "new" / "secrets" / "ward"), "Two": str(outside)}
        assert restored.servers_moved == 1
    # Nothing else in the database names the old home, but for what the audit log tells of it.
    with closing(sqlite3.connect(tmp_path / "new" / "dicomfab.sqlite3")) as database:
        naming = [line for line in database.iterdump() if f"{home}/" in line and '"audit_entry"' not in line]
    assert naming == []


def test_nobody_stays_signed_in_and_no_worker_is_believed_to_live(home: Path, tmp_path: Path) -> None:
    with installation(home) as old:
        old.accounts.add(ADMIN, "nora", ["test_read"], password=PASSWORD)
        old.sign_in.sign_in("nora", PASSWORD, HERE)
        now = old.database.now()
        old.job_queue.see(WorkerInfo("here:1", "here", 1, old.store_id, now, now))
        taken = old.backups.take(ADMIN, tmp_path / "a.tar")
    with installation(tmp_path / "new") as new:
        new.restoring.restore(ADMIN, taken.file)
        assert new.job_queue.workers(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)) == []
        assert [account.name for account in new.accounts.every(ADMIN)] == ["nora"]
        assert new.store_id == (home / "store-id").read_text().strip()
    with closing(sqlite3.connect(tmp_path / "new" / "dicomfab.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM session").fetchone() == (0,)


@pytest.mark.full
def test_a_job_that_ran_goes_on(home: Path, tmp_path: Path) -> None:
    with installation(home) as old:
        resolved = old.studies.resolve_recipe(ADMIN, cards(1))
        job_id = old._ledger.submit(*fabricate_job(ADMIN, [resolved], store_id=old.store_id))
        claimed = old.job_queue.claim("killed", store_id=old.store_id, limit=lambda _queue: 1)
        assert claimed is not None
        taken = old.backups.take(ADMIN, tmp_path / "a.tar")
        old.job_queue.finish(claimed[1], JobEvent.CANCEL)  # what becomes of it here does not matter there
    with installation(tmp_path / "new") as new:
        new.restoring.restore(ADMIN, taken.file)
        assert new._ledger.find(job_id).state is JobState.RUNNING
        new.job_queue._now = lambda: new.database.now() + datetime.timedelta(minutes=1)  # its lease is over
        assert new.worker.run_one(job_id)
        assert new._ledger.find(job_id).state is JobState.SUCCEEDED
        assert new.local_archive.has_study(resolved.study_instance_uid)


def test_a_backup_without_its_database_wants_the_one_that_it_had(lived_in: Application, tmp_path: Path) -> None:
    home, address = lived_in.settings.home, PostgresAddress("fab", "127.0.0.1", 1)
    file = packed(tmp_path / "a.tar", {"secrets/x": b"y"})
    with installation(tmp_path / "new") as new, pytest.raises(InvalidInput, match="taken without its database"):
        new.restoring.restore(ADMIN, file)
    with_one = lived_in.backups.take(ADMIN, tmp_path / "b.tar").file
    shared = Application(Settings(home=tmp_path / "new", worker_idle_s=0, postgres=address))
    with pytest.raises(InvalidInput, match="DICOMFAB_DATABASE names another one"):
        shared.restoring.restore(ADMIN, with_one)
    with pytest.raises(DicomFabError, match="cannot be reached"):  # nothing is put back that cannot be recorded
        shared.restoring.restore(ADMIN, file)
    shared.close()
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "b.tar", home.name}


def test_checking_writes_nothing(backup: Path, tmp_path: Path, home: Path) -> None:
    before = content(tmp_path)
    with installation(tmp_path / "new") as new:
        read = new.restoring.check(ADMIN, backup)
    assert (read.about.home, read.members > 6) == (str(home), True)
    assert content(tmp_path) == before


def test_no_backup_is_refused_and_a_missing_one(tmp_path: Path) -> None:
    with installation(tmp_path / "new") as new:
        with pytest.raises(NotFound):
            new.restoring.restore(ADMIN, tmp_path / "a.tar")
        for data in (b"", b"hello", bytes(10240), b"PK\3\4" * 4096):
            (tmp_path / "a.tar").write_bytes(data)
            with pytest.raises(InvalidInput, match="no backup"):
                new.restoring.restore(ADMIN, tmp_path / "a.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_newer_program_s_is_refused(tmp_path: Path) -> None:
    about = About("2026-01-01T00:00:00+00:00", "/h", "0001", lab=False)
    for newer in (replace(about, database="9000"), replace(about, studies=99), replace(about, format=2)):
        file = packed(tmp_path / "a.tar", {}, replace(newer, version="9.9"))
        with installation(tmp_path / "new") as new, pytest.raises(InvalidInput, match="newer version") as refused:
            new.restoring.restore(ADMIN, file)
        assert "9.9" in refused.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_database_that_is_newer_than_the_backup_says_is_refused(
    lived_in: Application, tmp_path: Path, home: Path
) -> None:
    lived_in.audit.record()
    lived_in.close()
    with closing(sqlite3.connect(home / "dicomfab.sqlite3")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9000'")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = (home / "dicomfab.sqlite3").read_bytes()
    file = packed(tmp_path / "a.tar", {"dicomfab.sqlite3": data}, About("2026-01-01", "/h", "0001", lab=False))
    with installation(tmp_path / "new") as new, pytest.raises(DicomFabError, match="9000"):
        new.restoring.restore(ADMIN, file)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "home"}


def test_a_disk_that_is_full_leaves_nothing(backup: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        disk.fill(leave_bytes=128 << 10)
        before = set(disk.folder.iterdir())
        with installation(disk.folder / "home") as new, pytest.raises(DiskFull):
            new.restoring.restore(ADMIN, backup)
        assert set(disk.folder.iterdir()) == before
        disk.make_room()
        # Its files have room, and bringing the database up to date has not: each takes whole blocks, and a log beside.
        disk.fill(leave_bytes=(backup.stat().st_size // 4096 + 8) * 4096)
        before = set(disk.folder.iterdir())
        with installation(disk.folder / "home") as new, pytest.raises(DiskFull, match="nothing of it is left"):
            new.restoring.restore(ADMIN, backup)
        assert set(disk.folder.iterdir()) == before


def test_stopping_it_leaves_nothing(backup: Path, tmp_path: Path) -> None:
    before, asked = set(tmp_path.iterdir()), [0]

    def cancelled() -> bool:
        asked[0] += 1
        return asked[0] in stop_at

    stop_at: tuple[int, ...] = ()
    with installation(tmp_path / "new") as new:
        new.restoring.check(ADMIN, backup, cancelled=cancelled)
        for number in (3, asked[0] + 3):  # while it is checked, and while it is written
            stop_at, asked[0] = (number,), 0
            with pytest.raises(Interrupted):
                new.restoring.restore(ADMIN, backup, cancelled=cancelled)
            assert set(tmp_path.iterdir()) == before


def test_a_volume_of_its_own_becomes_the_home(backup: Path, tmp_path: Path, home: Path) -> None:
    """As in a container: nothing can take the place of the folder itself."""
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        (disk.folder / "lost+found").mkdir()
        (disk.folder / ".home.restoring-0").mkdir()  # of one that was killed before it was complete
        with installation(disk.folder) as new:
            new.restoring.restore(ADMIN, backup)
            assert new.audit.verify(ADMIN).broken is None
        there = {path.name for path in disk.folder.iterdir()}
        assert {path.name for path in home.iterdir() if path.suffix != ".lock"} <= there
        assert not list(disk.folder.glob(".*"))
        with installation(disk.folder) as new, pytest.raises(Conflict, match="not empty"):
            new.restoring.restore(ADMIN, backup)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.services.backup.world import ADMIN, installation

rename, times = Path.rename, []

def killed(path, target):
    times.append(target)
    if len(times) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

Path.rename = killed
with installation(Path(sys.argv[1])) as new:
    new.restoring.restore(ADMIN, Path(sys.argv[2]))
"""


@pytest.mark.full
def test_a_kill_while_entries_are_moved_is_made_good_by_the_next(backup: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as disk, installation(disk.folder) as new:
        done = subprocess.run([sys.executable, "-c", KILLED, str(disk.folder), str(backup)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (disk.folder / "dicomfab.sqlite3").exists()
        with pytest.raises(Conflict, match="complete now"):
            new.restoring.restore(ADMIN, backup)
        assert not list(disk.folder.glob(".*"))
        assert [one.name for one in new.pacs.servers(ADMIN)] == ["Ward"]
        assert len(check_archive(disk.folder / "studies")) == 6


def test_the_lab_comes_back_with_it(home: Path, tmp_path: Path) -> None:
    from dicomfab.archive.archive import Archive

    with installation(home) as old, closing(Archive(home / "lab" / "data" / "test-pacs-2")) as kept:
        fill(kept, studies=1)
        taken = old.backups.take(ADMIN, tmp_path / "a.tar", Wanted(with_lab=True))
    with installation(tmp_path / "new") as new:
        new.restoring.restore(ADMIN, taken.file)
    assert len(check_archive(tmp_path / "new" / "lab" / "data" / "test-pacs-2")) == 3
