"""Which method of which service writes which event, as data; and that no method that does something is forgotten."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import dicomfab.services
from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.diagnosis.checks import Outcome as CheckOutcome
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.services.audit_message import EVENTS
from dicomfab.services.doctor.move import MoveDoctor, Tools
from dicomfab.services.doctor.service import DoctorService
from dicomfab.services.importing import ImportService
from dicomfab.services.pacs import PacsService
from dicomfab.services.receiving import ReceivingService
from dicomfab.services.sweep import SweepService
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.fabricated import FabricatedStudies
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.sent import SentStudies
from tests.unit.services.hospital import ADMIN
from tests.unit.services.job_office import Office, cards
from tests.unit.services.test_copies import copies, fetched

#: Event ID (CID 400) of each method that does something: "Class.method ..." with what it writes.
WRITES = {
    "110100": "AuditService.started .stopped .running",
    "110101": "AuditService.page .show .export .verify .anchor",
    "110102 110104": "TransferService.send .move .get ReceivingService.listening VerifyService.verify",
    "110103": "PopulationService.create .resume StudyService.create .write_files .resume_files .show .derive_lossy"
    " ChangeService.make ReportService.report_of .add_documents"
    " OrderService.show ProcedureService.show MessageService.show",
    "110105": "StudyService.delete SweepService.delete ExpiringCopies.beat .sweep",
    "110106": "StudyService.export PatientService.export_csv PacsService.export_json SearchService.export"
    " MessageService.send .resend BackupService.take",
    "110107": "ImportService.take OrderService.add Intake.take .apply_kept .broken PerformedSteps.create .update"
    " AvailabilityNotices.take RestoreService.restore",
    "110103 110105 110106 110107": "DicomWebService.store",
    "110110": "PatientService.add .invent .edit .remove .put_back .import_csv MergingService.carry_out",
    "110112": "QueryService.search .studies .series .below .instances .identify SweepService.look DoctorService.server"
    " VerifyService.check SearchService.run .ask_again LoopService.check"
    " MergeCheckService.check ModalityService.items Worklist.worklist"
    " ProcedureService.worklist",
    "110112 110102 110104 110105": "MoveDoctor.diagnose",
    "110113": "PacsService.add .edit .remove .take_out .put_back .set_routes .import_json"
    " LabRegistryService.configure .correct MonitorService.change"
    " ScheduleService.add .pause .resume .remove .put_back .run .beat"
    " GroupRoleService.put .remove Providers.check"
    " AccountService.add .set_roles .rename .disable .enable .remove .set_password .change_password .confirm_totp"
    " .remove_totp .drop_own_totp ApiTokenService.create .revoke SetUpService.offer .make_first_admin"
    " SignInService.end_session .end_sessions AuditService.purge .retain .beat .rekey"
    " .deliver .end_delivery",
    "110114": "SignInService.sign_in .sign_out .begin_as .refuse ApiTokenService.by_token Elsewhere.saml_logout",
}
#: Why a method has no entry of its own.
EXCEPTIONS = {
    "a list of what is here, without the content of a study": "StudyService.page PatientService.page SearchService.page"
    " .rows .merged .held .messages .get ScheduleService.every .show MonitorService.board .show .checks"
    " .checks_since .events .recent PacsService.servers .overview .default .get .resolve .routes .route"
    " .favourites ScheduleService.need_a_worker ExpiringCopies.need_a_worker .said .expires_at"
    " SetUpService.is_needed MonitorService.job_counts Metrics.text DashboardService.holdings .activity"
    " OrderService.page .known_profiles .said_by MergingService.page RouteService.all .get"
    " ProcedureService.page .of_message MessageService.page .delivery",
    "finds what somebody means; what is done with it is recorded by itself": "StudyService.resolve_reference .brief"
    " OrderService.brief PatientService.resolve_reference .get .studies_of AccountService.named DoctorService.subject",
    "makes nothing yet: a recipe is filled in, a picture of what it would be": "PopulationService.load .resolve .plan"
    " StudyService.resolve_recipe"
    " .resolve_several .preview OrderService.read PatientService.next_patient_id .next_accession",
    "reads accounts, for those who manage them": "AccountService.every .find ApiTokenService.of .every"
    " SignInService.sessions GroupRoleService.every .traces",
    "asks about somebody, for those who manage them; nobody is signed in": "GroupRoleService.explain",
    "what comes of it is recorded by SignInService": "Elsewhere.begin .saml_answered .finish .oidc_answered .leave"
    " .saml_metadata Providers.get .present .directories",
    "a request that comes in by a session that was recorded": "SignInService.by_session .renewed",
    "C-ECHO: asks nothing and changes nothing; its result is kept beside the server": "PacsService.test .test_all",
    "a mark for one person alone": "PacsService.set_favourite",
    "tells before a change what it would be": "PacsService.changing_sides",
    "how long a copy stays; no study changes": "ExpiringCopies.is_to_look_at .fetching .viewed .keep",
    "a job, whose transfer is recorded": "ViewingService.fetch",
    "asks by items, fabricates by StudyService and sends by TransferService": "ModalityService.perform",
    "only an offer; it counts when its code has come": "AccountService.offer_totp",
    "the index is made from the files anew; no study changes": "StudyService.reindex",
    "part of a transfer, which is recorded as a whole": "ReceivingService.arrival",
    "what comes is recorded by Intake, Worklist, PerformedSteps and AvailabilityNotices": "RisService.serving",
    "N-GET, which the RIS does not offer": "PerformedSteps.get",
    "words for what could not be kept, or is no message: nothing happened": "Intake.failed .unframed",
    "asks by MoveDoctor, which records it": "RouteService.test",
    "part of a fabrication, which is recorded by itself": "OrderService.note_studies",
    "the log itself": "AuditService.record .message .now",
    "how far delivery is: an entry of it would be one more to deliver, each time": "AuditService"
    ".delivery .gauge .held_back",
    "reads a file that somebody names, and tells nothing of its content": "RestoreService.check",
    "only keeps or forgets results whose query was recorded": "SearchService.start .begin .forget .failure .targets",
}
#: The classes that the two lists are about: what touches a server, a local study, an account or the registry.
CLASSES = {word.partition(".")[0] for words in (*WRITES.values(), *EXCEPTIONS.values()) for word in words.split()} - {
    ""
}


def methods(listed: dict[str, str]) -> dict[str, str]:
    """Class.method -> what is said of it."""
    found: dict[str, str] = {}
    for said, words in listed.items():
        name = ""
        for word in words.split():
            name = word.partition(".")[0] or name
            full = f"{name}.{word.partition('.')[2]}"
            assert full not in found, f"{full} is listed twice"
            found[full] = said
    return found


def services() -> dict[str, type]:
    found = {}
    for module in pkgutil.walk_packages(dicomfab.services.__path__, "dicomfab.services."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(kind) and kind.__module__ == module.name:
                found[name] = kind
    return found


def is_recording(method: str, value: object) -> bool:
    """Whether a class is given where to record when it is made."""
    names = inspect.signature(value).parameters.keys() if method == "__init__" else set()  # type: ignore[arg-type]
    return bool({"record", "on_event"} & names)


def test_every_method_of_a_service_that_records_is_listed_once() -> None:
    writes, exceptions = methods(WRITES), methods(EXCEPTIONS)
    assert not writes.keys() & exceptions.keys()
    there = {
        f"{name}.{method}"
        for name, kind in services().items()
        if name in CLASSES
        for method, value in vars(kind).items()
        if inspect.isfunction(value) and not method.startswith("_")
    }
    assert sorted(there - writes.keys() - exceptions.keys()) == []
    assert sorted((writes.keys() | exceptions.keys()) - there) == []


#: Classes of which no method has an entry of its own, and why.
WITHOUT = {
    "JobService": "submits, shows and cancels jobs; what a job does is recorded by the service that does it",
    "CompareJobs": "as JobService",
    "QueryJobs": "as JobService",
    "VerifyJobs": "as JobService",
    "Worker": "does jobs; only that one is refused is an entry of its own",
    "ListQuery": "asks through QueryService",
    "ValidationService": "opens studies through StudyService",
    "RecipeService": "recipes are files of nobody's data",
    "SavedSearches": "questions, not answers",
    "MessageBuilder": "makes a text; the procedure that it is filled in from is shown by ProcedureService",
    "Outbox": "has no method that anybody calls; that a message leaves is recorded before it does",
    "Transfer": "part of TransferService",
    "Tools": "part of MoveDoctor",
    "StudyJobs": "lists jobs, as JobService",
    "LegacyImport": "carries out by PacsService, PatientService, GroupRoleService and AccountService",
    "Identifiers": "a protocol",
    "Once": "what records, and not what is recorded",
    "LocalCommitments": "part of ReceivingService: a server asks, nobody of ours; each request and verdict is an entry",
}


def test_no_service_that_is_asked_by_somebody_is_left_out() -> None:
    asked = {
        name
        for name, kind in services().items()
        if not name.startswith("_")
        for method, value in vars(kind).items()
        if inspect.isfunction(value)
        and (
            (not method.startswith("_") and "actor" in inspect.signature(value).parameters)
            or is_recording(method, value)
        )
    }
    assert sorted(asked - CLASSES - WITHOUT.keys()) == []
    assert not CLASSES & WITHOUT.keys()


def test_the_event_ids_are_those_of_the_messages() -> None:
    known = {event_id.value for event_id, _, _ in EVENTS.values()}
    assert {one for ids in WRITES for one in ids.split()} == known


class Log:
    """An audit log that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def __call__(self, *events: AuditEvent, within: object = None) -> None:
        self.events += events

    def taken(self) -> list[tuple[str, str]]:
        """Event ID and environment of what came since the last time."""
        told = [(EVENTS[one.kind][0].value, one.environment) for one in self.events]
        self.events.clear()
        return told


