"""DICOMweb: resources, what they are given as, keys of searches, statuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from pydicom.datadict import dictionary_description, tag_for_keyword

from conformance_tables.words import name_of, table, tag_of
from dicomfab.dicomweb import errors, handler, metadata, qido, query, stow
from dicomfab.dicomweb.bulk import FRAME_TYPES, frames
from dicomfab.dicomweb.media_types import DICOM, DICOM_JSON, OCTETS, described
from dicomfab.dicomweb.rendered import _PDF, rendered, thumbnail
from dicomfab.dicomweb.retrieve import offers
from dicomfab.model.query import Level
from dicomfab.pixels.picture import FORMATS
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE

_LEVELS: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_JSON: Final = ", ".join(f"`{one.name}`" for one in qido._OFFERS)
_PICTURES: Final = ", ".join(f"`{one}`" for one in FORMATS)


def resources() -> str:
    """Each route with its methods, and what GET answers."""
    rows = []
    for pattern, get, more in handler._ROUTES:
        address = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda found: "{" + found[1] + "}", pattern.pattern)
        address = address.replace("frames/{rest}", "frames/{FrameList}").replace("bulkdata/{rest}", "bulkdata/{Place}")
        rows.append((f"`/{address}`", ", ".join(("GET", "HEAD", *more)), _given(get)))
    return table(("Resource", "Methods", "GET answers with"), rows)


def _given(get: object) -> str:
    if get is frames:
        native = f"`{OCTETS}`"
        return (
            f"frames: `multipart/related` of {native}, or as they are stored" if get is frames else f"a value: {native}"
        )
    if get is rendered:
        return f"pictures: {_PICTURES}, or `multipart/related` of them; `{_PDF}` of an encapsulated PDF"
    if get is thumbnail:
        return f"a small picture: {_PICTURES}"
    if get is handler._metadata:
        assert [one.name for one in metadata._OFFERS] == [one.name for one in qido._OFFERS]
        return f"metadata: {_JSON}"
    if get is handler._instances:
        return f"instances: `multipart/related` of `{DICOM}`"
    return f"a search: {_JSON}"


def retrieved_as() -> str:
    """How an instance that is kept as explicit little endian, or JPEG 2000, can be had."""
    rows = []
    for stored in (EXPLICIT_LITTLE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90"):
        for offer in offers(stored, alone=True):
            default = (
                "given if no transfer syntax is named" if offer.is_default else "with its `transfer-syntax`, or `*`"
            )
            rows.append((name_of(stored), f"`{described(offer)}`", default))
    return table(("Kept as", "Given as", "When"), rows)


def frame_types() -> str:
    rows = [(f"`{kind}`", ", ".join(uid for uid, one in FRAME_TYPES.items() if one == kind)) for kind in
            dict.fromkeys(FRAME_TYPES.values())]  # fmt: skip
    return table(("Media type of a frame as it is stored", "Transfer syntaxes"), rows)


def returned() -> str:
    rows = [
        (_LEVELS[level], dictionary_description(keyword), tag_of(keyword))
        for level, keywords in query._RETURNED.items()
        for keyword in keywords
        if tag_for_keyword(keyword)
    ]
    rows += [(level, "Retrieve URL", tag_of(qido._RETRIEVE_URL)) for level in _LEVELS.values()]
    return table(("Search for", "Attribute that is always returned", "Tag"), rows)


def options() -> str:
    rows = [(f"`{one}`", query._NOT_DONE.get(one) or _done(one)) for one in sorted(query._OPTIONS)]
    return table(("Parameter", "What is done with it"), rows)


def _done(option: str) -> str:
    return {
        "accept": "as the header Accept",
        "includefield": "attributes by keyword or tag, or `all`",
        "limit": f"at most so many answers, up to {query._MAX_COUNT:,}; without it all",
        "offset": "so many are left out before",
    }[option]


def stored() -> str:
    rows = [
        (f'`multipart/related; type="{DICOM}"`', "Part 10 files"),
        (f"`{DICOM}`", "one Part 10 file"),
        (f'`multipart/related; type="{DICOM_JSON}"`', "metadata, with the bulk data that it names"),
    ]
    return table(("Body of a store request", "What it holds"), rows)


def store_reasons() -> str:
    rows = [
        (f"{stow.OUT_OF_RESOURCES:04X}", "the disk is full, or the body too long"),
        (f"{stow.OTHER_STUDY:04X}", "it is of another study than the address names"),
        (f"{stow.NOT_UNDERSTOOD:04X}", "it cannot be read"),
        (f"{stow.PROCESSING_FAILURE:04X}", "it could not be kept"),
    ]
    return table(("Failure Reason (0008,1197)", "When"), rows)


def statuses() -> str:
    """The status of each kind of failure."""
    found: dict[int, list[str]] = {}
    for kind, code in errors._STATUS:
        found.setdefault(code, []).append(kind.heading)
    for kind in errors.WebRefusal.__subclasses__():
        found.setdefault(kind.status, []).append(kind.heading)
    rows = [(code, ", ".join(dict.fromkeys(found[code]))) for code in sorted(found)]
    return table(("Status", "When"), [*rows, (500, "all else: what is wrong here")])


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "web-resources": resources,
    "web-retrieved-as": retrieved_as,
    "web-frames": frame_types,
    "web-returned": returned,
    "web-options": options,
    "web-stored": stored,
    "web-store-reasons": store_reasons,
    "web-statuses": statuses,
}
