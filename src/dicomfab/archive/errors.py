"""Failures of the archive. Each carries the DIMSE status that the SCP answers with (PS3.4 annexes B and C)."""

from __future__ import annotations

from typing import ClassVar

from dicomfab.model.errors import DiskFull, InvalidInput, LocalFailure


class UnreadableInstance(InvalidInput):
    """A received data set that cannot be parsed, or lacks a UID without which it has no place (PS3.4 B.2.3)."""

    heading = "Instance refused"
    status: ClassVar[int] = 0xC000  # Error: Cannot understand


class MismatchedInstance(InvalidInput):
    """The data set names another SOP class or SOP instance than the C-STORE command did (PS3.4 B.2.3)."""

    heading = "Instance refused"
    status: ClassVar[int] = 0xA900  # Error: Data Set does not match SOP Class


class ArchiveQueryError(InvalidInput):
    """A C-FIND, C-MOVE or C-GET identifier that cannot be answered (PS3.4 C.4.1.1.4, C.4.2.1.5)."""

    heading = "Query refused"
    status: ClassVar[int] = 0xA900  # Error: Identifier does not match SOP Class


class ArchiveFailure(LocalFailure):
    """The archive's disk or index does not do its work: full, read-only, locked, damaged."""

    heading = "Archive failed"
    status: ClassVar[int] = 0xA700  # Refused: Out of resources


class ArchiveFull(ArchiveFailure, DiskFull):
    """No space is left for the archive; what it holds is safe."""

    heading = DiskFull.heading
