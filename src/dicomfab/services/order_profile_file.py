"""Mapping profiles as files: YAML, checked as a whole before any message is read by them."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dicomfab.fabricate import yaml_text
from dicomfab.hl7.entries import Unusable
from dicomfab.hl7.entries import text as checked_text
from dicomfab.hl7.er7 import path
from dicomfab.hl7.orders import MAPPED
from dicomfab.hl7.profile import Profile, Replies
from dicomfab.hl7.receiver import Receiver, ReceiverTls
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import host as checked_host

SCHEMA_ID: Final = "https://dicom-fabricator.example/hl7-profile.schema.json"
MAX_CHARS: Final = 1 << 20
_STRICT: Final = ConfigDict(extra="forbid", frozen=True)


class ModalityRules(BaseModel):
    """How the modality follows from the procedure."""

    model_config = _STRICT

    by_code: dict[str, str] = Field(
        default={}, description="CODE or CODE^SCHEME of the procedure: modality. Counts more than OBR-24 and IPC-5."
    )
    by_text: dict[str, str] = Field(
        default={},
        description="Regular expression, in any case of letters: modality. Counts where neither a code nor the message "
        "says it; the first that fits.",
    )


class RepliesFile(BaseModel):
    """Where the sending system hears how far its orders have come."""

    model_config = _STRICT

    host: str = Field(description="Name or address that it listens at.")
    port: int = Field(ge=1, le=65535, description="Its port for MLLP.")
    application: str = Field(default="", max_length=64, description="What it is called in messages (MSH-5).")
    facility: str = Field(default="", max_length=64, description="Its facility in messages (MSH-6).")
    message: Literal["orm", "omg", "omi"] = Field(
        default="orm", description="Kind of message: ORM^O01 2.3.1, OMG^O19 or OMI^O23 2.5.1."
    )
    tls: bool = Field(default=False, description="Whether the connection is secured.")
    tls_ca_file: str = Field(
        default="", description="PEM file of the certificates to trust; without it, those that this machine trusts."
    )
    tls_certificate_file: str = Field(default="", description="PEM file of our certificate, if it demands one.")
    tls_key_file: str = Field(default="", description="PEM file of the private key of our certificate.")


class ProfileFile(BaseModel):
    """What one sending system does otherwise than IHE, and what its messages leave out."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"$id": SCHEMA_ID, "title": "DICOM Fabricator HL7 profile"}
    )

    name: str = Field(min_length=1, max_length=64, description="What people call it.")
    senders: list[str] = Field(min_length=1, description="APPLICATION (MSH-3), or APPLICATION|FACILITY (MSH-3, MSH-4).")
    sources: dict[str, list[str]] = Field(
        default={},
        description=f"Attribute: elements that hold it, the best first. Attributes: {', '.join(MAPPED)}.",
    )
    defaults: dict[str, str] = Field(default={}, description="Attribute: value where the message says none.")
    modality: ModalityRules = ModalityRules()
    replies: RepliesFile | None = Field(
        default=None, description="Where status messages of its orders go, and what became of messages it sent."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a profile."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProfileFile.model_json_schema()}


def read(text: str, *, source: str) -> Profile:
    """Read a profile.

    Args:
        text: YAML, or JSON, which is YAML too.
        source: what to call it in messages, such as the name of its file.

    Raises:
        InvalidInput: it is none; names the field.
    """
    if len(text) > MAX_CHARS:
        raise _refused(source, "file", f"has {len(text)} characters; {MAX_CHARS} are the most that is read")
    try:
        parsed = yaml_text.parsed(text)
    except yaml_text.NotYaml as error:
        place = "" if error.line is None else f"line {error.line}: "
        raise _refused(source, "file", f"{place}is not YAML: {error.problem}") from None
    if twice := parsed.repeated():
        name, line = twice
        raise _refused(source, name, f"line {line}: stands twice; the second would silently replace the first")
    try:
        found = ProfileFile.model_validate(parsed.values)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refused(source, ".".join(map(str, first["loc"])) or "file", first["msg"]) from None
    return Profile(
        found.name,
        tuple(found.senders),
        {keyword: _elements(source, keyword, elements) for keyword, elements in found.sources.items()},
        {keyword: _default(source, keyword, value) for keyword, value in found.defaults.items()},
        found.modality.by_code,
        [(_pattern(source, text), modality) for text, modality in found.modality.by_text.items()],
        _replies(source, found.replies) if found.replies else None,
    )


def _replies(source: str, found: RepliesFile) -> Replies:
    for name in ("application", "facility"):
        try:
            checked_text(64)(getattr(found, name))
        except Unusable as error:
            raise _refused(source, f"replies.{name}", str(error)) from None
    try:
        host = checked_host(found.host)
    except InvalidInput as error:
        raise _refused(source, "replies.host", error.cause) from None
    files = (found.tls_ca_file, found.tls_certificate_file, found.tls_key_file)
    if any(files) and not found.tls:
        raise _refused(source, "replies.tls", "is not true, and files for it are named")
    if bool(found.tls_certificate_file) != bool(found.tls_key_file):
        raise _refused(source, "replies.tls_key_file", "certificate and key go together")
    receiver = Receiver(host, found.port, ReceiverTls(*files) if found.tls else None)
    return Replies(receiver, found.application, found.facility, found.message)


def _elements(source: str, keyword: str, elements: list[str]) -> tuple[str, ...]:
    _known(source, f"sources.{keyword}", keyword)
    for element in elements:
        try:
            path(element)
        except ValueError as error:
            raise _refused(source, f"sources.{keyword}", f"{error}; write SEGMENT-FIELD.COMPONENT, OBR-18.1") from None
    return tuple(elements)


def _default(source: str, keyword: str, value: str) -> str:
    """As a message's value would be taken: one that would be changed or left out is refused."""
    _known(source, f"defaults.{keyword}", keyword)
    taken, note = MAPPED[keyword].convert(value)
    if taken != value or note:
        raise _refused(source, f"defaults.{keyword}", f"{value!r} cannot be used{f': {note}' if note else ''}")
    return value


def _known(source: str, field: str, keyword: str) -> None:
    if keyword not in MAPPED:
        raise _refused(source, field, f"is no attribute that can be mapped; those that can: {', '.join(MAPPED)}")


def _pattern(source: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise _refused(source, "modality.by_text", f"{text!r} is no regular expression: {error}") from None


def _refused(source: str, field: str, problem: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {source}: {problem}",
        field=field,
        value=source,
        cause="the mapping profile cannot be used, and no message is read by half of one",
        remedy="correct the file; its schema: dicomfab order profile-schema",
    )
