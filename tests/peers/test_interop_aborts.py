"""Associations that end in the middle of an instance, by either side and by either side's death."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import build_role, evt

from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import no_conversion
from dicomfab.dimse.handlers import Refusal, ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.store import send, store
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, GET, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.dimse.trace import Trace
from dicomfab.model.errors import AssociationAborted, ConnectionLost, Interrupted, PeerTimeout
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from tests.peers import interop_data as data
from tests.peers import programs
from tests.peers import pynetdicom_peers as pynetdicom
from tests.unit.dimse.memory_pacs import MemoryPacs, make_instance

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

DEADLINE_S = pynetdicom.DEADLINE_S
SIZE = 50 << 20
CONTEXT = ProposedContext(data.SECONDARY_CAPTURE, (EXPLICIT_VR_LITTLE_ENDIAN,))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    """An instance of 50 MB."""
    return data.big(tmp_path_factory.mktemp("big"), SIZE)


class Middle:
    """Reached when the first piece of something big comes in; whoever comes there waits until told to go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def wait_here(self, size: int = SIZE) -> None:
        if size > 10_000 and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(DEADLINE_S)

    def when_reached(self, action: Any) -> threading.Thread:
        """Do something in another thread then."""

        def do() -> None:
            assert self.reached.wait(DEADLINE_S)
            action()

        thread = threading.Thread(target=do)
        thread.start()
        return thread


# ------------------------------------------------------------------ we send


def send_and_abort(peer: Peer, instance: InstanceFile, middle: Middle) -> None:
    """Send an instance; the association is aborted from another thread when the middle is reached."""
    with associate(peer, [CONTEXT]) as association:
        aborting = middle.when_reached(association.abort)
        try:
            list(send(association, [instance], no_conversion))
        finally:
            aborting.join(DEADLINE_S)


def test_we_abort_while_pynetdicom_receives(big):
    middle, over = Middle(), threading.Event()
    received: list[tuple[str, str, bytes]] = []
    handlers = [
        pynetdicom.keeping(received),
        (evt.EVT_DATA_RECV, lambda event: middle.wait_here(len(event.data))),
        (evt.EVT_CONN_CLOSE, lambda event: over.set()),
    ]
    with pynetdicom.acceptor(handlers) as peer:
        with pytest.raises(Interrupted, match="aborted from this side during C-STORE"):
            send_and_abort(peer, big, middle)
        middle.go_on.set()
        assert over.wait(DEADLINE_S)
        assert echo(peer).latency_s > 0
    assert received == []


def test_we_abort_while_pynetdicom_makes_up_its_mind(big, tmp_path):
    """Between two messages there is room for an A-ABORT."""
    middle, aborted = Middle(), threading.Event()

    def hesitate(event: evt.Event) -> int:
        middle.wait_here()
        return 0x0000

    handlers = [(evt.EVT_C_STORE, hesitate), (evt.EVT_ABORTED, lambda event: aborted.set())]
    with pynetdicom.acceptor(handlers) as peer:
        with pytest.raises(Interrupted):
            send_and_abort(peer, data.study(tmp_path, 1)[0], middle)
        middle.go_on.set()
        assert aborted.wait(DEADLINE_S)


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """As :func:`.programs.storescp`, with its process."""
    peer = Peer("127.0.0.1", programs.free_port(), "STORESCP", timeouts=Timeouts(1, 5, DEADLINE_S), name="storescp")
    arguments = [programs.program("storescp"), "--ignore", *options, str(peer.port)]
    with programs.running(arguments, peer, folder) as process:
        yield peer, process


class Noticing(Trace):
    """Says when a C-STORE-RQ goes out."""

    def __init__(self) -> None:
        super().__init__()
        self.storing = threading.Event()

    def message_sent(self, context: Any, command: Any, data_bytes: int) -> None:
        super().message_sent(context, command, data_bytes)
        self.storing.set()


def send_to_stopped(
    peer: Peer, process: subprocess.Popen[bytes], big: InstanceFile, action: Callable[[Association], None]
) -> None:
    """Send the instance to a process that is stopped, so that it never gets it whole, and do something meanwhile."""
    trace = Noticing()
    with associate(replace(peer, trace=trace), [CONTEXT]) as association:

        def act() -> None:
            assert trace.storing.wait(DEADLINE_S)
            action(association)

        os.kill(process.pid, signal.SIGSTOP)
        acting = threading.Thread(target=act)
        acting.start()
        try:
            list(send(association, [big], no_conversion))
        finally:
            acting.join(DEADLINE_S)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)


def test_we_abort_while_storescp_receives(tmp_path, big):
    with storescp(tmp_path) as (peer, process):
        with pytest.raises(Interrupted):
            send_to_stopped(peer, process, big, Association.abort)
        assert "DCMTK" in echo(peer).implementation_version


