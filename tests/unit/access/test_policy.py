"""The policy, written out a second time: whoever changes one cell of the table must change this page too."""

from __future__ import annotations

import pytest

from dicomfab.access.policy import Action, Scope, decide, require, visible
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.errors import AccessDenied
from dicomfab.model.values import Environment

# One line for each action and scope; then who may: tr tw pr pw ad.
EXPECTED = """
                      test_read  test_write  prod_read  prod_write  admin
view       test       yes        yes         -          -           yes
view       prod       -          -           yes        yes         yes
view       system     -          -           -          -           -
echo       test       yes        yes         -          -           yes
echo       prod       -          -           yes        yes         yes
echo       system     -          -           -          -           -
query      test       yes        yes         -          -           yes
query      prod       -          -           yes        yes         yes
query      system     -          -           -          -           -
retrieve   test       yes        yes         -          -           yes
retrieve   prod       -          -           yes        yes         yes
retrieve   system     -          -           -          -           -
export     test       yes        yes         -          -           yes
export     prod       -          -           yes        yes         yes
export     system     -          -           -          -           -
store      test       -          yes         -          -           yes
store      prod       -          -           -          yes         yes
store      system     -          -           -          -           -
delete     test       -          yes         -          -           yes
delete     prod       -          -           -          yes         yes
delete     system     -          -           -          -           -
fabricate  test       -          -           -          -           -
fabricate  prod       -          -           -          -           -
fabricate  system     yes        yes         yes        yes         yes
configure  test       -          -           -          -           -
configure  prod       -          -           -          -           -
configure  system     -          -           -          -           yes
read_audit   test       -          -           -          -           -
read_audit   prod       -          -           -          -           -
read_audit   system     -          -           -          -           yes
manage_users test       -          -           -          -           -
manage_users prod       -          -           -          -           -
manage_users system     -          -           -          -           yes
own_account  test       -          -           -          -           -
own_account  prod       -          -           -          -           -
own_account  system     yes        yes         yes        yes         yes
"""


def cells() -> list[tuple[str, str, str, bool]]:
    header, *lines = (line.split() for line in EXPECTED.strip().splitlines())
    return [
        (role, action, scope, word == "yes")
        for action, scope, *words in lines
        for role, word in zip(header, words, strict=True)
    ]


def test_the_page_has_every_cell_once():
    written = [(role, action, scope) for role, action, scope, _ in cells()]
    assert sorted(written) == sorted((str(r), str(a), str(s)) for r in Role for a in Action for s in Scope)


@pytest.mark.parametrize(("role", "action", "scope", "allowed"), cells())
def test_cell(role, action, scope, allowed):
    decision = decide(Actor("someone", frozenset({Role(role)})), Action(action), Scope(scope))
    assert decision.allowed is allowed
    assert (role in decision.reason) or not allowed


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("action", Action)
def test_without_a_role_nothing_is_allowed(action, scope):
    assert not decide(Actor("nobody"), action, scope).allowed


def test_several_roles_add_up():
    both = Actor("someone", frozenset({Role.TEST_WRITE, Role.PROD_READ}))
    assert decide(both, Action.STORE, Environment.TEST).allowed
    assert decide(both, Action.QUERY, Environment.PROD).allowed
    assert not decide(both, Action.STORE, Environment.PROD).allowed


def test_denial_names_who_what_where_and_the_roles_that_would_do():
    with pytest.raises(AccessDenied) as caught:
        require(Actor("eva", frozenset({Role.TEST_READ})), Action.STORE, Environment.PROD)
    assert "eva" in caught.value.what
    assert "store" in caught.value.what
    assert "prod" in caught.value.what
    assert "prod_write" in caught.value.cause
    assert "admin" in caught.value.cause
    assert "you have test_read" in caught.value.cause


def test_require_is_silent_when_allowed():
    require(local_admin("root", "cli"), Action.CONFIGURE, Scope.SYSTEM)


@pytest.mark.parametrize(
    ("roles", "environments"),
    [
        ((), set()),
        ((Role.TEST_READ,), {Environment.TEST}),
        ((Role.PROD_WRITE,), {Environment.PROD}),
        ((Role.TEST_WRITE, Role.PROD_READ), {Environment.TEST, Environment.PROD}),
        ((Role.ADMIN,), {Environment.TEST, Environment.PROD}),
    ],
)
def test_visible(roles, environments):
    assert visible(Actor("someone", frozenset(roles)), Action.VIEW) == environments
