"""Every line for Orthanc, DCMTK and pynetdicom, added to the real product that lacked it, makes work what did not."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from dicomfab.diagnosis.implementations import STORAGE_COMMITMENT
from dicomfab.diagnosis.products import Line, Product, Setting, fingerprint, lines_for
from dicomfab.diagnosis.settings_lines import LINES
from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import VERIFICATION
from dicomfab.dimse.tls_settings import TlsServerSettings, TlsSettings
from dicomfab.model.errors import PeerError
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.testpacs import spec
from tests.doctor.real_servers import ALL_OFF, TIMEOUTS, OrthancConfiguration, dcmqrscp_cfg, dcmtk
from tests.peers import interop_data as data
from tests.peers.pynetdicom_peers import acceptor
from tests.unit.dimse.memory_pacs import CT, MemoryPacs, make_instance
from tests.unit.dimse.transport.secure_peers import HOST, Authority, Pair

pytestmark = [pytest.mark.peers, pytest.mark.full]
#: With what JSON and Python have to quote.
OURS = 'O\'R "X" 1'
TITLES = {"calling": OURS, "source_aec": OURS, "move_ae": 'TO "US"\'', "called": 'N "E" W'}
PRIVATE_SOP_CLASS = "1.2.3.4.5.6"
STUDY_ROOT = QueryModel.STUDY_ROOT
Operation = Callable[[Peer], None]


@dataclass(frozen=True)
class World:
    """An instance, a server of ours that takes it, and certificates."""

    instance: InstanceFile
    study: Dataset
    plain_port: int
    tls_port: int
    received: MemoryPacs
    authority: str
    theirs: Pair
    tls: TlsSettings

    def names(self, **more: str) -> dict[str, str]:
        """For the lines."""
        fixed = dict.fromkeys(("our_host", "source_host", "destination_host"), "127.0.0.1")
        ports = {"our_port": "11112", "source_port": "104", "destination_port": str(self.plain_port)}
        return fixed | ports | TITLES | more

    def echo(self, peer: Peer) -> None:
        """C-ECHO."""
        echo(peer)

    def store(self, peer: Peer) -> None:
        """C-STORE."""
        for outcome in store(peer, [self.instance], transcode=False):
            if outcome.error is not None:
                raise outcome.error

    def store_private(self, peer: Peer) -> None:
        """Of a SOP class that nobody knows."""
        with associate(peer, [ProposedContext(PRIVATE_SOP_CLASS, PLAIN_SYNTAXES)]):
            pass

    def find(self, peer: Peer) -> None:
        """C-FIND."""
        list(find(peer, STUDY_ROOT, self.study))

    def find_patients(self, peer: Peer) -> None:
        """C-FIND in the patient root."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "PATIENT"
        identifier.PatientID = "NOBODY"
        list(find(peer, QueryModel.PATIENT_ROOT, identifier))

    def move(self, peer: Peer, destination: str = TITLES["move_ae"]) -> None:
        """C-MOVE to ours."""
        self.received.stored.clear()
        list(move(peer, STUDY_ROOT, self.study, destination))
        assert list(self.received.stored) == [self.instance.identity.sop_instance_uid]

    def get(self, peer: Peer) -> None:
        """C-GET."""
        taken = MemoryPacs()
        list(get(peer, STUDY_ROOT, self.study, [self.instance.identity.sop_class_uid], taken))
        assert taken.stored


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    authority = Authority(tmp_path_factory.mktemp("authority"), "Hospital")
    ours, theirs = (authority.issue(HOST, key_type=trustme.KeyType.RSA) for _ in range(2))
    (instance,) = data.study(tmp_path_factory.mktemp("study"), 1)
    received = MemoryPacs()
    titles = ServerConfig(TITLES["move_ae"])
    secured = replace(titles, tls=TlsServerSettings(ours.certificate, ours.key, authority.file))
    import pydicom

    study_uid = pydicom.dcmread(instance.path, stop_before_pixels=True).StudyInstanceUID
    study = data.level_study(StudyInstanceUID=study_uid)
    tls = TlsSettings(authority.file, ours.certificate, ours.key)
    with Server(titles, received) as plain, Server(secured, received) as secure:
        yield World(instance, study, plain.port, secure.port, received, authority.file, theirs, tls)


def lines(product: Product, setting: Setting, names: dict[str, str]) -> list[Line]:
    return [line for line in lines_for([setting], product, names) if line.product == product]


# ------------------------------------------------------------------ Orthanc

