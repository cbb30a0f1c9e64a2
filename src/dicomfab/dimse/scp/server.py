"""A DIMSE server: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET over the handlers given."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from dicomfab.dimse.handlers import Handlers, ServerConfig


class Listener(Protocol):
    """The wire below a server."""

    @property
    def port(self) -> int:
        """The port that is listened on."""

    def close(self) -> None:
        """Stop listening and abort what is open."""


class Server:
    """A running DIMSE server; use as a context manager.

    Raises:
        OSError: on entering, when the port cannot be bound.
    """

    def __init__(self, config: ServerConfig, handlers: Handlers) -> None:
        self._config = config
        self._handlers = handlers
        self._listener: Listener | None = None

    def __enter__(self) -> Server:
        from dicomfab.dimse.pynetdicom_wire import listen

        self._listener = listen(self._config, self._handlers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def port(self) -> int:
        """The port in use (chosen by the system when the configuration said 0)."""
        if self._listener is None:
            raise RuntimeError("the server is not running")
        return self._listener.port
