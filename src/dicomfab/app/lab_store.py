"""The lab's servers as the registry has them: which one an entry is, and what it keeps, to delete from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.registry.server import PacsServer
    from dicomfab.testpacs.engine import Studies
    from dicomfab.testpacs.spec import LabConfig, ServerSpec


def lab_studies(settings: Settings, server: PacsServer) -> Studies | None:
    """What a server keeps, while it serves it, if it is one of the lab's by where it listens."""
    from dicomfab.testpacs.engine import engine_of
    from dicomfab.testpacs.folders import LabFolders

    config, own = _own(settings, server)
    return None if own is None else engine_of(config).studies(config, own, LabFolders(settings.lab))


def remove_doctors_study(settings: Settings, server: PacsServer, study_instance_uid: str) -> bool:
    """Remove a study of the doctor's from one of the lab's servers, by its web port.

    Returns:
        Whether it is gone; false for a server that is not the lab's.
    """
    from dicomfab.testpacs.engine import engine_of

    config, own = _own(settings, server)
    return own is not None and engine_of(config).remove_doctors_study(config, own, study_instance_uid)


def is_in_lab(settings: Settings, server: PacsServer) -> bool:
    """Whether a server is one of the four test servers of this installation, by where it listens."""
    return _own(settings, server)[1] is not None


def _own(settings: Settings, server: PacsServer) -> tuple[LabConfig, ServerSpec | None]:
    """The lab, and which of its servers this is."""
    from dicomfab.registry.server import canonical_host
    from dicomfab.testpacs.spec import load

    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    ours = {(host, one.dicom_port, one.ae_title): one for one in config.servers}
    return config, ours.get(server.endpoint)
