"""Every route with what it needs, read off the application that serves them."""

from __future__ import annotations

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.web.access import declared_actions
from dicomfab.web.app import create_app


def needs(application: Application) -> dict[str, tuple[Action, ...]]:
    """``METHOD /path`` -> the actions that the route declares, by path; none for those that are there for everybody.

    Nothing of the installation is opened.
    """
    declared = declared_actions(create_app(application))
    return {route: tuple(sorted(declared[route])) for route in sorted(declared, key=lambda one: one.split()[::-1])}
