"""Checks of single fields of a registry entry, from outside text to the value kept.

Every check takes the value and the field's name and raises :class:`InvalidInput` naming both.
"""

from __future__ import annotations

import difflib
import enum
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

Check = Callable[[object, str], object]


class Capability(enum.StrEnum):
    """A DIMSE operation that a server may be asked for."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"


ALL_CAPABILITIES = frozenset(Capability)

# PS3.3 C.12.1.1.2, tables C.12-2 and C.12-5: the terms that stand alone, without code extensions.
CHARACTER_SETS = (
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126",
    "ISO_IR 138", "ISO_IR 148", "ISO_IR 203", "ISO_IR 13", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK",
)  # fmt: skip

#: How a server is asked, sent to and retrieved from: DIMSE or DICOMweb. The first is a new server's.
VIAS = ("dimse", "web")

# Secure Transport Connection Profiles of PS3.15: B.12, B.13 and, retired, B.10. The first is a new server's.
TLS_PROFILES = ("bcp-195", "modified-bcp-195", "non-downgrading-bcp-195")

MOVE_ROUTING = "move_routing"
MAX_TIMEOUT_S = 3600.0
MAX_PATH_CHARS = 1000
MAX_USER_CHARS = 200
MAX_GROUP_CHARS = 200
MAX_ASSOCIATIONS = 100
MAX_RATE_PER_MINUTE = 100_000
# Below, peers spend their time on headers; above, none gains by it.
MIN_PDU_BYTES, MAX_PDU_BYTES = 4096, 1 << 20
MAX_LABEL_CHARS = 63  # RFC 1035 2.3.4

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Embeddings, overrides and isolates of writing direction: with them a name turns around what stands beside it.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def suggestion(word: object, known: Iterable[str]) -> str:
    """``did you mean 'port'?``, or nothing when no known word is near."""
    by_key = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(str(word).casefold(), by_key, n=1, cutoff=0.6)
    return f"did you mean {by_key[near[0]]!r}?" if near else ""


def server_id(value: object, field: str = "id") -> str:
    """An id is part of URLs and a JSON key: letters, digits, dots, hyphens and underscores, at most 64."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or value.casefold() == MOVE_ROUTING:
        raise _invalid(
            field,
            value,
            "is not a usable id",
            cause="an id is 1 to 64 letters, digits, '.', '_' or '-', begins with a letter or digit, "
            f"and is not {MOVE_ROUTING!r}",
            remedy="leave the id out to have one made from the name",
        )
    return value


def text(*, max_chars: int, required: bool = False, lines: bool = False) -> Check:
    """Make the check of a text field; ``lines`` allows line breaks and tabs."""

    def check(value: object, field: str) -> str:
        if not isinstance(value, str):
            raise _invalid(field, value, "is not a text")
        stripped = value.strip()
        if required and not stripped:
            raise _invalid(field, value, "is empty", remedy=f"give a {field}")
        if len(stripped) > max_chars:
            raise _invalid(field, value, f"has {len(stripped)} characters; at most {max_chars} fit")
        body = stripped.translate({10: None, 13: None, 9: None}) if lines else stripped
        if any(unicodedata.category(c) in _UNPRINTABLE or c in _TURNING for c in body):
            raise _invalid(field, value, "contains a character that cannot be shown", remedy="remove it")
        return stripped

    return check


def labels(value: object, field: str) -> str:
    """Free words to choose servers by, joined by commas, each once whatever its case; or blank."""
    check = text(max_chars=MAX_GROUP_CHARS)
    words = [" ".join(part.split()) for part in str(check(value, field)).split(",")]
    first = {word.casefold(): word for word in reversed(words) if word}
    return str(check(", ".join(reversed(first.values())), field))


def host(value: object, field: str) -> str:
    """A host name or address, without the port."""
    name = values.host(value, field=field)
    if name.count(":") == 1:
        raise _invalid(field, value, "holds a port as well", remedy="give host and port in their own fields")
    return name


def port(value: object, field: str) -> int:
    """A TCP port."""
    return values.port(value, field=field)


def environment(value: object, field: str) -> values.Environment:
    """``test`` or ``prod``."""
    return values.environment(value, field=field)


def ae_title(value: object, field: str) -> str:
    """An AE title (PS3.5 6.2, VR AE)."""
    return values.ae_title(value, field=field)


def ae_title_or_blank(value: object, field: str) -> str:
    """An AE title, or blank (empty or spaces) where the field gives blank a meaning."""
    if isinstance(value, str) and not value.strip(" "):
        return ""
    return values.ae_title(value, field=field)


def flag(value: object, field: str) -> bool:
    """True or false; no other spelling, because ``"false"`` is a true text in most languages."""
    if not isinstance(value, bool):
        raise _invalid(field, value, "is neither true nor false")
    return value


def flag_or_default(value: object, field: str) -> bool | None:
    """True, false, or none where the server's environment is to decide."""
    return None if value is None else flag(value, field)


