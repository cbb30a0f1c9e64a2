"""Accounts of all people: list, add, roles, disable, end sessions, tokens. For those who manage users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.listing import Number
from dicomfab.web.templating import page

router = APIRouter(prefix="/users", dependencies=[permission(Action.MANAGE_USERS)])


#: What a database takes for a number.


class NewUserForm(BaseModel):
    """An account to be made."""

    model_config = ConfigDict(str_max_length=4096)

    name: str = ""
    display_name: str = ""
    password: str = Field(default="", repr=False)
    roles: list[str] = []


class RolesForm(BaseModel):
    """The roles of an account."""

    roles: list[str] = []


class NewPasswordForm(BaseModel):
    """A new password for somebody who has lost theirs."""

    model_config = ConfigDict(str_max_length=4096)

    password: str = Field(default="", repr=False)


class RemoveForm(BaseModel):
    """The name, typed as a confirmation."""

    confirm_name: str = ""


@router.get("")
def every(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """All accounts."""
    return _list(request, actor, application)


@router.post("")
def add(
    request: Request, form: Annotated[NewUserForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Make a local account, or show the form again with what is wrong."""
    try:
        account = application.accounts.add(
            actor, form.name, form.roles, password=form.password, display_name=form.display_name
        )
    except (InvalidInput, Conflict) as error:
        return _list(request, actor, application, form, error)
    return RedirectResponse(f"/users/{account.id}", status_code=303)


@router.get("/{account_id}")
def show(request: Request, account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One account, with its sessions and tokens."""
    return _one(request, account_id, actor, application)


@router.post("/{account_id}/roles")
def set_roles(
    request: Request,
    account_id: Number,
    form: Annotated[RolesForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Change the roles; sessions end, so that the new ones count at once."""
    try:
        application.accounts.set_roles(actor, account_id, form.roles)
    except (InvalidInput, Conflict) as error:
        return _one(request, account_id, actor, application, error)
    return _back(account_id)


@router.post("/{account_id}/password")
def set_password(
    request: Request,
    account_id: Number,
    form: Annotated[NewPasswordForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Give a new password."""
    try:
        application.accounts.set_password(actor, account_id, form.password)
    except (InvalidInput, Conflict) as error:
        return _one(request, account_id, actor, application, error)
    return _back(account_id)


@router.post("/{account_id}/disable")
def disable(request: Request, account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Let an account sign in no more."""
    try:
        application.accounts.disable(actor, account_id)
    except Conflict as error:
        return _one(request, account_id, actor, application, error)
    return _back(account_id)


@router.post("/{account_id}/enable")
def enable(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Let it sign in again."""
    application.accounts.enable(actor, account_id)
    return _back(account_id)


@router.post("/{account_id}/second-factor/remove")
def remove_factor(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """For somebody who has lost the telephone."""
    application.accounts.remove_totp(actor, account_id)
    return _back(account_id)


@router.post("/{account_id}/sessions/end")
def end_sessions(account_id: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """End all sessions of an account."""
    application.sign_in.end_sessions(actor, account_id)
    return _back(account_id)


@router.post("/{account_id}/tokens/{token_id}/revoke")
def revoke(account_id: Number, token_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Make a token worthless."""
    application.api_tokens.revoke(actor, token_id)
    return _back(account_id)


@router.post("/{account_id}/remove")
def remove(
    request: Request,
    account_id: Number,
    form: Annotated[RemoveForm, Form()],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Remove an account, whose name was typed."""
    account = application.accounts.find(actor, account_id)
    try:
        if form.confirm_name.strip() != account.name:
            raise InvalidInput(
                "confirm_name: this is not the account's name",
                field="confirm_name",
                cause="an account that is removed cannot be brought back",
                remedy=f"type {account.name}, or leave it",
            )
        application.accounts.remove(actor, account_id)
    except (InvalidInput, Conflict) as error:
        return _one(request, account_id, actor, application, error)
    return RedirectResponse("/users", status_code=303)


def _back(account_id: int) -> Response:
    return RedirectResponse(f"/users/{account_id}", status_code=303)


def _list(
    request: Request,
    actor: Actor,
    application: Application,
    form: NewUserForm | None = None,
    error: DicomFabError | None = None,
) -> Response:
    context = {
        "accounts": application.accounts.every(actor),
        "form": form or NewUserForm(),
        "roles": list(Role),
        "error": error,
        "wrong": getattr(error, "field", ""),
    }
    return page(request, "users/list.html", context, status_code=status_of(error) if error else 200)


def _one(
    request: Request, account_id: int, actor: Actor, application: Application, error: DicomFabError | None = None
) -> Response:
    account = application.accounts.find(actor, account_id)
    context = {
        "account": account,
        "sessions": application.sign_in.sessions(actor, account_id),
        "tokens": application.api_tokens.of(actor, account_id),
        "roles": list(Role),
        "is_own": actor.account_id == account_id,
        "error": error,
        "wrong": getattr(error, "field", ""),
    }
    return page(request, "users/show.html", context, status_code=status_of(error) if error else 200)
