"""One PACS server, and what is known of the way to it."""

from __future__ import annotations

import ipaddress
import reprlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from dicomfab.model.errors import ConfirmationRequired, Conflict, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.registry import fields
from dicomfab.registry.fields import ALL_CAPABILITIES, TLS_PROFILES, VIAS, Capability
from dicomfab.registry.hours import ALWAYS, PermittedHours, permitted_hours

DEFAULT_AE_TITLE = "DICOMFAB"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsServer:
    """A PACS server; valid once constructed, and every text field is kept stripped.

    Outside values are accepted as they come (``port="104"``, ``environment="test"``, a list of capabilities).

    Args:
        id: what JSON, URLs and other entries call it; never changes.
        name: what people call it.
        host: name or address.
        port: DICOM port.
        aec: its AE title, the called AE title of every association.
        environment: who may use it; never guessed.
        allow_synthetic: whether fabricated studies may be sent to it; if not given, a test server says yes and a
            production server no. Once constructed it is true or false, as is the next.
        allow_real: the same for everything that is not proven to be fabricated; if not given, a test server says no
            and a production server yes.
        description: one line for lists.
        group: free words to choose servers by, such as a site or a project, joined by commas; or blank.
        aet_find: our calling AE title for C-FIND.
        aet_store: our calling AE title for C-STORE; blank means that sending is disabled.
        aet_echo: our calling AE title for C-ECHO.
        aet_move: our calling AE title for C-MOVE requests; blank means that of C-FIND.
        aet_get: our calling AE title for C-GET; blank means that of C-FIND.
        capabilities: the operations it may be asked for.
        connect_timeout_s: for the TCP connection.
        association_timeout_s: for the answers to A-ASSOCIATE-RQ and A-RELEASE-RQ.
        dimse_timeout_s: for each DIMSE response.
        retrieve_timeout_s: between two responses of a C-MOVE or C-GET; many servers send none before the last.
        max_associations: how many jobs may work with it at once.
        max_pdu: the longest P-DATA-TF variable field (PS3.8 D.1) that we offer it to take and that we send to it, in
            bytes; 0 means ours for the one and whatever it offers for the other.
        rate_per_minute: studies per minute that work on lists may ask of it; 0 means no limit.
        permitted_hours: when work on lists may burden it, in local time; blank means always.
        fallback_charset: how to read text when it sends none of its own Specific Character Set; blank = ASCII.
        dicomweb_root: address of its DICOMweb services, or blank.
        dicomweb_user: user name for these services; blank if they want none, or a bearer token.
        dicomweb_secret_file: path of the file with the user's password, or without a user with a bearer token.
        via: how it is queried, sent to and retrieved from: ``dimse``, or ``web`` for DICOMweb. C-ECHO and C-MOVE are
            DIMSE always.
        tls: whether associations with it are secured by TLS (PS3.15 annex B).
        tls_ca_file: path of the PEM file of the certificates to trust; blank means the system's trust store.
        tls_certificate_file: path of the PEM file of our client certificate; blank if it demands none.
        tls_key_file: path of the PEM file of that certificate's private key; given exactly when the certificate is.
        tls_verify: whether its certificate must be right.
        tls_profile: TLS versions and cipher suites, one of ``fields.TLS_PROFILES``.
        tls_server_name: the name that its certificate must hold; blank means that of the host.
        is_default: chosen when no server is named; at most one in a registry.
        is_active: offered for work; an inactive server keeps its entry.
        notes: free text of any number of lines.

    Raises:
        InvalidInput: a field that cannot be used, by name.
    """

    id: str
    name: str
    host: str
    port: int
    aec: str
    environment: Environment
    description: str = ""
    aet_find: str = DEFAULT_AE_TITLE
    aet_store: str = DEFAULT_AE_TITLE
    aet_echo: str = DEFAULT_AE_TITLE
    aet_move: str = ""
    aet_get: str = ""
    capabilities: frozenset[Capability] = ALL_CAPABILITIES
    connect_timeout_s: float = 5.0
    association_timeout_s: float = 5.0
    dimse_timeout_s: float = 30.0
    retrieve_timeout_s: float = 300.0
    max_associations: int = 2
    max_pdu: int = 0
    rate_per_minute: int = 0
    permitted_hours: PermittedHours = ALWAYS
    fallback_charset: str = ""
    dicomweb_root: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    tls_verify: bool = True
    tls_profile: str = TLS_PROFILES[0]
    tls_server_name: str = ""
    is_default: bool = False
    is_active: bool = True
    notes: str = ""
    allow_synthetic: bool | None = None
    allow_real: bool | None = None
    group: str = ""
    dicomweb_user: str = ""
    dicomweb_secret_file: str = ""
    via: str = VIAS[0]

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name), name))
        for name, at_home in (("allow_synthetic", Environment.TEST), ("allow_real", Environment.PROD)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.environment is at_home)
        _check_key_pair(self)
        _check_web(self)

    @property
    def groups(self) -> tuple[str, ...]:
        """Each word of ``group`` by itself."""
        return tuple(self.group.split(", ")) if self.group else ()

    @property
    def is_production(self) -> bool:
        """Whether it stands in production."""
        return self.environment is Environment.PROD

    def can(self, operation: Capability) -> bool:
        """Whether the server may be asked for an operation."""
        return operation in self.capabilities and not (operation is Capability.STORE and not self.aet_store)

    def by(self, via: str) -> PacsServer:
        """The same server, to be asked another way this time.

        Args:
            via: one of ``fields.VIAS``; blank means its own way.

        Raises:
            InvalidInput: there is no such way, or it has no DICOMweb root.
        """
        return self if via in ("", self.via) else replace(self, via=via)

    def calling_ae_title(self, operation: Capability) -> str:
        """Our AE title for an operation.

        Raises:
            Conflict: the operation is switched off for this server; nothing was sent.
        """
        if not self.can(operation):
            blank_store = operation is Capability.STORE and not self.aet_store
            key, value = ("aet_store", "an AE title") if blank_store else ("capabilities", f"{operation!s}")
            raise Conflict(
                f"C-{operation.upper()} is disabled for {self.name}",
                cause=f"{key} of {self.id} says so",
                remedy=f"give {key} {value} if the server allows it: dicomfab pacs edit {self.id}",
            )
        by_operation = {
            Capability.ECHO: self.aet_echo,
            Capability.STORE: self.aet_store,
            Capability.FIND: self.aet_find,
            Capability.MOVE: self.aet_move or self.aet_find,
            Capability.GET: self.aet_get or self.aet_find,
        }
        return by_operation[operation]

    @property
    def endpoint(self) -> tuple[str, int, str]:
        """Host, port and AE title, so written that two spellings of one host compare equal."""
        return canonical_host(self.host), self.port, self.aec

    @property
    def web_endpoint(self) -> tuple[str, int, str] | None:
        """Host, port and path of its DICOMweb services, so written that two spellings compare equal."""
        if not self.dicomweb_root:
            return None
        root = urlsplit(self.dicomweb_root)
        return canonical_host(root.hostname or ""), root.port or (443 if root.scheme == "https" else 80), root.path

    @property
    def address(self) -> str:
        """``host:port``, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def as_dict(self) -> dict[str, Any]:
        """Every field as a plain value; ``PacsServer(**server.as_dict())`` gives the same server."""
        plain = {name: getattr(self, name) for name in FIELD_NAMES}
        plain["environment"] = str(self.environment)
        plain["permitted_hours"] = str(self.permitted_hours)
        plain["capabilities"] = [str(c) for c in Capability if c in self.capabilities]
        return plain


FIELD_NAMES = tuple(f.name for f in dataclass_fields(PacsServer))
REQUIRED_FIELDS = ("name", "host", "port", "aec", "environment")

_CHECKS: dict[str, fields.Check] = {
    "id": fields.server_id,
    "name": fields.text(max_chars=64, required=True),
    "host": fields.host,
    "port": fields.port,
    "aec": fields.ae_title,
    "environment": fields.environment,
    "description": fields.text(max_chars=500),
    "aet_find": fields.ae_title,
    "aet_store": fields.ae_title_or_blank,
    "aet_echo": fields.ae_title,
    "aet_move": fields.ae_title_or_blank,
    "aet_get": fields.ae_title_or_blank,
    "capabilities": fields.capabilities,
    "connect_timeout_s": fields.seconds,
    "association_timeout_s": fields.seconds,
    "dimse_timeout_s": fields.seconds,
    "retrieve_timeout_s": fields.seconds,
    "max_associations": fields.whole_number(least=1, most=fields.MAX_ASSOCIATIONS),
    "max_pdu": fields.whole_number(least=fields.MIN_PDU_BYTES, most=fields.MAX_PDU_BYTES, or_zero=True),
    "rate_per_minute": fields.whole_number(least=1, most=fields.MAX_RATE_PER_MINUTE, or_zero=True),
    "permitted_hours": permitted_hours,
    "fallback_charset": fields.character_set,
    "dicomweb_root": fields.web_root,
    "tls": fields.flag,
    "tls_ca_file": fields.file_path,
    "tls_certificate_file": fields.file_path,
    "tls_key_file": fields.file_path,
    "tls_verify": fields.flag,
    "tls_profile": fields.tls_profile,
    "tls_server_name": fields.host_or_blank,
    "is_default": fields.flag,
    "is_active": fields.flag,
    "notes": fields.text(max_chars=10_000, lines=True),
    "allow_synthetic": fields.flag_or_default,
    "allow_real": fields.flag_or_default,
    "group": fields.labels,
    "dicomweb_user": fields.web_user,
    "dicomweb_secret_file": fields.file_path,
    "via": fields.via,
}


@dataclass(frozen=True, slots=True)
class MoveRoute:
    """That the source can C-MOVE to the destination, under a name *that the source knows*.

    Args:
        source: id of the server that is asked to move.
        destination: id of the server that the instances arrive at.
        ae_title: the move destination as the source has it in its own table (PS3.4 C.4.2.1).
    """

    source: str
    destination: str
    ae_title: str

    def __post_init__(self) -> None:
        name = f"{fields.MOVE_ROUTING}.{self.destination}"
        object.__setattr__(self, "ae_title", fields.ae_title(self.ae_title, name))


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The outcome of one C-ECHO.

    Args:
        server_id: which server was tested.
        ok: whether it answered with success.
        tested_at: when, in UTC.
        latency_ms: time of the C-ECHO itself; none when it failed.
        message: what to show: the peer's implementation, or the error as :meth:`DicomFabError.as_dict` gives it.
    """

    server_id: str
    ok: bool
    tested_at: datetime
    latency_ms: float | None = None
    message: Mapping[str, Any] = field(default_factory=dict)


