"""The four servers as data, and what one installation changes about them."""

from __future__ import annotations

import enum
import ipaddress
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from dicomfab.archive.records import Duplicate
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import Environment

T = TypeVar("T", bound=enum.StrEnum)

LOOPBACK = "127.0.0.1"
CONFIG_NAME = "lab.json"
# The destinations outside the lab: the DICOM listener of DICOM Fabricator itself, and its modality simulator.
OWN_DESTINATION = ("DICOMFAB", (LOOPBACK, 11112))
MODALITY_DESTINATION = ("MODALITY1", (LOOPBACK, 11113))

WEB_USER = "test"
WEB_PASSWORD = "test123"  # noqa: S105 - printed on the first page of the user's guide: it keeps nobody out


class EngineName(enum.StrEnum):
    """What the servers of a lab are run with; see :mod:`dicomfab.testpacs.engine`."""

    EMBEDDED = "embedded"
    ORTHANC = "orthanc"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One test PACS server.

    Args:
        id: never changes; the registry knows the server by it.
        name: what people call it.
        ae_title: its AE title, and the move AE title under which the others know it.
        environment: which side of the installation it plays.
    """

    id: str
    name: str
    dicom_port: int
    web_port: int
    ae_title: str
    environment: Environment


SERVERS = (
    ServerSpec("test-pacs-1", "Test PACS 1", 4242, 8042, "TESTPACS", Environment.TEST),
    ServerSpec("test-pacs-2", "Test PACS 2", 4243, 8043, "TESTPACS2", Environment.TEST),
    ServerSpec("prod-pacs-1", "Prod PACS 1", 4245, 8045, "PRODPACS", Environment.PROD),
    ServerSpec("prod-pacs-2", "Prod PACS 2", 4246, 8046, "PRODPACS2", Environment.PROD),
)
IDS = tuple(server.id for server in SERVERS)


@dataclass(frozen=True, slots=True)
class LabConfig:
    """How the lab of one installation runs; valid once constructed.

    Args:
        servers: the four, with this installation's ports.
        bind: the IPv4 address that all of them listen on.
        strict: reject calling AE titles other than DICOMFAB, MODALITY1 and those of the lab (1/1/3, PS3.8 9.3.4).
        on_duplicate: what happens to a SOP instance UID that is there already with other content.
        commitment_on_same_association: report on a storage commitment on the association of its request, if that is
            open long enough, rather than on one of our own (both are right: PS3.4 J.3.3).
        engine: what the servers are run with; not every engine has every option.

    Raises:
        InvalidInput: two servers with one port, or an address that is none.
    """

    servers: tuple[ServerSpec, ...] = SERVERS
    bind: str = LOOPBACK
    strict: bool = False
    on_duplicate: Duplicate = Duplicate.KEEP
    commitment_on_same_association: bool = False
    engine: EngineName = EngineName.EMBEDDED

    def __post_init__(self) -> None:
        _check_distinct(self.servers)
        _check_bind(self.bind)

    def server(self, server_id: str) -> ServerSpec:
        """The server with this id; one of :data:`IDS`."""
        return next(server for server in self.servers if server.id == server_id)

    @property
    def connect_host(self) -> str:
        """Where to reach the servers from this machine."""
        return LOOPBACK if ipaddress.IPv4Address(self.bind).is_unspecified else self.bind

    def destinations(self, server_id: str) -> dict[str, tuple[str, int]]:
        """Whom a server knows to call (PS3.4 C.4.2.1, J.3.3): the other three, DICOMFAB and MODALITY1."""
        others = {s.ae_title: (self.connect_host, s.dicom_port) for s in self.servers if s.id != server_id}
        return {**others, **dict((OWN_DESTINATION, MODALITY_DESTINATION))}

    @property
    def known_calling_ae_titles(self) -> frozenset[str] | None:
        """Whose associations are accepted; ``None`` for everybody's."""
        if not self.strict:
            return None
        return frozenset({OWN_DESTINATION[0], MODALITY_DESTINATION[0], *(s.ae_title for s in self.servers)})

    def with_ports(self, *, dicom_ports: Sequence[int] | None, web_ports: Sequence[int] | None) -> LabConfig:
        """With other ports, in the order of :data:`SERVERS`; ``None`` leaves them.

        Raises:
            InvalidInput: not four of them, a port that is none, or one used twice.
        """
        dicom = [s.dicom_port for s in self.servers] if dicom_ports is None else _four(dicom_ports, "dicom_ports")
        web = [s.web_port for s in self.servers] if web_ports is None else _four(web_ports, "web_ports")
        moved = (
            replace(server, dicom_port=d, web_port=w) for server, d, w in zip(self.servers, dicom, web, strict=True)
        )
        return replace(self, servers=tuple(moved))

    def as_dict(self) -> dict[str, Any]:
        """The content of ``lab.json``."""
        return {
            "ports": {s.id: {"dicom": s.dicom_port, "web": s.web_port} for s in self.servers},
            "bind": self.bind,
            "strict": self.strict,
            "on_duplicate": str(self.on_duplicate),
            "commitment_on_same_association": self.commitment_on_same_association,
            "engine": str(self.engine),
        }


