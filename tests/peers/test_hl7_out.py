"""Messages that go out, to receivers that refuse, hang up or are not there; with TLS; over the end of a process."""

from __future__ import annotations

import datetime as dt
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import update

from dicomfab.app.build import Application, build
from dicomfab.app.ordering import listening_tls
from dicomfab.app.settings import Settings
from dicomfab.dimse.sop_classes import PERFORMED_STEP
from dicomfab.hl7.acknowledging import Acknowledgement, Code, Problem, acknowledged
from dicomfab.hl7.listener import Listener, ListenerConfig
from dicomfab.hl7.mllp import Frame, Framer, framed
from dicomfab.hl7.orders import read
from dicomfab.hl7.receiver import ReceiverTls
from dicomfab.model.errors import Conflict, ConnectionFailed, InvalidInput, NotFound, PeerError
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import header_of
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.storage.order_tables import hl7_message
from tests.peers import programs
from tests.peers.test_ris import (
    ACTOR,
    DEADLINE_S,
    STEP,
    UID,
    begun,
    command,
    ended,
    engine,
    environment,
    for_step,
    opened,
    ris_process,
    serving,
    states,
)  # fmt: skip
from tests.peers.test_ris import acknowledged as told
from tests.unit.dimse.transport.secure_peers import Authority
from tests.unit.services.job_office import until
from tests.unit.services.ordering.conftest import orm

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home"))
    yield application
    application.close()


def asks_for_replies(home: Path, port: int, more: str = "") -> None:
    folder = Settings(home).hl7_profiles
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ris.yaml").write_text(
        f"name: North\nsenders: [RIS]\nreplies: {{host: 127.0.0.1, port: {port}, application: RIS{more}}}\n"
    )


def answer(data: bytes, what: Acknowledgement = Acknowledgement.ACCEPTED) -> bytes:
    problems = [] if what.is_accepted else [Problem(Code.UNKNOWN_KEY, "nobody knows this order", "ORC-2")]
    now = dt.datetime.now().astimezone()
    return acknowledged(header_of(data), what, problems, control_id="R1", now=now).encode()


