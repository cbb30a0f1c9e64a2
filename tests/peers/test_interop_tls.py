"""Associations over TLS with DCMTK, Orthanc and pynetdicom, in both directions, and what goes wrong with them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trustme
from pynetdicom import build_role, evt

from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import no_conversion
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.store import send, store
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, FIND, GET, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.dimse.tls_settings import TlsServerSettings, TlsSettings
from dicomfab.model.errors import AssociationAborted, Interrupted, PeerError, TlsFailed
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from tests.peers import interop_data as data
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.transport.secure_peers import HOST, Authority, Pair

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

STUDY_ROOT = QueryModel.STUDY_ROOT
DEADLINE_S = pynetdicom.DEADLINE_S


@dataclass(frozen=True)
class Trust:
    """An authority, and what it issued to us, to the peers, and what a stranger issued to itself."""

    authority: str
    ours: Pair
    theirs: Pair
    strange_authority: str
    strangers: Pair

    @property
    def calling(self) -> TlsSettings:
        """How we call, with a certificate of ours."""
        return TlsSettings(self.authority, self.ours.certificate, self.ours.key)

    @property
    def serving(self) -> TlsServerSettings:
        """How we are called, by those who have a certificate."""
        return TlsServerSettings(self.ours.certificate, self.ours.key, self.authority, require_client_certificate=True)

    def options(self, *, stranger: bool = False) -> tuple[str, ...]:
        """DCMTK's options for the peer, or for the stranger."""
        pair = self.strangers if stranger else self.theirs
        return ("+tls", pair.key, pair.certificate, "+cf", self.authority)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    hospital = Authority(tmp_path_factory.mktemp("hospital"), "Hospital")
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "Stranger")
    # RSA: what the oldest profile of DCMTK can do.
    ours, theirs, strangers = (
        authority.issue(HOST, key_type=trustme.KeyType.RSA) for authority in (hospital, hospital, stranger)
    )
    return Trust(hospital.file, ours, theirs, stranger.file, strangers)


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    """Three instances of 60 KB."""
    return data.study(tmp_path_factory.mktemp("study"), 3, rows=200, columns=150, bits=12)


def context(trust: Trust, purpose: ssl.Purpose) -> ssl.SSLContext:
    """For pynetdicom: certificates on both sides."""
    made = ssl.create_default_context(purpose, cafile=trust.authority)
    made.load_cert_chain(trust.theirs.certificate, trust.theirs.key)
    made.verify_mode = ssl.CERT_REQUIRED
    made.check_hostname = False
    return made


# ------------------------------------------------------------------ we call


@pytest.mark.parametrize(
    "options",
    [(), *(pytest.param(o, marks=pytest.mark.full) for o in [("+px",), ("+pz",), ("-pdu", "4096"), ("-ic",)])],
)
def test_we_send_to_storescp(tmp_path, trust, instances, options):
    with programs.storescp(tmp_path, *trust.options(), *options, "+B", tls=trust.calling) as peer:
        outcomes = list(store(peer, instances))
    assert [outcome.error for outcome in outcomes] == [None] * 3
    kept = data.in_folder(tmp_path)
    for one in instances:
        assert data.body(one) in kept[one.identity.sop_instance_uid].read_bytes()


def test_storescp_and_we_do_not_trust_each_other(tmp_path, trust):
    with programs.storescp(tmp_path, *trust.options(), tls=trust.calling) as peer:
        wrong_authority = replace(trust.calling, ca_file=trust.strange_authority)
        nobody = TlsSettings(trust.authority)
        stranger = TlsSettings(trust.authority, trust.strangers.certificate, trust.strangers.key)
        for settings, why in (
            (wrong_authority, "is not signed by|unable to get|self.signed|issuer"),
            (nobody, "demands a client certificate"),
            (stranger, "does not accept our client certificate"),
        ):
            with pytest.raises(TlsFailed, match=why):
                echo(replace(peer, tls=settings))
        with pytest.raises(PeerError) as plain:
            echo(replace(peer, tls=None))
        assert "TLS" in str(plain.value)
        assert echo(peer).latency_s > 0


def test_storescp_without_tls(tmp_path, trust):
    with programs.storescp(tmp_path) as peer:
        with pytest.raises(TlsFailed):
            echo(replace(peer, tls=trust.calling))
        assert echo(peer).latency_s > 0


