"""What the plan says of each kind of entry: nothing is guessed, nothing changed silently, no secret repeated."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.fabricate.patients import PatientData
from dicomfab.model.actor import Role
from dicomfab.registry.registry import Registry
from dicomfab.services.legacy.findings import Finding, NewAccount, Verdict
from dicomfab.services.legacy.patients import plan_patients
from dicomfab.services.legacy.people import plan_accounts, plan_groups
from dicomfab.services.legacy.servers import plan_servers
from tests.unit.services.legacy.predecessor import HASH, ONE, TWO, group, patient, server, servers, user

TODAY = dt.date(2026, 1, 31)
ADD, SAME, CONFLICT, REFUSED, ASIDE = Verdict.ADD, Verdict.SAME, Verdict.CONFLICT, Verdict.REFUSED, Verdict.ASIDE


def of_servers(document: dict[str, Any], here: Registry | None = None) -> tuple[list[Finding], Registry]:
    """Findings, and the registry after the import."""
    from dicomfab.registry.seed_json import import_servers

    here = here or Registry()
    plan = plan_servers(document, "pacs_config.json", here)
    after = here
    if plan.to_import:
        after, report = import_servers(here, json.dumps(plan.to_import), source="test")
        assert not [one for one in report.changed if set(one.fields) - {f"move_routing.{i}" for i in after.ids}]
    return list(plan.findings), after


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    return {one.entry: one.verdict for one in findings}


def only(findings: list[Finding]) -> Finding:
    (one,) = findings
    return one


def test_servers_come_with_their_ids_routes_and_the_default() -> None:
    findings, after = of_servers(servers())
    assert {one.verdict for one in findings} == {ADD}
    assert after.ids == {ONE, TWO}
    assert (after.route(ONE, TWO), after.route(TWO, ONE)) == ("TESTPACS2", "TESTPACS1")
    assert after.default is after.get(ONE)
    assert after.get(TWO).is_production
    again, unchanged = of_servers(servers(), after)
    assert {one.verdict for one in again} == {SAME}
    assert unchanged == after


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", "production"),
        ("environment", "both"),
        ("environment", None),
        ("environment", ["test"]),
        ("port", 999999),
        ("port", "9" * 5000),
        ("port", True),
        ("aec", "A" * 40),
        ("aec", ""),
        ("host", ""),
        ("host", "http://pacs"),
        ("name", ""),
        ("name", "N" * 65),
        ("aet_find", "back\\slash"),
        ("is_active", "false"),
        ("is_default", "yes"),
    ],
)
def test_a_server_with_a_value_that_cannot_be_is_named_and_the_others_come(field: str, value: object) -> None:
    document = {"bad": server("Bad", move_routing={ONE: "X"}) | {field: value}, **servers()}
    document[ONE]["move_routing"]["bad"] = "TOBAD"
    findings, after = of_servers(document)
    refused = [one for one in findings if one.verdict is REFUSED]
    assert field in refused[0].says
    assert len(refused[0].says) < 500
    assert after.ids == {ONE, TWO}
    assert [one.says for one in refused[1:]] == [
        "1 of its C-MOVE routes are not taken, since the server is not",
        "its destination is not taken",
    ]


def test_no_environment_is_no_guess() -> None:
    document = {"a": server("A")}
    del document["a"]["environment"]
    assert "never guessed" in only(of_servers(document)[0]).says


def test_the_oldest_files_have_one_ae_title_for_everything() -> None:
    old = server("Old", aet="MYTITLE")
    for name in ("aet_find", "aet_store", "aet_echo", "move_routing"):
        del old[name]
    findings, after = of_servers({"old": old})
    made = after.get("old")
    assert (made.aet_find, made.aet_store, made.aet_echo) == ("MYTITLE", "MYTITLE", "MYTITLE")
    assert "that of aet is taken" in only(findings).notes[0]


@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_blank_store_title_is_no_store(blank: object) -> None:
    findings, after = of_servers({"a": server("A", aet_store=blank)})
    assert after.get("a").aet_store == ""
    assert only(findings).notes == ("C-STORE is disabled, since its aet_store is blank",)


def test_an_id_that_cannot_be_one_is_made_anew_and_routes_follow() -> None:
    document = {
        "my pacs": server("Ward A", move_routing={"other": "OTHER"}),
        "other": server("Other", port=105, move_routing={"my pacs": "WARD"}),
        "ward-a": server("Third", port=106),
    }
    findings, after = of_servers(document)
    assert [one.entry for one in findings[:3]] == ["Ward A", "Other", "Third"]
    made = after.find("Ward A")
    assert made.id == "ward-a-2"
    assert (after.route(made.id, "other"), after.route("other", made.id)) == ("OTHER", "WARD")
    assert "its id becomes ward-a-2" in findings[0].notes[0]
    again, _ = of_servers(document, after)
    assert {one.verdict for one in again} == {SAME}


def test_routes_may_call_a_server_by_the_id_that_it_has_in_itself() -> None:
    document = {"a": server("A", id="changed"), "b": server("B", port=105, move_routing={"changed": "A1"})}
    findings, after = of_servers(document)
    assert after.route("b", "a") == "A1"
    assert "another id in itself" in findings[0].notes[0]


def test_routes_that_lead_nowhere_are_told_of_and_blank_ones_are_none() -> None:
    routes = {"gone": "GONE", "a": "SELF", "b": "T" * 17, "c": 7, "d": "", "e": None}
    document = {i: server(i.upper(), port=200 + n) for n, i in enumerate("bcde")}
    document["a"] = server("A", move_routing=routes)
    document["b"]["move_routing"] = ["no object"]
    findings, after = of_servers(document)
    told = {one.entry: one.says for one in findings if one.verdict is REFUSED}
    assert set(told) == {"A -> gone", "A -> A", "A -> B", "A -> C", "B"}
    assert "no server of the file" in told["A -> gone"]
    assert not after.routes


def test_test_and_prod_at_one_place_are_both_refused() -> None:
    document = {
        "a": server("A", host="localhost"),
        "b": server("B", host="127.0.0.1", environment="prod"),
        "c": server("C", port=105),
        "d": server("D", port=105),
    }
    findings, after = of_servers(document)
    assert verdicts(findings) == {"A": REFUSED, "B": REFUSED, "C": ADD, "D": ADD}
    assert "both test and prod" in findings[0].says
    assert "stands at the same address" in findings[3].notes[0]
    against, _ = of_servers({"x": server("X", port=105, environment="prod")}, after)
    assert only(against).verdict is REFUSED


def test_servers_of_one_name_are_all_refused() -> None:
    findings, _ = of_servers({"a": server("Ward"), "b": server("WARD", port=105)})
    assert {one.verdict for one in findings} == {REFUSED}


def test_what_is_here_and_differs_stays_with_its_routes() -> None:
    _, here = of_servers(servers())
    document = servers()
    document[ONE]["port"] = 4444
    document[ONE]["move_routing"][TWO] = "ELSE"
    document[TWO]["move_routing"]["x"] = "NEW"
    document["x"] = server("X", is_default=True)
    findings, after = of_servers(document, here)
    assert verdicts(findings) == {
        "Test 1": REFUSED,  # the last told of it are its routes
        "Prod 1": SAME,
        "X": ADD,
        "Prod 1 -> Test 1": REFUSED,
        "Prod 1 -> X": ADD,
    }
    first = findings[0]
    assert (first.verdict, first.entry) == (CONFLICT, "Test 1")
    assert "another port" in first.says
    assert (after.get(ONE), after.default) == (here.get(ONE), here.get(ONE))
    assert after.route(TWO, "x") == "NEW"
    assert "will not be the default" in findings[2].notes[0]


def test_another_route_here_stays() -> None:
    _, here = of_servers(servers())
    findings, after = of_servers(servers(), here.set_routes(ONE, {TWO: "MINE"}))
    assert verdicts(findings)["Test 1 -> Prod 1"] is CONFLICT
    assert after.route(ONE, TWO) == "MINE"


def test_settings_that_no_server_has_are_named() -> None:
    findings, _ = of_servers({"a": server("A", web_password="hunter2")})
    assert "web_password" in only(findings).notes[0]
    assert "hunter2" not in str(findings)


def of_patients(
    document: dict[str, Any], here: dict[str, PatientData] | None = None
) -> tuple[list[Finding], list[PatientData]]:
    return plan_patients(document, "patient_registry.json", here or {}, today=TODAY)


@pytest.mark.parametrize(
    "name", ["DOE^JANE^MID", "Müller^Jürgen", "Yamada^Tarou=山田^太郎=やまだ^たろう", "DOE", "O'NEIL^=A"]
)
def test_a_name_comes_as_it_is(name: str) -> None:
    _, added = of_patients({"SYN1": patient("SYN1", name)})
    assert only(added).name == name  # type: ignore[arg-type]


def test_a_patient_comes_with_everything_and_then_is_the_same() -> None:
    findings, (added,) = of_patients({"SYN1": patient("SYN1")})
    assert only(findings).verdict is ADD
    assert (added.birth_date, added.sex, added.phone) == ("19900102", "M", "555-123-4567")
    again, none = of_patients({"SYN1": patient("SYN1")}, {"SYN1": added})
    assert (only(again).verdict, none) == (SAME, [])
    other, none = of_patients({"SYN1": patient("SYN1", "OTHER^NAME", sex="F")}, {"SYN1": added})
    assert (only(other).verdict, none) == (CONFLICT, [])
    assert "another name, sex" in only(other).says
    assert "OTHER" not in str(other)


@pytest.mark.parametrize(
    ("given", "taken"), [("1990-01-01", "19900101"), ("1985-03-04", "19850304"), ("", ""), (None, "")]
)
def test_a_birth_date_is_written_as_dicom_has_it_and_that_is_said(given: object, taken: str) -> None:
    findings, (added,) = of_patients({"SYN1": patient("SYN1", birth_date=given)})
    assert added.birth_date == taken
    assert bool(only(findings).notes) is bool(taken)
    if given == "1990-01-01":
        assert "where nobody had given one" in only(findings).notes[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("birth_date", "19900230"),
        ("birth_date", "20990101"),
        ("birth_date", "01.02.1990"),
        ("birth_date", 19900101),
        ("sex", "Male"),
        ("sex", "U"),
        ("patient_id", "A*"),
        ("patient_id", "A\\B"),
        ("patient_id", "P" * 65),
        ("patient_name", ""),
        ("patient_name", "^"),
        ("patient_name", "A" * 65),
        ("patient_name", "A^B^C^D^E^F"),
        ("patient_name", "SECRET^PERSON\x1b"),
        ("patient_name", ["SECRET"]),
        ("address", "SECRET STREET " * 5),
        ("phone", "SECRET 555-123-4567"),
    ],
)
def test_a_patient_who_does_not_fit_is_named_by_id_and_not_changed(field: str, value: object) -> None:
    findings, added = of_patients({"K1": patient("K1") | {field: value}, "SYN2": patient("SYN2")})
    assert [one.patient_id for one in added] == ["SYN2"]
    assert (findings[0].entry, findings[0].verdict) == ("K1", REFUSED)
    assert {"patient_name": "name"}.get(field, field) in findings[0].says
    assert "SECRET" not in str(findings)


def test_records_of_one_id_are_all_refused() -> None:
    findings, added = of_patients({"SYN1": patient("SYN2"), "SYN2": patient("SYN2"), "SYN3": patient("SYN4")})
    assert [one.verdict for one in findings] == [REFUSED, REFUSED, ADD]
    assert only(added).patient_id == "SYN4"  # type: ignore[arg-type]
    assert "calls itself 'SYN4'" in findings[2].notes[0]


def test_ids_that_look_real_are_warned_of_once() -> None:
    findings, added = of_patients({i: patient(i) for i in ("PID1", "PID2", "SYN3")})
    assert len(added) == 3
    assert findings[3].verdict is ASIDE
    assert findings[3].says.startswith("2 of the Patient IDs")


def of_accounts(document: dict[str, Any]) -> tuple[list[Finding], list[NewAccount]]:
    findings, made = plan_accounts(document, "users.json", [])
    assert HASH not in str(findings)
    assert "example.com" not in str(findings)
    return findings, made


def test_accounts_come_with_their_role_and_without_a_password() -> None:
    findings, made = of_accounts({"admin": user("admin", "admin"), "anna": user("anna", "prod_write")})
    assert [(one.name, one.roles) for one in made] == [
        ("admin", frozenset({Role.ADMIN})),
        ("anna", frozenset({Role.PROD_WRITE})),
    ]
    assert findings[1].notes[0] == "its password is not taken; give it a new one: dicomfab users password anna"
    assert "default that everybody knows" in findings[0].notes[1]
    other, _ = of_accounts({"anna": user("anna", password_hash="0" * 64)})
    assert len(only(other).notes) == 1


@pytest.mark.parametrize(
    ("permissions", "roles"),
    [
        (["dicom_view", "pacs_query_test"], {"test_read"}),
        (["pacs_query_test", "pacs_move_test", "pacs_query_prod"], {"test_write", "prod_read"}),
        (["pacs_query", "pacs_move"], {"test_write", "prod_write"}),
        (["pacs_query_prod", "system_admin", "pacs_configure_prod"], {"prod_read"}),
    ],
)
def test_old_permissions_become_several_roles_and_never_an_administrator(
    permissions: list[str], roles: set[str]
) -> None:
    findings, made = of_accounts({"op": user("op", "operator", permissions=permissions)})
    assert set(only(made).roles) == roles  # type: ignore[arg-type]
    assert "follow from its permissions" in only(findings).notes[0]
    assert ("system_admin" in str(findings)) is ("system_admin" in permissions)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("bob smith", user("bob smith"), "cannot be a sign-in name"),
        ("", user(""), "cannot be a sign-in name"),
        ("x" * 70, user("x"), "cannot be a sign-in name"),
        ("bob", user("bob", "superuser"), "is none of"),
        ("bob", user("bob", "user", permissions=["system_admin"]), "is none of"),
        ("bob", user("bob", None), "is none of"),  # type: ignore[arg-type]
        ("bob", user("bob", is_active="yes"), "neither true nor false"),
        ("bob", [HASH], "no object"),
        ("bob", user("bob", "admin", is_active=False), "no other one yet"),
    ],
)
def test_an_account_that_cannot_be_is_refused(name: str, value: object, says: str) -> None:
    findings, made = of_accounts({name: value})
    assert says in only(findings).says
    assert (only(findings).verdict, made) == (REFUSED, [])


def test_names_that_are_one_here_are_all_refused() -> None:
    findings, made = of_accounts({"Anna": user("Anna"), "anna": user("anna"), "ben": user("ben")})
    assert [one.verdict for one in findings] == [REFUSED, REFUSED, ADD]
    assert [one.name for one in made] == ["ben"]


def test_groups_give_roles_and_several_entries_of_one_give_several() -> None:
    mappings = {
        "DF-Admin": group("DF-Admin", "admin"),
        "a": group("DF-Both", "test_write"),
        "b": group("df-both", "prod_read"),
        "DF-Off": group("DF-Off", "admin", is_active=False),
        "Radiology": {"application_role": "test_read"},
        "DICOM_Operators": group("DICOM_Operators", "operator", permissions=["pacs_move_prod"]),
        "bad": "admin",
        "": group("", "admin"),
        "n": group(None, "admin"),  # type: ignore[arg-type]
    }
    here = {"df-admin": frozenset({Role.ADMIN})}
    findings, entered = plan_groups({"default_role": "user", "mappings": mappings}, "group_mappings.json", here)
    assert entered == {
        "DF-Both": frozenset({Role.TEST_WRITE, Role.PROD_READ}),
        "Radiology": frozenset({Role.TEST_READ}),
    }
    told = verdicts(findings)
    assert (told["DF-Admin"], told["DF-Off"], told["default_role"]) == (SAME, ASIDE, ASIDE)
    assert {told[name] for name in ("DICOM_Operators", "bad", "", "n")} == {REFUSED}
    notes = {one.entry: one.notes for one in findings}
    assert "all their roles" in notes["a"][1]
    assert "gave nothing there" in notes["Radiology"][0]
    clash, none = plan_groups({"mappings": mappings}, "f", {"DF-Both": frozenset({Role.ADMIN}), **here})
    assert verdicts(clash)["a"] is CONFLICT
    assert "DF-Both" not in none


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({*server(""), *patient(""), *user(""), *group("", ""), "id", "aet", "permissions", "mappings"})
WORDS = st.sampled_from(
    ["test", "prod", "admin", "test_read", "A", "104", "pacs", "19900101", "M", "", "\ud800", "a b"]
)
ENTRY = st.dictionaries(st.sampled_from(FIELDS), JSON | WORDS, max_size=8)
CHANGED = [
    st.builds(lambda base, given: base | given, st.just(base), ENTRY)
    for base in (server("A"), patient("A"), user("a"), group("A", "admin"))
]
DOCUMENTS = st.dictionaries(st.text(max_size=6) | st.sampled_from(FIELDS), st.one_of(JSON, ENTRY, *CHANGED), max_size=4)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_whatever_a_file_holds_each_entry_has_a_finding(document: dict[str, Any]) -> None:
    told, _ = of_servers(document)
    assert len([one for one in told if one.kind == "server"]) == len(document)
    told, added = of_patients(document)
    assert len([one for one in told if one.kind == "patient"]) == len(document)
    assert len({one.patient_id for one in added}) == len(added)
    told, made = plan_accounts(document, "users.json", [])
    assert len(told) == len(document)
    assert len(made) == sum(one.verdict is ADD for one in told)
    told, entered = plan_groups(document, "group_mappings.json", {})
    assert len(entered) == sum(one.verdict is ADD for one in told)
    json.dumps([one.as_dict() for one in told])
