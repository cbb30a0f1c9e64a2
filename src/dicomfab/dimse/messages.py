"""What the services hand back: responses and counters as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: The longest identifier that is read into memory.
MAX_IDENTIFIER_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Suboperations:
    """The counters of a C-MOVE or C-GET response (PS3.7 9.1.4.1.7 to 9.1.4.1.10).

    A counter that the peer did not send is ``None``, shown as "unreported"; it is never taken for 0.
    """

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    @property
    def delivered(self) -> int | None:
        """Completed plus warning: what the peer says that it delivered; ``None`` if it said nothing of the kind."""
        if self.completed is None and self.warning is None:
            return None
        return (self.completed or 0) + (self.warning or 0)


@dataclass(frozen=True, slots=True)
class Response:
    """One DIMSE response.

    Args:
        status: (0000,0900).
        comment: ErrorComment (0000,0902), empty if the peer sent none.
        suboperations: the counters, for C-MOVE and C-GET.
        failed_sop_instance_uids: FailedSOPInstanceUIDList (0008,0058) of the response's identifier.
        error_id: ErrorID (0000,0903) of an N-service, as its SOP class numbers errors; ``None`` if the peer sent none.
    """

    status: int
    comment: str = ""
    suboperations: Suboperations = field(default_factory=Suboperations)
    failed_sop_instance_uids: tuple[str, ...] = ()
    error_id: int | None = None


@dataclass(frozen=True, slots=True)
class Implementation:
    """Who the peer says it is in A-ASSOCIATE-AC (PS3.7 D.3.3.2)."""

    class_uid: str = ""
    version_name: str = ""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context to propose: one abstract syntax, one or more transfer syntaxes.

    Args:
        as_scp: propose the SCP role for us, as a C-GET (PS3.4 C.5.3) and a storage commitment's report need it.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    as_scp: bool = False