ME = {"AET": OURS, "Host": "127.0.0.1", "Port": 11112}


def without(right: str) -> dict[str, Any]:
    """A configuration that knows us and lets us do everything but this."""
    return ALL_OFF | {"DicomModalities": {"me": ME | {f"Allow{right}": False}}}


KNOWN = {"DicomModalities": {"me": ME}}
OTHER_TRANSFER_SYNTAX = {"AcceptedTransferSyntaxes": ["1.2.840.10008.1.2.4.*"]}
ORTHANC: list[tuple[Setting, dict[str, Any], str]] = [
    (Setting.KNOW_US, ALL_OFF, "echo"),
    (Setting.KNOW_SOURCE, ALL_OFF, "echo"),
    (Setting.ANSWER_TO, {"DicomCheckCalledAet": True}, "echo"),
    (Setting.ALLOW_ECHO, without("Echo"), "echo"),
    (Setting.ALLOW_FIND, without("Find"), "find"),
    (Setting.ALLOW_GET, without("Get"), "get"),
    (Setting.ALLOW_MOVE, without("Move"), "move"),
    (Setting.ALLOW_STORE, without("Store"), "store"),
    (Setting.ACCEPT_SOP_CLASS, {"UnknownSopClassAccepted": False}, "store_private"),
    (Setting.ACCEPT_TRANSFER_SYNTAX, OTHER_TRANSFER_SYNTAX, "store"),
    (Setting.KNOW_DESTINATION, KNOWN, "move"),
    (Setting.START, {"DicomServerEnabled": False}, "echo"),
]
#: What most installations lack; the others are for the long run: each starts Orthanc twice.
OFTEN = (Setting.KNOW_US, Setting.ALLOW_FIND, Setting.KNOW_DESTINATION)
_ORTHANC_LINES = [
    pytest.param(
        setting,
        place,
        settings,
        operation,
        id=f"{setting.name}-{place}",
        marks=[pytest.mark.full] if place or setting not in OFTEN else [],
    )
    for setting, settings, operation in ORTHANC
    for place in range(sum(template.product is Product.ORTHANC for template in LINES[setting]))
]


def fails(operation: Operation, peer: Peer) -> None:
    with pytest.raises(PeerError):
        operation(peer)


@pytest.mark.parametrize(("setting", "place", "settings", "operation"), _ORTHANC_LINES)
def test_orthancs_line_helps(
    tmp_path: Path, world: World, setting: Setting, place: int, settings: dict[str, Any], operation: str
) -> None:
    here = {"here": [TITLES["move_ae"], "127.0.0.1", world.plain_port]}
    if setting is Setting.ALLOW_MOVE:
        settings = settings | {"DicomModalities": settings["DicomModalities"] | here}
    configuration = OrthancConfiguration(settings)
    line = lines(Product.ORTHANC, setting, world.names(port=str(configuration.port)))[place]
    called = TITLES["called"] if setting is Setting.ANSWER_TO else "ORTHANC"
    do: Operation = getattr(world, operation)

    with configuration.running(tmp_path, holds=world.instance.path) as peer:
        fails(do, replace(peer, called_ae_title=called, calling_ae_title=OURS))
    with configuration.with_line(line).running(tmp_path) as peer:
        do(replace(peer, called_ae_title=called, calling_ae_title=OURS))


@pytest.mark.full
@pytest.mark.parametrize(
    ("setting", "before", "port"),
    [(Setting.SEND_WITH_TLS, {}, "tls_port"), (Setting.SEND_WITHOUT_TLS, {"UseDicomTls": True}, "plain_port")],
)
def test_orthancs_line_for_tls_towards_the_destination_helps(
    tmp_path: Path, world: World, setting: Setting, before: dict[str, Any], port: str
) -> None:
    destination = {"AET": TITLES["move_ae"], "Host": "127.0.0.1", "Port": getattr(world, port)} | before
    settings = {
        "DicomTlsCertificate": world.theirs.certificate,
        "DicomTlsPrivateKey": world.theirs.key,
        "DicomTlsTrustedCertificates": world.authority,
        "DicomModalities": {"me": ME, "there": destination},
    }
    configuration = OrthancConfiguration(settings)
    (line,) = lines(Product.ORTHANC, setting, world.names(destination_port=str(getattr(world, port))))
    with configuration.running(tmp_path, holds=world.instance.path) as peer:
        fails(world.move, replace(peer, calling_ae_title=OURS))
    with configuration.with_line(line).running(tmp_path) as peer:
        world.move(replace(peer, calling_ae_title=OURS))


