"""The page on TLS: its certificates work, and it names what the software names."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from dicomfab.dimse.tls_settings import TlsProfile, TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.tls import client_context, server_context
from dicomfab.registry.server import FIELD_NAMES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "user-guides" / "tls.md").read_text("utf-8")
CERTIFICATES = next(block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if "openssl req" in block)


def test_the_certificates_made_as_printed_work_on_both_sides(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["bash", "-e"], input=CERTIFICATES, cwd=tmp_path, text=True, capture_output=True, check=True)
    server = TlsServerSettings(
        str(tmp_path / "server.pem"), str(tmp_path / "server.key"), str(tmp_path / "ca.pem"), True
    )
    client = TlsSettings(str(tmp_path / "ca.pem"), str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
    for name in ("localhost", "127.0.0.1"):
        near, far = socket.socketpair()
        with near, far:
            thread = threading.Thread(target=_echo, args=(server_context(server), far))
            thread.start()
            with client_context(client).wrap_socket(near, server_hostname=name) as wrapped:
                wrapped.sendall(b"ping")
                assert wrapped.recv(4) == b"ping"
            thread.join()


def _echo(context: ssl.SSLContext, connection: socket.socket) -> None:
    with context.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.sendall(wrapped.recv(4))


def test_every_field_and_profile_is_explained():
    named = {name for name in FIELD_NAMES if name.startswith("tls")}
    for name in named:
        assert f"`{name}`" in PAGE
        assert f"`--{name.replace('_', '-')}`" in PAGE
    for profile in TlsProfile:
        assert f"| `{profile}` |" in PAGE
