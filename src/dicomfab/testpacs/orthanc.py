"""The Orthanc engine: Debian's Orthanc, with settings made for each of the lab's servers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.archive.records import Duplicate
from dicomfab.model.errors import Conflict, SetupMissing
from dicomfab.testpacs import orthanc_settings, process
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.probe import Holdings
from dicomfab.testpacs.spec import LabConfig, ServerSpec

if TYPE_CHECKING:
    from dicomfab.testpacs.orthanc_rest import OrthancStudies

_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - where Orthanc listens
_LOG_BYTES: Final = 5_000_000
# Debian has it among the administrator's programs, which are not on everybody's path.
_ELSEWHERE: Final = ("/usr/sbin", "/usr/local/sbin")
# Debian starts what it installs, with the ports of our first server.
INSTALL: Final = "sudo apt-get install orthanc orthanc-dicomweb && sudo systemctl disable --now orthanc"


class Orthanc:
    """See :class:`dicomfab.testpacs.engine.Engine`."""

    @property
    def has_dicomweb(self) -> bool:
        """Whether its plugin for that is installed."""
        return orthanc_settings.DICOMWEB_PLUGIN.exists()

    def require(self, config: LabConfig) -> None:
        """Orthanc is there, and nothing is asked for that it does not do."""
        if config.on_duplicate is Duplicate.REFUSE:
            raise _not_had("--on-duplicate refuse", "Orthanc keeps or replaces what it has", "--on-duplicate keep")
        if config.commitment_on_same_association:
            raise _not_had("--same-association", "Orthanc reports on an association of its own", "--new-association")
        program()

    def notes(self, config: LabConfig) -> tuple[str, ...]:
        """What Orthanc cannot be told."""
        found = []
        is_closed = config.strict and orthanc_settings.is_for_this_machine(config)
        if config.bind != _EVERYWHERE and not is_closed:
            found.append(
                f"Orthanc takes DICOM on every address of this machine, not on {config.bind} alone. Where strangers "
                "could reach it: --strict, or a firewall."
            )
        if not self.has_dicomweb:
            found.append("There is no DICOMweb without Orthanc's plugin: sudo apt-get install orthanc-dicomweb")
        return tuple(found)

    def listens_on(self, config: LabConfig) -> str:
        """All of this machine's: it knows no other way."""
        return _EVERYWHERE

    def serve(self, config: LabConfig, server: ServerSpec, folders: LabFolders, lock: int) -> None:
        """Become Orthanc: this process goes on under its pid, with the lock, as another program."""
        plugins = (orthanc_settings.DICOMWEB_PLUGIN,) if self.has_dicomweb else ()
        given = orthanc_settings.settings(config, server, folders.orthanc(server.id), plugins)
        path, log = orthanc_settings.write(folders, server.id, given), folders.log(server.id)
        if log.exists() and log.stat().st_size > _LOG_BYTES:  # it never begins a new one by itself
            log.replace(log.with_suffix(".log.1"))
        os.set_inheritable(lock, True)
        os.umask(0o077)
        # Without this DCMTK, which Orthanc speaks DICOM by, holds back the end of each message for 40 ms.
        environment = {**os.environ, "TCP_NODELAY": "1"}
        os.execve(program(), ["Orthanc", f"--logfile={log}", str(path)], environment)  # noqa: S606 - no shell is wanted

    def holdings(self, config: LabConfig, server: ServerSpec) -> Holdings:
        """By its REST interface."""
        from dicomfab.testpacs.orthanc_rest import holdings

        return holdings(config, server)

    def data(self, folders: LabFolders, server_id: str) -> Path:
        """Index and storage, with the settings."""
        return folders.orthanc(server_id)

    def last_words(self, folders: LabFolders, server_id: str) -> str:
        """What it said before it was Orthanc, or the last error in its log, without time and place in the source."""
        log = folders.log(server_id)
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        error = next((line.partition("] ")[2] for line in reversed(lines) if line.startswith("E")), "")
        return process.last_words(folders, server_id) or error

    def studies(self, config: LabConfig, server: ServerSpec, folders: LabFolders) -> OrthancStudies:
        """By its REST interface."""
        from dicomfab.testpacs.orthanc_rest import OrthancStudies

        return OrthancStudies(config, server)

    def remove_doctors_study(self, config: LabConfig, server: ServerSpec, study_instance_uid: str) -> bool:
        """By its REST interface, after a look at whose it is."""
        from dicomfab.testpacs.orthanc_rest import OrthancStudies, remove_doctors_study

        return remove_doctors_study(OrthancStudies(config, server), study_instance_uid)


def program() -> str:
    """The path of Orthanc.

    Raises:
        SetupMissing: it is not installed.
    """
    found = shutil.which("Orthanc", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ELSEWHERE)))
    if found is None:
        raise SetupMissing(
            "the lab cannot run on Orthanc: there is no program Orthanc on this machine",
            cause="Orthanc comes from Debian, not with this package",
            remedy=f"{INSTALL} - or have the servers that come with us: dicomfab lab start --engine embedded",
        )
    return found


def _not_had(option: str, why: str, instead: str) -> Conflict:
    return Conflict(
        f"{option} cannot be had with --engine orthanc: nothing was changed",
        cause=why,
        remedy=f"leave it at {instead}, or use the embedded engine",
    )
