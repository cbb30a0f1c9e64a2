"""``dicomfab access``: who may do what, and what each address of the web interface needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.session import application

if TYPE_CHECKING:
    from dicomfab.app.build import Application

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Who may do what: the policy table.")

EVERYBODY = "everybody"
NOWHERE = "-"


@app.callback()
def group() -> None:
    """Who may do what: the policy table."""


@app.command()
def matrix(as_json: output.Json = False) -> None:
    """Print which role may do what where, and what each address of the web interface needs.

    In the first table, test and prod are the environments of servers and data; system is the installation itself. A
    person with several roles may do what any of them allows. The second table is the door: what an address then
    touches is decided by the first table, for the environment of exactly that server or study.
    """
    found = document(application())
    if as_json:
        output.print_json(found)
        return
    roles = found["roles"]
    output.print_table(("action", *roles), [(action, *row) for action, row in cells(found)])
    output.print_text("")
    output.print_table(("route", "needs", "lets in"), route_rows(found))


def document(application: Application) -> dict[str, Any]:
    """Both tables as plain values."""
    from dicomfab.access.matrix import let_in, table
    from dicomfab.model.actor import Role
    from dicomfab.web.routes import needs

    return {
        "roles": [str(role) for role in Role],
        "actions": {
            str(action): {str(role): [str(scope) for scope in scopes] for role, scopes in row.items()}
            for action, row in table().items()
        },
        "routes": [
            {
                "route": route,
                "needs": [str(action) for action in actions],
                "lets_in": [str(role) for role in let_in(actions)] if actions else [EVERYBODY],
            }
            for route, actions in needs(application).items()
        ],
    }


def cells(document: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The rows of the first table, written out."""
    return [
        (action, [", ".join(row[role]) or NOWHERE for role in document["roles"]])
        for action, row in document["actions"].items()
    ]


def route_rows(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rows of the second table, written out; all five roles are called every role."""
    return [
        (
            one["route"],
            ", ".join(one["needs"]) or NOWHERE,
            "every role" if one["lets_in"] == document["roles"] else ", ".join(one["lets_in"]),
        )
        for one in document["routes"]
    ]
