"""Who may validate what, and what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound
from dicomfab.services.progress import Progress
from dicomfab.services.validation import ValidationService
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, actor


@pytest.fixture
def service(site: Hospital) -> ValidationService:
    site.studies.create(ADMIN, site.studies.resolve_recipe(ADMIN, CARDS))
    return ValidationService(site.studies)


def test_a_study_of_the_store(service: ValidationService) -> None:
    seen: list[Progress] = []
    report = service.study(actor(Role.TEST_READ), "latest", on_progress=seen.append)
    assert (report.verdict, len(report.files)) == ("valid", 3)
    assert [(step.done, step.total) for step in seen if step.stage == "checking files"] == [(1, 3), (2, 3), (3, 3)]


def test_a_study_that_one_may_not_view(service: ValidationService, site: Hospital) -> None:
    uid = site.studies.resolve_reference(ADMIN, "latest")
    with pytest.raises(AccessDenied):
        service.study(actor(Role.PROD_READ), uid)


def test_files_count_as_production(service: ValidationService, tmp_path: Path) -> None:
    with pytest.raises(AccessDenied):
        service.files(actor(Role.TEST_WRITE), [tmp_path])


def test_exported_files(service: ValidationService, site: Hospital, tmp_path: Path) -> None:
    site.studies.export(ADMIN, site.studies.resolve_reference(ADMIN, "latest"), tmp_path / "out")
    report = service.files(actor(Role.PROD_READ), [tmp_path / "out"], jobs=1)
    assert (report.verdict, len(report.files), report.skipped) == ("valid", 3, ())


def test_what_cannot_be_validated(service: ValidationService, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "letter").write_text("Dear colleague")
    with pytest.raises(NotFound, match="no DICOM file in"):
        service.files(ADMIN, [tmp_path / "empty"])
    with pytest.raises(NotFound, match="No such file"):
        service.files(ADMIN, [tmp_path / "absent"])
    with pytest.raises(InvalidInput) as refused:
        service.files(ADMIN, [tmp_path], jobs=0)
    assert refused.value.field == "jobs"
    with pytest.raises(InvalidInput):
        service.files(ADMIN, [])
    with pytest.raises(NotFound):
        service.study(ADMIN, "1.2.3")