@pytest.mark.parametrize("max_pdu", [16382, *(pytest.param(size, marks=pytest.mark.full) for size in (9, 4097, 0))])
def test_we_call_pynetdicom(tmp_path, trust, instances, max_pdu):
    sent = instances if max_pdu != 9 else data.study(tmp_path, 1, rows=13, columns=7)
    received: list[tuple[str, str, bytes]] = []

    def give(event: evt.Event) -> Iterator[Any]:
        yield len(sent)
        for one in sent:
            yield 0xFF00, pydicom.dcmread(one.path)

    handlers = [
        pynetdicom.keeping(received),
        (evt.EVT_C_FIND, lambda event: iter([(0xFF00, data.level_study())] * 20)),
        (evt.EVT_C_GET, give),
    ]
    local = MemoryPacs()
    server = context(trust, ssl.Purpose.CLIENT_AUTH)
    with pynetdicom.acceptor(handlers, max_pdu=max_pdu, context=server, tls=trust.calling) as peer:
        assert [outcome.error for outcome in store(peer, sent)] == [None] * len(sent)
        assert len(list(find(peer, STUDY_ROOT, data.level_study()))) == 20
        [*_, final] = get(peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local)
    assert [encoded for *_, encoded in received] == [data.body(one) for one in sent]
    assert (final.status, set(local.stored)) == (0x0000, data.uids(sent))


def test_we_abort_while_pynetdicom_receives(tmp_path, trust):
    """50 MB; the abort comes from another thread, in the middle of what that thread's TLS library is doing."""
    big = data.big(tmp_path, 50 << 20)
    reached, over = threading.Event(), threading.Event()
    received: list[tuple[str, str, bytes]] = []
    aborting: list[threading.Thread] = []

    def hold(event: evt.Event) -> None:
        if len(event.data) > 10_000 and not reached.is_set():
            reached.set()
            assert over.wait(DEADLINE_S)

    server = context(trust, ssl.Purpose.CLIENT_AUTH)
    handlers = [pynetdicom.keeping(received), (evt.EVT_DATA_RECV, hold)]
    with pynetdicom.acceptor(handlers, context=server, tls=trust.calling) as peer:

        def send_and_abort() -> None:
            wanted = ProposedContext(data.SECONDARY_CAPTURE, (EXPLICIT_VR_LITTLE_ENDIAN,))
            with associate(peer, [wanted]) as association:

                def abort() -> None:
                    assert reached.wait(DEADLINE_S)
                    association.abort()

                aborting.append(threading.Thread(target=abort))
                aborting[0].start()
                list(send(association, [big], no_conversion))

        with pytest.raises(Interrupted):
            send_and_abort()
        aborting[0].join(DEADLINE_S)
        over.set()
        assert echo(peer).latency_s > 0
    assert received == []


def test_storescp_aborts(tmp_path, trust):
    big = data.big(tmp_path, 50 << 20)
    (tmp_path / "kept").mkdir()
    with (
        programs.storescp(tmp_path / "kept", *trust.options(), "--abort-during", tls=trust.calling) as peer,
        pytest.raises(AssociationAborted) as caught,
    ):
        list(store(peer, [big]))
    assert "its application, code 0/0" in caught.value.what


# ------------------------------------------------------------------ we are called


@pytest.fixture
def pacs() -> data.Stored:
    return data.Stored()


@pytest.fixture
def port(pacs: data.Stored, trust: Trust) -> Iterator[int]:
    with Server(ServerConfig("OURS", tls=trust.serving, artim_s=5), pacs) as server:
        yield server.port


def call(name: str, port: int, *options: object, files: tuple[Path, ...] = ()) -> Any:
    return programs.dcmtk(name, "-aec", "OURS", "-to", 5, "-ta", 5, *options, HOST, port, *files)


@pytest.mark.parametrize(
    "options", [(), *(pytest.param(o, marks=pytest.mark.full) for o in [("+px",), ("+pz",), ("-pdu", "4096")])]
)
def test_storescu_and_findscu_call_us(port, pacs, trust, instances, options):
    pacs.matches = [data.level_study(PatientID="SYN1")]
    stored = call("storescu", port, *trust.options(), *options, files=tuple(one.path for one in instances))
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=")
    found = call("findscu", port, *trust.options(), *options, "-v", "-S", *keys)
    assert stored.returncode == 0, stored.stderr
    assert "[SYN1" in found.stderr
    for one in instances:
        assert pacs.stored[one.identity.sop_instance_uid] == (one.identity, data.body(one))


