"""Real reverse proxies, set up by the blocks of a page, on free ports of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.peers.programs import free_port, program

NGINX: Final = """\
daemon off;
pid nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
{block}
}}
"""
APACHE: Final = """\
ServerRoot {folder}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
{user}
{modules}
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{secure}
{block}
"""
MODULES: Final = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "proxy", "proxy_http", "headers", "alias")


@dataclass(frozen=True)
class Proxy:
    """A running one: where it speaks TLS, and where it does not."""

    secure: int
    plain: int
    folder: Path


def adapted(block: str, ports: Mapping[str, int], files: Path) -> str:
    """A block of the page with this machine's ports and files; everything else stays as printed."""
    swaps = {
        "listen 80;": f"listen 127.0.0.1:{ports['plain']};",
        "listen 443 ssl;": f"listen 127.0.0.1:{ports['secure']} ssl;",
        "*:80>": f"127.0.0.1:{ports['plain']}>",
        "*:443>": f"127.0.0.1:{ports['secure']}>",
        "127.0.0.1:5001": f"127.0.0.1:{ports['served']}",
        "/etc/dicomfab/": f"{files}/",
    }
    found = {old for old in swaps if old in block}
    assert len(found) == 4, found
    for old in found:
        block = block.replace(old, swaps[old])
    return block


@contextmanager
def nginx(block: str, served: int, files: Path, folder: Path) -> Iterator[Proxy]:
    """Nginx with a block of the page.

    Args:
        block: as printed.
        served: the port behind it.
        files: folder of chain.pem and key.pem.
        folder: for what it writes.
    """
    ports = {"plain": free_port(), "secure": free_port(), "served": served}
    path = folder / "nginx.conf"
    user = "user root;" if _is_root() else ""
    path.write_text(NGINX.format(block=adapted(block, ports, files), user=user), "utf-8")
    command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(path)]
    with _running(command, ports["secure"], folder):
        yield Proxy(ports["secure"], ports["plain"], folder)


@contextmanager
def apache(block: str, served: int, files: Path, folder: Path) -> Iterator[Proxy]:
    """Apache with a block of the page; arguments as of :func:`nginx`."""
    ports = {"plain": free_port(), "secure": free_port(), "served": served}
    path = folder / "apache.conf"
    place = Path("/usr/lib/apache2/modules")
    modules = "\n".join(f"LoadModule {name}_module {place}/mod_{name}.so" for name in MODULES)
    user = "User www-data\nGroup www-data" if _is_root() else ""
    text = APACHE.format(folder=folder, user=user, modules=modules, block=adapted(block, ports, files), **ports)
    path.write_text(text, "utf-8")
    with _running([program("apache2"), "-f", str(path), "-D", "FOREGROUND"], ports["secure"], folder):
        yield Proxy(ports["secure"], ports["plain"], folder)


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        try:
            _await(process, port, folder)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _await(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    said = "\n".join(file.read_text(errors="replace") for file in folder.glob("*.[tl]*g") if file.is_file())
    pytest.fail(f"{process.args} did not start:\n{(folder / 'said.txt').read_text(errors='replace')}\n{said}")


def _is_root() -> bool:
    return os.geteuid() == 0