def seconds(value: object, field: str) -> float:
    """A waiting time, more than 0 and at most an hour."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TIMEOUT_S:
        raise _invalid(field, value, f"is not a time in seconds above 0 and up to {MAX_TIMEOUT_S:g}")
    if not math.isfinite(value):
        raise _invalid(field, value, "is not a number")
    return float(value)


def whole_number(*, least: int, most: int, or_zero: bool = False) -> Check:
    """Make the check of a whole number, given as such or in digits; ``or_zero`` where 0 has a meaning of its own."""

    def check(value: object, field: str) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            number = int(value.strip()[:20])
        if number is None or not (least <= number <= most or (or_zero and number == 0)):
            zero = "0, or " if or_zero else ""
            raise _invalid(field, value, f"is not {zero}a whole number from {least} to {most}")
        return number

    return check


def capabilities(value: object, field: str) -> frozenset[Capability]:
    """A list of operations."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _invalid(field, value, "is not a list", remedy='write for example ["echo", "find", "store"]')
    found = set()
    for item in value:
        if not isinstance(item, str) or item not in ALL_CAPABILITIES:
            known = ", ".join(Capability)
            raise _invalid(
                field, item, "is not an operation", cause=suggestion(item, Capability), remedy=f"use {known}"
            )
        found.add(Capability(item))
    return frozenset(found)


def character_set(value: object, field: str) -> str:
    """A defined term of Specific Character Set (0008,0005), or blank."""
    if value == "":
        return ""
    if not isinstance(value, str) or value not in CHARACTER_SETS:
        raise _invalid(
            field,
            value,
            "is not a character set's defined term",
            cause=suggestion(value, CHARACTER_SETS),
            remedy="use a term of PS3.3 C.12.1.1.2, for example 'ISO_IR 100' (Latin 1) or 'ISO_IR 192' (UTF-8)",
        )
    return value


def web_root(value: object, field: str) -> str:
    """The http(s) address below which a server speaks DICOMweb, without a trailing slash, or blank."""
    if value == "":
        return ""
    if not isinstance(value, str) or not _is_web_root(value):
        raise _invalid(
            field,
            value,
            "is not an http(s) address",
            cause="it must begin with http:// or https:// and hold no user, password, query or space",
            remedy="write for example https://pacs.example.com/dicom-web",
        )
    return value.rstrip("/")


def web_user(value: object, field: str) -> str:
    """A user name of HTTP Basic (RFC 7617 2), which has no colon, or blank."""
    name = str(text(max_chars=MAX_USER_CHARS)(value, field))
    if ":" in name:
        raise _invalid(field, value, "holds a colon", remedy="the password goes into a file, see dicomweb_secret_file")
    return name


def via(value: object, field: str) -> str:
    """``dimse`` or ``web``."""
    if value not in VIAS:
        raise _invalid(
            field, value, "is neither", cause=suggestion(value, VIAS), remedy=f"use {' or '.join(VIAS)} (DICOMweb)"
        )
    return str(value)


def file_path(value: object, field: str) -> str:
    """The path of a file as text, from the root on, or blank; whether it is there is not looked at."""
    path = str(text(max_chars=MAX_PATH_CHARS)(value, field))
    if path and not path.startswith("/"):
        raise _invalid(
            field,
            value,
            "is not a path from the root on",
            cause="commands and web pages run in different folders, so that a path from here would mean two files",
            remedy="write the whole path, for example /etc/ssl/hospital-ca.pem",
        )
    return path


def tls_profile(value: object, field: str) -> str:
    """A Secure Transport Connection Profile, by our name for it."""
    if not isinstance(value, str) or value not in TLS_PROFILES:
        raise _invalid(
            field,
            value,
            "is not a TLS profile",
            cause=suggestion(value, TLS_PROFILES),
            remedy=f"use {', '.join(TLS_PROFILES)}",
        )
    return value


def host_or_blank(value: object, field: str) -> str:
    """A host name or address as a certificate holds it, or blank."""
    if isinstance(value, str) and not value.strip():
        return ""
    name = host(value, field)
    if any(len(label) > MAX_LABEL_CHARS for label in name.split(".")):
        raise _invalid(field, value, f"has a part of more than {MAX_LABEL_CHARS} characters between its dots")
    return name


def _is_web_root(value: str) -> bool:
    try:
        url = urlsplit(value)
        valid_port = url.port is None or url.port > 0
    except ValueError:
        return False
    clean = value.isprintable() and not any(c in value for c in ' @?#\\<>"') and len(value) <= 500
    return clean and url.scheme in {"http", "https"} and bool(url.hostname) and valid_port


def _invalid(field: str, value: object, problem: str, *, cause: str = "", remedy: str = "") -> InvalidInput:
    return InvalidInput(f"{field}: {value!r} {problem}", field=field, value=value, cause=cause, remedy=remedy)
