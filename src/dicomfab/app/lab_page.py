"""What is asked of the lab's servers by way of their web pages."""

from __future__ import annotations

import base64
import http.client
from typing import Final

from dicomfab.app.settings import Settings
from dicomfab.registry.server import PacsServer, canonical_host
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER, load

_PAGE_S: Final = 2.0


def remove_doctors_study(settings: Settings, server: PacsServer, study_instance_uid: str) -> bool:
    """Remove a study of the doctor's from one of the lab's servers, by its web page.

    Returns:
        Whether it is gone; false for a server that is not the lab's.
    """
    config = load(settings.lab)
    host = canonical_host(config.connect_host)
    ours = (one for one in config.servers if (host, one.dicom_port, one.ae_title) == server.endpoint)
    found = next(ours, None)
    if found is None:
        return False
    password = base64.b64encode(f"{WEB_USER}:{WEB_PASSWORD}".encode()).decode()
    page = http.client.HTTPConnection(config.connect_host, found.web_port, timeout=_PAGE_S)
    try:
        page.request("DELETE", f"/studies/{study_instance_uid}", headers={"Authorization": f"Basic {password}"})
        return page.getresponse().status in (204, 404)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        page.close()
