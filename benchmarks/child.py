"""A child process of the benchmarks: reads requests as lines of JSON, answers each with one line.

Times are of the system-wide monotonic clock, so that those of several children can be compared.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicomfab.archive.header import read_identity
from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import associate
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import CONTEXT, echo
from dicomfab.dimse.scu.echo import send as send_echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.ul import AssociateRQ, PresentationContext, Role, UpperLayer, UserInformation

HOST = "127.0.0.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
TOUCHED = ("StudyInstanceUID", "PatientName", "StudyDate")  # what a consumer reads of each match
_LENGTHS = struct.Struct("<II")


def peer_of(address: dict[str, Any]) -> Peer:
    return Peer(HOST, address["port"], address["ae_title"], timeouts=Timeouts(5, 10, 120, 120))


# --------------------------------------------------------------------------- C-STORE


class Files:
    """The instances that this child sends."""

    instances: Sequence[InstanceFile] = ()


def read(paths: Sequence[Path]) -> list[InstanceFile]:
    return [InstanceFile(path, *read_identity(path)) for path in paths]


def load(folder: str, count: int | None = None) -> int:
    """Take the first files of a folder, reading what identifies each."""
    Files.instances = read(sorted(Path(folder).glob("*.dcm"))[:count])
    return len(Files.instances)


def send(peer: dict[str, Any], count: int | None = None, read_first: bool = False) -> dict[str, Any]:
    """Send what was loaded over one association, from opening it to its release.

    Args:
        count: only so many of them.
        read_first: read what identifies each file again, within the time, as a client that is given names alone must.
    """
    chosen = Files.instances if count is None else Files.instances[:count]
    cpu, start = time.process_time(), time.monotonic()
    instances = read([one.path for one in chosen]) if read_first else chosen
    accepted = sum(outcome.accepted and not outcome.resent for outcome in store(peer_of(peer), instances))
    end = time.monotonic()
    return {"start": start, "end": end, "accepted": accepted, "cpu_s": time.process_time() - cpu}


def send_ready(peer: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    """Send what was loaded as bytes made ready beforehand, by a bare socket that does not read what is answered.

    It is the limit of a sender in Python that has one request outstanding, and waits for each answer; this one
    makes no message, looks at no status and reads no file within the time.
    """
    chosen = Files.instances if count is None else Files.instances[:count]
    kinds = {(one.identity.sop_class_uid, one.identity.transfer_syntax_uid) for one in chosen}
    ((sop_class, syntax),) = kinds
    layer = UpperLayer(Role.REQUESTOR)
    with connected(peer["port"]) as sock:
        offered = PresentationContext(1, sop_class, (syntax,))
        user = UserInformation(1 << 17, IMPLEMENTATION_CLASS_UID)
        layer.associate(AssociateRQ(peer["ae_title"], "READY", (offered,), user))
        layer.connected()
        turn(sock, layer)
        messages = [b"".join(layer.data(1, request_of(one), (content_of(one),))) for one in chosen]
        start = time.monotonic()
        for message in messages:
            sock.sendall(message)
            await_answer(sock, layer)
        end = time.monotonic()
        layer.release()
        turn(sock, layer)
    return {"start": start, "end": end, "accepted": len(messages), "cpu_s": 0.0}


def turn(sock: socket.socket, layer: UpperLayer) -> None:
    """Send what the upper layer has to say, and read the answer."""
    for chunk in layer.data_to_send():
        sock.sendall(chunk)
    await_answer(sock, layer)


def await_answer(sock: socket.socket, layer: UpperLayer) -> None:
    """Wait for one whole PDU."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    while True:
        taken = sock.recv_into(layer.get_buffer())
        if not taken:
            raise RuntimeError("the sink hung up")
        layer.received(taken)
        if not layer.in_pdu:
            return


def request_of(instance: InstanceFile) -> bytes:
    identity = instance.identity
    return dimse_command.encode(
        {
            "AffectedSOPClassUID": identity.sop_class_uid,
            "CommandField": dimse_command.C_STORE_RQ,
            "MessageID": 1,
            "Priority": dimse_command.PRIORITY_MEDIUM,
            "CommandDataSetType": dimse_command.DATA_SET,
            "AffectedSOPInstanceUID": identity.sop_instance_uid,
        }
    )


def content_of(instance: InstanceFile) -> bytes:
    return instance.path.read_bytes()[instance.dataset_offset :]


# --------------------------------------------------------------------------- C-FIND


def identifier_of(keys: dict[str, str]) -> Dataset:
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def query(peer: dict[str, Any], keys: dict[str, str], touch: bool = True) -> dict[str, Any]:
    """C-FIND, study root, reading three attributes of each match unless told not to."""
    identifier = identifier_of(keys)
    cpu, start = time.process_time(), time.monotonic()
    matches = 0
    for match in find(peer_of(peer), QueryModel.STUDY_ROOT, identifier):
        for keyword in TOUCHED if touch else ():
            str(match[keyword].value)
        matches += 1
    return {"seconds": time.monotonic() - start, "cpu_s": time.process_time() - cpu, "matches": matches}


# --------------------------------------------------------------------------- C-ECHO, and what no echo can beat


def echoes(peer: dict[str, Any], count: int) -> float:
    """The median seconds of open, C-ECHO and release."""
    called = peer_of(peer)
    return statistics.median(timed(lambda: echo(called), count))


