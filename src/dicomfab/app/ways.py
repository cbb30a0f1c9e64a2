"""Which way a peer is asked: by DIMSE, or by DICOMweb where its entry or whoever asks wants that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.dimse.peer import Peer
    from dicomfab.services.web_secrets import SecretFiles

T = TypeVar("T")


def secret_files(settings: Settings) -> SecretFiles:
    """The files that may hold the secrets of DICOMweb services: those meant for that, and that of the lab."""
    from dicomfab.services.web_secrets import SecretFiles
    from dicomfab.testpacs.folders import LabFolders

    return SecretFiles(settings.home / "secrets", (LabFolders(settings.lab.absolute()).web_password,))


def by_way(name: str, dimse: Callable[..., T], secrets: SecretFiles | None = None) -> Callable[..., T]:
    """A function that asks a peer the way that it is to be asked.

    Args:
        name: of its counterpart in :mod:`dicomfab.services.by_web`, which is loaded with the first peer that needs it.
        dimse: asks by DIMSE.
        secrets: the files that may hold secrets; no file if ``None``.
    """

    def call(peer: Peer, *args: Any, **options: Any) -> T:
        if peer.web is None:
            return dimse(peer, *args, **options)
        from dicomfab.services import by_web

        if secrets is not None:
            options["secrets"] = secrets
        asked: T = getattr(by_web, name)(peer, *args, **options)
        return asked

    return call


def title(operation: str, by_web: str, peer: Peer) -> str:
    """What a trace of an operation with a peer is called.

    Args:
        operation: of DIMSE.
        by_web: what it is over DICOMweb; blank if it is never done over that.
        peer: who is asked.
    """
    if peer.web is None or not by_web:
        return f"{operation} with {peer.label}"
    return f"{by_web} with {peer.name or peer.host} ({peer.web.root})"
