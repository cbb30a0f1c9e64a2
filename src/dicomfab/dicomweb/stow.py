"""STOW-RS: instances are taken in, one after the other, and each is accounted for (PS3.18 10.5, annex I)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicomfab.dicomweb.errors import TooLarge, UnsupportedMediaType
from dicomfab.dicomweb.incoming import Announced, NotAnInstance, announced
from dicomfab.dicomweb.incoming_json import Gathered, gathered
from dicomfab.dicomweb.json_values import number_attribute, text_attribute, uid_attribute
from dicomfab.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    JSON,
    RELATED,
    MediaType,
    Offer,
    acceptable,
    choose,
    parse_media_type,
)
from dicomfab.dicomweb.messages import Request, Response, json_response
from dicomfab.dicomweb.multipart import MultipartError, Part, read_parts
from dicomfab.dicomweb.ports import Kept, NotStored, WebStore
from dicomfab.model.errors import DiskFull, InvalidInput, LocalFailure
from dicomfab.model.study import InstanceIdentity

#: Failure reasons of our own choice among those of PS3.18 I.2.2.
OUT_OF_RESOURCES: Final = 0xA700
NOT_UNDERSTOOD: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
OTHER_STUDY: Final = 0xA900

_OFFERS: Final = (Offer(DICOM_JSON), Offer(JSON))
_RETRIEVE_URL = "00081190"


@dataclass(slots=True)
class _Report:
    """What became of the instances (PS3.3 C.12.3, PS3.18 I.1)."""

    root: str
    stored: list[tuple[InstanceIdentity, Kept]] = field(default_factory=list)
    failed: list[tuple[InstanceIdentity, int]] = field(default_factory=list)
    #: Failure reasons of what does not even say which instance it is.
    unknown: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        """200 all, 202 some or with a warning, 409 none (table 10.5.3-1)."""
        if not self.stored:
            return 409
        whole = not (self.failed or self.unknown or any(kept.warning_reason for _, kept in self.stored))
        return 200 if whole else 202

    def attributes(self) -> dict[str, Any]:
        """The Store Instances Response in JSON."""
        made: dict[str, Any] = {}
        studies = {kept.study_instance_uid for _, kept in self.stored}
        if len(studies) == 1:
            made[_RETRIEVE_URL] = text_attribute("UR", f"{self.root}/studies/{studies.pop()}")
        for tag, items in (
            ("00081198", [{**_reference(one), "00081197": number_attribute("US", why)} for one, why in self.failed]),
            ("00081199", [self._stored_item(one, kept) for one, kept in self.stored]),
            ("0008119A", [{"00081197": number_attribute("US", why)} for why in self.unknown]),
        ):
            if items:
                made[tag] = {"vr": "SQ", "Value": items}
        return made

    def _stored_item(self, identity: InstanceIdentity, kept: Kept) -> dict[str, Any]:
        url = (
            f"{self.root}/studies/{kept.study_instance_uid}/series/{kept.series_instance_uid}"
            f"/instances/{identity.sop_instance_uid}"
        )
        item = {**_reference(identity), _RETRIEVE_URL: text_attribute("UR", url)}
        if kept.warning_reason:
            item["00081196"] = number_attribute("US", kept.warning_reason)
        return item


def store_instances(store: WebStore, request: Request, uids: Mapping[str, str], *, max_bytes: int) -> Response:
    """Store the instances of a request.

    Each is handed to the store as it comes in. What was stored before the body broke off or grew too large stays, and
    is told.

    Args:
        store: where to.
        request: its body is multipart/related of ``application/dicom``, or one such; or multipart/related of
            ``application/dicom+json`` with the bulk data that it names.
        uids: the study that all have to belong to, if the path names one.
        max_bytes: the longest body that is taken.

    Raises:
        NotAcceptable: JSON is not accepted. Nothing was stored.
        UnsupportedMediaType: the body is something else. Nothing was stored.
        TooLarge: the body is too long; nothing was stored, or its length was stated and nothing read.
        InvalidInput: the body is malformed, and nothing was stored.
    """
    offer = choose(acceptable(request), _OFFERS)
    report = _Report(request.root)
    study = uids.get("StudyInstanceUID", "")
    media_type = _media_type(request.header("content-type"))
    if media_type.name == RELATED and media_type.parameter("type").lower() == DICOM_JSON:
        parts = read_parts(_limited(request, max_bytes), media_type.parameter("boundary"))
        with tempfile.TemporaryDirectory(prefix="dicomfab-web-") as folder:
            _take_json(store, gathered(parts, Path(folder)), study, report)
    else:
        _take_files(store, _parts(request, media_type, max_bytes), study, report)
    if not (report.stored or report.failed or report.unknown):
        raise InvalidInput("the body holds no instance", field="body", remedy="send at least one")
    return json_response(report.status, offer.name, report.attributes())


def _take_files(store: WebStore, parts: Iterable[Part], study: str, report: _Report) -> None:
    failed = 0
    try:
        for part in parts:
            failed = len(report.failed)
            _take(store, part, study, report)
    except (MultipartError, TooLarge) as error:
        if not report.stored:
            raise
        if len(report.failed) == failed:  # nobody knows which instance it was
            report.unknown.append(OUT_OF_RESOURCES if isinstance(error, TooLarge) else NOT_UNDERSTOOD)


def _take_json(store: WebStore, message: Gathered, study: str, report: _Report) -> None:
    """Store what came whole: bulk data may stand behind all metadata."""
    for item in message.items:
        try:
            announced_one = message.announced(item)
        except (NotAnInstance, RecursionError):
            report.unknown.append(NOT_UNDERSTOOD)
        else:
            _store(store, announced_one, study, report)


def _take(store: WebStore, part: Part, study: str, report: _Report) -> None:
    try:
        if _media_type(part.headers.get("content-type", DICOM)).name != DICOM:
            raise NotAnInstance
        found = announced(part.content)
    except (NotAnInstance, UnsupportedMediaType):
        report.unknown.append(NOT_UNDERSTOOD)
    else:
        _store(store, found, study, report)


def _store(store: WebStore, found: Announced, study: str, report: _Report) -> None:
    identity, stated, content = found
    if study and stated != study:
        report.failed.append((identity, OTHER_STUDY))
        return
    try:
        kept = _kept(store, identity, content)
    except NotStored as refusal:
        report.failed.append((identity, refusal.failure_reason))
    except DiskFull:
        report.failed.append((identity, OUT_OF_RESOURCES))
    except LocalFailure:  # what was stored before is still to be told
        report.failed.append((identity, PROCESSING_FAILURE))
    except (MultipartError, TooLarge) as error:
        report.failed.append((identity, OUT_OF_RESOURCES if isinstance(error, TooLarge) else NOT_UNDERSTOOD))
        raise
    else:
        report.stored.append((identity, kept))


def _kept(store: WebStore, identity: InstanceIdentity, content: Iterator[bytes]) -> Kept:
    sink = store.begin(identity)
    try:
        for piece in content:
            sink.write(piece)
        return sink.commit()
    finally:
        sink.discard()


def _parts(request: Request, media_type: MediaType, max_bytes: int) -> Iterator[Part]:
    body = _limited(request, max_bytes)
    if media_type.name == DICOM:
        return iter((Part({}, body),))
    inner = media_type.parameter("type").lower()
    if media_type.name != RELATED or inner not in (DICOM, ""):
        raise UnsupportedMediaType(
            f"a body of {media_type.name}{f' of {inner}' if inner else ''} is not taken",
            cause="instances are taken as DICOM files, or as metadata in JSON with bulk data",
            remedy=f'send multipart/related; type="{DICOM}" or type="{DICOM_JSON}"',
        )
    return read_parts(body, media_type.parameter("boundary"))


def _media_type(text: str) -> MediaType:
    try:
        return parse_media_type(text)
    except InvalidInput as error:
        raise UnsupportedMediaType(error.what, cause=error.cause, remedy=error.remedy) from error


def _limited(request: Request, max_bytes: int) -> Iterator[bytes]:
    stated = request.header("content-length")
    if stated.isascii() and stated.isdigit() and int(stated[:18]) > max_bytes:
        raise _too_large(max_bytes)
    return _counted(request.body, max_bytes)


def _counted(body: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    left = max_bytes
    for piece in body:
        left -= len(piece)
        if left < 0:
            raise _too_large(max_bytes)
        yield piece


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"the body is longer than {max_bytes} bytes",
        cause="one request may not bring more",
        remedy="send the instances in several requests",
    )


def _reference(identity: InstanceIdentity) -> dict[str, Any]:
    return {"00081150": uid_attribute(identity.sop_class_uid), "00081155": uid_attribute(identity.sop_instance_uid)}
