"""The navigation leads to pages that are there, and shows what one may see."""

from __future__ import annotations

import pytest

from dicomfab.model.actor import Actor, Role
from dicomfab.web.navigation import GROUPS, Entry, current_address, groups_for
from tests.unit.web.conftest import Browser


def actor(*roles: Role) -> Actor:
    return Actor("someone", frozenset(roles), "web")


def labels(*roles: Role, has_accounts: bool = True) -> set[str]:
    return {e.label for group in groups_for(actor(*roles), has_accounts=has_accounts) for e in group.entries}


@pytest.mark.parametrize("entry", [e for group in GROUPS for e in group.entries], ids=lambda e: e.label)
def test_every_entry_leads_to_a_page(browser: Browser, entry: Entry) -> None:
    answer = browser.get(entry.address)
    if answer.status_code == 303:  # to the first page below it
        answer = browser.get(answer.headers["location"])
    assert answer.status_code == 200
    assert entry.needs_accounts or f'<a href="{entry.address}" aria-current="page"' in answer.text


def test_keys_lead_to_one_page_each() -> None:
    keys = [e.key for group in GROUPS for e in group.entries if e.key]
    assert len(keys) == len(set(keys))


def test_only_administrators_see_what_only_they_may_open() -> None:
    assert {"Audit", "Users"} <= labels(Role.ADMIN)
    for role in set(Role) - {Role.ADMIN}:
        assert not {"Audit", "Users"} & labels(role)


def test_without_accounts_there_is_no_page_of_users() -> None:
    assert "Users" not in labels(Role.ADMIN, has_accounts=False)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/", "/"),
        ("/studies", "/studies"),
        ("/studies/1.2.3", "/studies"),
        ("/studies/new", "/studies/new"),
        ("/studiesabc", ""),
        ("/account", ""),
        ("/pacs/prod-pacs-1/routing", "/pacs"),
    ],
)
def test_a_page_belongs_to_the_entry_with_the_longest_address(path: str, address: str) -> None:
    assert current_address(path) == address
