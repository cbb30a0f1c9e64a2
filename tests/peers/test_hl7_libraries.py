"""python-hl7, another library, as the other side of MLLP: its client before our RIS, its server before our sender."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hl7
import pytest
from hl7.client import MLLPClient
from hl7.mllp import start_hl7_server

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.hl7.mllp import Frame, Framer
from dicomfab.hl7.sender import Sender
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import PeerError
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.procedure import ProcedureFilter, RequestedProcedure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.hl7_messages import MessageFilter
from tests.unit.hl7.messages import OMI_JAPANESE
from tests.unit.services.ordering.conftest import message, orm, pid

pytestmark = pytest.mark.peers

ACTOR = local_admin("tester", "cli")
DEADLINE_S = 20.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home"))
    yield application
    application.close()


@pytest.fixture
def port(site: Application) -> Iterator[int]:
    config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True)
    with site.ordering.ris.serving(ACTOR, config) as running:
        yield running.hl7_port


def told(client: MLLPClient, sent: Any, encoding: str = "utf-8") -> hl7.Message:
    """What the library's parser makes of the answer, once it is whole."""
    framer = Framer()
    data = client.send_message(sent)
    while True:
        assert data, "the connection was closed"
        for found in framer.feed(data):
            assert isinstance(found, Frame)
            return hl7.parse(found.data.decode(encoding))
        data = client.socket.recv(65536)


@contextmanager
def connected(port: int, encoding: str = "utf-8") -> Iterator[MLLPClient]:
    with MLLPClient("127.0.0.1", port, encoding) as client:
        client.socket.settimeout(DEADLINE_S)
        yield client


def procedure(site: Application) -> RequestedProcedure:
    [found] = site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
    return found


# ------------------------------------------------------------------ its client


def _separated(text: str) -> str:
    """The same with separators that hardly anybody uses."""
    return text.replace("|^~\\&|", "#*!@%#", 1).translate({ord("|"): "#", ord("^"): "*"})


def _latin(data: bytes) -> bytes:
    text = data.decode("utf-8").replace("|2.5.1", "|2.5.1||||||8859/1", 1)
    return text.replace("DOE^JANE", "Müller^Jörg").encode("iso-8859-1")


