"""Either side of a connection as plain bytes: it says and does exactly what a test tells it, right or wrong."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.model.errors import DicomFabError
from dicomfab.ul import (
    AssociateAC,
    AssociateRQ,
    ContextResult,
    PresentationContext,
    ReleaseRP,
    ReleaseRQ,
    UserInformation,
)
from dicomfab.ul.pdu import ABORT, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, decode_pdu, encode_pdu

HOST = "127.0.0.1"
#: After this a raw side gives up, so that no test hangs.
PATIENCE_S = 20.0
#: What a loaded machine may add to a deadline.
MARGIN_S = 15.0
PATIENT = Timeouts(connect_s=10.0, association_s=10.0, dimse_s=10.0, retrieve_s=10.0)

IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

RELEASE_REQUEST = encode_pdu(ReleaseRQ())
RELEASE_RESPONSE = encode_pdu(ReleaseRP())
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
TLS_ALERT = bytes.fromhex("15030100020246")


def pdata(context_id: int, flags: int, data: bytes) -> bytes:
    """A P-DATA-TF of one fragment. Flags: 1 command, 2 last."""
    return struct.pack(">BxIIBB", P_DATA_TF, len(data) + 6, len(data) + 2, context_id, flags) + data


def message(context_id: int, command: Mapping[str, Any], data: bytes | None = None) -> bytes:
    """A whole message, one PDU for each half."""
    encoded = pdata(context_id, 3, dimse_command.encode(command))
    return encoded if data is None else encoded + pdata(context_id, 2, data)


def response(request: Mapping[str, Any], status: int = 0, *, data: bool = False, **more: Any) -> dict[str, Any]:
    """The command set of a response."""
    return dimse_command.response_to(request, status, data_set=data) | more


class Wire:
    """A connected socket that speaks PDUs."""

    def __init__(self, sock: socket.socket, over: threading.Event | None = None) -> None:
        self.sock = sock
        self.over = over or threading.Event()
        self.request: AssociateRQ | None = None
        sock.settimeout(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self.sock.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise EOFError(f"closed after {len(data)} of {count} bytes")
            data += piece
        return bytes(data)

    def pdu(self) -> bytes:
        """The next PDU, header included."""
        head = self.exactly(6)
        return head + self.exactly(int.from_bytes(head[2:], "big"))

    def message(self) -> tuple[int, dict[str, Any], bytes]:
        """Context id, command set and data set of the next message."""
        command, context_id = self._half()
        decoded = dimse_command.decode(command)
        data = self._half()[0] if dimse_command.has_data_set(decoded) else b""
        return context_id, decoded, data

    def _half(self) -> tuple[bytes, int]:
        data = bytearray()
        while True:
            pdu = self.pdu()
            assert pdu[0] == P_DATA_TF, f"a PDU of type {pdu[0]:02X}H"
            position = 6
            while position < len(pdu):
                length, context_id, flags = struct.unpack_from(">IBB", pdu, position)
                data += pdu[position + 6 : position + 4 + length]
                position += 4 + length
            if flags & 2:
                return bytes(data), context_id

    def rest(self) -> bytes:
        """All that comes until the other side closes or resets."""
        data = bytearray()
        with contextlib.suppress(ConnectionError):
            while piece := self.sock.recv(1 << 16):
                data += piece
        return bytes(data)

    def reset(self) -> None:
        """End the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hold(self) -> None:
        """Say and read nothing more until the test is over; the connection stays open."""
        self.over.wait(PATIENCE_S)

    # ------------------------------------------------------------------ as an acceptor

    def accept(self, *, max_pdu_length: int = 128 << 10, syntax: int = 0) -> AssociateRQ:
        """Take an association with all that it proposes, in its transfer syntaxes of this place."""
        self.send(self.acceptance(max_pdu_length=max_pdu_length, syntax=syntax))
        assert self.request is not None
        return self.request

    def acceptance(self, *, max_pdu_length: int = 128 << 10, syntax: int = 0) -> bytes:
        """Read a request; the answer that accepts all of it."""
        pdu = self.pdu()
        request = decode_pdu(pdu[0], pdu[6:])
        assert isinstance(request, AssociateRQ)
        self.request = request
        results = tuple(ContextResult(c.context_id, 0, c.transfer_syntaxes[syntax]) for c in request.contexts)
        user = UserInformation(max_pdu_length, "1.2.3.4", "RAW", roles=request.user.roles)
        return encode_pdu(AssociateAC(request.called_ae_title, request.calling_ae_title, results, user))

    def released(self) -> None:
        """Wait for the request to release the association, and answer it."""
        while self.pdu()[0] != RELEASE_RQ:
            pass
        self.send(RELEASE_RESPONSE)
        self.rest()

    # ------------------------------------------------------------------ as a requestor

    def associate(self, *contexts: tuple[str, str], called: str = "MEMORY", max_pdu_length: int = 16384) -> AssociateAC:
        """Open an association; contexts have the ids 1, 3, 5..."""
        self.send(encode_pdu(request(*contexts, called=called, max_pdu_length=max_pdu_length)))
        pdu = self.pdu()
        answer = decode_pdu(pdu[0], pdu[6:])
        assert isinstance(answer, AssociateAC), answer
        return answer

    def rejected(self) -> tuple[int, int, int]:
        """Result, source and reason of the A-ASSOCIATE-RJ that comes."""
        pdu = self.pdu()
        assert pdu[0] == ASSOCIATE_RJ
        return pdu[7], pdu[8], pdu[9]

    def aborted(self) -> tuple[int, int]:
        """Source and reason of the A-ABORT that comes."""
        pdu = self.pdu()
        assert pdu[0] == ABORT, f"a PDU of type {pdu[0]:02X}H"
        return pdu[8], pdu[9]

    def release(self) -> None:
        self.send(RELEASE_REQUEST)
        assert self.pdu() == RELEASE_RESPONSE
        self.sock.close()


