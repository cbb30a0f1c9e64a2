"""The rows of one search: their tables, and which of them a view wants, in which order."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

FETCHED: Final = 1000
#: The counts that a merged row compares.
COUNTS: Final = ("series", "instances")
# Fewer are sorted as quickly without an index as one is made.
_WORTH_AN_INDEX: Final = 2000


@dataclass(frozen=True, slots=True)
class StoredMatch:
    """One match.

    Args:
        number: of the row.
        place: of its server.
        key: what identifies the patient, study, series or instance on every server.
        values: in the order of the search's columns; ``None`` is what the server did not return.
    """

    number: int
    place: int
    key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class MergedMatch:
    """The same patient, study, series or instance on several servers.

    Args:
        matches: one for each time that a server named it.
        differs: the counts that servers give differently: ``series``, ``instances``.
    """

    key: str
    matches: tuple[StoredMatch, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, and in which order.

    Args:
        environments: nothing of another one is read.
        place: of one server only; merged, what that server has, wherever else it is.
        text: each word occurs in a row, whatever its case and accents.
        sort: a column; blank is the order in which they came.
        descending: the other way round. What is not known is the smallest.
    """

    environments: frozenset[str]
    place: int | None = None
    text: str = ""
    sort: str = ""
    descending: bool = False


class Rows:
    """The rows of one search.

    Args:
        columns: names of the values of each match.
        numeric: those of them that are numbers.
        settled: nobody adds rows any more, and :meth:`settle` has been there.
        hidden: there are rows of environments that the reader may not see.
    """

    def __init__(
        self, columns: Sequence[str], numeric: frozenset[str], *, settled: bool = False, hidden: bool = True
    ) -> None:
        self._settled = settled
        self._hidden = hidden
        self._columns = tuple(columns)
        self._numeric = numeric
        self.meta = MetaData()
        self._match = Table(
            "match",
            self.meta,
            Column("id", Integer, primary_key=True),
            Column("place", Integer, nullable=False),
            Column("environment", Text, nullable=False),
            Column("key", Text, nullable=False),
            Column("first", Integer, nullable=False),  # 1: of its key on its server, 2: on all servers
            *(Column(f"c{number}", Text) for number in range(len(columns))),
        )
        # Apart, so that looking for a word reads little else.
        self._word = Table("word", self.meta, Column("id", Integer, primary_key=True), Column("text", Text))
        self._hit = Table("hit", MetaData(), Column("id", Integer, primary_key=True), prefixes=["TEMPORARY"])
        match = self._match.c
        Index("match_key", match.key, match.id, match.environment, match.place)
        self._by_name: Mapping[str, Column[Any]] = {n: match[f"c{i}"] for i, n in enumerate(columns)}

    def add(
        self, connection: Connection, place: int, environment: str, rows: Sequence[tuple[str, Sequence[str | None]]]
    ) -> None:
        """Add matches of one server: the key and the values of each."""
        last = connection.execute(select(func.max(self._match.c.id))).scalar() or 0
        names = [f"c{number}" for number in range(len(self._columns))]
        fixed = {"place": place, "environment": environment, "first": 0}
        added = [
            {**fixed, "id": number, "key": key, **dict(zip(names, values, strict=True))}
            for number, (key, values) in enumerate(rows, last + 1)
        ]
        words = [{"id": number, "text": folded(values)} for number, (_, values) in enumerate(rows, last + 1)]
        if added:
            connection.execute(insert(self._match), added)
            connection.execute(insert(self._word), words)

    def settle(self, connection: Connection) -> None:
        """Once all rows are there: note which are the first of their key, and make large results quick to sort."""
        match = self._match.c
        here = select(func.min(match.id)).group_by(match.key, match.place)
        everywhere = select(func.min(match.id)).group_by(match.key)
        connection.execute(update(self._match).where(match.id.in_(here)).values(first=1))
        connection.execute(update(self._match).where(match.id.in_(everywhere)).values(first=2))
        if (connection.execute(select(func.count()).select_from(self._match)).scalar() or 0) < _WORTH_AN_INDEX:
            return
        # All that a page asks of a row is in the index: the rows themselves, which are wide, are not read.
        rest = (match.id, match.first, match.environment, match.place)
        Index("came", *rest).create(connection)
        for name, column in self._by_name.items():
            if connection.execute(select(column).where(column.is_not(None)).limit(1)).first() is not None:
                Index(f"by_{column.name}", self._value(name), *rest).create(connection)

    def unsettle(self, connection: Connection, places: Sequence[int]) -> None:
        """Forget the matches of some servers, and take rows again: the other way round than :meth:`settle`."""
        match = self._match.c
        for name in ("came", *(f"by_{column.name}" for column in self._by_name.values())):
            connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
        gone = select(match.id).where(match.place.in_(places))
        connection.execute(delete(self._word).where(self._word.c.id.in_(gone)))
        connection.execute(delete(self._match).where(match.place.in_(places)))
        connection.execute(update(self._match).where(match.first != 0).values(first=0))

    def page(self, connection: Connection, wanted: Wanted, limit: int, offset: int) -> tuple[int, list[StoredMatch]]:
        """How many rows there are, and some of them."""
        total, ids = self._ids(connection, wanted, self._conditions(connection, wanted), limit, offset)
        found = connection.execute(select(self._match).where(self._match.c.id.in_(ids)))
        by_id = {match.number: match for match in map(_stored_match, found)}
        return total, [by_id[number] for number in ids]

    def merged(self, connection: Connection, wanted: Wanted, limit: int, offset: int) -> tuple[int, list[MergedMatch]]:
        """How many different keys there are, and some of them with all their rows."""
        total, ids = self._ids(connection, wanted, self._conditions(connection, wanted, first=True), limit, offset)
        match = self._match.c
        found = connection.execute(select(match.id, match.key).where(match.id.in_(ids)))
        keys = {number: key for number, key in found}  # noqa: C416 (rows are no pairs to the type checker)
        by_key: dict[str, list[StoredMatch]] = {keys[number]: [] for number in ids}
        rows = select(self._match).where(match.key.in_(by_key), match.environment.in_(sorted(wanted.environments)))
        for row in map(_stored_match, connection.execute(rows.order_by(match.place, match.id))):
            by_key[row.key].append(row)
        return total, [MergedMatch(key, tuple(found), self._differing(found)) for key, found in by_key.items()]

    def of_keys(self, connection: Connection, wanted: Wanted, keys: Sequence[str]) -> list[StoredMatch]:
        """The rows of these keys, on every server that the reader may see."""
        match = self._match.c
        rows = select(self._match).where(match.environment.in_(sorted(wanted.environments))).order_by(match.id)
        found: list[StoredMatch] = []
        for start in range(0, len(keys), FETCHED):
            asked = rows.where(match.key.in_(keys[start : start + FETCHED]))
            found += map(_stored_match, connection.execute(asked))
        return found

    def all(self, connection: Connection, wanted: Wanted) -> Iterator[StoredMatch]:
        """All rows, without holding them in memory."""
        query = select(self._match).where(*self._conditions(connection, wanted)).order_by(*self._order(wanted))
        for row in connection.execution_options(yield_per=FETCHED).execute(query):
            yield _stored_match(row)

    def _ids(
        self, connection: Connection, wanted: Wanted, conditions: Sequence[ColumnElement[bool]], limit: int, offset: int
    ) -> tuple[int, Sequence[int]]:
        match = self._match.c
        all_of_them = select(func.count(match.id)).where(*conditions)
        if wanted.text.strip():
            all_of_them = select(func.count()).select_from(self._hit)
        total = connection.execute(all_of_them).scalar_one()
        ids: Select[Any] = select(match.id).where(*conditions).order_by(*self._order(wanted))
        return total, connection.execute(ids.limit(limit).offset(offset)).scalars().all()

    def _conditions(self, connection: Connection, wanted: Wanted, *, first: bool = False) -> list[ColumnElement[bool]]:
        """What holds for the rows that are wanted; for those alone, if asked for, that are the first of their key."""
        match = self._match.c
        seen = self._seen(self._match, wanted)
        words = [func.instr(self._word.c.text, word) > 0 for word in _fold(wanted.text).split()]
        if not words:
            return [*seen, self._is_first(wanted)] if first else seen
        # Looked for once, and noted for all that is asked about them.
        hits = select(self._word.c.id).where(*words)
        if first:
            hits = select(func.min(match.id)).where(match.id.in_(hits), *seen).group_by(match.key)
        elif seen:
            hits = select(match.id).where(match.id.in_(hits), *seen)
        self._hit.create(connection)
        connection.execute(insert(self._hit).from_select(["id"], hits))
        # Not as a join: then SQLite would sort what it finds rather than walk the index that is sorted.
        return [exists().where(self._hit.c.id == match.id)]

    def _seen(self, table: Any, wanted: Wanted) -> list[ColumnElement[bool]]:
        conditions = []
        if self._hidden:
            conditions.append(table.c.environment.in_(sorted(wanted.environments)))
        if wanted.place is not None:
            conditions.append(table.c.place == wanted.place)
        return conditions

    def _is_first(self, wanted: Wanted) -> ColumnElement[bool]:
        """Of its key, among the rows that may be seen."""
        match = self._match.c
        if self._settled and not self._hidden:
            return match.first >= 1 if wanted.place is not None else match.first == 2
        other = self._match.alias()
        return ~exists().where(other.c.key == match.key, other.c.id < match.id, *self._seen(other, wanted))

    def _value(self, name: str) -> ColumnElement[Any]:
        column = self._by_name[name]
        return cast(column, Integer) if name in self._numeric else func.lower(column)

    def _order(self, wanted: Wanted) -> list[ColumnElement[Any]]:
        order = [self._value(wanted.sort)] if wanted.sort in self._by_name else []
        order.append(self._match.c.id)
        return [value.desc() for value in order] if wanted.descending else order

    def _differing(self, matches: Sequence[StoredMatch]) -> tuple[str, ...]:
        """The counts of which two servers report different numbers; what is unknown differs from nothing."""
        found = []
        for kind in COUNTS:
            places = [n for n, name in enumerate(self._columns) if name.endswith(f"Related{kind.capitalize()}")]
            if any(len({m.values[place] for m in matches} - {None, ""}) > 1 for place in places):
                found.append(kind)
        return tuple(found)


def folded(values: Sequence[str | None]) -> str:
    """What a text is looked for in: without case and accents."""
    return _fold("\n".join(value for value in values if value))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _stored_match(row: Any) -> StoredMatch:
    number, place, _environment, key, _first, *values = row
    return StoredMatch(number, place, key, tuple(values))
