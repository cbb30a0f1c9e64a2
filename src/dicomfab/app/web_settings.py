"""Settings of the web interface: where it listens, under which names, who may sign in. Problems are told at once."""

from __future__ import annotations

import enum
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.app.settings import load_settings
from dicomfab.app.settings_reader import Reader, readable_file
from dicomfab.app.sign_in_settings import read_sign_in
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

LOOPBACK: Final = "127.0.0.1"
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104
_TLS_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "BAD_DECRYPT": "the key is protected by a passphrase",
    "NO_START_LINE": "one of them is no PEM file",
    "PEM_LIB": "one of them is no PEM file, or a key stands where a certificate should",
}


class Mode(enum.StrEnum):
    """Who may use the pages."""

    NONE = "none"  # whoever reaches the loopback interface, as administrator
    LOCAL = "local"  # those with an account here
    LDAP = "ldap"  # those of Active Directory
    SAML = "saml"  # those whom an identity provider lets in, by SAML 2.0
    OIDC = "oidc"  # the same by OpenID Connect


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the web interface is told from outside.

    Args:
        modes: ``DICOMFAB_AUTH``, in the order of the sign-in page; ``none`` alone if nobody is asked.
        host: ``DICOMFAB_WEB_HOST``; the address to listen on. Mode ``none`` knows no other than loopback.
        names: ``DICOMFAB_WEB_NAMES``; host names that people call it by, beside those of loopback.
        certificate: ``DICOMFAB_WEB_CERTIFICATE``; PEM file of the TLS certificate with its chain.
        key: ``DICOMFAB_WEB_KEY``; PEM file of its private key.
        proxies: ``DICOMFAB_WEB_PROXIES``; addresses of reverse proxies, which are believed when they say who calls
            and whether over TLS.
    """

    modes: tuple[Mode, ...] = (Mode.NONE,)
    host: str = LOOPBACK
    names: frozenset[str] = frozenset()
    certificate: Path | None = None
    key: Path | None = None
    proxies: frozenset[str] = frozenset()

    @property
    def asks_nobody(self) -> bool:
        """Whether nobody has to sign in."""
        return Mode.NONE in self.modes

    @property
    def words(self) -> str:
        """The modes as ``DICOMFAB_AUTH`` has them."""
        return ",".join(self.modes)

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach it."""
        return is_loopback(self.host)

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS itself."""
        return self.certificate is not None

    @property
    def answers_this_computer(self) -> bool:
        """Whether it answers under names of this computer alone, wherever it listens.

        So it is in a container whose port is published on the loopback interface of the computer around it. A browser
        of another computer would call it by another name, and is refused before there is anything to type into.
        """
        return self.all_names <= LOOPBACK_NAMES

    @property
    def all_names(self) -> frozenset[str]:
        """The host names under which it answers, in lower case."""
        own = frozenset() if self.host in _EVERYWHERE else frozenset({self.host.lower()})
        return LOOPBACK_NAMES | self.names | own


def load_web_settings(environ: Mapping[str, str] | None = None) -> WebSettings:
    """Read the settings, and see whether they go together. Those of the installation are looked at as well.

    Raises:
        InvalidInput: naming everything that cannot be used, a line each.
    """
    reader = Reader(os.environ if environ is None else environ)
    settings = WebSettings(
        modes=reader.read("DICOMFAB_AUTH", _modes, (Mode.NONE,)),
        host=reader.read("DICOMFAB_WEB_HOST", lambda text: values.host(text, field="DICOMFAB_WEB_HOST"), LOOPBACK),
        names=reader.read("DICOMFAB_WEB_NAMES", _names, frozenset()),
        certificate=reader.read("DICOMFAB_WEB_CERTIFICATE", readable_file("DICOMFAB_WEB_CERTIFICATE"), None),
        key=reader.read("DICOMFAB_WEB_KEY", readable_file("DICOMFAB_WEB_KEY"), None),
        proxies=reader.read("DICOMFAB_WEB_PROXIES", _addresses, frozenset()),
    )
    read_sign_in(reader, [str(mode) for mode in settings.modes])
    unread = {problem.field for problem in reader.problems}
    reader.problems += [one for names, one in _contradictions(settings) if not unread & names]
    try:
        load_settings(reader.environ)
    except InvalidInput as error:
        reader.problems.append(error)
    reader.finish()
    return settings


def _contradictions(settings: WebSettings) -> Iterator[tuple[frozenset[str], InvalidInput]]:
    """What does not go together, each with the settings that it is about."""
    yield from _asks_nobody(settings)
    yield from _unprotected(settings)
    if (settings.certificate is None) != (settings.key is None):
        name = "DICOMFAB_WEB_KEY" if settings.key is None else "DICOMFAB_WEB_CERTIFICATE"
        problem = InvalidInput(f"{name}: certificate and key belong together", field=name, remedy=f"set {name}")
        yield frozenset({"DICOMFAB_WEB_KEY", "DICOMFAB_WEB_CERTIFICATE"}), problem
    elif settings.certificate is not None and (why := _unusable(settings.certificate, settings.key)):
        problem = InvalidInput(
            "DICOMFAB_WEB_CERTIFICATE: this certificate and DICOMFAB_WEB_KEY cannot be used together",
            field="DICOMFAB_WEB_CERTIFICATE",
            value=str(settings.certificate),
            cause=why,
            remedy="give PEM files: the certificate with its chain, and its own private key without a passphrase",
        )
        yield frozenset({"DICOMFAB_WEB_KEY", "DICOMFAB_WEB_CERTIFICATE"}), problem


def _asks_nobody(settings: WebSettings) -> Iterator[tuple[frozenset[str], InvalidInput]]:
    if not settings.asks_nobody:
        return
    if not settings.is_local:
        problem = InvalidInput(
            f"DICOMFAB_WEB_HOST: {settings.host!r} can be reached from other computers, and mode none asks nobody "
            "who they are",
            field="DICOMFAB_WEB_HOST",
            value=settings.host,
            cause="without sign-in everyone is administrator",
            remedy="set DICOMFAB_AUTH=local, or leave the address at 127.0.0.1",
        )
        yield frozenset({"DICOMFAB_AUTH", "DICOMFAB_WEB_HOST"}), problem
    for name, given in (("DICOMFAB_WEB_NAMES", settings.names), ("DICOMFAB_WEB_PROXIES", settings.proxies)):
        if given:
            problem = InvalidInput(
                f"{name}: mode none answers this computer alone",
                field=name,
                cause="a name or a proxy lets other computers in, and without sign-in everyone is administrator",
                remedy=f"set DICOMFAB_AUTH=local, or unset {name}",
            )
            yield frozenset({"DICOMFAB_AUTH", name}), problem


def _unprotected(settings: WebSettings) -> Iterator[tuple[frozenset[str], InvalidInput]]:
    if settings.asks_nobody:
        return
    about = frozenset({"DICOMFAB_AUTH", "DICOMFAB_WEB_HOST", "DICOMFAB_WEB_NAMES", "DICOMFAB_WEB_PROXIES"})
    tls = frozenset({"DICOMFAB_WEB_CERTIFICATE", "DICOMFAB_WEB_KEY"})
    if not settings.is_local and not settings.names and settings.host in _EVERYWHERE:
        problem = InvalidInput(
            f"DICOMFAB_WEB_NAMES: {settings.host} is every address of this computer, and no name is given",
            field="DICOMFAB_WEB_NAMES",
            cause="requests under names that are not ours are refused: another site could point its name at us",
            remedy="set DICOMFAB_WEB_NAMES to the name or address that people type, such as dicomfab.example.com, or "
            "to localhost in a container whose port is published on 127.0.0.1 alone",
        )
        yield about, problem
    if settings.is_secure or settings.proxies or (settings.is_local and not settings.names):
        return
    if settings.names and settings.answers_this_computer:
        return
    name = "DICOMFAB_WEB_NAMES" if settings.is_local else "DICOMFAB_WEB_HOST"
    shown = ", ".join(sorted(settings.names)) if settings.is_local else settings.host
    problem = InvalidInput(
        f"{name}: passwords would go to {shown!r} without TLS",
        field=name,
        value=shown,
        cause="there is no certificate, and no reverse proxy that speaks TLS",
        remedy="set DICOMFAB_WEB_CERTIFICATE and DICOMFAB_WEB_KEY, or DICOMFAB_WEB_PROXIES",
    )
    yield about | tls, problem


def _unusable(certificate: Path, key: Path | None) -> str:
    """Why TLS cannot begin with these files; blank if it can."""
    try:
        # A passphrase would be asked for on the terminal, where a service has none.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        return _TLS_REASONS.get(error.reason, error.reason or str(error))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _modes(text: str) -> tuple[Mode, ...]:
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    known = {str(mode) for mode in Mode}
    wrong = next((word for word in words if word not in known), "none" if "none" in words and len(words) > 1 else "")
    if wrong:
        raise InvalidInput(
            f"DICOMFAB_AUTH: {text!r} cannot be used",
            field="DICOMFAB_AUTH",
            value=text,
            cause="none asks nobody, so it stands alone" if wrong == "none" else f"{wrong!r} is no mode",
            remedy="none, or one or more of local, ldap, saml, oidc, with commas between them",
        )
    return tuple(map(Mode, words))


def _names(text: str) -> frozenset[str]:
    given = (name.strip().lower() for name in text.split(","))
    return frozenset(values.host(name, field="DICOMFAB_WEB_NAMES") for name in given if name)


def _addresses(text: str) -> frozenset[str]:
    found = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ipaddress.ip_network(part)
            if not network.prefixlen:
                raise ValueError("everybody")
            found.add(str(network))
        except ValueError:
            raise InvalidInput(
                f"DICOMFAB_WEB_PROXIES: {part!r} is no IP address or network of proxies",
                field="DICOMFAB_WEB_PROXIES",
                value=part,
                cause="a proxy is believed by its address, never by a name, and never is everybody one",
                remedy="write for example 10.0.0.5, or 10.0.0.0/24",
            ) from None
    return frozenset(found)


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
