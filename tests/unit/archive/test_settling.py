"""What the index vouches for until files are durable: when it ends, and what it is good for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicomfab.archive import files, settling
from dicomfab.archive.archive import INDEX_NAME, Archive
from dicomfab.archive.records import Outcome, StoredInstance
from dicomfab.model.values import Environment
from tests.unit.archive.builders import dataset, encode, identity_of, notes, store

SMALL, LARGE = 1_000, 200_000


@pytest.fixture(params=["all at once", "file by file"])
def archive(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """As on Linux, and as on systems that cannot sync a whole file system."""
    if request.param == "file by file":
        monkeypatch.setattr(files, "_syncfs", None)
    made = Archive(tmp_path / "archive")
    yield made
    made.close()


def keep(archive: Archive, uid: str, size: int, **attributes: str) -> StoredInstance:
    data = dataset(instance=uid, **attributes)
    data.PixelData = b"\1" * size
    data["PixelData"].VR = "OW"
    content = encode(data)
    incoming = archive.begin(identity_of(data))
    for start in range(0, len(content), 30_000):
        incoming.write(memoryview(content)[start : start + 30_000])
    return incoming.commit(environment=Environment.TEST).instance


def content_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "instances").rglob("*.dcm")}


@pytest.mark.parametrize("damage", ["gone", "empty", "other bytes", "directory gone", "none"])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_files_that_the_machine_lost_are_restored(archive: Archive, tmp_path: Path, size: int, damage: str) -> None:
    path = keep(archive, "1.2.1.1.1", size).path.relative_to(archive.root)
    keep(archive, "1.2.1.1.2", size)
    root = tmp_path / "after"
    shutil.copytree(archive.root, root)
    before = content_of(root)
    lost = root / path
    if damage in ("gone", "empty", "other bytes"):
        lost.unlink()  # the names in place may be lost; of a large instance the content was synced under another
    if damage in ("empty", "other bytes") and size == SMALL:
        lost.write_bytes(b"" if damage == "empty" else b"\2" * size)
    if damage == "directory gone":
        shutil.rmtree(root / "instances")
    again = Archive(root)
    assert {one.path for one in again.instances("1.2.1")} == {root / name for name in before}
    assert content_of(root) == before
    assert notes(root) == {}
    assert [path.name for path in (root / "instances").rglob("*") if path.suffix == ".new"] == []
    assert store(again, dataset(instance="1.2.1.1.3")).outcome is Outcome.NEW


def test_closing_settles(archive: Archive) -> None:
    small, large = keep(archive, "1.2.1.1.1", SMALL), keep(archive, "1.2.1.1.2", LARGE)
    held = notes(archive.root)
    (temporary, content), (second_name, nothing) = (held[_name(archive, one)] for one in (small, large))
    assert content == small.path.read_bytes()
    assert nothing is None
    assert not (archive.root / "incoming" / temporary).exists()
    assert (archive.root / "incoming" / second_name).samefile(large.path)
    archive.close()
    assert notes(archive.root) == {}
    assert list((archive.root / "incoming").iterdir()) == []
    assert large.path.stat().st_nlink == 1


def _name(archive: Archive, one: StoredInstance) -> str:
    return str(one.path.relative_to(archive.root / "instances"))


def test_many_instances_are_settled_while_more_come_in(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_MANY", 10)
    monkeypatch.setattr(settling, "_TOO_MANY", 1)  # so that the test need not wait for the thread that does it
    for number in range(25):
        keep(archive, f"1.2.1.1.{number}", LARGE if number % 5 == 0 else SMALL)
    assert len(notes(archive.root)) == 5
    assert archive.storage().instances == 25


def test_another_process_leaves_alone_what_a_living_one_has_not_settled(archive: Archive) -> None:
    keep(archive, "1.2.1.1.1", SMALL)
    keep(archive, "1.2.1.1.2", LARGE)
    other = Archive(archive.root)
    assert other.storage().instances == 2
    other.close()
    assert len(notes(archive.root)) == 2
    archive.close()
    assert notes(archive.root) == {}


def test_what_is_deleted_is_not_restored(archive: Archive, tmp_path: Path) -> None:
    keep(archive, "1.2.1.1.1", SMALL)
    keep(archive, "1.2.1.1.2", LARGE)
    other = Archive(archive.root)
    other.delete_study("1.2.1")
    assert notes(archive.root) == {}
    again = keep(archive, "1.2.1.1.1", SMALL, StudyDescription="again")
    root = tmp_path / "after"
    shutil.copytree(archive.root, root)
    restored = Archive(root)
    (one,) = restored.instances("1.2.1")
    assert one.path.read_bytes() == again.path.read_bytes()
    assert len(content_of(root)) == 1


def test_reindexing_first_restores_what_the_old_index_vouches_for(archive: Archive, tmp_path: Path) -> None:
    keep(archive, "1.2.1.1.1", SMALL)
    keep(archive, "1.2.1.1.2", LARGE)
    root = tmp_path / "after"
    shutil.copytree(archive.root, root)
    before = content_of(root)
    shutil.rmtree(root / "instances")
    assert Archive(root).reindex().instances == 2
    assert content_of(root) == before


def test_reindexing_does_not_lose_what_another_process_has_not_settled(archive: Archive) -> None:
    keep(archive, "1.2.1.1.1", SMALL)
    keep(archive, "1.2.1.1.2", LARGE)
    other = Archive(archive.root)
    assert other.reindex().instances == 2
    other.close()
    keep(archive, "1.2.1.1.3", SMALL)
    assert list(notes(archive.root)) == ["1.2.1/1.2.1.1/1.2.1.1.3.dcm"]
    archive.close()
    assert archive.storage().instances == 3


def test_what_cannot_be_settled_is_written_anew_at_the_next_opening(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small, large = keep(archive, "1.2.1.1.1", SMALL), keep(archive, "1.2.1.1.2", LARGE)
    inode = small.path.stat().st_ino

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(files.InstanceFiles, "sync", fails)
        archive.close()
    assert "Input/output error" in caplog.text
    assert len(notes(archive.root)) == 2
    assert archive.storage().instances == 2
    assert notes(archive.root) == {}
    assert small.path.stat().st_ino != inode
    assert large.path.is_file()


def test_an_index_of_the_version_before_is_made_anew(archive: Archive) -> None:
    keep(archive, "1.2.1.1.1", SMALL)
    data = dataset(study="1.3", series="1.3.1", instance="1.3.1.1")
    store(archive, data, environment=Environment.PROD)
    archive.close()
    with closing(sqlite3.connect(archive.root / INDEX_NAME)) as index:
        index.executescript(
            "ALTER TABLE instance ADD COLUMN digest BLOB NOT NULL DEFAULT x'';"
            "DROP TABLE unsettled; PRAGMA user_version = 1"
        )
    assert archive.storage().instances == 2
    assert archive.study("1.2.1").summary.environment is Environment.TEST
    assert archive.study("1.3").summary.environment is Environment.PROD
    assert store(archive, data).outcome is Outcome.SAME


def test_an_index_that_is_new_takes_no_file_away(archive: Archive) -> None:
    stored = keep(archive, "1.2.1.1.1", SMALL)
    archive.close()
    left = archive.root / "incoming" / "dead"
    left.mkdir()
    (left / "placing").write_text(f"{_name(archive, stored)}\n\n")
    for index in archive.root.glob(f"{INDEX_NAME}*"):
        index.unlink()
    assert archive.storage().instances == 0
    assert stored.path.is_file()
    assert archive.reindex().instances == 1