def _tls_files(folder: Path, world: World, trusted: str) -> None:
    for source, name in ((world.theirs.certificate, "crt"), (world.theirs.key, "key")):
        shutil.copy(source, folder / f"orthanc.{name}")
    shutil.copy(trusted, folder / "trusted.crt")


@pytest.mark.full
def test_orthancs_lines_for_tls_help(tmp_path: Path, world: World) -> None:
    _tls_files(tmp_path, world, world.authority)
    (on,) = lines(Product.ORTHANC, Setting.TLS_ON, world.names())
    (off,) = lines(Product.ORTHANC, Setting.TLS_OFF, world.names())
    plain = OrthancConfiguration({})
    secure = plain.with_line(on)
    with plain.running(tmp_path, tls=world.tls) as peer:
        fails(world.echo, peer)
    with secure.running(tmp_path, tls=world.tls) as peer:
        world.echo(peer)
        fails(world.echo, replace(peer, tls=None))
    with secure.with_line(off).running(tmp_path) as peer:
        world.echo(peer)


@pytest.mark.full
def test_orthancs_line_for_trusting_us_helps(tmp_path: Path, world: World) -> None:
    stranger = Authority(tmp_path, "Stranger")
    _tls_files(tmp_path, world, stranger.file)
    (on,) = lines(Product.ORTHANC, Setting.TLS_ON, world.names())
    (trust,) = lines(Product.ORTHANC, Setting.TRUST_US, world.names())
    configuration = OrthancConfiguration({}).with_line(on)
    with configuration.running(tmp_path, tls=world.tls) as peer:
        fails(world.echo, peer)
    assert "append our certificate" in trust.place
    with (tmp_path / "trusted.crt").open("a") as file:
        file.write(Path(world.authority).read_text())
    with configuration.with_line(trust).running(tmp_path, tls=world.tls) as peer:
        world.echo(peer)


# ------------------------------------------------------------------ DCMTK


def _word(setting: Setting, **names: str) -> str:
    (line,) = lines(
        Product.DCMTK, setting, {"our_host": "127.0.0.1", "our_port": "104", "source_host": "127.0.0.1"} | names
    )
    return line.text


@pytest.mark.parametrize(("setting", "title"), [(Setting.KNOW_US, "calling"), (Setting.KNOW_SOURCE, "source_aec")])
@pytest.mark.parametrize("others", ["", "t, "])
def test_dcmqrscp_lets_in_whom_the_line_names(
    tmp_path: Path, world: World, setting: Setting, title: str, others: str
) -> None:
    line = _word(setting, source_port="104", **{title: "ANNA-1"})
    hosts = "t = (OTHER, 127.0.0.1, 104)"
    for peers, let_in in (("t", False), (f"{others}{line}", True)):
        path = dcmqrscp_cfg(tmp_path, hosts=hosts, peers=peers)
        with dcmtk("dcmqrscp", tmp_path, "--disable-host-lookup", "--config", str(path), "PORT") as peer:
            us = replace(peer, calling_ae_title="ANNA-1")
            world.echo(us) if let_in else fails(world.echo, us)


def test_dcmqrscp_answers_to_the_title_of_the_line(tmp_path: Path, world: World) -> None:
    for title, good in (("QR", False), (_word(Setting.ANSWER_TO, called="MY QR"), True)):
        with dcmtk("dcmqrscp", tmp_path, "--config", str(dcmqrscp_cfg(tmp_path, title=title)), "PORT") as peer:
            called = replace(peer, called_ae_title="MY QR")
            world.echo(called) if good else fails(world.echo, called)


def test_dcmqrscp_takes_instances_with_the_access_and_the_quota_of_the_lines(tmp_path: Path, world: World) -> None:
    access, quota = _word(Setting.ALLOW_STORE), _word(Setting.MORE_SPACE)
    for more, good in (
        ({"access": "R"}, False),
        ({"quota": "(1, 1kb)"}, False),
        ({"access": access, "quota": quota}, True),
    ):
        with dcmtk("dcmqrscp", tmp_path, "--config", str(dcmqrscp_cfg(tmp_path, **more)), "PORT") as peer:
            world.store(peer) if good else fails(world.store, peer)


