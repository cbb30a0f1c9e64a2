"""Managing accounts, API tokens and the first run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.model.account import AccountEventKind, Origin, Refusal
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound, NotSignedIn, TooManyAttempts
from tests.unit.services.accounts_office import (
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    OWNER,
    PASSWORD,
    AccountsOffice,
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[AccountsOffice]:
    made = AccountsOffice(tmp_path)
    made.add("root", "admin")
    made.add("anna", "test_write")
    made.events.clear()
    yield made
    made.database.close()


def account_id(office: AccountsOffice, name: str) -> int:
    return office.accounts.named(OWNER, name).id


def token_of(office: AccountsOffice, name: str, *roles: str, days: int = 30) -> str:
    return office.tokens.create(OWNER, account_id(office, name), roles, label="ci", days=days)[0]


def token_actor(office: AccountsOffice, name: str, *roles: str) -> Actor:
    return office.tokens.by_token(token_of(office, name, *roles), HOME).actor


MANAGING = {
    "every": lambda o, a: o.accounts.every(a),
    "named": lambda o, a: o.accounts.named(a, "root"),
    "add": lambda o, a: o.accounts.add(a, "eve", ["admin"], password=PASSWORD),
    "set_roles": lambda o, a: o.accounts.set_roles(a, 1, ["admin"]),
    "disable": lambda o, a: o.accounts.disable(a, 1),
    "enable": lambda o, a: o.accounts.enable(a, 1),
    "remove": lambda o, a: o.accounts.remove(a, 1),
    "set_password": lambda o, a: o.accounts.set_password(a, 1, OTHER_PASSWORD),
    "remove_totp": lambda o, a: o.accounts.remove_totp(a, 1),
    "every token": lambda o, a: o.tokens.every(a),
    "offer set-up": lambda o, a: o.set_up.offer(a),
    # of another account than one's own
    "find": lambda o, a: o.accounts.find(a, 1),
    "rename": lambda o, a: o.accounts.rename(a, 1, "x"),
    "offer_totp": lambda o, a: o.accounts.offer_totp(a, 1),
    "confirm_totp": lambda o, a: o.accounts.confirm_totp(a, 1, "000000"),
    "sessions": lambda o, a: o.sign_ins.sessions(a, 1),
    "end_session": lambda o, a: o.sign_ins.end_session(a, 1, 1),
    "end_sessions": lambda o, a: o.sign_ins.end_sessions(a, 1),
    "tokens": lambda o, a: o.tokens.of(a, 1),
    "create token": lambda o, a: o.tokens.create(a, 1, ["test_read"], label="x"),
    "revoke": lambda o, a: o.tokens.revoke(a, "00000000"),
}


@pytest.mark.parametrize("use", MANAGING)
def test_only_administrators_manage_users_and_no_token_does(office: AccountsOffice, use: str) -> None:
    before = office.repository.every(), office.tokens.every(OWNER)
    everyone_else = frozenset(Role) - {Role.ADMIN}
    by_token = token_actor(office, "root", "admin")
    for actor in (Actor("guest"), Actor("writer", everyone_else, "web", 2), office.actor("anna"), by_token):
        with pytest.raises(AccessDenied):
            MANAGING[use](office, actor)
    assert [a.version for a in office.repository.every()] == [a.version for a in before[0]]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda o, a: o.tokens.create(a, a.account_id, ["test_read"], label="x"), "make a token"),
        (lambda o, a: o.tokens.of(a, a.account_id), "list them"),
        (lambda o, a: o.tokens.revoke(a, a.token_id), "revoke one"),
        (lambda o, a: o.accounts.change_password(a, PASSWORD, OTHER_PASSWORD, HOME), "change the password"),
        (lambda o, a: o.accounts.offer_totp(a, a.account_id), "make a second factor"),
        (lambda o, a: o.accounts.drop_own_totp(a, "000000", HOME), "remove it"),
        (lambda o, a: o.sign_ins.end_sessions(a, a.account_id), "end sessions"),
    ],
)
def test_a_token_cannot_change_even_its_own_account(office: AccountsOffice, call, what: str) -> None:  # type: ignore[no-untyped-def]
    for actor in (token_actor(office, "root", "admin"), token_actor(office, "anna", "test_write")):
        with pytest.raises(AccessDenied):
            call(office, actor)


@pytest.mark.parametrize(
    ("field", "name", "roles", "password", "display"),
    [
        ("name", "", ["admin"], PASSWORD, ""),
        ("name", "two words", ["admin"], PASSWORD, ""),
        ("name", "-x", ["admin"], PASSWORD, ""),
        ("name", "a\u202eb", ["admin"], PASSWORD, ""),
        ("name", "x" * 65, ["admin"], PASSWORD, ""),
        ("roles", "eve", ["root"], PASSWORD, ""),
        ("password", "eve", ["admin"], "short", ""),
        ("password", "eve.example", ["admin"], "eve.example.1", ""),
        ("display_name", "eve", ["admin"], PASSWORD, "a\nb"),
    ],
)
def test_what_cannot_be_used_names_its_field_and_adds_nobody(
    office: AccountsOffice, field: str, name: str, roles: list[str], password: str, display: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        office.accounts.add(OWNER, name, roles, password=password, display_name=display)
    assert caught.value.field == field
    assert len(office.repository.every()) == 2


def test_names_that_look_the_same_are_the_same(office: AccountsOffice) -> None:
    office.accounts.add(OWNER, "Jo\u0308rg", ["test_read"], password=PASSWORD)
    assert office.enter("JÖRG")[1].account.name == "J\u00f6rg"
    for taken in ("jörg", "ＡＮＮＡ", "Root"):
        with pytest.raises(Conflict):
            office.accounts.add(OWNER, taken, ["test_read"], password=PASSWORD)


def test_what_was_done_is_told_with_who_did_it(office: AccountsOffice) -> None:
    root = office.actor("root")
    made = office.accounts.add(root, "ben", ["test_read", "prod_read"], password=PASSWORD)
    office.accounts.set_roles(root, made.id, ["test_read"])
    office.accounts.set_roles(root, made.id, ["test_read"])  # nothing changes, nothing is told
    for change in (office.accounts.disable, office.accounts.enable):
        change(root, made.id)
        change(root, made.id)
    office.accounts.set_password(root, made.id, OTHER_PASSWORD)
    office.accounts.remove(root, made.id)
    told = [(e.kind.value, e.by, e.name) for e in office.events[1:]]
    kinds = ["added", "roles_changed", "disabled", "enabled", "password_changed", "removed"]
    assert told == [(kind, "root", "ben") for kind in kinds]
    assert office.events[2].detail == {"before": "prod_read, test_read", "after": "test_read"}
    assert not any(secret in repr(office.events) for secret in (PASSWORD, OTHER_PASSWORD))


def test_a_name_in_two_sources_wants_to_be_told_apart(office: AccountsOffice) -> None:
    office.directory.people["anna"] = frozenset()
    office.enter("anna", source="ad")
    with pytest.raises(Conflict, match="2 accounts"):
        office.accounts.named(OWNER, "Anna")
    assert office.accounts.named(OWNER, "Anna", source="ad").source == "ad"
    with pytest.raises(NotFound):
        office.accounts.named(OWNER, "anna", source="saml")


def test_what_a_directory_keeps_is_not_changed_here(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset()
    there = office.enter("ben", source="ad")[1].account.id
    for change in (
        lambda: office.accounts.set_roles(OWNER, there, ["admin"]),
        lambda: office.accounts.set_password(OWNER, there, PASSWORD),
        lambda: office.accounts.rename(OWNER, there, "x"),
        lambda: office.accounts.offer_totp(OWNER, there),
    ):
        with pytest.raises(Conflict, match="ad"):
            change()


def test_one_changes_ones_own_password_with_the_old_one(office: AccountsOffice) -> None:
    token, who = office.enter("anna")
    with pytest.raises(NotSignedIn):
        office.accounts.change_password(who.actor, "wrong", OTHER_PASSWORD, HOME)
    with pytest.raises(InvalidInput):
        office.accounts.change_password(who.actor, PASSWORD, "short", HOME)
    office.accounts.change_password(who.actor, PASSWORD, OTHER_PASSWORD, HOME)
    with pytest.raises(NotSignedIn):
        office.sign_ins.by_session(token)
    assert office.enter("anna", OTHER_PASSWORD)
    with pytest.raises(AccessDenied, match="old one"):
        office.accounts.set_password(office.actor("root"), account_id(office, "root"), OTHER_PASSWORD)
    with pytest.raises(AccessDenied):
        office.accounts.change_password(OWNER, PASSWORD, OTHER_PASSWORD, HOME)


def test_guessing_the_old_password_is_throttled(office: AccountsOffice) -> None:
    anna = office.actor("anna")
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            office.accounts.change_password(anna, "wrong", OTHER_PASSWORD, HOME)
    with pytest.raises(TooManyAttempts):
        office.accounts.change_password(anna, PASSWORD, OTHER_PASSWORD, HOME)
    assert [e.refusal for e in office.events if e.kind is AccountEventKind.REFUSED] == [Refusal.WRONG_PASSWORD] * 5


def test_a_second_factor_is_asked_for_after_it_was_confirmed(office: AccountsOffice) -> None:
    anna = office.actor("anna")
    assert anna.account_id is not None
    with pytest.raises(Conflict, match="offered"):
        office.accounts.confirm_totp(anna, anna.account_id, "123456")
    offer = office.accounts.offer_totp(anna, anna.account_id)
    assert offer.uri.startswith("otpauth://totp/DICOM%20Fabricator:anna?secret=" + offer.secret)
    assert offer.secret not in repr(offer)
    with pytest.raises(InvalidInput):
        office.accounts.confirm_totp(anna, anna.account_id, "12345")
    assert office.enter("anna")


def test_a_second_factor_is_removed_with_its_code_or_by_an_administrator(office: AccountsOffice) -> None:
    totp = office.protect(office.accounts.named(OWNER, "anna"))
    anna = office.enter("anna", code=totp.at(office.moment))[1].actor
    with pytest.raises(Conflict, match="already"):
        office.accounts.offer_totp(anna, anna.account_id or 0)
    with pytest.raises(NotSignedIn) as caught:
        office.accounts.drop_own_totp(anna, totp.at(office.moment), HOME)
    assert caught.value.reason == Refusal.CODE_USED
    office.move(seconds=30)
    assert not office.accounts.drop_own_totp(anna, totp.at(office.moment), HOME).has_totp
    office.protect(office.accounts.named(OWNER, "anna"))
    root = office.actor("root")
    assert not office.accounts.remove_totp(root, account_id(office, "anna")).has_totp
    with pytest.raises(AccessDenied):
        office.accounts.remove_totp(root, account_id(office, "root"))


def test_an_administrator_gets_no_secret_of_somebody_else(office: AccountsOffice) -> None:
    root, anna = office.actor("root"), account_id(office, "anna")
    with pytest.raises(AccessDenied, match="another account"):
        office.tokens.create(root, anna, ["test_read"], label="x")
    with pytest.raises(AccessDenied, match="another account"):
        office.accounts.offer_totp(root, anna)


# -- API tokens


def test_a_token_is_shown_once_and_stands_for_its_owner(office: AccountsOffice) -> None:
    anna = office.actor("anna")
    text, made = office.tokens.create(anna, anna.account_id or 0, ["test_read"], label="night build", days=90)
    assert text.startswith(f"dfl_{made.id}_")
    assert office.tokens.of(anna, made.account_id) == [made]
    who = office.tokens.by_token(text, HOME)
    assert who.actor == Actor("anna", frozenset({Role.TEST_READ}), "api", made.account_id, made.id)
    assert office.tokens.of(anna, made.account_id)[0].used_at == office.moment
    assert text[13:] not in repr(office.events)
    office.database.close()
    kept = b"".join(path.read_bytes() for path in office.database.place.parent.iterdir())  # type: ignore[union-attr]
    assert text[13:].encode() not in kept


@pytest.mark.parametrize(
    ("field", "roles", "days"),
    [("roles", [], 1), ("roles", ["prod_read"], 1), ("roles", ["admin"], 1), ("days", ["test_read"], 91),
     ("days", ["test_read"], 0), ("roles", ["no_such"], 1)],
)  # fmt: skip
def test_no_token_goes_beyond_its_owner_or_lasts_for_ever(
    office: AccountsOffice, field: str, roles: list[str], days: int
) -> None:
    with pytest.raises(InvalidInput) as caught:
        office.tokens.create(OWNER, account_id(office, "anna"), roles, label="x", days=days)
    assert caught.value.field == field
    assert office.tokens.every(OWNER) == []


def test_a_token_never_has_more_than_its_owner_has_now(office: AccountsOffice) -> None:
    text, anna = token_of(office, "anna", "test_write", "test_read"), account_id(office, "anna")
    for roles, effective in (
        (["test_read"], {Role.TEST_READ}),
        (["prod_write"], set()),
        (["admin"], {Role.TEST_WRITE, Role.TEST_READ}),
    ):
        office.accounts.set_roles(OWNER, anna, roles)
        assert office.tokens.by_token(text, HOME).actor.roles == effective


def refusal_of(office: AccountsOffice, text: str) -> tuple[object, dict[str, object]]:
    with pytest.raises(NotSignedIn) as caught:
        office.tokens.by_token(text, HOME)
    assert office.events[-1].refusal == caught.value.reason
    return caught.value.reason, caught.value.as_dict()


def test_tokens_that_are_not_valid_are_refused_with_the_same_words(office: AccountsOffice) -> None:
    expired = token_of(office, "anna", "test_read", days=1)
    office.move(days=1)
    revoked = token_of(office, "anna", "test_read")
    office.tokens.revoke(office.actor("root"), revoked.split("_")[1])
    of_disabled = token_of(office, "anna", "test_read")
    fresh = token_of(office, "root", "test_read")
    other = token_of(office, "root", "test_read")
    mixed = f"dfl_{fresh.split('_')[1]}_{other.split('_', 2)[2]}"
    answers = [refusal_of(office, text) for text in (expired, revoked, mixed, "", "dfl_", fresh + "x", fresh[:-1])]
    office.accounts.disable(OWNER, account_id(office, "anna"))
    answers.append(refusal_of(office, of_disabled))
    expected = [Refusal.TOKEN_EXPIRED, Refusal.TOKEN_REVOKED, *[Refusal.TOKEN_UNKNOWN] * 5, Refusal.TOKEN_REVOKED]
    assert [reason for reason, _ in answers] == expected
    assert all(said == answers[0][1] for _, said in answers)
    assert office.tokens.by_token(fresh, HOME)


def test_enabling_an_account_brings_no_token_back(office: AccountsOffice) -> None:
    text, anna = token_of(office, "anna", "test_read"), account_id(office, "anna")
    office.accounts.disable(OWNER, anna)
    office.accounts.enable(OWNER, anna)
    assert refusal_of(office, text)[0] == Refusal.TOKEN_REVOKED


def test_one_revokes_ones_own_tokens_and_nobody_elses(office: AccountsOffice) -> None:
    mine, theirs = token_of(office, "anna", "test_read"), token_of(office, "root", "test_read")
    anna = office.actor("anna")
    assert office.tokens.revoke(anna, mine.split("_")[1]).revoked_at == office.moment
    with pytest.raises(AccessDenied):
        office.tokens.revoke(anna, theirs.split("_")[1])
    with pytest.raises(NotFound):
        office.tokens.revoke(OWNER, "00000000")


def test_a_token_of_a_directory_account_asks_the_directory(office: AccountsOffice) -> None:
    office.directory.people["ben"] = frozenset({Role.PROD_READ})
    ben = office.enter("ben", source="ad")[1].actor
    text, _ = office.tokens.create(ben, ben.account_id or 0, ["prod_read"], label="x")
    office.move(minutes=15)
    office.directory.people["ben"] = frozenset({Role.TEST_READ})
    assert office.tokens.by_token(text, HOME).actor.roles == set()
    office.move(minutes=15)
    del office.directory.people["ben"]
    assert refusal_of(office, text)[0] == Refusal.GONE


# -- the first run


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[AccountsOffice]:
    made = AccountsOffice(tmp_path)
    yield made
    made.database.close()


def test_the_code_makes_the_first_administrator_once(fresh: AccountsOffice) -> None:
    assert fresh.set_up.is_needed()
    code = fresh.set_up.offer(OWNER)
    assert code is not None
    assert len(code) == 19
    made = fresh.set_up.make_first_admin(code.lower().replace("-", " "), "Root", PASSWORD, HOME)
    assert (made.roles, fresh.set_up.is_needed(), fresh.set_up.offer(OWNER)) == ({Role.ADMIN}, False, None)
    with pytest.raises(NotSignedIn):
        fresh.set_up.make_first_admin(code, "eve", PASSWORD, ELSEWHERE)
    assert [account.name for account in fresh.repository.every()] == ["Root"]
    assert fresh.enter("root")
    assert code not in repr(fresh.events)


def test_no_account_exists_before(fresh: AccountsOffice) -> None:
    assert fresh.repository.every() == []
    for name in ("admin", "root", "test", "dicomfab"):
        with pytest.raises(NotSignedIn):
            fresh.enter(name, "test123", Origin(name))


def test_a_set_up_code_expires_and_a_new_one_takes_its_place(fresh: AccountsOffice) -> None:
    old = fresh.set_up.offer(OWNER)
    code = fresh.set_up.offer(OWNER)
    fresh.move(minutes=59)
    for wrong in (old, "", "AAAA-AAAA-AAAA-AAAA"):
        with pytest.raises(NotSignedIn) as caught:
            fresh.set_up.make_first_admin(wrong or "", "eve", PASSWORD, HOME)
        assert caught.value.reason == Refusal.SET_UP_CODE
    with pytest.raises(InvalidInput):
        fresh.set_up.make_first_admin(code or "", "root", "short", HOME)
    fresh.move(minutes=1)
    with pytest.raises(NotSignedIn):
        fresh.set_up.make_first_admin(code or "", "root", PASSWORD, HOME)


def test_guessing_the_set_up_code_is_throttled(fresh: AccountsOffice) -> None:
    code = fresh.set_up.offer(OWNER)
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            fresh.set_up.make_first_admin("AAAA-AAAA-AAAA-AAAA", "eve", PASSWORD, ELSEWHERE)
    with pytest.raises(TooManyAttempts):
        fresh.set_up.make_first_admin(code or "", "eve", PASSWORD, ELSEWHERE)
    assert fresh.set_up.make_first_admin(code or "", "root", PASSWORD, HOME)
