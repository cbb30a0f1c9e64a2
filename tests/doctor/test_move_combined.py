"""C-MOVE in the lab: the ten of the show, two things broken at once, and what is promised of every examination."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest

from dicomfab.diagnosis.checks import Outcome, Role
from dicomfab.diagnosis.reason import Verdict
from dicomfab.dimse.transport.faults import Fault, FaultKind
from dicomfab.model.actor import Role as Holds
from dicomfab.model.errors import AccessDenied, InvalidInput
from dicomfab.registry.fields import ALL_CAPABILITIES, Capability
from tests.doctor.move_world import (
    DESTINATION,
    SOURCE,
    TITLE,
    Breaking,
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
from tests.unit.services.hospital import actor


@dataclass(frozen=True)
class Broken:
    """One thing wrong.

    Args:
        name: for people.
        part: what of the plan it changes: two of one part cannot be broken at once.
        change: how.
        rules: any of which may name it.
    """

    name: str
    part: str
    change: Breaking
    rules: tuple[str, ...]


#: What the show breaks in the lab, one at a time: each is named, ten out of ten.
TEN = (
    Broken("no route", "route", setting(route=None), ("move-no-route",)),
    Broken("route in small letters", "route", setting(route="ProdPacs2"), ("move-title-differs-in-case",)),
    Broken("route with a wrong title", "route", setting(route="ARCHIVE"), ("move-title-wrong",)),
    Broken("source does not know the destination", "table", knowing(None, lambda *_: 0), ("move-destination-unknown",)),
    Broken("source has a wrong port", "table", knowing(TITLE, lambda s, _: s.closed_port()), ("move-wrong-address",)),
    Broken("destination does not let the source in", "door",
           with_config(DESTINATION, known_calling_ae_titles=frozenset({"DICOMFAB"})), ("move-source-not-let-in",)),
    Broken("destination is down", "door", stopped(DESTINATION),
           ("move-destination-down", "tcp-refused-one-port", "tcp-refused")),
    Broken("destination is full", "disk", with_handlers(DESTINATION, storing_nothing(0xA700)),
           ("move-destination-full",)),
    Broken("destination keeps nothing", "disk", with_handlers(DESTINATION, storing_nothing()), ("move-not-kept",)),
    Broken("source does not allow C-MOVE", "moving", with_handlers(SOURCE, refusing_to_select(0x0124)),
           ("move-not-allowed",)),
)  # fmt: skip
MORE = (
    Broken("source moves nothing", "moving", with_handlers(SOURCE, selecting(lambda _all: ())),
           ("move-nothing-matched",)),
    Broken("source aborts", "moving", with_faults(SOURCE, Fault(FaultKind.ABORT, "C-MOVE-RSP")), ("move-broken-off",)),
    Broken("C-MOVE switched off", "entry",
           with_entry(SOURCE, capabilities=ALL_CAPABILITIES - {Capability.MOVE}), ("move-switched-off",)),
    Broken("source is down", "source", stopped(SOURCE), ("tcp-refused-one-port", "tcp-refused")),
)  # fmt: skip


@pytest.mark.parametrize("broken", TEN, ids=lambda broken: broken.name)
def test_ten_of_ten(broken: Broken, site: Site) -> None:
    diagnosis = lab(site, broken.change).diagnosis()
    assert diagnosis.verdict is Verdict.FOUND
    assert diagnosis.causes[0].rule == broken.rules[0]
    assert diagnosis.seconds < 10


def _pairs() -> list[tuple[Broken, Broken]]:
    """Twelve of all pairs that can be broken at once."""
    possible = [pair for pair in itertools.combinations((*TEN, *MORE), 2) if pair[0].part != pair[1].part]
    return random.Random(20).sample(possible, 12)


@pytest.mark.parametrize("pair", _pairs(), ids=lambda pair: " and ".join(one.name for one in pair))
def test_of_two_the_first_named_is_one(pair: tuple[Broken, Broken], site: Site) -> None:
    diagnosis = lab(site, *(one.change for one in pair)).diagnosis()
    assert diagnosis.verdict is Verdict.FOUND
    assert diagnosis.causes[0].rule in {rule for one in pair for rule in one.rules}


def test_a_healthy_move_is_examined_at_once(site: Site) -> None:
    world = lab(site)
    world.diagnosis()  # loads what is needed
    assert world.diagnosis().seconds < 2


def test_without_consent_nothing_but_echo_and_find_is_done(site: Site) -> None:
    world = lab(site)
    diagnosis = world.diagnosis(confirm=False)
    assert all(archive.storage().instances == 0 for archive in world.hospital.archives.values())
    skipped = [check for check in diagnosis.checks if check.outcome is Outcome.SKIPPED]
    assert [check.role for check in skipped] == [Role.MOVE] * 4
    assert all("--yes-production" in check.seen for check in skipped)
    assert {"destination.find", "source.find"} <= {f"{c.role}.{name}" for c in diagnosis.checks for name in c.facts}


def test_a_role_that_may_not_sees_which_would(site: Site) -> None:
    diagnosis = lab(site).diagnosis(actor=actor(Holds.TEST_WRITE, Holds.PROD_READ))
    assert "admin, prod_write" in next(c.seen for c in diagnosis.checks if c.title == "Leave to move")


def test_who_may_not_query_learns_nothing(site: Site) -> None:
    with pytest.raises(AccessDenied):
        lab(site).diagnosis(actor=actor(Holds.TEST_WRITE))


@pytest.mark.parametrize(("study", "field"), [("not a UID", "study")])
def test_a_study_that_is_no_uid_is_refused(study: str, field: str, site: Site) -> None:
    with pytest.raises(InvalidInput) as caught:
        lab(site).diagnosis(study=study)
    assert caught.value.field == field


def test_one_instance_is_left_and_it_says_what_it_is(site: Site) -> None:
    world = lab(site)
    diagnosis = world.diagnosis()
    for one in (SOURCE, DESTINATION):
        (study,) = world.hospital.archives[one].patients()
        assert study.patient_id == "SYN-DOCTOR"
        assert world.hospital.archives[one].storage().instances == 1
    assert "SYN-DOCTOR" in diagnosis.checks[-1].seen


def test_the_lines_are_for_the_product_at_fault(site: Site) -> None:
    unknown = lab(site, knowing(None, lambda *_: 0)).diagnosis().causes[0]
    assert {line.product for line in unknown.lines} == {"DICOM Fabricator"}
    assert unknown.who == "the administrator of Test PACS 1"
