"""Statuses: those that the servers answer, and what the client makes of those that it is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from conformance_tables.words import table
from dicomfab.archive import commitment, errors, receive
from dicomfab.dimse import c_store, performed_step, status
from dicomfab.dimse import commitment as commitment_values
from dicomfab.dimse.commitment import FailureReason
from dicomfab.dimse.scp import gate, retrieve, services, session
from dicomfab.dimse.scu import commitment as commitment_user
from dicomfab.services.ordering import heard, worklist
from dicomfab.testpacs import pacs

#: Operation, status, when it is answered. The comment of the response (0000,0902) says more.
ANSWERED: Final[tuple[tuple[str, int, str], ...]] = (
    ("any", services._PROCESSING_FAILURE, "the application failed"),
    ("any", services._SOP_CLASS_NOT_SUPPORTED, "the SOP class of the context does not have this service here"),
    ("any", services._UNRECOGNIZED_OPERATION, "the operation is not known"),
    ("C-STORE", status.SUCCESS, "file and index are on disk"),
    ("C-STORE", receive.DUPLICATE_SOP_INSTANCE, "the SOP instance is there with other content, and that is refused"),
    ("C-STORE", errors.ArchiveFull.status, "the disk takes no more; it cannot be recorded"),
    ("C-STORE", errors.MismatchedInstance.status, "the data set is of another instance than the command"),
    ("C-STORE", errors.UnreadableInstance.status, "the data set, or a UID, cannot be read"),
    ("C-STORE", c_store._CANNOT_UNDERSTAND, "there is no data set"),
    ("C-STORE", gate._SOP_CLASS_NOT_SUPPORTED, "this server stores nothing (RIS)"),
    ("C-FIND", status.PENDING[0], "a match"),
    ("C-FIND", status.SUCCESS, "all matches were sent"),
    ("C-FIND", status.CANCEL, "C-CANCEL came"),
    ("C-FIND", errors.ArchiveQueryError.status, "no valid level, or a key that cannot be matched"),
    ("C-FIND", session._IDENTIFIER_DOES_NOT_MATCH, "the identifier is too long or cannot be read"),
    ("C-FIND", pacs.FIND_OUT_OF_RESOURCES, "the index failed"),
    ("C-FIND", gate._SOP_CLASS_NOT_SUPPORTED, "this server holds nothing to search (STORAGE-SCP, RIS)"),
    ("C-FIND of the worklist", worklist._PROCESSING_FAILURE, "the query cannot be recorded"),
    ("C-MOVE, C-GET", status.PENDING[0], "after each instance"),
    ("C-MOVE, C-GET", status.SUCCESS, "all instances were taken"),
    ("C-MOVE, C-GET", status.CANCEL, "C-CANCEL came before the last instance"),
    ("C-MOVE, C-GET", retrieve._SOME_FAILED, "some instances failed; their UIDs are in the response"),
    ("C-MOVE, C-GET", retrieve._ALL_FAILED, "no instance was taken; the comment says why"),
    ("C-MOVE", retrieve._DESTINATION_UNKNOWN, "the move destination is not known"),
    ("C-MOVE, C-GET", pacs.UNABLE_TO_CALCULATE_MATCHES, "the index failed"),
    ("C-MOVE, C-GET", errors.ArchiveQueryError.status, "no valid level, or its unique key is missing"),
    ("N-CREATE, N-SET of MPPS", performed_step.INVALID_VALUE, "an attribute is not valid, or may not be changed"),
    ("N-SET of MPPS", performed_step.PROCESSING_FAILURE,
     f"the step has ended; error ID {performed_step.NO_LONGER_UPDATABLE:04X}"),
    ("N-CREATE of MPPS", performed_step.DUPLICATE_INSTANCE, "the step is there already"),
    ("N-SET of MPPS", performed_step.NO_SUCH_INSTANCE, "there is no such step"),
    ("N-CREATE, N-SET of MPPS, N-CREATE of availability", performed_step.INVALID_INSTANCE,
     "the SOP instance UID is not valid"),
    ("N-CREATE, N-SET of MPPS, N-CREATE of availability", performed_step.MISSING_ATTRIBUTE, "an attribute is missing"),
    ("N-CREATE, N-SET of MPPS, N-CREATE of availability", performed_step.MISSING_VALUE, "an attribute has no value"),
    ("any other of MPPS, availability, commitment", performed_step.UNRECOGNIZED_OPERATION,
     "the SOP class does not have this operation"),
    ("N-CREATE, N-SET of MPPS, N-CREATE of availability", heard._PROCESSING_FAILURE, "it cannot be recorded"),
    ("N-ACTION of commitment", status.SUCCESS, "the request is on disk"),
    ("N-ACTION of commitment", commitment._PROCESSING_FAILURE,
     "no address is registered for the requestor; the disk failed; it cannot be recorded"),
    ("N-ACTION of commitment", commitment._NO_SUCH_OBJECT_INSTANCE, "another instance than the well-known one"),
    ("N-ACTION of commitment", commitment_values._INVALID_ARGUMENT_VALUE, "an attribute is not valid"),
    ("N-ACTION of commitment", commitment_values._MISSING_ATTRIBUTE, "an attribute is missing"),
    ("N-ACTION of commitment", commitment._NO_SUCH_ACTION, "another action type than 1"),
    ("N-ACTION of commitment", commitment._DUPLICATE_TRANSACTION_UID, "another transaction with this UID is pending"),
    ("N-ACTION of commitment", commitment._RESOURCE_LIMITATION,
     "too many transactions are pending, or too many instances named; the disk is full"),
    ("N-EVENT-REPORT of commitment, at the requestor", commitment_user._NO_SUCH_OBJECT_INSTANCE,
     "another instance than the well-known one"),
    ("N-EVENT-REPORT of commitment, at the requestor", commitment_user._NO_SUCH_EVENT_TYPE,
     "another event type than 1 and 2"),
    ("N-EVENT-REPORT of commitment, at the requestor", commitment_user._INVALID_ARGUMENT_VALUE,
     "the event information cannot be read"),
)  # fmt: skip
_REASONS: Final = {
    FailureReason.PROCESSING_FAILURE: "the file is damaged, or a copy that expires",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "it is not there",
    FailureReason.CLASS_INSTANCE_CONFLICT: "it is of another SOP class",
    FailureReason.SOP_CLASS_NOT_SUPPORTED: "no storage SOP class was named",
}


def answered() -> str:
    return table(("Operation", "Status", "When"), [(who, f"{code:04X}", when) for who, code, when in ANSWERED])


def failure_reasons() -> str:
    rows = [(f"{one:04X}", one.words, _REASONS.get(one, "not given by us; understood")) for one in FailureReason]
    return table(("Failure Reason (0008,1197)", "Meaning", "When it is given"), rows)


def understood() -> str:
    """What the client says of failures; what it does not know by number counts as failure too."""
    rows = [("any", f"{code:04X}", said.text, status.category(code)) for code, said in status._ANY.items()]
    for operation, known in (("C-STORE", status._STORE), ("C-FIND", status._FIND)):
        rows += [(operation, _range(code), said.text, "failure") for code, said in known.items()]
    rows += [
        ("C-MOVE, C-GET", f"{code:04X}", said.text, status.category(code)) for code, said in status._RETRIEVE.items()
    ]
    rows += [("any", "B000 to BFFF, 0001, 0107, 0116", "done, with a warning that is shown", status.category(0xB000))]
    assert status.category(0xBFFF) == status.category(0x0001) == status.category(0x0116) == "warning"
    rows += [("any", "all others", "failed", status.category(0x1234))]
    return table(("Operation", "Status", "Meaning", "Counts as"), rows)


def _range(high: int) -> str:
    return "C000 to CFFF" if high == 0xC0 else f"{high:02X}00 to {high:02X}FF"


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "statuses-answered": answered,
    "commitment-failure-reasons": failure_reasons,
    "statuses-understood": understood,
}
