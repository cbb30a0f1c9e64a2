"""People of a real Active Directory sign in, or are refused for the reason that it has."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomfab.identity.ldap import LdapDirectory
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Person
from tests.peers.domain_controller import (
    ALLOWED_HOSTS,
    BASE,
    GROUPS,
    HOSTILE_NAME,
    LONG_AGO,
    SERVICE,
    controller_fixture,
    dn,
    password_of,
)

pytestmark = [pytest.mark.peers, pytest.mark.allow_hosts(ALLOWED_HOSTS)]
controller = controller_fixture()

READERS = "DF-TestRead"


@pytest.fixture
def directory(controller) -> LdapDirectory:
    return LdapDirectory(controller.settings())


@pytest.fixture
def domain(controller):
    with controller.administrator() as administrator:
        yield administrator


def groups_of(directory: LdapDirectory, name: str, asked=GROUPS) -> set[str]:
    found = directory.authenticate(name, password_of(name), asked)
    assert isinstance(found, Person)
    return set(found.groups)


def until(wanted, look, seconds: float = 20.0):
    """What a look gives at last, if it comes to be what is wanted."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return seen


# --------------------------------------------------------------------------- who they are


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("anna", {"DF-Admin"}),
        ("ben", {"DF-TestRead"}),
        ("carla", {"DF-TestWrite", "DF-ProdRead"}),
        ("nils", {"DF-TestWrite"}),
        ("paula", {"DF-ProdWrite"}),
        ("joerg", {"DF-TestRead"}),
        ("nogroup", set()),
    ],
)
def test_somebody_is_in_their_groups_direct_and_nested_and_no_others(name, groups, directory):
    assert groups_of(directory, name) == groups


@pytest.mark.parametrize(
    "name",
    ["anna", "ANNA", "anna@lab.example", "Anna@LAB.example", "LAB\\anna", "lab\\Anna", "lab.example\\anna"],
)
def test_a_name_may_be_written_in_every_way_that_windows_knows(name, directory):
    found = directory.authenticate(name, password_of("anna"), GROUPS)
    assert isinstance(found, Person)
    assert (found.name, found.display_name, found.groups) == ("anna", "anna", {"DF-Admin"})


@pytest.mark.parametrize("name", ["OTHER\\anna", "\\anna", "LAB2\\anna", "*\\anna", ".\\anna", "LAB\\LAB\\anna"])
def test_a_name_of_another_domain_is_unknown_here(name, directory):
    assert directory.authenticate(name, password_of("anna"), GROUPS) is Refusal.UNKNOWN_NAME


@pytest.mark.parametrize(
    "name",
    ["*", "a*", "anna)(objectClass=*", "*)(uid=*))(|(uid=*", "\\2a", "anna\\", "ghost", "(", "ann\\61", HOSTILE_NAME],
)
def test_a_hostile_name_is_unknown_and_nothing_else(name, directory):
    assert directory.authenticate(name, password_of("anna"), GROUPS) is Refusal.UNKNOWN_NAME


def test_a_name_with_every_special_character_is_displayed_as_it_is(directory):
    found = directory.authenticate("joerg", password_of("joerg"), GROUPS)
    assert isinstance(found, Person)
    assert found.display_name == HOSTILE_NAME


def test_by_starttls_it_is_the_same_person(controller, directory):
    other = LdapDirectory(controller.settings(controller.server(start_tls=True)))
    found = other.authenticate("carla", password_of("carla"), GROUPS)
    assert found == directory.authenticate("carla", password_of("carla"), GROUPS)


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("disabled", Refusal.DISABLED),
        ("expired", Refusal.ACCOUNT_EXPIRED),
        ("mustchange", Refusal.MUST_CHANGE_PASSWORD),
    ],
)
def test_the_reason_of_the_directory_is_told_to_those_with_the_right_password(name, refusal, directory):
    assert directory.authenticate(name, password_of(name), GROUPS) is refusal
    assert directory.authenticate(name, "not that one", GROUPS) is Refusal.WRONG_PASSWORD
    assert directory.look_up(name, GROUPS) is refusal


