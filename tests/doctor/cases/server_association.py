"""One server: associations rejected, and services that are not on offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.sop_classes import FIND, GET, MOVE, VERIFICATION, is_storage
from dicomfab.dimse.transport.faults import Fault, FaultKind
from dicomfab.model.query import QueryModel
from dicomfab.registry.server import PacsServer
from dicomfab.ul import AssociateRJ
from dicomfab.ul.pdu import encode_pdu
from tests.doctor.cases import Case, healthy
from tests.doctor.site import Site, answering, closing, in_turn, offering
from tests.unit.dimse.memory_pacs import MemoryPacs

KNOWN = {"known_calling_ae_titles": frozenset({"KNOWN"})}


def rejecting(result: int, source: int, reason: int, **settings: Any) -> Callable[[Site], Diagnosis]:
    """Every association is rejected so."""
    fault = Fault(FaultKind.REJECT, "A-ASSOCIATE-AC", result=result, source=source, reason=reason)
    return lambda site: site.diagnosis(site.pacs(fault, **settings))


def rejecting_at_first(result: int, source: int, reason: int) -> Callable[[Site], Diagnosis]:
    """The first association is rejected so, and no further one."""
    rejected = answering(encode_pdu(AssociateRJ(result, source, reason)), closing)
    return lambda site: site.diagnosis(site.raw(in_turn(rejected, offering(accept_all))))


def another_entry(site: Site) -> PacsServer:
    return site.pacs(name="right")


def called_by_the_wrong_title(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(aec="ARCHIVE"))


def called_by_the_wrong_title_beside_the_right_one(site: Site) -> Diagnosis:
    right = another_entry(site)
    return site.diagnosis(site.entry(right.port, aec="ARCHIVE"), right)


def called_by_the_wrong_title_beside_a_wrong_one(site: Site) -> Diagnosis:
    wrong = site.pacs(name="other", aec="OTHER")
    return site.diagnosis(site.entry(wrong.port, aec="ARCHIVE"), wrong)


def called_by_our_own_title(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(aec="DICOMFAB"))


def full(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(config={"max_associations": 0}))


def silent_at_the_end(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(Fault(FaultKind.SILENCE, "A-RELEASE-RP"), association_timeout_s=1.1))


# ---------------------------------------------------------------------- contexts


def accept_all(_uid: str) -> int:
    return 0


def without(*uids: str, result: int = 3) -> Callable[[Site], Diagnosis]:
    """A server that refuses these SOP classes."""
    return lambda site: site.diagnosis(site.raw(offering(lambda uid: result if uid in uids else 0)))


def without_storage(site: Site) -> Diagnosis:
    return site.diagnosis(site.raw(offering(lambda uid: 3 if is_storage(uid) else 0)))


def nothing(result: int) -> Callable[[Site], Diagnosis]:
    return lambda site: site.diagnosis(site.raw(offering(lambda _uid: result)))


def strange_syntaxes(site: Site) -> Diagnosis:
    """Accepts everything in a transfer syntax that was not proposed."""
    return site.diagnosis(site.raw(offering(accept_all, lambda _uid: "1.2.840.10008.1.2.4.50")))


def only_asked_for(site: Site) -> Diagnosis:
    """A server without C-GET, whose entry says so."""
    refusing = offering(lambda uid: 3 if uid in GET.values() else 0)
    return site.diagnosis(site.raw(refusing, capabilities=["echo", "store", "find", "move"]))


def study_root_alone(site: Site) -> Diagnosis:
    patient = {FIND[QueryModel.PATIENT_ROOT], MOVE[QueryModel.PATIENT_ROOT], GET[QueryModel.PATIENT_ROOT]}
    return site.diagnosis(site.raw(offering(lambda uid: 3 if uid in patient else 0)))


def no_capability(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(capabilities=[]))


CASES = [
    Case("calling AE title unknown", "ae-calling", lambda site: site.diagnosis(site.pacs(config=KNOWN))),
    Case("calling AE title unknown for now", "ae-calling", rejecting(2, 1, 3)),
    Case(
        "one of our AE titles unknown",
        "ae-calling-one-of-ours",
        lambda site: site.diagnosis(site.pacs(config=KNOWN, aet_find="KNOWN")),
    ),
    Case(
        "AE title for finding unknown",
        "ae-calling-one-of-ours",
        lambda site: site.diagnosis(site.pacs(config=KNOWN, aet_echo="KNOWN", aet_store="KNOWN")),
    ),
    Case("called AE title wrong", "ae-called", called_by_the_wrong_title),
    Case(
        "called AE title of another entry is right",
        "ae-called-another-entry",
        called_by_the_wrong_title_beside_the_right_one,
    ),
    Case(
        "called AE title of another entry is wrong as well", "ae-called", called_by_the_wrong_title_beside_a_wrong_one
    ),
    Case("called by our own AE title", "ae-called-is-ours", called_by_our_own_title),
    Case("1/1/1", "rejected-no-reason", rejecting(1, 1, 1)),
    Case("1/1/2", "rejected-application-context", rejecting(1, 1, 2)),
    Case("2/1/2", "rejected-limit-of-an-ae-title", rejecting(2, 1, 2)),
    Case("1/2/1", "rejected-by-a-router", rejecting(1, 2, 1)),
    Case("2/2/1", "rejected-by-a-router", rejecting(2, 2, 1)),
    Case("1/2/2", "rejected-protocol-version", rejecting(1, 2, 2)),
    Case("2/3/1 once", "rejected-at-first", rejecting_at_first(2, 3, 1)),
    Case("2/3/2 once", "rejected-at-first", rejecting_at_first(2, 3, 2)),
    Case("2/3/1 again and again", "rejected-congestion", rejecting(2, 3, 1)),
    Case("as many associations as it allows", "rejected-limit", full),
    Case("1/3/7", "rejected-unknown", rejecting(1, 3, 7), Verdict.CANNOT_TELL),
    Case("no answer to the release", "release-no-answer", silent_at_the_end),
    Case("nothing on offer", "context-none", nothing(3)),
    Case("everything refused by the user", "context-none", nothing(1)),
    Case("no transfer syntax in common", "context-syntaxes", nothing(4)),
    Case("a transfer syntax that was not proposed", "context-syntaxes", strange_syntaxes),
    Case("no C-ECHO", "context-echo", without(VERIFICATION)),
    Case("no C-FIND", "context-find", without(*FIND.values())),
    Case("C-FIND refused by the user", "context-find", without(*FIND.values(), result=1)),
    Case("C-FIND in the patient root only", "context-find-patient-root", without(FIND[QueryModel.STUDY_ROOT])),
    Case("no storage", "context-store", without_storage),
    Case("no C-MOVE", "context-move", without(*MOVE.values())),
    Case("no C-GET", "context-get", without(*GET.values())),
    healthy("no C-GET, and the entry says so", only_asked_for),
    healthy("study root only", study_root_alone),
    healthy("nothing may be asked for", no_capability),
    healthy(
        "several AE titles of ours",
        lambda site: site.diagnosis(
            site.pacs(handlers=MemoryPacs(), aet_echo="ECHO", aet_find="FIND", aet_store="STORE", aet_move="MOVE")
        ),
    ),
]