def load(folder: Path) -> LabConfig:
    """Read ``lab.json`` of a lab folder; without it everything is as printed in the user's guide.

    Raises:
        InvalidInput: naming file, key and value.
    """
    path = folder / CONFIG_NAME
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return LabConfig()
    except ValueError as error:
        raise _invalid(path, "(file)", str(error), "is not JSON") from error
    given = _object(document, path, "(file)", LabConfig().as_dict())
    try:
        return LabConfig(
            servers=_with_ports_of(given.get("ports", {}), path),
            bind=given.get("bind", LOOPBACK),
            strict=_flag(given, "strict", path),
            on_duplicate=_choice(given, "on_duplicate", Duplicate.KEEP, path),
            commitment_on_same_association=_flag(given, "commitment_on_same_association", path),
            engine=_choice(given, "engine", EngineName.EMBEDDED, path),
        )
    except InvalidInput as error:
        if error.source:
            raise
        raise InvalidInput(
            f"{path}: {error.what}",
            field=error.field,
            value=error.value,
            source=str(path),
            cause=error.cause,
            remedy=error.remedy,
        ) from error


def save(folder: Path, config: LabConfig) -> None:
    """Write ``lab.json``, whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f"{CONFIG_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(config.as_dict(), indent=2) + "\n", "utf-8")
    temporary.replace(folder / CONFIG_NAME)


def _four(ports: Sequence[int], field: str) -> list[int]:
    if len(ports) != len(SERVERS):
        raise InvalidInput(
            f"{field}: {len(ports)} ports for {len(SERVERS)} servers",
            field=field,
            value=list(ports),
            cause=f"one port is needed for each of {', '.join(s.name for s in SERVERS)}, in this order",
            remedy=f"give {len(SERVERS)} numbers joined by commas",
        )
    return [values.port(port, field=field) for port in ports]


def _with_ports_of(ports: Any, path: Path) -> tuple[ServerSpec, ...]:
    by_id = _object(ports, path, "ports", IDS)
    return tuple(_moved(server, by_id.get(server.id, {}), path) for server in SERVERS)


def _moved(server: ServerSpec, ports: Any, path: Path) -> ServerSpec:
    key = f"ports.{server.id}"
    given = _object(ports, path, key, ("dicom", "web"))
    return replace(
        server,
        dicom_port=values.port(given.get("dicom", server.dicom_port), field=f"{key}.dicom", source=str(path)),
        web_port=values.port(given.get("web", server.web_port), field=f"{key}.web", source=str(path)),
    )


def _object(value: Any, path: Path, key: str, known: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(path, key, value, "is not an object")
    for name in value:
        if name not in known:
            raise _invalid(path, name, value[name], f"stands under an unknown key (known: {', '.join(known)})")
    return value


def _flag(given: Mapping[str, Any], key: str, path: Path) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise _invalid(path, key, value, "is neither true nor false")
    return value


def _choice(given: Mapping[str, Any], key: str, default: T, path: Path) -> T:
    value, choices = given.get(key, default), type(default)
    try:
        return choices(value)
    except ValueError:
        raise _invalid(path, key, value, f"is not one of {', '.join(choices)}") from None


def _invalid(path: Path, key: str, value: object, problem: str) -> InvalidInput:
    return InvalidInput(
        f"{path}: {key}: {value!r} {problem}",
        field=key,
        value=value,
        source=str(path),
        cause="the file was edited by hand",
        remedy="correct it, or delete it to have the ports of the user's guide again",
    )


def _check_distinct(servers: Iterable[ServerSpec]) -> None:
    seen: dict[int, str] = {}
    for server in servers:
        for kind, port in (("dicom", server.dicom_port), ("web", server.web_port)):
            key = f"ports.{server.id}.{kind}"
            other = seen.setdefault(port, key)
            if other != key:
                raise InvalidInput(
                    f"{key}: {port} is also {other}",
                    field=key,
                    value=port,
                    cause="each server listens on two ports of its own",
                    remedy="give eight different ports",
                )


def _check_bind(bind: object) -> None:
    try:
        ipaddress.IPv4Address(bind if isinstance(bind, str) else "")
    except ValueError:
        raise InvalidInput(
            f"bind: {bind!r} is not an IPv4 address",
            field="bind",
            value=bind,
            cause="the servers listen on one address of this machine",
            remedy="use 127.0.0.1 for this machine alone, or 0.0.0.0 for all who reach it",
        ) from None
