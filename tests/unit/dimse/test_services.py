"""C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET between our SCU and our SCP, over loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import Refusal, ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.status import SUCCESS
from dicomfab.model.errors import ContextRejected, StatusFailure
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID
from dicomfab.model.query import QueryModel
from tests.unit.dimse.memory_pacs import CT, MemoryPacs, make_instance

JPEG_LS = "1.2.840.10008.1.2.4.80"


@pytest.fixture
def pacs() -> MemoryPacs:
    return MemoryPacs()


@pytest.fixture
def peer(pacs: MemoryPacs) -> Iterator[Peer]:
    with Server(ServerConfig("MEMORY"), pacs) as server:
        yield Peer("127.0.0.1", server.port, "MEMORY", timeouts=Timeouts(dimse_s=10.0))


def study() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "1.2.3"
    return identifier


def match(number: int) -> Dataset:
    dataset = study()
    dataset.StudyInstanceUID = f"1.2.{number}"
    return dataset


def test_echo_says_who_the_peer_is(peer: Peer) -> None:
    result = echo(peer)
    assert result.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert result.latency_s > 0


def test_stored_bytes_are_the_files_bytes(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    instances = [make_instance(tmp_path, number) for number in range(1, 6)]
    outcomes = list(store(peer, instances))
    assert [outcome.accepted for outcome in outcomes] == [True] * 5
    for instance in instances:
        identity, data = pacs.stored[instance.identity.sop_instance_uid]
        assert identity == instance.identity
        assert data == instance.path.read_bytes()[instance.dataset_offset :]
    assert {requestor.ae_title for requestor in pacs.requestors} == {"DICOMFAB"}


def test_compressed_instances_are_sent_and_received_as_they_are(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    instance = make_instance(tmp_path, 1, syntax=JPEG_LS)
    [outcome] = store(peer, [instance])
    assert outcome.accepted
    identity, data = pacs.stored["1.2.3.1"]
    assert identity.transfer_syntax_uid == JPEG_LS
    assert data == instance.path.read_bytes()[instance.dataset_offset :]


def test_a_refused_instance_is_reported_and_the_next_is_sent(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    pacs.refuse = Refusal(0xA700, "disk full")
    outcomes = list(store(peer, [make_instance(tmp_path, number) for number in (1, 2)]))
    assert [outcome.accepted for outcome in outcomes] == [False, False]
    error = outcomes[0].error
    assert isinstance(error, StatusFailure)
    assert (error.status, error.comment) == (0xA700, "disk full")
    assert pacs.discarded == ["1.2.3.1", "1.2.3.2"]


def test_more_sop_classes_than_one_association_has_contexts_for(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    instances = [make_instance(tmp_path, n, sop_class=f"1.2.840.10008.5.1.4.1.1.999.{n}") for n in range(1, 101)]
    outcomes = list(store(peer, instances))
    assert sum(outcome.accepted for outcome in outcomes) == 100
    assert len(pacs.stored) == 100


def test_cancel_stops_before_the_next_instance(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    instances = [make_instance(tmp_path, number) for number in range(1, 6)]
    outcomes = list(store(peer, instances, cancelled=lambda: len(pacs.stored) >= 2))
    assert len(outcomes) == len(pacs.stored) == 2


def test_find_yields_every_match(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.matches = [match(number) for number in range(5)]
    found = list(find(peer, QueryModel.STUDY_ROOT, study()))
    assert [m.StudyInstanceUID for m in found] == [f"1.2.{number}" for number in range(5)]
    assert pacs.identifiers[0].StudyInstanceUID == "1.2.3"


def test_an_empty_answer_is_an_empty_list(peer: Peer) -> None:
    assert list(find(peer, QueryModel.PATIENT_ROOT, study())) == []


def test_a_failed_find_is_never_an_empty_list(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.refuse = Refusal(0xA900, "no such level")
    with pytest.raises(StatusFailure) as caught:
        list(find(peer, QueryModel.STUDY_ROOT, study()))
    assert caught.value.status == 0xA900
    assert caught.value.heading == "C-FIND failed"


def test_the_limit_keeps_what_was_found(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.matches = [match(number) for number in range(300)]
    assert len(list(find(peer, QueryModel.STUDY_ROOT, study(), limit=10))) == 10


def test_cancelling_a_find_keeps_what_was_found(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.matches = [match(number) for number in range(300)]
    seen: list[Dataset] = []
    for found in find(peer, QueryModel.STUDY_ROOT, study(), cancelled=lambda: len(seen) >= 2):
        seen.append(found)
    assert len(seen) == 2


def test_move_delivers_to_the_destination_and_counts(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    target = MemoryPacs()
    with Server(ServerConfig("TARGET"), target) as server:
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        pacs.selected = [make_instance(tmp_path, number) for number in range(1, 8)]
        responses = list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET"))
    assert len(target.stored) == 7
    final = responses[-1]
    assert final.status == SUCCESS
    assert (final.suboperations.completed, final.suboperations.failed, final.suboperations.warning) == (7, 0, 0)
    assert len(responses) == 8
    for instance in pacs.selected:
        assert (
            target.stored[instance.identity.sop_instance_uid][1]
            == (instance.path.read_bytes()[instance.dataset_offset :])
        )


def test_move_to_an_unknown_destination_is_a801(peer: Peer) -> None:
    with pytest.raises(StatusFailure) as caught:
        list(move(peer, QueryModel.STUDY_ROOT, study(), "NOWHERE"))
    assert caught.value.status == 0xA801
    assert caught.value.heading == "C-MOVE failed"
    assert "C-MOVE Routing" in caught.value.remedy


def test_a_known_destination_that_does_not_answer_is_a702(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    pacs.selected = [make_instance(tmp_path, number) for number in (1, 2)]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        pacs.destinations["DOWN"] = closed.getsockname()
        with pytest.raises(StatusFailure, match="failed 2") as caught:
            list(move(peer, QueryModel.STUDY_ROOT, study(), "DOWN"))
    assert caught.value.status == 0xA702
    assert "Connection failed" in caught.value.comment


def test_a_destination_of_another_ae_title_is_a702(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    pacs.selected = [make_instance(tmp_path, 1)]
    with Server(ServerConfig("TARGET"), MemoryPacs()) as server:
        pacs.destinations["OTHERNAME"] = ("127.0.0.1", server.port)
        with pytest.raises(StatusFailure) as caught:
            list(move(peer, QueryModel.STUDY_ROOT, study(), "OTHERNAME"))
    assert caught.value.status == 0xA702
    assert "AE Title not recognized" in caught.value.comment


def test_a_refused_move_is_a_failure(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.destinations["TARGET"] = ("127.0.0.1", 1)
    pacs.refuse = Refusal(0xA900, "no level")
    with pytest.raises(StatusFailure) as caught:
        list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET"))
    assert (caught.value.status, caught.value.comment) == (0xA900, "no level")


def test_a_partly_failed_move_is_a_warning_with_the_uids(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    target = MemoryPacs()
    target.refuse_uids["1.2.3.2"] = Refusal(0xA700)
    with Server(ServerConfig("TARGET"), target) as server:
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        pacs.selected = [make_instance(tmp_path, number) for number in (1, 2, 3)]
        final = list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET"))[-1]
    assert final.status == 0xB000
    assert (final.suboperations.completed, final.suboperations.failed) == (2, 1)
    assert final.failed_sop_instance_uids == ("1.2.3.2",)


def test_a_wholly_failed_move_is_a_failure_with_its_counters(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    target = MemoryPacs()
    target.refuse = Refusal(0xA700)
    with Server(ServerConfig("TARGET"), target) as server:
        pacs.destinations["TARGET"] = ("127.0.0.1", server.port)
        pacs.selected = [make_instance(tmp_path, number) for number in (1, 2)]
        with pytest.raises(StatusFailure, match=r"completed 0, failed 2, warning 0") as caught:
            list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET"))
    assert caught.value.status == 0xA702


def test_get_brings_the_instances_back(peer: Peer, pacs: MemoryPacs, tmp_path: Path) -> None:
    local = MemoryPacs()
    pacs.selected = [make_instance(tmp_path, number) for number in range(1, 5)]
    responses = list(get(peer, QueryModel.STUDY_ROOT, study(), [CT], local))
    assert responses[-1].status == SUCCESS
    assert responses[-1].suboperations.completed == 4
    assert set(local.stored) == {"1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4"}


def test_a_refused_get_is_a_failure(peer: Peer, pacs: MemoryPacs) -> None:
    pacs.refuse = Refusal(0xA900)
    with pytest.raises(StatusFailure) as caught:
        list(get(peer, QueryModel.STUDY_ROOT, study(), [CT], MemoryPacs()))
    assert caught.value.status == 0xA900


def test_implicit_only_peers_get_what_they_can_read(tmp_path: Path) -> None:
    """A foreign acceptor that knows the default transfer syntax alone (PS3.5 10.1)."""
    from pynetdicom import AE, _config, evt

    received: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        received.append(event.dataset)
        return 0x0000

    ae = AE(ae_title="OLD")
    ae.add_supported_context(CT, "1.2.840.10008.1.2")
    _config.UNRESTRICTED_STORAGE_SERVICE = False
    try:
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
        instance = make_instance(tmp_path, 1)
        compressed = make_instance(tmp_path, 2, syntax=JPEG_LS)
        target = Peer("127.0.0.1", server.server_address[1], "OLD")
        first, second = store(target, [instance, compressed])
    finally:
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        server.shutdown()
    assert first.accepted
    assert isinstance(second.error, ContextRejected)
    assert second.response is None
    assert received[0].SOPInstanceUID == pydicom.uid.UID("1.2.3.1")
