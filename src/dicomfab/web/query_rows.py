"""Chosen rows of a search: a study on a server, ``server|study``, or a series of it, ``server|study|series``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import is_uid, uid
from dicomfab.registry.server import PacsServer
from dicomfab.services.search_found import Found

#: An address has to hold them; larger work is a list.
MOST_ROWS: Final = 500
_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class Part:
    """A study on a server, or a series of it.

    Args:
        source: id of the server.
        series: blank for the whole study.
    """

    source: str
    study: str
    series: str = ""

    def __str__(self) -> str:
        return _SEPARATOR.join(filter(None, (self.source, self.study, self.series)))


@dataclass(frozen=True, slots=True)
class Task:
    """What one job does: studies of one server, or series of one study.

    Args:
        studies: Study Instance UIDs; one if there are series.
        series: Series Instance UIDs.
    """

    source: PacsServer
    studies: tuple[str, ...]
    series: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another server that holds all of the chosen studies.

    Args:
        name, environment: of the server.
        rows: the same studies there.
        instances: how many it says that there are; ``None`` if it does not.
    """

    name: str
    environment: str
    rows: tuple[str, ...]
    instances: int | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen rows, and what the search knows of them.

    Args:
        parts: each once; no series of a study that is chosen itself.
        sources: their servers.
        held: Study Instance UID -> what each server said of it; empty without a search.
    """

    parts: tuple[Part, ...]
    sources: tuple[PacsServer, ...]
    held: dict[str, list[Found]]

    @property
    def studies(self) -> int:
        """Whole studies."""
        return sum(not part.series for part in self.parts)

    @property
    def series(self) -> int:
        """Series of other studies."""
        return len(self.parts) - self.studies

    @property
    def instances(self) -> int | None:
        """As the servers counted them; ``None`` if they did not, or if series are among them."""
        counts = [self._instances(part) for part in self.parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def tasks(self) -> list[Task]:
        """What the jobs are to do, server by server."""
        found: list[Task] = []
        for source in self.sources:
            own = [part for part in self.parts if part.source == source.id]
            whole = tuple(part.study for part in own if not part.series)
            if whole:
                found.append(Task(source, whole))
            for study in dict.fromkeys(part.study for part in own if part.series):
                series = tuple(part.series for part in own if part.study == study and part.series)
                found.append(Task(source, (study,), series))
        return found

    @property
    def elsewhere(self) -> list[Elsewhere]:
        """Servers that are not asked for any of it, and said that they hold all of the studies."""
        if self.series:
            return []
        own = {part.source for part in self.parts}
        studies = list(dict.fromkeys(part.study for part in self.parts))
        answers = {one.answer.server_id: one.answer for found in self.held.values() for one in found}
        others = []
        for server_id, answer in answers.items():
            rows = tuple(Part(server_id, study) for study in studies)
            there = {
                study for study in studies for one in self.held.get(study, ()) if one.answer.server_id == server_id
            }
            if server_id in own or len(there) < len(studies):
                continue
            counts = [self._instances(row) for row in rows]
            known = [count for count in counts if count is not None]
            total = sum(known) if len(known) == len(counts) else None
            others.append(Elsewhere(answer.name, answer.environment, tuple(map(str, rows)), total))
        return others

    def _instances(self, part: Part) -> int | None:
        if part.series:
            return None
        found = [one.match for one in self.held.get(part.study, ()) if one.answer.server_id == part.source]
        return found[0].instances if found else None


def rows_of(given: Sequence[str]) -> tuple[str, ...]:
    """What of an address can be a row, each once."""
    return tuple(dict.fromkeys(one for one in given if _part(one) is not None))[:MOST_ROWS]


def chosen_of(application: Application, actor: Actor, given: Sequence[str], search_id: str = "") -> Chosen:
    """The rows that a form or an address names.

    Args:
        application: the installation.
        actor: who asks.
        given: the rows.
        search_id: of the search that found them, if its results are still there.

    Raises:
        InvalidInput: none, too many, or what is no row.
        NotFound: there is no such server, or no such search of this actor.
        AccessDenied: the actor may not see a server.
    """
    rows = tuple(dict.fromkeys(given))
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InvalidInput(
            f"row: {len(rows) or 'no'} rows are chosen",
            field="row",
            value="",
            cause=f"1 to {MOST_ROWS} are taken at once",
            remedy="tick rows of the results; for more, use a list: /query/list",
        )
    parts = [_checked(row) for row in rows]
    whole = {(part.source, part.study) for part in parts if not part.series}
    parts = [part for part in parts if not part.series or (part.source, part.study) not in whole]
    sources = tuple(application.pacs.get(actor, one) for one in dict.fromkeys(part.source for part in parts))
    studies = list(dict.fromkeys(part.study for part in parts))
    held = application.searches.held(actor, search_id, studies) if search_id else {}
    return Chosen(tuple(parts), sources, held)


def _part(row: str) -> Part | None:
    source, _, rest = row.partition(_SEPARATOR)
    study, _, series = rest.partition(_SEPARATOR)
    if not source or not is_uid(study) or (series and not is_uid(series)):
        return None
    return Part(source, study, series)


def _checked(row: str) -> Part:
    part = _part(row)
    if part is None:
        uid(row.split(_SEPARATOR)[1] if _SEPARATOR in row else "", field="row")
        raise InvalidInput(f"row: {row[:80]!r} names no study on a server", field="row", value=row[:80])
    return part
