"""Directories and identity providers: which groups give which roles, how sign-ins go. For those who manage users."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.sign_in_words import words_of
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput, NotFound
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import page_with

router = APIRouter(prefix="/directories", dependencies=[permission(Action.MANAGE_USERS)])


class GroupForm(BaseModel):
    """A group, and the roles that it gives."""

    model_config = ConfigDict(str_max_length=4096)

    group: str = ""
    roles: list[str] = []


class ExplainForm(BaseModel):
    """Whose sign-in is to be explained."""

    model_config = ConfigDict(str_max_length=4096)

    name: str = ""
    password: str = Field(default="", repr=False)


@router.get("")
def show(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Everything about them."""
    return _page(request, actor, application)


@router.post("/groups")
def put_group(
    request: Request, form: Annotated[GroupForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Have a group give these roles."""
    try:
        application.account_parts.group_roles.put(actor, form.group, form.roles)
    except InvalidInput as error:
        return _page(request, actor, application, error, form=form)
    return RedirectResponse("/directories#groups", status_code=303)


@router.post("/groups/remove")
def remove_group(
    request: Request, form: Annotated[GroupForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Have a group give nothing any more."""
    try:
        application.account_parts.group_roles.remove(actor, form.group)
    except (InvalidInput, NotFound) as error:
        return _page(request, actor, application, error)
    return RedirectResponse("/directories#groups", status_code=303)


@router.post("/explain")
def explain(
    request: Request, form: Annotated[ExplainForm, Form()], actor: CurrentActor, application: CurrentApplication
) -> Response:
    """Go through a sign-in by the directory, step by step, without signing anybody in."""
    try:
        came, steps = application.account_parts.group_roles.explain(actor, form.name, form.password or None)
    except Conflict as error:
        return _page(request, actor, application, error)
    return _page(request, actor, application, explained={"name": form.name, "came": came, "steps": steps})


def _page(
    request: Request,
    actor: Actor,
    application: Application,
    error: DicomFabError | None = None,
    *,
    form: GroupForm | None = None,
    explained: dict[str, Any] | None = None,
) -> Response:
    parts = application.account_parts
    context = {
        "how": parts.how,
        "words": words_of(parts.how),
        "groups": parts.group_roles.every(actor),
        "traces": parts.group_roles.traces(actor),
        "roles": list(Role),
        "form": form or GroupForm(),
        "explained": explained,
        "error": error,
        "wrong": getattr(error, "field", ""),
    }
    return page_with(request, "directories/show.html", context, error)
