"""A syslog message that carries an audit message (RFC 5424; IHE ITI TF-2 3.20), and its frame (RFC 5425 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: Facility 10 (security and authorization), severity 5 (notice).
PRIORITY: Final = 10 * 8 + 5
MESSAGE_ID: Final = "DICOM+RFC3881"
APPLICATION: Final = "dicomfab"
#: Where names are our own. 32473 is the number that RFC 5612 gives to those who have none registered.
OUR_DATA: Final = "dicomfab@32473"
#: What a receiver has to take by IHE ITI TF-2 3.20.4.1.2. A longer message may be cut off, and is then no XML any more.
MAX_BYTES: Final = 32_768

_BOM: Final = b"\xef\xbb\xbf"
_NIL: Final = "-"
_LARGEST_SEQUENCE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a receiver may know of an entry without reading its XML.

    Args:
        seq: number of the entry; with ``mac`` it tells a repeat from another entry.
        at: its moment, with time zone.
        host: the machine that it happened on.
        process: the number of the process there.
        source: names the installation (AuditSourceID).
        mac: of the entry in the chain of the log.
        full_bytes: length of the whole audit message if a shortened one goes out.
    """

    seq: int
    at: datetime
    host: str
    process: int
    source: str
    mac: str
    full_bytes: int | None = None


def message(header: Header, xml: bytes) -> bytes:
    """The message, in UTF-8 with the byte order mark that RFC 5424 6.4 wants.

    Args:
        header: of the entry.
        xml: its audit message (PS3.15 A.5.1), in UTF-8.
    """
    moment = header.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    ours = {"source": header.source, "entry": str(header.seq), "mac": header.mac}
    if header.full_bytes is not None:
        ours["fullBytes"] = str(header.full_bytes)
    # It starts again at 1 after its largest value (RFC 5424 7.3.1).
    meta = {"sequenceId": str((header.seq - 1) % _LARGEST_SEQUENCE + 1)}
    words = (
        f"<{PRIORITY}>1",
        moment,
        _printable(header.host, 255),
        APPLICATION,
        _printable(str(header.process), 128),
        MESSAGE_ID,
        _element("meta", meta) + _element(OUR_DATA, ours),
    )
    return " ".join(words).encode() + b" " + _BOM + xml


def framed(message_: bytes) -> bytes:
    """A message with its octet count (RFC 5425 4.3)."""
    return str(len(message_)).encode("ascii") + b" " + message_


def _element(name: str, values: Mapping[str, str]) -> str:
    inside = "".join(f' {key}="{_escaped(value)}"' for key, value in values.items())
    return f"[{name}{inside}]"


def _escaped(text: str) -> str:
    """RFC 5424 6.3.3."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _printable(text: str, limit: int) -> str:
    """PRINTUSASCII of RFC 5424 6: what is not, becomes ``?``."""
    return "".join(c if 33 <= ord(c) <= 126 else "?" for c in text)[:limit] or _NIL
