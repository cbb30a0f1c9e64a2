"""Send, move and get between real servers: what is reported is what is there."""

from __future__ import annotations

import itertools
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from dicomfab.dimse.handlers import Refusal
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, Conflict, NotFound, StatusFailure
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.services.progress import Progress
from dicomfab.services.transfer import TransferReport, Watch
from dicomfab.services.verification import VerdictKind
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.services.hospital import ADMIN, Hospital, actor

NO_WAIT = Watch(verify_wait_s=0.0)
MOVE_MODEL = "1.2.840.10008.5.1.4.1.2.2.2"
FIND_MODEL = "1.2.840.10008.5.1.4.1.2.2.1"


def send(site: Hospital, study: str, to: Any, **options: Any) -> TransferReport:
    return site.transfers.send(ADMIN, study, to, **{"watch": NO_WAIT, **options})


def test_send_is_verified_at_the_destination(site: Hospital) -> None:
    pacs, study = site.pacs("ONE"), site.make()
    seen: list[Progress] = []
    report = send(site, study, pacs, watch=Watch(seen.append))
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert (report.instances, report.accepted, report.resent, report.failed) == (3, 3, 0, ())
    assert (report.verdict.before, report.verdict.arrived) == (0, 3)
    assert site.held("ONE", study) == site.held("local", study)
    assert [p.done for p in seen if p.stage == "sending"] == [0, 1, 2, 3]
    assert report.size_bytes == sum(i.size_bytes for i in site.local.instances(study))


def test_sending_again_is_verified_and_says_that_nothing_is_new(site: Hospital) -> None:
    pacs, study = site.pacs("ONE"), site.make()
    send(site, study, pacs)
    report = send(site, study, pacs)
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert (report.verdict.before, report.verdict.arrived) == (3, 0)


def test_a_peer_that_answers_success_and_keeps_nothing_is_a_mismatch(site: Hospital) -> None:
    study = site.make()
    report = send(site, study, site.server("LIAR", MemoryPacs()))
    assert report.accepted == 3
    assert report.verdict.kind is VerdictKind.MISMATCH
    assert set(report.verdict.missing) == site.held("local", study)


def test_a_peer_that_cannot_be_asked_leaves_it_unverified(site: Hospital) -> None:
    class Mute(MemoryPacs):
        def find(self, *_args: Any) -> Any:
            raise Refusal(0xA700, "no database")

    report = send(site, site.make(), site.server("MUTE", Mute()))
    assert report.verdict.kind is VerdictKind.UNVERIFIED
    assert "A700" in report.verdict.why
    assert report.verdict.present is None


def test_a_server_without_find_leaves_it_unverified(site: Hospital) -> None:
    report = send(site, site.make(), site.pacs("ONE", capabilities=["echo", "store"]))
    assert report.verdict.kind is VerdictKind.UNVERIFIED


def test_refused_instances_are_named_with_the_reason(site: Hospital) -> None:
    study, memory = site.make(), MemoryPacs()
    bad = min(site.held("local", study))
    memory.refuse_uids[bad] = Refusal(0xA700, "disk full")
    report = send(site, study, site.server("FULL", memory))
    assert (report.accepted, len(report.failed)) == (2, 1)
    assert report.failed[0].sop_instance_uid == bad
    assert "disk full" in report.failed[0].reason
    assert report.verdict.kind is VerdictKind.MISMATCH


def test_a_refused_instance_is_no_success_because_another_one_stands_under_its_uid(site: Hospital) -> None:
    study, pacs = site.make(), site.pacs("ONE")
    send(site, study, pacs)

    class Refusing(PacsHandlers):
        def begin_store(self, *_arguments: Any) -> Any:
            raise Refusal(0x0111, "exists with other content")

    full = site.server("FULL", Refusing(site.archives["ONE"], "FULL", Environment.TEST, {}))
    report = send(site, study, full)
    assert report.accepted == 0
    assert report.verdict.present == report.verdict.before == 3
    assert report.verdict.kind is VerdictKind.MISMATCH
    site.destinations["FULL"] = ("127.0.0.1", full.port)
    moved = site.transfers.move(ADMIN, study, pacs, full, "FULL", watch=NO_WAIT)
    assert moved.suboperations is not None
    assert moved.suboperations.failed == 3
    assert moved.verdict.kind is VerdictKind.MISMATCH


