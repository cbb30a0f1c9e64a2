"""Real servers over loopback with archives of their own, for tests of services."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import Handlers, ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.provenance import Provenance
from dicomfab.services.query import QueryService
from dicomfab.services.studies import StudyService
from dicomfab.services.transfer import TransferService
from dicomfab.testpacs.pacs import PacsHandlers

ADMIN = local_admin("tester", "api")
NOW = datetime.datetime(2026, 1, 5, 10, 15, tzinfo=datetime.UTC)
#: Quick enough for a test: three small text cards.
CARDS = StudyRecipe((SeriesRecipe("text-card", 3),), seed=5, accession_number="CARDS")


def actor(*roles: Role) -> Actor:
    return Actor("someone", frozenset(roles), "api")


class Nameless(PacsHandlers):
    """Lists some instances without their SOP Instance UID, which the standard requires."""

    def __init__(self, archive: Archive, ae_title: str, environment: Environment = Environment.TEST) -> None:
        super().__init__(archive, ae_title, environment, {})
        self.unnamed: set[str] = set()

    def find(self, requestor: Any, model: Any, identifier: Dataset) -> Iterator[Dataset]:
        for match in super().find(requestor, model, identifier):
            if match.get("SOPInstanceUID") in self.unnamed:
                del match.SOPInstanceUID
            yield match


@dataclass
class Hospital:
    """A local store, the services, and servers as they are added."""

    folder: Path
    stack: contextlib.ExitStack
    destinations: dict[str, tuple[str, int]] = field(default_factory=dict)
    archives: dict[str, Archive] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.local = self.archive("local")
        self.known: set[str] = set()  # the ledger of fabricated studies
        self.studies = StudyService(self.local, now=lambda: NOW, draw_seed=lambda: 1, note_study=self.known.add)
        self.queries = QueryService(find)
        self.provenance = Provenance(self.local, find, self.known.__contains__)
        self.transfers = TransferService(self.local, find, store, move, get, self.provenance)

    def archive(self, name: str) -> Archive:
        archive = Archive(self.folder / name)
        self.stack.callback(archive.close)
        self.archives[name] = archive
        return archive

    def pacs(self, ae_title: str, environment: str = "test", **settings: Any) -> PacsServer:
        """A test PACS that knows every other server of the hospital as a move destination."""
        archive = self.archive(ae_title)
        handlers = PacsHandlers(archive, ae_title, Environment(environment), {})
        handlers._destinations = self.destinations
        return self.server(ae_title, handlers, environment, **settings)

    def server(self, ae_title: str, handlers: Handlers, environment: str = "test", **settings: Any) -> PacsServer:
        """A server with handlers of the test's own."""
        running = self.stack.enter_context(Server(ServerConfig(ae_title), handlers))
        self.destinations[ae_title] = ("127.0.0.1", running.port)
        return self.entry(ae_title, running.port, environment, **settings)

    def entry(self, ae_title: str, port: int, environment: str = "test", **settings: Any) -> PacsServer:
        # As the lab's own: also those that play production take what is fabricated.
        values = {"dimse_timeout_s": 10, "allow_synthetic": True, **settings}
        name = ae_title.lower()
        return PacsServer(
            id=name, name=name.upper(), host="127.0.0.1", port=port, aec=ae_title, environment=environment, **values
        )

    def make(self, recipe: StudyRecipe = CARDS) -> str:
        """Fabricate into the local store; returns the Study Instance UID."""
        resolved = self.studies.resolve_recipe(ADMIN, recipe)
        self.studies.create(ADMIN, resolved)
        return resolved.study_instance_uid

    def held(self, name: str, study: str) -> set[str]:
        """SOP instance UIDs in an archive, looked up without any service."""
        return {i.identity.sop_instance_uid for i in self.archives[name].instances(study)}


@contextlib.contextmanager
def hospital(folder: Path) -> Iterator[Hospital]:
    with contextlib.ExitStack() as stack:
        yield Hospital(folder, stack)