def test_dcmqrscp_knows_the_destination_of_the_line(tmp_path: Path, world: World) -> None:
    with Server(ServerConfig("NEW-ONE"), world.received) as server:
        line = _word(
            Setting.KNOW_DESTINATION, move_ae="NEW-ONE", destination_host="127.0.0.1", destination_port=str(server.port)
        )
        for hosts, good in (("", False), (line, True)):
            with dcmtk("dcmqrscp", tmp_path, "--config", str(dcmqrscp_cfg(tmp_path, hosts=hosts)), "PORT") as peer:
                world.store(peer)
                if good:
                    world.move(peer, "NEW-ONE")
                else:
                    with pytest.raises(PeerError):
                        world.move(peer, "NEW-ONE")


@pytest.mark.parametrize(
    ("setting", "operation"),
    [(Setting.ALLOW_GET, "get"), (Setting.ALLOW_MOVE, "find"), (Setting.OFFER_PATIENT_ROOT, "find_patients")],
)
def test_dcmqrscp_without_the_option(tmp_path: Path, world: World, setting: Setting, operation: str) -> None:
    option = _word(setting).removeprefix("without ")
    path = str(dcmqrscp_cfg(tmp_path))
    move_only = ProposedContext("1.2.840.10008.5.1.4.1.2.2.2", PLAIN_SYNTAXES)
    for options, good in (((option,), False), ((), True)):
        with dcmtk("dcmqrscp", tmp_path, *options, "--config", path, "PORT") as peer:
            world.store(peer)

            def do(peer: Peer) -> None:
                if setting is Setting.ALLOW_MOVE:
                    with associate(peer, [move_only]):
                        return
                getattr(world, operation)(peer)

            do(peer) if good else fails(do, peer)


def test_dcmqrscp_takes_more_associations_with_the_line(tmp_path: Path, world: World) -> None:
    for associations, good in (("MaxAssociations = 1", False), (_word(Setting.MORE_ASSOCIATIONS), True)):
        path = dcmqrscp_cfg(tmp_path, associations=associations)
        with dcmtk("dcmqrscp", tmp_path, "--config", str(path), "PORT") as peer, ExitStack() as open_ones:
            open_ones.enter_context(associate(peer, [ProposedContext(VERIFICATION, PLAIN_SYNTAXES)]))
            world.echo(peer) if good else fails(world.echo, peer)


def test_dcmqrscp_starts_as_the_line_says(tmp_path: Path, world: World) -> None:
    program, *arguments = shlex.split(_word(Setting.START, port="PORT"))
    dcmqrscp_cfg(tmp_path)
    with dcmtk(program, tmp_path, *arguments) as peer:
        world.echo(peer)


def test_storescp_accepts_more_with_the_options(tmp_path: Path, world: World) -> None:
    compressed = data.compressed(world.instance, tmp_path)
    jpeg = next(iter(compressed.values()))

    def store_jpeg(peer: Peer) -> None:
        world_of_jpeg = replace(world, instance=jpeg)
        world_of_jpeg.store(peer)

    for setting, do in ((Setting.ACCEPT_SOP_CLASS, world.store_private), (Setting.ACCEPT_TRANSFER_SYNTAX, store_jpeg)):
        for options, good in (((), False), ((_word(setting),), True)):
            with dcmtk("storescp", tmp_path, *options, "PORT") as peer:
                do(peer) if good else fails(do, peer)


def test_storescp_speaks_tls_as_the_options_say(tmp_path: Path, world: World) -> None:
    for source, name in ((world.theirs.key, "key"), (world.theirs.certificate, "crt")):
        shutil.copy(source, tmp_path / f"server.{name}")
    shutil.copy(world.authority, tmp_path / "dicomfab.crt")
    on, off, trust = (
        tuple(shlex.split(_word(setting))) for setting in (Setting.TLS_ON, Setting.TLS_OFF, Setting.TRUST_US)
    )
    for options, good in ((off, False), (on, False), ((*on, *trust), True)):
        with dcmtk("storescp", tmp_path, *options, "PORT", tls=world.tls) as peer:
            world.echo(peer) if good else fails(world.echo, peer)
    with dcmtk("storescp", tmp_path, *off, "PORT") as peer:
        world.echo(peer)


# ------------------------------------------------------------------ pynetdicom and our own


def served(setting: Setting, world: World, before: Callable[[AE], None], *, with_line: bool) -> AE:
    entity = AE("OTHER")
    entity.add_supported_context(VERIFICATION)
    entity.add_supported_context(STORAGE_COMMITMENT)
    before(entity)
    if with_line:
        (line,) = lines(Product.PYNETDICOM, setting, world.names())
        names = {
            "ae": entity,
            "AllStoragePresentationContexts": AllStoragePresentationContexts,
            "ALL_TRANSFER_SYNTAXES": ALL_TRANSFER_SYNTAXES,
        }
        exec(line.text, names)
    return entity