def test_get_says_when_the_local_store_kept_other_content(site: Hospital) -> None:
    study, pacs = site.make(), site.pacs("ONE")
    send(site, study, pacs)
    site.local.delete_study(study)
    changed = pydicom.dcmread(site.archives["ONE"].instances(study)[0].path)
    changed.PatientComments = "changed locally"
    uids = (changed.SOPClassUID, changed.SOPInstanceUID, changed.file_meta.TransferSyntaxUID)
    incoming = site.local.begin(InstanceIdentity(*map(str, uids)))
    data = pydicom.filebase.DicomBytesIO()
    data.is_little_endian, data.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(data, changed)
    incoming.write(data.getvalue())
    incoming.commit(environment=Environment.TEST)
    report = site.transfers.get(ADMIN, study, pacs, watch=NO_WAIT)
    assert report.verdict.kind is VerdictKind.MISMATCH
    assert [failed.sop_instance_uid for failed in report.failed] == [str(changed.SOPInstanceUID)]


def test_cancel_stops_before_the_next_instance_and_the_report_says_so(site: Hospital) -> None:
    pacs, study = site.pacs("ONE"), site.make()
    count = itertools.count()
    report = send(site, study, pacs, watch=Watch(cancelled=lambda: next(count) >= 1, verify_wait_s=0))
    assert report.cancelled
    assert report.accepted == len(site.held("ONE", study)) == 1
    assert report.verdict.kind is VerdictKind.MISMATCH


def test_a_peer_that_breaks_off_half_way_leaves_a_report_of_what_was_done(site: Hospital) -> None:
    received: list[str] = []

    def keep(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        if len(received) > 1:
            event.assoc.abort()
        return 0x0000

    ae = AE(ae_title="SHAKY")
    ae.add_supported_context("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.1")
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    try:
        report = send(site, site.make(), site.entry("SHAKY", server.server_address[1]))
    finally:
        server.shutdown()
    assert report.error is not None
    assert report.error.heading == "Association aborted"
    assert report.accepted == 1
    assert not report.cancelled
    assert report.verdict.kind is not VerdictKind.VERIFIED


def test_production_wants_an_explicit_yes(site: Hospital) -> None:
    pacs, study = site.pacs("LIVE", "prod"), site.make()
    with pytest.raises(ConfirmationRequired):
        send(site, study, pacs)
    assert not site.archives["LIVE"].has_study(study)
    assert send(site, study, pacs, confirm_production=True).verdict.kind is VerdictKind.VERIFIED


def test_a_blank_store_ae_title_disables_sending(site: Hospital) -> None:
    pacs, study = site.pacs("ONE", aet_store=""), site.make()
    with pytest.raises(Conflict, match="C-STORE is disabled"):
        send(site, study, pacs)
    assert not site.archives["ONE"].has_study(study)


def test_an_unknown_study_is_not_found(site: Hospital) -> None:
    with pytest.raises(NotFound):
        send(site, "1.2.3", site.pacs("ONE"))


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("environment", ["test", "prod"])
def test_who_may_send(site: Hospital, role: Role, environment: str) -> None:
    pacs, study = site.pacs("ONE", environment), site.make()
    # The local study came from test: taking it out needs a role that may read there.
    allowed = role is Role.ADMIN or (environment == "test" and role is Role.TEST_WRITE)
    arguments = {"confirm_production": True, "watch": NO_WAIT}
    if allowed:
        assert site.transfers.send(actor(role), study, pacs, **arguments).verdict.kind is VerdictKind.VERIFIED
    else:
        with pytest.raises(AccessDenied):
            site.transfers.send(actor(role), study, pacs, **arguments)
        assert not site.archives["ONE"].has_study(study)


def test_move_is_verified_at_the_destination(site: Hospital) -> None:
    one, two, study = site.pacs("ONE"), site.pacs("TWO"), site.make()
    send(site, study, one)
    seen: list[Progress] = []
    report = site.transfers.move(ADMIN, study, one, two, "TWO", watch=Watch(seen.append))
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert (report.instances, report.accepted, report.verdict.arrived) == (3, 3, 3)
    assert site.held("TWO", study) == site.held("local", study)
    counters = [p.suboperations for p in seen if p.suboperations]
    assert [c.completed for c in counters] == [1, 2, 3, 3]
    assert counters[0].remaining == 2


def test_move_to_a_name_that_the_source_does_not_know(site: Hospital) -> None:
    one, two, study = site.pacs("ONE"), site.pacs("TWO"), site.make()
    send(site, study, one)
    with pytest.raises(StatusFailure) as caught:
        site.transfers.move(ADMIN, study, one, two, "OTHER", watch=NO_WAIT)
    assert caught.value.status == 0xA801
    assert caught.value.heading == "C-MOVE failed"
    assert not site.archives["TWO"].has_study(study)


def test_move_of_a_study_that_the_source_does_not_hold(site: Hospital) -> None:
    with pytest.raises(NotFound, match="holds no study"):
        site.transfers.move(ADMIN, "1.2.3", site.pacs("ONE"), site.pacs("TWO"), "TWO", watch=NO_WAIT)


def test_a_source_that_reports_success_without_moving_is_a_mismatch(site: Hospital) -> None:
    """A foreign SCP that answers 0000 without counters and sends nothing."""
    study, two = site.make(), site.pacs("TWO")
    ae = AE(ae_title="OPAQUE")
    ae.add_supported_context(MOVE_MODEL)
    ae.add_supported_context(FIND_MODEL)
    level_answers = {"SERIES": {"SeriesInstanceUID": "1.2.9"}, "IMAGE": {"SOPInstanceUID": "1.2.9.1"}}

    def answer_find(event: evt.Event) -> Any:
        match = Dataset()
        match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        for keyword, value in level_answers[match.QueryRetrieveLevel].items():
            setattr(match, keyword, value)
        yield 0xFF00, match

    def answer_move(event: evt.Event) -> Any:
        yield ("127.0.0.1", two.port, {"contexts": ae.supported_contexts[:1]})
        yield 0

    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_FIND, answer_find), (evt.EVT_C_MOVE, answer_move)],
    )
    try:
        opaque = site.entry("OPAQUE", server.server_address[1])
        report = site.transfers.move(ADMIN, study, opaque, two, "TWO", watch=NO_WAIT)
    finally:
        server.shutdown()
    assert report.verdict.kind is VerdictKind.MISMATCH
    assert report.verdict.missing == ("1.2.9.1",)