def _check_key_pair(server: PacsServer) -> None:
    if bool(server.tls_certificate_file) == bool(server.tls_key_file):
        return
    missing, given = "tls_key_file", "tls_certificate_file"
    if server.tls_key_file:
        missing, given = given, missing
    raise InvalidInput(
        f"{missing}: missing, though there is a {given}",
        field=missing,
        value="",
        cause="a client certificate and its private key are of use together only",
        remedy="give both files, or neither",
    )


def _check_web(server: PacsServer) -> None:
    root = urlsplit(server.dicomweb_root)
    is_open = root.scheme == "http" and canonical_host(root.hostname or "") != canonical_host("localhost")
    if server.is_production and server.dicomweb_secret_file and is_open:
        raise InvalidInput(
            "dicomweb_root: the password of a production server would go over http in clear text",
            field="dicomweb_root",
            value=server.dicomweb_root,
            cause="everybody on the way could read it",
            remedy="use https, or take dicomweb_secret_file away",
        )
    if server.via == "web" and not server.dicomweb_root:
        raise InvalidInput(
            f"via: {server.name} has no DICOMweb address",
            field="via",
            value=server.via,
            cause="it can be asked over DICOMweb only below a dicomweb_root",
            remedy=f"give it one: dicomfab pacs edit {server.id} --dicomweb-root URL; or use --via dimse",
        )
    if server.dicomweb_user and not server.dicomweb_secret_file:
        raise InvalidInput(
            "dicomweb_secret_file: missing, though there is a dicomweb_user",
            field="dicomweb_secret_file",
            value="",
            cause="a user is of no use without the password",
            remedy="write the password into a file that you alone can read, and give its path",
        )


