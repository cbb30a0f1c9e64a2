"""A lab of four servers of ours, between two of which a C-MOVE is examined; with what is to be wrong about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset

from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.diagnosis.reason import Diagnosis
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.transport.faults import Fault, FaultPlan
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Actor
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import MoveRoute, PacsServer
from dicomfab.services.doctor.move import MoveDoctor, Tools
from dicomfab.testpacs.pacs import PacsHandlers
from tests.doctor.site import HOST, Site
from tests.unit.services.hospital import ADMIN, CARDS, Hospital

#: Id -> name, AE title, environment, as in the lab.
LAB = {
    "test-pacs-1": ("Test PACS 1", "TESTPACS", "test"),
    "test-pacs-2": ("Test PACS 2", "TESTPACS2", "test"),
    "prod-pacs-1": ("Prod PACS 1", "PRODPACS", "prod"),
    "prod-pacs-2": ("Prod PACS 2", "PRODPACS2", "prod"),
}
SOURCE, DESTINATION = "test-pacs-1", "prod-pacs-2"
TITLE = "PRODPACS2"


@dataclass
class Plan:
    """How the lab is; as it is made, nothing is wrong.

    Args:
        route: the Move AE title from source to destination in our registry, if there is a route.
        knows: changes what move destinations the source knows: AE title -> port; by the ports of the lab.
        handlers: of a server, if other than a PACS's.
        config: of a server.
        entry: fields of a server's entry in our registry.
        down: servers that are not running.
        find: how we ask.
    """

    route: str | None = TITLE
    knows: Callable[[Site, Mapping[str, int]], Mapping[str, int]] = lambda _site, ports: {TITLE: ports[DESTINATION]}
    handlers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    entry: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    find: Callable[..., Iterator[Dataset]] = find


Breaking = Callable[[Plan], object]


class World:
    """A lab that runs, and its doctor."""

    def __init__(self, site: Site, plan: Plan) -> None:
        self.site, self.plan = site, plan
        self.hospital = Hospital(site.folder / "hospital", site.stack)
        self._knows: dict[str, tuple[str, int]] = {}
        ports = {one: self._start(one) for one in LAB}
        self._knows.update({title: (HOST, port) for title, port in plan.knows(site, ports).items()})
        self.entries = {one: self._entry(one, port) for one, port in ports.items()}

    def _start(self, one: str) -> int:
        _, title, environment = LAB[one]
        if one in self.plan.down:
            return self.site.closed_port()
        handlers = self.plan.handlers.get(one, PacsHandlers)
        answering = handlers(self.hospital.archive(one), title, Environment(environment), {})
        if one == SOURCE and hasattr(answering, "_destinations"):
            answering._destinations = self._knows
        config = ServerConfig(**{"ae_title": title, **self.plan.config.get(one, {})})
        return self.site.stack.enter_context(Server(config, answering)).port

    def _entry(self, one: str, port: int) -> PacsServer:
        name, title, environment = LAB[one]
        more = {"dimse_timeout_s": 5, "connect_timeout_s": 2, "allow_synthetic": True, **self.plan.entry.get(one, {})}
        values = {"host": HOST, "port": port, "aec": title, "environment": environment, **more}
        return PacsServer(id=one, name=name, **values)

    @property
    def source(self) -> PacsServer:
        return self.entries[SOURCE]

    @property
    def destination(self) -> PacsServer:
        return self.entries[DESTINATION]

    def study(self, recipe: StudyRecipe = CARDS, *, on: Sequence[str] = (SOURCE,)) -> str:
        """A study that servers hold, put there by their archives."""
        made = self.hospital.make(recipe)
        for stored in self.hospital.local.instances(made):
            for one in on:
                self._copy(stored.file, one)
        return made

    def _copy(self, file: InstanceFile, one: str) -> None:
        receiver = ArchiveReceiver(self.hospital.archives[one], Environment(LAB[one][2]))
        sink = receiver.begin_store(Requestor("TEST", HOST), file.identity)
        sink.write(file.path.read_bytes()[file.dataset_offset :])
        sink.finish()

    def tools(self, **changes: Any) -> Tools:
        return dataclasses.replace(Tools(self.plan.find, store, self.registry), **changes)

    def registry(self) -> Registry:
        routes = () if self.plan.route is None else (MoveRoute(SOURCE, DESTINATION, self.plan.route),)
        return Registry(tuple(self.entries.values()), routes)

    def diagnosis(
        self, *, actor: Actor = ADMIN, confirm: bool = True, tools: Tools | None = None, **options: Any
    ) -> Diagnosis:
        """What the doctor says about the C-MOVE."""
        doctor = MoveDoctor(tools or self.tools())
        return doctor.diagnose(actor, self.source, self.destination, confirm_production=confirm, **options)


def lab(site: Site, *breaking: Breaking) -> World:
    """The lab with one thing wrong, or several."""
    plan = Plan()
    for change in breaking:
        change(plan)
    return World(site, plan)


def broken(*breaking: Breaking, **options: Any) -> Callable[[Site], Diagnosis]:
    """A C-MOVE of an instance of ours in such a lab."""
    return lambda site: lab(site, *breaking).diagnosis(**options)


# ---------------------------------------------------------------------- what may be wrong


def setting(**changes: Any) -> Breaking:
    """Another route."""
    return lambda plan: [setattr(plan, name, value) for name, value in changes.items()]


def knowing(title: str | None, port: Callable[[Site, Mapping[str, int]], int]) -> Breaking:
    """The source's table of move destinations has one entry, or none."""

    def change(plan: Plan) -> None:
        plan.knows = lambda site, ports: {} if title is None else {title: port(site, ports)}

    return change


def with_handlers(one: str, handlers: Callable[..., Any]) -> Breaking:
    return lambda plan: plan.handlers.update({one: handlers})


def with_config(one: str, **config: Any) -> Breaking:
    return lambda plan: plan.config.setdefault(one, {}).update(config)


def with_entry(one: str, **fields: Any) -> Breaking:
    return lambda plan: plan.entry.setdefault(one, {}).update(fields)


def with_faults(one: str, *faults: Fault) -> Breaking:
    return with_config(one, faults=FaultPlan(faults))


def stopped(one: str) -> Breaking:
    return lambda plan: plan.down.add(one)


# ---------------------------------------------------------------------- handlers that are at fault


class _Swallowing:
    """Takes an instance and forgets it."""

    def write(self, _chunk: object) -> None:
        return None

    def finish(self) -> int:
        return 0x0000

    def discard(self) -> None:
        return None


def storing_nothing(status: int = 0x0000, keeps: Callable[[str], bool] = lambda _uid: False) -> type[PacsHandlers]:
    """Answers every C-STORE so and keeps nothing, but for some."""

    class Handlers(PacsHandlers):
        def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
            if keeps(identity.sop_instance_uid):
                return super().begin_store(requestor, identity)
            if status:
                raise Refusal(status)
            return _Swallowing()

    return Handlers


def selecting(choose: Callable[[Sequence[InstanceFile]], Sequence[InstanceFile]]) -> type[PacsHandlers]:
    """Moves not quite what it is asked for."""

    class Handlers(PacsHandlers):
        def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
            return choose(super().select(requestor, model, identifier))

    return Handlers


def refusing_to_select(status: int) -> type[PacsHandlers]:
    """Answers every C-MOVE with this status."""

    class Handlers(PacsHandlers):
        def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
            raise Refusal(status)

    return Handlers
