"""Studies with declared defects: into folders, to test servers, never into the local store by us nor to production."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dicomfab.fabricate.defects import DEFECTS
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.model.errors import AccessDenied, InvalidInput
from dicomfab.model.order import RequestAttributes
from dicomfab.services.declared_defects import defect_note
from dicomfab.services.importing import ImportService
from dicomfab.services.marks import marks_at_start, marks_of
from dicomfab.services.provenance import Origin, Provenance
from dicomfab.services.transfer import Watch
from tests.unit.services.hospital import ADMIN, CARDS, Hospital
from tests.unit.services.job_office import Office

JPEG_LS = "1.2.840.10008.1.2.4.80"


def resolved(site: Hospital, *names: str, syntax: str | None = None) -> ResolvedStudy:
    recipe = dataclasses.replace(CARDS, defects=names, transfer_syntax=syntax)
    return site.studies.resolve_recipe(ADMIN, recipe)


def imported(site: Hospital, study: ResolvedStudy, folder: Path) -> str:
    site.studies.write_files(ADMIN, study, folder)
    made = ImportService(site.local, lambda _study: False).take(ADMIN, [folder], with_defects=True)
    assert made.refused == []
    return study.study_instance_uid


def test_the_local_store_is_refused_before_anything_is_made(site: Hospital, office: Office) -> None:
    study = resolved(site, "odd-length")
    for refused in (
        lambda: site.studies.create(ADMIN, study),
        lambda: office.fabricate([study]),
    ):
        with pytest.raises(InvalidInput, match="declared defects") as told:
            refused()
        assert told.value.field == "out"
        assert told.value.cause == "the local store keeps only what can be read back"
    assert site.local.storage().instances == 0
    assert study.study_instance_uid not in site.known


def test_a_job_writes_them_into_a_folder(office: Office, tmp_path: Path) -> None:
    study = resolved(office.site, "odd-length", "preamble-missing")
    office.run(office.fabricate([study], out=tmp_path / "out"))
    files = [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".dcm")]
    assert len(files) == 3
    assert sum(path.read_bytes()[128:132] != b"DICM" for path in files) == 1


@pytest.mark.parametrize("syntax", [None, JPEG_LS])
def test_a_folder_goes_to_a_test_server_and_never_to_production(
    site: Hospital, tmp_path: Path, syntax: str | None
) -> None:
    study = imported(site, resolved(site, "odd-length", "bad-time", syntax=syntax), tmp_path / "out")
    guard = site.provenance
    assert guard.of_local(study) is Origin.SYNTHETIC
    test, prod = site.pacs("TEST"), site.pacs("PROD", "prod", allow_real=True)
    with pytest.raises(AccessDenied, match="declared defect"):
        guard.check_send(study, prod)
    sent = site.transfers.send(ADMIN, study, test, watch=Watch(verify_wait_s=0.0))
    assert site.held("TEST", study) == site.held("local", study)
    assert sent.accepted == 3
    guard.is_in_lab = lambda server: server is prod
    guard.check_send(study, prod)


def test_the_ledger_knows_of_defects_where_no_instance_is_here(site: Hospital, tmp_path: Path) -> None:
    study = resolved(site, "odd-length")
    site.studies.write_files(ADMIN, study, tmp_path / "out")
    uid = study.study_instance_uid
    assert {uid, defect_note(uid)} <= site.known
    known = site.known.__contains__
    guard = Provenance(site.local, site.transfers.find, known, lambda one: known(defect_note(one)))
    prod = site.pacs("PROD", "prod", allow_real=True)
    with pytest.raises(AccessDenied, match="declared defect"):
        guard.check_move(uid, site.pacs("TEST"), prod)
    plain = site.make()
    guard.check_move(plain, site.pacs("OTHER"), prod)


def test_the_ledger_knows_of_defects_under_the_uid_of_an_order(site: Hospital, tmp_path: Path) -> None:
    order = RequestAttributes(study_instance_uid="1.2.3.4")
    recipe = dataclasses.replace(CARDS, order=order, defects=("odd-length",))
    site.studies.write_files(ADMIN, site.studies.resolve_recipe(ADMIN, recipe), tmp_path / "out")
    assert site.known == {defect_note("1.2.3.4")}
    known = site.known.__contains__
    guard = Provenance(site.local, site.transfers.find, known, lambda one: known(defect_note(one)))
    with pytest.raises(AccessDenied, match="declared defect"):
        guard.check_send("1.2.3.4", site.pacs("PROD", "prod", allow_real=True))


@pytest.mark.parametrize("syntax", [None, JPEG_LS, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_marks_are_found_with_and_without_defects(site: Hospital, tmp_path: Path, syntax: str | None) -> None:
    for names, is_marked in (((), False), (("bad-time",), True)):
        study = resolved(site, *names, syntax=syntax)
        site.studies.write_files(ADMIN, study, tmp_path / str(is_marked))
        folder = site.archive(f"imported-{is_marked}")
        ImportService(folder, lambda _study: False).take(ADMIN, [tmp_path / str(is_marked)], with_defects=True)
        for one in folder.instances(study.study_instance_uid):
            for marks in (marks_at_start(one.file), marks_of(one.file)):
                assert (marks.is_proven, marks.has_defect) == (True, is_marked)


def test_all_names_together_are_still_read(site: Hospital, tmp_path: Path) -> None:
    of_one_name = {"name-with-control-characters", "patient-mismatch"}  # beside name-with-html
    every = tuple(name for name in DEFECTS if name not in of_one_name)
    recipe = StudyRecipe(
        (SeriesRecipe("ct-head", 60, style="small"), SeriesRecipe("ct-head", 2, style="small")), seed=2
    )
    study = site.studies.resolve_recipe(ADMIN, dataclasses.replace(recipe, defects=every))
    site.studies.write_files(ADMIN, study, tmp_path / "out")
    local = site.archive("imported")
    made = ImportService(local, lambda _study: False).take(ADMIN, [tmp_path / "out"], with_defects=True)
    held = local.instances(study.study_instance_uid)
    assert len(held) > 40
    assert made.refused
    assert {marks_at_start(one.file).has_defect for one in held if not _is_damaged(one.file)} == {True}


def _is_damaged(file: object) -> bool:
    from dicomfab.model.errors import TranscodingFailed

    try:
        marks_at_start(file)  # type: ignore[arg-type]
    except TranscodingFailed:
        return True
    return False
