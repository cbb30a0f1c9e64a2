"""Behind a reverse proxy that ends TLS: its word counts when it is trusted, and nobody else's does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.actor import Role
from dicomfab.storage.audit import AuditFilter
from tests.security.reverse_proxy import ADDRESS, ReverseProxy, proxied
from tests.security.served import NAME, browser, by_name, certificate, in_this_process, person, sign_in
from tests.unit.web.people import OWNER

CALLER, OTHER = "127.0.0.7", "127.0.0.8"


def behind(host: str = "127.0.0.1") -> WebSettings:
    return WebSettings((Mode.LOCAL,), host=host, names=frozenset({NAME}), proxies=frozenset({f"{ADDRESS}/32"}))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def direct(application: Application) -> Iterator[str]:
    """The server, as one reaches it past the proxy."""
    person(application, "ben", Role.TEST_READ)
    with in_this_process(application, behind()) as url:
        yield url


@pytest.fixture
def proxy(direct: str, pair: tuple[Path, Path]) -> Iterator[ReverseProxy]:
    with proxied(int(direct.rpartition(":")[2]), pair) as proxy:
        yield proxy


def refused_from(application: Application) -> list[str]:
    """The addresses that the audit log has for refused sign-ins, the oldest first."""
    entries = application.audit._log.page(AuditFilter(), limit=100).entries
    return [one.event.address for one in reversed(entries) if one.event.kind == "sign-in" and one.event.reason]


def test_a_trusted_proxy_tells_who_calls_and_that_tls_is_spoken(
    application: Application, proxy: ReverseProxy, pair: tuple[Path, Path]
) -> None:
    client = by_name(proxy.port, pair[0], sender=CALLER)
    answer = sign_in(client, "ben")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "max-age=" in answer.headers["strict-transport-security"]
    assert client.get("/pacs").status_code == 200
    ben = application.accounts.named(OWNER, "ben")
    assert [one.address for one in application.sign_in.sessions(OWNER, ben.id)] == [CALLER]
    assert sign_in(by_name(proxy.port, pair[0], sender=OTHER), "ben", "wrong").status_code == 401
    assert refused_from(application) == [OTHER]


def test_guesses_are_counted_by_caller_and_not_by_proxy(
    application: Application, proxy: ReverseProxy, pair: tuple[Path, Path]
) -> None:
    guesser = by_name(proxy.port, pair[0], sender=CALLER)
    assert [sign_in(guesser, "ben", "wrong").status_code for _ in range(6)] == [401] * 5 + [429]
    for spoofed in ("192.0.2.1", "192.0.2.2, 127.0.0.5", "127.0.0.5, 127.0.0.5", "localhost", "not an address, ::1"):
        assert sign_in(by_name(proxy.port, pair[0], sender=CALLER, X_Forwarded_For=spoofed), "ben").status_code == 429
    assert sign_in(by_name(proxy.port, pair[0], sender=OTHER), "ben").status_code == 303
    assert set(refused_from(application)) == {CALLER}


def test_what_somebody_else_says_does_not_count(application: Application, direct: str) -> None:
    for spoofed in ("192.0.2.66", f"192.0.2.66, {ADDRESS}"):
        said = {"X_Forwarded_For": spoofed, "X_Forwarded_Proto": "https", "Forwarded": f"for={spoofed};proto=https"}
        past = browser(direct, sender=OTHER, **said)
        answer = sign_in(past, "ben", "wrong")
        assert answer.status_code == 401
        by_the_name = past.get("/sign-in", headers={"Host": NAME})
        assert by_the_name.status_code == 403
        assert "over TLS only" in by_the_name.text
        cookie = sign_in(past, "ben").headers["set-cookie"]
        assert "Secure" not in cookie
        assert not cookie.startswith("__Host-")
    assert refused_from(application) == [OTHER, OTHER]


@pytest.mark.parametrize("name", ["evil.example", f"{NAME}.evil.example", "192.0.2.1", "127.0.0.1.evil.example"])
def test_names_that_are_not_ours_are_refused(proxy: ReverseProxy, pair: tuple[Path, Path], name: str) -> None:
    other = by_name(proxy.port, pair[0], name=name, X_Forwarded_Host=NAME)
    answer = other.get("/sign-in")
    assert answer.status_code == 403
    assert "DICOMFAB_WEB_NAMES" in answer.text
    ours = by_name(proxy.port, pair[0], X_Forwarded_Host=name)
    assert ours.get("/sign-in").status_code == 200


def test_a_proxy_that_speaks_no_tls_itself_gets_no_passwords(direct: str, pair: tuple[Path, Path]) -> None:
    with proxied(int(direct.rpartition(":")[2]), pair, proto="http") as proxy:
        answer = sign_in(by_name(proxy.port, pair[0]), "ben")
    assert answer.status_code == 403
    assert "X-Forwarded-Proto: https" in answer.text


def test_a_server_on_all_addresses_knows_its_proxy_and_its_callers(
    application: Application, pair: tuple[Path, Path]
) -> None:
    """An IPv6 socket shows IPv4 callers as ::ffff:127.0.0.5."""
    ben = person(application, "ben", Role.TEST_READ)
    with (
        in_this_process(application, behind("::")) as url,
        proxied(int(url.rpartition(":")[2]), pair) as proxy,
    ):
        assert sign_in(by_name(proxy.port, pair[0], sender=CALLER), "ben").status_code == 303
        past = browser(url.replace("localhost", "127.0.0.1"), sender=OTHER, X_Forwarded_For="192.0.2.66")
        assert sign_in(past, "ben").status_code == 303
        here = browser(url.replace("localhost", "[::1]"), sender="::1")
        assert sign_in(here, "ben").status_code == 303
    assert [one.address for one in application.sign_in.sessions(OWNER, ben.id)] == ["::1", OTHER, CALLER]