def test_a_wrong_password_is_counted_once_for_each_sign_in(controller, domain):
    domain.lock_after(50, 60)
    twice = LdapDirectory(controller.settings(controller.server(), controller.server(start_tls=True)))
    assert twice.authenticate("ben", "not that one", GROUPS) is Refusal.WRONG_PASSWORD
    assert domain.wrong_passwords("ben") == 1
    assert twice.authenticate("ben", "nor that one", GROUPS) is Refusal.WRONG_PASSWORD
    assert domain.wrong_passwords("ben") == 2
    assert groups_of(twice, "ben") == {"DF-TestRead"}


def test_what_was_done_is_told_step_by_step_and_no_secret_with_it(controller, directory, caplog):
    caplog.set_level(logging.DEBUG)
    steps = []
    assert directory.authenticate("nils", password_of("nils"), GROUPS, steps.append)
    assert directory.authenticate("nils", "Wrong lantern 5", GROUPS, steps.append) is Refusal.WRONG_PASSWORD
    told = "\n".join(f"{step.what}: {step.came}" for step in steps)
    for part in (
        f"connect to {controller.address}, port 636: connected",
        "certificate for dc1.lab.example",
        f"sign in as the service account {controller.account}: accepted",
        "(sAMAccountName=nils)",
        "DF-TestWrite",
        f"sign in as {dn('nils')}: accepted",
        f"sign in as {dn('nils')}: refused: the password is wrong (52e)",
    ):
        assert part in told
    assert all(step.is_good for step in steps[:-1])
    for secret in (password_of("nils"), "Wrong lantern 5", controller.password):
        assert secret not in told + caplog.text


# --------------------------------------------------------------------------- who is found later


def test_somebody_is_found_again_whatever_the_name_and_password_have_become(directory, domain):
    domain.add_user("married", groups=[READERS])
    before = directory.authenticate("married", password_of("married"), GROUPS)
    domain.rename("married", "Merry, Widow (PACS)")
    domain.change("Merry, Widow (PACS)", sAMAccountName="widow", pwdLastSet=0)
    after = directory.find(before.subject, GROUPS)
    assert after == dataclasses.replace(before, name="widow")
    assert directory.look_up("married", GROUPS) is Refusal.UNKNOWN_NAME


def test_whoever_is_taken_out_of_a_group_disabled_or_removed_is_so_at_once(directory, domain):
    domain.add_user("leaver", groups=[READERS, "DF-Admin"])
    subject = directory.authenticate("leaver", password_of("leaver"), GROUPS).subject
    assert directory.find(subject, GROUPS).groups == {READERS, "DF-Admin"}
    domain.remove_member("DF-Admin", "leaver")
    assert directory.find(subject, GROUPS).groups == {READERS}
    domain.change("leaver", accountExpires=LONG_AGO)
    assert directory.find(subject, GROUPS) is Refusal.ACCOUNT_EXPIRED
    domain.disable("leaver")
    assert directory.find(subject, GROUPS) is Refusal.DISABLED
    domain.remove("leaver")
    assert directory.find(subject, GROUPS) is Refusal.GONE
    assert directory.authenticate("leaver", password_of("leaver"), GROUPS) is Refusal.UNKNOWN_NAME


def test_a_look_without_a_password_finds_the_same_and_counts_nowhere(directory, domain):
    proven = directory.authenticate("carla", password_of("carla"), GROUPS)
    assert directory.look_up("LAB\\carla", GROUPS) == proven == directory.find(proven.subject, GROUPS)
    assert domain.wrong_passwords("carla") == 0


def test_whoever_is_outside_the_base_is_unknown(controller, domain):
    folder = domain.add_folder("Elsewhere")
    elsewhere = LdapDirectory(controller.settings(base=folder))
    assert elsewhere.authenticate("anna", password_of("anna"), []) is Refusal.UNKNOWN_NAME


