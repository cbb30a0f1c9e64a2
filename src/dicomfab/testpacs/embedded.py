"""The embedded engine: our archive behind our DIMSE server, with a page of our own. It needs nothing but Python."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.testpacs import process
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.probe import Holdings, another, asked
from dicomfab.testpacs.spec import LabConfig, ServerSpec
from dicomfab.testpacs.web_port import ask

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive


class Embedded:
    """See :class:`dicomfab.testpacs.engine.Engine`. It has every option."""

    has_dicomweb = True

    def require(self, config: LabConfig) -> None:
        """Nothing is missing, ever."""

    def notes(self, config: LabConfig) -> tuple[str, ...]:
        """None: all is as the options say."""
        return ()

    def listens_on(self, config: LabConfig) -> str:
        """The address that was given."""
        return config.bind

    def serve(self, config: LabConfig, server: ServerSpec, folders: LabFolders, lock: int) -> None:
        """Answer in this process, which holds the lock anyhow."""
        from dicomfab.testpacs import server as program  # only here: this takes a second
        from dicomfab.testpacs.log_file import log_to

        log_to(folders.log(server.id))
        program.serve(config, server, folders)

    def holdings(self, config: LabConfig, server: ServerSpec) -> Holdings:
        """By its page."""
        document = asked(config, server, "/api/summary")
        try:
            if document["id"] != server.id:
                raise another(server)
            return Holdings(**document["storage"])
        except (KeyError, TypeError) as error:
            raise another(server) from error

    def data(self, folders: LabFolders, server_id: str) -> Path:
        """The archive."""
        return folders.data(server_id)

    def last_words(self, folders: LabFolders, server_id: str) -> str:
        """By its output."""
        return process.last_words(folders, server_id)

    def studies(self, config: LabConfig, server: ServerSpec, folders: LabFolders) -> Archive:
        """The archive, beside the process that serves it."""
        from dicomfab.archive.archive import Archive

        return Archive(folders.data(server.id))

    def remove_doctors_study(self, config: LabConfig, server: ServerSpec, study_instance_uid: str) -> bool:
        """By its page, which deletes no other's."""
        try:
            status, _ = ask(config, server, "DELETE", f"/studies/{study_instance_uid}")
        except (OSError, http.client.HTTPException):
            return False
        return status in (204, 404)