@pytest.fixture
def log() -> Log:
    return Log()


def test_looking_and_sweeping_are_recorded(office: Office, log: Log) -> None:
    ward = office.site.pacs("WARD")
    office.know(ward)
    study = office.site.make(cards(2))
    FabricatedStudies(office.database).note(study)
    office.run(office.send([study], ward))
    lab = lambda _server: office.site.archive("WARD")  # noqa: E731
    service = SweepService(SentStudies(office.database), office.site.local, find, lab, log)
    service.look(ADMIN, ward)
    assert log.taken() == [("110112", "test")]
    done = service.delete(ADMIN, ward)
    assert not done.remaining
    assert [event.study_uids for event in log.events if event.kind is EventKind.DELETION] == [(study,)]
    assert log.taken() == [("110112", "test"), ("110105", "test"), ("110112", "test")]


def test_a_copy_that_the_clock_deletes_is_recorded(office: Office, log: Log) -> None:
    study = fetched(office.site)
    expiring = copies(office.site, later_h=25, record=log)
    assert expiring.sweep() == [study]
    (event,) = log.events
    assert (event.kind, event.door, event.environment, event.study_uids) == (
        EventKind.DELETION,
        "job",
        "prod",
        (study,),
    )


def test_receiving_is_recorded_with_what_came(office: Office, log: Log, tmp_path: Path) -> None:
    ward = office.site.pacs("WARD")
    office.know(ward)
    study = office.site.make(cards(2))
    office.run(office.send([study], ward))
    office.site.local.delete_study(study)
    receiving = ReceivingService(
        office.site.local, lambda: office.registry, tmp_path / "lock", host="127.0.0.1", port=0, record=log
    )
    with receiving.listening(ADMIN, port=0) as port:
        from dicomfab.dimse.peer import Peer

        files = [instance.file for instance in office.site.archives["WARD"].instances(study)]
        assert all(one.accepted for one in store(Peer("127.0.0.1", port, "DICOMFAB", "WARD"), files))
    assert [event.kind for event in log.events] == [EventKind.TRANSFER_BEGUN, EventKind.TRANSFER_ENDED]
    last = log.events[-1]
    assert (last.door, last.outcome, sum(last.sop_classes.values())) == ("dicom", Outcome.SUCCESS, 2)
    assert last.sender is not None
    assert last.sender.ae_title == "WARD"


