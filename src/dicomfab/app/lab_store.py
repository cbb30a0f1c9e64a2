"""What the lab's servers keep, as files of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.archive.archive import Archive
    from dicomfab.registry.server import PacsServer


def lab_archive(settings: Settings, server: PacsServer) -> Archive | None:
    """What a server keeps, beside the process that serves it, if it is one of the lab's by where it listens."""
    from dicomfab.archive.archive import Archive
    from dicomfab.registry.server import canonical_host
    from dicomfab.testpacs.folders import LabFolders
    from dicomfab.testpacs.spec import load

    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    ids = {(host, one.dicom_port, one.ae_title): one.id for one in config.servers}
    own = ids.get(server.endpoint)
    return None if own is None else Archive(LabFolders(settings.lab).data(own))


def is_in_lab(settings: Settings, server: PacsServer) -> bool:
    """Whether a server is one of the four test servers of this installation, by where it listens."""
    from dicomfab.registry.server import canonical_host
    from dicomfab.testpacs.spec import load

    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    return server.endpoint in {(host, one.dicom_port, one.ae_title) for one in config.servers}
