"""Small checked values: AE titles, UIDs, ports, environments."""

from __future__ import annotations

import enum
import re

from dicomfab.model.errors import InvalidInput

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_SLUG_DROP = re.compile(r"[^a-z0-9]+")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")


class Environment(enum.StrEnum):
    """Where a server, or the data that came from it, belongs."""

    TEST = "test"
    PROD = "prod"


def ae_title(value: object, *, field: str = "AE title", source: str = "") -> str:
    """Check an Application Entity title (VR AE, PS3.5 6.2) and strip the spaces that do not count.

    Raises:
        InvalidInput: empty, over 16 characters, a backslash, or anything but printable ASCII.
    """
    text = value.strip(" ") if isinstance(value, str) else ""
    problem = ""
    if not text:
        problem = "is empty"
    elif len(text) > 16:
        problem = f"has {len(text)} characters"
    elif "\\" in text:
        problem = "contains a backslash"
    elif any(not 0x20 <= ord(c) <= 0x7E for c in text):
        problem = "contains a character outside printable ASCII"
    if problem:
        raise InvalidInput(
            f"{_at(source)}{field}: the AE title {value!r} {problem}",
            field=field,
            value=value,
            source=source,
            cause="an AE title is 1 to 16 characters of printable ASCII without backslash, and case matters",
            remedy="use the exact string that the peer's administrator has configured",
        )
    return text


def uid(value: object, *, field: str = "UID") -> str:
    """Check a DICOM unique identifier (VR UI, PS3.5 9.1): numbers joined by dots, at most 64 characters.

    Leading zeros, which the standard forbids, are let through: hospitals hold such UIDs, and they do no harm.

    Raises:
        InvalidInput: anything else, so that no outside text becomes a path or a query.
    """
    text = value.strip("\0 ") if isinstance(value, str) else ""
    if len(text) > 64 or not _UID.fullmatch(text):
        raise InvalidInput(
            f"{field}: {value!r} is not a DICOM UID",
            field=field,
            value=value,
            cause="a UID is numbers joined by dots, at most 64 characters",
            remedy="copy the UID again, complete and without spaces",
        )
    return text


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID (two components at least)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def port(value: object, *, field: str = "port", source: str = "") -> int:
    """Check a TCP port, 1 to 65535; a number, or a string of digits.

    Raises:
        InvalidInput: anything else.
    """
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and re.fullmatch(r"0*[0-9]{1,5}", value.strip()):  # int() of thousands of digits raises
        number = int(value.strip().lstrip("0") or "0")
    if number is None or not 1 <= number <= 65535:
        raise InvalidInput(
            f"{_at(source)}{field}: {value!r} is not a port number",
            field=field,
            value=value,
            source=source,
            cause="a port is a whole number from 1 to 65535 (DICOM usually 104 or 11112)",
            remedy="ask the server's administrator for its DICOM port",
        )
    return number


def host(value: object, *, field: str = "host", source: str = "") -> str:
    """Check a host name, IPv4 or IPv6 address by its characters (no look-up is made).

    Raises:
        InvalidInput: empty, spaces, or characters that no host name has.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not _HOST.fullmatch(text) and not (text.count(":") >= 2 and re.fullmatch(r"[0-9A-Fa-f:.%a-z0-9]+", text)):
        raise InvalidInput(
            f"{_at(source)}{field}: {value!r} is not a host name or address",
            field=field,
            value=value,
            source=source,
            cause="it is empty, or has a character that host names do not have (such as a space, / or http://)",
            remedy="give the name or the IP address alone, for example pacs.example.com or 10.0.0.5",
        )
    return text


def environment(value: object, *, field: str = "environment", source: str = "") -> Environment:
    """Check an environment name.

    Raises:
        InvalidInput: anything but ``test`` or ``prod``.
    """
    try:
        return Environment(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidInput(
            f"{_at(source)}{field}: {value!r} is neither 'test' nor 'prod'",
            field=field,
            value=value,
            source=source,
            cause="the environment decides who may use the server, so it is never guessed",
            remedy='write "environment": "test" or "environment": "prod"',
        ) from None


def slug(name: str) -> str:
    """A stable id from a name: lower-case ASCII letters, digits and single hyphens (``My PACS`` -> ``my-pacs``)."""
    return _SLUG_DROP.sub("-", name.casefold()).strip("-")


def _at(source: str) -> str:
    return f"{source}: " if source else ""