def test_computers_are_nobody(directory):
    assert directory.look_up("DC1$", GROUPS) is Refusal.UNKNOWN_NAME


@pytest.mark.full
def test_a_name_that_two_bear_lets_neither_in(controller, directory, domain):
    for name in ("twin", "other-twin"):
        domain.add_user(name, groups=[READERS])
    controller.smuggle("other-twin", "userPrincipalName", "twin@lab.example")
    assert directory.authenticate("twin@lab.example", password_of("twin"), GROUPS) is Refusal.AMBIGUOUS
    assert groups_of(directory, "twin") == {READERS}


# --------------------------------------------------------------------------- groups


@pytest.mark.full
def test_groups_are_known_by_every_name_they_have_however_hostile(directory, domain):
    hostile = 'Röntgen, Ärzte (PACS) \\ "Nacht"* #1'
    whole = domain.add_group(hostile, account="roentgen-nacht")
    domain.add_user("doctor", groups=[hostile])
    asked = [
        hostile,
        hostile.upper(),
        "ROENTGEN-Nacht",
        whole,
        whole.swapcase(),
        "Rontgen, Arzte",
        "*",
        "",
        "CN=*,DC=*",
    ]
    assert groups_of(directory, "doctor", asked) == set(asked[:5])


@pytest.mark.full
def test_the_primary_group_counts(directory, domain):
    domain.add_group("Primary")
    domain.add_user("primus", groups=["Primary"])
    identifier = domain.read("Primary", "objectSid")
    domain.change("primus", primaryGroupID=int.from_bytes(identifier[-4:], "little"))
    asked = ["Primary", "Domain Users", "Domain Admins"]
    assert "Primary" in groups_of(directory, "primus", asked)
    assert groups_of(directory, "nogroup", asked) == {"Domain Users"}


@pytest.mark.full
def test_a_name_that_two_groups_bear_gives_nothing_and_is_told(directory, domain):
    domain.add_group("DF-Twice")
    folder = domain.add_folder("Playground")
    trap = domain.add_group("DF-Twice", account="harmless", folder=folder)
    domain.connection.modify(trap, {"member": [("MODIFY_ADD", [dn("nogroup")])]})
    steps = []
    found = directory.authenticate("nogroup", password_of("nogroup"), ["DF-Twice"], steps.append)
    assert found.groups == frozenset()
    assert any("several groups bear this name" in step.came for step in steps)
    assert groups_of(directory, "nogroup", [trap, dn("DF-Twice")]) == {trap}


@pytest.mark.full
def test_a_distribution_list_gives_nothing_and_is_told(directory, domain):
    domain.add_group("Mailing", groupType=2)
    domain.add_user("reader", groups=["Mailing"])
    steps = []
    found = directory.authenticate("reader", password_of("reader"), ["Mailing"], steps.append)
    assert found.groups == frozenset()
    assert any("distribution list" in step.came for step in steps)


@pytest.mark.full
def test_somebody_in_five_hundred_groups_is_in_all_of_them(directory, domain):
    domain.add_user("busy")
    names = [f"Crowd-{number:03}" for number in range(500)]
    for name in names:
        domain.add_group(name, member=dn("busy"))
    assert groups_of(directory, "busy", [*names, "DF-Admin"]) == set(names)


# --------------------------------------------------------------------------- refusals that take time or settings


@pytest.mark.full
def test_a_locked_account_is_told_apart_and_opens_again(directory, domain):
    domain.lock_after(3, 3)
    try:
        for _ in range(3):
            assert directory.authenticate("locked", "not that one", GROUPS) is Refusal.WRONG_PASSWORD
        assert directory.authenticate("locked", password_of("locked"), GROUPS) is Refusal.LOCKED
        assert directory.look_up("locked", GROUPS) is Refusal.LOCKED
        assert until(True, lambda: isinstance(directory.look_up("locked", GROUPS), Person))
        assert groups_of(directory, "locked") == {READERS}
    finally:
        domain.lock_after(0, 60)


