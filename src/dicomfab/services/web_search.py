"""The identifier of a C-FIND as a search by QIDO-RS, and its answers as matches (PS3.4 C.4.1, PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.multival import MultiValue

from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.json_read import MalformedJson, data_set
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.client.search import OPERATION, search
from dicomfab.dimse.messages import Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.status import PENDING, SUCCESS
from dicomfab.model.errors import HttpFailure
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import uid
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.web_peers import web_peer
from dicomfab.services.web_secrets import NO_SECRETS, SecretFiles

#: What a search ends with that the server warns of; its words are in the comment.
WARNING: Final = 0xB000
_NO_KEYS: Final = frozenset({0x00080005, 0x00080052})
_RESOURCES: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_ABOVE: Final = (("StudyInstanceUID", "studies"), ("SeriesInstanceUID", "series"))
#: An address with so many UIDs has some 4,000 characters, which every server takes.
_UIDS_AT_ONCE: Final = 50
_NOT_IMPLEMENTED: Final = 501


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search as QIDO-RS wants it.

    Args:
        path: of the resource.
        keys: name and value.
        wanted: tags of the attributes to return.
        fixed: what the path names, to be put into each match.
        many: keyword of the UID of which there are most values, and they; none if there are several of none.
    """

    path: str
    keys: Sequence[tuple[str, str]]
    wanted: frozenset[int]
    fixed: Dataset
    many: tuple[str, Sequence[str]] | None

    def parameters(self) -> Iterator[list[tuple[str, str]]]:
        """The query; several, one after the other, where there are many UIDs."""
        if self.many is None:
            yield list(self.keys)
            return
        name, uids = self.many
        for at in range(0, len(uids), _UIDS_AT_ONCE):
            yield [(name, ",".join(uids[at : at + _UIDS_AT_ONCE])), *self.keys]


def find(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Cancelled = never,
    report: Callable[[Response], None] | None = None,
    secrets: SecretFiles = NO_SECRETS,
) -> Iterator[Dataset]:
    """Search by QIDO-RS; see :func:`dicomfab.dimse.scu.find.find`.

    A match has the attributes that were asked for. What the server warns of is reported as a final status B000; so is
    that its answer may have been cut. Who takes no report may prove or delete by the matches: there the latter is an
    error.

    Raises:
        HttpFailure: the server answered with a failure; or patients are searched for, which QIDO-RS has no resource of.
        AnswerIncomplete: there are more matches, or there may be, and the server cannot be asked for them.
        InvalidInput: the server's secret or one of its files of TLS cannot be used.
        PeerError: the search failed; matches already yielded are then incomplete.
    """
    web = web_peer(peer, secrets)
    asked = _asked(web, model, identifier)
    warnings: list[str] = []
    doubted = None if report is None else warnings.append
    told = report or (lambda _response: None)
    count = 0
    for parameters in asked.parameters():
        left = None if limit is None else limit - count
        rows = search(
            web, asked.path, parameters, limit=left, cancelled=cancelled, warned=warnings.append, doubted=doubted
        )
        for row in rows:
            try:
                match = data_set(row, asked.wanted)
                _readable(match)
            except MalformedJson as error:
                raise explain.violated(web, OPERATION, f"in its answer, {error}") from error
            for element in asked.fixed:
                if not match.get(element.tag):
                    match[element.tag] = element
            told(Response(PENDING[0]))
            count += 1
            yield match
            if count == limit or cancelled():
                return
    told(Response(WARNING, comment=warnings[0]) if warnings else Response(SUCCESS))


def _asked(web: WebPeer, model: QueryModel, identifier: Dataset) -> _Asked:
    level = Level(str(identifier.QueryRetrieveLevel))
    if level is Level.PATIENT or model is QueryModel.PATIENT_ROOT:
        raise HttpFailure(
            f"{web.label} cannot be asked for patients: DICOMweb has no such search.",
            operation=OPERATION,
            http_status=_NOT_IMPLEMENTED,
            cause="QIDO-RS searches studies, series and instances (PS3.18 10.6)",
            remedy="search for studies instead, or ask over DIMSE: --via dimse",
        )
    path, fixed = "", Dataset()
    for keyword, resource in _ABOVE[: list(_RESOURCES).index(level)]:
        value = identifier.get(keyword)
        if not value or isinstance(value, MultiValue):
            break
        path += f"/{resource}/{uid(str(value), field=keyword)}"
        setattr(fixed, keyword, str(value))
    keys: list[tuple[str, str]] = []
    shown: list[str] = []
    many: tuple[str, Sequence[str]] | None = None
    for tag in identifier.keys():  # noqa: SIM118 (iterating over a data set reads every value)
        if tag in _NO_KEYS or tag in fixed:
            continue
        element = identifier[tag]
        if isinstance(element.value, MultiValue) and element.VR == "UI" and len(element.value) > 1:
            several = _name(tag), [str(one) for one in element.value]
            if many is None or len(several[1]) > len(many[1]):
                many, several = several, many
            if several is not None:
                keys.append((several[0], ",".join(several[1])))
            continue
        matched, only_shown = _keys(element, "")
        keys += matched
        shown += only_shown
    if shown:
        keys.append(("includefield", ",".join(shown)))
    wanted = frozenset(int(tag) for tag in identifier.keys() if tag not in _NO_KEYS)  # noqa: SIM118
    return _Asked(f"{path}/{_RESOURCES[level]}", keys, wanted, fixed, many)


def _keys(element: Any, above: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Names with values that have to match, and names that are only to be shown."""
    name = f"{above}{_name(element.tag)}"
    if element.VR == "SQ":
        matched: list[tuple[str, str]] = []
        shown = [] if element.value and any(len(item) for item in element.value) else [name]
        for item in element.value or ():
            for inner in item:
                more, only_shown = _keys(inner, f"{name}.")
                matched += more
                shown += only_shown
        return matched, shown
    value = element.value
    between = "," if element.VR == "UI" else "\\"
    text = between.join(map(str, value)) if isinstance(value, MultiValue) else "" if value is None else str(value)
    return ([(name, text)], []) if text else ([], [name])


def _name(tag: int) -> str:
    """A keyword; eight hexadecimal digits where there is none."""
    keyword = keyword_for_tag(tag)
    return keyword if keyword and tag_for_keyword(keyword) == tag else f"{tag:08X}"


def _readable(match: Dataset) -> None:
    """Have numbers read at once: those who ask for them later are not prepared for what pydicom raises."""
    for tag in match.keys():  # noqa: SIM118 (iterating over a data set reads every value)
        if match.get_item(tag).VR in ("IS", "DS"):
            try:
                _ = match[tag].value
            except (ValueError, TypeError, OverflowError) as error:
                raise MalformedJson(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is no number") from error
