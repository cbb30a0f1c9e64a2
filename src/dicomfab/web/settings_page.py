"""Settings: what is in force in this installation, and where that is changed."""

from __future__ import annotations

import platform
from itertools import groupby

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomfab.access.policy import Action
from dicomfab.app.settings_words import described
from dicomfab.web.access import CurrentApplication, permission
from dicomfab.web.templating import page

router = APIRouter()


@router.get("/settings", dependencies=[permission(Action.CONFIGURE)])
def show(request: Request, application: CurrentApplication) -> Response:
    """Every setting; never a secret."""
    rows = described(application.settings, request.app.state.web)
    groups = [(group, list(settings)) for group, settings in groupby(rows, key=lambda one: one.group)]
    context = {"groups": groups, "python": platform.python_version(), "workers": application.jobs.workers()}
    return page(request, "settings/show.html", context)
