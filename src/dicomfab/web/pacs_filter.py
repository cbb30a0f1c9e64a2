"""Which servers the pages of PACS Management show; the address holds it, so that it can be shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from dicomfab.registry.server import PacsServer, label_key
from dicomfab.services.pacs import ServerOverview
from dicomfab.web.templating import query_string

STATES: Final[tuple[tuple[str, str], ...]] = (
    ("", "Any state"),
    ("ok", "Last test OK"),
    ("failed", "Last test failed"),
    ("never", "Never tested"),
    ("inactive", "Inactive"),
)
_ENVIRONMENTS: Final = (("", "Any environment"), ("test", "test"), ("prod", "prod"))
_LEAST_MARK: Final = "yes"


@dataclass(frozen=True, slots=True)
class ServerFilter:
    """What is asked of the servers to be shown; blank asks nothing.

    Args:
        text: is part of the name, id, host, AE title or description.
        environment: ``test`` or ``prod``.
        group: one word of the server's groups.
        state: one of ``STATES``.
        favourites: ``yes`` for those that the actor marked.
    """

    text: str = ""
    environment: str = ""
    group: str = ""
    state: str = ""
    favourites: str = ""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Of the address, those that ask something."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def address(self) -> str:
        """The same behind a question mark, or nothing."""
        return f"?{query_string(self.parameters)}" if self.parameters else ""

    @property
    def environments(self) -> tuple[tuple[str, str], ...]:
        """What can be chosen."""
        return _ENVIRONMENTS

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        """What can be chosen."""
        return STATES

    def chosen(self, rows: Iterable[ServerOverview], favourites: frozenset[str]) -> tuple[ServerOverview, ...]:
        """The servers that pass."""
        return tuple(row for row in rows if self._passes(row, favourites))

    def _passes(self, row: ServerOverview, favourites: frozenset[str]) -> bool:
        server, test = row.server, row.last_test
        by_state: Mapping[str, Callable[[], bool]] = {
            "ok": lambda: test is not None and test.ok,
            "failed": lambda: test is not None and not test.ok,
            "never": lambda: test is None,
            "inactive": lambda: not server.is_active,
        }
        return (
            (not self.text or _holds(server, self.text))
            and self.environment in ("", str(server.environment))
            and (not self.group or label_key(self.group) in map(label_key, server.groups))
            and by_state.get(self.state, lambda: True)()
            and (self.favourites != _LEAST_MARK or server.id in favourites)
        )


def _holds(server: PacsServer, text: str) -> bool:
    wanted = label_key(text.strip())
    return any(
        wanted in label_key(part) for part in (server.name, server.id, server.host, server.aec, server.description)
    )


def groups_of(servers: Iterable[PacsServer]) -> list[str]:
    """The words that servers are grouped by, each once."""
    found = {label_key(word): word for server in servers for word in server.groups}
    return [found[key] for key in sorted(found)]


def _asked(request: Request) -> ServerFilter:
    given = request.query_params
    return ServerFilter(**{name: given.get(name, "").strip()[:200] for name in asdict(ServerFilter())})


#: The filter as the address of the page holds it.
CurrentFilter = Annotated[ServerFilter, Depends(_asked)]
