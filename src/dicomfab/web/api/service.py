"""The installation itself: whether it answers, and which version it is."""

from __future__ import annotations

from typing import Any, Literal

from dicomfab import __version__
from dicomfab.access.policy import Action
from dicomfab.web.access import permission
from dicomfab.web.api.shared import Told, resource

router = resource("service", "/service")


class Health(Told):
    """That it answers."""

    status: Literal["ok"]


class Version(Told):
    """Which software this is."""

    name: str
    version: str
    api: str


@router.get("/health", response_model=Health)
def health() -> Any:
    """Tell that the web interface answers; for whoever asks."""
    return {"status": "ok"}


@router.get("/version", response_model=Version, dependencies=[permission(Action.OWN_ACCOUNT)])
def version() -> Any:
    """Tell the version of the software and of the interface."""
    return {"name": "DICOM Fabricator", "version": __version__, "api": "v1"}
