"""C-MOVE between two servers of ours: registry, destination and source at fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.tls_settings import TlsServerSettings
from dicomfab.dimse.transport.faults import Fault, FaultKind
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied
from dicomfab.registry.fields import ALL_CAPABILITIES, Capability
from dicomfab.services.receiving import ReceivingService
from tests.doctor.cases import Case, healthy
from tests.doctor.move_world import (
    DESTINATION,
    SOURCE,
    TITLE,
    Breaking,
    broken,
    knowing,
    lab,
    refusing_to_select,
    selecting,
    setting,
    stopped,
    storing_nothing,
    with_config,
    with_entry,
    with_faults,
    with_handlers,
)
from tests.doctor.site import Site
from tests.peers.programs import free_port
from tests.unit.services.hospital import actor

NOBODYS = "2.25.4242"
ANSWER = "C-MOVE-RSP"


def without(*capabilities: Capability) -> dict[str, Any]:
    return {"capabilities": ALL_CAPABILITIES - set(capabilities)}


def answering(status: int, occurrence: int = 1) -> Breaking:
    """The source answers a C-MOVE so; the last of two responses, or the first."""
    return with_faults(SOURCE, Fault(FaultKind.STATUS, ANSWER, occurrence=occurrence, status=status))


def storing(status: int) -> Breaking:
    return with_handlers(DESTINATION, storing_nothing(status))


def nowhere(site: Site, _ports: object) -> int:
    return site.closed_port()


# ---------------------------------------------------------------------- with a study of the source's


def with_study(
    *breaking: Breaking, recipe: StudyRecipe | None = None, on: tuple[str, ...] = (SOURCE,), **options: Any
) -> Callable[[Site], Diagnosis]:
    """A C-MOVE of a study that servers hold."""

    def diagnosed(site: Site) -> Diagnosis:
        world = lab(site, *breaking)
        study = world.study(recipe, on=on) if recipe else world.study(on=on)
        return world.diagnosis(study=study, **options)

    return diagnosed


def refusing_one(status: int) -> Breaking:
    """The destination refuses the first instance of those it sees, and takes all others."""
    seen: list[str] = []

    def keeps(uid: str) -> bool:
        seen.append(uid)
        return uid != seen[0]

    return with_handlers(DESTINATION, storing_nothing(status, keeps))


# ---------------------------------------------------------------------- worlds that take more to make


def entry_leads_elsewhere(study: bool) -> Callable[[Site], Diagnosis]:
    """Test PACS 2 goes by the AE title of Prod PACS 2, and the source sends there."""
    namesake: tuple[Breaking, ...] = (
        with_config("test-pacs-2", ae_title=TITLE),
        with_entry("test-pacs-2", aec=TITLE),
        knowing(TITLE, lambda _site, ports: ports["test-pacs-2"]),
    )
    return with_study(*namesake) if study else broken(*namesake)


def nobody_we_know(site: Site) -> Diagnosis:
    """It goes to a server that is not in the registry."""
    world = lab(
        site,
        with_config("test-pacs-2", ae_title=TITLE),
        with_entry("test-pacs-2", aec=TITLE, is_active=False),
        knowing(TITLE, lambda _site, ports: ports["test-pacs-2"]),
    )
    return world.diagnosis()


def proven_by_our_listener(site: Site) -> Diagnosis:
    port = free_port()
    world = lab(site, knowing(TITLE, nowhere))
    world._knows["DICOMFAB"] = ("127.0.0.1", port)
    received = world.hospital.local
    folder = Path(site.folder)
    service = ReceivingService(received, world.registry, folder / "receiver.lock", host="127.0.0.1", port=port)
    diagnosis = world.diagnosis(tools=world.tools(receiving=service, forget=received.delete_study))
    assert received.storage().instances == 0
    return diagnosis


def called_without_tls(site: Site) -> Diagnosis:
    tls = TlsServerSettings(site.pki.server.certificate, site.pki.server.key)
    secured: tuple[Breaking, ...] = (
        with_config(DESTINATION, tls=tls),
        with_entry(DESTINATION, tls=True, tls_ca_file=str(site.pki.ca)),
    )
    return lab(site, *secured).diagnosis()


def silent(site: Site) -> Diagnosis:
    return lab(site, with_faults(SOURCE, Fault(FaultKind.SILENCE, ANSWER))).diagnosis(limit_s=3.0)


def silent_address(site: Site) -> Diagnosis:
    """The source waits for an address that does not answer."""
    return lab(site, knowing(TITLE, lambda here, _ports: here.black_hole())).diagnosis(limit_s=6.0)


def not_there(site: Site) -> Diagnosis:
    """What the study is made of is not for the destination; nothing is moved."""

    def refuse(*_: object) -> None:
        raise AccessDenied("the destination takes no synthetic data: nothing was sent.")

    world = lab(site)
    diagnosis = world.diagnosis(study=world.study(), tools=world.tools(check_move=refuse))
    assert world.hospital.archives[DESTINATION].storage().instances == 0
    return diagnosis


def over_in_between(site: Site) -> Diagnosis:
    """The time is over when both servers have been looked at."""
    titles: list[str] = []
    return lab(site).diagnosis(
        on_check=lambda check: titles.append(check.title),
        stopped=lambda: any(title.startswith("C-ECHO to") for title in titles),
    )


def removing(site: Site) -> Diagnosis:
    """Where a server lets us, nothing stays."""
    world = lab(site)
    archives = world.hospital.archives
    tools = world.tools(remove=lambda server, study: archives[server.id].delete_study(study) > 0)
    diagnosis = world.diagnosis(tools=tools)
    assert [archives[one].storage().instances for one in (SOURCE, DESTINATION)] == [0, 0]
    assert diagnosis.checks[-1].seen == "removed from Test PACS 1 and Prod PACS 2"
    return diagnosis


def not_twice(site: Site) -> Diagnosis:
    """The second run finds its instance beside that of the first."""
    world = lab(site)
    world.diagnosis()
    return world.diagnosis()


TWELVE = StudyRecipe((SeriesRecipe("text-card", 12),), seed=5, accession_number="TWELVE")
UNSURE = Verdict.CANNOT_TELL

CASES = [
    healthy("move: nothing wrong", broken()),
    healthy("move: nothing wrong, and nothing stays", removing),
    healthy("move: nothing wrong the second time", not_twice),
    healthy("move: a study, nothing wrong", with_study()),
    healthy("move: a study of twelve, nothing wrong", with_study(recipe=TWELVE)),
    healthy("move: under another name that the source knows", broken(
        setting(route="ARCHIVE"), with_config(DESTINATION, ae_title="ARCHIVE"), with_entry(DESTINATION, aec="ARCHIVE"),
        knowing("ARCHIVE", lambda _site, ports: ports[DESTINATION]),
    )),
    # ------------------------------------------------------------------ our registry
    Case("move: no route", "move-no-route", broken(setting(route=None))),
    Case("move: route in small letters", "move-title-differs-in-case", broken(setting(route="ProdPacs2"))),
    Case("move: route with another title", "move-title-wrong", broken(setting(route="ARCHIVE"))),
    Case("move: switched off", "move-switched-off", broken(with_entry(SOURCE, **without(Capability.MOVE)))),
    Case("move: no such study", "move-no-such-study", broken(study=NOBODYS)),
    # ------------------------------------------------------------------ destination
    Case("move: destination not known", "move-destination-unknown", broken(knowing(None, nowhere))),
    Case("move: destination down", "move-destination-down", broken(stopped(DESTINATION))),
    Case("move: source not let in", "move-source-not-let-in", broken(
        with_config(DESTINATION, known_calling_ae_titles=frozenset({"DICOMFAB"})))),
    Case("move: destination has another title", "ae-called", broken(
        with_config(DESTINATION, ae_title="RENAMED")), also=("move-failed",)),
    Case("move: destination full", "move-destination-full", broken(storing(0xA700))),
    Case("move: destination takes what it cannot understand", "move-destination-refuses-to-store",
         broken(storing(0xC001))),
    Case("move: destination forbids storing", "move-destination-forbids-storing", broken(storing(0x0124))),
    Case("move: destination aborts", "move-destination-breaks-off", broken(
        with_faults(DESTINATION, Fault(FaultKind.ABORT, "C-STORE-RSP")))),
    Case("move: destination hangs up", "move-destination-breaks-off", broken(
        with_faults(DESTINATION, Fault(FaultKind.DROP, "C-STORE-RSP")))),
    Case("move: destination keeps nothing", "move-not-kept", broken(storing(0x0000))),
    Case("move: destination keeps a part", "move-arrived-in-part", with_study(refusing_one(0x0000))),
    # ------------------------------------------------------------------ source
    Case("move: wrong port", "move-wrong-address", broken(knowing(TITLE, nowhere))),
    Case("move: wrong server", "move-wrong-address", broken(
        knowing(TITLE, lambda _site, ports: ports["test-pacs-2"]))),
    Case("move: wrong port, proven", "move-wrong-address-proven", proven_by_our_listener),
    Case("move: an address that does not answer", "move-silent-address", silent_address),
    Case("move: without TLS", "move-without-tls", called_without_tls),
    Case("move: went elsewhere", "move-went-elsewhere", entry_leads_elsewhere(study=False)),
    Case("move: a study went elsewhere", "move-may-have-gone-elsewhere", entry_leads_elsewhere(study=True)),
    Case("move: went to nobody we know", "move-went-to-nobody-we-know", nobody_we_know),
    Case("move: moves nothing", "move-nothing-matched", broken(with_handlers(SOURCE, selecting(lambda _all: ())))),
    Case("move: moves one of three", "move-fewer-than-listed", with_study(
        with_handlers(SOURCE, selecting(lambda held: held[:1])))),
    Case("move: source keeps nothing", "move-not-kept-by-source", broken(
        with_handlers(SOURCE, storing_nothing()))),
    Case("move: not allowed", "move-not-allowed", broken(with_handlers(SOURCE, refusing_to_select(0x0124)))),
    Case("move: operation not known", "move-unsupported", broken(answering(0x0211))),
    Case("move: matches not calculated", "move-matches-not-calculated", broken(
        with_handlers(SOURCE, refusing_to_select(0xA701)))),
    Case("move: level refused", "move-identifier-refused", broken(with_handlers(SOURCE, refusing_to_select(0xA900)))),
    Case("move: not processed", "move-not-processed", broken(with_handlers(SOURCE, refusing_to_select(0xC001)))),
    Case("move: source aborts", "move-broken-off", broken(with_faults(SOURCE, Fault(FaultKind.ABORT, ANSWER)))),
    Case("move: source hangs up", "move-broken-off", broken(with_faults(SOURCE, Fault(FaultKind.DROP, ANSWER)))),
    Case("move: source silent", "move-source-silent", silent),
    Case("move: arrived, and reported as failed", "move-answered-too-late", broken(answering(0xA702, occurrence=2))),
    # ------------------------------------------------------------------ what cannot be told
    Case("move: some refused", "move-some-failed", with_study(refusing_one(0x0110)), UNSURE),
    Case("move: processing failure", "move-failed", broken(with_handlers(SOURCE, refusing_to_select(0x0110))), UNSURE),
    Case("move: role may not", "move-not-tried-role", broken(actor=actor(Role.TEST_WRITE, Role.PROD_READ)), UNSURE),
    Case("move: production not confirmed", "move-not-tried-production", broken(confirm=False), UNSURE),
    Case("move: storing switched off", "move-nothing-to-move", broken(with_entry(SOURCE, aet_store="")), UNSURE),
    Case("move: no synthetic data", "move-not-allowed-for-what-it-is", broken(
        with_entry(DESTINATION, allow_synthetic=False)), UNSURE),
    Case("move: a study that may not go there", "move-not-allowed-for-what-it-is", not_there, UNSURE),
    Case("move: was there before", "move-was-there-before", with_study(on=(SOURCE, DESTINATION)), UNSURE),
    Case("move: destination not to be asked", "move-arrival-unseen", broken(
        with_entry(DESTINATION, **without(Capability.FIND))), UNSURE),
    Case("move: elsewhere not looked for", "move-not-there", broken(
        storing(0x0000), with_entry(DESTINATION, aet_store="")), UNSURE),
    Case("move: out of time", "move-out-of-time", over_in_between, UNSURE),
]  # fmt: skip
