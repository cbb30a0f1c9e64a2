"""Searches that people keep under a name: what is asked and whom, never what was answered."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.study_filter import StudyFilter

if TYPE_CHECKING:
    from dicomfab.registry.registry import Registry

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search by name.

    Args:
        servers: ids or names; empty means all active ones.
        limit: matches per server.
    """

    name: str
    servers: tuple[str, ...]
    filter: StudyFilter
    limit: int


@dataclass(frozen=True, slots=True)
class RemovedSearch:
    """A search that was forgotten.

    Args:
        text: what its file held.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SavedSearches:
    """The saved searches of an installation: whoever may query all their environments sees and changes them.

    What is searched for may name a patient. So a search belongs where its servers do; one of all servers, where the
    person who saved it may query.

    Args:
        folder: a file each, readable by its owner only; made when the first is saved.
        registry: servers; without it none is known, and a server that is not known counts as production.
    """

    folder: Path
    registry: Callable[[], Registry] | None = None

    def every(self, actor: Actor) -> tuple[SavedSearch, ...]:
        """All that the actor may see, by name."""
        _require(actor)
        return tuple(_read(path) for path in sorted(self.folder.glob("*.json")) if _is_seen(actor, path))

    def load(self, actor: Actor, name: str) -> SavedSearch:
        """One of them.

        Raises:
            NotFound: there is none of this name.
            LocalFailure: its file is damaged.
        """
        _require(actor)
        path = self.folder / f"{name}.json"
        if not _NAME.fullmatch(name) or not path.is_file() or not _is_seen(actor, path):
            known = ", ".join(path.stem for path in sorted(self.folder.glob("*.json")) if _is_seen(actor, path))
            raise NotFound(
                f"there is no saved search {name!r}.",
                cause=f"the saved ones are: {known}" if known else "none was saved yet",
                remedy="save one first, or correct the name",
            )
        return _read(path)

    def save(self, actor: Actor, search: SavedSearch) -> None:
        """Keep a search under its name, in the place of an older one.

        Raises:
            InvalidInput: the name or a field cannot be used.
            Conflict: the name is that of a search which the actor does not see.
            LocalFailure: it cannot be written.
        """
        _require(actor)
        if not _NAME.fullmatch(search.name):
            raise InvalidInput(
                f"save: {search.name!r} cannot name a search",
                field="save",
                value=search.name,
                cause="a name has small letters, digits and hyphens, 64 at most",
                remedy="choose one such as ct-of-today",
            )
        search.filter.identifier()
        taken = self.folder / f"{search.name}.json"
        if taken.exists() and not _is_seen(actor, taken):
            raise Conflict(
                f"the name {search.name!r} is taken",
                cause="somebody saved a search of other servers under it, which you do not see",
                remedy="choose another name",
            )
        plain = {
            "servers": list(search.servers),
            "filter": asdict(search.filter),
            "limit": search.limit,
            "environments": sorted(self._environments(actor, search.servers)),
        }
        self._write(search.name, json.dumps(plain, indent=2, ensure_ascii=False))

    def remove(self, actor: Actor, name: str) -> RemovedSearch:
        """Forget one, and return what :meth:`put_back` needs.

        Raises:
            NotFound: there is none of this name.
            LocalFailure: its file is damaged.
        """
        self.load(actor, name)
        path = self.folder / f"{name}.json"
        try:
            removed = RemovedSearch(name, path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _damaged(path) from error
        path.unlink(missing_ok=True)
        return removed

    def put_back(self, actor: Actor, removed: RemovedSearch) -> None:
        """Keep a search that was forgotten, as it was, for the same people.

        Raises:
            AccessDenied: the actor may not query everywhere that it belongs.
            Conflict: there is another search of this name by now.
            LocalFailure: it cannot be written.
        """
        for environment in sorted(_belongs(removed.text)):
            require(actor, Action.QUERY, environment)
        if (self.folder / f"{removed.name}.json").exists():
            raise Conflict(
                f"the name {removed.name!r} is taken",
                cause="a search was saved under it meanwhile",
                remedy="forget that one first, if it is not wanted",
            )
        self._write(removed.name, removed.text)

    def _write(self, name: str, text: str) -> None:
        part = self.folder / f".{name}.{os.getpid()}.part"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.touch(mode=0o600)
            part.write_text(text, "utf-8")
            part.replace(self.folder / f"{name}.json")
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LocalFailure(
                f"the search cannot be saved in {self.folder} ({error.strerror})",
                cause="the disk is full, or the folder cannot be written",
                remedy="check free space and permissions",
            ) from error

    def _environments(self, actor: Actor, labels: tuple[str, ...]) -> frozenset[Environment]:
        if not labels:
            return visible(actor, Action.QUERY)
        registry = self.registry() if self.registry is not None else None
        return frozenset(_environment(registry, label) for label in labels)


def _require(actor: Actor) -> None:
    if not visible(actor, Action.QUERY):
        require(actor, Action.QUERY, Environment.TEST)


def _environment(registry: Registry | None, label: str) -> Environment:
    try:
        return Environment.PROD if registry is None else registry.find(label).environment
    except NotFound:
        return Environment.PROD


def _is_seen(actor: Actor, path: Path) -> bool:
    """Whether the actor may query everywhere that a search belongs; one that does not say belongs everywhere."""
    seen = visible(actor, Action.QUERY)
    try:
        return _belongs(path.read_text("utf-8")) <= seen
    except (OSError, ValueError):
        return seen == frozenset(Environment)


def _belongs(text: str) -> frozenset[Environment]:
    try:
        return frozenset(Environment(one) for one in json.loads(text)["environments"])
    except (ValueError, KeyError, TypeError):
        return frozenset(Environment)


def _read(path: Path) -> SavedSearch:
    try:
        plain = json.loads(path.read_text("utf-8"))
        known = {field.name for field in fields(StudyFilter)}
        given = {name: value for name, value in plain["filter"].items() if name in known}
        search = StudyFilter(**{**given, "keys": tuple(given.get("keys", ()))})
        return SavedSearch(path.stem, tuple(plain["servers"]), search, int(plain["limit"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> LocalFailure:
    return LocalFailure(
        f"the saved search {path} cannot be read",
        cause="the file is damaged, or was written by hand",
        remedy="remove the file and save the search again",
    )
