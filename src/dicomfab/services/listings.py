"""What a server lists of a study, for those who prove, move or delete by it: all of it, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydicom import Dataset

from dicomfab.model.errors import AnswerIncomplete
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.recording import Find
from dicomfab.services.study_filter import StudyFilter


class ListedInstance(NamedTuple):
    """An instance, as a server lists it.

    Args:
        series_instance_uid: the series that was asked for.
        sop_instance_uid: never blank.
        match: all that the server said of it.
    """

    series_instance_uid: str
    sop_instance_uid: str
    match: Dataset


def instances_of(
    find: Find,
    server: PacsServer,
    study_instance_uid: str,
    series_instance_uid: str = "",
    keys: Iterable[tuple[int, str]] = (),
) -> Iterator[ListedInstance]:
    """The instances of one study, or of one series of it, on one server, series by series (PS3.4 C.4.1.2.1).

    Args:
        find: the C-FIND SCU.
        server: whom to ask.
        study_instance_uid: the study.
        series_instance_uid: only this one of its series.
        keys: tag and VR of what else is asked for.

    Raises:
        AnswerIncomplete: an instance was listed without its UID, which is required (PS3.4 C.6.2.1.4), or a series; or
            the server ended an answer with a warning. A list without it would prove too much, or delete it unseen.
        Conflict: C-FIND is switched off for this server.
        PeerError: any of the queries failed; never answered by an empty list.
    """
    peer, more = peer_for(server, Capability.FIND), tuple(keys)
    for series in [series_instance_uid] if series_instance_uid else series_of(find, server, study_instance_uid):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(Level.IMAGE)
        identifier.StudyInstanceUID = study_instance_uid
        identifier.SeriesInstanceUID = series
        identifier.SOPInstanceUID = ""
        for tag, vr in more:
            identifier.add_new(tag, vr, "")
        for match in find(peer, QueryModel.STUDY_ROOT, identifier):
            named = str(match.get("SOPInstanceUID") or "").strip()
            if not named:
                raise _unnamed(server, "an instance", "SOP Instance UID")
            yield ListedInstance(series, named, match)


def instances_held(
    find: Find, server: PacsServer, study_instance_uid: str, series_instance_uid: str = ""
) -> frozenset[str]:
    """The SOP instance UIDs of one study, or of one series of it, on one server.

    Raises:
        AnswerIncomplete, Conflict, PeerError: as :func:`instances_of`.
    """
    listed = instances_of(find, server, study_instance_uid, series_instance_uid)
    return frozenset(one.sop_instance_uid for one in listed)


def series_of(find: Find, server: PacsServer, study_instance_uid: str) -> list[str]:
    """The Series Instance UIDs of one study on one server.

    Raises:
        AnswerIncomplete: a series was listed without its UID, which is required (PS3.4 C.6.2.1.3).
        Conflict, PeerError: as :func:`instances_of`.
    """
    study = uid(study_instance_uid, field="study_instance_uid")
    identifier = StudyFilter(level="series", study_instance_uid=study).identifier()
    found = find(peer_for(server, Capability.FIND), QueryModel.STUDY_ROOT, identifier)
    series = [str(one.get("SeriesInstanceUID") or "").strip() for one in found]
    if not all(series):
        raise _unnamed(server, "a series", "Series Instance UID")
    return series


def study_named(server: PacsServer, match: Dataset) -> str:
    """The Study Instance UID of a study that a server listed.

    Raises:
        AnswerIncomplete: it has none, which is required (PS3.4 C.6.2.1.2).
    """
    if named := str(match.get("StudyInstanceUID") or "").strip():
        return named
    raise _unnamed(server, "a study", "Study Instance UID")


def _unnamed(server: PacsServer, what: str, key: str) -> AnswerIncomplete:
    return AnswerIncomplete(
        f"{server.name} listed {what} without its {key}.",
        cause="its answer lacks a key that the standard requires",
        remedy="tell its administrator; until then this study is not listed or moved series by series",
    )
