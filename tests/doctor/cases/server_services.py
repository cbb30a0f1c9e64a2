"""One server: C-ECHO and C-FIND that go wrong after an association came about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.transport.faults import Fault, FaultKind
from dicomfab.model.query import QueryModel
from tests.doctor.cases import Case
from tests.doctor.site import SOON_S, Refusing, Site, matching

ECHO, FIND = "C-ECHO-RSP", "C-FIND-RSP"
QUICK = {"dimse_timeout_s": SOON_S}


def faulty(*faults: Fault, **settings: Any) -> Callable[[Site], Diagnosis]:
    return lambda site: site.diagnosis(site.pacs(*faults, **settings))


def status(at: str, code: int) -> Callable[[Site], Diagnosis]:
    return faulty(Fault(FaultKind.STATUS, at, occurrence=0, status=code))


def refusing(code: int, refuses: Callable[[QueryModel, str], bool]) -> Callable[[Site], Diagnosis]:
    return lambda site: site.diagnosis(site.pacs(handlers=Refusing(code, refuses)))


def silent_at_everything(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(Fault(FaultKind.SILENCE, ECHO), Fault(FaultKind.SILENCE, FIND), **QUICK))


CASES = [
    Case("C-ECHO 0122", "echo-not-supported", status(ECHO, 0x0122)),
    Case("C-ECHO 0124", "echo-not-allowed", status(ECHO, 0x0124)),
    Case("C-ECHO 0110", "echo-refused", status(ECHO, 0x0110)),
    Case("no answer to anything", "echo-no-answer", silent_at_everything, also=()),
    Case("no answer to C-ECHO alone", "echo-alone-no-answer", faulty(Fault(FaultKind.SILENCE, ECHO), **QUICK)),
    Case("abort at C-ECHO", "echo-broken-off", faulty(Fault(FaultKind.ABORT, ECHO))),
    Case("drop at C-ECHO", "echo-broken-off", faulty(Fault(FaultKind.DROP, ECHO))),
    Case("malformed PDU at C-ECHO", "echo-garbled", faulty(Fault(FaultKind.MALFORMED, ECHO))),
    Case("half an answer to C-ECHO", "echo-garbled", faulty(Fault(FaultKind.HALF, ECHO), **QUICK)),
    Case("C-FIND 0122", "find-not-supported", status(FIND, 0x0122)),
    Case("C-FIND 0124", "find-not-allowed", status(FIND, 0x0124)),
    Case("C-FIND A700", "find-out-of-resources", status(FIND, 0xA700)),
    Case("C-FIND A900", "find-identifier", status(FIND, 0xA900)),
    Case("C-FIND C000", "find-unable", status(FIND, 0xC000)),
    Case("C-FIND C001", "find-unable", status(FIND, 0xC001)),
    Case("C-FIND 0999", "find-unknown", status(FIND, 0x0999), Verdict.CANNOT_TELL),
    Case("no answer to C-FIND", "find-no-answer", faulty(Fault(FaultKind.SILENCE, FIND), **QUICK)),
    Case("abort at C-FIND", "find-broken-off", faulty(Fault(FaultKind.ABORT, FIND))),
    Case("drop at C-FIND", "find-broken-off", faulty(Fault(FaultKind.DROP, FIND))),
    Case("malformed PDU at C-FIND", "find-garbled", faulty(Fault(FaultKind.MALFORMED, FIND))),
    Case("wrong context at C-FIND", "find-garbled", faulty(Fault(FaultKind.WRONG_CONTEXT, FIND))),
    Case(
        "patient root refused",
        "find-patient-root",
        refusing(0xA900, lambda model, _level: model is QueryModel.PATIENT_ROOT),
    ),
    Case(
        "patient level refused",
        "find-patient-root",
        refusing(0xC000, lambda _model, level: level == "PATIENT"),
    ),
    Case(
        "series and instances refused", "find-levels", refusing(0xA900, lambda _m, level: level in ("SERIES", "IMAGE"))
    ),
    Case("instances refused", "find-levels", refusing(0xC000, lambda _model, level: level == "IMAGE")),
    Case(
        "study root refused",
        "find-study-root",
        refusing(0x0122, lambda model, _level: model is QueryModel.STUDY_ROOT),
    ),
    Case(
        "ignores keys",
        "find-ignores-keys",
        lambda site: site.diagnosis(site.pacs(handlers=matching("1.2.3", "1.2.4"))),
    ),
    Case("slow C-ECHO", "slow", faulty(Fault(FaultKind.DELAY, ECHO, seconds=1.1))),
    Case("slow to take associations", "slow", faulty(Fault(FaultKind.DELAY, "A-ASSOCIATE-AC", seconds=1.1))),
]
