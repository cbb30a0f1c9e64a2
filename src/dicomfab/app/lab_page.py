"""What is asked of the lab's servers by way of their web ports."""

from __future__ import annotations

from dicomfab.app.settings import Settings
from dicomfab.registry.server import PacsServer, canonical_host
from dicomfab.testpacs.engine import engine_of
from dicomfab.testpacs.spec import load


def remove_doctors_study(settings: Settings, server: PacsServer, study_instance_uid: str) -> bool:
    """Remove a study of the doctor's from one of the lab's servers, by its web port.

    Returns:
        Whether it is gone; false for a server that is not the lab's.
    """
    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    ours = (one for one in config.servers if (host, one.dicom_port, one.ae_title) == server.endpoint)
    found = next(ours, None)
    if found is None:
        return False
    return engine_of(config).remove_doctors_study(config, found, study_instance_uid)