def test_an_import_is_recorded_study_by_study(office: Office, log: Log, tmp_path: Path) -> None:
    study = office.site.make(cards(2))
    office.site.studies.export(ADMIN, study, tmp_path / "out")
    office.site.local.delete_study(study)
    ImportService(office.site.local, FabricatedStudies(office.database), log).take(ADMIN, [tmp_path / "out"])
    assert [(event.kind, event.study_uids) for event in log.events] == [(EventKind.IMPORT, (study,))]


def test_the_doctor_is_recorded_asking_storing_moving_and_removing(office: Office, log: Log) -> None:
    one, two = office.site.pacs("ONE"), office.site.pacs("TWO")
    repository = RegistryRepository(office.database)
    repository.change(lambda registry: registry.add(one).add(two).set_routes("one", {"two": "TWO"}))
    DoctorService(PacsService(repository, echo), our_port=1, record=log).server(ADMIN, "one")
    assert log.taken() == [("110112", "test")]

    def remove(server: object, study: str) -> bool:
        office.site.archives[server.aec].delete_study(study)  # type: ignore[attr-defined]
        return True

    doctor = MoveDoctor(Tools(find, store, repository.load, remove, record=log))
    diagnosis = doctor.diagnose(ADMIN, one, two)
    assert all(check.outcome is not CheckOutcome.FAILED for check in diagnosis.checks)
    stored = [event for event in log.events if event.kind is EventKind.TRANSFER_ENDED and event.sender is None]
    moved = [event for event in log.events if event.kind is EventKind.TRANSFER_ENDED and event.sender is not None]
    removed = [event for event in log.events if event.kind is EventKind.DELETION]
    assert len(stored) == 1
    assert {event.study_uids for event in removed} == {stored[0].study_uids}
    assert stored[0].study_uids in {event.study_uids for event in moved}
    assert len(removed) == 2
    assert sum(event.kind is EventKind.QUERY for event in log.events) == 2
    assert {event.detail["operation"] for event in log.events} == {"doctor"}


