"""``dicomfab serve`` with a certificate of its own, and on addresses of IPv6."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dicomfab.model.actor import Role
from tests.security.served import (
    NAME,
    Served,
    browser,
    by_name,
    certificate,
    in_a_process,
    installation,
    person,
    refused_start,
    sign_in,
)
from tests.unit.web.people import OWNER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds an installation in which anna is administrator, a certificate, and another one."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, NAME, "localhost")
    certificate(folder / "other", NAME)
    with installation(folder / "home") as application:
        person(application, "anna", Role.ADMIN)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    settings = {
        "DICOMFAB_WEB_NAMES": NAME,
        "DICOMFAB_WEB_CERTIFICATE": str(folder / "chain.pem"),
        "DICOMFAB_WEB_KEY": str(folder / "key.pem"),
    }
    with in_a_process(folder / "home", **settings) as served:
        yield served


def test_requirement_17_over_tls_the_cookie_is_host_bound_and_the_name_is_pinned(served: Served, folder: Path) -> None:
    assert f"https://localhost:{served.port}" in served.said[0]
    client = by_name(served.port, folder / "chain.pem")
    answer = sign_in(client, "anna")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()
    assert client.get("/users").status_code == 200
    for path in ("/sign-in", "/pacs", "/nowhere", "/static/app.css"):
        assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"
    assert client.post("/sign-in", headers={"Sec-Fetch-Site": "cross-site"}).headers["strict-transport-security"]
    # A year of TLS alone for all programs of this computer is nothing to ask for.
    here = httpx.get(
        f"https://localhost:{served.port}/sign-in",
        verify=ssl.create_default_context(cafile=str(folder / "chain.pem")), trust_env=False,
    )  # fmt: skip
    assert "strict-transport-security" not in here.headers


def test_without_tls_nothing_is_said(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 10) as plain:
        plain.sendall(b"GET /sign-in HTTP/1.1\r\nHost: fab.example\r\n\r\n")
        assert plain.recv(1000) == b""


@pytest.mark.parametrize(
    ("version", "is_spoken"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
def test_old_tls_is_not_spoken(served: Served, version: str, is_spoken: bool) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", version]
    tried = subprocess.run(
        [*command, "-cipher", "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True, timeout=30, check=False
    )
    assert (tried.returncode == 0) == is_spoken, tried.stderr
    assert ("BEGIN CERTIFICATE" in tried.stdout) == is_spoken


@pytest.mark.full
def test_a_key_that_cannot_be_used_is_named_at_the_start(folder: Path) -> None:
    chain = {"DICOMFAB_WEB_CERTIFICATE": str(folder / "chain.pem")}
    home = folder / "home"
    missing = refused_start(home, **chain)
    assert "DICOMFAB_WEB_KEY" in missing
    assert "belong together" in missing
    assert "another certificate" in refused_start(home, **chain, DICOMFAB_WEB_KEY=str(folder / "other" / "key.pem"))
    nowhere = refused_start(home, **chain, DICOMFAB_WEB_KEY=str(folder / "nowhere.pem"), DICOMFAB_WEB_PORT="70000")
    assert "DICOMFAB_WEB_KEY" in nowhere
    assert "cannot be read" in nowhere
    assert "DICOMFAB_WEB_PORT" in nowhere


@pytest.mark.parametrize("host", ["::1"])
def test_any_loopback_address_is_this_computer(folder: Path, host: str) -> None:
    url = f"http://[{host}]" if ":" in host else f"http://{host}"
    with in_a_process(folder / "home", host=host) as served:
        assert f"{url}:{served.port}" in served.said[0]
        assert "this computer only" in served.said[0]
        client = browser(f"{url}:{served.port}", sender=host)
        assert sign_in(client, "anna").status_code == 303
        assert client.get("/users").status_code == 200
    with installation(folder / "home") as application:
        account = application.accounts.named(OWNER, "anna")
        assert application.sign_in.sessions(OWNER, account.id)[0].address == host
