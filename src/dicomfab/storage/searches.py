"""Results of searches: an SQLite file each, since they are large and short-lived.

Every row says which environment it came from; whoever reads names the environments that he may see.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    NullPool,
    RowMapping,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy import exc as sql_errors

from dicomfab.model.errors import LocalFailure, NotFound
from dicomfab.storage.search_rows import FETCHED, MergedMatch, Rows, StoredMatch, Wanted

#: How long results are kept, in seconds.
KEPT_S: Final = 24 * 3600.0
_ID: Final = re.compile(r"[A-Za-z0-9_-]{16}")
_BUSY_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What one server said, without its matches.

    Args:
        place: of the server among those asked.
        environment: blank for a server that the searcher may not see.
        state: in words; ``waiting`` until it has answered.
        error: why it failed, as :meth:`dicomfab.model.errors.DicomFabError.as_dict` gives it.
        warning: of an answer that came, but not without reservation.
        notes: what else is to be known about it.
        found: its matches that are kept.
        truncated: there were more than the limit.
    """

    place: int
    server_id: str
    name: str
    environment: str
    state: str = "waiting"
    error: Mapping[str, Any] | None = None
    warning: str = ""
    notes: tuple[str, ...] = ()
    found: int = 0
    truncated: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredSearch:
    """A search that was made.

    Args:
        id: cannot be guessed.
        owner: name of the actor who made it.
        created: seconds since 1970.
        spec: what was asked, as plain values.
        columns: names of the values of each match.
        numeric: those of them that are numbers.
        answers: one for each server, in the order in which they were chosen.
        state: ``new``, ``running`` or ``done``.
    """

    id: str
    owner: str
    created: float
    spec: Mapping[str, Any]
    columns: tuple[str, ...]
    numeric: frozenset[str]
    answers: tuple[StoredAnswer, ...]
    state: str = "new"


