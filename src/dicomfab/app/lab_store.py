"""What the lab's servers keep, to delete from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.registry.server import PacsServer
    from dicomfab.testpacs.engine import Studies


def lab_studies(settings: Settings, server: PacsServer) -> Studies | None:
    """What a server keeps, while it serves it, if it is one of the lab's by where it listens."""
    from dicomfab.registry.server import canonical_host
    from dicomfab.testpacs.engine import engine_of
    from dicomfab.testpacs.folders import LabFolders
    from dicomfab.testpacs.spec import load

    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    ours = {(host, one.dicom_port, one.ae_title): one for one in config.servers}
    own = ours.get(server.endpoint)
    return None if own is None else engine_of(config).studies(config, own, LabFolders(settings.lab))


def is_in_lab(settings: Settings, server: PacsServer) -> bool:
    """Whether a server is one of the four test servers of this installation, by where it listens."""
    from dicomfab.registry.server import canonical_host
    from dicomfab.testpacs.spec import load

    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    return server.endpoint in {(host, one.dicom_port, one.ae_title) for one in config.servers}
