"""Killed processes, several processes, damaged indexes: files and index still agree."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pydicom
import pytest

from dicomfab.archive.archive import INDEX_NAME, Archive
from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.records import Duplicate, Outcome
from dicomfab.archive.writer import Writer
from dicomfab.model.query import QueryModel
from dicomfab.model.values import Environment
from tests.unit.archive.builders import DEFLATED, dataset, encode, identity_of, notes, received, store

REPOSITORY = Path(__file__).parents[3]


def storing(root: Path, run: int, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.archive.storing_process", str(root), str(run), what]
    environment = {"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)


def check(archive: Archive, acknowledged: list[str]) -> None:
    """Every acknowledged instance is found, and its file is whole; every file in place is indexed; no rest is left."""
    found = archive.find(QueryModel.STUDY_ROOT, received(QueryRetrieveLevel="IMAGE"))
    indexed = [str(one.SOPInstanceUID) for one in found]
    assert len(set(indexed)) == len(indexed)
    assert set(acknowledged) <= set(indexed)
    paths = set()
    for study in archive.studies(limit=100_000).studies:
        for one in archive.instances(study.study_instance_uid):
            assert one.path.stat().st_size == one.dataset_offset + one.size_bytes
            assert pydicom.dcmread(one.path).SOPInstanceUID == one.identity.sop_instance_uid
            paths.add(one.path)
    assert len(paths) == len(indexed)
    assert set((archive.root / "instances").glob("*/*/*")) == paths
    assert len(list((archive.root / "incoming").iterdir())) == 1  # our own workspace


def make_of_another_version(index: Path) -> None:
    content = bytearray(index.read_bytes())
    content[60:64] = (77).to_bytes(4, "big")  # the version of the schema, in SQLite's file header
    index.write_bytes(content)


def lose_what_was_not_synced(root: Path, chance: random.Random) -> None:
    """What a machine that dies may do at worst: files not synced are empty, cut, wrong or not there, nor are names."""
    for path, (temporary, content) in notes(root).items():
        file = root / "instances" / path
        assert (root / "incoming" / temporary).exists() is (content is None)
        damage = chance.choice(("gone", "cut", "wrong", "none"))
        if damage == "gone" or (content is None and damage != "none"):
            file.unlink()
        elif damage == "cut":
            os.truncate(file, chance.randrange(len(content)))
        elif damage == "wrong":
            file.write_bytes(bytes(len(content)))


@pytest.mark.parametrize("machine", ["lives", "dies"])
@pytest.mark.parametrize(
    "what", ["single", *(pytest.param(one, marks=pytest.mark.full) for one in ("large", "batch", "replace"))]
)
def test_a_process_killed_at_any_moment_loses_nothing_it_has_acknowledged(
    tmp_path: Path, what: str, machine: str
) -> None:
    acknowledged: list[str] = []
    moments = random.Random(what)  # the moment of each kill: after so many acknowledgements
    for run in range(1, 5 if machine == "lives" else 3):
        with storing(tmp_path, run, what) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(moments.randrange(1, 60))]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        acknowledged += [line.strip() for line in lines if line.endswith("\n")]
        if machine == "dies":
            lose_what_was_not_synced(tmp_path, moments)
        archive = Archive(tmp_path)
        check(archive, acknowledged)
        assert notes(tmp_path) == {}
        archive.close()
    assert len(acknowledged) > 2


def test_processes_share_an_archive(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    acknowledged = []
    with storing(tmp_path, 1, "single") as one, storing(tmp_path, 2, "single") as two:
        assert one.stdout is not None
        assert two.stdout is not None
        for number in range(20):
            store(archive, dataset("1.3", instance=f"1.3.{number}"))
            acknowledged += [f"1.3.{number}", one.stdout.readline().strip(), two.stdout.readline().strip()]
        one.kill()
        two.kill()
        acknowledged += [line.strip() for pipe in (one.stdout, two.stdout) for line in pipe if line.endswith("\n")]
    archive.close()
    check(archive, acknowledged)
    archive.close()


def test_the_workspace_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    archive, other = Archive(tmp_path), Archive(tmp_path)
    incoming = archive.begin(identity_of(dataset()))
    incoming.write(encode(dataset()))
    assert other.storage().instances == 0
    other.close()
    assert incoming.commit(environment=Environment.TEST).outcome is Outcome.NEW
    archive.close()


def test_files_that_a_killed_process_put_in_place_without_committing_are_taken_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    stored = store(archive, dataset())
    archive.close()
    orphan = tmp_path / "instances" / "1.5" / "1.6" / "1.7.dcm"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half")
    left = tmp_path / "incoming" / "dead"
    left.mkdir()
    (left / "1").write_bytes(b"half")
    committed = stored.instance.path.relative_to(tmp_path / "instances")
    (left / "placing").write_text(f"{committed}\n1.5/1.6/1.7.dcm\n1.5/1.6/1.8.dcm\n\nold/rest")
    check(archive, ["1.2.1.1.1"])
    assert not orphan.exists()
    archive.close()


def test_a_leftover_file_in_the_way_is_replaced(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    leftover = tmp_path / "instances" / "1.2.1" / "1.2.1.1" / "1.2.1.1.1.dcm"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"left over")
    store(archive, dataset())
    check(archive, ["1.2.1.1.1"])
    archive.close()


def test_an_archive_can_be_used_again_after_closing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    store(archive, dataset())
    archive.close()
    assert store(archive, dataset()).outcome is Outcome.SAME
    archive.close()
    archive.close()


def test_reindexing_reads_a_deflated_instance(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    store(archive, dataset(), DEFLATED)
    report = archive.reindex()
    assert (report.instances, report.unusable) == (1, ())
    assert [one.identity.transfer_syntax_uid for one in archive.instances("1.2.1")] == [DEFLATED]


def test_reindexing_finds_everything_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path, on_duplicate=Duplicate.REPLACE)
    for number in range(3):
        store(archive, dataset(instance=f"1.2.1.1.{number}"))
    store(archive, dataset(study="1.9", instance="1.9.1"), environment=Environment.PROD)
    store(archive, dataset(instance="1.2.1.1.0", StudyDescription="replaced"))
    before = (archive.storage(), sorted(archive.instances("1.2.1"), key=str))
    stray = tmp_path / "instances" / "1.2.1" / "1.2.1.1" / "stray.dcm"
    stray.write_bytes(b"no DICOM")
    report = archive.reindex()
    assert (report.instances, report.unusable) == (4, (stray,))
    assert (archive.storage(), sorted(archive.instances("1.2.1"), key=str)) == before
    assert archive.study("1.2.1").summary.environment is Environment.TEST
    assert archive.study("1.9").summary.environment is Environment.PROD
    assert store(archive, dataset(instance="1.2.1.1.1")).outcome is Outcome.SAME
    archive.close()


def test_reindexing_does_not_bring_back_what_was_deleted_or_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path, on_duplicate=Duplicate.REPLACE)
    store(archive, dataset(study="1.9", series="1.9.1", instance="1.9.1.1"))
    store(archive, dataset())

    def killed(_writer: Writer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_sweep", killed)
        with pytest.raises(KeyboardInterrupt):
            archive.delete_study("1.9")
        with pytest.raises(KeyboardInterrupt):
            store(archive, dataset(StudyDescription="replaced"))
    assert len(list((tmp_path / "instances").rglob("*.dcm"))) == 3
    other = Archive(tmp_path)
    assert other.reindex().instances == 1
    assert not other.has_study("1.9")
    assert other.study("1.2.1").summary.description == "replaced"
    assert len(list((tmp_path / "instances").rglob("*.dcm"))) == 1
    other.close()
    archive.close()


def test_reindexing_does_not_index_what_was_placed_and_not_committed(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    kept = store(archive, dataset()).instance.path
    archive.close()
    # A process that was killed between placing a file and the commit.
    placed = kept.with_name("1.2.1.1.2.dcm")
    placed.write_bytes(kept.read_bytes())
    workspace = tmp_path / "incoming" / "0123456789abcdef"
    workspace.mkdir()
    names = [path.relative_to(tmp_path / "instances") for path in (kept, placed)]
    (workspace / "placing").write_text("".join(f"{name}\n" for name in names) + "\n")
    assert archive.reindex().instances == 1
    assert not placed.exists()
    assert kept.exists()
    assert not workspace.exists()
    check(archive, ["1.2.1.1.1"])
    archive.close()


@pytest.mark.parametrize("damage", ["lost", "overwritten", "another version"])
def test_reindexing_mends_a_damaged_index(tmp_path: Path, damage: str) -> None:
    archive = Archive(tmp_path)
    store(archive, dataset())
    archive.close()
    index = tmp_path / INDEX_NAME
    if damage == "lost":
        index.unlink()
    elif damage == "overwritten":
        index.write_bytes(b"not a database" * 1000)
    else:
        make_of_another_version(index)
    if damage != "lost":
        with pytest.raises(ArchiveFailure, match="reindex") as caught:
            archive.storage()
        assert caught.value.status == 0xA700
    assert archive.reindex().instances == 1
    # The environment is in no file: what is not known counts as production.
    expected = Environment.TEST if damage == "another version" else Environment.PROD
    assert archive.study("1.2.1").summary.environment is expected
    archive.close()


def test_an_index_that_could_not_be_opened_or_rebuilt_is_not_left_open(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    store(archive, dataset())
    archive.close()
    index = tmp_path / INDEX_NAME
    (tmp_path / "instances" / "1.2.1" / "1.2.1.1" / "dangling.dcm").symlink_to("nowhere")

    def fails_and_leaves_nothing_open(use: Callable[[], object]) -> None:
        # The error, as it is held, keeps alive what failed: only closing closes it.
        with pytest.raises(ArchiveFailure) as caught:
            use()
        assert str(index) not in {file.path for file in psutil.Process().open_files()}, caught.value

    fails_and_leaves_nothing_open(archive.reindex)
    make_of_another_version(index)
    fails_and_leaves_nothing_open(archive.storage)


def test_a_disk_that_cannot_be_written_is_an_error_and_nothing_is_stored(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    incoming = archive.begin(identity_of(dataset()))
    incoming.write(encode(dataset()))
    (tmp_path / "instances").rmdir()
    (tmp_path / "instances").write_text("in the way")
    with pytest.raises(ArchiveFailure) as caught:
        incoming.commit(environment=Environment.TEST)
    assert caught.value.status == 0xA700
    assert archive.storage().instances == 0
    archive.close()
