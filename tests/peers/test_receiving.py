"""Our Storage SCP and storage-only destinations, with Orthanc and DCMTK at the other end."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.receiving import ReceivingService, Reception
from dicomfab.services.transfer import Watch
from dicomfab.services.verification import VerdictKind
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, hospital

pytestmark = pytest.mark.peers

RECIPE = StudyRecipe((SeriesRecipe("ct-chest", 4), "text-card"), seed=33, accession_number="RECEIVED")
NO_WAIT = Watch(verify_wait_s=0.0)
WAIT_S = 30.0
WITHOUT_GET = ["echo", "store", "find", "move"]
ALL = [*WITHOUT_GET, "get"]


class Site(Hospital):
    """A hospital that receives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.port = programs.free_port()
        self.registered: list[PacsServer] = []
        self.over: queue.SimpleQueue[Reception] = queue.SimpleQueue()
        self.destinations["DICOMFAB"] = ("127.0.0.1", self.port)
        self.transfers.receiving = ReceivingService(
            self.local,
            lambda: Registry(tuple(self.registered)),
            self.folder / "receiver.lock",
            host="127.0.0.1",
            port=self.port,
        )

    @contextmanager
    def listening(self, *servers: PacsServer) -> Iterator[int]:
        self.registered = list(servers)
        receiving = self.transfers.receiving
        assert receiving is not None
        with receiving.listening(ADMIN, on_reception=self.over.put) as port:
            yield port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with hospital(tmp_path) as running:
        yield Site(tmp_path / "site", running.stack)


def files_of(site: Site, study: str, folder: Path) -> Path:
    """A study as files, and gone from the local store."""
    folder.mkdir()
    for number, instance in enumerate(site.local.instances(study)):
        (folder / f"{number}.dcm").write_bytes(instance.path.read_bytes())
    site.local.delete_study(study)
    return folder


