"""The doctor and the production guard: over real sockets, counted in what the servers keep."""

from __future__ import annotations

import pytest

from dicomfab.diagnosis.reason import Verdict
from dicomfab.model.actor import Role
from tests.doctor.move_world import DESTINATION, SOURCE, Plan, World, lab
from tests.doctor.site import Site
from tests.unit.services.hospital import actor


def production(end: str):
    """One end of the move is in production, the other in test."""

    def change(plan: Plan) -> None:
        for one in (SOURCE, DESTINATION):
            plan.entry[one] = {"environment": "prod" if one == end else "test"}

    return change


def closed(end: str):
    def change(plan: Plan) -> None:
        plan.entry.setdefault(end, {})["allow_synthetic"] = False

    return change


def kept(world: World) -> dict[str, int]:
    return {one: world.hospital.archives[one].storage().instances for one in (SOURCE, DESTINATION)}


@pytest.mark.parametrize("end", [SOURCE, DESTINATION])
def test_production_at_either_end_wants_a_yes(site: Site, end: str) -> None:
    world = lab(site, production(end))
    asked = world.diagnosis(confirm=False)
    assert asked.verdict is Verdict.CANNOT_TELL
    assert asked.causes[0].rule == "move-not-tried-production"
    assert asked.causes[0].heading == "C-MOVE not tried"
    assert kept(world) == {SOURCE: 0, DESTINATION: 0}
    assert world.diagnosis(confirm=True).verdict is Verdict.HEALTHY
    assert kept(world)[DESTINATION] == 1


@pytest.mark.parametrize("end", [SOURCE, DESTINATION])
def test_production_at_either_end_wants_the_role(site: Site, end: str) -> None:
    world = lab(site, production(end))
    asked = world.diagnosis(actor=actor(Role.TEST_WRITE, Role.PROD_READ), confirm=True)
    assert asked.causes[0].rule == "move-not-tried-role"
    assert kept(world) == {SOURCE: 0, DESTINATION: 0}


@pytest.mark.parametrize("end", [SOURCE, DESTINATION])
def test_no_instance_of_ours_goes_where_the_entry_allows_no_synthetic_data(site: Site, end: str) -> None:
    world = lab(site, production(end), closed(end))
    asked = world.diagnosis(confirm=True)
    assert any("allows no synthetic data (allow_synthetic)" in check.seen for check in asked.checks)
    assert kept(world) == {SOURCE: 0, DESTINATION: 0}
