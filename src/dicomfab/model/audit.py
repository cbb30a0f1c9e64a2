"""Audit events: who did what, where, with which patients, and how it ended. Values only; see PS3.15 A.5."""

from __future__ import annotations

import base64
import enum
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Self

from dicomfab.model.actor import Actor

MAX_NAME: Final = 200
MAX_TEXT: Final = 4000
_CUT: Final = "\N{HORIZONTAL ELLIPSIS}"


class EventKind(enum.StrEnum):
    """What happened."""

    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    REFUSAL = "refusal"
    QUERY = "query"
    TRANSFER_BEGUN = "transfer-begun"
    TRANSFER_ENDED = "transfer-ended"
    EXPORT = "export"
    IMPORT = "import"
    VIEW = "view"
    FABRICATION = "fabrication"
    DELETION = "deletion"
    PATIENT_CHANGE = "patient-change"
    REGISTRY_CHANGE = "registry-change"
    ROUTE_CHANGE = "route-change"
    SETTINGS_CHANGE = "settings-change"
    USER_CHANGE = "user-change"
    ROLE_CHANGE = "role-change"
    TOKEN_CHANGE = "token-change"  # noqa: S105 - the kind's name, no token
    START = "application-start"
    STOP = "application-stop"
    AUDIT_READ = "audit-read"
    AUDIT_PURGE = "audit-purge"
    KEY_CHANGE = "audit-key-change"
    CHAIN_BREAK = "chain-break"


FREQUENT: Final = frozenset(
    {
        EventKind.REFUSAL,
        EventKind.QUERY,
        EventKind.TRANSFER_BEGUN,
        EventKind.TRANSFER_ENDED,
        EventKind.IMPORT,
        EventKind.VIEW,
        EventKind.FABRICATION,
        EventKind.AUDIT_READ,
    }
)
"""Kinds that come in great numbers: a power cut may take the newest of them, the end of a process takes none."""