def echoes_on_one(peer: dict[str, Any], count: int) -> float:
    """The median seconds of C-ECHO on an open association."""
    with associate(peer_of(peer), [CONTEXT]) as association:

        def once() -> None:
            status = send_echo(association).status
            if status:
                raise RuntimeError(f"C-ECHO was answered {status:04X}")

        return statistics.median(timed(once, count))


def timed(act: Callable[[], Any], count: int) -> Iterator[float]:
    for _ in range(count):
        start = time.perf_counter()
        act()
        yield time.perf_counter() - start


def raw_connections(port: int, count: int, exchanges: list[list[int]]) -> float:
    """The median seconds of connecting, exchanging requests and answers of these lengths, and closing."""

    def once() -> None:
        with connected(port) as sock:
            for request, answer in exchanges:
                exchange(sock, bytes(request), answer)

    return statistics.median(timed(once, count))


def raw_exchanges(port: int, count: int, request: int, answer: int) -> float:
    """The median seconds of one request and its answer on an open connection."""
    content = bytes(request)
    with connected(port) as sock:
        return statistics.median(timed(lambda: exchange(sock, content, answer), count))


def connected(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(sock: socket.socket, content: bytes, answer: int) -> None:
    """Send lengths and content in one call, and wait for as many bytes as were asked for."""
    head = _LENGTHS.pack(len(content), answer)
    taken = sock.sendmsg((head, content)) - len(head)
    if taken < len(content):
        sock.sendall(memoryview(content)[taken:])
    receive(sock, memoryview(bytearray(answer)))


def receive(sock: socket.socket, view: memoryview) -> bool:
    """Fill a buffer; false when the other side closed."""
    filled = 0
    while filled < len(view):
        got = sock.recv_into(view[filled:])
        if not got:
            return False
        filled += got
    return True


def answer_raw(sock: socket.socket) -> None:
    """Read a request, send an answer, and nothing else, until the other side closes."""
    head = bytearray(_LENGTHS.size)
    room = bytearray(1 << 20)
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while receive(sock, memoryview(head)):
            request, answer = _LENGTHS.unpack(head)
            while request:
                view = memoryview(room)[: min(request, len(room))]
                receive(sock, view)
                request -= len(view)
            sock.sendall(bytes(answer))


def serve_raw() -> int:
    """Listen with bare sockets, one connection after the other, so that not even a thread is started; the port."""
    listener = socket.create_server((HOST, 0), backlog=64)

    def accept() -> None:
        while True:
            answer_raw(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


# --------------------------------------------------------------------------- a server that counts and keeps nothing


class Counter:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.instances = 0
        self.size_bytes = 0

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        return CountingSink(self)

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        raise Refusal(0xA700, "holds nothing")

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        raise Refusal(0xA701, "holds nothing")

    def destination(self, requestor: Requestor, move_destination: str) -> tuple[str, int] | None:
        return None


class CountingSink:
    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._size_bytes = 0

    def write(self, chunk: Buffer) -> None:
        self._size_bytes += memoryview(chunk).nbytes

    def finish(self) -> int:
        self._counter.instances += 1
        self._counter.size_bytes += self._size_bytes
        return 0x0000

    def discard(self) -> None:
        self._size_bytes = 0


_servers = ExitStack()
_counter = Counter()


def serve() -> int:
    """Start our server with handlers that count; the port."""
    return _servers.enter_context(Server(ServerConfig("COUNTER"), _counter)).port


def counted() -> dict[str, int]:
    return {"instances": _counter.instances, "size_bytes": _counter.size_bytes}


# --------------------------------------------------------------------------- C-GET and C-MOVE


def fetch(peer: dict[str, Any], study: str) -> dict[str, Any]:
    """C-GET of a study into a sink that counts."""
    counter = Counter()
    keys = identifier_of({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
    start = time.monotonic()
    for _ in get(peer_of(peer), QueryModel.STUDY_ROOT, keys, [CT], counter):
        pass
    return {"seconds": time.monotonic() - start, "instances": counter.instances}


def have_moved(peer: dict[str, Any], study: str, move_destination: str) -> dict[str, Any]:
    """C-MOVE of a study; the instances are what the source says that it delivered."""
    keys = identifier_of({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
    start = time.monotonic()
    delivered = None
    for response in move(peer_of(peer), QueryModel.STUDY_ROOT, keys, move_destination):
        delivered = response.suboperations.delivered
    return {"seconds": time.monotonic() - start, "instances": delivered}


# --------------------------------------------------------------------------- requests


def prepare(modules: Sequence[str]) -> int:
    """Import what later requests need, whose functions are then known by ``module.function``."""
    for name in modules:
        importlib.import_module(name)
    return os.getpid()


_OPERATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        load, send, send_ready, query, echoes, echoes_on_one, raw_connections, raw_exchanges, serve_raw, serve, counted,
        fetch, have_moved, prepare,
    )
}  # fmt: skip


def operation(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    return getattr(sys.modules[module], function) if module else _OPERATIONS[name]


def main() -> None:
    """Until standard input ends. Whatever is printed meanwhile goes to standard error, the answers alone to output."""
    sys.modules["child"] = sys.modules["__main__"]  # for what child_pynetdicom imports from here
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with _servers:
        for line in sys.stdin:
            request = json.loads(line)
            answers.write(json.dumps(operation(request.pop("operation"))(**request)) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
