"""Timelines: what they show of each kind of end, and that neither they nor any log ever name a patient."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.association import associate
from dicomfab.dimse.command import encode
from dicomfab.dimse.endings import (
    AbortedHere,
    ConnectionDropped,
    Ending,
    PeerAborted,
    PeerReleased,
    PeerViolated,
    Stage,
    TimedOut,
)
from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor, ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.normalized import n_create, n_set
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.tls_settings import TlsServerSettings, TlsSettings
from dicomfab.dimse.trace import MAX_ENTRIES, Trace, TraceBook
from dicomfab.model.errors import DicomFabError, PeerError, TlsFailed
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.ul import Abort, UserIdentity
from dicomfab.ul.pdu import ASSOCIATE_AC, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.clients import STORE, client
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs, make_instance
from tests.unit.dimse.raw import HOST, IMPLICIT, PATIENT, VERIFICATION, Wire, failure_of, message, pdata, response
from tests.unit.dimse.transport.secure_peers import Authority, Pair

CONFIG = ServerConfig("MEMORY", artim_s=20.0, pdu_timeout_s=20.0, idle_s=20.0)


def whats(trace: Trace) -> list[str]:
    return [f"{entry.direction} {entry.what}" for entry in trace.entries]


def details(trace: Trace, what: str) -> dict[str, Any]:
    [found] = [entry for entry in trace.entries if entry.what == what]
    return dict(found.details)


def traced(peer: Peer) -> tuple[Peer, Trace]:
    trace = Trace()
    return replace(peer, trace=trace), trace


def failed(peer: Peer, within_s: float = 0.0) -> tuple[DicomFabError, Trace]:
    peer, trace = traced(peer)
    return failure_of(lambda: echo(peer), within_s), trace


# ---------------------------------------------------------------------- timelines

OPENED = ["local TCP connected", "sent A-ASSOCIATE-RQ"]


def test_the_timeline_of_a_success() -> None:
    with Server(CONFIG, MemoryPacs()) as server:
        peer, trace = traced(Peer(HOST, server.port, "MEMORY", "OURS"))
        echo(peer)
    assert whats(trace) == [
        *OPENED,
        "received A-ASSOCIATE-AC",
        "sent C-ECHO-RQ",
        "received C-ECHO-RSP",
        "sent A-RELEASE-RQ",
        "received A-RELEASE-RP",
    ]
    assert details(trace, "TCP connected")["address"] == f"{HOST}:{peer.port}"
    asked = details(trace, "A-ASSOCIATE-RQ")
    assert (asked["called"], asked["calling"]) == ("MEMORY", "OURS")
    assert asked["contexts"][0]["abstract_syntax"] == VERIFICATION
    [accepted] = details(trace, "A-ASSOCIATE-AC")["contexts"]
    assert (accepted["id"], accepted["result"], accepted["transfer_syntax"]) == (1, 0, IMPLICIT)
    assert details(trace, "C-ECHO-RQ")["MessageID"] == 1
    assert details(trace, "C-ECHO-RSP")["Status"] == "0000"
    times = [entry.seconds for entry in trace.entries]
    assert times[0] == 0
    assert times == sorted(times)
    assert json.loads(json.dumps(trace.as_dicts()))[0]["direction"] == "local"


def test_the_timeline_of_a_rejection() -> None:
    with Server(CONFIG, MemoryPacs()) as server:
        _, trace = failed(Peer(HOST, server.port, "OTHER"))
    assert whats(trace) == [*OPENED, "received A-ASSOCIATE-RJ"]
    assert details(trace, "A-ASSOCIATE-RJ") == {"result": 1, "source": 1, "reason": 7}


def test_the_timeline_of_a_wrong_port() -> None:
    with raw.peer(lambda wire: (wire.pdu(), wire.send(raw.HTTP), wire.hold())) as peer:
        _, trace = failed(peer)
    assert whats(trace) == [*OPENED, "received no valid DICOM", "local hung up"]
    assert bytes.fromhex(details(trace, "no valid DICOM")["first_bytes"]).startswith(b"HTTP/1.1")


def test_the_timeline_of_a_port_on_which_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        _, trace = failed(Peer(HOST, unused.getsockname()[1], "ANY"))
    assert whats(trace) == ["local TCP connection failed"]
    assert "refused" in details(trace, "TCP connection failed")["why"]


@pytest.mark.parametrize(
    ("behave", "timeouts", "before", "awaited"),
    [
        (Wire.hold, replace(PATIENT, association_s=0.2), [], "an answer to the association request"),
        (
            lambda wire: (wire.accept(), wire.hold()),
            replace(PATIENT, dimse_s=0.2),
            ["received A-ASSOCIATE-AC", "sent C-ECHO-RQ"],
            "a response",
        ),
        (
            lambda wire: (wire.accept(), wire.message(), wire.send(b"\x04\0\0"), wire.hold()),
            replace(PATIENT, dimse_s=0.2),
            ["received A-ASSOCIATE-AC", "sent C-ECHO-RQ"],
            "the rest of a message that had begun",
        ),
    ],
)
def test_the_timeline_of_silence(
    behave: Callable[[Wire], Any], timeouts: Timeouts, before: list[str], awaited: str
) -> None:
    with raw.peer(behave, timeouts) as peer:
        _, trace = failed(peer, 0.2)
    assert whats(trace) == [*OPENED, *before, "local nothing within 0.2 s", "local hung up"]
    assert details(trace, "nothing within 0.2 s") == {"awaited": awaited}
    assert trace.entries[-2].seconds >= 0.2


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (encode_pdu(Abort(2, 1)), "received A-ABORT"),
        (b"", "received connection closed, without an abort"),
        (raw.RELEASE_REQUEST, "received A-RELEASE-RQ"),
    ],
)
def test_the_timeline_of_a_peer_that_ends_it(said: bytes, what: str) -> None:
    with raw.peer(lambda wire: (wire.accept(), wire.message(), wire.send(said), wire.sock.shutdown(1))) as peer:
        _, trace = failed(peer)
    assert whats(trace)[:5] == [*OPENED, "received A-ASSOCIATE-AC", "sent C-ECHO-RQ", what]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Pair]:
    authority = Authority(tmp_path_factory.mktemp("pki"), "Hospital")
    return authority, authority.issue(HOST)


def test_the_timelines_of_tls_on_one_side_only(secured: tuple[Authority, Pair]) -> None:
    authority, pair = secured
    with Server(replace(CONFIG, tls=TlsServerSettings(pair.certificate, pair.key)), MemoryPacs()) as server:
        error, plain = failed(Peer(HOST, server.port, "MEMORY", timeouts=PATIENT))
        peer, both = traced(Peer(HOST, server.port, "MEMORY", tls=TlsSettings(ca_file=authority.file)))
        echo(peer)
    assert whats(plain)[:2] == OPENED
    assert whats(plain)[2] in (
        "received connection reset, without an abort",
        "received connection closed, without an abort",
    )
    assert "expects TLS" in error.cause
    assert whats(both)[:3] == ["local TCP connected", "local TLS handshake done", "sent A-ASSOCIATE-RQ"]
    done = details(both, "TLS handshake done")
    assert (done["version"], done["verified"]) == ("TLSv1.3", True)
    with raw.peer(lambda wire: (wire.pdu(), wire.send(raw.TLS_ALERT), wire.hold())) as peer:
        error, alerted = failed(peer)
    assert type(error) is TlsFailed
    assert details(alerted, "no valid DICOM")["first_bytes"] == "15 03 01 00 02 02 46"
    with Server(CONFIG, MemoryPacs()) as server:
        _, secure = failed(Peer(HOST, server.port, "MEMORY", timeouts=PATIENT, tls=TlsSettings(ca_file=authority.file)))
    assert whats(secure) == ["local TCP connected", "local TLS handshake failed"]


def test_every_end_has_its_line_and_every_stage_its_words() -> None:
    endings: list[Ending] = [TimedOut(stage, 1.0) for stage in Stage]
    endings += [PeerAborted(2, 6), ConnectionDropped(reset=True), PeerViolated("odd"), PeerReleased(), AbortedHere()]
    lines = []
    for ending in endings:
        trace = Trace()
        trace.ended(ending)
        lines.append(json.dumps([{**entry, "seconds": 0} for entry in trace.as_dicts()]))
    assert len(set(lines)) == len(endings)


def test_a_long_timeline_keeps_its_beginning_and_its_end() -> None:
    trace = Trace()
    for number in range(MAX_ENTRIES + 500):
        trace.local(str(number))
    assert len(trace.entries) == MAX_ENTRIES
    assert trace.omitted == 500
    assert [entry.what for entry in trace.entries[:2]] == ["0", "1"]
    assert trace.entries[-1].what == str(MAX_ENTRIES + 499)


# ---------------------------------------------------------------------- nobody is named

NAME, PATIENT_ID, COMMENT, BIRTH_DATE = "Geheim^Erika=Mustermann", "PID-4711", "streng vertraulich", "19560230"
SECRETS = ["Geheim", "Mustermann", PATIENT_ID, COMMENT, BIRTH_DATE]


def patient() -> Dataset:
    dataset = Dataset()
    dataset.PatientName = NAME
    dataset.PatientID = PATIENT_ID
    dataset.PatientComments = COMMENT
    dataset.PatientBirthDate = BIRTH_DATE
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = "1.2.3"
    return dataset


class Careless(MemoryPacs):
    """Handlers whose errors quote what they were given."""

    fail = False

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        yield patient()
        if self.fail:
            raise ValueError(f"no such patient: {identifier.PatientName}, {identifier.PatientID}")

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> list[InstanceFile]:
        if self.fail:
            raise KeyError(str(identifier))
        return list(self.selected)

    def begin_store(self, requestor: Requestor, identity: Any) -> Any:
        if self.fail:
            raise RuntimeError(NAME) from OSError(PATIENT_ID)
        return super().begin_store(requestor, identity)


class CarelessProcedures:
    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        assert request.attributes is not None
        if request.operation == "N-SET":
            raise LookupError(str(request.attributes.PatientName))
        if request.operation == "N-CREATE" and request.attributes.PatientID == "x":
            raise Refusal(0x0110, str(request.attributes.PatientComments))
        return NormalizedReply(0, "1.2.9", patient())


MPPS = "1.2.840.10008.3.1.2.3.3"


def named_instance(folder: Path, number: int) -> InstanceFile:
    instance = make_instance(folder, number)
    content = instance.path.read_bytes().replace(b"Test^Dimse", b"Geheim^Eri").replace(b"SYN1", b"4711")
    instance.path.write_bytes(content)
    return instance


def ask_for_everything(peer: Peer, instances: list[InstanceFile]) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: list(find(peer, QueryModel.STUDY_ROOT, patient())),
        lambda: list(store(peer, instances)),
        lambda: list(move(peer, QueryModel.STUDY_ROOT, patient(), "TARGET")),
        lambda: list(get(peer, QueryModel.STUDY_ROOT, patient(), [CT], MemoryPacs())),
        lambda: procedure_steps(peer),
    ]
    for call in calls:
        with contextlib.suppress(PeerError):
            call()


def procedure_steps(peer: Peer) -> None:
    identity = UserIdentity(2, NAME.encode(), PATIENT_ID.encode())
    contexts = [ProposedContext(MPPS, (IMPLICIT,))]
    with associate(peer, contexts, identity=identity) as association:
        n_create(association, MPPS, "", patient())
        attributes = patient()
        attributes.PatientID = "x"
        n_create(association, MPPS, "", attributes)
        n_set(association, MPPS, "1.2.9", patient())


def shows(texts: list[str]) -> list[str]:
    """Which of the secrets can be read in some texts, in clear or in hexadecimal."""
    text = "\n".join(texts)
    packed = text.replace(" ", "").lower()
    return [secret for secret in SECRETS if secret in text or secret.encode().hex() in packed]


@pytest.mark.parametrize("fail", [False, True])
def test_no_patient_is_named_in_traces_and_logs(
    fail: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    pacs, target, book = Careless(), MemoryPacs(), TraceBook()
    pacs.fail = fail
    instances = [named_instance(tmp_path, number) for number in (1, 2)]
    pacs.selected = instances
    target.refuse_uids["1.2.3.2"] = Refusal(0xA700, COMMENT)
    trace = Trace()
    config = replace(CONFIG, traces=book, identify=lambda _identity: NAME.encode())
    with (
        Server(config, pacs, {MPPS: CarelessProcedures()}) as server,
        Server(replace(CONFIG, ae_title="TARGET", traces=book), target) as destination,
    ):
        pacs.destinations["TARGET"] = (HOST, destination.port)
        ask_for_everything(Peer(HOST, server.port, "MEMORY", timeouts=PATIENT, trace=trace), instances)
    served = [json.dumps(one.as_dicts()) for _, one in book.take()]
    assert len(served) >= 5
    assert len(trace.entries) > 30
    texts = [json.dumps(trace.as_dicts()), *served, caplog.text, *capsys.readouterr()]
    assert shows(texts) == []
    if fail:
        assert "C-FIND-RQ from DICOMFAB failed: ValueError" in caplog.text
        assert "test_trace.py" in caplog.text  # where it failed is said


def test_a_comment_that_names_a_patient_is_only_kept_when_wanted() -> None:
    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        wire.send(message(context_id, response(command, 0x0110, ErrorComment=COMMENT)))
        wire.released()

    for with_patient_data in (False, True):
        trace = Trace(with_patient_data=with_patient_data)
        with raw.peer(behave) as peer, pytest.raises(DicomFabError, match=COMMENT):
            echo(replace(peer, trace=trace))
        assert (COMMENT in json.dumps(trace.as_dicts())) == with_patient_data


def test_bytes_of_a_data_set_that_got_out_of_step_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A length that is wrong makes the middle of a data set look like a PDU."""
    caplog.set_level(logging.DEBUG)

    def behave(wire: Wire) -> None:
        wire.accept()
        context_id, command, _ = wire.message()
        wire.send(message(context_id, response(command, 0xFF00, data=True)) + pdata(context_id, 0, b"ab"))
        wire.send(NAME.encode())
        wire.hold()

    trace = Trace()
    with raw.peer(behave) as peer:
        asked = replace(peer, trace=trace)
        error = failure_of(lambda: list(find(asked, QueryModel.STUDY_ROOT, patient())), 0.0)
    assert shows([json.dumps(trace.as_dicts()), caplog.text, str(error)]) == []
    assert whats(trace)[-2:] == ["received no valid DICOM", "local hung up"]

    book = TraceBook()
    with Server(replace(CONFIG, traces=book), MemoryPacs()) as server, client(server, (CT, EXPLICIT)) as wire:
        wire.send(pdata(1, 3, encode(STORE)) + pdata(1, 0, b"ab") + NAME.encode())
        wire.rest()
    [(_, served)] = book.take()
    assert shows([json.dumps(served.as_dicts()), caplog.text]) == []


def test_what_a_peer_calls_itself_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(CONFIG, MemoryPacs()) as server:
        for called in ("OTHER", "MEMORY"):
            request = encode_pdu(raw.request(called=called))
            with raw.connect(server.port) as wire:
                wire.send(request.replace(b"RAWCLIENT", b"X\n\x1b[31mER").replace(b"OTHER ", b"\nOTHER"))
                if wire.pdu()[0] == ASSOCIATE_AC:
                    wire.send(b"\x99" * 20)
                    wire.rest()
    assert "X??[31mER" in caplog.text
    assert all("\n" not in record.getMessage() and "\x1b" not in record.getMessage() for record in caplog.records)
