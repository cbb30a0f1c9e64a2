"""The way to a domain controller: TCP and TLS, each within its time. Whatever comes out is secure."""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from dicomfab.identity import ldap_explain
from dicomfab.identity.ldap_budget import Budget
from dicomfab.identity.ldap_explain import ControllerUnusable
from dicomfab.identity.ldap_settings import LdapServer
from dicomfab.identity.ldap_start_tls import start_tls
from dicomfab.model.person import Step, Tell

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a domain controller.

    Args:
        server: whose.
        family: of the address, as :mod:`socket` counts them.
        address: with port, as :mod:`socket` takes it.
    """

    server: LdapServer
    family: int
    address: tuple[Any, ...]

    @property
    def shown(self) -> str:
        """For people."""
        host, address = self.server.host, str(self.address[0])
        return f"{host}, port {self.server.port}" if host == address else f"{host} ({address}), port {self.server.port}"


class SecureSocket(ssl.SSLSocket):
    """A connection under TLS on which nothing waits for longer than a budget allows, however slowly bytes trickle."""

    budget: Budget

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As :meth:`socket.socket.recv`; raises ``TimeoutError`` at the end of the step."""
        self.settimeout(self.budget.left())
        return super().recv(buflen, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As :meth:`socket.socket.sendall`; raises ``TimeoutError`` at the end of the step."""
        self.settimeout(self.budget.left())
        super().sendall(data, flags)


def secured(place: Place, ca_file: str, budget: Budget, tell: Tell) -> SecureSocket:
    """Connect to a controller, and have it prove who it is.

    Args:
        place: where.
        ca_file: as of :class:`LdapSettings`.
        budget: all of it is one step, which goes on.
        tell: told of what was done.

    Raises:
        ControllerUnusable: it cannot be reached, or not safely.
        DirectoryUnavailable: the file of trusted authorities cannot be used.
    """
    context = _context(ca_file)
    budget.begin()
    plain = _connected(place, budget, tell)
    try:
        if place.server.start_tls:
            _start_tls(plain, place.server, budget, tell)
        return _under_tls(plain, context, place.server, ca_file, budget, tell)
    except BaseException:
        plain.close()
        raise


def _connected(place: Place, budget: Budget, tell: Tell) -> socket.socket:
    what = f"connect to {place.shown}"
    plain = socket.socket(place.family, socket.SOCK_STREAM)
    try:
        plain.settimeout(budget.left())
        plain.connect(place.address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        plain.close()
        raise _told(tell, what, ldap_explain.not_reached(place.server, error, budget.step_s)) from error
    tell(Step(what, "connected"))
    return plain


def _start_tls(plain: socket.socket, server: LdapServer, budget: Budget, tell: Tell) -> None:
    what = "ask for TLS (StartTLS)"
    try:
        code = start_tls(plain, budget)
    except TimeoutError as error:
        raise _told(tell, what, ldap_explain.silent(server, "StartTLS", budget.step_s)) from error
    except OSError as error:
        raise _told(tell, what, ldap_explain.no_ldap(server, "closes the connection on StartTLS")) from error
    except (ValueError, LookupError) as error:
        raise _told(tell, what, ldap_explain.no_ldap(server, "answers StartTLS with no LDAP")) from error
    if code:
        raise _told(tell, what, ldap_explain.start_tls_refused(server, code))
    tell(Step(what, "agreed"))


def _under_tls(
    plain: socket.socket, context: ssl.SSLContext, server: LdapServer, ca_file: str, budget: Budget, tell: Tell
) -> SecureSocket:
    what = "secure the connection with TLS"
    try:
        plain.settimeout(budget.left())
        secure = context.wrap_socket(plain, server_hostname=server.host)
    except (OSError, ValueError) as error:
        # A name that no certificate can be for is a ValueError.
        problem = error if isinstance(error, OSError) else OSError(str(error))
        raise _told(tell, what, ldap_explain.not_secured(server, problem, ca_file, budget.step_s)) from error
    if not isinstance(secure, SecureSocket):
        raise TypeError("the context makes other sockets")
    secure.budget = budget
    tell(Step(what, f"{secure.version()}; {_shown(secure)}"))
    return secure


def _shown(secure: ssl.SSLSocket) -> str:
    """Whose certificate it is, and until when: :meth:`getpeercert` tells of verified ones."""
    certificate: dict[str, Any] = dict(secure.getpeercert() or {})
    names = [str(value) for _, value in certificate.get("subjectAltName", ())]
    subject = [f"{key}={value}" for part in certificate.get("subject", ()) for key, value in part]
    return f"certificate for {', '.join(names or subject)}, valid until {certificate.get('notAfter', '?')}"


def _told(tell: Tell, what: str, failure: ControllerUnusable) -> ControllerUnusable:
    tell(Step(what, f"{failure.what}: {failure.cause}", is_good=False))
    return failure


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        return _made(ca_file, _stamp(ca_file))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
        raise ldap_explain.no_authorities(ca_file, str(why)) from error


@functools.lru_cache(4)
def _made(ca_file: str, _file: _Stamp) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION  # RFC 9325 3.3 and 3.5
    context.sslsocket_class = SecureSocket
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
        # So that trusting the authority that signed is enough, whoever signed its own certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _stamp(path: str) -> _Stamp:
    """What changes when a file is replaced, so that a renewed authority is trusted without a restart."""
    if not path:
        return None
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host that is an address already."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