def server_from(given: Mapping[str, object], *, server_id: str) -> PacsServer:
    """Make a server from named outside values; what is absent gets its default.

    Raises:
        InvalidInput: an unknown name, a required one missing, or a value that cannot be used.
    """
    check_names(given)
    missing = [name for name in REQUIRED_FIELDS if name not in given]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)}: missing",
            field=missing[0],
            cause=f"a new server needs {', '.join(REQUIRED_FIELDS)}",
            remedy=f"give {' and '.join(missing)} as well",
        )
    return PacsServer(**{**given, "id": server_id})  # type: ignore[arg-type]


def changed(server: PacsServer, changes: Mapping[str, object], *, confirm_environment: bool = False) -> PacsServer:
    """The server with some fields changed; what is not named stays.

    With the environment, what may be sent there becomes that of a new server there, unless it is named as well.

    Args:
        server: as it is.
        changes: field name -> new value.
        confirm_environment: yes, the environment may change: other people will have access from now on.

    Raises:
        InvalidInput: an unknown name, a value that cannot be used, or the id, which never changes.
        ConfirmationRequired: the environment would change and this was not confirmed.
    """
    check_names(changes)
    new = replace(server, **changes)  # type: ignore[arg-type]
    if new.environment is not server.environment:
        new = replace(server, **{"allow_synthetic": None, "allow_real": None, **changes})  # type: ignore[arg-type]
    if new.id != server.id:
        raise InvalidInput(
            f"id: {new.id!r} would rename {server.id!r}",
            field="id",
            value=new.id,
            cause="routes, studies and logs refer to a server by its id, so an id never changes",
            remedy="change the name instead, or add a new server and remove this one",
        )
    if new.environment is not server.environment and not confirm_environment:
        raise ConfirmationRequired(
            f"environment: {server.id} would go from '{server.environment}' to '{new.environment}'",
            cause="other roles would have access to the server from that moment on",
            remedy="if the server itself really changed sides, confirm it (--change-environment)",
        )
    return new


def check_names(given: Mapping[str, object]) -> None:
    """Refuse a field that no server has.

    Raises:
        InvalidInput: with the nearest known name.
    """
    for name, value in given.items():
        if name not in _CHECKS:
            raise InvalidInput(
                f"{name}: unknown key (its value is {reprlib.repr(value)})",
                field=name,
                value=value,
                cause=fields.suggestion(name, (*FIELD_NAMES, fields.MOVE_ROUTING)) or "a server has no such setting",
                remedy=f"use only: {', '.join((*FIELD_NAMES, fields.MOVE_ROUTING))}",
            )


def label_key(label: str) -> str:
    """What makes two names the same name: case, and the two ways Unicode writes an accented letter."""
    return unicodedata.normalize("NFKC", label).casefold()


def canonical_host(host: str) -> str:
    """One spelling for the hosts that are certainly the same: case, IP notation, this machine."""
    name = host.casefold()
    if name in {"localhost", "localhost.localdomain", "ip6-localhost"} or name.endswith(".localhost"):
        return "localhost"
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return "localhost" if address.is_loopback or address.is_unspecified else str(address)
