"""Media types, and which representation a client gets (PS3.18 8.7, RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.dicomweb.errors import NotAcceptable
from dicomfab.dicomweb.messages import Request
from dicomfab.model.errors import InvalidInput

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
RELATED: Final = "multipart/related"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Pieces between separators that are not within quotes. The branches begin differently: no backtracking.
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_BETWEEN_COMMAS: Final = re.compile(rf'(?:[^,"]|{_QUOTED})+', re.DOTALL)
_BETWEEN_SEMICOLONS: Final = re.compile(rf'(?:[^;"]|{_QUOTED})+', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_QUALITY: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type, or a range of them (``image/*``).

    Args:
        name: type and subtype in lower case.
        parameters: names in lower case, with their values unquoted; ``q`` is not among them.
        quality: how much it is wanted, 0 to 1.
    """

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    quality: float = 1.0

    def parameter(self, name: str) -> str:
        """A parameter's value; empty if there is none."""
        return dict(self.parameters).get(name, "")

    @property
    def specificity(self) -> tuple[int, int]:
        """How exactly it says what it wants, for comparison."""
        stars = 0 if self.name == "*/*" else 1 if self.name.endswith("/*") else 2
        return stars, sum(name in ("type", "transfer-syntax") for name, _ in self.parameters)


@dataclass(frozen=True, slots=True)
class Offer:
    """One representation that can be given.

    Args:
        name: its media type, or that of its parts.
        multipart: whether it comes as multipart/related.
        transfer_syntax_uid: what its data are encoded in; empty where it has none.
        is_default: what is given when a client names no transfer syntax (PS3.18 8.7.3).
    """

    name: str
    multipart: bool = False
    transfer_syntax_uid: str = ""
    is_default: bool = True


def parse_media_type(text: str, *, field: str = "Content-Type") -> MediaType:
    """Read one media type with its parameters.

    Raises:
        InvalidInput: it is none.
    """
    first, *rest = _pieces(_BETWEEN_SEMICOLONS, text, ";", field) or [""]
    name = first.strip().lower()
    kind, slash, subtype = name.partition("/")
    if not (slash and _TOKEN.fullmatch(kind) and _TOKEN.fullmatch(subtype)):
        raise _malformed(field, text)
    parameters = dict(_parameter(piece, field) for piece in rest if piece.strip())
    quality = parameters.pop("q", "1")
    if not _QUALITY.fullmatch(quality):
        raise _malformed(field, text)
    return MediaType(name, tuple(parameters.items()), float(quality))


def parse_accept(text: str, *, field: str = "Accept") -> tuple[MediaType, ...]:
    """Read the value of an Accept header; an empty one means anything.

    Raises:
        InvalidInput: it cannot be read.
    """
    pieces = [piece for piece in _pieces(_BETWEEN_COMMAS, text, ",", field) if piece.strip()]
    return tuple(parse_media_type(piece, field=field) for piece in pieces) or (MediaType("*/*"),)


def acceptable(request: Request) -> tuple[MediaType, ...]:
    """What a request accepts: its ``accept`` query parameter, else its Accept header (PS3.18 8.3.3.1, 8.7.5).

    Raises:
        InvalidInput: it cannot be read.
    """
    wanted = request.values("accept")
    if wanted:
        # A plus sign that was not escaped in an address arrives as a space.
        text = re.sub(r"(?<=[a-z]) (?=(?:json|xml)\b)", "+", ",".join(wanted))
        return parse_accept(text, field="accept")
    return parse_accept(request.header("accept"))


def choose(ranges: Iterable[MediaType], offers: Sequence[Offer]) -> Offer:
    """The representation that is wanted most; of equally wanted ones the first.

    Args:
        ranges: what the client accepts.
        offers: what there is, the preferred one first.

    Raises:
        NotAcceptable: none of them is wanted.
    """
    ranges = tuple(ranges)
    chosen = max(offers, key=lambda offer: _quality(ranges, offer), default=None)
    if chosen is None or not _quality(ranges, chosen):
        raise NotAcceptable(
            "nothing that was asked for in Accept is available",
            cause="this resource has no such representation, or its pixel data cannot be converted to it",
            remedy="ask for one of: " + "; ".join(dict.fromkeys(described(offer) for offer in offers)),
        )
    return chosen


def described(offer: Offer) -> str:
    """An offer as a media type, to be read by people and to be sent as Content-Type of a part."""
    name = f'{RELATED}; type="{offer.name}"' if offer.multipart else offer.name
    return f"{name}; transfer-syntax={offer.transfer_syntax_uid}" if offer.transfer_syntax_uid else name


def _quality(ranges: Sequence[MediaType], offer: Offer) -> float:
    """The quality that the most specific range gives it (RFC 9110 12.5.1); 0 if none covers it."""
    covering = [one for one in ranges if _covers(one, offer)]
    return max(covering, key=lambda one: one.specificity).quality if covering else 0.0


def _covers(wanted: MediaType, offer: Offer) -> bool:
    if offer.multipart:
        parts = wanted.parameter("type").lower()
        fits = _name_covers(wanted.name, RELATED) and (not parts or _name_covers(parts, offer.name))
    else:
        fits = _name_covers(wanted.name, offer.name)
    syntax = wanted.parameter("transfer-syntax")
    if not fits or not offer.transfer_syntax_uid or syntax == "*":
        return fits
    return syntax == offer.transfer_syntax_uid if syntax else offer.is_default


def _name_covers(wanted: str, name: str) -> bool:
    return wanted in ("*/*", name) or (wanted.endswith("/*") and name.startswith(wanted[:-1]))


def _pieces(between: re.Pattern[str], text: str, separator: str, field: str) -> list[str]:
    return list(_split(between, text, separator, field))


def _split(between: re.Pattern[str], text: str, separator: str, field: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = between.match(text, at)
        end = found.end() if found else at
        if end < len(text) and text[end] != separator:
            raise _malformed(field, text)
        yield text[at:end]
        at = end + 1


def _parameter(piece: str, field: str) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    name, value = name.strip().lower(), value.strip()
    if not equals or not _TOKEN.fullmatch(name):
        raise _malformed(field, piece)
    if value.startswith('"'):
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return name, value


def _malformed(field: str, text: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {text[:200]!r} is not a list of media types",
        field=field,
        value=text,
        cause="a media type is type/subtype with parameters name=value behind semicolons (RFC 9110 8.3.1)",
        remedy='for example: multipart/related; type="application/dicom"; transfer-syntax=*',
    )
