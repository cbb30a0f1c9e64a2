"""What known software means by statuses that the standard leaves to it (PS3.7 C.5), or uses in its own way.

The standard gives whole ranges for failures (A7xx, C000 to CFFF) and says what they mean in general only. Each product
has its own codes in them. Orthanc's and DCMTK's were seen of the programs themselves (1.10, 3.6.7), pynetdicom's (3.0)
too and in its source; dcm4chee's are from its source and the reports on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.diagnosis.implementations import Product, product_of
from dicomfab.dimse.messages import Implementation


@dataclass(frozen=True, slots=True)
class Meaning:
    """A status in words."""

    text: str
    cause: str = ""
    remedy: str = ""


_ANY: Final = ""
_HANDLER: Final = "look at the server's log for the Python traceback, and tell its programmer"
_RETENTION: Final = "the archive keeps studies for a time that is not over yet, or not this AE may end it"
_REJECTED: Final = "the instance was rejected in the archive before (IHE IOCM), and it is set up to refuse it"


def _pynetdicom_handler(operation: str) -> Meaning:
    return Meaning(
        f"the handler of {operation} in the server's program failed",
        "its Python code raised an exception, or there is none for this operation",
        _HANDLER,
    )


_PYNETDICOM: Final[Mapping[tuple[str, int], Meaning]] = {
    (_ANY, 0xC001): Meaning(
        "the handler in the server's program gave a status data set without a status", "a fault in its code", _HANDLER
    ),
    (_ANY, 0xC002): Meaning(
        "the handler in the server's program gave something that is no status", "a fault in its code", _HANDLER
    ),
    ("C-STORE", 0xC210): Meaning(
        "the server cannot decode the data set",
        "its encoding is not that of the transfer syntax, or is damaged",
        "validate the file; look at the server's log",
    ),
    ("C-STORE", 0xC211): _pynetdicom_handler("C-STORE"),
    ("C-FIND", 0xC310): Meaning("the server cannot decode the identifier", "an element that it cannot read", _HANDLER),
    ("C-FIND", 0xC311): _pynetdicom_handler("C-FIND"),
    ("C-FIND", 0xC312): Meaning(
        "the server cannot encode a match", "its handler gave a data set that cannot be encoded", _HANDLER
    ),
    ("C-GET", 0xC410): Meaning("the server cannot decode the identifier", "an element that it cannot read", _HANDLER),
    ("C-GET", 0xC411): _pynetdicom_handler("C-GET"),
    ("C-GET", 0xC413): Meaning("the handler gave no number of sub-operations", "a fault in its code", _HANDLER),
    ("C-GET", 0xC416): Meaning(
        "more than 65,535 instances match", "the request is too broad", "retrieve one series at a time"
    ),
    ("C-MOVE", 0xC510): Meaning("the server cannot decode the identifier", "an element that it cannot read", _HANDLER),
    ("C-MOVE", 0xC511): _pynetdicom_handler("C-MOVE"),
    ("C-MOVE", 0xC513): Meaning("the handler gave no number of sub-operations", "a fault in its code", _HANDLER),
    ("C-MOVE", 0xC514): Meaning("the handler gave no move destination", "a fault in its code", _HANDLER),
    ("C-MOVE", 0xC515): Meaning(
        "the handler gave a move destination that cannot be called",
        "its address is none, or the server's program requests no contexts to store in",
        _HANDLER,
    ),
    ("C-MOVE", 0xC516): Meaning(
        "more than 65,535 instances match", "the request is too broad", "move one series at a time"
    ),
    ("C-MOVE", 0xA801): Meaning(
        "move destination unknown, or it cannot be associated with",
        "the server's program does not know the move AE title, or the destination does not run or refuses the source",
        "check that the destination is running and accepts the source's AE title; "
        "then have the destination added to the server's program",
    ),
}
_DCM4CHEE: Final[Mapping[tuple[str, int], Meaning]] = {
    ("C-STORE", 0xA770): Meaning(
        "this rejection note was received before", "it was sent twice", "nothing: the first one counts"
    ),
    ("C-STORE", 0xA771): Meaning(
        "an instance that was rejected in the archive came again",
        _REJECTED,
        "send it under a new SOP instance UID, or have the archive's administrator restore the rejected one",
    ),
    ("C-STORE", 0xA772): Meaning(
        "the rejection note names an instance that the archive does not have",
        "it was never stored there, or deleted",
        "check with a query which instances the archive has",
    ),
    ("C-STORE", 0xA773): Meaning(
        "the rejection note names an instance with another SOP class than it has",
        "a fault in what made the note",
        "make the note anew from the instances",
    ),
    ("C-STORE", 0xA774): Meaning(
        "the rejection note names an instance that was rejected before", _REJECTED, "nothing: it is rejected"
    ),
    ("C-STORE", 0xA775): Meaning(
        "a rejection because the retention time is over is not allowed",
        _RETENTION,
        "ask the archive's administrator",
    ),
    ("C-STORE", 0xA776): Meaning(
        "the retention time of the study is not over", _RETENTION, "ask the archive's administrator"
    ),
    ("C-STORE", 0xA777): Meaning(
        "the instance has no Patient ID",
        "the archive is set up to refuse instances without (0010,0020)",
        "give the instance a Patient ID, then send it again",
    ),
    ("C-STORE", 0xA778): Meaning(
        "the Patient ID is another one than that of the study in the archive",
        "an instance of the same study was stored with another Patient ID",
        "correct the Patient ID on one side; studies of two patients need two study instance UIDs",
    ),
    ("C-STORE", 0xA779): Meaning(
        "the patient's data are others than those of the study in the archive",
        "name, birth date or sex differ from instances that were stored before",
        "correct the patient's data on one side",
    ),
    ("C-STORE", 0xA77A): Meaning(
        "the study is being deleted in the archive",
        "somebody deletes it, or a deletion did not come to its end",
        "send again when the deletion is over",
    ),
    ("C-STORE", 0xA77B): Meaning(
        "patient, study and series do not belong together as they do in the archive",
        "the archive has the study or the series under another parent",
        "check the UIDs of study and series and the Patient ID",
    ),
    ("C-STORE", 0xC409): Meaning(
        "the study instance UID is another one than expected",
        "the archive has the series or the instance in another study",
        "check the study instance UID",
    ),
    ("C-STORE", 0xC499): Meaning(
        "the archive cannot parse the data set", "it is damaged, or not in its transfer syntax", "validate the file"
    ),
    ("C-MOVE", 0xC801): Meaning(
        "this move destination is not allowed",
        "the archive's AE lists accepted move destinations, and this one is not among them",
        "have the archive's administrator add it to Accepted Move Destination of the AE",
    ),
}
# Orthanc is built on DCMTK and says that it is DCMTK, so these are the words for both.
_DCMTK: Final[Mapping[tuple[str, int], Meaning]] = {
    ("C-STORE", 0xA700): Meaning(
        "out of resources",
        "the server cannot write to its storage area, or what it may hold is used up: in dcmqrscp the quota of the AE "
        "title (studies, bytes in each), in Orthanc MaximumStorageSize",
        "have the administrator free space, and raise the quota in AETable of dcmqrscp.cfg or in orthanc.json",
    ),
    ("C-STORE", 0xC000): Meaning(
        "the server cannot take the instance",
        "Orthanc answers so when it cannot read the data set or cannot write to its storage; its log says which",
        "validate the file; have the server's administrator look at its log and its disk",
    ),
    ("C-FIND", 0xC000): Meaning(
        "the server is unable to process the query",
        "dcmqrscp wants the unique keys of the levels above: in the patient root, studies need a Patient ID",
        "ask in the study root, or give the keys of the levels above",
    ),
    ("C-MOVE", 0xC000): Meaning(
        "the source could not begin to move",
        "Orthanc answers so when it does not know the move destination, when it cannot associate with it, and when "
        "nothing matches; its log says which",
        "have the destination's AE title, host and port added to DicomModalities of the source's orthanc.json; "
        "check that the destination is running and accepts the source's AE title",
    ),
    ("C-MOVE", 0xA702): Meaning(
        "unable to perform sub-operations",
        "the source knows the move destination, but could not reach it, or it refused the source's association or "
        "every instance",
        "check that the destination is running and accepts the source's AE title",
    ),
}
_PRIVATE: Final[Mapping[Product, Mapping[tuple[str, int], Meaning]]] = {
    Product.PYNETDICOM: _PYNETDICOM,
    Product.DCM4CHEE: _DCM4CHEE,
    Product.DCMTK: _DCMTK,
}


def private_meaning(operation: str, status: int, implementation: Implementation) -> Meaning | None:
    """What the peer's software means by a status; ``None`` if nothing beyond the standard is known.

    Args:
        operation: ``C-STORE`` and the like.
        status: a failure.
        implementation: of the peer, from A-ASSOCIATE-AC.
    """
    known = _PRIVATE.get(product_of(implementation.class_uid, implementation.version_name), {})
    return known.get((operation, status)) or known.get((_ANY, status))
