"""Two servers of different makers side by side: Orthanc, DCMTK's dcmqrscp, and our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.errors import Recorded
from dicomfab.model.job import Job, JobKind, JobState
from dicomfab.model.study import Patient
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.compare import CompareJobs, compare_job
from dicomfab.services.jobs.compare_run import CompareExecutor
from dicomfab.services.jobs.service import JobService, Options
from dicomfab.services.peers import peer_for
from dicomfab.services.study_filter import StudyFilter
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, hospital
from tests.unit.services.job_office import STORE, Office

pytestmark = pytest.mark.peers


@dataclass
class Lab:
    """Our own server beside another maker's, which know each other."""

    office: Office
    ours: PacsServer
    other: PacsServer

    def study(self, seed: int, *servers: PacsServer, but: int = 0) -> str:
        """A study of two series, with a name beyond ASCII, on servers; on the last one without some instances."""
        site = self.office.site
        recipe = StudyRecipe(
            (SeriesRecipe("text-card", 2), SeriesRecipe("ct-chest", 2)), seed=seed,
            patient=Patient("Müller^Jürgen", f"SYN{seed}"), accession_number=f"ACC{seed}", study_date="20260105",
        )  # fmt: skip
        study = site.make(recipe)
        files = [stored.file for stored in site.local.instances(study)]
        for server in servers:
            sent = files[but:] if server is servers[-1] else files
            assert all(outcome.accepted for outcome in store(peer_for(server, Capability.STORE), sent))
        return study

    def compared(self, **options: Any) -> Job:
        return self.office.run(self.office.submit(*compare_job(ADMIN, self.ours, self.other, StudyFilter(), **options)))

    def kinds(self, job: Job) -> dict[str, str]:
        return {item.key: item.detail["kind"] for item in self.office.items(job.id)}


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with hospital(tmp_path) as site:
        ours = site.pacs("OURS")
        folder = tmp_path / "other"
        folder.mkdir()
        known = {"OURS": ("127.0.0.1", ours.port)}
        running: Any = getattr(programs, request.param)(folder, known=known)
        with running as started:
            peer = getattr(started, "peer", started)
            site.destinations[peer.called_ae_title] = ("127.0.0.1", peer.port)
            other = site.entry(peer.called_ae_title, peer.port, dimse_timeout_s=30)
            office = Office(site)
            office.executors[JobKind.COMPARE] = CompareExecutor(site.queries, lambda: office.registry, office.now)
            office.know(ours, other)
            yield Lab(office, ours, other)


def test_what_differs_is_named_moved_and_then_equal(lab: Lab) -> None:
    both = [lab.study(seed, lab.ours, lab.other) for seed in (1, 2)]
    assert lab.compared().report["verdict"] == "verified"
    assert lab.compared(instances=True).report["verdict"] == "verified"

    ours = [lab.study(seed, lab.ours) for seed in (3, 4)]
    theirs = lab.study(5, lab.other)
    partial = lab.study(6, lab.ours, lab.other, but=1)
    reverse = lab.study(7, lab.other, lab.ours, but=1)
    job = lab.compared()
    assert (job.state, job.report["verdict"]) == (JobState.SUCCEEDED, "mismatch"), job.error
    expected = {**dict.fromkeys(ours, "only_a"), theirs: "only_b", partial: "differs", reverse: "differs"}
    assert lab.kinds(job) == expected
    assert not set(both) & set(expected)
    missing = {item.key: item.detail["missing"] for item in lab.office.items(job.id)}
    named = [i for s in missing[partial]["b"]["series"].values() for i in s["instances"]]
    assert named == [lab.office.site.local.instances(partial)[0].identity.sop_instance_uid]
    assert list(missing[reverse]) == ["a"]

    site = lab.office.site
    jobs = JobService(
        lab.office.ledger, site.local, lambda: STORE, lambda: lab.office.registry, lab.office.now,
        lab.office.queue.workers,
    )  # fmt: skip
    compare = CompareJobs(jobs, lambda: lab.office.registry)
    for destination in (lab.ours, lab.other):
        moved = compare.fix(ADMIN, job.id, destination, options=Options(verify_wait_s=10.0))
        assert lab.office.run(moved.id).state is JobState.SUCCEEDED, destination.name
    job = lab.compared(instances=True)
    assert (job.state, job.report["verdict"], lab.kinds(job)) == (JobState.SUCCEEDED, "verified", {})


def test_a_limit_of_the_server_is_no_missing_study(tmp_path: Path) -> None:
    """Orthanc's LimitFindResults."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with hospital(tmp_path) as site, programs.orthanc(folder, settings={"LimitFindResults": 2}) as running:
        version = running.rest("/system")["Version"]
        if version.startswith("1.12."):
            pytest.skip(f"Orthanc {version} lists all that it has to those who ask by DIMSE, whatever its limit is")
        lab = Lab(_office(site), site.pacs("OURS"), site.entry("ORTHANC", running.peer.port, dimse_timeout_s=30))
        lab.office.know(lab.ours, lab.other)
        for seed in range(1, 5):
            lab.study(seed, lab.ours, lab.other)
        job = lab.compared()
        assert (job.state, Recorded(job.error).exit_code, lab.kinds(job)) == (JobState.FAILED, 4, {})


def _office(site: Hospital) -> Office:
    office = Office(site)
    office.executors[JobKind.COMPARE] = CompareExecutor(site.queries, lambda: office.registry, office.now)
    return office
