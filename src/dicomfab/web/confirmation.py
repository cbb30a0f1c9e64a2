"""Names that are typed as a confirmation: looked at here, whatever a browser's script did before."""

from __future__ import annotations

from collections.abc import Iterable

from dicomfab.model.errors import ConfirmationRequired
from dicomfab.registry.server import PacsServer, label_key


def is_typed(typed: str, server: PacsServer) -> bool:
    """Whether somebody typed a server's name; case and spaces around it do not matter."""
    return is_name(typed, server.name)


def is_name(typed: str, name: str) -> bool:
    """The same for a server that is to be."""
    return bool(typed.strip()) and label_key(typed.strip()) == label_key(name.strip())


def untyped(typed: str, servers: Iterable[PacsServer]) -> PacsServer | None:
    """The first of these servers whose name was not typed; names are joined by commas, and may hold some themselves."""
    names = {label_key(name.strip()) for name in typed.split(",")}
    return next((one for one in servers if label_key(one.name) not in names and not is_typed(typed, one)), None)


def require_typed(typed: str, changing: Iterable[PacsServer]) -> None:
    """Raise unless the names of all servers that change sides were typed, joined by commas.

    Raises:
        ConfirmationRequired: naming the first one that was not.
    """
    server = untyped(typed, changing)
    if server is not None:
        raise ConfirmationRequired(
            f"environment: {server.name} would change between test and production",
            cause="other roles would have access to it from that moment on, and other data could be sent to it",
            remedy=f"if the server itself really changed sides, type its name: {server.name}",
        )
