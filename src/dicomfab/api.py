"""The Python API: the same services as the command line and the web interface, for scripts and tests.

>>> from dicomfab.api import connect
>>> with connect() as lab:                                   # doctest: +SKIP
...     study = lab.create("ct-chest", seed=7)
...     report = lab.send(study.resolved.study_instance_uid, to="test-pacs-1")
...     report.verdict.kind
<VerdictKind.VERIFIED: 'verified'>
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dicomfab.app.build import Application
from dicomfab.app.settings import load_settings
from dicomfab.model.actor import Actor, local_admin

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary
    from dicomfab.registry.server import ConnectionTest, PacsServer
    from dicomfab.services.query import ServerAnswer
    from dicomfab.services.studies import Fabricated
    from dicomfab.services.transfer import TransferReport
    from dicomfab.storage.patients import StoredPatient
    from dicomfab.validity.report import Report


def connect(home: Path | None = None, *, actor: Actor | None = None) -> Lab:
    """Open an installation.

    Args:
        home: where its state lives; ``DICOMFAB_HOME`` or the platform's default if not given.
        actor: who asks; the operating system's user as administrator if not given.
    """
    settings = load_settings()
    if home is not None:
        settings = replace(settings, home=home.absolute())
    return Lab(Application(settings), actor or local_admin(getpass.getuser(), "api"))


class Lab:
    """An open installation; every method may raise what the service of the same name raises.

    Args:
        application: the wired services, for what this short list does not have.
        actor: who asks.
    """

    def __init__(self, application: Application, actor: Actor) -> None:
        self.application = application
        self.actor = actor

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what was started, close what was opened."""
        self.application.close()

    def servers(self) -> tuple[PacsServer, ...]:
        """The PACS servers of the registry."""
        return self.application.pacs.servers(self.actor)

    def add_server(self, **fields: Any) -> PacsServer:
        """Add a PACS server; the names are those of :class:`dicomfab.registry.server.PacsServer`."""
        return self.application.pacs.add(self.actor, fields)

    def test_server(self, server: str) -> ConnectionTest:
        """C-ECHO a server, by id or name."""
        found = self.application.pacs.resolve(self.actor, server)
        return self.application.pacs.test(self.actor, found.id)

    def create(self, *kinds: str, recipe: str = "", **values: Any) -> Fabricated:
        """Fabricate a study into the local store.

        Args:
            kinds: such as ``ct-chest``, or ``ct-chest:40`` with a count; see
                :data:`dicomfab.fabricate.kinds.KINDS`.
            recipe: instead of kinds, the name of a recipe or its file.
            values: fields of :class:`dicomfab.fabricate.recipe.StudyRecipe`; they go before those of the recipe.
        """
        from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe

        wanted = StudyRecipe(tuple(SeriesRecipe.parse(kind) for kind in kinds))
        if recipe and not kinds:
            wanted = self.application.recipes.load(self.actor, recipe).recipe.study()
        service = self.application.studies
        return service.create(self.actor, service.resolve_recipe(self.actor, replace(wanted, **values)))

    def patients(self, search: str = "") -> tuple[StoredPatient, ...]:
        """The registered patients by name (100 at most); each word of ``search`` occurs in name or ID."""
        return self.application.patients.page(self.actor, search).patients

    def invent_patients(self, count: int = 1, *, seed: int | None = None) -> tuple[StoredPatient, ...]:
        """Invent patients and register them; the same seed gives the same persons, with new IDs."""
        return self.application.patients.invent(self.actor, count, seed=seed).patients

    def studies(self) -> tuple[StudySummary, ...]:
        """The local studies, the newest first (100 at most)."""
        return self.application.studies.page(self.actor).studies

    def validate(self, *paths: Path | str, study: str = "", strict: bool = False) -> Report:
        """Check files and folders, or a local study, with dciodvfy, dcentvfy and our own rules.

        Args:
            paths: files, and folders with everything below them.
            study: instead of paths, a Study Instance UID, an accession number or ``latest``.
            strict: let warnings count as errors, expected ones too.
        """
        service = self.application.validation
        if study:
            return service.study(self.actor, study, strict=strict)
        return service.files(self.actor, [Path(path) for path in paths], strict=strict)

    def query(self, servers: Sequence[str] = (), **search: str) -> list[ServerAnswer]:
        """Search studies on the servers named, or on all active ones; one answer for each server.

        Args:
            servers: ids or names.
            search: fields of :class:`dicomfab.services.study_filter.StudyFilter`.
        """
        from dicomfab.services.study_filter import StudyFilter

        pacs = self.application.pacs
        chosen = [pacs.resolve(self.actor, name) for name in servers] or [s for s in self.servers() if s.is_active]
        return list(self.application.queries.studies(self.actor, chosen, StudyFilter(**search)))

    def send(self, study: str, *, to: str, confirm_production: bool = False) -> TransferReport:
        """C-STORE a local study to a server, and verify."""
        application = self.application
        study_uid = application.studies.resolve_reference(self.actor, study)
        server = application.pacs.resolve(self.actor, to)
        return application.transfers.send(self.actor, study_uid, server, confirm_production=confirm_production)

    def move(self, study: str, *, source: str, to: str, confirm_production: bool = False) -> TransferReport:
        """C-MOVE a study from one server to another by the route table, and verify."""
        application = self.application
        at, destination = application.pacs.resolve(self.actor, source), application.pacs.resolve(self.actor, to)
        route = application.pacs.route(self.actor, at.id, destination.id)
        study_uid = application.queries.identify(self.actor, at, study)
        return application.transfers.move(
            self.actor, study_uid, at, destination, route, confirm_production=confirm_production
        )

    def get(self, study: str, *, source: str) -> TransferReport:
        """C-GET a study into the local store, and verify."""
        application = self.application
        at = application.pacs.resolve(self.actor, source)
        return application.transfers.get(self.actor, application.queries.identify(self.actor, at, study), at)
