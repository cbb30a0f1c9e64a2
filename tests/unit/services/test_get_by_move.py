"""Get from a source that cannot C-GET: by C-MOVE to our own Storage SCP."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, Conflict, DiskFull, NotFound, PortInUse, StatusFailure
from dicomfab.model.job import JobState
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.progress import Progress
from dicomfab.services.receiving import AE_TITLE, ReceivingService
from dicomfab.services.transfer import Watch
from dicomfab.services.verification import VerdictKind
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.services.hospital import ADMIN, Hospital, actor, hospital
from tests.unit.services.job_office import Office, cards
from tests.unit.small_disk import small_disk

WITHOUT_GET = ["echo", "store", "find", "move"]


@pytest.fixture
def port(site: Hospital, tmp_path: Path) -> int:
    """Where we receive, when we do; every PACS of the hospital knows it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    site.transfers.receiving = another(site, tmp_path, free)
    site.destinations[AE_TITLE] = ("127.0.0.1", free)
    return free


def another(site: Hospital, folder: Path, port: int, *servers: PacsServer) -> ReceivingService:
    return ReceivingService(site.local, lambda: Registry(servers), folder / "lock", host="127.0.0.1", port=port)


def placed(site: Hospital, pacs: PacsServer) -> tuple[str, set[str]]:
    """A study that is on the server and not in the local store, and its SOP instance UIDs."""
    study = site.make()
    site.transfers.send(ADMIN, study, pacs, confirm_production=True)
    made = site.held("local", study)
    site.local.delete_study(study)
    return study, made


@pytest.mark.parametrize("environment", ["test", "prod"])
def test_a_source_without_get_sends_to_us(site: Hospital, port: int, environment: str) -> None:
    pacs = site.pacs("ONE", environment, capabilities=WITHOUT_GET)
    study, made = placed(site, pacs)
    seen: list[Progress] = []
    report = site.transfers.get(ADMIN, study, pacs, watch=Watch(seen.append))
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert (report.operation, report.destination) == ("C-MOVE", "local store")
    assert report.detour == "C-GET is disabled for ONE."
    assert (report.instances, report.accepted, report.verdict.before, report.verdict.arrived) == (3, 3, 0, 3)
    assert site.held("local", study) == made
    assert site.local.study(study).summary.environment is Environment(environment)
    assert seen[0].stage == "getting"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5).close()


class NoGet(PacsHandlers):
    """Accepts the association and then does not know C-GET: the C-MOVE names a destination, a C-GET does not."""

    status = 0x0122

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked = 0

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        self.asked += 1
        if self.asked == 1:
            raise Refusal(self.status, "no such service")
        return super().select(requestor, model, identifier)


@pytest.mark.parametrize("status", [0x0122, 0x0211])
def test_a_source_that_says_that_it_has_no_get_sends_to_us(site: Hospital, port: int, status: int) -> None:
    handlers = NoGet(site.archive("ONE"), "ONE", Environment.TEST, site.destinations)
    handlers.status = status
    pacs = site.server("ONE", handlers)
    study, made = placed(site, pacs)
    report = site.transfers.get(ADMIN, study, pacs)
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert report.operation == "C-MOVE"
    assert f"{status:04X}" in report.detour
    assert site.held("local", study) == made


def test_another_failure_of_a_get_is_no_reason_to_move(site: Hospital, port: int) -> None:
    handlers = NoGet(site.archive("ONE"), "ONE", Environment.TEST, site.destinations)
    handlers.status = 0xA701
    pacs = site.server("ONE", handlers)
    study, _ = placed(site, pacs)
    with pytest.raises(StatusFailure) as caught:
        site.transfers.get(ADMIN, study, pacs)
    assert (caught.value.operation, caught.value.status) == ("C-GET", 0xA701)
    assert not site.local.has_study(study)


