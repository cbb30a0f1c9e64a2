"""``dicomfab auth``: directories and identity providers, for administrators."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.secret_input import read_password
from dicomfab.cli.session import actor, application
from dicomfab.cli.users import ROLES_HELP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dicomfab.model.person import Step

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Directories and identity providers: what is set, which groups give which roles, how a sign-in goes.",
)

Group = Annotated[str, typer.Argument(help="As the directory names it.")]
#: What comes of a sign-in that goes well.
_GOOD = frozenset({"signed_in", "proven"})


@app.command()
def show(as_json: output.Json = False) -> None:
    """Show how people sign in, as the settings of this process have it."""
    from dicomfab.app.sign_in_words import how_dict, words_of

    how = application().account_parts.how
    if as_json:
        output.print_json(how_dict(how))
        return
    for source, settings in words_of(how).items():
        output.print_text(f"{how.titles[source]} ({source})")
        for label, value in settings.items():
            output.print_text(f"  {label}: {value}")


@app.command()
def groups(as_json: output.Json = False) -> None:
    """List the groups that give roles."""
    found = application().account_parts.group_roles.every(actor())
    if as_json:
        output.print_json([{"group": name, "roles": sorted(roles)} for name, roles in found.items()])
    elif not found:
        output.print_text("No group gives a role. Have one do so: dicomfab auth set-group GROUP ROLE")
    else:
        output.print_table(("group", "roles"), ((name, ", ".join(sorted(roles))) for name, roles in found.items()))


@app.command("set-group")
def set_group(
    group: Group, roles: Annotated[list[str], typer.Argument(help=ROLES_HELP)], as_json: output.Json = False
) -> None:
    """Have a group give these roles in place of those that it gives now."""
    application().account_parts.group_roles.put(actor(), group, roles)
    _changed({"group": group, "roles": sorted(set(roles))}, f"{group} gives {', '.join(sorted(set(roles)))}.", as_json)


@app.command("remove-group")
def remove_group(group: Group, as_json: output.Json = False) -> None:
    """Have a group give nothing any more."""
    application().account_parts.group_roles.remove(actor(), group)
    _changed({"group": group, "roles": []}, f"{group} gives nothing any more.", as_json)


@app.command("test")
def explain(
    user: Annotated[str, typer.Option("--user", help="The name, as the person types it.")],
    password: Annotated[
        bool, typer.Option("--password", help="Ask for the password too, and prove it. A wrong one counts there.")
    ] = False,
    password_file: Annotated[str, typer.Option(help="Read the password from this file; - is standard input.")] = "",
    as_json: output.Json = False,
) -> None:
    """Explain a sign-in by the directory step by step: what is asked, what comes, which groups, which roles.

    Nobody is signed in. Exits with 0 if the person would come in, 5 if not, 4 if the directory cannot be asked.
    """
    given = read_password(password_file, user, is_new=False) if password or password_file else None
    came, steps = application().account_parts.group_roles.explain(actor(), user, given)
    if as_json:
        output.print_json({"user": user, "came": came, "steps": [_step_dict(step) for step in steps]})
    else:
        _print_steps(steps)
        output.print_text(f"{user}: {'would come in' if came in _GOOD else came.replace('_', ' ')}")
    if came not in _GOOD:
        sys.exit(4 if came == "unavailable" else 5)


@app.command()
def last(
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=100)] = 10, as_json: output.Json = False
) -> None:
    """Show how the last sign-ins by directories and identity providers went, step by step."""
    found = application().account_parts.group_roles.traces(actor(), limit)
    if as_json:
        output.print_json(
            [
                {
                    "at": one.at.isoformat(),
                    "source": one.source,
                    "name": one.name,
                    "came": one.came,
                    "steps": [_step_dict(step) for step in one.steps],
                }
                for one in found
            ]
        )
        return
    for one in found:
        when = one.at.isoformat(timespec="seconds")
        output.print_text(f"{when}  {one.name or 'nobody'} by {one.source}: {one.came.replace('_', ' ')}")
        _print_steps(one.steps)
    if not found:
        output.print_text("Nobody has signed in by a directory yet.")


def _print_steps(steps: Iterable[Step]) -> None:
    for step in steps:
        output.print_text(f"  {'ok  ' if step.is_good else 'FAIL'} {step.what}: {step.came}")


def _step_dict(step: Step) -> dict[str, object]:
    return {"what": step.what, "came": step.came, "is_good": step.is_good}


def _changed(plain: dict[str, object], said: str, as_json: bool) -> None:
    if as_json:
        output.print_json(plain)
    else:
        output.print_text(said)
