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
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dicomfab.app.build import Application
from dicomfab.app.settings import load_settings
from dicomfab.model.actor import Actor, local_admin

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.archive.records import StudySummary
    from dicomfab.fabricate.population.recipe import PopulationRecipe
    from dicomfab.fabricate.recipe import StudyRecipe
    from dicomfab.model.hl7_message import Hl7Message
    from dicomfab.model.job import Job, JobItem, JobKind, JobState
    from dicomfab.model.procedure import RequestedProcedure
    from dicomfab.model.values import Environment
    from dicomfab.registry.server import ConnectionTest, PacsServer
    from dicomfab.services.jobs.service import Options
    from dicomfab.services.ordering.intake import Taken
    from dicomfab.services.ordering.loop import LoopStep
    from dicomfab.services.ordering.procedures import ProcedureDetails
    from dicomfab.services.populations import PopulationMade
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

    @property
    def jobs(self) -> Jobs:
        """Work that goes on in a worker process, whatever becomes of this one."""
        return Jobs(self)

    @property
    def orders(self) -> Orders:
        """HL7 messages, and what is to be done for them."""
        return Orders(self)

    def servers(self) -> tuple[PacsServer, ...]:
        """The PACS servers of the registry."""
        return self.application.pacs.servers(self.actor)

    def add_server(self, *, confirm_environment: bool = False, **fields: Any) -> PacsServer:
        """Add a PACS server; the names are those of :class:`dicomfab.registry.server.PacsServer`.

        Args:
            confirm_environment: yes, a test server may stand where a production server stood.
            fields: of the server.
        """
        return self.application.pacs.add(self.actor, fields, confirm_environment=confirm_environment)

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
        service = self.application.studies
        return service.create(self.actor, service.resolve_recipe(self.actor, self._recipe(kinds, recipe, values)))

    def _recipe(self, kinds: Sequence[str], recipe: str, values: Mapping[str, Any]) -> StudyRecipe:
        from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe

        wanted = StudyRecipe(tuple(SeriesRecipe.parse(kind) for kind in kinds))
        if recipe and not kinds:
            wanted = self.application.recipes.load(self.actor, recipe).recipe.study()
        return replace(wanted, **values)

    def patients(self, search: str = "") -> tuple[StoredPatient, ...]:
        """The registered patients by name (100 at most); each word of ``search`` occurs in name or ID."""
        return self.application.patients.page(self.actor, search).patients

    def invent_patients(
        self, count: int = 1, *, seed: int | None = None, script: str | None = None, contact: bool = False
    ) -> tuple[StoredPatient, ...]:
        """Invent patients and register them; the same seed gives the same persons, with new IDs.

        Args:
            count: 1 to 10,000.
            seed: drawn if left out.
            script: that the names are written in, such as ``japanese``; Latin if left out.
            contact: with addresses and telephone numbers.
        """
        return self.application.patients.invent(self.actor, count, seed=seed, script=script, contact=contact).patients

    def populate(self, recipe: PopulationRecipe, out: Path, *, workers: int | None = None) -> PopulationMade:
        """Make a population in an empty folder; its seed and last day are decided if they are left open."""
        populations = self.application.populations
        return populations.create(self.actor, populations.resolve(self.actor, recipe), out, workers=workers)

    def studies(self) -> tuple[StudySummary, ...]:
        """The local studies, the newest first (100 at most)."""
        return self.application.studies.page(self.actor).studies

    def validate(self, *paths: Path | str, study: str = "", strict: bool = False, strict_all: bool = False) -> Report:
        """Check files and folders, or a local study, with dciodvfy, dcentvfy and our own rules.

        Args:
            paths: files, and folders with everything below them.
            study: instead of paths, a Study Instance UID, an accession number or ``latest``.
            strict: let warnings count as errors; expected ones do not.
            strict_all: let expected warnings count as well, and so all others.
        """
        service = self.application.validation
        if study:
            return service.study(self.actor, study, strict=strict, strict_all=strict_all)
        files = [Path(path) for path in paths]
        return service.files(self.actor, files, strict=strict, strict_all=strict_all)

    def query(self, servers: Sequence[str] = (), *, via: str = "", **search: Any) -> list[ServerAnswer]:
        """Search studies on the servers named, or on all active ones; one answer for each server.

        Args:
            servers: ids or names.
            via: ``dimse``, or ``web`` for DICOMweb; blank means as the entry of each server says.
            search: fields of :class:`dicomfab.services.study_filter.StudyFilter`.
        """
        from dicomfab.services.search import asked_by
        from dicomfab.services.study_filter import StudyFilter

        pacs = self.application.pacs
        chosen = [pacs.resolve(self.actor, name) for name in servers] or [s for s in self.servers() if s.is_active]
        asked = [asked_by(server, via) for server in chosen]
        return list(self.application.queries.studies(self.actor, asked, StudyFilter(**search)))

    def send(self, study: str, *, to: str, confirm_production: bool = False, via: str = "") -> TransferReport:
        """C-STORE a local study to a server, and verify; by STOW-RS if ``via`` or the server's entry says ``web``."""
        application = self.application
        study_uid = application.studies.resolve_reference(self.actor, study)
        server = application.pacs.resolve(self.actor, to).by(via)
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

    def get(self, study: str, *, source: str, via: str = "") -> TransferReport:
        """C-GET a study into the local store, and verify; by WADO-RS if ``via`` or the server's entry says ``web``."""
        application = self.application
        at = application.pacs.resolve(self.actor, source).by(via)
        return application.transfers.get(self.actor, application.queries.identify(self.actor, at, study), at)