@dataclass
class Receiver:
    """A plain socket that answers as it is told, one after the other; the last one again and again.

    Args:
        behaves: gives the bytes to answer with; none closes without an answer.
    """

    behaves: list[Callable[[bytes], bytes | None]]
    port: int = 0
    received: list[bytes] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        with socket.create_server(("127.0.0.1", self.port)) as server:
            self.port = server.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(server,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join(DEADLINE_S)

    def _accept(self, server: socket.socket) -> None:
        serving = []
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                break
            serving.append(threading.Thread(target=self._serve, args=(connection,)))
            serving[-1].start()
        for thread in serving:
            thread.join(DEADLINE_S)

    def _serve(self, connection: socket.socket) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        framer = Framer()
        with connection:
            connection.settimeout(DEADLINE_S)
            while data := connection.recv(65536):
                for found in framer.feed(data):
                    assert isinstance(found, Frame)
                    self.received.append(found.data)
                    behave = self.behaves.pop(0) if len(self.behaves) > 1 else self.behaves[0]
                    said = behave(found.data)
                    if said is None:
                        self.at_once -= 1
                        return
                    connection.sendall(framed(said))
        self.at_once -= 1


def hangs_up(_data: bytes) -> None:
    return None


def refuses(data: bytes) -> bytes:
    return answer(data, Acknowledgement.ERROR)


def rejects(data: bytes) -> bytes:
    return answer(data, Acknowledgement.REJECTED)


def outgoing(site: Application) -> list[Hl7Message]:
    """The oldest first."""
    found = site.ordering.messages.page(ACTOR, MessageFilter(direction=Direction.OUT)).messages
    return [site.ordering.messages.show(ACTOR, one.number) for one in reversed(found)]


def ended_up(site: Application, *wanted: MessageState) -> bool:
    return tuple(one.state for one in outgoing(site)) == wanted


def order(ris: RisConfig, number: int = 1) -> None:
    with engine(ris.hl7_port) as sender:
        made = orm(f"M{number}", accession=f"A10{number}", uid=f"{UID}.{number}", rp=f"RP{number}")
        assert told(sender.send(made))[0] == "AA"


def perform(ris: RisConfig, number: int = 1, *, to: Sequence[str] = ("IN PROGRESS", "COMPLETED")) -> None:
    with opened(ris.dicom_port, PERFORMED_STEP) as modality:
        for status in to:
            if status == "IN PROGRESS":
                started = begun(ScheduledStepAttributesSequence=for_step(f"{UID}.{number}", "SPS1"))
                assert modality.send_n_create(started, PERFORMED_STEP, f"{STEP}.{number}")[0].Status == 0
            else:
                assert modality.send_n_set(ended(status), PERFORMED_STEP, f"{STEP}.{number}")[0].Status == 0


# ------------------------------------------------------------------ status messages


def test_another_ris_follows_by_what_it_is_told(site: Application, tmp_path: Path) -> None:
    """The order filler of one site is the order placer of the other."""
    other = build(Settings(tmp_path / "other"))
    with serving(other) as placer:
        asks_for_replies(tmp_path / "home", placer.hl7_port)
        with serving(site) as filler:
            for ris in (placer, filler):
                order(ris)
            perform(filler, to=("IN PROGRESS",))
            until(lambda: states(other) == ["STARTED"])
            perform(filler, to=("COMPLETED",))
            until(lambda: states(other) == ["COMPLETED"])
            until(lambda: ended_up(site, MessageState.SENT, MessageState.SENT))
    other.close()
    assert [(one.code, read(one.data)[0].status) for one in outgoing(site)] == [("AA", "IP"), ("AA", "CM")]


def test_what_is_not_answered_goes_again_unchanged_and_in_order(site: Application, tmp_path: Path) -> None:
    receiver = Receiver([hangs_up, lambda _data: b"hello", answer])
    with receiver.listening():
        asks_for_replies(tmp_path / "home", receiver.port)
        with serving(site) as ris:
            order(ris)
            perform(ris)
            until(lambda: ended_up(site, MessageState.SENT, MessageState.SENT))
    first, second, third, last = receiver.received
    assert first == second == third != last
    assert [read(one)[0].status for one in (first, last)] == ["IP", "CM"]
    assert receiver.most_at_once == 1
    delivery = site.ordering.messages.delivery(ACTOR, outgoing(site)[0].number)
    assert delivery is not None
    assert (delivery.attempts, delivery.next_at) == (2, None)
    recorded = [one.event.detail for one in site.audit._log.entries(AuditFilter(text="HL7 message"))]
    left = [one["message"] for one in recorded if one.get("to") == f"127.0.0.1:{receiver.port}"]
    assert left == [one.control_id for one in outgoing(site)]  # each once, however often it was tried


@pytest.mark.parametrize(("behave", "code"), [(refuses, "AE"), (rejects, "AR")])
def test_what_is_refused_failed_and_does_not_go_again(
    site: Application, tmp_path: Path, behave: Callable[[bytes], bytes], code: str
) -> None:
    receiver = Receiver([behave, answer])
    with receiver.listening():
        asks_for_replies(tmp_path / "home", receiver.port)
        with serving(site) as ris:
            order(ris)
            perform(ris)
            until(lambda: ended_up(site, MessageState.FAILED, MessageState.SENT))
    assert len(receiver.received) == 2
    failed = outgoing(site)[0]
    assert (failed.code, failed.reason) == (code, "nobody knows this order")


def test_a_receiver_that_is_slow_holds_up_nobody_else(site: Application, tmp_path: Path) -> None:
    gate = threading.Event()

    def waits(data: bytes) -> bytes:
        assert gate.wait(DEADLINE_S)
        return answer(data)

    slow, quick = Receiver([waits]), Receiver([answer])
    with slow.listening(), quick.listening():
        asks_for_replies(tmp_path / "home", slow.port)
        with serving(site) as ris:
            order(ris)
            perform(ris)
            until(lambda: slow.received)
            asks_for_replies(tmp_path / "home", quick.port)
            order(ris, 2)
            perform(ris, 2)
            sent = MessageState.SENT
            until(lambda: ended_up(site, MessageState.WAITING, MessageState.WAITING, sent, sent))
            assert len(slow.received) == 1
            gate.set()
            until(lambda: ended_up(site, sent, sent, sent, sent))


@pytest.mark.full
def test_after_a_day_it_is_given_up(site: Application, tmp_path: Path) -> None:
    asks_for_replies(tmp_path / "home", programs.free_port())
    with serving(site) as ris:
        order(ris)
        perform(ris, to=("IN PROGRESS",))
        until(lambda: "not answered yet" in outgoing(site)[0].reason)
        long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)
        with site.database.write() as connection:
            connection.execute(update(hl7_message).where(hl7_message.c.direction == "out").values(at=long_ago))
        until(lambda: ended_up(site, MessageState.FAILED))
    assert outgoing(site)[0].reason.startswith("given up: no answer for 24 hours, in ")
    assert "cannot be reached" in outgoing(site)[0].reason


