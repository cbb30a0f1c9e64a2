"""People of other scripts: stored, found by their names and given back, on a test PACS and on Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.registry.server import PacsServer
from dicomfab.services.study_filter import StudyFilter
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, hospital

pytestmark = pytest.mark.peers


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path) as site:
        yield site


@pytest.fixture(params=["ours", "orthanc"])
def server(request: pytest.FixtureRequest, site: Hospital, tmp_path: Path) -> Iterator[PacsServer]:
    if request.param == "ours":
        yield site.pacs("OURS")
        return
    (tmp_path / "orthanc").mkdir()
    # It answers in its default encoding, and what that lacks is left out.
    with programs.orthanc(tmp_path / "orthanc", settings={"DefaultEncoding": "Utf8"}) as running:
        yield site.entry("ORTHANC", running.peer.port)


def name_of(site: Hospital, study: str) -> str:
    return site.local.study(study).summary.patient_name


def test_people_are_found_by_their_names(site: Hospital, server: PacsServer) -> None:
    studies = {}
    for number, script in enumerate(sorted(SCRIPTS)):
        recipe = StudyRecipe((SeriesRecipe("text-card", 1),), seed=40 + number, script=script)
        studies[script] = site.make(recipe)
        assert site.transfers.send(ADMIN, studies[script], server).verdict.kind == "verified"
    for script, study in studies.items():
        written = name_of(site, study)
        # The family name as it is written in the language itself.
        family = written.split("=")[-1].split("^")[0] if "=" in written else written.split("^")[0]
        (answer,) = site.queries.search(ADMIN, [server], StudyFilter(patient_name=f"*{family}*"))
        assert answer.error is None, (script, answer.error)
        found = {match.study_instance_uid: match.text("PatientName") for match in answer.matches}
        assert found.get(study) == written, (script, family, found)