def test_storescp_is_killed_while_it_receives(tmp_path, big):
    with storescp(tmp_path) as (peer, process), pytest.raises(ConnectionLost):
        send_to_stopped(peer, process, big, lambda association: process.kill())


def test_storescp_stops_reading(tmp_path, big):
    """The deadline is for the peer to read on, not for the whole instance."""
    with storescp(tmp_path) as (peer, process):
        impatient = replace(peer, timeouts=replace(peer.timeouts, dimse_s=0.5))
        with pytest.raises(PeerTimeout) as caught:
            send_to_stopped(impatient, process, big, lambda association: None)
        assert caught.value.stage == "sending"
        assert "DCMTK" in echo(peer).implementation_version


@pytest.mark.parametrize("option", ["--abort-during", pytest.param("--abort-after", marks=pytest.mark.full)])
def test_storescp_aborts(tmp_path, big, option):
    with storescp(tmp_path, option) as (peer, _), pytest.raises(AssociationAborted) as caught:
        list(store(peer, [big]))
    assert not isinstance(caught.value, ConnectionLost)
    assert "its application, code 0/0" in caught.value.what


def test_pynetdicom_aborts_and_gets_it_once_more(big):
    """It aborts the first association in the middle; the instance is sent again, over a second one."""
    received: list[tuple[str, str, bytes]] = []
    aborting: list[threading.Thread] = []

    def abort(event: evt.Event) -> None:
        if len(event.data) > 10_000 and not aborting:
            aborting.append(threading.Thread(target=event.assoc.abort))
            aborting[0].start()

    handlers = [pynetdicom.keeping(received), (evt.EVT_DATA_RECV, abort)]
    with pynetdicom.acceptor(handlers, max_pdu=0) as peer:
        [outcome] = store(peer, [big])
        aborting[0].join(DEADLINE_S)
    assert outcome.accepted
    assert outcome.resent
    [(_, _, encoded)] = received
    assert len(encoded) == len(data.body(big))


def test_we_hang_up_in_the_middle_of_a_get(tmp_path):
    """Whoever iterates over the responses stops doing so."""
    aborted = threading.Event()
    instances = data.study(tmp_path, 3)

    def give(event: evt.Event) -> Iterator[Any]:
        yield len(instances)
        for one in instances:
            yield 0xFF00, pydicom.dcmread(one.path)

    local = MemoryPacs()
    with pynetdicom.acceptor([(evt.EVT_C_GET, give), (evt.EVT_ABORTED, lambda event: aborted.set())]) as peer:
        responses = get(peer, QueryModel.STUDY_ROOT, data.level_study(), [data.SECONDARY_CAPTURE], local)
        assert next(responses).suboperations.completed == 1
        responses.close()
        assert aborted.wait(DEADLINE_S)
    assert len(local.stored) >= 1


# ------------------------------------------------------------------ we receive


class Receiving(data.Stored):
    """A server's handlers with a middle."""

    def __init__(self) -> None:
        self.middle = Middle()
        self.gone = threading.Event()
        super().__init__(lambda _uid, _size: self.middle.wait_here())

    def begin_store(self, requestor: Any, identity: Any) -> Any:
        sink = super().begin_store(requestor, identity)
        discard = sink.discard

        def discarded() -> None:
            discard()
            self.gone.set()

        sink.discard = discarded  # type: ignore[method-assign]
        return sink


@pytest.fixture
def pacs() -> Receiving:
    return Receiving()


@pytest.fixture
def server(pacs: Receiving) -> Iterator[Server]:
    with Server(ServerConfig("OURS"), pacs) as running:
        yield running
        pacs.middle.go_on.set()


def ours(server: Server) -> Peer:
    return Peer("127.0.0.1", server.port, "OURS")


def test_storescu_is_killed_while_we_receive(tmp_path, big, server, pacs):
    arguments = ("-aec", "OURS", "-R", "127.0.0.1", server.port, big.path)
    with programs.client("storescu", *arguments, folder=tmp_path) as process:
        assert pacs.middle.reached.wait(DEADLINE_S)
        process.kill()
        process.wait(DEADLINE_S)
        pacs.middle.go_on.set()
        assert pacs.gone.wait(DEADLINE_S)
    assert pacs.stored == {}
    assert echo(ours(server)).latency_s > 0


