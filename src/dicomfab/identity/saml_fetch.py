"""Get metadata from a file or an address: bounded in size and in time, and only from who can prove who it is."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dicomfab.identity.oidc_http import Http
from dicomfab.model.errors import DirectoryUnavailable

#: The longest file, in bytes.
MAX_BYTES: Final = 1 << 20
#: Seconds for an address, to the last byte.
WHOLE_S: Final = 5.0


def is_address(place: str) -> bool:
    """Whether metadata are at an address; else in a file."""
    return place.lower().startswith(("https://", "http://"))


def from_file(place: str) -> bytes:
    """The content of a file.

    Raises:
        DirectoryUnavailable: it cannot be read, or is too long.
    """
    try:
        with Path(place).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unusable(place, f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise unusable(place, f"they are longer than {MAX_BYTES} bytes")
    return data


def from_address(place: str, ca_file: str) -> bytes:
    """The answer of a server.

    Args:
        place: its address.
        ca_file: PEM of who may have signed its certificate; blank for those whom the system trusts.

    Raises:
        DirectoryUnavailable: there is none, or its certificate is not trusted.
    """
    if not _is_safe(place):
        raise unusable(
            place,
            "it is not encrypted, so that anybody on the way could put other certificates into it",
            remedy="Give an address with https, or the path of a file.",
        )
    accepted = {"Accept": "application/samlmetadata+xml, application/xml;q=0.9, */*;q=0.1"}
    status, data = Http(f"The identity provider at {place}", ca_file, WHOLE_S).ask("its metadata", place, accepted)
    if status != 200:
        raise unusable(place, f"the server answers with status {status}")
    return data


def _is_safe(place: str) -> bool:
    """Whether nobody can read and alter what comes from there."""
    try:
        parts = urlsplit(place)
        host, _ = parts.hostname or "", parts.port
        return bool(host) and (parts.scheme == "https" or host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def unusable(place: str, why: str, *, remedy: str = "") -> DirectoryUnavailable:
    """What to raise about metadata."""
    return DirectoryUnavailable(
        f"The metadata of the identity provider, {place}, cannot be used.",
        cause=f"{why[:300]}.",
        remedy=remedy or "Correct the metadata, or where they are taken from.",
    )