def test_a_source_that_can_get_is_not_asked_to_move(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE")
    study, _ = placed(site, pacs)
    report = site.transfers.get(ADMIN, study, pacs)
    assert (report.operation, report.detour) == ("C-GET", "")


def test_a_source_that_does_not_know_us_is_told_with_both_reasons(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    study, _ = placed(site, pacs)
    del site.destinations[AE_TITLE]
    with pytest.raises(StatusFailure) as caught:
        site.transfers.get(ADMIN, study, pacs)
    assert (caught.value.operation, caught.value.status) == ("C-MOVE", 0xA801)
    assert "It was asked to send to us, DICOMFAB, because: C-GET is disabled for ONE." in caught.value.what


def test_a_source_that_may_do_neither_is_refused(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE", capabilities=["echo", "store", "find"])
    study, _ = placed(site, pacs)
    with pytest.raises(Conflict, match="C-GET is disabled"):
        site.transfers.get(ADMIN, study, pacs)


def test_success_with_nothing_sent_is_a_mismatch(site: Hospital, port: int) -> None:
    class Liar(PacsHandlers):
        def select(self, *_arguments: Any) -> Sequence[InstanceFile]:
            return ()

    pacs = site.server("ONE", Liar(site.archive("ONE"), "ONE", Environment.TEST, site.destinations))
    study, made = placed(site, pacs)
    report = site.transfers.get(ADMIN, study, pacs_without_get(pacs))
    assert report.verdict.kind is VerdictKind.MISMATCH
    assert set(report.verdict.missing) == made


def pacs_without_get(pacs: PacsServer) -> PacsServer:
    return PacsServer(**{**pacs.as_dict(), "capabilities": WITHOUT_GET})


def test_other_content_that_stayed_is_a_mismatch(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    study, _ = placed(site, pacs)
    kept = other_content(site, study, "ONE")
    report = site.transfers.get(ADMIN, study, pacs)
    assert report.verdict.kind is VerdictKind.MISMATCH
    assert [failed.sop_instance_uid for failed in report.failed] == [kept]


@pytest.mark.parametrize("leave_bytes", [0, 3 << 20])
def test_a_full_disk_here_is_our_failure_whatever_the_source_says(tmp_path: Path, leave_bytes: int) -> None:
    with small_disk(tmp_path / "site" / "local", 24 << 20) as disk, hospital(tmp_path / "site") as site:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        site.transfers.receiving = another(site, tmp_path, port)
        site.destinations[AE_TITLE] = ("127.0.0.1", port)
        pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
        study = site.make(cards(6))
        site.transfers.send(ADMIN, study, pacs)
        site.local.delete_study(study)
        disk.fill(leave_bytes=leave_bytes)
        with pytest.raises(DiskFull):
            site.transfers.get(ADMIN, study, pacs)
        disk.make_room()
        assert site.transfers.get(ADMIN, study, pacs).verdict.kind is VerdictKind.VERIFIED


def test_what_receives_already_is_used(site: Hospital, port: int, tmp_path: Path) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    study, made = placed(site, pacs)
    told: list[Any] = []
    with another(site, tmp_path, port, pacs).listening(ADMIN, on_reception=told.append):
        report = site.transfers.get(ADMIN, study, pacs)
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert site.held("local", study) == made
    assert [reception.stored for reception in told] == [3]


def other_content(site: Hospital, study: str, archive: str) -> str:
    """Put an instance of a study of a server into the local store with other content; returns its UID."""
    original = site.archives[archive].instances(study)[0].file
    changed = original.path.read_bytes().replace(b"SYNTHETIC", b"synthetic")
    assert changed != original.path.read_bytes()
    incoming = site.local.begin(original.identity)
    incoming.write(changed[original.dataset_offset :])
    incoming.commit(environment=Environment.TEST)
    return original.identity.sop_instance_uid


def test_what_another_process_kept_is_not_known_and_so_not_verified(site: Hospital, port: int, tmp_path: Path) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    study, _ = placed(site, pacs)
    other_content(site, study, "ONE")
    told: list[Any] = []
    with another(site, tmp_path, port, pacs).listening(ADMIN, on_reception=told.append):
        report = site.transfers.get(ADMIN, study, pacs)
    assert [reception.kept for reception in told] == [1]
    assert report.verdict.kind is VerdictKind.UNVERIFIED
    assert report.verdict.why == (
        "all 3 instances are listed at the destination, but 1 of them were here before, "
        "and whether what came is the same is not known"
    )
    assert (report.verdict.before, report.verdict.arrived) == (1, 2)


def test_a_retry_does_not_verify_what_another_process_may_have_kept(
    site: Hospital, office: Office, port: int, tmp_path: Path
) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    office.know(pacs)
    study, _ = placed(site, pacs)
    other_content(site, study, "ONE")
    job_id = office.get([study], pacs)
    with another(site, tmp_path, port, pacs).listening(ADMIN):
        assert office.run(job_id).state is JobState.UNVERIFIED
    assert office.retried(job_id).state is JobState.UNVERIFIED


def test_a_taken_port_is_explained_and_nothing_is_asked_of_the_source(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE", capabilities=WITHOUT_GET)
    study, _ = placed(site, pacs)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse) as caught:
        site.transfers.get(ADMIN, study, pacs)
    assert str(port) in caught.value.what
    assert not site.local.has_study(study)


def test_who_may_not_retrieve_is_refused_first(site: Hospital, port: int) -> None:
    pacs = site.pacs("ONE", "prod", capabilities=WITHOUT_GET)
    study, _ = placed(site, pacs)
    with pytest.raises(AccessDenied):
        site.transfers.get(actor(Role.TEST_READ), study, pacs)


def test_a_study_that_is_not_there_is_not_found(site: Hospital, port: int) -> None:
    with pytest.raises(NotFound):
        site.transfers.get(ADMIN, "1.2.3", site.pacs("ONE", capabilities=WITHOUT_GET))