@pytest.mark.parametrize("roles", [(r,) for r in Role] + [(Role.TEST_WRITE, Role.PROD_WRITE)])
def test_move_needs_write_on_both_ends(site: Hospital, roles: tuple[Role, ...]) -> None:
    one, live, study = site.pacs("ONE"), site.pacs("LIVE", "prod"), site.make()
    send(site, study, one)
    arguments = {"confirm_production": True, "watch": NO_WAIT}
    if Role.ADMIN in roles or len(roles) == 2:
        report = site.transfers.move(actor(*roles), study, one, live, "LIVE", **arguments)
        assert report.verdict.kind is VerdictKind.VERIFIED
    else:
        with pytest.raises(AccessDenied):
            site.transfers.move(actor(*roles), study, one, live, "LIVE", **arguments)
        assert not site.archives["LIVE"].has_study(study)


def test_get_is_verified_and_keeps_the_environment(site: Hospital) -> None:
    live, study = site.pacs("LIVE", "prod"), site.make()
    send(site, study, live, confirm_production=True)
    site.local.delete_study(study)
    report = site.transfers.get(ADMIN, study, live, watch=NO_WAIT)
    assert report.verdict.kind is VerdictKind.VERIFIED
    assert (report.instances, report.accepted) == (3, 3)
    assert site.held("local", study) == site.held("LIVE", study)
    assert site.studies.show(ADMIN, study).summary.environment == "prod"
    with pytest.raises(AccessDenied):
        site.studies.show(actor(Role.TEST_WRITE), study)
    assert site.studies.page(actor(Role.TEST_WRITE)).total == 0


def test_production_data_does_not_leave_by_a_test_role(site: Hospital) -> None:
    live, one, study = site.pacs("LIVE", "prod"), site.pacs("ONE"), site.make()
    send(site, study, live, confirm_production=True)
    site.local.delete_study(study)
    site.transfers.get(ADMIN, study, live, watch=NO_WAIT)
    with pytest.raises(AccessDenied):
        site.transfers.send(actor(Role.TEST_WRITE), study, one, watch=NO_WAIT)
    assert not site.archives["ONE"].has_study(study)
