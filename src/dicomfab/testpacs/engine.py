"""What the servers of a lab are run with: our own archive behind our own protocol code, or Debian's Orthanc."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from dicomfab.testpacs.embedded import Embedded
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.orthanc import Orthanc
from dicomfab.testpacs.probe import Holdings
from dicomfab.testpacs.spec import EngineName, LabConfig, ServerSpec


class Studies(Protocol):
    """What one server keeps, to delete from."""

    def delete_study(self, study_instance_uid: str) -> object:
        """Delete a study, whatever it is of.

        Raises:
            NotFound: it is not there.
            LocalFailure: it cannot be deleted.
        """

    def close(self) -> None:
        """Let go of it."""


class Engine(Protocol):
    """One way to run the four servers. Ports, AE titles, credentials and routes are those of the lab with each."""

    @property
    def has_dicomweb(self) -> bool:
        """Whether the servers answer DICOMweb, below ``/dicom-web`` of their web ports."""

    def require(self, config: LabConfig) -> None:
        """Check that servers can be run in this way.

        Raises:
            SetupMissing: a program is not installed.
            Conflict: this engine does not have an option.
        """

    def notes(self, config: LabConfig) -> tuple[str, ...]:
        """What is different from what the options say; a sentence each."""

    def listens_on(self, config: LabConfig) -> str:
        """The address on which ports must be free."""

    def serve(self, config: LabConfig, server: ServerSpec, folders: LabFolders, lock: int) -> None:
        """Be this server, in the main thread of a process of its own, until SIGTERM or SIGINT.

        Args:
            config: of the lab.
            server: which one.
            folders: where it keeps what it has.
            lock: a file descriptor that has to stay open for as long as the server runs.

        Raises:
            PortInUse, LocalFailure: a port cannot be listened on.
        """

    def holdings(self, config: LabConfig, server: ServerSpec) -> Holdings:
        """Ask a server, by its web port, what it holds.

        Raises:
            NoAnswer: it does not answer, or another server does.
        """

    def data(self, folders: LabFolders, server_id: str) -> Path:
        """Where a server keeps what it holds; each engine has a place of its own."""

    def last_words(self, folders: LabFolders, server_id: str) -> str:
        """The line that says why a server ended; blank if there is none."""

    def studies(self, config: LabConfig, server: ServerSpec, folders: LabFolders) -> Studies:
        """What a server keeps, to delete from while it runs."""

    def remove_doctors_study(self, config: LabConfig, server: ServerSpec, study_instance_uid: str) -> bool:
        """Remove a study of the doctor's own patient from a server that runs.

        Returns:
            Whether it is gone.
        """


ENGINES: Final[dict[EngineName, Engine]] = {EngineName.EMBEDDED: Embedded(), EngineName.ORTHANC: Orthanc()}


def engine_of(config: LabConfig) -> Engine:
    """The engine of a lab."""
    return ENGINES[config.engine]
