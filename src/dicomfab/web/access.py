"""Who asks, and what each route declares to need.

A route names the action that it performs. The declaration is checked when the route is called (someone who may do it
nowhere gets no further), and a test walks all routes and fails for one that declares nothing. Which environment the
action touches is known only to the services: they ask the policy table again, for exactly that cell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute, iter_route_contexts

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.errors import AccessDenied
from dicomfab.web.signed_in import is_looked_up, origin_of, who_asks


def current_application(request: Request) -> Application:
    """The installation that these pages belong to."""
    application: Application = request.app.state.application
    return application


def current_actor(request: Request) -> Actor:
    """As whom the services are asked. In mode ``none``, whoever reaches the loopback interface is administrator.

    Raises:
        NotSignedIn: nobody is signed in, or no more.
    """
    who = who_asks(request)
    actor = local_admin("local", "web") if who is None else who.actor
    return replace(actor, address=origin_of(request).address)


# Dependencies that wait for nothing are coroutines: each other one costs a change of threads in every request.


async def _application(request: Request) -> Application:
    return current_application(request)


async def _actor(request: Request) -> Actor:
    if is_looked_up(request):
        return current_actor(request)
    return await to_thread.run_sync(current_actor, request)


CurrentActor = Annotated[Actor, Depends(_actor)]
CurrentApplication = Annotated[Application, Depends(_application)]


class Permission:
    """What a route needs.

    Args:
        action: refused at the door to those who may do it in no environment.
    """

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, actor: CurrentActor) -> None:
        """Called by the framework."""
        self.check(actor)

    def check(self, actor: Actor) -> None:
        """Raise unless the actor may do the action somewhere.

        Raises:
            AccessDenied: with the roles that would allow it.
        """
        decisions = [decide(actor, self.action, scope) for scope in Scope]
        if not any(decision.allowed for decision in decisions):
            raise AccessDenied(
                f"{actor.name} may not {self.action}",
                cause="; ".join(decision.reason for decision in decisions),
                remedy="ask an administrator for the role",
            )


def permission(action: Action) -> Dependency:
    """For ``dependencies=[...]`` of a route: declare what it needs."""
    dependency: Dependency = Depends(Permission(action))
    return dependency


def declared_actions(app: FastAPI) -> dict[str, frozenset[Action]]:
    """``METHOD /path`` of every route -> the actions that it declares; empty where it declares none."""
    return {
        f"{method} {route.path}": frozenset(_actions(route.dependant))
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
        for method in sorted(route.methods or ())
    }


def _actions(dependant: Dependant) -> list[Action]:
    return [d.call.action for d in dependant.dependencies if isinstance(d.call, Permission)]
