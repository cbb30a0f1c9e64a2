"""Signing in and out, and making the first administrator. The only pages that are there for everybody."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode
from dicomfab.model.account import LOCAL
from dicomfab.model.errors import CodeNeeded, Conflict, DicomFabError, DirectoryUnavailable, InvalidInput, NotSignedIn
from dicomfab.services.directory_users import LDAP
from dicomfab.web.access import CurrentApplication
from dicomfab.web.errors import page_with
from dicomfab.web.signed_in import (
    drop_session,
    origin_of,
    own_page,
    session_token,
    set_session,
    web_settings,
)
from dicomfab.web.templating import page

router = APIRouter()
log = logging.getLogger(__name__)


class SignInForm(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(str_max_length=4096)

    name: str = ""
    password: str = Field(default="", repr=False)
    code: str = Field(default="", repr=False)
    source: str = ""
    next: str = "/"


class SetUpForm(BaseModel):
    """What the page of the first run sends."""

    model_config = ConfigDict(str_max_length=4096)

    code: str = Field(default="", repr=False)
    name: str = ""
    display_name: str = ""
    password: str = Field(default="", repr=False)


@router.get("/sign-in")
def ask(request: Request, application: CurrentApplication, next: str = "/") -> Response:  # noqa: A002
    """The form; on the first run it leads to the one that makes the first administrator."""
    if web_settings(request).asks_nobody:
        return RedirectResponse("/", status_code=303)
    return _form(request, application, SignInForm(next=own_page(next)))


@router.post("/sign-in")
def sign_in(request: Request, form: Annotated[SignInForm, Form()], application: CurrentApplication) -> Response:
    """Begin a session, always a new one, and go where one wanted to go."""
    if web_settings(request).asks_nobody:
        return RedirectResponse("/", status_code=303)
    source = form.source or _password_sources(application)[0]
    try:
        token, _ = application.sign_in.sign_in(
            form.name, form.password, origin_of(request), code=form.code, source=source
        )
    except (NotSignedIn, DirectoryUnavailable) as error:
        return _form(request, application, form, error)
    if old := session_token(request):
        application.sign_in.sign_out(old, origin_of(request))
    response = RedirectResponse(own_page(form.next), status_code=303)
    set_session(request, response, token)
    return response


@router.post("/sign-out")
def sign_out(request: Request, application: CurrentApplication) -> Response:
    """End the session, here and on the server."""
    onwards = ""
    if token := session_token(request):
        onwards = _provider_logout(application, token)
        application.sign_in.sign_out(token, origin_of(request))
    response: Response = RedirectResponse("/sign-in", status_code=303)
    if onwards:  # no redirect: a form may lead to this site alone
        response = page(request, "sign_in/left.html", {"address": onwards})
    response.headers["Clear-Site-Data"] = '"cache"'  # what "back" would show; the choice of light or dark stays
    drop_session(request, response)
    return response


@router.get("/set-up")
def ask_set_up(request: Request, application: CurrentApplication) -> Response:
    """The form of the first run."""
    if Mode.LOCAL not in web_settings(request).modes or not application.set_up.is_needed():
        return RedirectResponse("/sign-in", status_code=303)
    return page(request, "sign_in/set_up.html", {"form": SetUpForm(), "error": None, "wrong": ""})


@router.post("/set-up")
def set_up(request: Request, form: Annotated[SetUpForm, Form()], application: CurrentApplication) -> Response:
    """Make the first administrator, who then signs in."""
    if Mode.LOCAL not in web_settings(request).modes:
        return RedirectResponse("/", status_code=303)
    try:
        application.set_up.make_first_admin(
            form.code, form.name, form.password, origin_of(request), display_name=form.display_name
        )
    except (NotSignedIn, InvalidInput, Conflict) as error:
        context = {"form": form, "error": error, "wrong": getattr(error, "field", "")}
        return page_with(request, "sign_in/set_up.html", context, error)
    return RedirectResponse("/sign-in", status_code=303)


def _password_sources(application: Application) -> list[str]:
    """The sources that take a password here; if none is offered, that of local accounts, which then refuses."""
    return [source for source in application.sign_in.sources if source in {LOCAL, LDAP}] or [LOCAL]


def _provider_logout(application: Application, token: str) -> str:
    """Where the browser ends its session at an identity provider, blank if nowhere."""
    try:
        who = application.sign_in.by_session(token)
        if who.session is None or not who.session.elsewhere:
            return ""
        return application.account_parts.elsewhere.leave(who.account.source, who.session)
    except DicomFabError as error:
        log.warning("a session is ended here only: %s", error.what)
        return ""


def _form(request: Request, application: Application, form: SignInForm, error: DicomFabError | None = None) -> Response:
    """The form, with what is wrong; what is secret is typed again."""
    how = application.account_parts.how
    passwords = _password_sources(application)
    context = {
        "form": form,
        "error": error,
        "is_code_needed": isinstance(error, CodeNeeded),
        "is_first_run": LOCAL in how.sources and application.set_up.is_needed(),
        "how": how,
        "passwords": passwords if set(passwords) & set(how.sources) else [],
        "providers": [source for source in how.sources if source not in {LOCAL, LDAP}],
        "local": LOCAL,
    }
    return page_with(request, "sign_in/sign_in.html", context, error)