#: Shapes in which systems send the same order: what is done to it, and the patient's name that has to come out.
SHAPES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "as the standard says": (lambda data: data, "DOE^JANE"),
    "LF ends segments": (lambda data: data.replace(b"\r", b"\n"), "DOE^JANE"),
    "CR LF ends segments": (lambda data: data.replace(b"\r", b"\r\n"), "DOE^JANE"),
    "no CR at the end": (lambda data: data.rstrip(b"\r"), "DOE^JANE"),
    "other separators": (lambda data: _separated(data.decode()).encode(), "DOE^JANE"),
    "segments of its own": (lambda data: data + b"ZRA|1|X^Y|\"\"\rZZ9|2\r", "DOE^JANE"),
    "version 2.3": (lambda data: data.replace(b"|2.5.1", b"|2.3", 1), "DOE^JANE"),
    "structure in MSH-9": (lambda data: data.replace(b"ORM^O01", b"ORM^O01^ORM_O01", 1), "DOE^JANE"),
    "Latin-1": (_latin, "Müller^Jörg"),
    "UTF-8 without MSH-18": (lambda data: data.replace(b"DOE^JANE", "Müller^Jörg".encode()), "Müller^Jörg"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_its_client_orders_and_its_parser_reads_the_answer(site: Application, port: int, shape: str) -> None:
    shaped, name = SHAPES[shape]
    with connected(port) as client:
        answer = told(client, shaped(orm()), "iso-8859-1" if shape == "Latin-1" else "utf-8")
    msh, msa = answer.segment("MSH"), answer.segment("MSA")
    assert (str(msa[1]), str(msa[2])) == ("AA", "M1")
    assert (str(msh[3]), str(msh[5]), str(msh[6])) == ("DICOMFAB", "RIS", "HOSP")
    assert str(msh[9][0][0]) == "ACK"
    found = procedure(site)
    assert (found.accession_number, found.patient_id, found.value("PatientName")) == ("A100", "P100", name)
    assert [step.step_id for step in found.steps] == ["SPS1"]


def test_a_message_that_the_library_writes(site: Application, port: int) -> None:
    written = hl7.parse(orm().decode())
    written.segment("PID")[5] = "ROE^RICHARD"
    with connected(port) as client:
        assert str(told(client, written).segment("MSA")[1]) == "AA"
    assert procedure(site).value("PatientName") == "ROE^RICHARD"


def test_an_omi_in_japanese(site: Application, port: int) -> None:
    with connected(port) as client:
        answer = told(client, OMI_JAPANESE)
    assert str(answer.segment("MSA")[1]) == "AA"
    assert str(answer.segment("MSH")[18]) == "UNICODE UTF-8"
    found = procedure(site)
    assert found.value("PatientName") == "YAMADA^TARO=山田^太郎=やまだ^たろう"
    assert [step.step_id for step in found.steps] == ["SPS1", "SPS2"]


def test_news_of_a_patient_reach_what_is_scheduled(site: Application, port: int) -> None:
    update = message(pid(name="SMITH^JANE"), "ZPD|1|extra", control_id="M2", kind="ADT^A08")
    with connected(port) as client:
        assert str(told(client, orm()).segment("MSA")[1]) == "AA"
        assert str(told(client, update).segment("MSA")[1]) == "AA"
    assert procedure(site).value("PatientName") == "SMITH^JANE"


def test_a_resend_gets_the_same_answer_and_is_applied_once(site: Application, port: int) -> None:
    with connected(port) as client:
        first = str(told(client, orm()))
    with connected(port) as client:
        assert str(told(client, orm())) == first
    assert procedure(site).accession_number == "A100"


@pytest.mark.parametrize(
    ("data", "code", "error"),
    [
        (orm(control="CA"), "AE", "204"),
        (orm().replace(b"ORM^O01", b"SIU^S12"), "AR", "200"),
        (orm().replace(b"|2.5.1", b"|3.0"), "AR", "203"),
    ],
)
def test_its_parser_reads_why_a_message_was_refused(port: int, data: bytes, code: str, error: str) -> None:
    with connected(port) as client:
        answer = told(client, data)
    assert (str(answer.segment("MSA")[1]), str(answer.segment("MSA")[2])) == (code, "M1")
    # Version 3.0 is answered as it asked, with the ERR of 2.5 and later.
    assert str(answer.segment("ERR")[3][0][0]) == error


# ------------------------------------------------------------------ its server


@dataclass
class Receiver:
    """python-hl7's MLLP server in a thread of its own: answers each message as it is told to.

    Args:
        code: of the acknowledgements; empty closes the connection instead.
    """

    code: str = "AA"
    port: int = 0
    received: list[hl7.Message] = field(default_factory=list)

    async def converse(self, reader: Any, writer: Any) -> None:
        try:
            while True:
                message = await reader.readmessage()
                self.received.append(message)
                if not self.code:
                    break
                writer.writemessage(message.create_ack(self.code))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@contextmanager
def receiving(code: str = "AA") -> Iterator[Receiver]:
    receiver, ready = Receiver(code), threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        server = await start_hl7_server(receiver.converse, "127.0.0.1", 0, encoding="utf-8")
        async with server:
            receiver.port = server.sockets[0].getsockname()[1]
            ready.set()
            await over.wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(DEADLINE_S)
        yield receiver
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(DEADLINE_S)


def test_its_server_takes_what_we_send(site: Application) -> None:
    with receiving() as receiver:
        data = orm(patient=pid(name="Müller^Jörg"))
        sent = site.ordering.messages.send(ACTOR, data, Environment.TEST, "127.0.0.1", receiver.port)
    assert (sent.state, sent.code, sent.reason) == (MessageState.SENT, "AA", "")
    [received] = receiver.received
    assert str(received.segment("PID")[5]) == "Müller^Jörg"
    assert str(received).rstrip("\r") == data.decode().rstrip("\r")


def test_what_its_server_refuses_counts_as_failed(site: Application) -> None:
    with receiving("AE") as receiver:
        sent = site.ordering.messages.send(ACTOR, orm(), Environment.TEST, "127.0.0.1", receiver.port)
    assert (sent.state, sent.code) == (MessageState.FAILED, "AE")
    [kept] = site.ordering.messages.page(ACTOR, MessageFilter()).messages
    assert (kept.state, kept.code) == (MessageState.FAILED, "AE")


def test_a_server_that_closes_without_an_answer_gets_it_again_unchanged(site: Application) -> None:
    with receiving("") as receiver, pytest.raises(PeerError, match="without an answer"):
        site.ordering.messages.send(ACTOR, orm(), Environment.TEST, "127.0.0.1", receiver.port)
    assert len(receiver.received) == 3
    assert len({str(one) for one in receiver.received}) == 1
    [kept] = site.ordering.messages.page(ACTOR, MessageFilter()).messages
    assert kept.state is MessageState.FAILED


def test_many_messages_on_one_connection(site: Application) -> None:
    with receiving() as receiver, Sender("127.0.0.1", receiver.port, timeout_s=DEADLINE_S) as sender:
        answers = [hl7.parse(sender.send(orm(f"M{number}")).decode()) for number in range(50)]
    assert [str(one.segment("MSA")[2]) for one in answers] == [f"M{number}" for number in range(50)]
    assert len(receiver.received) == 50
