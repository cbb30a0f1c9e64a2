"""``dicomfab settings``: what is in force in this installation."""

from __future__ import annotations

import typer

from dicomfab.cli import output

app = typer.Typer(add_completion=False, help="Every setting: what it is for, its value, and whether it was given.")


@app.callback(invoke_without_command=True)
def settings(as_json: output.Json = False) -> None:
    """List every setting: what it is for, its value, and whether the environment says so. Never a secret."""
    from dicomfab.access.policy import Action, Scope, require
    from dicomfab.app.settings_words import described
    from dicomfab.app.web_settings import load_web_settings
    from dicomfab.cli.session import actor, application

    require(actor(), Action.CONFIGURE, Scope.SYSTEM)
    rows = described(application().settings, load_web_settings())
    if as_json:
        output.print_json([row.as_dict() for row in rows])
        return
    cells = [(row.name, row.value, "environment" if row.is_given else "default", row.meaning) for row in rows]
    output.print_table(("name", "value", "from", "meaning"), cells)
