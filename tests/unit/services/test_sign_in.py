"""Sign-in, sessions, the second factor and throttling."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from dicomfab.model.account import AccountEventKind, Identity, Origin, Refusal
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import (
    AccessDenied,
    CodeNeeded,
    NotFound,
    NotSignedIn,
    RenewalNeeded,
    SetupMissing,
    TooManyAttempts,
)
from dicomfab.services.attempts import network_of
from dicomfab.services.passwords import Passwords
from tests.unit.services.accounts_office import (
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    OWNER,
    PASSWORD,
    AccountsOffice,
    cheap_hasher,
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[AccountsOffice]:
    made = AccountsOffice(tmp_path)
    made.add("Root", "admin")
    made.add("Anna", "test_read")
    made.events.clear()
    yield made
    made.database.close()


def test_a_person_signs_in_and_is_known_by_the_session(office: AccountsOffice) -> None:
    token, who = office.enter("ANNA ")
    assert who.actor == Actor("Anna", frozenset({Role.TEST_READ}), "web", who.account.id)
    assert office.sign_ins.by_session(token) == who
    assert len(token) >= 43
    assert [(e.kind, e.by, e.address) for e in office.events] == [(AccountEventKind.SIGNED_IN, "Anna", HOME.address)]


def test_every_sign_in_has_a_token_of_its_own_that_is_kept_nowhere(office: AccountsOffice) -> None:
    first, second = office.enter("anna")[0], office.enter("anna")[0]
    assert first != second
    office.database.close()
    kept = b"".join(path.read_bytes() for path in office.database.place.parent.iterdir())  # type: ignore[union-attr]
    assert first.encode() not in kept
    assert PASSWORD.encode() not in kept


def refused(office: AccountsOffice, name: str, password: str = "a wrong password") -> tuple[dict[str, object], object]:
    office.events.clear()
    with pytest.raises(NotSignedIn) as caught:
        office.enter(name, password)
    assert type(caught.value) is NotSignedIn
    assert caught.value.reason == office.events[-1].refusal
    return caught.value.as_dict(), office.events[-1].refusal


def test_every_refusal_says_the_same_and_the_audit_trail_knows_the_reason(office: AccountsOffice) -> None:
    office.accounts.disable(OWNER, office.accounts.named(OWNER, "anna").id)
    answers = [refused(office, "nobody"), refused(office, "root"), refused(office, "anna", PASSWORD)]
    assert [reason for _, reason in answers] == [Refusal.UNKNOWN_NAME, Refusal.WRONG_PASSWORD, Refusal.DISABLED]
    assert answers[0][0] == answers[1][0] == answers[2][0]
    assert not {str(reason) for _, reason in answers} & set(str(answers[0][0]).replace("'", " ").split())


@pytest.mark.parametrize("name", ["", "*", "anna)(objectClass=*", "\\", "\x00", "x" * 10_000, "a\ud800", "ａnna\x00"])
def test_names_that_nobody_has_are_refused_like_others(office: AccountsOffice, name: str) -> None:
    assert refused(office, name)[1] is Refusal.UNKNOWN_NAME


def test_an_unknown_source_lets_nobody_in(office: AccountsOffice) -> None:
    with pytest.raises(NotSignedIn) as caught:
        office.enter("anna", source="nowhere")
    assert caught.value.reason == Refusal.UNKNOWN_SOURCE


def test_an_unknown_name_costs_as_much_hashing_as_a_wrong_password() -> None:
    """What that takes is measured by benchmarks/bench_sign_in.py."""
    compared: list[str] = []

    class Noting(Argon2Hasher):
        def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002 (pwdlib's own name)
            compared.append(str(hash))
            return super().verify(password, hash)

    passwords = Passwords(hasher=PasswordHash((Noting(time_cost=2, memory_cost=64, parallelism=1),)))
    kept = passwords.hash(PASSWORD)
    assert passwords.verify("wrong", kept) == passwords.verify("wrong", "") == (False, None)
    known, unknown = (one.rpartition("p=1$")[0] for one in compared)
    assert known == unknown
    assert "m=64,t=2," in known


@pytest.mark.parametrize(
    ("waits", "reason"),
    [({"minutes": 30}, Refusal.SESSION_IDLE), ({"hours": 12}, Refusal.SESSION_EXPIRED)],
)
def test_a_session_is_over_after_its_limits(office: AccountsOffice, waits: dict[str, float], reason: Refusal) -> None:
    token, _ = office.enter("anna")
    office.move(**waits)
    with pytest.raises(NotSignedIn) as caught:
        office.sign_ins.by_session(token)
    assert caught.value.reason == reason
    with pytest.raises(NotSignedIn):
        office.sign_ins.by_session(token)


def test_a_session_that_is_used_lives_to_its_absolute_end_and_not_longer(office: AccountsOffice) -> None:
    token, who = office.enter("anna")
    for _ in range(12 * 3 - 1):
        office.move(minutes=20)
        seen = office.sign_ins.by_session(token)
    assert seen.account == who.account
    office.move(minutes=20)
    with pytest.raises(NotSignedIn) as caught:
        office.sign_ins.by_session(token)
    assert caught.value.reason == Refusal.SESSION_EXPIRED


def test_last_seen_is_written_once_a_minute(office: AccountsOffice) -> None:
    token, who = office.enter("anna")
    began = office.moment
    office.move(seconds=59)
    office.sign_ins.by_session(token)
    assert office.sign_ins.sessions(OWNER, who.account.id)[0].seen_at == began
    office.move(seconds=1)
    office.sign_ins.by_session(token)
    assert office.sign_ins.sessions(OWNER, who.account.id)[0].seen_at == office.moment


def test_signing_out_ends_the_session_even_for_a_copied_cookie(office: AccountsOffice) -> None:
    token, other = office.enter("anna")[0], office.enter("anna")[0]
    office.sign_ins.sign_out(token, HOME)
    office.sign_ins.sign_out(token, HOME)
    with pytest.raises(NotSignedIn):
        office.sign_ins.by_session(token)
    assert office.sign_ins.by_session(other)
    assert [event.kind for event in office.events].count(AccountEventKind.SIGNED_OUT) == 1


@pytest.mark.parametrize("change", ["disable", "remove", "set_roles", "set_password"])
def test_a_change_of_the_account_ends_its_sessions(office: AccountsOffice, change: str) -> None:
    token, who = office.enter("anna")
    arguments = {"set_roles": (["prod_read"],), "set_password": (OTHER_PASSWORD,)}.get(change, ())
    getattr(office.accounts, change)(OWNER, who.account.id, *arguments)
    with pytest.raises(NotSignedIn):
        office.sign_ins.by_session(token)


def test_sessions_are_listed_and_ended_by_the_person_and_by_an_administrator(office: AccountsOffice) -> None:
    anna, root = office.actor("anna"), office.actor("root")
    assert anna.account_id is not None
    assert root.account_id is not None
    other = office.enter("anna", origin=ELSEWHERE)[1]
    assert [s.address for s in office.sign_ins.sessions(anna, anna.account_id)] == [ELSEWHERE.address, HOME.address]
    assert other.session is not None
    office.sign_ins.end_session(anna, anna.account_id, other.session.id)
    assert len(office.sign_ins.sessions(root, anna.account_id)) == 1
    for ask in (office.sign_ins.sessions, office.sign_ins.end_sessions):
        with pytest.raises(AccessDenied):
            ask(anna, root.account_id)
    with pytest.raises(AccessDenied):
        office.sign_ins.end_session(anna, root.account_id, 1)
    with pytest.raises(NotFound):
        office.sign_ins.end_session(root, root.account_id, other.session.id)
    assert office.sign_ins.end_sessions(root, anna.account_id) == 1


# -- the second factor


def test_the_code_is_asked_for_only_after_the_right_password_and_works_once(office: AccountsOffice) -> None:
    totp = office.protect(office.accounts.named(OWNER, "anna"))
    with pytest.raises(CodeNeeded):
        office.enter("anna")
    assert refused(office, "anna")[1] is Refusal.WRONG_PASSWORD
    code = totp.at(office.moment)
    assert office.enter("anna", code=f"{code[:3]} {code[3:]}")
    with pytest.raises(NotSignedIn) as caught:
        office.enter("anna", code=code)
    assert caught.value.reason == Refusal.CODE_USED


@pytest.mark.parametrize("code", ["000000x", "1", "１２３４５６", "-12345"])
def test_a_wrong_code_is_refused_as_a_wrong_password_is(office: AccountsOffice, code: str) -> None:
    office.protect(office.accounts.named(OWNER, "anna"))
    with pytest.raises(NotSignedIn) as caught:
        office.enter("anna", code=code)
    assert caught.value.reason == Refusal.WRONG_CODE
    assert caught.value.as_dict() == refused(office, "nobody")[0]


def test_codes_of_the_steps_beside_are_taken_and_older_ones_are_not(office: AccountsOffice) -> None:
    totp = office.protect(office.accounts.named(OWNER, "anna"))
    office.move(minutes=5)
    old, before, after = (totp.at(office.moment + timedelta(seconds=30 * n)) for n in (-2, -1, 1))
    with pytest.raises(NotSignedIn):
        office.enter("anna", code=old)
    assert office.enter("anna", code=before)
    assert office.enter("anna", code=after)
    with pytest.raises(NotSignedIn) as caught:
        office.enter("anna", code=totp.at(office.moment))
    assert caught.value.reason == Refusal.CODE_USED


def test_wrong_codes_are_counted_like_wrong_passwords(office: AccountsOffice) -> None:
    office.protect(office.accounts.named(OWNER, "anna"))
    for _ in range(6):
        with pytest.raises(CodeNeeded):
            office.enter("anna")
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            office.enter("anna", code="1")
    with pytest.raises(TooManyAttempts):
        office.enter("anna")


# -- throttling


def test_the_sixth_attempt_is_refused_even_with_the_right_password_and_another_address_gets_in(
    office: AccountsOffice,
) -> None:
    for _ in range(5):
        refused(office, "anna")
    with pytest.raises(TooManyAttempts) as caught:
        office.enter("Anna")
    assert caught.value.retry_after_s == 15 * 60
    assert caught.value.as_dict()["retry_after_s"] == 900
    assert office.events[-1].refusal is Refusal.TOO_MANY
    assert office.enter("anna", origin=ELSEWHERE)
    office.move(minutes=15)
    assert office.enter("anna")


def test_a_name_that_nobody_has_is_throttled_in_the_same_way(office: AccountsOffice) -> None:
    for _ in range(5):
        refused(office, "nobody")
    with pytest.raises(TooManyAttempts) as caught:
        office.enter("nobody")
    assert caught.value.retry_after_s == 15 * 60


def test_twenty_failures_close_an_address_for_all_names(office: AccountsOffice) -> None:
    for n in range(20):
        refused(office, f"name{n}")
    with pytest.raises(TooManyAttempts):
        office.enter("anna")
    assert office.enter("anna", origin=ELSEWHERE)


def test_failures_before_a_success_are_forgotten(office: AccountsOffice) -> None:
    for _ in range(2):
        for _ in range(4):
            refused(office, "anna")
        assert office.enter("anna")


def test_a_refused_attempt_costs_no_hashing(office: AccountsOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        refused(office, "anna")
    asked: list[str] = []
    monkeypatch.setattr(office.passwords, "verify", lambda *given: asked.append(given[0]))
    with pytest.raises(TooManyAttempts):
        office.enter("anna")
    assert asked == []


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address" * 20, ("no address" * 20)[:64]),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


# -- directories


def test_the_same_name_in_a_directory_is_another_account(office: AccountsOffice) -> None:
    office.directory.people["anna"] = frozenset({Role.PROD_READ})
    local, there = office.enter("anna")[1].account, office.enter("anna", source="ad")[1].account
    assert local.id != there.id
    assert there.roles == {Role.PROD_READ}


def test_a_directory_that_cannot_be_asked_lets_nobody_in_and_counts_against_nobody(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset()
    office.directory.error = SetupMissing("the directory is down")
    for _ in range(6):
        with pytest.raises(SetupMissing):
            office.enter("ben", source="ad")
    office.directory.error = None
    assert office.enter("ben", source="ad")


def test_roles_of_a_directory_are_asked_for_again_after_a_while(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset({Role.PROD_WRITE})
    token, _ = office.enter("ben", source="ad")
    office.directory.people["ben"] = frozenset({Role.PROD_WRITE, Role.PROD_READ})
    office.move(minutes=14)
    assert office.sign_ins.by_session(token).actor.roles == {Role.PROD_WRITE}
    assert office.directory.asked == 0
    office.move(minutes=1)
    for _ in range(3):
        assert office.sign_ins.by_session(token).actor.roles == {Role.PROD_WRITE, Role.PROD_READ}
    assert office.directory.asked == 1
    office.move(minutes=15)
    del office.directory.people["ben"]
    with pytest.raises(NotSignedIn) as caught:
        office.sign_ins.by_session(token)
    assert caught.value.reason == Refusal.GONE


def test_a_role_that_a_directory_takes_away_ends_the_session(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset({Role.PROD_WRITE, Role.TEST_READ})
    token, _ = office.enter("ben", source="ad")
    office.directory.people["ben"] = frozenset({Role.TEST_READ})
    office.move(minutes=15)
    for reason in (Refusal.CHANGED, Refusal.SESSION_UNKNOWN):
        with pytest.raises(NotSignedIn) as caught:
            office.sign_ins.by_session(token)
        assert caught.value.reason == reason
    [event] = [one for one in office.events if one.kind is AccountEventKind.ROLES_CHANGED]
    assert event.detail == {"roles": "test_read", "why": "ad says so"}
    assert office.enter("ben", source="ad")[1].actor.roles == {Role.TEST_READ}


def test_what_an_identity_provider_said_holds_for_a_quarter_of_an_hour(office: AccountsOffice) -> None:
    """Then the browser has to go there again; the session waits for it."""
    identity = Identity("saml", "subject", "carla", "Carla", frozenset({Role.TEST_READ}))
    token, _ = office.sign_ins.begin_as(identity, HOME, {"name_id": "carla"})
    office.move(minutes=14)
    assert office.sign_ins.by_session(token).actor.roles == {Role.TEST_READ}
    with pytest.raises(RenewalNeeded) as early:
        office.sign_ins.by_session(token, within=timedelta(minutes=5))
    office.move(minutes=1)
    with pytest.raises(RenewalNeeded) as late:
        office.sign_ins.by_session(token)
    assert {early.value.source, late.value.source} == {"saml"}
    office.sign_ins.begin_as(identity, HOME, {})
    assert office.sign_ins.by_session(token).actor.name == "carla"


def test_an_account_of_a_directory_that_was_disabled_here_stays_out(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset({Role.TEST_READ})
    account = office.enter("ben", source="ad")[1].account
    office.accounts.disable(OWNER, account.id)
    with pytest.raises(NotSignedIn) as caught:
        office.enter("ben", source="ad")
    assert caught.value.reason == Refusal.DISABLED


# -- hashes


def test_a_weak_hash_is_made_anew_at_the_next_sign_in(tmp_path: Path) -> None:
    stronger = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=64, parallelism=1),))
    office = AccountsOffice(tmp_path, Passwords(hasher=stronger))
    anna = office.add("anna", "test_read")
    office.repository.set_password(anna.id, cheap_hasher().hash(PASSWORD))
    token, _ = office.enter("anna")
    assert "m=64,t=2" in office.repository.secrets(anna.id).password_hash
    assert office.sign_ins.by_session(token)
    assert office.enter("anna")
    office.database.close()


def test_an_origin_without_an_address_can_sign_in(office: AccountsOffice) -> None:
    assert office.enter("anna", origin=Origin())