def test_storescu_sends_50_mb(tmp_path, port, pacs, trust):
    big = data.big(tmp_path, 50 << 20)
    stored = call("storescu", port, *trust.options(), "-R", files=(big.path,))
    assert stored.returncode == 0, stored.stderr
    assert pacs.stored[big.identity.sop_instance_uid][1] == data.body(big)


def test_echoscu_and_we_do_not_trust_each_other(port, trust, caplog):
    wrong_authority = ("+tls", trust.theirs.key, trust.theirs.certificate, "+cf", trust.strange_authority)
    for options, why in (
        (trust.options(stranger=True), "certificate"),
        (("+tla", "+cf", trust.authority), "certificate"),
        (wrong_authority, "certificate"),
        ((), "TLS"),
    ):
        caplog.clear()
        refused = call("echoscu", port, *options)
        assert refused.returncode != 0
        await_log(caplog, why)
    accepted = call("echoscu", port, *trust.options())
    assert accepted.returncode == 0, accepted.stderr


def await_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if text in caplog.text:
            return
        pause.wait(0.01)
    pytest.fail(f"{text!r} is not in {caplog.text!r}")


def test_echoscu_speaks_tls_to_our_plain_server(trust, caplog):
    with Server(ServerConfig("OURS", artim_s=5), MemoryPacs()) as server:
        refused = call("echoscu", server.port, *trust.options())
        assert refused.returncode != 0
        await_log(caplog, "TLS")
        assert call("echoscu", server.port).returncode == 0


@pytest.mark.parametrize("max_pdu", [16382, *(pytest.param(size, marks=pytest.mark.full) for size in (4097, 0))])
def test_pynetdicom_calls_us(pacs, trust, instances, max_pdu):
    pacs.matches, pacs.selected = [data.level_study()] * 20, instances
    returned: list[tuple[str, str, bytes]] = []
    models = [(uid, [IMPLICIT_VR_LITTLE_ENDIAN]) for uid in (FIND[STUDY_ROOT], GET[STUDY_ROOT])]
    with (
        Server(ServerConfig("OURS", tls=trust.serving, max_pdu_length=max_pdu), pacs) as server,
        pynetdicom.association(
            server.port,
            [*models, (data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN])],
            called="OURS",
            max_pdu=max_pdu,
            negotiation=[build_role(data.SECONDARY_CAPTURE, scu_role=True, scp_role=True)],
            handlers=[pynetdicom.keeping(returned)],
            context=context(trust, ssl.Purpose.SERVER_AUTH),
        ) as opened,
    ):
        assert [opened.send_c_store(pydicom.dcmread(one.path)).Status for one in instances] == [0] * 3
        assert len(list(opened.send_c_find(data.level_study(), FIND[STUDY_ROOT]))) == 21
        [*_, (status, _)] = opened.send_c_get(data.level_study(), GET[STUDY_ROOT])
    assert status.NumberOfCompletedSuboperations == 3
    assert set(pacs.stored) == {uid for uid, *_ in returned} == data.uids(instances)


# ------------------------------------------------------------------ Orthanc


def test_orthanc_in_both_directions(tmp_path, port, pacs, trust, instances):
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": trust.theirs.certificate,
        "DicomTlsPrivateKey": trust.theirs.key,
        "DicomTlsTrustedCertificates": trust.authority,
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"OURS": {"AET": "OURS", "Host": HOST, "Port": port, "UseDicomTls": True}},
    }
    local = MemoryPacs()
    with programs.orthanc(tmp_path, settings=settings, tls=trust.calling) as orthanc:
        assert [outcome.error for outcome in store(orthanc.peer, instances)] == [None] * 3
        assert len(list(find(orthanc.peer, STUDY_ROOT, data.level_study()))) == 1
        [*_, final] = get(orthanc.peer, STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local)
        with pytest.raises(TlsFailed):
            echo(replace(orthanc.peer, tls=TlsSettings(trust.authority)))
        orthanc.post("/modalities/OURS/echo", {})
        job = orthanc.post("/modalities/OURS/store", {"Resources": orthanc.rest("/studies"), "Synchronous": True})
    assert (final.status, job["FailedInstancesCount"]) == (0x0000, 0)
    assert set(local.stored) == set(pacs.stored) == data.uids(instances)