class Jobs:
    """Jobs of an installation: submitted, looked at, waited for.

    What is submitted is done by a worker process, which is started if there is none, and goes on when this process
    has ended. Every method may raise what the service of the same name raises.

    >>> with connect() as lab:                                   # doctest: +SKIP
    ...     job = lab.jobs.send("latest", to="test-pacs-1")
    ...     lab.jobs.wait(job.id).state
    <JobState.SUCCEEDED: 'succeeded'>

    Args:
        lab: the open installation.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._service = lab.application.jobs

    def fabricate(self, *kinds: str, recipe: str = "", count: int = 1, priority: int = 5, **values: Any) -> Job:
        """Submit studies to be made into the local store.

        Args:
            kinds: as of :meth:`Lab.create`.
            recipe: as of :meth:`Lab.create`.
            count: how many studies.
            priority: 1 (first) to 9.
            values: as of :meth:`Lab.create`.
        """
        lab = self._lab
        wanted = lab._recipe(kinds, recipe, values)
        studies = list(lab.application.studies.resolve_several(lab.actor, wanted, count))
        return self._left_to_worker(self._service.fabricate(lab.actor, studies, priority=priority))

    def send(self, *studies: str, to: str, confirm_production: bool = False, priority: int = 5, via: str = "") -> Job:
        """Submit local studies to be sent to a server (C-STORE), and verified.

        Args:
            studies: Study Instance UIDs, accession numbers or ``latest``.
            to: id or name of the server.
            confirm_production: yes, write to a production server.
            priority: 1 (first) to 9.
            via: ``dimse``, or ``web`` for DICOMweb; blank means as the server's entry says.
        """
        lab = self._lab
        job = self._service.send(
            lab.actor,
            [lab.application.studies.resolve_reference(lab.actor, study) for study in studies],
            lab.application.pacs.resolve(lab.actor, to),
            confirm_production=confirm_production,
            via=via,
            options=_options(priority),
        )
        return self._left_to_worker(job)

    def move(
        self,
        *studies: str,
        source: str,
        to: str,
        series: Sequence[str] = (),
        confirm_production: bool = False,
        priority: int = 5,
    ) -> Job:
        """Submit studies to be moved from one server to another by the route table (C-MOVE), and verified.

        Args:
            studies: Study Instance UIDs, or accession numbers that the source knows once.
            source: id or name of the server that has them.
            to: id or name of the server that gets them.
            series: Series Instance UIDs of the one study, if not all of it is wanted.
            confirm_production: yes, write to a production server.
            priority: 1 (first) to 9.
        """
        lab, application = self._lab, self._lab.application
        at, destination = application.pacs.resolve(lab.actor, source), application.pacs.resolve(lab.actor, to)
        found = [application.queries.identify(lab.actor, at, study) for study in studies]
        job = self._service.move(
            lab.actor,
            found,
            at,
            destination,
            series=series,
            confirm_production=confirm_production,
            options=_options(priority),
        )
        return self._left_to_worker(job)

    def get(self, *studies: str, source: str, series: Sequence[str] = (), priority: int = 5, via: str = "") -> Job:
        """Submit studies to be fetched into the local store, and verified.

        Args:
            studies: Study Instance UIDs, or accession numbers that the source knows once.
            source: id or name of the server that has them.
            series: Series Instance UIDs of the one study, if not all of it is wanted.
            priority: 1 (first) to 9.
            via: ``dimse``, or ``web`` for DICOMweb; blank means as the server's entry says.
        """
        lab, application = self._lab, self._lab.application
        at = application.pacs.resolve(lab.actor, source).by(via)
        found = [application.queries.identify(lab.actor, at, study) for study in studies]
        job = self._service.get(lab.actor, found, at, series=series, via=via, options=_options(priority))
        return self._left_to_worker(job)

    def list(self, *states: JobState, kind: JobKind | None = None, limit: int = 100) -> tuple[Job, ...]:
        """Jobs, the newest first; those in some states or of a kind only, if any are named."""
        from dicomfab.storage.jobs import JobFilter

        wanted = JobFilter(frozenset(states), frozenset(() if kind is None else {kind}))
        return self._service.page(self._lab.actor, wanted, limit=limit).jobs

    def show(self, job_id: int) -> Job:
        """A job as it is now."""
        return self._service.show(self._lab.actor, job_id)

    def items(self, job_id: int, *, limit: int = 1000, offset: int = 0) -> Sequence[JobItem]:
        """Items of a job, those that failed first."""
        return self._service.items_worst_first(self._lab.actor, job_id, limit=limit, offset=offset)

    def wait(self, job_id: int, *, timeout_s: float | None = None) -> Job:
        """Wait until a job has ended, and give it back as it ended. Look at its state: it may have failed.

        Args:
            job_id: the job.
            timeout_s: give up waiting after so long; never if ``None``.

        Raises:
            TimeoutError: it has not ended by then. It goes on.
        """
        from dicomfab.app.workers import replace_lost_worker

        ends = None if timeout_s is None else time.monotonic() + timeout_s
        job = self.show(job_id)
        for job in self._service.watch(self._lab.actor, job_id, stopped=lambda: _is_over(ends)):
            if not job.state.has_ended:
                replace_lost_worker(self._lab.application)
        if not job.state.has_ended:
            raise TimeoutError(f"job {job_id} is {job.state} after {timeout_s:g} s")
        return job

    def cancel(self, job_id: int) -> Job:
        """Cancel a job: it stops before its next item."""
        from dicomfab.model.job import JobEvent

        return self._service.ask(self._lab.actor, job_id, JobEvent.CANCEL)

    def retry(self, job_id: int) -> Job:
        """Do again what failed of a job, and what was not done yet."""
        from dicomfab.model.job import JobEvent

        return self._left_to_worker(self._service.ask(self._lab.actor, job_id, JobEvent.RETRY))

    def _left_to_worker(self, job: Job) -> Job:
        from dicomfab.app.workers import ensure_worker

        ensure_worker(self._lab.application)
        return job


class Orders:
    """HL7 messages, requested procedures, the worklist, closed loops.

    Every method may raise what the service of the same name raises.

    >>> with connect() as lab:                                   # doctest: +SKIP
    ...     taken = lab.orders.take(Path("order.hl7").read_bytes(), environment="test")
    ...     taken.message.code, lab.orders.procedures(accession_number="A100")[0].study_instance_uid
    ('AA', '2.25.1')

    Args:
        lab: the open installation.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._ordering = lab.application.ordering

    def take(self, message: bytes, *, environment: Environment | str = "prod") -> Taken:
        """Take an HL7 v2 message as if it had come over MLLP. Look at its ``message.state``: it may be refused.

        Args:
            message: in the character set that its MSH-18 names.
            environment: ``test`` only if no real person is in it.
        """
        from dicomfab.model.values import environment as checked

        return self._ordering.intake.take(self._lab.actor, message, checked(environment), peer="api")

    def send(self, message: bytes, *, host: str, port: int, environment: Environment | str) -> Hl7Message:
        """Send an HL7 v2 message over MLLP. Look at its ``state`` and ``code``: it may not be accepted.

        Args:
            message: is sent unchanged.
            host: of the receiver.
            port: of the receiver.
            environment: of the receiver.
        """
        from dicomfab.model.values import environment as checked

        return self._ordering.messages.send(self._lab.actor, message, checked(environment), host, port)

    def procedures(
        self, search: str = "", *, accession_number: str = "", patient_id: str = "", is_open: bool | None = None
    ) -> tuple[RequestedProcedure, ...]:
        """Requested procedures with their steps, the newest first (100 at most).

        Args:
            search: words, each in name, ID, accession number, description or another identifier.
            accession_number: exactly.
            patient_id: exactly.
            is_open: whether a step of them is still on the worklist.
        """
        from dicomfab.model.procedure import ProcedureFilter

        wanted = ProcedureFilter(search, accession_number, patient_id, is_open)
        return self._ordering.schedule.page(self._lab.actor, wanted).procedures

    def show(self, number: int) -> ProcedureDetails:
        """A requested procedure: what happened to it, what was performed of it, the orders behind it."""
        return self._ordering.schedule.show(self._lab.actor, number)

    def worklist(self, environment: Environment | str, **wanted: Any) -> list[Dataset]:
        """What modalities are offered now, by its start (1000 at most).

        Args:
            environment: whose worklist.
            wanted: fields of :class:`dicomfab.storage.procedures.WorklistFilter`.
        """
        from dicomfab.model.values import environment as checked
        from dicomfab.storage.procedures import WorklistFilter

        filtered = WorklistFilter(checked(environment), **wanted)
        return self._ordering.schedule.worklist(self._lab.actor, filtered, limit=1000)[0]

    def check(self, accession_number: str, *, pacs: str) -> list[tuple[RequestedProcedure, list[LoopStep]]]:
        """Compare every step of the loop with the order, for each procedure that has the accession number.

        Args:
            accession_number: of the order.
            pacs: id or name of the server where the study should be.
        """
        lab = self._lab
        server = lab.application.pacs.resolve(lab.actor, pacs)
        return lab.application.loops.check(lab.actor, accession_number, server)


def _options(priority: int) -> Options:
    from dicomfab.services.jobs.service import IN_THE_BACKGROUND

    return replace(IN_THE_BACKGROUND, priority=priority)


def _is_over(ends: float | None) -> bool:
    return ends is not None and time.monotonic() >= ends
