"""Storage commitment as values: what is asked for, and what was decided, to and from data sets (PS3.4 annex J)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

#: The action type ID of a request (PS3.4 J.3.2).
REQUEST_ACTION: Final = 1
#: The event type IDs of a report (PS3.4 J.3.3).
ALL_COMMITTED: Final = 1
FAILURES_EXIST: Final = 2

_MISSING_ATTRIBUTE: Final = 0x0120
_INVALID_ARGUMENT_VALUE: Final = 0x0115
_RESOURCE_LIMITATION: Final = 0x0213
_MOST_REASON: Final = 0xFFFF


class FailureReason(enum.IntEnum):
    """Why an instance was not committed: Failure Reason (0008,1197) (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213

    @property
    def words(self) -> str:
        """What it means."""
        return _WORDS[self]


_WORDS: Final = {
    FailureReason.PROCESSING_FAILURE: "processing failure",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "no such object instance",
    FailureReason.CLASS_INSTANCE_CONFLICT: "class/instance conflict",
    FailureReason.SOP_CLASS_NOT_SUPPORTED: "referenced SOP class not supported",
    FailureReason.DUPLICATE_TRANSACTION_UID: "duplicate transaction UID",
    FailureReason.RESOURCE_LIMITATION: "resource limitation",
}


class InvalidCommitment(InvalidInput):
    """A request or report of a storage commitment that lacks an attribute, or has one that cannot be used.

    Args:
        what, field, value: as of :class:`~dicomfab.model.errors.InvalidInput`.
        status: to answer it with (PS3.7 annex C): 0120, 0115 or 0213.
    """

    heading = "Storage commitment not understood"

    def __init__(self, what: str, *, status: int, field: str, value: object = None) -> None:
        super().__init__(
            f"a storage commitment cannot be used: {what}",
            field=field,
            value=value,
            cause="the other side's software does not send what PS3.4 J.3 requires",
            remedy="report it to the maker of the other side with a trace (--trace)",
        )
        self.status = status
        #: Short enough for an ErrorComment.
        self.comment = what


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that a commitment is about.

    Args:
        sop_class_uid: Referenced SOP Class UID (0008,1150).
        sop_instance_uid: Referenced SOP Instance UID (0008,1155).
    """

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request to commit to instances: the action information of an N-ACTION (PS3.4 table J.3-1).

    Args:
        transaction_uid: Transaction UID (0008,1195).
        references: the instances, at least one.
    """

    transaction_uid: str
    references: tuple[Reference, ...]

    def to_dataset(self) -> Dataset:
        """The action information."""
        return _about(self.transaction_uid, self.references)

    @classmethod
    def from_dataset(cls, information: Dataset | None, *, most: int | None = None) -> Transaction:
        """Read an action information.

        Args:
            information: as it came; ``None`` if none did.
            most: so many references are taken; none given means any number.

        Raises:
            InvalidCommitment: it lacks an attribute (0120), has one that is invalid (0115), or too many references
                (0213).
        """
        if information is None:
            raise InvalidCommitment("there is no action information", status=_MISSING_ATTRIBUTE, field="")
        items = _items(information, "ReferencedSOPSequence")
        if most is not None and len(items) > most:
            raise InvalidCommitment(
                f"{len(items)} references; at most {most} are taken",
                status=_RESOURCE_LIMITATION,
                field="ReferencedSOPSequence",
            )
        return cls(_uid(information, "TransactionUID"), tuple(map(_reference, items)))


@dataclass(frozen=True, slots=True)
class Failed:
    """An instance that was not committed.

    Args:
        reference: the instance.
        reason: Failure Reason (0008,1197); mostly a :class:`FailureReason`, but peers may have their own.
    """

    reference: Reference
    reason: int

    @property
    def words(self) -> str:
        """The reason, for people."""
        try:
            return FailureReason(self.reason).words
        except ValueError:
            return f"failure reason {self.reason:04X}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided on a transaction: the event information of an N-EVENT-REPORT (PS3.4 table J.3-2).

    Args:
        transaction_uid: Transaction UID (0008,1195).
        committed: the instances that are safe with the SCP.
        failed: those that are not, each with the reason.
    """

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[Failed, ...] = ()

    @property
    def event_type(self) -> int:
        """The event type ID of the report: 1 if all were committed, 2 if failures exist (PS3.4 J.3.3)."""
        return FAILURES_EXIST if self.failed else ALL_COMMITTED

    def to_dataset(self) -> Dataset:
        """The event information; a sequence without items is left out, as the table requires."""
        information = _about(self.transaction_uid, self.committed)
        if not self.committed:
            del information.ReferencedSOPSequence
        if self.failed:
            items = []
            for one in self.failed:
                item = _item(one.reference)
                item.FailureReason = int(one.reason)
                items.append(item)
            information.FailedSOPSequence = items
        return information

    @classmethod
    def from_dataset(cls, information: Dataset | None, event_type: int) -> Verdict:
        """Read an event information.

        What it lists as failed has failed, whatever the event type says.

        Args:
            information: as it came; ``None`` if none did.
            event_type: with which it came, 1 or 2.

        Raises:
            InvalidCommitment: it lacks an attribute (0120), or has one that is invalid (0115).
        """
        if information is None:
            raise InvalidCommitment("there is no event information", status=_MISSING_ATTRIBUTE, field="")
        optional = "FailedSOPSequence" if event_type == ALL_COMMITTED else "ReferencedSOPSequence"
        listed = {
            keyword: _items(information, keyword, may_lack=keyword == optional)
            for keyword in ("ReferencedSOPSequence", "FailedSOPSequence")
        }
        return cls(
            _uid(information, "TransactionUID"),
            tuple(map(_reference, listed["ReferencedSOPSequence"])),
            tuple(Failed(_reference(item), _reason(item)) for item in listed["FailedSOPSequence"]),
        )


def _about(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = list(map(_item, references))
    return information


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _items(information: Dataset, keyword: str, *, may_lack: bool = False) -> Sequence[Dataset]:
    found = information.get(keyword)
    if found is None or (isinstance(found, Items | str | bytes) and not len(found)):
        if may_lack:
            return ()
        raise InvalidCommitment(f"{keyword} is missing", status=_MISSING_ATTRIBUTE, field=keyword)
    if not isinstance(found, Items):
        raise InvalidCommitment(f"{keyword} is no sequence", status=_INVALID_ARGUMENT_VALUE, field=keyword)
    return found


def _reference(item: Dataset) -> Reference:
    return Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))


def _uid(dataset: Dataset, keyword: str) -> str:
    found = dataset.get(keyword)
    if found is None or found == "":
        raise InvalidCommitment(f"{keyword} is missing", status=_MISSING_ATTRIBUTE, field=keyword)
    text = found.strip() if isinstance(found, str) else ""
    if not values.is_uid(text):
        raise InvalidCommitment(f"{keyword} is not a UID", status=_INVALID_ARGUMENT_VALUE, field=keyword, value=found)
    return str(text)


def _reason(item: Dataset) -> int:
    found = item.get("FailureReason")
    if found is None:
        raise InvalidCommitment("FailureReason is missing", status=_MISSING_ATTRIBUTE, field="FailureReason")
    if not isinstance(found, int) or not 0 <= found <= _MOST_REASON:
        raise InvalidCommitment(
            "FailureReason is not a number", status=_INVALID_ARGUMENT_VALUE, field="FailureReason", value=found
        )
    return found
