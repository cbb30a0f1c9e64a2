"""One's own account: roles, password, second factor, sessions and API tokens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.access.within import within
from dicomfab.app.build import Application
from dicomfab.model.account import SignedIn
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, Conflict, DicomFabError, InvalidInput, NotSignedIn
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import page_with
from dicomfab.web.listing import Number
from dicomfab.web.signed_in import drop_session, origin_of, who_asks

router = APIRouter(prefix="/account", dependencies=[permission(Action.OWN_ACCOUNT)])


class PasswordForm(BaseModel):
    """A change of the password."""

    model_config = ConfigDict(str_max_length=4096)

    old: str = Field(default="", repr=False)
    new: str = Field(default="", repr=False)


class TokenForm(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(str_max_length=200)

    label: str = ""
    roles: list[str] = []
    days: int = 30


class CodeForm(BaseModel):
    """A code of the second factor."""

    model_config = ConfigDict(str_max_length=20)

    code: str = Field(default="", repr=False)


@router.get("")
def show(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """What there is."""
    return _page(request, actor, application)


@router.post("/password")
def change_password(
    request: Request, form: Annotated[PasswordForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Change the password; every session ends, so one signs in again."""
    try:
        application.accounts.change_password(actor, form.old, form.new, origin_of(request))
    except (NotSignedIn, InvalidInput, Conflict) as error:
        return _page(request, actor, application, error=error, part="password")
    response = RedirectResponse("/sign-in", status_code=303)
    drop_session(request, response)
    return response


@router.post("/tokens")
def make_token(
    request: Request, form: Annotated[TokenForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Make a token, and show it this once."""
    own = _own(request)
    try:
        made = application.api_tokens.create(actor, own.account.id, form.roles, label=form.label, days=form.days)
    except (InvalidInput, Conflict) as error:
        return _page(request, actor, application, error=error, part="tokens")
    return _page(request, actor, application, part="tokens", token=made)


@router.post("/tokens/{token_id}/revoke")
def revoke(token_id: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Make one of one's tokens worthless."""
    application.api_tokens.revoke(actor, token_id)
    return RedirectResponse("/account#tokens", status_code=303)


@router.post("/sessions/{session_id}/end")
def end_session(
    request: Request,
    session_id: Number,
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """End one of one's sessions."""
    application.sign_in.end_session(actor, _own(request).account.id, session_id)
    return RedirectResponse("/account#sessions", status_code=303)


@router.post("/second-factor/offer")
def offer(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Show a secret for an app this once; it counts when a code of it was seen."""
    offered = application.accounts.offer_totp(actor, _own(request).account.id)
    return _page(request, actor, application, part="factor", offer=offered)


@router.post("/second-factor/confirm")
def confirm(
    request: Request, form: Annotated[CodeForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Ask for codes from now on."""
    try:
        application.accounts.confirm_totp(actor, _own(request).account.id, form.code)
    except (InvalidInput, Conflict) as error:
        return _page(request, actor, application, error=error, part="factor", confirming=True)
    return RedirectResponse("/account#factor", status_code=303)


@router.post("/second-factor/remove")
def remove_factor(
    request: Request, form: Annotated[CodeForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Ask for codes no more."""
    try:
        application.accounts.drop_own_totp(actor, form.code, origin_of(request))
    except NotSignedIn as error:
        return _page(request, actor, application, error=error, part="factor")
    return RedirectResponse("/account#factor", status_code=303)


def _own(request: Request) -> SignedIn:
    who = who_asks(request)
    if who is None:
        raise AccessDenied(
            "there are no accounts in mode none",
            cause="everybody on this computer is administrator",
            remedy="set DICOMFAB_AUTH=local and start the server again",
        )
    return who


def _page(
    request: Request,
    actor: Actor,
    application: Application,
    *,
    error: DicomFabError | None = None,
    part: str = "",
    **shown_once: Any,
) -> Response:
    own = _own(request)
    account = application.accounts.find(actor, own.account.id)
    context = {
        "account": account,
        "own_session": own.session,
        "sessions": application.sign_in.sessions(actor, account.id),
        "tokens": application.api_tokens.of(actor, account.id),
        "grantable": sorted(within(Role, account.roles)),
        "error": error,
        "wrong": getattr(error, "field", ""),
        "part": part,
        "token": None,
        "offer": None,
        "confirming": False,
        **shown_once,
    }
    return page_with(request, "account/show.html", context, error)
