"""Data of earlier versions: homes that their programs made, opened and restored by today's; see homes/README.md."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicomfab.archive.schema import SCHEMA_VERSION
from dicomfab.cli.main import run
from dicomfab.services.backup.about import About
from dicomfab.storage.migrations import HEAD
from tests.unit.services.backup.world import ADMIN, check_archive, content, installation, packed

HOMES = Path(__file__).parent / "homes"
FIRST = "0001"
#: Those between have little of their own; all of them in the full run.
REVISIONS = [
    path.name.removesuffix(".tar.xz")
    if path.name.startswith(FIRST)
    else pytest.param(path.name.removesuffix(".tar.xz"), marks=pytest.mark.full)
    for path in sorted(HOMES.glob("*.tar.xz"))
]
#: What was said in JSON -> the command that says it today, where the things are, and what names one of them.
SAID = {
    "pacs": ("pacs list", "", "id"),
    "studies": ("study list", "studies", "study_instance_uid"),
    "patients": ("patient list", "patients", "patient_id"),
    "jobs": ("jobs list", "jobs", "id"),
    "schedules": ("schedule list", "", "id"),
    "users": ("users list", "", "name"),
    "orders": ("order list", "orders", "number"),
    "messages": ("hl7 list", "messages", "id"),
    "audit": ("audit list", "entries", "seq"),
}
Say = Callable[[Path, str], Any]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command prints of a home, as JSON."""

    def said(home: Path, words: str) -> Any:
        monkeypatch.setenv("DICOMFAB_HOME", str(home))
        monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")
        with pytest.raises(SystemExit) as left:
            run([*words.split(), "--json"])
        out, _ = capsys.readouterr()
        assert not left.value.code, out
        return json.loads(out)

    return said


@dataclass(frozen=True)
class Old:
    """A home of an earlier version.

    Args:
        folder: what the old program said is in ``said``.
        revision: of the database's tables.
        version: of the index's tables.
    """

    folder: Path
    revision: str
    version: int

    @property
    def home(self) -> Path:
        return self.folder / "home"


@pytest.fixture
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Old:
    with tarfile.open(HOMES / f"{request.param}.tar.xz") as kept:
        kept.extractall(tmp_path / "old", filter="data")
    return Old(tmp_path / "old", *versions(tmp_path / "old" / "home"))


def things(document: Any, below: str, name: str) -> dict[Any, dict[str, Any]]:
    listed = document[below] if below and isinstance(document, dict) else document
    return {one[name]: one for one in listed}


def check_said(old: Old, home: Path, say: Say) -> int:
    """That all that the old program said is said today; the number of things."""
    count = 0
    for file in sorted((old.folder / "said").iterdir()):
        words, below, name = SAID[file.stem]
        before = things(json.loads(file.read_bytes()), below, name)
        after = things(say(home, words), below, name)
        for key, one in before.items():
            # The first index is made anew of the files, which do not tell when they came.
            gone = {"stored_at"} if old.version == 1 else set()
            same = {word: after[key].get(word) for word in one if word in after[key] and word not in gone}
            assert same == {word: value for word, value in one.items() if word in same}, (file.stem, key)
            assert len(same) >= 0.6 * len(one), sorted(one.keys() - same.keys())  # some words are others today
            count += 1
    return count


def columns(database: sqlite3.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """Names, kinds and the rest of what each table has, in whatever order they came."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: {row[1:] for row in database.execute(f"PRAGMA table_info({name})")} for name in tables}


def check_up_to_date(home: Path, new: Path) -> None:
    with installation(new) as application:
        application.registry.load()
    with closing(sqlite3.connect(new / "dicomfab.sqlite3")) as database:
        wanted = columns(database)
    with closing(sqlite3.connect(home / "dicomfab.sqlite3")) as database:
        assert columns(database) == wanted
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    with closing(sqlite3.connect(home / "studies" / "index.sqlite3")) as index:
        assert index.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def versions(home: Path) -> tuple[str, int]:
    with closing(sqlite3.connect(home / "dicomfab.sqlite3")) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    with closing(sqlite3.connect(home / "studies" / "index.sqlite3")) as index:
        (version,) = index.execute("PRAGMA user_version").fetchone()
    return revision, version


def pictures(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.rglob("*.dcm")}


def check(old: Old, home: Path, before: dict[str, bytes], say: Say) -> None:
    assert check_said(old, home, say) >= 4
    check_up_to_date(home, old.folder / "new")
    assert (len(check_archive(home / "studies")), pictures(home)) == (2, before)
    with installation(home) as application:
        assert application.audit.verify(ADMIN).broken is None


@pytest.mark.parametrize("old", REVISIONS, indirect=True)
def test_a_home_of_an_earlier_version_is_used_as_it_is(old: Old, say: Say) -> None:
    home = old.home
    assert old.revision <= HEAD
    check(old, home, pictures(home), say)


@pytest.mark.parametrize("old", REVISIONS, indirect=True)
def test_a_backup_of_an_earlier_version_is_restored(old: Old, say: Say, tmp_path: Path) -> None:
    taken_at = "2026-01-01T00:00:00+00:00"
    about = About(taken_at, str(old.home), old.revision, lab=False, studies=old.version)
    file = packed(tmp_path / "a.tar", content(old.home), about)
    with installation(tmp_path / "new") as new:
        new.restoring.restore(ADMIN, file)
    check(old, tmp_path / "new", pictures(old.home), say)


@pytest.mark.parametrize("old", REVISIONS, indirect=True)
def test_a_backup_of_it_by_today_s_program_holds_it(old: Old, say: Say, tmp_path: Path) -> None:
    with installation(old.home) as application:
        taken = application.backups.take(ADMIN, tmp_path / "a.tar")
    assert (taken.about.database, taken.instances) == (HEAD, 2)
    with installation(tmp_path / "new") as new:
        new.restoring.restore(ADMIN, taken.file)
    check(old, tmp_path / "new", pictures(old.home), say)


@pytest.mark.full
def test_the_first_and_the_versions_of_all_tables_are_there(tmp_path: Path) -> None:
    found = set()
    for path in HOMES.glob("*.tar.xz"):
        with tarfile.open(path) as kept:
            kept.extractall(tmp_path / path.stem, filter="data")
        revision, version = versions(tmp_path / path.stem / "home")
        assert path.name == f"{revision}.tar.xz"
        found.add(version)
    assert (HOMES / f"{FIRST}.tar.xz").exists()
    assert found >= set(range(1, 6))
