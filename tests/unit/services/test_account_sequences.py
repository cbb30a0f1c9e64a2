"""Whatever is done to accounts, in whatever order, some things stay true."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound, NotSignedIn
from tests.unit.services.accounts_office import HOME, OWNER, PASSWORD, AccountsOffice

NAMES = st.sampled_from(["anna", "ben", "carla", "dora"])
ROLES = st.lists(st.sampled_from([str(role) for role in Role]), max_size=3, unique=True)
#: What may come of a change that contradicts the state; anything else fails the test.
REFUSED = (AccessDenied, Conflict, InvalidInput, NotFound, NotSignedIn)


class Changes(RuleBasedStateMachine):
    """Accounts are changed by the owner of the home and by each other."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.office = AccountsOffice(Path(self.folder.name))
        self.sessions: dict[str, tuple[int, int]] = {}  # token -> account and its version then
        self.tokens: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        code = self.office.set_up.offer(OWNER)
        self.office.set_up.make_first_admin(code or "", "anna", PASSWORD, HOME)

    def actor(self, by: str) -> Actor:
        """The account of this name, or the owner of the home if there is none that could."""
        for account in self.office.repository.every():
            if account.name == by and account.is_active:
                return Actor(by, account.roles, "web", account.id)
        return OWNER

    def id_of(self, name: str) -> int:
        return self.office.accounts.named(OWNER, name).id

    @rule(by=NAMES, name=NAMES, roles=ROLES)
    def add(self, by: str, name: str, roles: list[str]) -> None:
        with suppress(*REFUSED):
            self.office.accounts.add(self.actor(by), name, roles, password=PASSWORD)

    @rule(by=NAMES, name=NAMES, roles=ROLES)
    def set_roles(self, by: str, name: str, roles: list[str]) -> None:
        with suppress(*REFUSED):
            self.office.accounts.set_roles(self.actor(by), self.id_of(name), roles)

    @rule(by=NAMES, name=NAMES, change=st.sampled_from(["disable", "enable", "remove"]))
    def change(self, by: str, name: str, change: str) -> None:
        with suppress(*REFUSED):
            getattr(self.office.accounts, change)(self.actor(by), self.id_of(name))

    @rule(by=NAMES, name=NAMES)
    def set_password(self, by: str, name: str) -> None:
        with suppress(*REFUSED):
            self.office.accounts.set_password(self.actor(by), self.id_of(name), PASSWORD)

    @rule(name=NAMES)
    def sign_in(self, name: str) -> None:
        with suppress(*REFUSED):
            token, who = self.office.enter(name)
            self.sessions[token] = (who.account.id, who.account.version)

    @rule(name=NAMES, roles=ROLES, days=st.integers(1, 90))
    def make_token(self, name: str, roles: list[str], days: int) -> None:
        with suppress(*REFUSED):
            actor = self.actor(name)
            text, made = self.office.tokens.create(actor, self.id_of(name), roles, label="x", days=days)
            self.tokens[text] = made.account_id

    @rule(minutes=st.sampled_from([1, 29, 31, 60 * 24 * 30]))
    def wait(self, minutes: int) -> None:
        self.office.move(minutes=minutes)

    @invariant()
    def an_active_administrator_is_left(self) -> None:
        accounts = self.office.repository.every()
        assert not accounts or any(account.is_admin for account in accounts)

    @invariant()
    def sessions_are_of_accounts_that_are_active_and_unchanged(self) -> None:
        found = {account.id: account for account in self.office.repository.every()}
        for token, (account_id, version) in self.sessions.items():
            with suppress(NotSignedIn):
                account = self.office.sign_ins.by_session(token).account
                assert account.id == account_id
                assert found[account_id].is_active
                assert found[account_id].version == version

    @invariant()
    def tokens_are_of_active_accounts_and_within_their_roles(self) -> None:
        found = {account.id: account for account in self.office.repository.every()}
        for text, account_id in self.tokens.items():
            with suppress(NotSignedIn):
                actor = self.office.tokens.by_token(text, HOME).actor
                assert found[account_id].is_active
                assert _allowed(actor) <= _allowed(Actor("owner", found[account_id].roles))

    def teardown(self) -> None:
        self.office.database.close()
        self.folder.cleanup()


def _allowed(actor: Actor) -> set[tuple[Action, Scope]]:
    return {(action, scope) for action in Action for scope in Scope if decide(actor, action, scope).allowed}


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