def test_in_enhanced_mode_the_sender_is_told_what_became_of_it(site: Application, tmp_path: Path) -> None:
    receiver = Receiver([lambda data: answer(data, Acknowledgement.COMMIT_ACCEPTED)])
    header, rest = orm(control="CA").split(b"\r", 1)
    with receiver.listening():
        asks_for_replies(tmp_path / "home", receiver.port)
        with serving(site) as ris, engine(ris.hl7_port) as sender:
            assert told(sender.send(header + b"|||AL|AL\r" + rest)) == ("CA", "M1")
            until(lambda: ended_up(site, MessageState.SENT))
    assert told(receiver.received[0]) == ("AE", "M1")


# ------------------------------------------------------------------ over the end of a process


@contextmanager
def ris_killed(home: Path) -> Iterator[int]:
    """A RIS of its own process, killed at the end of the block; gives its port for DICOM."""
    words = ("ris", "run", "--test", "--any-caller", "--hl7-port", 0, "--dicom-port", 0, "--json")
    with subprocess.Popen(command(*words), env=environment(home), stdout=subprocess.PIPE, text=True, bufsize=1) as one:
        try:
            assert one.stdout is not None
            listening = json.loads(one.stdout.readline())["listening"]
            with engine(listening["hl7_port"]) as sender:
                sender.send(orm("M1", accession="A101", uid=f"{UID}.1"))
            yield listening["dicom_port"]
            one.send_signal(signal.SIGKILL)
            assert one.wait(DEADLINE_S) == -signal.SIGKILL
        finally:
            one.kill()


@pytest.mark.full
def test_what_waited_when_a_ris_was_killed_is_delivered_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    receiver = Receiver([hangs_up, answer])
    with receiver.listening():
        asks_for_replies(home, receiver.port)
        with ris_killed(home) as port:
            perform(RisConfig(Environment.TEST, dicom_port=port))
            until(lambda: receiver.received)
            # One was sent and not answered, the other still waits behind it.
        with ris_process(home):
            application = build(Settings(home))
            until(lambda: ended_up(application, MessageState.SENT, MessageState.SENT))
            application.close()
    distinct = list(dict.fromkeys(receiver.received))
    assert [read(one)[0].status for one in distinct] == ["IP", "CM"]
    assert receiver.received == [distinct[0]] * (len(receiver.received) - 1) + [distinct[1]]


# ------------------------------------------------------------------ sending again


def test_what_failed_is_sent_again_unchanged(site: Application) -> None:
    receiver = Receiver([refuses, answer])
    with receiver.listening():
        first = site.ordering.messages.send(ACTOR, orm(), Environment.TEST, "127.0.0.1", receiver.port)
        assert (first.state, first.code) == (MessageState.FAILED, "AE")
        again = site.ordering.messages.resend(ACTOR, first.number)
    assert (again.number, again.state, again.code, again.reason) == (first.number, MessageState.SENT, "AA", "")
    assert receiver.received == [orm(), orm()]
    assert ended_up(site, MessageState.SENT)
    with pytest.raises(Conflict, match="it is sent"):
        site.ordering.messages.resend(ACTOR, first.number)


def test_what_could_not_be_sent_at_all_is_sent_again(site: Application) -> None:
    receiver = Receiver([answer], port=programs.free_port())
    with pytest.raises(PeerError):
        site.ordering.messages.send(ACTOR, orm(), Environment.TEST, "127.0.0.1", receiver.port)
    [failed] = outgoing(site)
    with pytest.raises(PeerError):
        site.ordering.messages.resend(ACTOR, failed.number)
    assert ended_up(site, MessageState.FAILED)
    with receiver.listening():
        assert site.ordering.messages.resend(ACTOR, failed.number).code == "AA"


def test_what_came_in_or_waits_is_not_sent_again(site: Application, tmp_path: Path) -> None:
    asks_for_replies(tmp_path / "home", programs.free_port())
    with serving(site) as ris:
        order(ris)
        perform(ris, to=("IN PROGRESS",))
        waiting = outgoing(site)[0].number
        with pytest.raises(Conflict, match="sent by itself"):
            site.ordering.messages.resend(ACTOR, waiting)
    with pytest.raises(Conflict, match="it came in"):
        site.ordering.messages.resend(ACTOR, 1)
    with pytest.raises(NotFound):
        site.ordering.messages.resend(ACTOR, 99)


def test_an_answer_to_another_message_is_no_answer(site: Application) -> None:
    receiver = Receiver([lambda _data: answer(orm("OTHER"))])
    with receiver.listening():
        sent = site.ordering.messages.send(ACTOR, orm(), Environment.TEST, "127.0.0.1", receiver.port)
    assert (sent.state, sent.code) == (MessageState.FAILED, "??")
    assert "another message" in sent.reason


