"""DIMSE status codes: category, meaning, most likely cause and remedy (PS3.7 annex C, PS3.4 B.2.3, C.4)."""

from __future__ import annotations

import enum

from dicomfab.dimse.messages import Implementation, Response
from dicomfab.dimse.private_status import Meaning, private_meaning
from dicomfab.model.errors import StatusFailure
from dicomfab.model.suboperations import Suboperations

__all__ = ["CANCEL", "PENDING", "SUCCESS", "Category", "Meaning", "category", "failure", "meaning"]

SUCCESS = 0x0000
CANCEL = 0xFE00
PENDING = (0xFF00, 0xFF01)


class Category(enum.StrEnum):
    """The five status types of PS3.7 C.1 to C.5."""

    SUCCESS = "success"
    WARNING = "warning"
    PENDING = "pending"
    CANCEL = "cancel"
    FAILURE = "failure"


_NOBODY = Implementation()


def category(status: int) -> Category:
    """The type of a status; whatever the standard does not know counts as a failure."""
    if status == SUCCESS:
        return Category.SUCCESS
    if status in PENDING:
        return Category.PENDING
    if status == CANCEL:
        return Category.CANCEL
    if status == 0x0001 or 0xB000 <= status <= 0xBFFF or status in (0x0107, 0x0116):
        return Category.WARNING
    return Category.FAILURE


_ANY: dict[int, Meaning] = {
    0x0110: Meaning("processing failure", "the peer's application failed", "look at the peer's log"),
    0x0111: Meaning(
        "duplicate SOP instance",
        "the peer already holds this SOP instance UID and does not overwrite",
        "check with a query; send under new UIDs if it is other content",
    ),
    0x0122: Meaning(
        "SOP class not supported",
        "the peer does not offer this service or object type",
        "ask the peer's administrator to enable the SOP class",
    ),
    0x0124: Meaning(
        "not authorised",
        "the peer knows our AE title but does not allow this operation to it",
        "ask the peer's administrator for the permission",
    ),
    0x0211: Meaning("unrecognised operation", "the service is not enabled at the peer", "ask the peer's administrator"),
    0x0213: Meaning(
        "resource limitation", "the peer is out of disk, memory or licences", "try later; tell its administrator"
    ),
}
_STORE: dict[int, Meaning] = {
    0xA7: Meaning(
        "out of resources", "the peer's disk or database is full or down", "free space at the peer, then send again"
    ),
    0xA9: Meaning(
        "the data set does not match its SOP class",
        "UIDs in the command and the data set differ, or required attributes are missing",
        "validate the file, then send again",
    ),
    0xC0: Meaning(
        "the peer cannot understand the data set",
        "its parser or its plausibility check refused the object",
        "validate the file; look at the peer's log for the attribute it complains of",
    ),
}
_FIND: dict[int, Meaning] = {
    0xA7: Meaning("out of resources", "too many matches, or the peer's database is down", "narrow the search"),
    0xA9: Meaning(
        "the identifier does not match the SOP class",
        "the peer does not support this Query/Retrieve level or key in this information model",
        "try the other information model (patient root or study root)",
    ),
    0xC0: Meaning(
        "the peer is unable to process the query",
        "a key it cannot handle, or an internal error",
        "drop keys one by one",
    ),
}
_RETRIEVE: dict[int, Meaning] = {
    0xA701: Meaning(
        "unable to calculate the number of matches", "the request is too broad", "retrieve one study at a time"
    ),
    0xA702: Meaning(
        "unable to perform sub-operations",
        "the move destination is known but could not be reached, or refused the source's association",
        "check that the destination is running and accepts the source's AE title",
    ),
    0xA801: Meaning(
        "move destination unknown",
        "the move AE title is not in the source server's table of known destinations (case and spaces count)",
        "have the source's administrator add the destination (AE title, host, port), "
        "or correct the Move AE in C-MOVE Routing",
    ),
    0xA900: Meaning(
        "the identifier does not match the SOP class",
        "the source does not support this level in this information model, or a unique key is missing",
        "try the other information model (patient root or study root)",
    ),
    0xC000: Meaning(
        "the source is unable to process the request",
        "many servers (Orthanc among them) answer so when they do not know the move destination",
        "check that the source knows the move AE title, then look at the source's log",
    ),
}


def meaning(operation: str, status: int, implementation: Implementation = _NOBODY) -> Meaning:
    """Explain a status.

    Args:
        operation: ``C-ECHO``, ``C-STORE``, ``C-FIND``, ``C-MOVE`` or ``C-GET``.
        status: a failure.
        implementation: of the peer: known software has its own codes, and its own ways with those of the standard.
    """
    return private_meaning(operation, status, implementation) or _standard(operation, status)


def _standard(operation: str, status: int) -> Meaning:
    if status in _ANY:
        return _ANY[status]
    if operation in ("C-MOVE", "C-GET"):
        if status in _RETRIEVE:
            return _RETRIEVE[status]
        if status & 0xF000 == 0xC000:
            return _RETRIEVE[0xC000]
        if status & 0xFF00 == 0xA700:
            return Meaning("out of resources", "the peer is overloaded or its storage is down", "try again later")
    table = {"C-STORE": _STORE, "C-FIND": _FIND}.get(operation, {})
    key = 0xC0 if status & 0xF000 == 0xC000 else status >> 8
    return table.get(key, Meaning("the peer answered with a failure", "see the status code", "look at the peer's log"))


def failure(
    operation: str, response: Response, peer_label: str, implementation: Implementation = _NOBODY
) -> StatusFailure:
    """Turn a failure response into the error that the user sees.

    Args:
        operation: as for :func:`meaning`.
        response: the peer's.
        peer_label: what to call the peer.
        implementation: as for :func:`meaning`.
    """
    words = meaning(operation, response.status, implementation)
    comment = f' ("{response.comment}")' if response.comment else ""
    return StatusFailure(
        f"{peer_label} answered {response.status:04X}: {words.text}{comment}{_counted(response.suboperations)}.",
        operation=operation,
        status=response.status,
        comment=response.comment,
        cause=words.cause,
        remedy=words.remedy,
    )


def _counted(counters: Suboperations) -> str:
    named = (("completed", counters.completed), ("failed", counters.failed), ("warning", counters.warning))
    if all(value is None for _, value in named):
        return ""
    texts = (f"{name} {'unreported' if value is None else value}" for name, value in named)
    return f" (sub-operations: {', '.join(texts)})"
