"""Nothing synthetic to production and nothing real into test, unless the server's entry says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.fabricate.iods.common import PRIVATE_CREATOR
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, NotFound
from dicomfab.model.job import JobState
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer, changed
from dicomfab.services.change_request import requested
from dicomfab.services.changes import ChangeService
from dicomfab.services.importing import ImportService
from dicomfab.services.jobs.retrieve import move_job
from dicomfab.services.marks import marks_at_start, marks_of
from dicomfab.services.provenance import Origin, Provenance
from dicomfab.testpacs.pacs import PacsHandlers
from tests.peers import programs
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, actor, hospital
from tests.unit.services.job_office import Office, cards, picky
from tests.unit.services.test_derivation import add

REAL = "1.2.840.99.7"


def real(site: Hospital, study: str = REAL) -> str:
    add(site, study, data_set(picture(), bits=8), Environment.PROD)
    return study


def put(site: Hospital, server: str, study: str) -> None:
    """A study of the local store on a server, by no service."""
    for one in site.local.instances(study):
        with site.archives[server].begin(one.identity) as incoming:
            incoming.write(one.path.read_bytes()[one.dataset_offset :])
            incoming.commit(environment=Environment.TEST)


@pytest.mark.parametrize("is_known", [True, False], ids=["by the ledger", "by the mark"])
def test_synthetic_does_not_go_to_production_unless_its_entry_allows_it(site: Hospital, is_known: bool) -> None:
    prod = site.pacs("PROD", "prod", allow_synthetic=None)
    study = site.make()
    if not is_known:
        site.known.clear()
    with pytest.raises(AccessDenied) as caught:
        site.transfers.send(ADMIN, study, prod, confirm_production=True)
    assert "allow_synthetic is off" in caught.value.what
    assert "administrator" in caught.value.remedy
    assert "dicomfab pacs edit prod --allow-synthetic" in caught.value.remedy
    assert not site.held("PROD", study)
    allowed = dataclasses.replace(prod, allow_synthetic=True)
    assert site.transfers.send(ADMIN, study, allowed, confirm_production=True).accepted == 3


def test_real_does_not_go_into_test_unless_its_entry_allows_it(site: Hospital) -> None:
    test, study = site.pacs("TEST"), real(site)
    with pytest.raises(AccessDenied) as caught:
        site.transfers.send(ADMIN, study, test)
    assert "allow_real is off" in caught.value.what
    assert "dicomfab pacs edit test --allow-real" in caught.value.remedy
    assert not site.held("TEST", study)
    assert site.transfers.send(ADMIN, study, dataclasses.replace(test, allow_real=True)).accepted == 1


def test_what_was_fabricated_here_is_known_without_its_file_being_read(site: Hospital) -> None:
    study = site.make()
    for one in site.local.instances(study):
        assert one.made_here
        one.path.write_bytes(b"")
    assert site.provenance.of_local(study) is Origin.SYNTHETIC


def test_what_came_from_elsewhere_is_judged_by_its_file(site: Hospital) -> None:
    site.pacs("TEST")
    study = site.make()
    put(site, "TEST", study)
    (first, *_) = site.archives["TEST"].instances(study)
    assert not first.made_here


def test_a_study_with_an_instance_that_nothing_proves_is_both(site: Hospital) -> None:
    study = site.make()
    add(site, study, data_set(picture(), bits=8))
    assert site.provenance.of_local(study) is Origin.MIXED
    for server in (site.pacs("TEST"), site.pacs("PROD", "prod", allow_synthetic=None)):
        with pytest.raises(AccessDenied, match="mixed"):
            site.transfers.send(ADMIN, study, server, confirm_production=True)
        assert not site.held(server.aec, study)


def test_a_mark_that_proves_nothing_keeps_out_of_both(site: Hospital) -> None:
    ds = data_set(picture(), bits=8)
    ds.SyntheticData = "YES"  # anybody can write that
    add(site, REAL, ds)
    assert site.provenance.of_local(REAL) is Origin.MIXED


def test_the_mark_is_found_without_reading_on(site: Hospital) -> None:
    for one in site.local.instances(site.make()):
        assert marks_at_start(one.file) == marks_of(one.file)
        assert marks_at_start(one.file).is_proven


@pytest.mark.parametrize(("environment", "setting"), [("test", "allow_real"), ("prod", "allow_synthetic")])
def test_a_move_is_judged_before_anything_is_sent(site: Hospital, environment: str, setting: str) -> None:
    source = site.pacs("SOURCE")
    target = site.pacs("TARGET", environment, **{"allow_synthetic": None, setting: False})
    study = real(site) if setting == "allow_real" else site.make()
    put(site, "SOURCE", study)
    if setting == "allow_real":
        site.local.delete_study(study)
    with pytest.raises(AccessDenied, match=f"{setting} is off"):
        site.transfers.move(ADMIN, study, source, target, "TARGET", confirm_production=True)
    assert not site.held("TARGET", study)
    allowed = dataclasses.replace(target, **{setting: True})
    assert site.transfers.move(ADMIN, study, source, allowed, "TARGET", confirm_production=True).accepted


def test_what_nobody_knows_counts_as_real(site: Hospital) -> None:
    source, target, study = site.pacs("SOURCE"), site.pacs("TARGET"), site.make()
    put(site, "SOURCE", study)
    site.local.delete_study(study)
    assert site.transfers.move(ADMIN, study, source, target, "TARGET").accepted == 3
    site.archives["TARGET"].delete_study(study)
    site.known.clear()
    with pytest.raises(AccessDenied, match="allow_real is off"):
        site.transfers.move(ADMIN, study, source, target, "TARGET")
    with pytest.raises(NotFound):
        site.transfers.move(ADMIN, "1.2.3.999", source, target, "TARGET")


class _Telling(PacsHandlers):
    """Answers queries for instances with their marks, as some servers do."""

    def find(self, requestor: Any, model: Any, identifier: Dataset) -> Iterator[Dataset]:
        held = {one.identity.sop_instance_uid: one for one in self._archive.instances(identifier.StudyInstanceUID)}
        for match in super().find(requestor, model, identifier):
            if identifier.QueryRetrieveLevel == "IMAGE":
                ds = pydicom.dcmread(held[match.SOPInstanceUID].path, stop_before_pixels=True)
                for tag in (0x0008001C, 0x00990010, 0x00991002, 0x00991004):
                    if tag in ds and tag in identifier:
                        match[tag] = ds[tag]
            yield match


def test_a_server_may_tell_the_mark(site: Hospital) -> None:
    handlers = _Telling(site.archive("TELLS"), "TELLS", Environment.TEST, {})
    server, study = site.server("TELLS", handlers), site.make()
    assert PRIVATE_CREATOR == "DICOM FABRICATOR"
    put(site, "TELLS", study)
    site.local.delete_study(study)
    site.known.clear()
    assert site.provenance.at(server, study) is Origin.SYNTHETIC


@pytest.mark.parametrize("defects", [("odd-length",), ("odd-length", "bad-time"), ()])
def test_a_move_to_production_asks_the_source_for_declared_defects(
    site: Hospital, tmp_path: Path, defects: tuple[str, ...]
) -> None:
    handlers = _Telling(site.archive("TELLS"), "TELLS", Environment.TEST, {})
    handlers._destinations = site.destinations
    source = site.server("TELLS", handlers)
    recipe = dataclasses.replace(CARDS, defects=defects)
    study = site.studies.resolve_recipe(ADMIN, recipe)
    site.studies.write_files(ADMIN, study, tmp_path / "out")
    uid = study.study_instance_uid
    ImportService(site.archives["TELLS"], lambda _study: False).take(ADMIN, [tmp_path / "out"], with_defects=True)
    site.known.clear()  # another installation made it
    for number, (synthetic, is_real) in enumerate([(True, True), (True, False)]):
        prod = site.pacs(f"PROD{number}", "prod", allow_synthetic=synthetic, allow_real=is_real)
        if not defects:
            moved = site.transfers.move(ADMIN, uid, source, prod, prod.aec, confirm_production=True)
            assert moved.accepted == 3
            continue
        with pytest.raises(AccessDenied, match="declared defect"):
            site.transfers.move(ADMIN, uid, source, prod, prod.aec, confirm_production=True)
        assert not site.held(prod.aec, uid)
        site.provenance.is_in_lab = lambda server, prod=prod: server is prod
        assert site.transfers.move(ADMIN, uid, source, prod, prod.aec, confirm_production=True).accepted == 3
    test = site.pacs("TEST")
    assert site.transfers.move(ADMIN, uid, source, test, "TEST").accepted == 3


def test_a_source_that_cannot_tell_of_defects_stops_nothing_else(site: Hospital) -> None:
    source, study = site.pacs("SOURCE"), site.make()
    prod = site.pacs("PROD", "prod", allow_real=True)
    put(site, "SOURCE", study)
    site.local.delete_study(study)
    site.known.clear()
    mute = dataclasses.replace(source, capabilities=frozenset({Capability.MOVE}))
    site.provenance.check_move(study, mute, prod)
    site.provenance.check_move("1.2.3.999", source, prod)
    assert site.transfers.move(ADMIN, study, source, prod, "PROD", confirm_production=True).accepted == 3


def test_it_is_looked_at_when_submitted_and_when_the_job_starts(office: Office) -> None:
    handlers, server = picky(office)
    site, study = office.site, office.site.make(cards(2))
    shut = dataclasses.replace(server, environment=Environment.PROD, allow_synthetic=False)
    with pytest.raises(AccessDenied):
        office.send([study], shut, confirm_production=True, provenance=site.provenance)
    source = site.pacs("SOURCE")
    put(site, "SOURCE", study)
    office.know(source)
    with pytest.raises(AccessDenied):
        office.move([study], source, shut, confirm_production=True, provenance=site.provenance)
    job_ids = [
        office.send([study], server, confirm_production=True, provenance=site.provenance),
        office.move([study], source, server, confirm_production=True, provenance=site.provenance),
    ]
    office.registry = office.registry.edit(server.id, {"environment": "prod"}, confirm_environment=True)
    for job_id in job_ids:
        job = office.run(job_id)
        assert job.state is JobState.FAILED
        assert "allow_synthetic is off" in str(job.error)
    assert handlers.received == []


def test_a_source_that_cannot_be_asked_is_asked_when_the_turn_has_come(site: Hospital) -> None:
    away = dataclasses.replace(site.entry("AWAY", programs.free_port()), connect_timeout_s=1)
    target = site.pacs("TARGET")
    registry = Registry((away, target)).set_routes("away", {"target": "TARGET"})
    job, items = move_job(ADMIN, registry, [REAL], away, target, verify_wait_s=0.0, provenance=site.provenance)
    assert (job.request["destination"], len(items)) == ("target", 1)
    mute = dataclasses.replace(away, capabilities=frozenset({Capability.MOVE}))
    site.provenance.check_move_beforehand(REAL, mute, target)


def test_declared_defects_stay_out_of_production_but_for_the_lab(site: Hospital) -> None:
    study = site.make()
    prod = site.pacs("PROD", "prod", allow_real=True)
    guard = Provenance(site.local, site.transfers.find, site.known.__contains__, has_defect=lambda uid: uid == study)
    for check in (guard.check_send, lambda uid, to: guard.check_move(uid, to, to)):
        with pytest.raises(AccessDenied, match="declared defect"):
            check(study, prod)
    guard.is_in_lab = lambda server: server is prod
    guard.check_send(study, prod)
    guard.is_in_lab = lambda _server: False
    guard.check_send(study, site.pacs("TEST"))


def test_a_copy_under_new_uids_is_as_synthetic_as_its_source(site: Hospital) -> None:
    service = ChangeService(site.local, site.provenance.of_local, site.known.add)
    changes = requested(new_uids=True, patient_id="MRN2")
    ours, theirs = service.make(ADMIN, [site.make(), real(site)], changes)
    assert site.provenance.of_local(ours.study_instance_uid) is Origin.SYNTHETIC
    assert site.provenance.of_local(theirs.study_instance_uid) is Origin.REAL


def test_what_a_server_takes_follows_its_environment() -> None:
    values = {"id": "x", "name": "X", "host": "h", "port": 104, "aec": "X"}
    test, prod = (PacsServer(**values, environment=one) for one in ("test", "prod"))  # type: ignore[arg-type]
    assert (test.allow_synthetic, test.allow_real) == (True, False)
    assert (prod.allow_synthetic, prod.allow_real) == (False, True)
    back = changed(prod, {"environment": "test"}, confirm_environment=True)
    assert (back.allow_synthetic, back.allow_real) == (True, False)
    own = changed(prod, {"environment": "test", "allow_real": True}, confirm_environment=True)
    assert (own.allow_synthetic, own.allow_real) == (True, True)
    assert PacsServer(**prod.as_dict()) == prod


@pytest.fixture(scope="module")
def two_sites(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Hospital, dict[Origin, str], list[PacsServer]]]:
    with hospital(tmp_path_factory.mktemp("provenance")) as site:
        studies = {Origin.SYNTHETIC: site.make(), Origin.REAL: real(site), Origin.MIXED: site.make(cards(1, seed=8))}
        mixed = data_set(picture(), bits=8)
        mixed.SOPInstanceUID, mixed.SeriesInstanceUID = "1.2.3.41", "1.2.3.42"
        add(site, studies[Origin.MIXED], mixed)
        source = site.pacs("SOURCE")
        for study in studies.values():
            put(site, "SOURCE", study)
        yield site, studies, [source, site.pacs("TARGET")]


PERMISSION = st.sampled_from([None, True, False])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    origin=st.sampled_from(Origin),
    environment=st.sampled_from(Environment),
    permissions=st.tuples(PERMISSION, PERMISSION),
    roles=st.frozensets(st.sampled_from(Role)),
    is_move=st.booleans(),
    is_confirmed=st.booleans(),
)
def test_nothing_gets_where_it_is_not_allowed(
    two_sites: tuple[Hospital, dict[Origin, str], list[PacsServer]],
    origin: Origin,
    environment: Environment,
    permissions: tuple[bool | None, bool | None],
    roles: frozenset[Role],
    is_move: bool,
    is_confirmed: bool,
) -> None:
    site, studies, (source, closed) = two_sites
    synthetic, is_real = permissions
    target = dataclasses.replace(closed, environment=environment, allow_synthetic=synthetic, allow_real=is_real)
    someone, study = actor(*roles), studies[origin]
    try:
        if is_move:
            site.transfers.move(someone, study, source, target, "TARGET", confirm_production=is_confirmed)
        else:
            site.transfers.send(someone, study, target, confirm_production=is_confirmed)
        was_refused = False
    except (AccessDenied, ConfirmationRequired):
        was_refused = True
    arrived = site.held("TARGET", study)
    if arrived:
        site.archives["TARGET"].delete_study(study)
    assert bool(arrived) is not was_refused
    takes_synthetic = synthetic if synthetic is not None else environment is Environment.TEST
    takes_real = is_real if is_real is not None else environment is Environment.PROD
    if arrived:
        assert takes_synthetic or origin is Origin.REAL
        assert takes_real or origin is Origin.SYNTHETIC
        assert is_confirmed or environment is Environment.TEST
        assert roles & {Role.ADMIN, Role.TEST_WRITE if environment is Environment.TEST else Role.PROD_WRITE}
