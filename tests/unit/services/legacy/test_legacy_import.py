"""Real files into a real installation: the dry run changes nothing, carrying out adds all, a second time nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.app.build import Application
from dicomfab.model.account import Origin
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound, NotSignedIn
from dicomfab.services.legacy.files import Found, load
from dicomfab.services.legacy.findings import Kind, Plan, Verdict
from tests.unit.services.legacy.predecessor import (
    HASH,
    ONE,
    OWNER,
    TWO,
    everything,
    installation,
    patient,
    server,
    servers,
    user,
    written,
)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Application]:
    made = installation(tmp_path / "home")
    yield made
    made.close()


def held(ours: Application) -> tuple[object, ...]:
    """All that moving over could change."""
    return (
        ours.registry.load(),
        [one.data for one in ours.patients.page(OWNER, limit=None).patients],
        [(one.name, one.roles, one.is_active) for one in ours.accounts.every(OWNER)],
        dict(ours.account_parts.group_roles.every(OWNER)),
    )


def carried_out(ours: Application, folder: Path) -> Plan:
    plan = ours.legacy.plan(OWNER, folder)
    ours.legacy.carry_out(OWNER, plan)
    return plan


def said(plan: Plan) -> dict[tuple[str, str], str]:
    return {(one.file, one.entry): one.says for one in plan.findings}


def test_the_plan_changes_nothing_and_a_second_time_all_is_the_same(ours: Application, tmp_path: Path) -> None:
    folder = written(tmp_path / "old", everything())
    before = held(ours)
    plan = ours.legacy.plan(OWNER, folder)
    assert held(ours) == before
    assert not plan.left_out
    ours.legacy.carry_out(OWNER, plan)
    registry, patients, accounts, groups = held(ours)
    assert registry.ids == {ONE, TWO}  # type: ignore[attr-defined]
    assert registry.route(ONE, TWO) == "TESTPACS2"  # type: ignore[attr-defined]
    assert [one.patient_id for one in patients] == ["SYN0001", "SYN0002"]  # type: ignore[attr-defined]
    assert {one[0] for one in accounts} == {"admin", "anna"}  # type: ignore[attr-defined]
    assert groups["DF-Admin"] == {Role.ADMIN}  # type: ignore[index]
    again = ours.legacy.plan(OWNER, folder)
    assert again.is_empty
    assert {one.verdict for one in again.findings} == {Verdict.SAME}
    ours.legacy.carry_out(OWNER, again)
    assert held(ours) == (registry, patients, accounts, groups)


def test_nobody_signs_in_with_a_password_of_the_predecessor(ours: Application, tmp_path: Path) -> None:
    carried_out(ours, written(tmp_path / "old", {"users.json": {"admin": user("admin", "admin")}}))
    for typed in ("admin123", HASH):
        with pytest.raises(NotSignedIn):
            ours.sign_in.sign_in("admin", typed, Origin("192.0.2.1"))
    account = ours.accounts.named(OWNER, "admin")
    ours.accounts.set_password(OWNER, account.id, "tulip marble seven")
    assert ours.sign_in.sign_in("admin", "tulip marble seven", Origin("192.0.2.2"))
    assert not [
        path for path in (tmp_path / "home").rglob("*") if path.is_file() and HASH.encode() in path.read_bytes()
    ]


def test_a_disabled_account_is_disabled_here(ours: Application, tmp_path: Path) -> None:
    users = {"old": user("old", "admin", is_active=False), "new": user("new", "admin")}
    carried_out(ours, written(tmp_path / "old", {"users.json": users}))
    assert [(one.name, one.is_active) for one in ours.accounts.every(OWNER)] == [("new", True), ("old", False)]
    ours.accounts.set_roles(OWNER, ours.accounts.named(OWNER, "old").id, ["test_read"])
    ours.accounts.enable(OWNER, ours.accounts.named(OWNER, "old").id)
    (conflict,) = ours.legacy.plan(OWNER, tmp_path / "old").left_out
    assert (conflict.verdict, conflict.entry) == (Verdict.CONFLICT, "old")
    assert "roles test_read here, admin there; active here and not there" in conflict.says


def test_each_change_is_in_the_audit_log_and_no_hash(ours: Application, tmp_path: Path) -> None:
    from dicomfab.storage.audit import AuditFilter

    carried_out(ours, written(tmp_path / "old", everything()))
    told = [entry.event for entry in ours.audit._log.entries(AuditFilter())]
    assert {str(event.kind) for event in told} >= {"registry-change", "route-change", "patient-change", "user-change"}
    assert {event.actor for event in told} == {"owner"}
    assert HASH not in str(told)


@pytest.mark.parametrize("place", ["", "data/", "config/"])
def test_files_are_found_in_the_folder_and_in_data_and_config(ours: Application, tmp_path: Path, place: str) -> None:
    files = {f"{place}{Path(label).name}": content for label, content in everything().items()}
    plan = ours.legacy.plan(OWNER, written(tmp_path / "old", files))
    assert sorted(plan.files) == sorted(files)
    assert plan.count(Kind.SERVER, Verdict.ADD) == 2


def test_a_file_where_the_predecessor_does_not_keep_it_is_told_of(ours: Application, tmp_path: Path) -> None:
    folder = written(tmp_path / "old", {**everything(), "patient_registry.json": {"SYN9": patient("SYN9")}})
    plan = ours.legacy.plan(OWNER, folder)
    assert len(plan.patients) == 2
    assert "data/patient_registry.json" in said(plan)["patient_registry.json", "(file)"]


def test_what_holds_nothing_to_take_is_left_aside_unopened(ours: Application, tmp_path: Path) -> None:
    aside = {f"config/{name}.json": "{ not opened" for name in ("auth_config", "enterprise_auth", "patient_config")}
    plan = ours.legacy.plan(OWNER, written(tmp_path / "old", {**everything(), **aside}))
    assert {one.file for one in plan.findings if one.verdict is Verdict.ASIDE} == set(aside)
    assert not plan.left_out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (json.dumps({"SYN1": patient("SYN1", "SECRET^NAME")}) * 2, "two programs wrote it at the same time"),
        (json.dumps({"SYN1": patient("SYN1", "SECRET^NAME")})[:80], "breaks off"),
        ('{"SYN1": {}, "SYN1": {}}', "a key stands twice"),
        ("", "line 1, column 1"),
        (b"\xff\xfe{", "not UTF-8"),
        ('{"SYN1": ' + "9" * 5000 + "}", "number too long"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "holds no object"),
        ("null", "holds no object"),
    ],
    ids=["two at once", "broken off", "twice", "empty", "utf-16", "digits", "deep", "a list", "null"],
)
def test_from_a_broken_file_nothing_is_taken_and_from_the_others_all(
    ours: Application, tmp_path: Path, content: str | bytes, why: str
) -> None:
    files = {"data/pacs_config.json": servers(), "data/patient_registry.json": content}
    folder = written(tmp_path / "old", files)
    plan = carried_out(ours, folder)
    (broken,) = plan.left_out
    assert why in broken.says
    assert "nothing is taken from this file" in broken.says
    assert "SECRET" not in str(plan)
    assert ours.patients.page(OWNER).total == 0
    assert len(ours.registry.load().servers) == 2


def test_what_is_no_file_or_may_not_be_read_is_told_of(ours: Application, tmp_path: Path) -> None:
    folder = written(tmp_path / "old", {"config/users.json": {}})
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / "pacs_config.json")  # opening it would wait for ever
    (folder / "data" / "patient_registry.json").mkdir()
    (folder / "config" / "group_mappings.json").symlink_to("group_mappings.json")
    plan = ours.legacy.plan(OWNER, folder)
    assert {one.file for one in plan.left_out} == {
        "data/pacs_config.json",
        "data/patient_registry.json",
        "config/group_mappings.json",
    }


def test_a_folder_without_any_of_them_is_an_error(ours: Application, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", written(tmp_path / "old", {"other.json": {}}), Path("a\0b"), Path("n" * 5000)):
        with pytest.raises(NotFound):
            ours.legacy.plan(OWNER, folder)


def test_only_administrators_may(ours: Application, tmp_path: Path) -> None:
    folder = written(tmp_path / "old", everything())
    plan = ours.legacy.plan(OWNER, folder)
    for roles in ({Role.TEST_WRITE, Role.PROD_WRITE}, set()):
        with pytest.raises(AccessDenied):
            ours.legacy.plan(Actor("ben", frozenset(roles)), folder)
        with pytest.raises(AccessDenied):
            ours.legacy.carry_out(Actor("ben", frozenset(roles)), plan)
    assert not ours.registry.load().servers


def test_no_test_server_takes_the_place_of_production_unseen(ours: Application, tmp_path: Path) -> None:
    fields = {"name": "Gone", "host": "pacs.example.com", "port": 104, "aec": "PACS", "environment": "prod"}
    ours.pacs.add(OWNER, fields)
    ours.pacs.remove(OWNER, "gone")
    old = {"a": server("A"), "b": server("B", port=105, move_routing={"a": "A"})}
    plan = carried_out(ours, written(tmp_path / "old", {"pacs_config.json": old}))
    assert "where production stands or stood" in said(plan)["pacs_config.json", "A"]
    assert ours.registry.load().ids == {"b"}


def test_what_changed_since_the_plan_is_not_overwritten_and_what_was_done_is_told(
    ours: Application, tmp_path: Path
) -> None:
    plan = ours.legacy.plan(OWNER, written(tmp_path / "old", everything()))
    ours.accounts.add(OWNER, "anna", ["admin"], password="tulip marble seven")
    with pytest.raises(Conflict) as error:
        ours.legacy.carry_out(OWNER, plan)
    assert "done before: servers and routes, patients, groups" in error.value.remedy
    assert ours.accounts.named(OWNER, "anna").roles == {Role.ADMIN}
    again = carried_out(ours, tmp_path / "old")
    assert [one.entry for one in again.left_out] == ["anna"]


def test_patients_come_through_with_what_a_table_could_spoil(ours: Application, tmp_path: Path) -> None:
    odd = {
        "=SYN,1": patient("=SYN,1", "'Müller;Jr^Jürgen", address='12 "Old" Lane, X; Y', phone="+44 20 7946 0000"),
        "-2": patient("-2", "Yamada^Tarou=山田^太郎", address="", phone=""),
    }
    folder = written(tmp_path / "old", {"patient_registry.json": odd})
    carried_out(ours, folder)
    found = {one.data.patient_id: one.data for one in ours.patients.page(OWNER).patients}
    for key, one in odd.items():
        assert (found[key].name, found[key].address, found[key].phone) == (
            one["patient_name"],
            one["address"],
            one["phone"],
        )
    assert ours.legacy.plan(OWNER, folder).is_empty


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789aeEnul\\ ', max_size=60).map(str.encode))
def test_whatever_bytes_a_file_holds_it_is_an_object_or_a_reason(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "users.json"
    path.write_bytes(raw)
    with suppress(InvalidInput):
        assert isinstance(load(Found("users.json", path, "users.json")), dict)