def _known(entity: AE) -> None:
    entity.require_calling_aet = ["SOMEBODY"]


def _called(entity: AE) -> None:
    entity.require_called_aet = True


def _few(entity: AE) -> None:
    entity.maximum_associations = 1


def _uncompressed(entity: AE) -> None:
    entity.add_supported_context(CT)


PYNETDICOM = [
    (Setting.KNOW_US, _known, "echo"),
    (Setting.KNOW_SOURCE, _known, "echo"),
    (Setting.ANSWER_TO, _called, "echo"),
    (Setting.MORE_ASSOCIATIONS, _few, "echo"),
    (Setting.ACCEPT_SOP_CLASS, lambda _entity: None, "store"),
    (Setting.ACCEPT_TRANSFER_SYNTAX, _uncompressed, "jpeg"),
]


@pytest.mark.parametrize(("setting", "before", "operation"), PYNETDICOM)
def test_pynetdicoms_line_helps(
    tmp_path: Path, world: World, setting: Setting, before: Callable[[AE], None], operation: str
) -> None:
    jpeg = make_instance(tmp_path, 1, syntax="1.2.840.10008.1.2.4.70")
    do = replace(world, instance=jpeg).store if operation == "jpeg" else getattr(world, operation)
    for good in (False, True):
        entity = served(setting, world, before, with_line=good)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0)])
        peer = Peer("127.0.0.1", server.server_address[1], TITLES["called"], OURS, timeouts=TIMEOUTS)
        try:
            with ExitStack() as open_ones:
                if setting is Setting.MORE_ASSOCIATIONS:
                    open_ones.enter_context(associate(peer, [ProposedContext(VERIFICATION, PLAIN_SYNTAXES)]))
                do(peer) if good else fails(do, peer)
        finally:
            server.shutdown()


def test_pynetdicoms_line_for_a_destination_helps(world: World) -> None:
    (line,) = lines(Product.PYNETDICOM, Setting.KNOW_DESTINATION, world.names())
    scope: dict[str, Any] = {}
    exec(f"def handler(event):\n    {line.text}\n    yield (None, None)", scope)
    event = type("Event", (), {"move_destination": TITLES["move_ae"]})
    assert next(scope["handler"](event)) == ("127.0.0.1", world.plain_port)


def test_a_strict_lab_lets_everybody_in_with_the_line(tmp_path: Path) -> None:
    for setting in (Setting.KNOW_US, Setting.KNOW_SOURCE):
        (line,) = lines(Product.DICOMFAB, setting, {})
        spec.save(tmp_path, spec.LabConfig(strict=True))
        assert spec.load(tmp_path).known_calling_ae_titles is not None
        path = tmp_path / spec.CONFIG_NAME
        path.write_text(json.dumps(json.loads(path.read_text()) | json.loads(f"{{{line.text}}}")))
        assert spec.load(tmp_path).known_calling_ae_titles is None


# ------------------------------------------------------------------ who is who

_PROPOSED = (VERIFICATION, STORAGE_COMMITMENT, CT)


def seen(peer: Peer) -> Product:
    with associate(peer, [ProposedContext(uid, PLAIN_SYNTAXES) for uid in _PROPOSED]) as association:
        accepted = {context.abstract_syntax for context in association.contexts.values()}
        said = association.implementation
    return fingerprint(said.class_uid, said.version_name, accepted=accepted, refused=set(_PROPOSED) - accepted).product


def test_real_servers_are_recognised(tmp_path: Path) -> None:
    with OrthancConfiguration({}).running(tmp_path) as peer:
        assert seen(peer) is Product.ORTHANC
    with dcmtk("dcmqrscp", tmp_path, "--config", str(dcmqrscp_cfg(tmp_path)), "PORT") as peer:
        assert seen(peer) is Product.DCMTK
    with dcmtk("storescp", tmp_path, "PORT") as peer:
        assert seen(peer) is Product.DCMTK
    with acceptor([]) as peer:
        assert seen(peer) is Product.PYNETDICOM
    with Server(ServerConfig("OURS"), MemoryPacs()) as server:
        assert seen(Peer("127.0.0.1", server.port, "OURS")) is Product.DICOMFAB
