"""How the pages may be served, and that every problem is told at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.app.web_settings import LOOPBACK_NAMES, Mode, load_web_settings
from dicomfab.model.errors import InvalidInput


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key."""
    return made(tmp_path_factory.mktemp("tls"))


def made(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=fab.example", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_nothing_said_is_mode_none_on_loopback() -> None:
    settings = load_web_settings({})
    assert settings.modes == (Mode.NONE,)
    assert settings.is_local


def test_requirement_3_mode_none_refuses_every_other_address() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7", "fab.example", "127.0.0.1.evil.example"):
        with pytest.raises(InvalidInput, match="mode none asks nobody"):
            load_web_settings({"DICOMFAB_WEB_HOST": host})
    for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost"):
        assert load_web_settings({"DICOMFAB_WEB_HOST": host}).is_local


def test_a_container_may_answer_to_localhost_alone_without_tls() -> None:
    """Its port is published on the loopback interface; a browser elsewhere would use another name, and be refused."""
    given = {"DICOMFAB_AUTH": "local", "DICOMFAB_WEB_HOST": "0.0.0.0", "DICOMFAB_WEB_NAMES": "localhost"}
    assert load_web_settings(given).all_names == LOOPBACK_NAMES
    with pytest.raises(InvalidInput, match="without TLS"):
        load_web_settings({**given, "DICOMFAB_WEB_NAMES": "localhost,fab.example"})
    with pytest.raises(InvalidInput, match="without TLS"):
        load_web_settings({**given, "DICOMFAB_WEB_HOST": "192.0.2.7"})
    with pytest.raises(InvalidInput, match="mode none"):
        load_web_settings({**given, "DICOMFAB_AUTH": "none"})


def test_every_problem_is_told_at_once() -> None:
    given = {
        "DICOMFAB_AUTH": "perhaps",
        "DICOMFAB_WEB_NAMES": "http://x",
        "DICOMFAB_WEB_PROXIES": "0.0.0.0/0",
        "DICOMFAB_WEB_KEY": "/nowhere/key.pem",
        "DICOMFAB_WEB_PORT": "70000",
    }
    with pytest.raises(InvalidInput) as caught:
        load_web_settings(given)
    for name in given:
        assert f"{name}: " in caught.value.what
    assert "nothing was started" in caught.value.remedy


def test_certificate_and_key_must_fit(pair: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = map(str, pair)
    tls = {"DICOMFAB_AUTH": "local", "DICOMFAB_WEB_CERTIFICATE": certificate, "DICOMFAB_WEB_KEY": key}
    assert load_web_settings({**tls, "DICOMFAB_WEB_HOST": "192.0.2.7"}).is_secure
    other = str(made(tmp_path)[1])
    with pytest.raises(InvalidInput) as caught:
        load_web_settings({**tls, "DICOMFAB_WEB_KEY": other})
    assert "another certificate" in caught.value.cause
    with pytest.raises(InvalidInput, match="belong together"):
        load_web_settings({**tls, "DICOMFAB_WEB_KEY": ""})
    with pytest.raises(InvalidInput, match="cannot be used together"):
        load_web_settings({**tls, "DICOMFAB_WEB_CERTIFICATE": __file__})


@given(
    mode=st.sampled_from(["", "none", "local"]),
    host=st.sampled_from(["", "127.0.0.1", "::1", "0.0.0.0", "192.0.2.7"]),
    names=st.sampled_from(["", "fab.example", "localhost", "localhost,fab.example"]),
    proxies=st.sampled_from(["", "10.0.0.5", "10.0.0.0/24, ::1"]),
    is_secure=st.booleans(),
)
def test_what_is_taken_is_safe(
    pair: tuple[Path, Path], mode: str, host: str, names: str, proxies: str, is_secure: bool
) -> None:
    environ = {
        "DICOMFAB_AUTH": mode,
        "DICOMFAB_WEB_HOST": host,
        "DICOMFAB_WEB_NAMES": names,
        "DICOMFAB_WEB_PROXIES": proxies,
        "DICOMFAB_WEB_CERTIFICATE": str(pair[0]) if is_secure else "",
        "DICOMFAB_WEB_KEY": str(pair[1]) if is_secure else "",
    }
    try:
        taken = load_web_settings(environ)
    except InvalidInput:
        assert mode != "local" or not host or host not in {"127.0.0.1", "::1"} or names
        return
    reaches_others = not taken.is_local or taken.names or taken.proxies
    if taken.asks_nobody:
        assert not reaches_others
    elif not taken.is_local or taken.names:
        assert taken.is_secure or taken.proxies or taken.all_names == LOOPBACK_NAMES
    if taken.host in {"0.0.0.0", "::"}:
        assert taken.names
