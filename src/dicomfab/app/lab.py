"""Where the lab's servers meet the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.app.settings import Settings

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.model.actor import Actor
    from dicomfab.registry.registry import RegistryDiff
    from dicomfab.registry.server import MoveRoute, PacsServer
    from dicomfab.testpacs.lab import Lab
    from dicomfab.testpacs.spec import LabConfig


def lab(settings: Settings) -> Lab:
    """The lab of an installation."""
    from dicomfab.testpacs.lab import Lab

    return Lab(settings.lab)


def configure_registry(application: Application, actor: Actor) -> RegistryDiff:
    """Put the lab's servers, with the ports they have in this installation, and all routes into the registry.

    Raises:
        AccessDenied, Conflict: nothing was changed.
    """
    from dicomfab.services.lab_registry import LabRegistryService

    config = lab(application.settings).config
    service = LabRegistryService(application.registry, application.audit.record)
    return service.configure(actor, servers(config, web_password(application.settings)), routes(config))


def correct_registry(application: Application, actor: Actor) -> RegistryDiff | None:
    """Put right where those of the lab's servers that are in the registry are asked over DICOMweb, and as whom.

    Returns:
        What is different now; nothing if there is no registry yet, or the actor may not configure.
    """
    from dicomfab.access.policy import Action, Scope, decide
    from dicomfab.services.lab_registry import LabRegistryService

    place = application.settings.database
    if isinstance(place, Path) and not place.exists():
        return None
    if not decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed:
        return None
    config = lab(application.settings).config
    service = LabRegistryService(application.registry, application.audit.record)
    return service.correct(actor, servers(config, web_password(application.settings)))


def web_password(settings: Settings) -> Path:
    """The file with the password of the lab's web ports; written if it is not there."""
    from dicomfab.testpacs.folders import LabFolders
    from dicomfab.testpacs.spec import WEB_PASSWORD

    return LabFolders(settings.lab.absolute()).write_web_password(WEB_PASSWORD)


def servers(config: LabConfig, secret_file: Path | None = None) -> tuple[PacsServer, ...]:
    """The lab's servers as registry entries: ours is the AE title DICOMFAB for every operation.

    Args:
        config: their ports.
        secret_file: with the password of their DICOMweb services, if these are to be used.
    """
    from dicomfab.registry.server import PacsServer
    from dicomfab.testpacs.engine import engine_of
    from dicomfab.testpacs.spec import LOOPBACK, WEB_USER

    has_web = engine_of(config).has_dicomweb
    if not has_web:
        secret_file = None
    host = "localhost" if config.connect_host == LOOPBACK else config.connect_host
    return tuple(
        PacsServer(
            id=server.id,
            name=server.name,
            host=host,
            port=server.dicom_port,
            aec=server.ae_title,
            environment=server.environment,
            description="Test server of the lab",
            dicomweb_root=f"http://{host}:{server.web_port}/dicom-web" if has_web else "",
            dicomweb_user=WEB_USER if secret_file else "",
            dicomweb_secret_file=str(secret_file or ""),
            allow_synthetic=True,  # also those that play production: they hold nothing real
        )
        for server in config.servers
    )


def routes(config: LabConfig) -> tuple[MoveRoute, ...]:
    """From each of the lab's servers to each other one, under the destination's AE title."""
    from dicomfab.registry.server import MoveRoute

    return tuple(
        MoveRoute(source.id, destination.id, destination.ae_title)
        for source in config.servers
        for destination in config.servers
        if source.id != destination.id
    )
