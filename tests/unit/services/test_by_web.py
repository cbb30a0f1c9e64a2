"""Find, store and get over DICOMweb: the same outcomes as over DIMSE, whatever the other side does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.dicomweb.client import store as client_store
from dicomfab.dicomweb.multipart import content_type, new_boundary, written
from dicomfab.dimse.messages import Response
from dicomfab.dimse.peer import Peer, Timeouts, WebAccess
from dicomfab.dimse.tls_settings import TlsSettings
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.errors import (
    AnswerIncomplete,
    ConnectionLost,
    HttpFailure,
    InstanceUnreadable,
    PeerError,
    PeerTimeout,
    ProtocolViolation,
    StatusFailure,
)
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.services.by_web import find, get, store
from dicomfab.services.study_filter import StudyFilter
from tests.unit.dicomweb.client.servers import Answer, Asked, Reply, WebServer, by_handler, silent, web_server
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.fabricate.studies import study as fabricated

ROOT = QueryModel.STUDY_ROOT


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[InstanceFile]:
    return write_files(fabricated(*["text-card"] * 4), tmp_path_factory.mktemp("files"), workers=1)


@pytest.fixture
def held(tmp_path: Path) -> MemoryStore:
    (tmp_path / "held").mkdir()
    return MemoryStore(tmp_path / "held")


@pytest.fixture
def ours(held: MemoryStore) -> Iterator[WebServer]:
    with web_server(by_handler(held)) as server:
        yield server


def peer(root: str, **settings: object) -> Peer:
    return Peer(
        "127.0.0.1",
        104,
        "THERE",
        timeouts=Timeouts(1, 1, 5, 5),
        name="There",
        web=WebAccess(root, TlsSettings(), **settings),  # type: ignore[arg-type]
    )


def uids(found: list[InstanceFile]) -> list[str]:
    return [one.identity.sop_instance_uid for one in found]


def study_of(files: list[InstanceFile]) -> str:
    from pydicom import dcmread

    return str(dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)


def asked(study: str, series: str = "") -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES" if series else "STUDY"
    identifier.StudyInstanceUID = study
    if series:
        identifier.SeriesInstanceUID = series
    return identifier


# --- round trip -----------------------------------------------------------------------------------------------------


def test_what_is_stored_is_found_and_comes_back_byte_for_byte(
    ours: WebServer, held: MemoryStore, files: list[InstanceFile], tmp_path: Path
) -> None:
    there, study = peer(ours.root), study_of(files)
    outcomes = list(store(there, files))
    assert [one.instance for one in outcomes] == files
    assert all(one.accepted and one.response == Response(0) and not one.resent for one in outcomes)
    assert len([one for one in ours.asked if one.method == "POST"]) == 1

    final: list[Response] = []
    wanted = StudyFilter(study_instance_uid=study)
    (match,) = find(there, ROOT, wanted.identifier(), report=final.append)
    assert (match.StudyInstanceUID, int(match.NumberOfStudyRelatedInstances)) == (study, len(files))
    assert [one.status for one in final] == [0xFF00, 0x0000]
    assert {tag for tag in match.keys() if tag not in wanted.identifier()} == {0x00080005}  # noqa: SIM118

    below: set[str] = set()
    for series in find(there, ROOT, StudyFilter(level="series", study_instance_uid=study).identifier()):
        assert series.StudyInstanceUID == study
        of_series = {"study_instance_uid": study, "series_instance_uid": str(series.SeriesInstanceUID)}
        below |= {
            str(one.SOPInstanceUID) for one in find(there, ROOT, StudyFilter(level="image", **of_series).identifier())
        }
    assert below == set(uids(files))
    assert list(find(there, ROOT, StudyFilter(patient_name="NOBODY").identifier())) == []

    archive = Archive(tmp_path / "back")
    sink = ArchiveReceiver(archive, Environment.TEST)
    responses = list(get(there, ROOT, asked(study), [], sink))
    assert [one.status for one in responses] == [0xFF00] * len(files) + [0x0000]
    assert responses[-1].suboperations.delivered == len(files)
    for before in files:
        back = next(i.file for i in archive.instances(study) if i.identity == before.identity)
        assert back.path.read_bytes()[back.dataset_offset :] == before.path.read_bytes()[before.dataset_offset :]
    archive.close()


def test_a_series_alone_is_retrieved(ours: WebServer, files: list[InstanceFile], tmp_path: Path) -> None:
    there, study = peer(ours.root), study_of(files)
    list(store(there, files))
    archive = Archive(tmp_path / "back")
    with pytest.raises(HttpFailure):
        list(get(there, ROOT, asked(study, "1.2.3"), [], ArchiveReceiver(archive, Environment.TEST)))
    archive.close()


def test_patients_cannot_be_searched_for(ours: WebServer) -> None:
    wanted = StudyFilter(level="patient", patient_id="X")
    with pytest.raises(HttpFailure) as caught:
        list(find(peer(ours.root), wanted.model, wanted.identifier()))
    assert caught.value.is_refusal
    assert "DIMSE" in caught.value.remedy
    assert ours.asked == []


def test_many_uids_are_asked_for_in_several_searches(files: list[InstanceFile]) -> None:
    seen: list[str] = []

    def answer(request: Asked) -> Reply:
        if request.value("offset"):
            return Reply()
        seen.extend(request.value("StudyInstanceUID").split(","))
        rows = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in request.value("StudyInstanceUID").split(",")]
        return Reply(body=json.dumps(rows).encode())

    identifier = StudyFilter().identifier()
    identifier.StudyInstanceUID = [f"1.2.{n}" for n in range(120)]
    with web_server(answer) as server:
        found = list(find(peer(server.root), ROOT, identifier))
        assert len({one.path for one in server.asked}) == 1
    assert len(found) == 120
    assert seen == list(identifier.StudyInstanceUID)


def test_keys_in_sequences_and_private_ones() -> None:
    identifier = StudyFilter(keys=("RequestAttributesSequence.ScheduledProcedureStepID=X", "StudyID")).identifier()
    identifier.add_new(0x00091001, "LO", "")
    with web_server(lambda _: Reply()) as server:
        assert list(find(peer(server.root), ROOT, identifier)) == []
        (request,) = server.asked
    assert request.value("RequestAttributesSequence.ScheduledProcedureStepID") == "X"
    assert {"00091001", "StudyID"} <= set(request.value("includefield").split(","))
    assert "QueryRetrieveLevel" not in str(request.query)


def test_uids_in_sequences_and_a_second_list_of_them_are_joined_by_commas() -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = ["1.2.1", "1.2.2"]
    identifier.SOPClassUID = ["1.3.1", "1.3.2", "1.3.3"]
    item = Dataset()
    item.ReferencedSOPInstanceUID = ["1.4.1", "1.4.2"]
    identifier.ReferencedImageSequence = [item]
    with web_server(lambda _: Reply()) as server:
        assert list(find(peer(server.root), ROOT, identifier)) == []
        (request,) = server.asked
    assert request.value("StudyInstanceUID") == "1.2.1,1.2.2"
    assert request.value("SOPClassUID") == "1.3.1,1.3.2,1.3.3"
    assert request.value("ReferencedImageSequence.ReferencedSOPInstanceUID") == "1.4.1,1.4.2"


def test_an_answer_that_may_have_been_cut_is_told_or_an_error() -> None:
    wanted = StudyFilter().identifier()
    with web_server(lambda _: Reply(body=b'[{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]')) as server:
        told: list[Response] = []
        assert len(list(find(peer(server.root), ROOT, wanted, report=told.append))) == 1
        assert told[-1].status == 0xB000
        assert "may have been cut" in told[-1].comment
        with pytest.raises(AnswerIncomplete):
            list(find(peer(server.root), ROOT, wanted))


# --- store ----------------------------------------------------------------------------------------------------------


def account(stored: list[str], failed: dict[str, int], status: int = 200) -> Reply:
    def items(found: dict[str, int], reason: str) -> dict[str, object]:
        return {
            "vr": "SQ",
            "Value": [
                {"00081155": {"vr": "UI", "Value": [uid]}, **({reason: {"vr": "US", "Value": [why]}} if why else {})}
                for uid, why in found.items()
            ],
        }

    body = {"00081199": items(dict.fromkeys(stored, 0), "00081196"), "00081198": items(failed, "00081197")}
    return Reply(status, json.dumps(body).encode())


def named_in(request: Asked, files: list[InstanceFile]) -> list[str]:
    return [uid for uid in uids(files) if uid.encode() in request.body]


def test_each_instance_has_its_own_outcome(files: list[InstanceFile]) -> None:
    first, second, third, fourth = uids(files)
    with web_server(lambda _: account([first, second], {second: 0xA700, third: 0x0122}, 202)) as server:
        taken, refused, other, untold = store(peer(server.root), files)
    assert taken.accepted
    assert isinstance(refused.error, StatusFailure)
    assert (refused.error.status, refused.error.transient, refused.response) == (0xA700, True, Response(0xA700))
    assert refused.error.heading == "STOW-RS failed"
    assert isinstance(other.error, StatusFailure)
    assert not other.error.transient
    assert isinstance(untold.error, AnswerIncomplete)
    assert fourth in untold.error.what


def test_a_warning_is_taken(files: list[InstanceFile]) -> None:
    body = account([], {}).body.replace(b'"Value": []', b'"Value": [{"00081155": {"Value": ["%s"]}, '
                                        b'"00081196": {"Value": [45056]}}]' % uids(files)[0].encode(), 1)  # fmt: skip
    with web_server(lambda _: Reply(202, body)) as server:
        (outcome,) = store(peer(server.root), files[:1])
    assert outcome.accepted
    assert outcome.response == Response(0xB000)


def test_groups_are_bounded(files: list[InstanceFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_store, "MAX_INSTANCES", 3)
    with web_server(lambda request: account(named_in(request, files), {})) as server:
        assert all(one.accepted for one in store(peer(server.root), files))
        assert [len(named_in(one, files)) for one in server.asked] == [3, 1]
    monkeypatch.setattr(client_store, "MAX_BYTES", 1)
    with web_server(lambda request: account(named_in(request, files), {})) as server:
        assert all(one.accepted for one in store(peer(server.root), files))
        assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 409, 413, 415, 500])
def test_one_instance_does_not_stand_for_the_others(files: list[InstanceFile], status: int) -> None:
    bad = uids(files)[2]

    def answer(request: Asked) -> Reply:
        named = named_in(request, files)
        return Reply(status, b"", "text/plain") if bad in named else account(named, {})

    with web_server(answer) as server:
        outcomes = list(store(peer(server.root), files))
    assert [one.accepted for one in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2].error, HttpFailure)
    assert outcomes[2].error.http_status == status


@pytest.mark.parametrize("bad", range(4))
def test_one_instance_at_which_the_server_fails(files: list[InstanceFile], bad: int) -> None:
    def answer(request: Asked) -> Reply:
        named = named_in(request, files)
        return Reply(500, b"", "text/plain") if uids(files)[bad] in named else account(named, {})

    with web_server(answer) as server:
        outcomes = {one.instance.identity.sop_instance_uid: one.accepted for one in store(peer(server.root), files)}
        assert len(server.asked) == 5
    assert outcomes == {uid: uid != uids(files)[bad] for uid in uids(files)}


def test_a_server_that_fails_at_both_halves_is_given_up(files: list[InstanceFile]) -> None:
    with web_server(lambda _: Reply(500, b"", "text/plain")) as server:
        with pytest.raises(HttpFailure) as caught:
            list(store(peer(server.root), files))
        assert [len(named_in(one, files)) for one in server.asked] == [4, 2, 2]
    assert caught.value.http_status == 500


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401, b"", "text/html"), HttpFailure),
        (Reply(404, b"", "text/html"), HttpFailure),
        (Reply(503, b"", "text/html"), HttpFailure),
        (Reply(200, b"<html>", "text/html"), ProtocolViolation),
        (Reply(200, b"", "application/dicom+json"), ProtocolViolation),
        (Reply(200, b"[]", "application/dicom+json"), ProtocolViolation),
        (Reply(200, b'{"00081199": {', "application/dicom+json"), ProtocolViolation),
    ],
)
def test_what_is_no_account_is_no_success(files: list[InstanceFile], reply: Reply, kind: type[PeerError]) -> None:
    with web_server(lambda _: reply) as server, pytest.raises(kind):
        list(store(peer(server.root), files))


def test_an_account_of_odd_items_is_no_success(files: list[InstanceFile]) -> None:
    body = b'{"00081199": {"Value": [1, {}, {"00081155": 5}, {"00081155": {"Value": [7]}}]}, "00081198": {"Value": 1}}'
    with web_server(lambda _: Reply(200, body)) as server:
        assert {type(one.error) for one in store(peer(server.root), files)} == {AnswerIncomplete}


def test_a_lost_answer_is_asked_for_once_more(files: list[InstanceFile]) -> None:
    tries: list[int] = []

    def answer(request: Asked) -> Reply:
        tries.append(1)
        whole = account(named_in(request, files), {})
        return replace(whole, cut=10) if len(tries) == 1 else whole

    with web_server(answer) as server:
        outcomes = list(store(peer(server.root), files))
    assert all(one.accepted and one.resent for one in outcomes)
    with web_server(lambda request: replace(account(named_in(request, files), {}), cut=10)) as server:
        with pytest.raises(ConnectionLost):
            list(store(peer(server.root), files))
        assert len(server.asked) == 2


def test_a_server_that_hangs(files: list[InstanceFile]) -> None:
    with silent() as port:
        there = replace(peer(f"http://127.0.0.1:{port}/dicom-web"), timeouts=Timeouts(1, 1, 0.3, 0.3))
        with pytest.raises(PeerTimeout):
            list(store(there, files))
        with pytest.raises(PeerTimeout):
            list(find(there, ROOT, StudyFilter().identifier()))


def test_a_file_that_is_gone_or_cut_short_fails_alone(files: list[InstanceFile], tmp_path: Path) -> None:
    gone = replace(files[1], path=tmp_path / "gone.dcm")
    with web_server(lambda request: account(named_in(request, files), {})) as server:
        outcomes = list(store(peer(server.root), [files[0], gone, files[2]]))
    assert [one.accepted for one in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, InstanceUnreadable)


def test_cancelled_before_and_while_it_is_sent(files: list[InstanceFile]) -> None:
    with web_server(lambda request: account(named_in(request, files), {})) as server:
        assert list(store(peer(server.root), files, cancelled=lambda: True)) == []
        calls: list[int] = []

        def after_a_piece() -> bool:
            calls.append(1)
            return len(calls) > 2

        assert list(store(peer(server.root), files, cancelled=after_a_piece)) == []
        assert not any(uid.encode() in one.body for one in server.asked for uid in uids(files[2:]))


def test_a_transfer_syntax_that_is_not_taken_is_converted(tmp_path: Path) -> None:
    (tmp_path / "deflated").mkdir()
    (tmp_path / "plain").mkdir()
    plain = write_files(fabricated("text-card", slices=1), tmp_path / "plain", workers=1)
    from dicomfab.pixels.transcode import transcode

    deflated = transcode(plain[0], "1.2.840.10008.1.2.1.99", tmp_path / "deflated")

    def answer(request: Asked) -> Reply:
        is_deflated = b"1.2.840.10008.1.2.1.99" in request.body[:1000]
        return account([], {uids([deflated])[0]: 0xC122}, 409) if is_deflated else account(uids([deflated]), {})

    with web_server(answer) as server:
        (outcome,) = store(peer(server.root), [deflated])
        assert (outcome.accepted, outcome.instance) == (True, deflated)
        assert outcome.transcoded_to in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
        (outcome,) = store(peer(server.root), [deflated], transcode=False)
        assert not outcome.accepted


# --- get ------------------------------------------------------------------------------------------------------------


def multipart(files: list[InstanceFile], *more: bytes) -> tuple[bytes, str]:
    boundary = new_boundary()
    parts = [one.path.read_bytes() for one in files] + list(more)
    headers = {"Content-Type": "application/dicom"}
    return b"".join(written(((headers, [part]) for part in parts), boundary)), content_type(
        "application/dicom", boundary
    )


def retrieved(answer: Answer, tmp_path: Path, files: list[InstanceFile], **options: object) -> list[Response]:
    archive = Archive(tmp_path / "got")
    try:
        with web_server(answer) as server:
            return list(
                get(
                    peer(server.root),
                    ROOT,
                    asked(study_of(files)),
                    [],
                    ArchiveReceiver(archive, Environment.TEST),
                    **options,  # type: ignore[arg-type]
                )
            )
    finally:
        archive.close()


def test_a_body_that_is_cut_is_never_the_whole(files: list[InstanceFile], tmp_path: Path) -> None:
    body, media_type = multipart(files)
    for states_length in (True, False):
        reply = Reply(200, body, media_type, cut=len(body) - 2000, states_length=states_length)
        seen: list[Response] = []
        archive = Archive(tmp_path / f"got-{states_length}")
        sink = ArchiveReceiver(archive, Environment.TEST)
        with web_server(lambda _, reply=reply: reply) as server:
            responses = get(peer(server.root), ROOT, asked(study_of(files)), [], sink)
            with pytest.raises(ConnectionLost):
                seen.extend(responses)
        assert [one.status for one in seen] == [0xFF00] * 3
        assert len(archive.instances(study_of(files))) == 3
        archive.close()


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_what_is_accepted_is_said_again_more_simply(files: list[InstanceFile], tmp_path: Path, accepted: int) -> None:
    body, media_type = multipart(files)
    tries: list[str] = []

    def answer(request: Asked) -> Reply:
        tries.append(request.headers["accept"])
        return Reply(200, body, media_type) if len(tries) > accepted else Reply(406, b"", "text/plain")

    assert retrieved(answer, tmp_path, files)[-1].status == 0
    assert "transfer-syntax=*" in tries[0]
    assert len(set(tries)) == accepted + 1


def test_a_part_that_is_no_instance_counts_as_failed(files: list[InstanceFile], tmp_path: Path) -> None:
    body, media_type = multipart(files[:2], b"no DICOM")
    responses = retrieved(lambda _: Reply(200, body, media_type), tmp_path, files)
    final = responses[-1]
    assert (final.status, final.suboperations.completed, final.suboperations.failed) == (0xB000, 2, 1)


def test_a_partial_answer_is_told(files: list[InstanceFile], tmp_path: Path) -> None:
    body, media_type = multipart(files[:2])
    assert retrieved(lambda _: Reply(206, body, media_type), tmp_path, files)[-1].status == 0xB000


def test_a_single_instance_without_multipart(files: list[InstanceFile], tmp_path: Path) -> None:
    reply = Reply(200, files[0].path.read_bytes(), "application/dicom")
    assert [one.status for one in retrieved(lambda _: reply, tmp_path, files)] == [0xFF00, 0]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(404, b"", "text/plain"), HttpFailure),
        (Reply(406, b"", "text/plain"), HttpFailure),
        (Reply(200, b"<html>", "text/html"), ProtocolViolation),
        (Reply(200, b"x", "multipart/related"), ProtocolViolation),
        (Reply(200, b"--b\r\nnonsense\r\n\r\n--b--", 'multipart/related; boundary="b"'), ProtocolViolation),
        (Reply(200, b"", 'multipart/related; boundary="b"'), ConnectionLost),
    ],
)
def test_dead_ends_of_a_retrieval(
    files: list[InstanceFile], tmp_path: Path, reply: Reply, kind: type[PeerError]
) -> None:
    with pytest.raises(kind):
        retrieved(lambda _: reply, tmp_path, files)


def test_an_instance_of_another_study_is_not_kept(files: list[InstanceFile], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (other,) = write_files(fabricated("text-card", slices=1, seed=99), tmp_path / "other", workers=1)
    assert study_of([other]) != study_of(files)
    body, media_type = multipart([files[0], other])
    responses = retrieved(lambda _: Reply(200, body, media_type), tmp_path, files)
    assert responses[-1].status == 0xB000
    assert responses[-1].failed_sop_instance_uids == tuple(uids([other]))
    with closing(Archive(tmp_path / "got")) as archive:
        assert not archive.has_study(study_of([other]))
        assert len(archive.instances(study_of(files))) == 1


def test_cancelled_while_it_comes(files: list[InstanceFile], tmp_path: Path) -> None:
    body, media_type = multipart(files)
    responses = retrieved(lambda _: Reply(200, body, media_type), tmp_path, files, cancelled=lambda: True)
    assert responses[-1].status == 0xFE00
    with closing(Archive(tmp_path / "got")) as archive:
        assert not archive.has_study(study_of(files))
