"""The road to a server before DICOM begins: name resolution, TCP, TLS.

Whether TCP and TLS work shows at the first association. No connection is opened for them alone: there are servers that
keep one on which nothing was said for half a minute, and count it as an association.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from dicomfab.diagnosis.checks import Outcome, Stage
from dicomfab.dimse import probe
from dicomfab.dimse.association import associate
from dicomfab.dimse.peer import Timeouts
from dicomfab.dimse.scu import echo as c_echo
from dicomfab.model.errors import AssociationRejected, ConnectionFailed, InvalidInput, PeerError, TlsFailed
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer, canonical_host
from dicomfab.services.doctor.calls import Calls, with_echo
from dicomfab.services.peers import peer_for

_NEIGHBOUR_S: Final = 1.0
_MAX_NEIGHBOURS: Final = 3
_MAX_RESOLVE_S: Final = 3.0
_MAX_ADDRESSES: Final = 2
#: TCP did not come about.
_NO_CONNECTION: Final = ("refused", "no-answer", "unreachable", "name-unknown")
#: Failures of the handshake behind which there may be a port without TLS.
_MAY_BE_PLAIN: Final = ("tls-not-tls", "tls-closed", "tls-silent", "tls-else")


def is_closed(error: object) -> bool:
    """Whether an error says that there is no TCP connection."""
    return isinstance(error, ConnectionFailed) and error.code in _NO_CONNECTION


class Road:
    """Checks of the road.

    Args:
        calls: the examination.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def addresses(self) -> tuple[str, ...]:
        """The addresses of the server that are worth trying; none if its name is not known."""
        server = self._calls.server
        peer = self._calls.peer(next(iter(self._calls.titles)), "")
        title = f"Look up {server.host}"
        try:
            found = probe.resolve(peer, min(_MAX_RESOLVE_S, self._calls.examination.left_s))
        except ConnectionFailed as error:
            self._calls.failure(Stage.NAME, title, error, {"name": error.code})
            return ()
        self._calls.ok(Stage.NAME, title, ", ".join(found), name="ok")
        return found[:_MAX_ADDRESSES]

    def open(self, address: str) -> None:
        """Note that there is a TCP connection."""
        self._calls.address, self._calls.our_host = address, probe.our_address_towards(address)
        title = f"TCP connection to port {self._calls.server.port}"
        seen = f"connected to {address} from {self._calls.our_host}"
        self._calls.note(Stage.TCP, title, Outcome.OK, seen, {"tcp": "ok"}, instant=True)

    def closed(self, address: str, error: ConnectionFailed) -> None:
        """Note that there is no TCP connection, and look at what else is on that host."""
        self._calls.our_host = probe.our_address_towards(address)
        title = f"TCP connection to port {self._calls.server.port}"
        self._calls.failure(Stage.TCP, title, error, {"tcp": error.code})
        self._neighbours(address)

    def secure(self) -> None:
        """Note that TLS has come about, if the entry wants it."""
        if self._calls.server.tls:
            self._calls.note(Stage.TLS, "TLS handshake", Outcome.OK, "done", {"tls": "ok"}, instant=True)

    def insecure(self, error: TlsFailed | InvalidInput) -> None:
        """Note that TLS has not come about, and look whether the port does without."""
        code = error.code if isinstance(error, TlsFailed) else "our-files"
        self._calls.failure(Stage.TLS, "TLS handshake", error, {"tls": code})
        if code in _MAY_BE_PLAIN:
            self._plain()

    def _neighbours(self, address: str) -> None:
        """Whether the host answers on a port of another entry; no other port is ever tried."""
        title, server = "Other servers on the same host", self._calls.server
        host = canonical_host(server.host)
        same = {s.port: s for s in self._calls.subject.neighbours if canonical_host(s.host) == host}
        same.pop(server.port, None)
        if not same:
            self._calls.skip(Stage.TCP, title, "the registry has none", **{"tcp.neighbours": "none"})
            return
        alive = [
            f"{other.name} on port {other.port}"
            for other in list(same.values())[:_MAX_NEIGHBOURS]
            if self._answers(other, address)
        ]
        if alive:
            seen = f"there is an answer of {' and '.join(alive)}"
            facts = {"tcp.neighbours": "alive", "tcp.alive": ", ".join(alive)}
            self._calls.note(Stage.TCP, title, Outcome.OK, seen, facts)
            return
        seen = "none of them answers either"
        self._calls.note(Stage.TCP, title, Outcome.ODD, seen, {"tcp.neighbours": "dead"})

    def _answers(self, other: PacsServer, address: str) -> bool:
        """Whether there is anything on the port of another entry, by an association with it."""
        peer = dataclasses.replace(peer_for(with_echo(other), Capability.ECHO), host=address)
        timeouts = Timeouts(_NEIGHBOUR_S, _NEIGHBOUR_S, _NEIGHBOUR_S, _NEIGHBOUR_S)
        peer = self._calls.within(dataclasses.replace(peer, timeouts=timeouts))
        try:
            with associate(peer, [c_echo.CONTEXT], even_without_context=True):
                return True
        except PeerError as error:
            return not is_closed(error)
        except InvalidInput:  # files of its TLS settings
            return False

    def _plain(self) -> None:
        title = "The same port without TLS"
        peer = self._calls.within(self._calls.peer(next(iter(self._calls.titles)), title))
        peer = dataclasses.replace(peer, tls=None)
        try:
            with associate(peer, [c_echo.CONTEXT], even_without_context=True):
                seen = "the server accepts an association without TLS"
        except AssociationRejected:
            seen = "the server answers in DICOM without TLS"
        except PeerError as error:
            self._calls.note(Stage.TLS, title, Outcome.OK, f"no DICOM either: {error.what}", {"tls.plain": "no"})
            return
        self._calls.note(Stage.TLS, title, Outcome.ODD, seen, {"tls.plain": "yes"})