def request(
    *contexts: tuple[str, str], called: str = "MEMORY", max_pdu_length: int = 16384, **more: Any
) -> AssociateRQ:
    """An association request with one transfer syntax for each context."""
    wanted = contexts or ((VERIFICATION, IMPLICIT),)
    proposed = tuple(PresentationContext(2 * n + 1, abstract, (syntax,)) for n, (abstract, syntax) in enumerate(wanted))
    return AssociateRQ(called, "RAWCLIENT", proposed, UserInformation(max_pdu_length, "1.2.3.4", **more))


def connect(port: int, *, receive_buffer: int = 0) -> Wire:
    """A client."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(PATIENCE_S)
    sock.connect((HOST, port))
    return Wire(sock)


Behaviour = Callable[[Wire], object]


@contextlib.contextmanager
def peer(behave: Behaviour, timeouts: Timeouts = PATIENT, **more: Any) -> Iterator[Peer]:
    """A server that behaves so on each of its connections, each in a thread."""
    over = threading.Event()
    threads: dict[threading.Thread, socket.socket] = {}
    problems: list[BaseException] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                behave(Wire(connection, over))
            except (OSError, EOFError):
                pass  # the other side has hung up, as it should
            except BaseException as problem:  # noqa: BLE001 (raised again by the test)
                problems.append(problem)

    with socket.create_server((HOST, 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads[thread] = connection
                thread.start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield Peer(HOST, listening.getsockname()[1], "RAW", timeouts=timeouts, name="Raw PACS", **more)
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(PATIENCE_S)
            for thread, connection in threads.items():
                thread.join(0.5)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # it may still be talking to someone who has gone
                thread.join(PATIENCE_S)
                assert not thread.is_alive()
    if problems:
        raise problems[0]


def result_of(call: Callable[[], Any], within_s: float) -> Any:
    """What a call returns, or raises, in a thread of its own: if it hangs, that fails the test and not the run."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append((call(), None))
        except BaseException as error:  # noqa: BLE001 (handed on)
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(within_s + MARGIN_S)
    assert found, f"not over after {within_s:g} s"
    value, error = found[0]
    if error is not None:
        raise error
    return value


def failure_of(call: Callable[[], Any], within_s: float) -> DicomFabError:
    """The error that a call ends with."""
    try:
        value = result_of(call, within_s)
    except DicomFabError as error:
        return error
    raise AssertionError(f"no error, but {value!r}")


def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + within_s
    waiting = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        waiting.wait(0.01)
    return True
