"""What the services hand back: responses as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dicomfab.model.suboperations import Suboperations

#: The longest identifier that is read into memory.
MAX_IDENTIFIER_BYTES: Final = 16 << 20


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
