"""Where a PostgreSQL database is, as a value. It loads nothing, so that settings can hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from dicomfab.model.errors import InvalidInput

DEFAULT_PORT: Final = 5432
_SCHEMES: Final = ("postgresql", "postgres")
_OPTIONS: Final = ("host", "passfile", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database on a PostgreSQL server.

    Args:
        database: its name.
        host: name or address; empty for the server's socket on this machine, or if ``host`` is among the options.
        port: of the server.
        user: empty for the name of the operating system's user.
        password: shown nowhere; empty if none is needed, or libpq finds it (``PGPASSWORD``, a password file).
        options: of libpq, as they stand behind the question mark.
    """

    database: str
    host: str = ""
    port: int = DEFAULT_PORT
    user: str = ""
    password: str = field(default="", repr=False)
    options: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        """For messages: without user and password."""
        return f"{self.database} on {self.host or self.options.get('host') or 'this machine'}:{self.port}"

    @classmethod
    def parse(cls, text: str, *, name: str) -> PostgresAddress:
        """Read a URL such as ``postgresql://user:secret@host:5432/database?sslmode=verify-full``.

        Args:
            text: the URL; special characters in user and password are percent-encoded.
            name: of the setting, for messages. They repeat nothing of the text, as any of it may be the password.

        Raises:
            InvalidInput: it cannot be used.
        """
        from urllib.parse import parse_qsl, unquote, urlsplit  # not for every command that needs no such database

        try:
            parts = urlsplit(text)
            port = parts.port or DEFAULT_PORT
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else ())
            given = [unquote(part or "", errors="strict") for part in (parts.hostname, parts.username, parts.password)]
            database = unquote(parts.path.removeprefix("/"), errors="strict")
        except ValueError:  # its message may quote the password
            raise _refused(name, "is not a URL that can be read") from None
        if parts.scheme not in _SCHEMES:
            raise _refused(name, "does not begin with postgresql://")
        if parts.fragment or "@" in parts.path or "/" in database or "\0" in "".join((*given, database)):
            raise _refused(name, "has a character in it that must be percent-encoded")
        if not database:
            raise _refused(name, "names no database")
        if options.keys() - set(_OPTIONS):
            known = ", ".join(_OPTIONS)
            raise _refused(name, f"has unknown options behind the question mark; known are {known}")
        host, user, password = given
        return cls(database, host, port, user, password, MappingProxyType(options))


def _refused(name: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{name}: the value {why}",
        field=name,
        cause="it is empty, for the SQLite file in the home folder, or the URL of a PostgreSQL database",
        remedy="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with @ : / ? # % in the password as %40 %3A %2F "
        "%3F %23 %25",
    )
