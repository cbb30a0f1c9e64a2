"""What a backup holds, who gets one, and what is left when it cannot be taken."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import EventKind
from dicomfab.model.errors import AccessDenied, Conflict, DiskFull, Interrupted, InvalidInput, LocalFailure, NotFound
from dicomfab.services.backup.packing import Wanted
from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.audit import AuditFilter
from dicomfab.testpacs.folders import LabFolders
from tests.unit.services.backup.world import ADMIN, check_archive, content, fill, installation, listed
from tests.unit.small_disk import small_disk


def names(file: Path) -> set[str]:
    with tarfile.open(file) as opened:
        return set(opened.getnames())


def taken_apart(file: Path, folder: Path) -> Path:
    with tarfile.open(file) as opened:
        opened.extractall(folder, filter="data")
    return folder


def test_all_that_cannot_be_made_again_is_in_it(lived_in: Application, home: Path, tmp_path: Path) -> None:
    for name in ("logs/web.log", "queries/results/1.json", "receiver.lock", "lab/run/x.pid", "verifying/v1/a.dcm"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("made again")
    for name in ("queries/saved/q.json", "hl7-profiles/a.yaml", "lab/lab.json", "commitments/1.2.json", "tls/own.pem"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("nobody can make it again")
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    instances = {f"studies/instances/1.2.7.{s}/1.2.7.{s}.1/1.2.7.{s}.1.{i}.dcm" for s in (1, 2) for i in (1, 2, 3)}
    kept = {"queries/saved/q.json", "hl7-profiles/a.yaml", "lab/lab.json", "commitments/1.2.json", "tls/own.pem"}
    own = {"backup.json", "manifest.jsonl", "audit.key", "secrets/ward", "recipes/mine.yaml", "studies/index.sqlite3"}
    assert names(taken.file) - {"audit-anchors.jsonl"} == instances | kept | own | {"dicomfab.sqlite3"}
    assert (taken.instances, taken.missing, taken.damaged) == (6, [], [])
    assert check_archive(taken_apart(taken.file, tmp_path / "out") / "studies") == {
        f"1.2.7.{s}.1.{i}" for s in (1, 2) for i in (1, 2, 3)
    }


def test_the_list_tells_size_and_digest_of_each_and_only_the_owner_reads_it(
    lived_in: Application, tmp_path: Path
) -> None:
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    out = taken_apart(taken.file, tmp_path / "out")
    for name, one in listed(taken.file).items():
        data = (out / name).read_bytes()
        assert (one["size"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert taken.fingerprint == hashlib.sha256((out / "manifest.jsonl").read_bytes()).hexdigest()
    assert (taken.size_bytes, taken.file.stat().st_mode & 0o777) == (taken.file.stat().st_size, 0o600)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.tar", tmp_path / "home", tmp_path / "out"]


def test_what_is_deleted_or_replaced_while_it_is_copied_is_in_it_as_it_was(
    lived_in: Application, tmp_path: Path
) -> None:
    local = lived_in.local_archive
    before = {one.path.name: one.path.read_bytes() for one in local.instances("1.2.7.1") + local.instances("1.2.7.2")}
    told = []

    def disturb(progress: object) -> None:
        told.append(progress)
        if len(told) == 2:  # the moment has passed
            local.delete_study("1.2.7.1")
            local.delete_study("1.2.7.2")
            fill(local, studies=1, each=2, words="Other")

    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar", on_progress=disturb)
    out = taken_apart(taken.file, tmp_path / "out")
    assert (len(told) > 2, taken.missing, len(check_archive(out / "studies"))) == (True, [], 6)
    assert {path.name: path.read_bytes() for path in out.rglob("*.dcm")} == before
    assert len(check_archive(local.root)) == 2


def test_what_changes_just_before_the_moment_is_in_it_as_it_is_then(
    lived_in: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicomfab.archive import snapshot

    local, naming, times = lived_in.local_archive, snapshot._name, []

    def disturbed(*given: Any) -> None:
        naming(*given)
        times.append(1)
        if len(times) == 1:  # most files have their second names, and anybody may write
            local.delete_study("1.2.7.1")
            local.delete_study("1.2.7.2")
            fill(local, studies=1, each=4, words="Other")
            fill(local, studies=1, root="1.2.8")

    monkeypatch.setattr(snapshot, "_name", disturbed)
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    assert (len(times), taken.missing, taken.damaged) == (2, [], [])
    out = taken_apart(taken.file, tmp_path / "out")
    assert len(check_archive(out / "studies")) == 7
    assert {path.name: path.read_bytes() for path in out.rglob("*.dcm")} == {
        path.name: path.read_bytes() for path in (local.root / "instances").rglob("*.dcm")
    }


def test_the_moment_leaves_no_second_names_and_no_row_that_needs_them(lived_in: Application, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    with closing(sqlite3.connect(taken_apart(taken.file, tmp_path / "out") / "studies" / "index.sqlite3")) as index:
        for table in ("unsettled", "obsolete_file"):
            assert index.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    lived_in.local_archive.close()
    assert [path.stat().st_nlink for path in lived_in.local_archive.root.rglob("*.dcm")] == [1] * 6
    assert list((lived_in.local_archive.root / "incoming").iterdir()) == []


def test_what_the_archive_has_lost_is_said_and_left_out(lived_in: Application, tmp_path: Path) -> None:
    lost, short = (lived_in.local_archive.instances(f"1.2.7.{n}")[0].path for n in (1, 2))
    lost.unlink()
    short.write_bytes(short.read_bytes()[:-10])
    (lived_in.settings.home / "pipe").touch()
    (lived_in.settings.home / "pipe").unlink()
    os.mkfifo(lived_in.settings.home / "pipe")
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    below = "studies/instances/1.2.7.{0}/1.2.7.{0}.1/1.2.7.{0}.1.1.dcm"
    assert (taken.missing, taken.damaged, taken.left_out) == ([below.format(1)], [below.format(2)], ["pipe"])
    out = taken_apart(taken.file, tmp_path / "out")
    (out / below.format(2)).unlink()
    with pytest.raises(FileNotFoundError):  # of the damaged one the row is there, of the lost one it is not
        check_archive(out / "studies")
    assert len(listed(taken.file)) == taken.members


def test_the_lab_only_when_it_is_wanted(lived_in: Application, home: Path, tmp_path: Path) -> None:
    from dicomfab.archive.archive import Archive

    kept = Archive(LabFolders(home / "lab").data("test-pacs-1"))
    fill(kept, studies=1)
    (kept.root / "commitments").mkdir()
    (kept.root / "commitments" / "1.2.json").write_text("{}")
    without = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    assert not [name for name in names(without.file) if name.startswith("lab/data")]
    taken = lived_in.backups.take(ADMIN, tmp_path / "b.tar", Wanted(with_lab=True))
    kept.close()
    out = taken_apart(taken.file, tmp_path / "out")
    assert len(check_archive(out / "lab" / "data" / "test-pacs-1")) == 3
    assert (out / "lab/data/test-pacs-1/commitments/1.2.json").exists()


def test_who_may_not_do_all_that_it_holds_gets_none(lived_in: Application, tmp_path: Path) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(AccessDenied):
            lived_in.backups.take(Actor("nora", frozenset({role}), "cli"), tmp_path / "a.tar")
        with pytest.raises(AccessDenied):
            lived_in.restoring.check(Actor("nora", frozenset({role}), "cli"), tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()


def test_it_is_recorded_before_and_within_it(lived_in: Application, tmp_path: Path) -> None:
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    home = taken_apart(taken.file, tmp_path / "out")
    with installation(home) as restored:
        (event,) = [one.event for one in restored.audit._log.entries(AuditFilter(kinds=frozenset({EventKind.EXPORT})))]
        assert (event.actor, event.subject, event.detail["what"]) == ("keeper", str(taken.file), "backup")
        assert restored.audit.verify(ADMIN).broken is None


def test_files_outside_the_home_are_named(home: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789" * 4)
    application = Application(Settings(home=home, worker_idle_s=0, audit_key_file=key))
    fill(application.local_archive)
    taken = application.backups.take(ADMIN, tmp_path / "a.tar")
    application.close()
    assert taken.outside == [str(key)]
    assert "audit.key" not in names(taken.file)


def test_a_file_is_taken_the_place_of_only_when_that_is_said(lived_in: Application, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_text("an earlier one")
    with pytest.raises(Conflict, match="there already"):
        lived_in.backups.take(ADMIN, file)
    assert file.read_text() == "an earlier one"
    lived_in.backups.take(ADMIN, file, Wanted(overwrite=True))
    assert "backup.json" in names(file)


def test_a_place_that_cannot_be_is_refused_with_the_remedy(lived_in: Application, home: Path, tmp_path: Path) -> None:
    for file, kind, says in (
        (home / "backups" / "a.tar", InvalidInput, "is in the home"),
        (tmp_path, InvalidInput, "is a folder"),
        (tmp_path / "no" / "a.tar", InvalidInput, "there is no folder"),
    ):
        with pytest.raises(kind, match=says) as refused:
            lived_in.backups.take(ADMIN, file)
        assert refused.value.remedy
    with installation(tmp_path / "nothing") as other, pytest.raises(NotFound, match="no home"):
        other.backups.take(ADMIN, tmp_path / "a.tar")
    assert not (tmp_path / "nothing").exists()


def test_postgresql_is_left_to_its_own_program(lived_in: Application, home: Path, tmp_path: Path) -> None:
    address = PostgresAddress("fab", "db.example", 5433, "fabricator", "geheim")
    application = Application(Settings(home=home, worker_idle_s=0, postgres=address))
    with pytest.raises(InvalidInput) as refused:
        application.backups.take(ADMIN, tmp_path / "a.tar")
    assert "--host=db.example --port=5433 --username=fabricator fab" in refused.value.remedy
    assert "geheim" not in str(refused.value)
    application.close()
    with pytest.raises(InvalidInput, match="a file of the home"):
        lived_in.backups.take(ADMIN, tmp_path / "a.tar", Wanted(without_database=True))


def test_a_disk_that_is_full_leaves_nothing(lived_in: Application, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        disk.fill(leave_bytes=256 << 10)
        with pytest.raises(DiskFull) as full:
            lived_in.backups.take(ADMIN, disk.folder / "a.tar")
        assert "nothing" in full.value.what
        # Seen only while it is written: the files that nobody has counted.
        (lived_in.settings.home / "notes").write_bytes(bytes(1 << 20))
        disk.make_room()
        with pytest.raises(DiskFull) as full:
            lived_in.backups.take(ADMIN, disk.folder / "a.tar")
        assert "nothing of it is left" in full.value.what
        assert list(disk.folder.iterdir()) == []


def test_a_limit_of_the_process_leaves_nothing(lived_in: Application, home: Path, tmp_path: Path) -> None:
    limited = [sys.executable, "-m", "dicomfab", "backup", str(tmp_path / "a.tar")]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600 << 10, 600 << 10))

    (home / "notes").write_bytes(bytes(1 << 20))
    lived_in.close()
    done = subprocess.run(limited, env=environment(home), preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nothing of it is left" in done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert list(tmp_path.iterdir()) == [home]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_WORKER_IDLE_S": "0"}


def test_stopping_it_leaves_nothing(lived_in: Application, tmp_path: Path) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Interrupted, match="nothing of it is left"):
        lived_in.backups.take(ADMIN, tmp_path / "a.tar", cancelled=cancelled)
    assert list(tmp_path.iterdir()) == [lived_in.settings.home]


@pytest.mark.full
def test_ctrl_c_ends_the_command_and_leaves_nothing(lived_in: Application, home: Path, tmp_path: Path) -> None:
    with (home / "notes").open("wb") as large:
        large.truncate(2 << 30)
    lived_in.close()
    running = subprocess.Popen(
        [sys.executable, "-m", "dicomfab", "backup", str(tmp_path / "a.tar")],
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size > 4 << 20 for file in tmp_path.glob(".a.tar.partial-*/backup.tar")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, "nothing of it is left" in err) == (130, True)
    assert list(tmp_path.iterdir()) == [home]


def test_what_a_killed_one_left_is_cleared_away_by_the_next(lived_in: Application, tmp_path: Path) -> None:
    left = tmp_path / ".a.tar.partial-00000000"
    left.mkdir()
    (left / "backup.tar").write_text("half of it")
    other = tmp_path / ".b.tar.partial-00000000"
    other.mkdir()
    lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "a.tar", "home"]


def test_a_new_key_of_the_audit_log_begins_before_or_after_never_between(
    lived_in: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicomfab.storage.snapshot import DatabaseSnapshot

    hold, held = DatabaseSnapshot.hold, []

    def disturbed(snapshot: DatabaseSnapshot) -> None:
        if not held:  # the key was read, and the database is not held yet
            lived_in.audit.rekey(ADMIN)
        held.append(1)
        hold(snapshot)

    monkeypatch.setattr(DatabaseSnapshot, "hold", disturbed)
    taken = lived_in.backups.take(ADMIN, tmp_path / "a.tar")
    with installation(taken_apart(taken.file, tmp_path / "out")) as restored:
        assert restored.audit.verify(ADMIN).broken is None
    assert len(held) == 2
    assert content(tmp_path / "out")["audit.key"] == (lived_in.settings.home / "audit.key").read_bytes()


def test_errors_of_the_disk_say_which_file(lived_in: Application, tmp_path: Path) -> None:
    from dicomfab.services.backup import failures

    with pytest.raises(LocalFailure, match=r"cannot be had.*/x/y"), failures.of_backup(tmp_path / "a.tar"):
        raise OSError(errno.EACCES, "it cannot be had", "/x/y")