def test_storescu_sends_to_us(site: Site, tmp_path: Path) -> None:
    study = site.make(RECIPE)
    made = site.held("local", study)
    folder = files_of(site, study, tmp_path / "files")
    with site.listening(site.entry("DCMTK", 104, "prod")) as port:
        echo = programs.dcmtk("echoscu", "-aet", "DCMTK", "-aec", "DICOMFAB", "127.0.0.1", port)
        assert echo.returncode == 0, echo.stderr
        assert site.over.get(timeout=WAIT_S).stored == 0
        sent = programs.dcmtk(
            "storescu", "-v", "-aet", "DCMTK", "-aec", "DICOMFAB", "+sd", "127.0.0.1", port, folder
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        told = site.over.get(timeout=WAIT_S)
    assert (told.server_id, told.environment, told.stored, told.not_stored) == ("dcmtk", "prod", 5, 0)
    assert site.held("local", study) == made


@pytest.mark.parametrize(
    ("calling", "called", "code", "said"),
    [
        ("STRANGER", "DICOMFAB", "1/1/3", "Calling AE Title Not Recognized"),
        ("DCMTK", "OTHER", "1/1/7", "Called AE Title Not Recognized"),
        ("ELSEWHERE", "DICOMFAB", "1/1/3", "Calling AE Title Not Recognized"),
    ],
)
def test_storescu_is_told_why_it_may_not(
    site: Site, tmp_path: Path, calling: str, called: str, code: str, said: str
) -> None:
    folder = files_of(site, site.make(RECIPE), tmp_path / "files")
    elsewhere = PacsServer(**{**site.entry("ELSEWHERE", 104).as_dict(), "host": "192.0.2.9"})
    with site.listening(site.entry("DCMTK", 104), elsewhere) as port:
        sent = programs.dcmtk("storescu", "-aet", calling, "-aec", called, "+sd", "127.0.0.1", port, folder)
        told = site.over.get(timeout=WAIT_S)
    assert sent.returncode != 0
    assert said in sent.stderr
    assert told.rejected == code
    assert site.local.storage().instances == 0


def test_movescu_has_a_test_pacs_send_to_us(site: Site) -> None:
    pacs = site.pacs("ONE")
    study = site.make(RECIPE)
    made = site.held("local", study)
    site.transfers.send(ADMIN, study, pacs)
    site.local.delete_study(study)
    with site.listening(pacs):
        moved = programs.dcmtk(
            "movescu", "-v", "-S", "-aet", "DICOMFAB", "-aec", "ONE", "-aem", "DICOMFAB", "127.0.0.1", pacs.port,
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
        )  # fmt: skip
        assert moved.returncode == 0, moved.stderr
        told = site.over.get(timeout=WAIT_S)
    assert (told.server_id, told.stored) == ("one", 5)
    assert site.held("local", study) == made


# ---------------------------------------------------------------------- get by C-MOVE


def got_by_move(site: Site, source: PacsServer) -> Any:
    study = site.make(RECIPE)
    made = site.held("local", study)
    assert site.transfers.send(ADMIN, study, source).verdict.kind is VerdictKind.VERIFIED
    site.local.delete_study(study)
    report = site.transfers.get(ADMIN, study, source, watch=NO_WAIT)
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert report.operation == "C-MOVE"
    assert site.held("local", study) == made
    return report


def test_dcmqrscp_without_get_sends_to_us(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "qr"
    folder.mkdir()
    known = {"DICOMFAB": ("127.0.0.1", site.port)}
    with programs.dcmqrscp(folder, "--disable-get", known=known) as peer:
        report = got_by_move(site, site.entry(peer.called_ae_title, peer.port, dimse_timeout_s=30))
    assert "accepts no presentation context for C-GET" in report.detour


@pytest.mark.parametrize(("synchronous", "capabilities"), [(True, ALL), (False, WITHOUT_GET)])
def test_orthanc_without_get_sends_to_us(
    site: Site, tmp_path: Path, synchronous: bool, capabilities: list[str]
) -> None:
    """Also when it answers the C-MOVE before it has sent anything."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    ours = {"AET": "DICOMFAB", "Host": "127.0.0.1", "Port": site.port, "AllowGet": False}
    settings = {"DicomAlwaysAllowGet": False, "DicomModalities": {"OURS": ours}, "SynchronousCMove": synchronous}
    with programs.orthanc(folder, settings=settings) as running:
        report = got_by_move(
            site, site.entry("ORTHANC", running.peer.port, dimse_timeout_s=30, capabilities=capabilities)
        )
    assert ("aborted the association during C-GET" if synchronous else "C-GET is disabled") in report.detour


# ---------------------------------------------------------------------- storage-only destinations


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"capabilities": ["echo", "store"]}, "C-FIND is disabled for STORESCP"),
        ({}, "Presentation context rejected"),
    ],
)
def test_what_is_sent_to_a_storage_only_node_is_unverified(
    site: Site, tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    study = site.make(RECIPE)
    with programs.storescp(folder) as peer:
        node = site.entry("STORESCP", peer.port, dimse_timeout_s=30, **settings)
        sent = site.transfers.send(ADMIN, study, node)
        assert (sent.accepted, sent.failed, sent.error) == (5, (), None)
        assert sent.verdict.kind is VerdictKind.UNVERIFIED
        assert why in sent.verdict.why
        pacs = site.pacs("ONE")
        site.transfers.send(ADMIN, study, pacs)
        site.destinations["STORESCP"] = ("127.0.0.1", peer.port)
        moved = site.transfers.move(ADMIN, study, pacs, node, "STORESCP")
        assert moved.accepted == 5
        assert moved.verdict.kind is VerdictKind.UNVERIFIED
        assert why in moved.verdict.why
    assert len([file for file in folder.iterdir() if not file.name.endswith((".txt", ".log"))]) == 5


# ---------------------------------------------------------------------- the longest PDU


@pytest.mark.parametrize("max_pdu", [4096, 1 << 20])
def test_peers_send_no_longer_pdus_than_they_are_offered(site: Site, tmp_path: Path, max_pdu: int) -> None:
    folder = tmp_path / "qr"
    folder.mkdir()
    with programs.dcmqrscp(folder, max_pdu=131072) as peer:
        server = site.entry(peer.called_ae_title, peer.port, dimse_timeout_s=30, max_pdu=max_pdu)
        study = site.make(RECIPE)
        made = site.held("local", study)
        assert site.transfers.send(ADMIN, study, server).verdict.kind is VerdictKind.VERIFIED
        site.local.delete_study(study)
        got = site.transfers.get(ADMIN, study, server)
    assert (got.operation, got.verdict.kind) == ("C-GET", VerdictKind.VERIFIED)
    assert site.held("local", study) == made
