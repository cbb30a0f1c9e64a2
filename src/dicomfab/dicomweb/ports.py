"""What the handlers need of a store of instances. One store serves one request and knows who asks.

A store may raise any error of :mod:`dicomfab.model.errors`; the response says what and why (see ``errors.status_of``):
``AccessDenied`` becomes 403, ``NotFound`` 404, ``InvalidInput`` 400, ``DiskFull`` 507.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pydicom.dataset import Dataset

from dicomfab.model.query import Level
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity

#: One answer to a search: tag -> VR and value. Values are text as a data set would have it, several joined by
#: backslash, empty if there is none; numbers are decimal; of a sequence they are its items. No binary values.
Row: TypeAlias = "Mapping[int, tuple[str, str | Sequence[Row]]]"


@dataclass(frozen=True, slots=True)
class Search:
    """A search, checked.

    Args:
        level: what is searched for: studies, series or instances (``Level.IMAGE``).
        identifier: as of C-FIND (PS3.4 C.4.1.1.3): keys with a value match, those without are to be returned; with
            Query/Retrieve Level, in UTF-8. Several UIDs are joined by backslash.
        include_all: also return every other attribute that the store has of ``levels``.
        levels: those whose attributes belong into an answer.
    """

    level: Level
    identifier: Dataset
    include_all: bool
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """An instance that is there.

    Args:
        file: its DICOM file, which stays as it is while it is read, or is replaced as a whole.
        study_instance_uid, series_instance_uid: where it belongs.
    """

    file: InstanceFile
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an instance was stored.

    Args:
        study_instance_uid, series_instance_uid: as its data set says.
        warning_reason: (0008,1196) of PS3.18 I.2.1 if it was not kept just as it came; 0 if it was.
    """

    study_instance_uid: str
    series_instance_uid: str
    warning_reason: int = 0


class NotStored(Exception):
    """This one instance is not taken; others may be.

    Args:
        failure_reason: (0008,1197), see PS3.18 I.2.2: A7xx out of resources, A9xx other SOP class, Cxxx not understood,
            0110 processing failure, 0111 there already with other content, 0122 SOP class not supported.
    """

    def __init__(self, failure_reason: int) -> None:
        super().__init__(f"{failure_reason:04X}")
        self.failure_reason = failure_reason


class InstanceSink(Protocol):
    """Takes one data set in pieces, without preamble and file meta information."""

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes. May raise :class:`NotStored`."""

    def commit(self) -> Kept:
        """Keep the instance safely. May raise :class:`NotStored`."""

    def discard(self) -> None:
        """Forget the instance if it was not committed. May be called twice."""


class WebStore(Protocol):
    """A store of instances, as one who asks may see it."""

    def can_match(self, level: Level, tag: int) -> bool:
        """Whether an attribute can be a matching key of a search at a level. What cannot is refused by name."""

    def find(self, search: Search) -> Iterator[Row]:
        """The answers to a search, in an order that stays; checked at once, read as they are asked for.

        Raises:
            InvalidInput: a key that cannot be matched; ``field`` names it.
        """

    def instances(
        self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
    ) -> Sequence[HeldInstance]:
        """The instances of a study, of one of its series, or one of them; none if there is no such one.

        An empty UID means any. Series by series, each by instance number.
        """

    def transcoded(self, file: InstanceFile, transfer_syntax_uid: str) -> AbstractContextManager[InstanceFile]:
        """An instance in another transfer syntax, for as long as the context is open.

        Raises:
            TranscodingFailed: it cannot be written in that.
        """

    def begin(self, identity: InstanceIdentity) -> InstanceSink:
        """Start to take in an instance. May raise :class:`NotStored`."""

    def delete(self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = "") -> None:
        """Delete a study, one of its series, or one instance; what is left empty goes with it. All of it or nothing.

        Raises:
            NotFound: there is no such one.
            AccessDenied: it may not be deleted by who asks.
            Conflict: it is in use.
        """
