"""What becomes of a request after its answer, to be reported on the same association (N-EVENT-REPORT, PS3.7 10.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydicom import Dataset

from dicomfab.dimse.handlers import NormalizedReply


@dataclass(frozen=True, slots=True)
class EventReport:
    """An event to report.

    Args:
        sop_class_uid: of the instance that it is about.
        sop_instance_uid: of that instance.
        event_type: as the SOP class numbers it.
        information: about the event.
    """

    sop_class_uid: str
    sop_instance_uid: str
    event_type: int
    information: Dataset


class LateReport(Protocol):
    """A report that is not there yet when the request is answered. Used by the thread of the association."""

    @property
    def within_s(self) -> float:
        """Seconds after the answer in which it is wanted on this association."""

    def wait(self, timeout_s: float) -> EventReport | None:
        """The report, as soon as it is there; asked for again and again."""

    def ended(self, status: int | None) -> None:
        """Told once, how it was answered; ``None`` if it was not: it has to be reported in another way."""


@dataclass(frozen=True, slots=True)
class ReplyThenReport(NormalizedReply):
    """What is answered, and what is to be reported afterwards while the association is open.

    Args:
        late: the report; ``None`` if there is none.
    """

    late: LateReport | None = None