def test_each_run_of_a_schedule_is_recorded(tmp_path: Path) -> None:
    from dicomfab.model.job import JobKind
    from tests.unit.services.test_audit_fail_closed import server

    application = Application(Settings(home=tmp_path / "home"))
    who = local_admin("owner", "cli")
    application.pacs.add(who, server("Ward", 104))
    kept = application.schedules.add(who, JobKind.GET, {"studies": ["1.2.3"], "source": "ward"}, cron="0 3 * * *")
    job = application.schedules.run(who, kept.id)
    due = application.schedules.schedules.find(kept.id)
    application.schedules._fire(due)
    application.pacs.remove(who, "ward")
    application.schedules._fire(application.schedules.schedules.find(kept.id))
    told = [entry.event for entry in application.audit._log.entries(AuditFilter(text="schedule"))]
    application.close()
    assert [event.detail["change"] for event in told] == ["added", "run out of turn", "run when it was due"] + [
        "run when it was due"
    ]
    assert told[1].detail["job"] == str(job.id)
    assert told[2].detail["job"] != told[1].detail["job"]
    assert (told[3].outcome, "job" in told[3].detail) == (Outcome.SERIOUS, False)


def test_looking_again_at_a_move_in_doubt_is_recorded(office: Office, log: Log) -> None:
    """A move that could not be verified is looked at again by the next attempt: that asks both ends."""
    from dicomfab.model.job import ItemState

    one, two = office.site.pacs("ONE"), office.site.pacs("TWO")
    office.know(one, two)
    study = office.site.make(cards(2))
    office.run(office.send([study], one))
    job = office.move([study], one, two)
    office.run(job)
    (item,) = office.items(job, ItemState.DONE)
    office.site.transfers.record = log
    executor = office.executors[next(kind for kind in office.executors if str(kind) == "move")]
    executor._look_again(_Run(office, job), item)  # type: ignore[union-attr]
    assert [(event.kind, event.receiver and event.receiver.ae_title) for event in log.events] == [
        (EventKind.QUERY, "ONE"),
        (EventKind.QUERY, "TWO"),
    ]


class _Run:
    """What looking again needs of a run."""

    actor = ADMIN

    def __init__(self, office: Office, job: int) -> None:
        self.job = office.ledger.find(job)

    def progress(self, _progress: object) -> None: ...

    def stopped(self) -> bool:
        return False

    def revise(self, outcomes: object) -> None:
        self.revised = outcomes
