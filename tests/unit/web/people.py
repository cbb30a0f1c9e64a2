"""An installation whose people sign in, and browsers that keep their cookies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.account import Account
from dicomfab.model.actor import Role, local_admin
from dicomfab.web.app import create_app
from tests.unit.web.conftest import Browser

OWNER = local_admin("owner", "cli")
PASSWORD = "tulip marble seven"
LOCAL = WebSettings((Mode.LOCAL,))
SESSION = "dicomfab-session-5001"


@dataclass(frozen=True)
class Person(Browser):
    """A browser that keeps its cookies."""

    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**({"Cookie": jar} if jar else {}), **(arguments.pop("headers", None) or {})}
        response = super().request(method, path, headers=headers, **arguments)
        for cookie in response.headers.get_list("set-cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
            if not value.strip('"'):
                del self.cookies[name]
        return response

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        return self.post("/sign-in", {"name": name, "password": password, **more})


def add(application: Application, name: str, *roles: Role) -> Account:
    return application.accounts.add(OWNER, name, roles, password=PASSWORD)


def token_of(application: Application, account: Account, *roles: Role) -> str:
    return application.api_tokens.create(OWNER, account.id, roles or account.roles, label="test")[0]


def nobody(application: Application, web: WebSettings = LOCAL) -> Person:
    """A browser in which nobody has signed in."""
    return Person(create_app(application, web))


def somebody(application: Application, name: str, *roles: Role) -> Person:
    """A new person with these roles, signed in; without the slow way over the password."""
    account = add(application, name, *roles)
    person = nobody(application)
    assert person.sign_in(account.name).status_code == 303
    return person
