"""People of nine scripts on pages, over DICOMweb and in files that are downloaded: every character as it was made."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from urllib.parse import quote

import pydicom
import pytest
from markupsafe import escape

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.services.attributes import first_instance
from dicomfab.web.templating import person_name
from tests.unit.web.conftest import ACTOR, Browser


@pytest.fixture(params=[LATIN, *SCRIPTS])
def person(request: pytest.FixtureRequest, application: Application) -> ResolvedStudy:
    """A study of somebody whose name is written in the script."""
    recipe = StudyRecipe((SeriesRecipe("text-card", 1),), seed=9, script=request.param, contact=True)
    resolved = application.studies.resolve_recipe(ACTOR, recipe)
    application.studies.create(ACTOR, resolved)
    return resolved


def joined(name: dict[str, str]) -> str:
    """A person name of DICOM JSON as DICOM writes it."""
    return "=".join(name.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")


def test_a_person_is_shown_found_and_given_back_right(
    browser: Browser, application: Application, person: ResolvedStudy
) -> None:
    study, name = person.study_instance_uid, person.patient.name
    own = name.split("=")[-1].partition("^")[0]  # the family name as it is written in the language itself
    assert str(escape(person_name(name))) in browser.get(f"/studies/{study}").text
    assert study in browser.get(f"/studies?name={quote(own)}").text
    instance = first_instance(application.studies, ACTOR, study)
    where = f"series/{instance.series_instance_uid}/instances/{instance.identity.sop_instance_uid}"
    attributes = browser.get(f"/studies/{study}/{where}").text
    for text in (name, person.patient.address, person.patient.phone):
        assert str(escape(text)) in attributes

    (found,) = browser.get(f"/dicom-web/studies?PatientName={quote(f'*{own}*')}").json()
    assert (found["0020000D"]["Value"], joined(found["00100010"]["Value"][0])) == ([study], name)
    (metadata,) = browser.get(f"/dicom-web/studies/{study}/{where}/metadata").json()
    assert metadata["00101040"]["Value"] == [person.patient.address]
    assert joined(metadata["00100010"]["Value"][0]) == name

    (record,) = patient_records(browser.get(f"/studies/download?study={study}").content)
    assert str(record.PatientName) == name


def patient_records(content: bytes) -> list[Any]:
    """The patients of the DICOMDIR in an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        directory = pydicom.dcmread(io.BytesIO(archive.read("DICOMDIR")))
    return [one for one in directory.DirectoryRecordSequence if one.DirectoryRecordType == "PATIENT"]