def test_pynetdicom_aborts_while_we_receive(tmp_path, server, pacs, caplog):
    """After a few PDUs of a data set of 8 MB it forgets the others and sends A-ABORT."""
    caplog.set_level("INFO", "dicomfab")
    pacs.middle.go_on.set()
    [one] = data.study(tmp_path, 1, rows=2000, columns=2000, bits=12)
    contexts = [(data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN])]
    sent: list[int] = []

    def abort(event: evt.Event) -> None:
        sent.append(len(event.data))
        if len(sent) == 10:
            waiting = event.assoc.dul.to_provider_queue
            with waiting.mutex:
                waiting.queue.clear()
            event.assoc.acse.send_abort(0x00)

    handlers = [(evt.EVT_DATA_SENT, abort)]
    with pynetdicom.association(server.port, contexts, called="OURS", max_pdu=4096, handlers=handlers) as opened:
        opened.dimse_timeout = 1
        assert "Status" not in opened.send_c_store(pydicom.dcmread(one.path))
    assert pacs.gone.wait(DEADLINE_S)
    await_association(server, 0)
    assert pacs.stored == {}
    assert "ended: PeerAborted: A-ABORT 0/0" in caplog.text
    assert echo(ours(server)).latency_s > 0


def test_we_stop_the_server_while_storescu_sends(tmp_path, big, pacs):
    with Server(ServerConfig("OURS"), pacs) as server:
        arguments = ("-aec", "OURS", "-R", "127.0.0.1", server.port, big.path)
        client = programs.client("storescu", *arguments, folder=tmp_path)
        process = client.__enter__()
        assert pacs.middle.reached.wait(DEADLINE_S)
        pacs.middle.go_on.set()
    assert process.wait(DEADLINE_S) != 0
    client.__exit__(None, None, None)
    assert pacs.discarded == [big.identity.sop_instance_uid]
    assert pacs.stored == {}


@pytest.mark.parametrize(("failure", "status"), [(Refusal(0xA700, "disk full"), 0xA700), (OSError("disk"), 0x0110)])
def test_a_disk_that_fills_up_in_the_middle_ends_the_instance_not_the_association(tmp_path, failure, status):
    """The rest of the data set is read and dropped; the next instance on the same association is kept."""
    [one, *_] = instances = data.study(tmp_path, 2, rows=400, columns=400, bits=12)

    def fill_up(uid: str, _size: int) -> None:
        if uid == one.identity.sop_instance_uid:
            raise failure

    pacs = data.Stored(fill_up)
    contexts = [(data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN])]
    paths = [instance.path for instance in instances]
    with Server(ServerConfig("OURS"), pacs) as server:
        with pynetdicom.association(server.port, contexts, called="OURS", max_pdu=4096) as opened:
            statuses = [opened.send_c_store(pydicom.dcmread(path)).Status for path in paths]
        done = programs.dcmtk("storescu", "-nh", "-v", "-aec", "OURS", "-R", "127.0.0.1", server.port, *paths)
    assert statuses == [status, 0x0000]
    assert set(pacs.stored) == {instances[1].identity.sop_instance_uid}
    assert set(pacs.discarded) == {one.identity.sop_instance_uid}
    assert len(pacs.discarded) == 2
    assert done.stderr.count("Received Store Response") == 2


def test_getscu_is_killed_while_it_gets(tmp_path, big, server, pacs):
    pacs.selected = [big, make_instance(tmp_path, 1)]
    arguments = ("-aec", "OURS", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={data.STUDY}")
    (tmp_path / "got").mkdir()
    with programs.client("getscu", *arguments, "127.0.0.1", server.port, folder=tmp_path / "got") as process:
        await_association(server)
        os.kill(process.pid, signal.SIGSTOP)
        process.kill()
        process.wait(DEADLINE_S)
        await_association(server, 0)
    assert echo(ours(server)).latency_s > 0


def await_association(server: Server, count: int = 1) -> None:
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if server.associations == count:
            return
        pause.wait(0.01)
    pytest.fail(f"{server.associations} associations")


def test_pynetdicom_aborts_in_the_middle_of_a_get(tmp_path, server, pacs):
    pacs.selected = data.study(tmp_path, 3)
    contexts = [(GET[QueryModel.STUDY_ROOT], [IMPLICIT_VR_LITTLE_ENDIAN])]
    contexts.append((data.SECONDARY_CAPTURE, [EXPLICIT_VR_LITTLE_ENDIAN]))
    got: list[str] = []

    def abort(event: evt.Event) -> int:
        got.append(event.request.AffectedSOPInstanceUID)
        event.assoc.abort()
        return 0x0000

    role = build_role(data.SECONDARY_CAPTURE, scp_role=True)
    handlers = [(evt.EVT_C_STORE, abort)]
    with pynetdicom.association(server.port, contexts, called="OURS", negotiation=[role], handlers=handlers) as opened:
        opened.dimse_timeout = 1
        list(opened.send_c_get(data.level_study(), GET[QueryModel.STUDY_ROOT]))
        assert opened.is_aborted
    assert len(got) == 1
    await_association(server, 0)