# ------------------------------------------------------------------ TLS


def test_orders_and_replies_go_over_tls_with_certificates_on_both_sides(site: Application, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "lab")
    server, client = authority.issue("127.0.0.1"), authority.issue("dicomfab")
    context = listening_tls(server.certificate, server.key, authority.file)
    received: list[bytes] = []

    def take(data: bytes, _peer: str) -> bytes:
        received.append(data)
        return answer(data)

    files = f"tls_ca_file: {authority.file}, tls_certificate_file: {client.certificate}, tls_key_file: {client.key}"
    with Listener(ListenerConfig(tls=context), take, lambda *_: b"") as listener:
        asks_for_replies(tmp_path / "home", listener.port, f", tls: true, {files}")
        config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True, tls=context)
        with site.ordering.ris.serving(ACTOR, config) as ris:
            ours = ReceiverTls(authority.file, client.certificate, client.key)

            def send(made: bytes, tls: ReceiverTls) -> Hl7Message:
                to = (Environment.TEST, "127.0.0.1", ris.hl7_port)
                return site.ordering.messages.send(ACTOR, made, *to, tls=tls)

            assert send(orm(accession="A101", uid=f"{UID}.1"), ours).code == "AA"
            perform(ris, to=("IN PROGRESS",))
            until(lambda: ended_up(site, MessageState.SENT, MessageState.SENT))
            with pytest.raises(PeerError) as refused:  # without a certificate of ours
                send(orm("M2"), ReceiverTls(authority.file))
            assert "--tls-cert" in refused.value.remedy
            with pytest.raises(ConnectionFailed, match="is not trusted") as refused:  # by somebody else's authority
                send(orm("M3"), replace(ours, ca_file=Authority(tmp_path, "other").file))
            assert "--tls-ca" in refused.value.remedy
            with pytest.raises(InvalidInput, match="tls_ca_file"):
                send(orm("M4"), ReceiverTls(str(tmp_path / "absent")))
    assert [read(one)[0].status for one in received] == ["IP"]
    assert [one.state for one in outgoing(site)] == [MessageState.SENT] * 2 + [MessageState.FAILED] * 3


@pytest.mark.full
def test_the_command_line_listens_and_sends_with_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "lab")
    server = authority.issue("127.0.0.1")
    home, file = tmp_path / "home", tmp_path / "order.hl7"
    file.write_bytes(orm())
    words = ("ris", "run", "--test", "--hl7-port", 0, "--dicom-port", 0, "--json", "--tls-cert", server.certificate)
    with subprocess.Popen(
        command(*words, "--tls-key", server.key), env=environment(home), stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["listening"]["hl7_port"]
            for more, code in ((("--tls", "--tls-ca", authority.file), 0), ((), 4)):
                send = command("hl7", "send", file, "--to", f"127.0.0.1:{port}", "--test", *more)
                ran = subprocess.run(
                    send, env=environment(tmp_path / "sender"), capture_output=True, text=True, check=False, timeout=60
                )
                assert ran.returncode == code, ran.stderr
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0


@pytest.mark.full
def test_a_receiver_that_never_answers_does_not_hold_up_the_end(site: Application, tmp_path: Path) -> None:
    gate = threading.Event()

    def waits(data: bytes) -> bytes:
        assert gate.wait(DEADLINE_S)
        return answer(data)

    receiver = Receiver([waits])
    with receiver.listening():
        asks_for_replies(tmp_path / "home", receiver.port)
        with serving(site) as ris:
            order(ris)
            perform(ris, to=("IN PROGRESS",))
            until(lambda: receiver.received)
            start = time.monotonic()
        assert time.monotonic() - start < 15
        gate.set()
    assert ended_up(site, MessageState.WAITING)  # whoever delivers next sends it again


@pytest.mark.parametrize("takes_s", [2.0, pytest.param(9.0, marks=pytest.mark.full)])
def test_two_processes_with_one_ledger_send_each_message_once(
    site: Application, tmp_path: Path, takes_s: float
) -> None:
    """Longer than one of them holds a message without saying so again."""

    def ponders(data: bytes) -> bytes:
        over.wait(takes_s)
        return answer(data)

    over = threading.Event()
    receiver = Receiver([ponders])
    other = build(Settings(tmp_path / "home"))
    with receiver.listening():
        asks_for_replies(tmp_path / "home", receiver.port)
        with serving(site) as ris, serving(other):
            order(ris)
            perform(ris)
            sent = MessageState.SENT
            until(lambda: ended_up(site, sent, sent))
    other.close()
    assert [read(one)[0].status for one in receiver.received] == ["IP", "CM"]
    assert receiver.most_at_once == 1
