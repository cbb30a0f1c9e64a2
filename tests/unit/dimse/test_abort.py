"""An abort from another thread ends what is under way at once, whatever that is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import for_instances, no_conversion
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu import echo, store
from dicomfab.dimse.tls_settings import TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.faults import Fault, FaultKind, FaultPlan
from dicomfab.model.errors import Interrupted
from dicomfab.model.study import InstanceFile
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import MemoryPacs, make_instance
from tests.unit.dimse.raw import HOST, PATIENT, Wire
from tests.unit.dimse.transport.secure_peers import Authority, Pair

LIMIT_S = 0.1
#: The machine may be busy just now; a wire that needs longer needs it each time.
TRIES = 5


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> InstanceFile:
    return make_instance(tmp_path_factory.mktemp("big"), 1, pixels=20 << 20)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Pair]:
    authority = Authority(tmp_path_factory.mktemp("pki"), "Hospital")
    return authority, authority.issue(HOST)


Work = Callable[[Association, threading.Event], None]


def receiving(association: Association, busy: threading.Event) -> None:
    channel = association._link._channel
    receive = channel.receive_into

    def receive_into(buffer: memoryview, deadline: float) -> int:
        busy.set()
        return receive(buffer, deadline)

    channel.receive_into = receive_into  # type: ignore[method-assign]
    echo.send(association)


def sending(instance: InstanceFile) -> Work:
    def work(association: Association, busy: threading.Event) -> None:
        link = association._link
        look = link._look_for_abort

        def stalled() -> None:
            busy.set()
            look()

        link._look_for_abort = stalled  # type: ignore[method-assign]
        list(store.send(association, [instance], no_conversion))

    return work


def between(association: Association, busy: threading.Event) -> None:
    busy.set()
    for _ in range(1_000_000):
        assert echo.send(association).status == 0


def seconds_to_end(peer: Peer, work: Work, instance: InstanceFile) -> tuple[float, float, BaseException | None]:
    """How long the abort took, how long until the work had ended, and with what."""
    found: list[BaseException] = []
    ended: list[float] = []
    ready, busy = threading.Event(), threading.Event()
    associations: list[Association] = []

    def run() -> None:
        contexts, _ = for_instances([instance], 0, no_conversion)
        try:
            with associate(peer, [*contexts, echo.CONTEXT]) as association:
                associations.append(association)
                ready.set()
                try:
                    work(association, busy)
                finally:
                    ended.append(time.monotonic())
        except BaseException as error:  # noqa: BLE001 (handed on)
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(raw.PATIENCE_S)
    assert busy.wait(raw.PATIENCE_S)
    start = time.monotonic()
    associations[0].abort()
    took = time.monotonic() - start
    thread.join(raw.PATIENCE_S)
    assert ended
    return took, ended[0] - start, found[0] if found else None


def check(peer: Peer, work: Work, instance: InstanceFile) -> None:
    best = 1e9
    for _ in range(TRIES):
        took, over, error = seconds_to_end(peer, work, instance)
        assert isinstance(error, Interrupted), error
        assert "aborted from this side" in error.what
        best = min(best, max(took, over))
        if best < LIMIT_S:
            return
    raise AssertionError(f"{best:.3f} s")


@pytest.mark.parametrize("operation", ["receiving", "sending", "between"])
def test_an_abort_ends_what_is_under_way(operation: str, big: InstanceFile) -> None:
    last_words: list[bytes] = []

    def behave(wire: Wire) -> None:
        wire.accept()
        if operation == "between":
            while True:
                pdu = wire.pdu()
                if pdu[0] != 4:
                    last_words.append(pdu)
                    return
                command = raw.dimse_command.decode(pdu[12:])
                wire.send(raw.message(pdu[10], raw.response(command)))
        if operation == "receiving":
            wire.message()
            last_words.append(wire.pdu())
        wire.hold()

    work = {"receiving": receiving, "sending": sending(big), "between": between}[operation]
    with raw.peer(behave, PATIENT) as peer:
        check(peer, work, big)
    # A peer that does not read cannot be told, and one that is just answering may see the connection reset instead.
    assert last_words or operation != "receiving"
    for words in last_words:
        assert words[:6] == b"\x07\0\0\0\0\x04"
        assert words[8] == 0


@contextlib.contextmanager
def secure_server(secured: tuple[Authority, Pair], plan: FaultPlan | None) -> Iterator[Peer]:
    authority, pair = secured
    tls = TlsServerSettings(pair.certificate, pair.key)
    with Server(ServerConfig("MEMORY", tls=tls, faults=plan, idle_s=20.0), MemoryPacs()) as server:
        yield Peer(HOST, server.port, "MEMORY", timeouts=PATIENT, tls=TlsSettings(ca_file=authority.file))


SILENT = FaultPlan((Fault(FaultKind.SILENCE, "C-ECHO-RSP"),))
DEAF = FaultPlan((Fault(FaultKind.DEAF, "A-ASSOCIATE-AC"),))


@pytest.mark.parametrize("operation", ["receiving", "sending", "between"])
def test_an_abort_ends_what_is_under_way_over_tls(
    operation: str, big: InstanceFile, secured: tuple[Authority, Pair]
) -> None:
    work = {"receiving": receiving, "sending": sending(big), "between": between}[operation]
    plan = {"receiving": SILENT, "sending": DEAF, "between": None}[operation]
    with secure_server(secured, plan) as peer:
        check(peer, work, big)


def test_an_abort_before_anything_was_asked(big: InstanceFile) -> None:
    """Association and abort in one thread: nothing is under way, and what comes next fails as it should."""

    def abort_and_ask(peer: Peer) -> None:
        with associate(peer, [echo.CONTEXT]) as association:
            association.abort()
            association.abort()
            echo.send(association)

    with raw.peer(lambda wire: (wire.accept(), wire.rest()), PATIENT) as peer, pytest.raises(Interrupted):
        abort_and_ask(peer)


def test_an_abort_at_the_end_is_no_error(tmp_path: Path) -> None:
    with raw.peer(lambda wire: (wire.accept(), wire.rest()), PATIENT) as peer, associate(peer, [echo.CONTEXT]) as one:
        one.abort()
