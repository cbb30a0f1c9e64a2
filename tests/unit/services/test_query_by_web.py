"""Queries of many servers, some of them over DICOMweb: each answers in its own way, and says which."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomfab.app.settings import Settings
from dicomfab.app.ways import by_way, secret_files, title
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.model.errors import Conflict, HttpFailure, InvalidInput
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.query import AnswerState, QueryService, ServerAnswer, Unseen
from dicomfab.services.recording import node
from dicomfab.services.search import asked_by
from dicomfab.services.search_messages import lines, steps
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.verification import VerdictKind
from tests.unit.dicomweb.client.servers import Reply, black_hole, by_handler, web_server
from tests.unit.dicomweb.memory_store import MemoryStore
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, hospital


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path) as running:
        running.queries = QueryService(by_way("find", find))
        running.transfers = replace(
            running.transfers, find=by_way("find", find), store=by_way("store", store), get_scu=by_way("get", _never)
        )
        yield running


def _never(*_: object, **__: object) -> None:
    raise AssertionError("asked by DIMSE")


def by_web(site: Hospital, name: str, root: str, **settings: object) -> PacsServer:
    return site.entry(name, 1, dicomweb_root=root, via="web", **settings)


def answers(site: Hospital, *servers: PacsServer | Unseen, limit: int = 500) -> dict[str, ServerAnswer]:
    found = site.queries.search(ADMIN, servers, StudyFilter(accession_number="CARDS"), limit=limit)
    return {answer.server.id: answer for answer in found}


def test_only_what_has_a_counterpart_goes_over_dicomweb(site: Hospital) -> None:
    server = by_web(site, "X", "http://x/dicom-web", tls_ca_file="/ca.pem")
    asked = {one: peer_for(server, one).web for one in Capability}
    assert {one for one, access in asked.items() if access} == {Capability.FIND, Capability.STORE, Capability.GET}
    access = asked[Capability.FIND]
    assert access is not None
    assert (access.root, access.tls.ca_file) == ("http://x/dicom-web", "/ca.pem")
    assert all(peer_for(server.by("dimse"), one).web is None for one in Capability)


def test_a_trace_is_called_by_what_is_done() -> None:
    peer = peer_for(
        PacsServer(
            id="x", name="X", host="h", port=1, aec="X", environment="test", dicomweb_root="http://h/w", via="web"
        ),  # type: ignore[arg-type]
        Capability.FIND,
    )
    assert title("C-FIND", "QIDO-RS", peer) == "QIDO-RS with X (http://h/w)"
    assert title("C-FIND", "", peer) == "C-FIND with X (h:1)"
    assert title("C-FIND", "QIDO-RS", Peer("h", 1, "X")) == "C-FIND with h:1"


def test_each_server_answers_for_itself(site: Hospital, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    study = site.make(CARDS)
    held = MemoryStore(tmp_path / "held", [one.file for one in site.local.instances(study)])
    by_dimse = site.pacs("DIMSE")
    site.transfers.send(ADMIN, study, by_dimse)
    with (
        web_server(by_handler(held)) as good,
        web_server(lambda _: Reply(401, b"", "text/html")) as closed,
        web_server(lambda _: Reply(200, b"<html>", "text/html")) as page,
        black_hole() as port,
    ):
        start = time.monotonic()
        found = answers(
            site,
            by_dimse,
            by_web(site, "GOOD", good.root),
            by_web(site, "CLOSED", closed.root),
            by_web(site, "PAGE", page.root),
            by_web(site, "HOLE", f"http://127.0.0.1:{port}/dicom-web", connect_timeout_s=0.5),
            asked_by(site.entry("NONE", 1), "web"),
        )
        assert time.monotonic() - start < 10
    assert {name: str(answer.state) for name, answer in found.items()} == {
        "dimse": "ok",
        "good": "ok",
        "closed": "refused",
        "page": "broken off",
        "hole": "timed out",
        "none": "failed",
    }
    assert {answer.matches[0].study_instance_uid for answer in found.values() if answer.error is None} == {study}
    assert found["good"].notes == ("asked over DICOMweb (QIDO-RS)",)
    assert found["dimse"].notes == ()
    assert (found["good"].server.via, found["dimse"].server.via, found["none"].server.via) == ("web", "dimse", "")
    assert isinstance(found["none"].error, InvalidInput)
    assert "no DICOMweb address" in found["none"].error.what


def test_the_messages_show_request_and_matches(site: Hospital, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    held = MemoryStore(tmp_path / "held", [one.file for one in site.local.instances(site.make(CARDS))])
    with web_server(by_handler(held)) as good:
        log = answers(site, by_web(site, "GOOD", good.root))["good"].messages
    assert log is not None
    shown = steps(log)
    assert [one.title for one in shown][:2] == ["QIDO-RS request", "QIDO-RS response"]
    assert shown[-1].title == "Match 1"
    assert any(one["keyword"] == "AccessionNumber" and one["value"] == "CARDS" for one in shown[0].attributes)
    assert any(one["keyword"] == "StudyInstanceUID" and one["value"] for one in shown[-1].attributes)
    text = list(lines("GOOD", log))
    assert text[0].startswith("QIDO-RS messages with GOOD")
    assert any("Status of HTTP: 200" in line for line in text)


def test_a_limit_is_told(site: Hospital) -> None:
    rows = b'[{"0020000D": {"vr": "UI", "Value": ["1.2.%d"]}}, {"0020000D": {"vr": "UI", "Value": ["1.3.%d"]}}]'
    with web_server(lambda asked: Reply(body=rows % ((int(asked.value("offset") or 0),) * 2))) as server:
        found = answers(site, by_web(site, "MANY", server.root), limit=5)["many"]
    assert (found.found, found.truncated, found.state) == (5, True, AnswerState.OK)


def test_an_installation_reads_secrets_of_its_home_and_of_its_lab_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    secrets = secret_files(settings)
    allowed = (settings.home / "secrets" / "office", settings.lab / "web-password")
    for path in (*allowed, settings.audit_key, tmp_path / "elsewhere"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("topsecret")
        path.chmod(0o600)
    assert [secrets.read(str(path)) for path in allowed] == ["topsecret"] * 2
    for path in (settings.audit_key, tmp_path / "elsewhere"):
        with pytest.raises(InvalidInput):
            secrets.read(str(path))


def test_the_other_end_is_the_host_that_is_asked(site: Hospital) -> None:
    server = by_web(site, "X", "https://web.example.com:8443/dicom-web")
    assert node(server).host == "web.example.com"
    assert node(server.by("dimse")).host == server.host


@pytest.mark.parametrize("reply", [Reply(404, b"", "text/plain"), Reply(501, b"", "text/plain")])
def test_a_retrieval_that_is_refused_is_not_tried_by_c_move(site: Hospital, tmp_path: Path, reply: Reply) -> None:
    (tmp_path / "held").mkdir()
    study = site.make(CARDS)
    held = by_handler(MemoryStore(tmp_path / "held", [one.file for one in site.local.instances(study)]))
    asked: list[object] = []
    service = replace(site.transfers, receiving=_Arrivals(asked))
    with web_server(lambda one: held(one) if one.query else reply) as there:
        server = by_web(site, "THERE", there.root)
        with pytest.raises(HttpFailure):
            service.get(ADMIN, study, server)
        with pytest.raises(Conflict):
            service.get(ADMIN, study, replace(server, capabilities=server.capabilities - {Capability.GET}))
        # Which SOP classes a study has matters to C-GET alone.
        assert not any("SOPClassesInStudy" in str(one.query) for one in there.asked)
    assert asked == []


class _Arrivals:
    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    def arrival(self, *args: object, **_: object) -> object:
        self.asked.append(args)
        raise AssertionError("turned to C-MOVE")


def test_send_and_get_are_proven_over_dicomweb(site: Hospital, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    study = site.make(CARDS)
    before = site.held("local", study)
    with web_server(by_handler(MemoryStore(tmp_path / "held"))) as there:
        server = by_web(site, "THERE", there.root)
        sent = site.transfers.send(ADMIN, study, server)
        assert (sent.operation, sent.accepted, sent.verdict.kind) == ("STOW-RS", 3, VerdictKind.VERIFIED)
        site.local.delete_study(study)
        got = site.transfers.get(ADMIN, study, server)
        assert (got.operation, got.accepted, got.verdict.kind) == ("WADO-RS", 3, VerdictKind.VERIFIED)
    assert site.held("local", study) == before


def test_a_server_that_says_that_it_stored_and_did_not(site: Hospital) -> None:
    study = site.make(CARDS)

    def answer(asked: object) -> Reply:
        if getattr(asked, "method", "") == "GET":
            return Reply()
        items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in site.held("local", study)]
        import json

        return Reply(200, json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode())

    with web_server(answer) as there:
        sent = site.transfers.send(ADMIN, study, by_web(site, "LIAR", there.root), watch=_hurried())
    assert (sent.accepted, sent.verdict.kind) == (3, VerdictKind.MISMATCH)


def test_a_refusal_sends_nothing(site: Hospital) -> None:
    study = site.make(CARDS)
    with web_server(lambda _: Reply(403, b"", "text/plain")) as there, pytest.raises(HttpFailure):
        site.transfers.send(ADMIN, study, by_web(site, "CLOSED", there.root))


def _hurried():
    from dicomfab.services.transfer import Watch

    return Watch(verify_wait_s=0.0)