_meta = MetaData()
_search = Table(
    "search",
    _meta,
    Column("owner", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("numeric", Text, nullable=False),
)
_answer = Table(
    "answer",
    _meta,
    Column("place", Integer, primary_key=True),
    Column("server_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("warning", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("found", Integer, nullable=False),
    Column("truncated", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
)
_messages = Table(
    "messages",
    _meta,
    Column("place", Integer, primary_key=True),
    Column("log", Text, nullable=False),
)


def new_id() -> str:
    """An id for a search, which cannot be guessed."""
    return secrets.token_urlsafe(12)


class SearchStore:
    """The searches of an installation.

    Args:
        folder: a file each; made when the first is kept, readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = threading.Lock()

    def create(
        self, owner: str, spec: Mapping[str, Any], columns: Sequence[str], numeric: frozenset[str],
        answers: Sequence[StoredAnswer], search_id: str = "",
    ) -> str:  # fmt: skip
        """Note a search before anybody is asked; returns its id: the one given, of :func:`new_id`, or a new one.

        Raises:
            LocalFailure: the file cannot be written.
        """
        search_id = search_id or new_id()
        path = self._path(search_id)
        with self._reported(path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
            engine = _engine(path)
            try:
                raw = engine.raw_connection()
                raw.cursor().execute("PRAGMA journal_mode = WAL")
                raw.close()
                with _write(engine) as connection:
                    _meta.create_all(connection)
                    Rows(columns, numeric).meta.create_all(connection)
                    row = {"owner": owner, "created": time.time(), "state": "new", "spec": json.dumps(spec)}
                    names = {"columns": json.dumps(list(columns)), "numeric": json.dumps(sorted(numeric))}
                    connection.execute(insert(_search), {**row, **names})
                    if answers:
                        connection.execute(insert(_answer), [_answer_row(answer) for answer in answers])
            finally:
                engine.dispose()
        return search_id

    @contextlib.contextmanager
    def asking(self, search_id: str) -> Iterator[None]:
        """Show other processes, for as long as it lasts, that somebody is asking; it ends with the process."""
        beside = self._beside(search_id)
        beside.touch(mode=0o600)
        with beside.open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield

    def is_abandoned(self, search: StoredSearch) -> bool:
        """Whether a search was begun and nobody is asking any more: the process that did was ended."""
        if search.state != "running":
            return False
        try:
            with self._beside(search.id).open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return self.find(search.id).state == "running"  # it may have ended in the meantime

    def _beside(self, search_id: str) -> Path:
        # A file of its own: closing a second handle of the database would give up the locks of SQLite on it.
        return self._path(search_id).with_suffix(".asking")

    def claim(self, search_id: str) -> bool:
        """Begin to ask; false if somebody has begun before."""
        with self._writer(search_id) as connection:
            begun = connection.execute(update(_search).where(_search.c.state == "new").values(state="running"))
            return begun.rowcount == 1

    def reopen(self, search: StoredSearch, places: Sequence[int]) -> None:
        """Forget what some servers said, since they are asked again."""
        with self._writer(search.id) as connection:
            Rows(search.columns, search.numeric).unsettle(connection, places)
            for answer in search.answers:
                if answer.place in places:
                    where = _answer.c.place == answer.place
                    waiting = StoredAnswer(answer.place, answer.server_id, answer.name, answer.environment)
                    connection.execute(update(_answer).where(where).values(**_answer_row(waiting)))
                    connection.execute(delete(_messages).where(_messages.c.place == answer.place))
            connection.execute(update(_search).values(state="running"))

    def finish(self, search: StoredSearch) -> None:
        """Note that nobody is asked any more."""
        with self._writer(search.id) as connection:
            Rows(search.columns, search.numeric).settle(connection)
            connection.execute(update(_search).values(state="done"))

    def keep(
        self, search: StoredSearch, place: int, environment: str, rows: Sequence[tuple[str, Sequence[str | None]]]
    ) -> None:
        """Add matches of one server: the key and the values of each, in the order of the columns."""
        with self._writer(search.id) as connection:
            Rows(search.columns, search.numeric).add(connection, place, environment, rows)

    def answered(self, search_id: str, answer: StoredAnswer, messages: Mapping[str, Any] | None = None) -> None:
        """Note what a server said, and the messages in which it was asked and said it."""
        with self._writer(search_id) as connection:
            where = _answer.c.place == answer.place
            connection.execute(update(_answer).where(where).values(**_answer_row(answer)))
            connection.execute(delete(_messages).where(_messages.c.place == answer.place))
            if messages is not None:
                row = {"place": answer.place, "log": json.dumps(messages, default=str)}
                connection.execute(insert(_messages), row)

    def messages(self, search_id: str, place: int) -> Mapping[str, Any] | None:
        """The messages with a server; ``None`` if none are kept."""
        with self._reader(search_id) as connection:
            log = connection.execute(select(_messages.c.log).where(_messages.c.place == place)).scalar()
        found: Mapping[str, Any] | None = None if log is None else json.loads(log)
        return found

    def find(self, search_id: str) -> StoredSearch:
        """The search with this id.

        Raises:
            NotFound: there is none, or none any more.
        """
        with self._reader(search_id) as connection:
            row = connection.execute(select(_search)).mappings().first()
            if row is None:
                raise _gone(search_id)
            found = connection.execute(select(_answer).order_by(_answer.c.place)).mappings()
            answers = tuple(_stored_answer(answer) for answer in found)
        numeric = frozenset(json.loads(row["numeric"]))
        columns = tuple(json.loads(row["columns"]))
        spec = json.loads(row["spec"])
        return StoredSearch(search_id, row["owner"], row["created"], spec, columns, numeric, answers, row["state"])

    def page(self, search: StoredSearch, wanted: Wanted, limit: int, offset: int) -> tuple[int, list[StoredMatch]]:
        """How many matches there are, and some of them."""
        with self._reader(search.id) as connection:
            return _rows(search, wanted).page(connection, wanted, limit, offset)

    def merged(self, search: StoredSearch, wanted: Wanted, limit: int, offset: int) -> tuple[int, list[MergedMatch]]:
        """How many different patients, studies, series or instances there are, and some of them."""
        with self._reader(search.id) as connection:
            return _rows(search, wanted).merged(connection, wanted, limit, offset)

    def of_keys(self, search: StoredSearch, wanted: Wanted, keys: Sequence[str]) -> list[StoredMatch]:
        """The matches of these keys, of every server that has them."""
        with self._reader(search.id) as connection:
            return _rows(search, wanted).of_keys(connection, wanted, keys)

    def rows(self, search: StoredSearch, wanted: Wanted) -> Iterator[StoredMatch]:
        """All matches, without holding them in memory."""
        with self._reader(search.id) as connection:
            yield from _rows(search, wanted).all(connection, wanted)

    def all_merged(self, search: StoredSearch, wanted: Wanted) -> Iterator[MergedMatch]:
        """All, merged, without holding them in memory."""
        offset = 0
        while True:
            _, page = self.merged(search, wanted, FETCHED, offset)
            yield from page
            if len(page) < FETCHED:
                return
            offset += len(page)

    def remove(self, search_id: str) -> None:
        """Remove a search and its results, if it is there."""
        path = self._path(search_id)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.with_suffix(".asking").unlink(missing_ok=True)

    def purge(self, older_than_s: float = KEPT_S) -> int:
        """Remove what is older; returns how many searches."""
        count = 0
        for path in self._folder.glob("*.sqlite3"):
            with contextlib.suppress(FileNotFoundError):  # another process may be doing the same
                if time.time() - path.stat().st_mtime > older_than_s:
                    self.remove(path.stem)
                    count += 1
        return count

    def _path(self, search_id: str) -> Path:
        if not _ID.fullmatch(search_id):
            raise _gone(search_id)
        return self._folder / f"{search_id}.sqlite3"

    @contextlib.contextmanager
    def _reader(self, search_id: str) -> Iterator[Connection]:
        path = self._path(search_id)
        if not path.is_file():
            raise _gone(search_id)
        engine = _engine(path)
        try:
            with self._reported(path), engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def _writer(self, search_id: str) -> Iterator[Connection]:
        path = self._path(search_id)
        if not path.is_file():
            raise _gone(search_id)
        engine = _engine(path)
        try:
            with self._reported(path), self._writing, _write(engine) as connection:
                yield connection
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def _reported(self, path: Path) -> Iterator[None]:
        try:
            yield
        except (sql_errors.DatabaseError, OSError) as error:
            # The driver's own words may quote values of the statement.
            reason = str(getattr(error, "orig", None) or type(error).__name__)
            raise LocalFailure(
                f"the results in {path} cannot be kept or read ({reason})",
                cause="the disk is full, the folder cannot be written, or the file is damaged",
                remedy="check free space and permissions, then search again",
            ) from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_TIMEOUT_S}, poolclass=NullPool
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin in _write alone
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut takes is asked for again
        connection.execute("PRAGMA temp_store = MEMORY")

    event.listen(engine, "connect", on_connect)
    return engine


@contextlib.contextmanager
def _write(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


def _rows(search: StoredSearch, wanted: Wanted) -> Rows:
    hidden = any(answer.found and answer.environment not in wanted.environments for answer in search.answers)
    settled = search.state == "done"
    return Rows(search.columns, search.numeric, settled=settled, hidden=hidden or not settled)


def _answer_row(answer: StoredAnswer) -> dict[str, Any]:
    return {
        "place": answer.place,
        "server_id": answer.server_id,
        "name": answer.name,
        "environment": answer.environment,
        "state": answer.state,
        "error": None if answer.error is None else json.dumps(dict(answer.error), default=str),
        "warning": answer.warning,
        "notes": json.dumps(list(answer.notes)),
        "found": answer.found,
        "truncated": int(answer.truncated),
        "seconds": answer.seconds,
    }


def _stored_answer(row: RowMapping) -> StoredAnswer:
    given: dict[str, Any] = {str(name): value for name, value in row.items()}
    error = given.pop("error")
    return StoredAnswer(
        **{
            **given,
            "error": None if error is None else json.loads(error),
            "notes": tuple(json.loads(given["notes"])),
            "truncated": bool(given["truncated"]),
        }
    )


def _gone(search_id: str) -> NotFound:
    return NotFound(
        f"there are no results of a search {search_id[:20]!r}.",
        cause="results are kept for a day, and are seen by whoever searched only",
        remedy="search again",
    )
