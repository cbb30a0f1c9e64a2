"""The contract of accounts, sessions, tokens and failed attempts, the same on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from dicomfab.model.account import LOCAL, Account, Identity, Origin
from dicomfab.model.actor import Role
from dicomfab.model.errors import Conflict, NotFound
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.api_tokens import ApiTokenRepository
from dicomfab.storage.database import Database
from dicomfab.storage.sessions import SessionRepository
from dicomfab.storage.sign_in_failures import Attempt, SignInFailures

HERE = Origin("192.0.2.1", "a browser")
IDLE, LASTS = timedelta(minutes=30), timedelta(hours=12)
ADMIN = frozenset({Role.ADMIN})
READER = frozenset({Role.TEST_READ})


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> AccountRepository:
    return AccountRepository(database, now=clock)


@pytest.fixture
def sessions(database: Database, clock: Clock) -> SessionRepository:
    return SessionRepository(database, now=clock)


@pytest.fixture
def tokens(database: Database, clock: Clock) -> ApiTokenRepository:
    return ApiTokenRepository(database, now=clock)


@pytest.fixture
def failures(database: Database, clock: Clock) -> SignInFailures:
    return SignInFailures(database, now=clock)


def person(name: str, roles: frozenset[Role] = READER, source: str = LOCAL, subject: str = "") -> Identity:
    return Identity(source, subject or name, name, name.title(), roles)


def begin(sessions: SessionRepository, account: Account, token_hash: str):  # type: ignore[no-untyped-def]
    return sessions.begin(account, token_hash, HERE, idle=IDLE, lasts=LASTS)


def make_token(tokens: ApiTokenRepository, account: Account, clock: Clock, token_id: str = "0123abcd") -> None:
    ends = clock() + timedelta(days=1)
    tokens.add(account.id, token_id, "h", label="ci", roles=READER, expires_at=ends, check=lambda _: None)


def test_source_and_subject_identify_an_account(accounts: AccountRepository) -> None:
    sources = (LOCAL, "ad", "saml", "oidc")
    made = {accounts.add(person("anna", source=source), "").id for source in sources}
    assert len(made) == 4
    with pytest.raises(Conflict, match="anna"):
        accounts.add(person("anna"), "")
    assert [one.source for one in accounts.every()] == sorted(sources)


def test_the_number_of_a_removed_account_never_means_another(accounts: AccountRepository) -> None:
    first = accounts.add(person("anna"), "")
    accounts.remove(first.id)
    assert accounts.add(person("anna"), "").id > first.id
    with pytest.raises(NotFound):
        accounts.find(first.id)


@pytest.mark.parametrize("change", ["set_roles", "set_active", "remove"])
def test_the_last_active_administrator_stays(accounts: AccountRepository, change: str) -> None:
    last, other = accounts.add(person("anna", ADMIN), ""), accounts.add(person("ben", ADMIN), "")
    arguments = {"set_roles": (READER,), "set_active": (False,), "remove": ()}[change]
    accounts.set_active(other.id, False)
    with pytest.raises(Conflict, match="last administrator"):
        getattr(accounts, change)(last.id, *arguments)
    assert accounts.find(last.id).is_admin
    accounts.set_active(other.id, True)
    getattr(accounts, change)(last.id, *arguments)
    assert [one.name for one in accounts.every() if one.is_admin] == ["ben"]


def test_of_many_who_leave_at_once_one_administrator_stays(accounts: AccountRepository) -> None:
    made = [accounts.add(person(f"a{n}", ADMIN), "") for n in range(4)]

    def leave(account: Account) -> bool:
        try:
            accounts.set_active(account.id, False)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(leave, made)) == [False, True, True, True]
    assert sum(one.is_admin for one in accounts.every()) == 1


def test_a_session_is_found_by_its_token_with_its_account(
    accounts: AccountRepository, sessions: SessionRepository, clock: Clock
) -> None:
    anna = accounts.add(person("anna"), "")
    account, session = begin(sessions, anna, "h1")
    assert (account.last_sign_in_at, session.expires_at) == (clock(), clock() + LASTS)
    assert (session.address, session.user_agent) == ("192.0.2.1", "a browser")
    assert sessions.find("h1") == (account, session)
    assert sessions.find("h2") is None


@pytest.mark.parametrize("change", ["set_roles", "set_password", "set_active", "remove", "confirm_totp"])
def test_what_was_proven_before_a_change_begins_no_session(
    accounts: AccountRepository, sessions: SessionRepository, change: str
) -> None:
    accounts.add(person("root", ADMIN), "")
    proven = accounts.add(person("anna"), "")
    accounts.offer_totp(proven.id, "secret")
    arguments = {
        "set_roles": (ADMIN,),
        "set_password": ("other",),
        "set_active": (False,),
        "remove": (),
        "confirm_totp": ("secret", 1),
    }[change]
    getattr(accounts, change)(proven.id, *arguments)
    assert begin(sessions, proven, "h1") is None
    assert sessions.find("h1") is None


@pytest.mark.parametrize("change", ["set_roles", "set_password", "set_active", "remove"])
def test_a_change_ends_the_sessions_of_its_account_alone(
    accounts: AccountRepository, sessions: SessionRepository, change: str
) -> None:
    accounts.add(person("root", ADMIN), "")
    anna, ben = accounts.add(person("anna"), ""), accounts.add(person("ben"), "")
    begin(sessions, anna, "h1")
    begin(sessions, ben, "h2")
    arguments = {"set_roles": (ADMIN,), "set_password": ("other",), "set_active": (False,), "remove": ()}[change]
    getattr(accounts, change)(anna.id, *arguments)
    assert sessions.find("h1") is None
    assert sessions.find("h2") is not None


def test_sessions_are_listed_while_they_live_and_ended_one_by_one_or_all(
    accounts: AccountRepository, sessions: SessionRepository, clock: Clock
) -> None:
    anna, ben = accounts.add(person("anna"), ""), accounts.add(person("ben"), "")
    ids = [begin(sessions, anna, f"h{n}")[1].id for n in range(3)]
    assert [one.id for one in sessions.of(anna.id, IDLE)] == ids[::-1]
    with pytest.raises(NotFound):
        sessions.end_one(ben.id, ids[0])
    sessions.end_one(anna.id, ids[0])
    assert sessions.end("h1")
    assert not sessions.end("h1")
    clock.move(minutes=20)
    sessions.touch(ids[2])
    clock.move(minutes=20)
    assert [one.id for one in sessions.of(anna.id, IDLE)] == [ids[2]]
    assert sessions.end_all(anna.id) == 1


def test_sessions_that_are_over_are_forgotten_at_the_next_sign_in(
    accounts: AccountRepository, sessions: SessionRepository, clock: Clock
) -> None:
    anna = accounts.add(person("anna"), "")
    begin(sessions, anna, "h1")
    clock.move(minutes=30)
    begin(sessions, anna, "h2")
    assert sessions.find("h1") is None


def test_disabling_revokes_tokens_for_good(
    accounts: AccountRepository, tokens: ApiTokenRepository, clock: Clock
) -> None:
    anna = accounts.add(person("anna"), "")
    make_token(tokens, anna, clock)
    accounts.set_active(anna.id, False)
    with pytest.raises(Conflict, match="disabled"):
        make_token(tokens, anna, clock, "ffffffff")
    accounts.set_active(anna.id, True)
    found = tokens.find("0123abcd")
    assert found is not None
    assert found[1].revoked_at == clock()
    assert tokens.find("ffffffff") is None


def test_a_token_is_kept_used_revoked_once_and_goes_with_its_account(
    accounts: AccountRepository, tokens: ApiTokenRepository, clock: Clock
) -> None:
    anna = accounts.add(person("anna"), "")
    make_token(tokens, anna, clock)
    clock.move(hours=1)
    tokens.touch("0123abcd")
    revoked = tokens.revoke("0123abcd")
    assert (revoked.used_at, revoked.revoked_at, revoked.roles) == (clock(), clock(), READER)
    clock.move(hours=1)
    assert tokens.revoke("0123abcd").revoked_at == revoked.revoked_at
    assert tokens.of() == tokens.of(anna.id) == [revoked]
    with pytest.raises(NotFound):
        tokens.revoke("00000000")
    accounts.remove(anna.id)
    assert tokens.of() == []


def test_a_token_that_its_owner_may_not_have_is_not_kept(
    accounts: AccountRepository, tokens: ApiTokenRepository, clock: Clock
) -> None:
    anna = accounts.add(person("anna"), "")

    def refuse(owner: Account) -> None:
        raise Conflict(owner.name)

    with pytest.raises(Conflict, match="anna"):
        tokens.add(anna.id, "0123abcd", "h", label="", roles=ADMIN, expires_at=clock(), check=refuse)
    assert tokens.of() == []


def test_a_directory_is_known_again_and_its_roles_are_taken_over(
    accounts: AccountRepository, sessions: SessionRepository, clock: Clock
) -> None:
    first = accounts.know(person("anna", source="ad", subject="guid"))
    begin(sessions, first, "h1")
    clock.move(hours=1)
    renamed = accounts.know(person("anna.berg", source="ad", subject="guid"))
    assert (renamed.id, renamed.name, renamed.version, renamed.checked_at) == (first.id, "anna.berg", 1, clock())
    assert sessions.find("h1") is not None
    assert accounts.know(person("anna.berg", ADMIN, "ad", "guid")).roles == ADMIN
    assert sessions.find("h1") is None
    accounts.add(person("root", ADMIN), "")
    accounts.set_active(first.id, False)
    assert not accounts.know(person("anna.berg", ADMIN, "ad", "guid")).is_active
    with pytest.raises(Conflict, match="ad"):
        accounts.set_password(first.id, "h")


def test_a_better_hash_never_takes_the_place_of_a_new_password(accounts: AccountRepository) -> None:
    anna = accounts.add(person("anna"), "old")
    accounts.set_password(anna.id, "new")
    accounts.strengthen(anna.id, "old", "old, better")
    assert accounts.secrets(anna.id).password_hash == "new"
    accounts.strengthen(anna.id, "new", "new, better")
    assert accounts.secrets(anna.id).password_hash == "new, better"


def test_a_second_factor_is_confirmed_by_its_own_secret_and_each_step_is_used_once(accounts: AccountRepository) -> None:
    anna = accounts.add(person("anna"), "")
    accounts.offer_totp(anna.id, "first")
    accounts.offer_totp(anna.id, "second")
    assert accounts.confirm_totp(anna.id, "first", 7) is None
    assert not accounts.find(anna.id).has_totp
    confirmed = accounts.confirm_totp(anna.id, "second", 7)
    assert confirmed is not None
    assert confirmed.has_totp
    assert [accounts.use_totp_step(anna.id, step) for step in (7, 6, 8, 8, 9)] == [False, False, True, False, True]
    assert not accounts.remove_totp(anna.id).has_totp


def test_a_set_up_code_works_once_and_only_while_there_is_no_administrator(
    accounts: AccountRepository, clock: Clock
) -> None:
    later = clock() + timedelta(hours=1)
    assert accounts.offer_set_up("old", later)
    assert accounts.offer_set_up("code", later)
    assert accounts.add_first(person("eve", ADMIN), "", "old") is None
    assert accounts.add_first(person("anna", ADMIN), "", "code") is not None
    assert accounts.add_first(person("eve", ADMIN), "", "code") is None
    assert not accounts.offer_set_up("another", later)
    assert [one.name for one in accounts.every()] == ["anna"]


def test_a_set_up_code_expires(accounts: AccountRepository, clock: Clock) -> None:
    accounts.offer_set_up("code", clock() + timedelta(hours=1))
    clock.move(hours=1)
    assert accounts.add_first(person("eve", ADMIN), "", "code") is None
    assert not accounts.has_admin()


def test_a_name_that_is_taken_leaves_the_set_up_code_as_it_is(accounts: AccountRepository, clock: Clock) -> None:
    accounts.add(person("anna"), "")
    accounts.offer_set_up("code", clock() + timedelta(hours=1))
    with pytest.raises(Conflict):
        accounts.add_first(person("anna", ADMIN), "", "code")
    assert accounts.add_first(person("root", ADMIN), "", "code") is not None


def test_five_failures_of_a_name_from_an_address_are_followed_by_a_wait(failures: SignInFailures, clock: Clock) -> None:
    for _ in range(5):
        assert isinstance(failures.begin("anna", "a"), Attempt)
        clock.move(minutes=1)
    assert failures.begin("anna", "a") == 10 * 60
    assert isinstance(failures.begin("anna", "b"), Attempt)
    assert isinstance(failures.begin("ben", "a"), Attempt)
    clock.move(minutes=10)
    assert isinstance(failures.begin("anna", "a"), Attempt)
    assert failures.begin("anna", "a") == 60  # a refused attempt prolongs nothing


def test_twenty_failures_from_an_address_are_followed_by_a_wait_for_all_names(failures: SignInFailures) -> None:
    for n in range(20):
        assert isinstance(failures.begin(f"name {n}", "a"), Attempt)
    assert failures.begin("anna", "a") == 15 * 60
    assert isinstance(failures.begin("anna", "b"), Attempt)


def test_success_forgets_the_failures_of_its_name_and_address_alone(failures: SignInFailures) -> None:
    for name, address in (("anna", "a"), ("anna", "b"), ("ben", "a")):
        for _ in range(4):
            failures.begin(name, address)
    attempt = failures.begin("anna", "a")
    assert isinstance(attempt, Attempt)
    failures.succeed(attempt)
    left = {("anna", "a"): 5, ("anna", "b"): 1, ("ben", "a"): 1}
    for (name, address), count in left.items():
        allowed = [isinstance(failures.begin(name, address), Attempt) for _ in range(count + 1)]
        assert allowed == [True] * count + [False]


def test_an_attempt_that_was_none_does_not_count(failures: SignInFailures) -> None:
    for _ in range(6):
        attempt = failures.begin("anna", "a")
        assert isinstance(attempt, Attempt)
        failures.take_back(attempt)


def test_attempts_at_the_same_moment_are_counted_before_they_are_checked(failures: SignInFailures) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: failures.begin("anna", "a"), range(12)))
    assert sum(isinstance(one, Attempt) for one in begun) == 5
