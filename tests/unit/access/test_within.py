from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.access.within import within
from dicomfab.model.actor import Actor, Role

ROLES = st.frozensets(st.sampled_from(Role))


@pytest.mark.parametrize(
    ("asked", "held", "granted"),
    [
        ({Role.TEST_READ}, {Role.TEST_READ}, {Role.TEST_READ}),
        ({Role.TEST_READ}, {Role.TEST_WRITE}, {Role.TEST_READ}),
        ({Role.TEST_WRITE}, {Role.TEST_READ}, set()),
        ({Role.PROD_READ}, {Role.TEST_WRITE}, set()),
        ({Role.ADMIN}, {Role.TEST_WRITE, Role.PROD_WRITE}, set()),
        (set(Role), {Role.ADMIN}, set(Role)),
        (set(Role), set(), set()),
    ],
)
def test_roles_within_others(asked, held, granted):
    assert within(asked, held) == granted


@given(ROLES, ROLES)
def test_what_is_granted_allows_nothing_that_is_not_held(asked, held):
    effective, owner = Actor("token", within(asked, held)), Actor("owner", held)
    for action in Action:
        for scope in Scope:
            if decide(effective, action, scope).allowed:
                assert decide(owner, action, scope).allowed


@given(ROLES)
def test_what_is_held_is_granted(held):
    assert within(held, held) == held
