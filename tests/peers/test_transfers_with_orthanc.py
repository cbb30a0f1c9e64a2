"""Send, move and get between Orthanc and our own servers, through the services: verified on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.errors import StatusFailure
from dicomfab.registry.server import PacsServer
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.verification import VerdictKind
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, hospital

pytestmark = pytest.mark.peers

RECIPE = StudyRecipe((SeriesRecipe("ct-chest", 4), "text-card"), seed=21, accession_number="BOTHWAYS")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path) as running:
        yield running


@pytest.fixture
def ours(site: Hospital) -> PacsServer:
    return site.pacs("OURS")


@pytest.fixture
def orthanc(site: Hospital, ours: PacsServer, tmp_path: Path) -> Iterator[PacsServer]:
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with programs.orthanc(folder, known={"OURS": ("127.0.0.1", ours.port)}) as running:
        site.destinations["ORTHANC"] = ("127.0.0.1", running.peer.port)
        yield site.entry("ORTHANC", running.peer.port, dimse_timeout_s=30)


def test_a_study_goes_round(site: Hospital, ours: PacsServer, orthanc: PacsServer) -> None:
    """Local store -> Orthanc -> ours -> local store, and ours -> Orthanc: nothing lost, nothing doubled."""
    study = site.make(RECIPE)
    made = site.held("local", study)

    sent = site.transfers.send(ADMIN, study, orthanc)
    assert sent.verdict.kind is VerdictKind.VERIFIED
    assert sent.accepted == len(made) == 5

    moved = site.transfers.move(ADMIN, study, orthanc, ours, "OURS")
    assert moved.verdict.kind is VerdictKind.VERIFIED
    assert moved.accepted == 5
    assert site.held("OURS", study) == made

    site.local.delete_study(study)
    got = site.transfers.get(ADMIN, study, orthanc)
    assert got.verdict.kind is VerdictKind.VERIFIED
    assert site.held("local", study) == made

    back = site.transfers.move(ADMIN, study, ours, orthanc, "ORTHANC")
    assert back.verdict.kind is VerdictKind.VERIFIED
    assert (back.accepted, back.verdict.before, back.verdict.arrived) == (5, 5, 0)

    answers = site.queries.studies(ADMIN, [ours, orthanc], StudyFilter(accession_number="BOTHWAYS"))
    assert {answer.matches[0].instances for answer in answers} == {5}


def test_ours_moves_to_an_empty_orthanc(site: Hospital, ours: PacsServer, orthanc: PacsServer) -> None:
    study = site.make(RECIPE)
    site.transfers.send(ADMIN, study, ours)
    moved = site.transfers.move(ADMIN, study, ours, orthanc, "ORTHANC")
    assert moved.verdict.kind is VerdictKind.VERIFIED
    assert moved.verdict.arrived == 5
    assert moved.suboperations is not None
    assert (moved.suboperations.completed, moved.suboperations.failed) == (5, 0)


def test_orthanc_without_our_ae_title_says_what_to_do(site: Hospital, ours: PacsServer, orthanc: PacsServer) -> None:
    study = site.make(RECIPE)
    site.transfers.send(ADMIN, study, orthanc)
    with pytest.raises(StatusFailure) as caught:
        site.transfers.move(ADMIN, study, orthanc, ours, "NOSUCHAE")
    assert caught.value.heading == "C-MOVE failed"
    assert "added to DicomModalities of the source's orthanc.json" in caught.value.remedy
    assert not site.archives["OURS"].has_study(study)
