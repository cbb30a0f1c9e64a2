"""A private PostgreSQL server on a free port, and databases on it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from dicomfab.storage.address import PostgresAddress
from dicomfab.storage.database import Database
from tests.peers.programs import free_port

_DEBIAN = Path("/usr/lib/postgresql")
_TEMPLATE = "migrated"
LOCKED_USER = "locked"
"""A user who needs a password, which nobody knows; all others need none."""


class PostgresServer:
    """A running server; every database on it is up to date when it is made.

    Args:
        port: on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = itertools.count(1)
        self.execute(f"CREATE ROLE {LOCKED_USER} LOGIN")
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        template = Database(self.address(_TEMPLATE))
        with template.read():
            pass
        template.close()

    def address(self, database: str, *, port: int | None = None) -> PostgresAddress:
        """Where a database is; ``port`` is that of a proxy in front of the server."""
        return PostgresAddress(database, "127.0.0.1", port or self.port, "owner")

    def url(self, database: str) -> str:
        """The same as a setting."""
        return f"postgresql://owner@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """The name of a new database, up to date or without any table; it is gone when the block ends."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _TEMPLATE}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the server's administrator."""
        place = {"host": "127.0.0.1", "port": self.port, "user": "owner", "dbname": database}
        with psycopg.connect(**place, autocommit=True) as connection:
            answer = connection.execute(statement)
            return answer.fetchall() if answer.description else []


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server with its data in a folder of its own, without durability; its absence is a visible skip."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    # Not below pytest's folder: only its owner may enter that, and the server refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="dicomfab-postgres-"))
    try:
        user = _unprivileged(folder)
        # Names sort as people expect, unlike bytes: what is sorted by name shows it.
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        _run([initdb, "--no-sync", "--auth=trust", "--username=owner", *locale, str(folder / "data")], user, folder)
        (folder / "data" / "pg_hba.conf").write_text(
            f"host all {LOCKED_USER} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": port,
            "max_connections": 200,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        control = [pg_ctl, "--pgdata", str(folder / "data"), "--log", str(folder / "log.txt"), "--wait"]
        _run([*control, "--options", options, "start"], user, folder)
        try:
            yield PostgresServer(port)
        finally:
            _run([*control, "--mode", "immediate", "stop"], user, folder)
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    """Debian keeps the server's programs outside the path, one folder for each version."""
    versions = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *map(str, versions))))
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI allows no skip")
    pytest.skip(f"{name} is not installed: run tools/debian_peers.sh")


def _unprivileged(folder: Path) -> dict[str, object]:
    """As whom to run the server: as ourselves, or as Debian's user for it if we are root."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "postgres", "postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def _run(command: list[str], user: dict[str, object], folder: Path) -> None:
    # Into a file: the server that pg_ctl starts would keep a pipe open.
    with (folder / "commands.txt").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, cwd=folder, timeout=60, check=False, **user)  # type: ignore[call-overload]
    if done.returncode:
        said = "\n".join(file.read_text(errors="replace") for file in sorted(folder.glob("*.txt")))
        pytest.fail(f"{command[0]} failed:\n{said}")
