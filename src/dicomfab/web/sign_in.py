"""Signing in and out, and making the first administrator. The only pages that are there for everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode
from dicomfab.model.errors import CodeNeeded, Conflict, DicomFabError, InvalidInput, NotSignedIn
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


class SignInForm(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(str_max_length=4096)

    name: str = ""
    password: str = Field(default="", repr=False)
    code: str = Field(default="", repr=False)
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
    if web_settings(request).mode is Mode.NONE:
        return RedirectResponse("/", status_code=303)
    return _form(request, application, SignInForm(next=own_page(next)))


@router.post("/sign-in")
def sign_in(request: Request, form: Annotated[SignInForm, Form()], application: CurrentApplication) -> Response:
    """Begin a session, always a new one, and go where one wanted to go."""
    if web_settings(request).mode is Mode.NONE:
        return RedirectResponse("/", status_code=303)
    try:
        token, _ = application.sign_in.sign_in(form.name, form.password, origin_of(request), code=form.code)
    except NotSignedIn as error:
        return _form(request, application, form, error)
    if old := session_token(request):
        application.sign_in.sign_out(old, origin_of(request))
    response = RedirectResponse(own_page(form.next), status_code=303)
    set_session(request, response, token)
    return response


@router.post("/sign-out")
def sign_out(request: Request, application: CurrentApplication) -> Response:
    """End the session, here and on the server."""
    if token := session_token(request):
        application.sign_in.sign_out(token, origin_of(request))
    response = RedirectResponse("/sign-in", status_code=303)
    response.headers["Clear-Site-Data"] = '"cache"'  # what "back" would show; the choice of light or dark stays
    drop_session(request, response)
    return response


@router.get("/set-up")
def ask_set_up(request: Request, application: CurrentApplication) -> Response:
    """The form of the first run."""
    if web_settings(request).mode is Mode.NONE or not application.set_up.is_needed():
        return RedirectResponse("/sign-in", status_code=303)
    return page(request, "sign_in/set_up.html", {"form": SetUpForm(), "error": None, "wrong": ""})


@router.post("/set-up")
def set_up(request: Request, form: Annotated[SetUpForm, Form()], application: CurrentApplication) -> Response:
    """Make the first administrator, who then signs in."""
    if web_settings(request).mode is Mode.NONE:
        return RedirectResponse("/", status_code=303)
    try:
        application.set_up.make_first_admin(
            form.code, form.name, form.password, origin_of(request), display_name=form.display_name
        )
    except (NotSignedIn, InvalidInput, Conflict) as error:
        context = {"form": form, "error": error, "wrong": getattr(error, "field", "")}
        return page_with(request, "sign_in/set_up.html", context, error)
    return RedirectResponse("/sign-in", status_code=303)


def _form(request: Request, application: Application, form: SignInForm, error: DicomFabError | None = None) -> Response:
    """The form, with what is wrong; what is secret is typed again."""
    context = {
        "form": form,
        "error": error,
        "is_code_needed": isinstance(error, CodeNeeded),
        "is_first_run": application.set_up.is_needed(),
    }
    return page_with(request, "sign_in/sign_in.html", context, error)