class Outcome(enum.StrEnum):
    """How it ended (EventOutcomeIndicator, PS3.15 table A.5.2-1)."""

    SUCCESS = "success"
    MINOR = "minor"  # goes on, or was tried again: one wrong password
    SERIOUS = "serious"  # ended: refused, a wrong password too many
    MAJOR = "major"  # something is no longer usable or trustworthy: an account closed, a broken chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A system at one end of a query or transfer.

    Args:
        name: of the server in the registry.
        ae_title: its AE title.
        host: its host name or IP address.
    """

    name: str = ""
    ae_title: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        """Make every text harmless."""
        _neutralise(self, ("name", "ae_title", "host"), MAX_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One entry of the audit log. Every text in it is made harmless (:func:`harmless`), whoever supplied it.

    A message of PS3.15 A.5.3 on transfers, views and deletions is about one patient: make one event for each.

    Args:
        kind: what happened.
        actor: the sign-in name, as it was claimed; blank for the installation itself.
        at: when, with time zone; the log fills it in.
        source: where the account is kept: ``local``, ``os``, a directory.
        roles: of the actor at that moment.
        door: where the request came in: ``cli``, ``web``, ``api``, ``job``.
        address: the network address that the request came from.
        outcome: how it ended.
        reason: why it did not succeed.
        environment: ``test`` or ``prod``, of the server or the data; blank if it touched none.
        sender: who sent data or asked a query; ``None`` if this installation did.
        receiver: who received data or answered a query; ``None`` if this installation did.
        subject: what a change was made to, what was refused, or where an export went: a server, an account, a file.
        study_uids: Study Instance UIDs.
        sop_classes: SOP Class UID -> number of instances.
        patient_ids: Patient IDs (0010,0020).
        query: the identifier of a query, encoded.
        query_sop_class: the SOP class that was queried.
        query_syntax: UID of the transfer syntax that ``query`` is encoded in.
        detail: anything else, without patients' names and without secrets.
        host: the machine that it happened on; the log fills it in.
        process: the number of the process there; the log fills it in.
    """

    kind: EventKind
    actor: str = ""
    at: datetime | None = None
    source: str = ""
    roles: tuple[str, ...] = ()
    door: str = ""
    address: str = ""
    outcome: Outcome = Outcome.SUCCESS
    reason: str = ""
    environment: str = ""
    sender: Node | None = None
    receiver: Node | None = None
    subject: str = ""
    study_uids: tuple[str, ...] = ()
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    patient_ids: tuple[str, ...] = ()
    query: bytes = b""
    query_sop_class: str = ""
    query_syntax: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    process: int = 0

    def __post_init__(self) -> None:
        """Make every text harmless; bring the moment to UTC."""
        names = ("actor", "source", "door", "address", "query_sop_class", "query_syntax", "host")
        _neutralise(self, names, MAX_NAME)
        _neutralise(self, ("reason", "subject"), MAX_TEXT)
        object.__setattr__(self, "environment", harmless(self.environment)[:8])
        for name in ("roles", "study_uids", "patient_ids"):
            object.__setattr__(self, name, tuple(harmless(one, MAX_NAME) for one in getattr(self, name)))
        classes = {harmless(uid, MAX_NAME): int(number) for uid, number in self.sop_classes.items()}
        object.__setattr__(self, "sop_classes", classes)
        detail = {harmless(key, MAX_NAME): harmless(str(value), MAX_TEXT) for key, value in self.detail.items()}
        object.__setattr__(self, "detail", detail)
        if self.at is not None:
            if self.at.tzinfo is None:
                raise ValueError(f"{self.at!r} has no time zone")
            object.__setattr__(self, "at", self.at.astimezone(UTC))

    @classmethod
    def by(cls, actor: Actor, kind: EventKind, **values: Any) -> Self:
        """An event of someone who is signed in.

        Args:
            actor: gives name, roles, door and address, and the token that it came with.
            kind: what happened.
            values: the other arguments of the class.
        """
        values.setdefault("address", actor.address)
        if actor.token_id:
            values["detail"] = {"token": actor.token_id, **values.get("detail", {})}
        return cls(kind=kind, actor=actor.name, roles=tuple(sorted(actor.roles)), door=actor.door, **values)

    def as_dict(self) -> dict[str, Any]:
        """What is not blank, as plain values for JSON."""
        return {name: _plain(value) for name in _FIELDS if (value := getattr(self, name))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What :meth:`as_dict` gave.

        Raises:
            KeyError, ValueError, TypeError: it is not that.
        """
        return cls(**{name: _rich(name, value) for name, value in values.items()})

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the servers that took part."""
        return tuple(node.name for node in (self.sender, self.receiver) if node is not None and node.name)


_FIELDS: Final = tuple(one.name for one in fields(AuditEvent))


def canonical(values: Mapping[str, Any]) -> str:
    """The one JSON text of an event (:meth:`AuditEvent.as_dict`): what the MAC of its entry is over."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def harmless(text: str, limit: int = MAX_TEXT) -> str:
    """A text that can forge no entry, no line, no column and no direction of writing wherever it is shown.

    Control characters become the symbols that picture them; what else has no shape of its own (surrogates, line and
    paragraph separators, marks that turn the direction of writing, characters that XML forbids) becomes U+FFFD.

    Args:
        text: from anywhere.
        limit: characters that are kept; a longer text ends with an ellipsis.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(_shown(c) for c in text)
    return text if len(text) <= limit else text[: limit - 1] + _CUT


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    # XML 1.0 forbids the noncharacters U+FFFE and U+FFFF.
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or code & 0xFFFE == 0xFFFE:
        return "\N{REPLACEMENT CHARACTER}"
    return character


def _neutralise(value: object, names: Iterable[str], limit: int) -> None:
    for name in names:
        object.__setattr__(value, name, harmless(getattr(value, name), limit))


def _plain(value: Any) -> Any:
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Node):
        return {one.name: getattr(value, one.name) for one in fields(value) if getattr(value, one.name)}
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return dict(value) if isinstance(value, Mapping) else list(value)


def _rich(name: str, value: Any) -> Any:
    if name in ("sender", "receiver"):
        return Node(**value)
    if name == "at":
        return datetime.fromisoformat(value)
    if name == "query":
        return base64.b64decode(value, validate=True)
    if name in ("kind", "outcome"):
        return EventKind(value) if name == "kind" else Outcome(value)
    return tuple(value) if isinstance(value, list) else value
