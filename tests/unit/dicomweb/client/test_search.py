"""QIDO-RS as a client: all answers or an error, never something between."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dicomweb.client.connection import WebConnection
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.client.search import PAGE, search
from dicomfab.dimse.trace import Trace
from dicomfab.model.errors import (
    AnswerIncomplete,
    ConnectionFailed,
    ConnectionLost,
    DicomFabError,
    HttpFailure,
    PeerError,
    PeerTimeout,
    ProtocolViolation,
    TlsFailed,
)
from tests.unit.dicomweb.client.servers import Asked, Reply, beginning, black_hole, saying, silent, web_server

NAME = "MUSTERMANN^ERIKA"


def row(number: int) -> dict[str, object]:
    return {"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}}


def uids(found: list[dict[str, object]]) -> list[str]:
    return [one["0020000D"]["Value"][0] for one in found]  # type: ignore[index]


def pages(count: int, most: int, more: Callable[[int], dict[str, str]] = lambda _end: {}, status: int = 200):
    """A server of so many studies that gives at most so many at once."""

    def answer(asked: Asked) -> Reply:
        at, limit = int(asked.value("offset") or 0), int(asked.value("limit"))
        rows = [row(n) for n in range(at, min(count, at + min(limit, most)))]
        return Reply(status, json.dumps(rows).encode(), headers=more(at + len(rows)))

    return answer


def ask(root: str, limit: int | None = None, **settings: object) -> list[dict[str, object]]:
    peer = WebPeer(root, name="There", **{"connect_s": 2, "read_s": 5, **settings})
    return list(search(peer, "/studies", [("PatientName", NAME)], limit=limit))


def failure(root: str, **settings: object) -> DicomFabError:
    with pytest.raises(DicomFabError) as caught:
        ask(root, **settings)
    told = f"{caught.value} {caught.value.as_dict()}"
    assert "MUSTERMANN" not in told
    assert "topsecret" not in told
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("count", [0, 1, 6, 7, PAGE, PAGE + 1])
def test_all_pages_are_asked_for(count: int) -> None:
    with web_server(pages(count, PAGE)) as server:
        assert uids(ask(server.root)) == [f"1.2.{n}" for n in range(count)]


def test_a_server_that_gives_less_than_asked_for_is_asked_again() -> None:
    with web_server(pages(7, 3)) as server:
        assert len(ask(server.root)) == 7
        assert [one.value("offset") for one in server.asked] == ["", "3", "6", "7"]


def test_a_server_that_says_that_there_is_more_and_gives_it() -> None:
    def more(end: int) -> dict[str, str]:
        return {"Warning": '299 s "The number of results exceeded the maximum supported"'} if end < 7 else {}

    with web_server(pages(7, 3, more)) as server:
        assert len(ask(server.root)) == 7


@pytest.mark.parametrize(
    "answer",
    [
        pages(2, 2, lambda _end: {"Warning": '299 s "Additional results can be requested"'}),
        pages(2, 2, status=206),
        lambda asked: pages(PAGE, PAGE)(Asked("GET", "", [("limit", asked.value("limit"))], {}, b"")),  # no offset
        lambda asked: Reply(400) if asked.value("offset") else pages(PAGE, PAGE)(asked),
        lambda _: Reply(body=json.dumps([row(n) for n in range(5)]).encode()),
        *(
            lambda asked, no=no: Reply(no) if asked.value("offset") else pages(5, 5)(asked)
            for no in (400, 404, 416, 501)
        ),
    ],
    ids=["warning", "206", "repeats itself", "refuses an offset", "short, repeats itself", "400", "404", "416", "501"],
)
def test_what_may_be_a_part_is_never_taken_for_the_whole(answer: Callable[[Asked], Reply]) -> None:
    with web_server(answer) as server:
        error = failure(server.root)
    assert isinstance(error, AnswerIncomplete)


def test_a_server_that_knows_no_pages_may_have_cut_its_answer() -> None:
    for answer in (
        lambda _: Reply(body=json.dumps([row(n) for n in range(5)]).encode()),
        lambda asked: Reply(400) if asked.value("offset") else pages(5, 5)(asked),
    ):
        doubts: list[str] = []
        with web_server(answer) as server:
            assert len(list(search(WebPeer(server.root), "/studies", [], doubted=doubts.append))) == 5
        (doubt,) = doubts
        assert "may have been cut" in doubt


def test_a_server_that_gave_a_second_page_is_at_its_end_where_it_refuses_a_third() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(416) if int(asked.value("offset") or 0) >= 7 else pages(7, 4)(asked)

    with web_server(answer) as server:
        assert len(ask(server.root)) == 7


def test_pieces_of_an_answer_that_began_are_waited_for_as_always() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: 9\r\n\r\nsome"
    with beginning(head) as port, WebConnection(WebPeer(f"http://127.0.0.1:{port}/x", read_s=0.3)) as connection:
        start = time.monotonic()
        with connection.asking("WADO-RS", "/studies/1", {}, read_s=60) as answer, pytest.raises(PeerTimeout) as caught:
            list(answer.pieces())
    assert time.monotonic() - start < 10
    assert caught.value.timeout_s == 0.3


def test_a_limit_ends_it_and_asks_for_no_more() -> None:
    with web_server(pages(50, 50)) as server:
        assert len(ask(server.root, limit=7)) == 7
        assert [one.value("limit") for one in server.asked] == ["7"]


def test_cancelled_between_answers() -> None:
    with web_server(pages(50, 50)) as server:
        found = []
        for one in search(WebPeer(server.root), "/studies", [], cancelled=lambda: len(found) == 2):
            found.append(one)
    assert len(found) == 2


def test_another_warning_is_told() -> None:
    told: list[str] = []
    reply = lambda asked: Reply(  # noqa: E731
        body=b"[]" if asked.value("offset") else json.dumps([row(1)]).encode(), headers={"Warning": '299 s "Only text"'}
    )
    with web_server(reply) as server:
        assert list(search(WebPeer(server.root), "/studies", [], warned=told.append))
    assert told == ['299 s "Only text"']


def test_no_content_is_nothing_found() -> None:
    with web_server(lambda _: Reply(204, b"")) as server:
        assert ask(server.root) == []


@pytest.mark.parametrize(
    ("status", "transient", "refusal"),
    [(400, False, True), (401, False, True), (403, False, True), (404, False, True), (406, False, True),
     (409, False, True), (429, True, False), (500, True, False), (501, False, True), (503, True, False),
     (599, True, False), (304, False, True), (418, False, True)],
)  # fmt: skip
def test_a_status_that_is_no_success(status: int, transient: bool, refusal: bool) -> None:
    body = f'{{"detail": "{NAME} is unknown"}}'.encode()
    with web_server(lambda _: Reply(status, b"" if status == 304 else body, "application/problem+json")) as server:
        error = failure(server.root)
    assert isinstance(error, HttpFailure)
    assert (error.http_status, error.transient, error.is_refusal) == (status, transient, refusal)
    assert error.code == f"http-{status}"


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"<html>Sign in</html>", "text/html; charset=utf-8", "web-page"),
        (b"<xml/>", "application/dicom+xml", "other-content"),
        (b"[]", "nothing", "other-content"),
        (b"[{", "application/dicom+json", "violation"),
        (b"[" * 100_000, "application/dicom+json", "violation"),
        (b"\xff", "application/json", "violation"),
        (b'{"a": 1}', "application/json", "violation"),
        (b"[1]", "application/json", "violation"),
    ],
)
def test_an_answer_that_is_no_list_of_matches(body: bytes, media_type: str, code: str) -> None:
    with web_server(lambda _: Reply(body=body, media_type=media_type)) as server:
        error = failure(server.root)
    assert isinstance(error, ProtocolViolation)
    assert error.code == code


def test_nobody_follows_to_another_server() -> None:
    with web_server(pages(1, 1)) as other:
        moved = Reply(302, b"", headers={"Location": f"{other.root}/studies?x={NAME}"})
        with web_server(lambda _: moved) as server:
            error = failure(server.root, user="us", secret="topsecret")
        assert other.asked == []
    assert isinstance(error, HttpFailure)
    assert other.root.partition("/dicom-web")[0] in error.what


def test_on_the_same_server_it_is_followed_but_not_for_ever() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "studies":
            return Reply(301, b"", headers={"Location": "/dicom-web/elsewhere?limit=5&offset=" + asked.value("offset")})
        return pages(2, 5)(asked)

    with web_server(answer) as server:
        assert len(ask(server.root)) == 2
    with web_server(lambda _: Reply(301, b"", headers={"Location": "/dicom-web/studies"})) as server:
        assert isinstance(failure(server.root), HttpFailure)
        assert len(server.asked) == 4


def test_connections_that_lead_nowhere() -> None:
    with black_hole() as port:
        start = time.monotonic()
        error = failure(f"http://127.0.0.1:{port}/dicom-web", connect_s=0.3)
        assert time.monotonic() - start < 3
    assert (type(error), error.code) == (ConnectionFailed, "no-answer")
    with silent() as port:
        error = failure(f"http://127.0.0.1:{port}/dicom-web", read_s=0.3)
    assert isinstance(error, PeerTimeout)
    with silent() as port:
        closed = port
    error = failure(f"http://127.0.0.1:{closed}/dicom-web")
    assert (type(error), error.code) == (ConnectionFailed, "refused")
    error = failure("http://no-such-host.invalid/dicom-web")
    assert (type(error), error.code, error.transient) == (ConnectionFailed, "name-unknown", True)


@pytest.mark.parametrize("words", [b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01", b"SSH-2.0-x\r\n"])
def test_a_port_of_something_else(words: bytes) -> None:
    with saying(words) as port:
        error = failure(f"http://127.0.0.1:{port}/dicom-web")
    assert isinstance(error, ProtocolViolation | ConnectionLost)  # half a line is no sign of anything


def test_a_connection_that_ends_without_an_answer_or_within_it() -> None:
    with saying(b"") as port:
        assert isinstance(failure(f"http://127.0.0.1:{port}/dicom-web"), ConnectionLost)
    with web_server(lambda _: Reply(body=b"[" + b" " * 999 + b"]", cut=500)) as server:
        error = failure(server.root)
    assert (type(error), error.transient) == (ConnectionLost, True)


def test_a_certificate_that_nobody_trusts() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with web_server(pages(1, 1), context) as server:
        error = failure(server.root, tls=ssl.create_default_context())
        assert isinstance(error, TlsFailed)
        assert not error.transient
        assert server.asked == []
        assert len(ask(server.root, tls=trusting)) == 1


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"user": "us", "secret": "topsecret"}, "Basic dXM6dG9wc2VjcmV0"),
        ({"secret": "topsecret"}, "Bearer topsecret"),
        ({}, None),
    ],
)
def test_credentials_go_to_the_server_and_nowhere_else(
    settings: dict[str, str], header: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    trace = Trace()
    with web_server(pages(1, 1)) as server:
        peer = WebPeer(server.root, notes=trace, **settings)
        assert list(search(peer, "/studies", [("PatientName", NAME)]))
        assert {one.headers.get("authorization") for one in server.asked} == {header}
    told = f"{caplog.text} {trace.as_dicts()} {peer!r}"
    assert "MUSTERMANN" not in told
    assert "topsecret" not in told
    assert "dXM6" not in told
    assert "PatientName" in str(trace.as_dicts())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password topsecret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with web_server(pages(1, 1)) as server:
        assert len(ask(server.root)) == 1
        assert "authorization" not in server.asked[0].headers


@given(st.binary(max_size=300), st.sampled_from(["application/dicom+json", "application/json", "text/html", "\xe4"]))
def test_whatever_comes_is_matches_or_an_error_of_the_peer(body: bytes, media_type: str) -> None:
    with web_server(
        lambda asked: Reply(body=b"[]" if asked.value("offset") else body, media_type=media_type)
    ) as server:
        try:
            found = ask(server.root)
        except PeerError:
            return
    assert all(isinstance(one, dict) for one in found)
