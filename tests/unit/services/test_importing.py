"""Files, folders and zips into the local store."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pydicom
import pytest

from dicomfab.model.actor import Role
from dicomfab.model.errors import Conflict, InvalidInput, NotFound
from dicomfab.services.importing import _CHUNK, DECLARED, ImportService
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, actor


def service(site: Hospital, fabricated: frozenset[str] = frozenset()) -> ImportService:
    return ImportService(site.archive("imported"), fabricated.__contains__)


def files_of(site: Hospital, study: str, folder: Path) -> list[Path]:
    return site.studies.export(ADMIN, study, folder)


def unmarked(path: Path) -> Path:
    """The same instance without anything that says who made it."""
    ds = pydicom.dcmread(path)
    del ds.SyntheticData
    ds.save_as(path)
    return path


def test_a_folder_is_taken_once_and_belongs_to_test_by_our_mark(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    files_of(site, study, tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    made = service(site).take(actor(Role.TEST_READ), [tmp_path / "in"])
    assert (made.taken, made.skipped, made.refused) == (3, 1, [])
    assert site.held("imported", study) == site.held("local", study)
    assert site.archives["imported"].study(study).summary.environment == "test"
    again = service(site).take(ADMIN, [tmp_path / "in"])
    assert [(one.new, one.already) for one in again.studies.values()] == [(0, 3)]


def test_what_nothing_proves_is_production(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    paths = files_of(site, study, tmp_path / "in")
    unmarked(paths[0])
    made = service(site).take(actor(Role.TEST_WRITE), paths)
    assert made.taken == 2
    assert [one.name for one in made.refused] == [str(paths[0])]
    assert "counts as production" in made.refused[0].reason
    service(site).take(ADMIN, paths[:1])
    assert site.archives["imported"].study(study).summary.environment == "prod"


def test_the_ledger_knows_what_it_fabricated(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    path = unmarked(files_of(site, study, tmp_path / "in")[0])
    assert service(site, frozenset({study})).take(actor(Role.TEST_READ), [path]).taken == 1


def test_a_mark_in_a_study_of_another_uid_proves_nothing(site: Hospital, tmp_path: Path) -> None:
    path = files_of(site, site.make(), tmp_path / "in")[0]
    ds = pydicom.dcmread(path)
    ds.StudyInstanceUID = "1.2.3"
    ds.save_as(path)
    service(site).take(ADMIN, [path])
    assert site.archives["imported"].study("1.2.3").summary.environment == "prod"


def test_other_content_under_a_uid_is_refused_and_stops_a_send(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    paths = files_of(site, study, tmp_path / "in")
    service(site).take(ADMIN, paths)
    before = {one.path: one.path.read_bytes() for one in site.archives["imported"].instances(study)}
    ds = pydicom.dcmread(paths[1])
    ds.PatientComments = "changed"
    ds.save_as(paths[1])
    made = service(site).take(ADMIN, [tmp_path / "in"])
    assert [(one.name, "other content" in one.reason) for one in made.refused] == [(str(paths[1]), True)]
    assert {one.path: one.path.read_bytes() for one in site.archives["imported"].instances(study)} == before
    with pytest.raises(Conflict, match="Nothing was sent"):
        made.must_be_complete()


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "deflated", "rle"])
def test_a_file_cut_short_is_refused(site: Hospital, tmp_path: Path, syntax: str) -> None:
    from dataclasses import replace

    from dicomfab.fabricate.recipe import SeriesRecipe

    study = site.make(replace(CARDS, series=(SeriesRecipe("text-card", 1, transfer_syntax=syntax),)))
    path = files_of(site, study, tmp_path / "in")[0]
    whole = path.read_bytes()
    assert service(site).take(ADMIN, [path]).taken == 1
    site.archives["imported"].delete_study(study)
    for length in (200, 500, len(whole) - 300):
        if syntax == "deflated" and length > 500:  # what is cut from the pixels is not looked for there
            continue
        path.write_bytes(whole[:length])
        made = service(site).take(ADMIN, [path])
        assert (made.taken, len(made.refused)) == (0, 1), length


def packed(folder: Path, paths: list[Path], **others: bytes) -> Path:
    target = folder / "in.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(paths):
            archive.write(path, f"a/{number}/b/../../../../{path.name}")
        for name, content in others.items():
            archive.writestr(name, content)
    return target


def test_a_zip_is_taken_and_no_path_in_it_is_written(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    target = packed(tmp_path, files_of(site, study, tmp_path / "in"), note=b"no DICOM", empty=b"")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", b"y")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("folder/", b"")
    around = sorted(tmp_path.rglob("*"))
    made = service(site).take(ADMIN, [target])
    assert (made.taken, made.skipped, made.refused) == (3, 3, [])
    assert site.held("imported", study) == site.held("local", study)
    assert [path for path in sorted(tmp_path.rglob("*")) if "imported" not in path.parts] == around


def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    site: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dicomfab.services import import_files

    monkeypatch.setattr(import_files, "_MORE_BYTES", 0)
    path = files_of(site, site.make(), tmp_path / "in")[0]
    bomb = path.read_bytes() + bytes(5_000_000)
    with pytest.raises(InvalidInput, match="times as large"):
        service(site).take(ADMIN, [packed(tmp_path, [], bomb=bomb)])
    assert packed(tmp_path, [], bomb=bytes(5_000_000)).stat().st_size < 10_000
    with pytest.raises(NotFound):  # no DICOM: never unpacked at all
        service(site).take(ADMIN, [tmp_path / "in.zip"])


def test_a_damaged_zip_says_so_and_the_rest_is_taken(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    paths = files_of(site, study, tmp_path / "in")
    target = packed(tmp_path, paths)
    content = bytearray(target.read_bytes())
    content[400:420] = bytes(20)  # within the first file's data
    target.write_bytes(content)
    made = service(site).take(ADMIN, [target])
    assert (made.taken, len(made.refused)) == (2, 1)
    target.write_bytes(bytes(content[:600]))
    made = service(site).take(ADMIN, [target, paths[0]])
    assert (made.taken, len(made.refused)) == (1, 1)
    assert "cannot be read" in made.refused[0].reason


def test_nothing_named_nothing_there_nothing_of_ours(site: Hospital, tmp_path: Path) -> None:
    for paths, kind in (([], InvalidInput), ([tmp_path / "no"], NotFound), ([tmp_path], NotFound)):
        with pytest.raises(kind):
            service(site).take(ADMIN, paths)


def test_it_stops_when_told_to_and_keeps_what_it_has(site: Hospital, tmp_path: Path) -> None:
    files_of(site, site.make(), tmp_path / "in")
    asked = iter([False, True])
    made = service(site).take(ADMIN, [tmp_path / "in"], cancelled=lambda: next(asked))
    assert (made.taken, made.stopped) == (2, True)
    assert service(site).take(ADMIN, [tmp_path / "in"]).taken == 3


def test_pieces_are_smaller_than_what_is_read(site: Hospital, tmp_path: Path) -> None:
    """A data set of more than one piece arrives as it was."""
    from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe

    study = site.make(StudyRecipe((SeriesRecipe("text-card", 1),), seed=4, accession_number="BIG"))
    path = files_of(site, study, tmp_path / "in")[0]
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames = 1
    ds.add_new(0x7FE10010, "LO", "PRIVATE")
    ds.add_new(0x7FE11001, "OB", bytes(range(256)) * (2 * _CHUNK // 256))
    ds.save_as(path)
    service(site).take(ADMIN, [path])
    (stored,) = site.archives["imported"].instances(study)
    assert pydicom.dcmread(stored.path)[0x7FE11001].value == ds[0x7FE11001].value


def test_what_was_fabricated_to_be_wrong_is_refused_and_named(site: Hospital, tmp_path: Path) -> None:
    from dataclasses import replace

    broken = site.studies.resolve_recipe(ADMIN, replace(CARDS, seed=6, defects=("bad-time",)))
    site.studies.write_files(ADMIN, broken, tmp_path / "in" / "broken")
    study = site.make()
    files_of(site, study, tmp_path / "in" / "good")
    made = service(site).take(ADMIN, [tmp_path / "in"])
    assert (list(made.studies), made.taken) == ([study], 3)
    assert made.defective == {broken.study_instance_uid: 3}
    assert [one.reason for one in made.refused] == [DECLARED] * 3
    assert site.held("imported", broken.study_instance_uid) == set()
    sent = service(site).take(ADMIN, [tmp_path / "in"], with_defects=True)
    assert (sent.taken, sent.refused, sent.defective) == (6, [], {})
    assert service(site).take(ADMIN, [tmp_path / "in" / "broken"]).taken == 0  # though it is there
