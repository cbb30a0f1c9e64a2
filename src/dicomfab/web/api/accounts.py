"""Who I am; API tokens; the accounts of all people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain import account_dict, token_dict
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, cut, resource
from dicomfab.web.signed_in import web_settings, who_asks

me = resource("me")
tokens = resource("tokens")
users = resource("users")

#: What a database takes for a number.
Number = Annotated[int, Path(ge=1, lt=2**31, description="Number of the account.")]


class Me(Told):
    """Whoever asks."""

    name: str
    roles: list[Role]
    mode: str = Field(description="none: people on this computer are administrators; else how one signs in.")
    account_id: int | None = Field(description="None in mode none.")
    token_id: str = Field(description="Of the API token that was shown; blank without one.")


class Account(Told):
    """A person who may sign in."""

    id: int
    name: str
    display_name: str
    source: str
    subject: str
    roles: list[Role]
    is_active: bool
    has_totp: bool
    created_at: str
    last_sign_in_at: str | None


class Token(Told):
    """An API token, without its text."""

    id: str
    owner: str
    roles: list[Role]
    label: str
    state: str = Field(description="valid, expired or revoked.")
    created_at: str
    expires_at: str
    used_at: str | None
    revoked_at: str | None


class ShownToken(Token):
    """A new token, with its text: it is shown this once and kept nowhere."""

    token: str


class NewToken(Given):
    """A token to be made."""

    label: str = Field(description="What it is for.", examples=["nightly test"])
    roles: list[str] = Field(max_length=10, description="Nothing beyond what its owner has.", examples=[["test_read"]])
    days: int = Field(30, ge=1, le=90, description="Until it expires.", examples=[30])
    owner: str = Field("", description="Sign-in name of another account, for those who manage users.", examples=[""])


class NewAccount(Given):
    """A local account to be made."""

    name: str = Field(description="Sign-in name.", examples=["anna"])
    roles: list[str] = Field(max_length=10, examples=[["test_read"]])
    password: str = Field(repr=False, examples=["tulip marble seven"])
    display_name: str = ""


class RolesChange(Given):
    """Roles in place of those that an account has."""

    roles: list[str] = Field(max_length=10, examples=[["test_read", "test_write"]])


class NewPassword(Given):
    """A new password for somebody who has lost theirs."""

    password: str = Field(repr=False, examples=["tulip marble seven"])


@me.get("", response_model=Me, dependencies=[permission(Action.OWN_ACCOUNT)])
def who_am_i(request: Request, actor: CurrentActor) -> Any:
    """Tell who asks, with which roles."""
    return {
        "name": actor.name,
        "roles": sorted(actor.roles),
        "mode": web_settings(request).words,
        "account_id": actor.account_id,
        "token_id": actor.token_id,
    }


@tokens.get("", response_model=Listed[Token], dependencies=[permission(Action.OWN_ACCOUNT)])
def every_token(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    owner: Annotated[str, Query(description="Sign-in name of another account, or * for all.")] = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List one's own tokens; for those who manage users, those of another account or of all."""
    if owner == "*":
        names = {one.id: one.name for one in application.accounts.every(actor)}
        found = application.api_tokens.every(actor)
        told = [token_dict(one, names.get(one.account_id, "")) for one in found]
    else:
        account_id, name = _owner(request, application, actor, owner)
        told = [token_dict(one, name) for one in application.api_tokens.of(actor, account_id)]
    return cut(request, told, limit, offset)


@tokens.post("", status_code=201, response_model=ShownToken, dependencies=[permission(Action.OWN_ACCOUNT)])
def make_token(request: Request, body: NewToken, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Make a token; its text is shown this once."""
    account_id, name = _owner(request, application, actor, body.owner)
    text, made = application.api_tokens.create(actor, account_id, body.roles, label=body.label, days=body.days)
    return {"token": text, **token_dict(made, name)}


@tokens.delete("/{token_id}", status_code=204, dependencies=[permission(Action.OWN_ACCOUNT)])
def revoke_token(
    token_id: Annotated[str, Path(max_length=100, description="The characters that name it.")],
    actor: CurrentActor,
    application: CurrentApplication,
) -> None:
    """Make a token worthless, for good."""
    application.api_tokens.revoke(actor, token_id)


@users.get("", response_model=Listed[Account], dependencies=[permission(Action.MANAGE_USERS)])
def every_user(
    request: Request, actor: CurrentActor, application: CurrentApplication, limit: Limit = 50, offset: Offset = 0
) -> Any:
    """List the accounts."""
    return cut(request, [account_dict(one) for one in application.accounts.every(actor)], limit, offset)


@users.post("", status_code=201, response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def add_user(body: NewAccount, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Add a local account."""
    made = application.accounts.add(
        actor, body.name, body.roles, password=body.password, display_name=body.display_name
    )
    response.headers["Location"] = f"/api/v1/users/{made.id}"
    return account_dict(made)


@users.get("/{account_id}", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def show_user(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show an account."""
    return account_dict(application.accounts.find(actor, account_id))


@users.put("/{account_id}/roles", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def set_roles(account_id: Number, body: RolesChange, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Give an account these roles in place of those that it has; its sessions end."""
    return account_dict(application.accounts.set_roles(actor, account_id, body.roles))


@users.put("/{account_id}/password", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def set_password(account_id: Number, body: NewPassword, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Give another's local account a new password; its sessions end."""
    return account_dict(application.accounts.set_password(actor, account_id, body.password))


@users.post("/{account_id}/disable", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def disable_user(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Let nobody use an account; its sessions end and its tokens are revoked for good."""
    return account_dict(application.accounts.disable(actor, account_id))


@users.post("/{account_id}/enable", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def enable_user(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Let an account be used again."""
    return account_dict(application.accounts.enable(actor, account_id))


@users.delete("/{account_id}", response_model=Account, dependencies=[permission(Action.MANAGE_USERS)])
def remove_user(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Remove an account with its sessions and tokens."""
    return account_dict(application.accounts.remove(actor, account_id))


def _owner(request: Request, application: Application, actor: Actor, name: str) -> tuple[int, str]:
    """Number and sign-in name of an account: whoever asks, unless another one is named."""
    if name:
        account = application.accounts.named(actor, name)
        return account.id, account.name
    who = who_asks(request)
    if who is None:
        raise AccessDenied(
            "whoever asks has no account",
            cause="in mode none, everybody on this computer is administrator",
            remedy="name the owner, or set DICOMFAB_AUTH=local and start the server again",
        )
    return who.account.id, who.account.name