@pytest.mark.full
def test_an_expired_password_is_told_apart(controller, directory, domain):
    domain.add_user("tired")
    domain.change("", maxPwdAge=str(-90 * 24 * 3600 * 10_000_000))
    try:
        assert isinstance(directory.authenticate("tired", password_of("tired"), []), Person)
        controller.smuggle("tired", "pwdLastSet", str(LONG_AGO))
        assert directory.authenticate("tired", password_of("tired"), []) is Refusal.PASSWORD_EXPIRED
        assert directory.look_up("tired", []) is Refusal.PASSWORD_EXPIRED
    finally:
        domain.change("", maxPwdAge=0)
    assert isinstance(directory.authenticate("tired", password_of("tired"), []), Person)


@pytest.mark.full
def test_hours_without_sign_in_are_told_apart(directory, domain):
    domain.add_user("nightly", logonHours=bytes(21))
    assert directory.authenticate("nightly", password_of("nightly"), []) is Refusal.LOGON_HOURS


@pytest.mark.full
@pytest.mark.parametrize(
    "password", ["ª½ ﬁ Straße Å", "p" * 256, "  spaces  ", "日本語のパスワード🩻", "\\*()" * 3, "é" * 100]
)
def test_every_character_of_a_password_arrives_as_it_was_typed(password, directory, domain):
    name = f"speller{abs(hash(password)) % 10**8}"
    domain.add_user(name, password=password)
    assert isinstance(directory.authenticate(name, password, []), Person)
    assert directory.authenticate(name, password + "x" if len(password) < 256 else "x", []) is Refusal.WRONG_PASSWORD


@pytest.mark.full
def test_many_sign_in_at_the_same_time_and_no_connection_is_left(controller, directory):
    names = ["anna", "ben", "carla", "nils", "paula", "joerg", "nogroup"] * 6
    open_before = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: directory.authenticate(name, password_of(name), GROUPS), names))
    assert [person.name for person in found] == names
    assert len(os.listdir("/proc/self/fd")) == open_before


# --------------------------------------------------------------------------- what is wrong with us


@pytest.mark.parametrize("password", ["not that one", password_of("anna")])
def test_a_service_account_that_is_refused_is_our_trouble_and_nobody_elses(password, controller, domain):
    ours = LdapDirectory(controller.settings(password=password))
    steps = []
    with pytest.raises(DirectoryUnavailable, match=f"refuses the service account {SERVICE}") as caught:
        ours.authenticate("anna", password_of("anna"), GROUPS, steps.append)
    assert caught.value.cause == "the password is wrong (52e)"
    assert "Active Directory" in caught.value.remedy
    assert type(caught.value) is DirectoryUnavailable
    assert password not in str(caught.value) + repr(steps)
    assert domain.wrong_passwords("anna") == 0


@pytest.mark.full
def test_a_service_account_that_is_disabled_or_locked_says_so(controller, domain):
    domain.add_user("svc-old", userAccountControl=0x202)
    ours = LdapDirectory(controller.settings(account="svc-old@lab.example", password=password_of("svc-old")))
    with pytest.raises(DirectoryUnavailable) as caught:
        ours.look_up("anna", GROUPS)
    assert caught.value.cause == "the account is disabled (533)"


@pytest.mark.parametrize("base", ["DC=other,DC=example", "OU=Nowhere," + BASE, "nonsense"])
def test_a_base_that_is_not_there_is_said(base, controller):
    with pytest.raises(DirectoryUnavailable, match="knows no") as caught:
        LdapDirectory(controller.settings(base=base)).look_up("anna", GROUPS)
    assert "DC=hospital,DC=example" in caught.value.remedy


def test_a_file_of_authorities_that_is_none_is_said(controller, tmp_path: Path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "absent.pem", tmp_path):
        with pytest.raises(DirectoryUnavailable, match="file of trusted authorities") as caught:
            LdapDirectory(controller.settings(ca_file=str(path))).look_up("anna", GROUPS)
        assert str(path) in caught.value.what
