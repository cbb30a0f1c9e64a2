"""C-FIND against Orthanc, DCMTK and our own server: a limit that is a limit, all levels, names in other scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset

from dicomfab.dimse.identifier import encode
from dicomfab.dimse.scu.find import DRAIN_S
from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity, Patient
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.study_filter import StudyFilter
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, hospital

pytestmark = pytest.mark.peers

STUDIES, LIMIT, TIMES = 2000, 500, 10
EXPLICIT = "1.2.840.10008.1.2.1"
SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    """As many studies, of one instance without pixels each."""
    folder = tmp_path_factory.mktemp("studies")
    made = []
    for number in range(STUDIES):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = SC, f"1.2.3.{number}.1.1"
        data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
        data.PatientID, data.PatientName, data.Modality = f"MANY{number}", f"Many^{number}", "OT"
        data.StudyDate, data.StudyTime, data.AccessionNumber = "20260131", "", f"M{number}"
        identity = InstanceIdentity(SC, data.SOPInstanceUID, EXPLICIT)
        header = file_header(SC, data.SOPInstanceUID, EXPLICIT)
        path = folder / f"{number}.dcm"
        path.write_bytes(header + encode(data, EXPLICIT))
        made.append(InstanceFile(path, identity, len(header)))
    return made


@pytest.fixture(scope="module")
def orthanc(site: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacsServer]:
    with programs.orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield site.entry("ORTHANC", running.peer.port, dimse_timeout_s=30)


@pytest.fixture(scope="module")
def ours(site: Hospital) -> PacsServer:
    return site.pacs("OURS")


@pytest.fixture(scope="module")
def dcmqrscp(site: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacsServer]:
    with programs.dcmqrscp(tmp_path_factory.mktemp("dcmqrscp")) as running:
        yield site.entry("DCMQRSCP", running.port, dimse_timeout_s=30)


@pytest.fixture(scope="module", params=["orthanc", "ours"])
def full(request: pytest.FixtureRequest, files: list[InstanceFile]) -> PacsServer:
    """A server that holds all of them."""
    server: PacsServer = request.getfixturevalue(request.param)
    outcomes = list(store(peer_for(server, Capability.STORE), files))
    assert len(outcomes) == STUDIES
    assert all(outcome.accepted for outcome in outcomes)
    return server


@pytest.mark.parametrize("time_", [0, *(pytest.param(n, marks=pytest.mark.full) for n in range(1, TIMES))])
def test_a_search_of_many_studies_is_cut_at_the_limit_and_says_so(site: Hospital, full: PacsServer, time_: int) -> None:
    began = time.monotonic()
    [answer] = site.queries.search(ADMIN, [full], StudyFilter(accession_number="M*"), limit=LIMIT)
    assert (answer.error, answer.found, answer.truncated) == (None, LIMIT, True)
    assert len({match.study_instance_uid for match in answer.matches}) == LIMIT
    assert time.monotonic() - began < DRAIN_S + 10


def test_without_a_limit_in_the_way_all_of_them_come(site: Hospital, full: PacsServer) -> None:
    [answer] = site.queries.search(ADMIN, [full], StudyFilter(accession_number="M*"), limit=STUDIES)
    assert (answer.error, answer.found, answer.truncated) == (None, STUDIES, False)


@pytest.fixture(scope="module", params=["orthanc", "ours", "dcmqrscp"])
def named(request: pytest.FixtureRequest, site: Hospital) -> tuple[PacsServer, str]:
    """A server with a study whose patient is called Müller."""
    server: PacsServer = request.getfixturevalue(request.param)
    recipe = StudyRecipe(
        (SeriesRecipe("text-card", 2), "text-card"), patient=Patient("Müller^Jürgen", "SYNM"), seed=4,
        accession_number="SYNM", study_date="20260105",
    )  # fmt: skip
    study = site.make(recipe)
    outcomes = list(store(peer_for(server, Capability.STORE), [stored.file for stored in site.local.instances(study)]))
    assert all(outcome.accepted for outcome in outcomes)
    return server, study


@pytest.mark.parametrize("fallback", ["", "ISO_IR 100"])
def test_a_name_beyond_ascii_is_found_and_read(site: Hospital, named: tuple[PacsServer, str], fallback: str) -> None:
    server, study = named
    wanted = StudyFilter(patient_name="Müller", date="2026-01-01..2026-01-31")
    [answer] = site.queries.search(ADMIN, [replace(server, fallback_charset=fallback)], wanted)
    assert answer.error is None
    found = [(match.study_instance_uid, match.patient_name) for match in answer.matches]
    assert found == [(study, "Müller^Jürgen")]


def test_every_level_from_patient_to_instance(site: Hospital, named: tuple[PacsServer, str]) -> None:
    server, study = named
    [patients] = site.queries.search(ADMIN, [server], StudyFilter(level="patient", patient_id="SYNM"))
    assert [match.text("PatientID") for match in patients.matches] == ["SYNM"]
    series = site.queries.series(ADMIN, server, study)
    assert len(series) == 2
    held: set[str] = set()
    for one in series:
        uids = {"study_instance_uid": study, "series_instance_uid": one.series_instance_uid}
        found = site.queries.below(ADMIN, server, StudyFilter(level="instance", **uids))
        held |= {match.text("SOPInstanceUID") for match in found}
    assert held == site.held("local", study)


def test_a_free_key_is_matched_or_said_not_to_be(site: Hospital, named: tuple[PacsServer, str]) -> None:
    server, study = named
    wanted = StudyFilter(accession_number="SYNM", keys=("0010,0020=SYNM", "StudyID", "PatientComments"))
    [answer] = site.queries.search(ADMIN, [server], wanted)
    assert [match.study_instance_uid for match in answer.matches] == [study]
    assert set(answer.matches[0].values) == set(wanted.columns)
