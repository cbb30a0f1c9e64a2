"""``dicomfab token``: what programs show instead of a password."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dicomfab.app.plain import token_dict
from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.cli.users import ROLES_HELP, Name, Source, moment

if TYPE_CHECKING:
    from dicomfab.model.account import ApiToken

app = typer.Typer(add_completion=False, no_args_is_help=True, help="API tokens for programs: create, list, revoke.")


@app.command()
def create(
    name: Name,
    roles: Annotated[list[str], typer.Argument(help=f"Nothing beyond what the owner may do: {ROLES_HELP}")],
    label: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[int, typer.Option(help="Until it expires, 1 to 90.")] = 30,
    source: Source = "",
    as_json: output.Json = False,
) -> None:
    """Make a token of an account. It is shown once and kept nowhere."""
    built, asking = application(), actor()
    owner = built.accounts.named(asking, name, source=source)
    text, made = built.api_tokens.create(asking, owner.id, roles, label=label, days=days)
    if as_json:
        output.print_json({"token": text, **token_dict(made, owner.name)})
        return
    output.print_text(text)
    output.print_text(f"Token {made.id} of {owner.name} until {moment(made.expires_at)}. It is not shown again.")


@app.command("list")
def list_(
    name: Annotated[str, typer.Option(help="Only those of this account.")] = "",
    source: Source = "",
    as_json: output.Json = False,
) -> None:
    """List the tokens, also those that are no longer valid."""
    built, asking = application(), actor()
    owners = {one.id: one.name for one in built.accounts.every(asking)}
    tokens = built.api_tokens
    found = tokens.of(asking, built.accounts.named(asking, name, source=source).id) if name else tokens.every(asking)
    if as_json:
        output.print_json([token_dict(one, owners.get(one.account_id, "")) for one in found])
    elif not found:
        output.print_text("No tokens")
    else:
        rows = [
            (
                one.id,
                owners.get(one.account_id, ""),
                ", ".join(sorted(one.roles)),
                _state(one),
                moment(one.expires_at),
                moment(one.used_at),
                one.label,
            )
            for one in found
        ]
        output.print_table(("token", "owner", "roles", "state", "expires", "last used", "for"), rows)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="The eight characters that name it: see dicomfab token list.")],
    as_json: output.Json = False,
) -> None:
    """Make a token worthless, for good."""
    revoked = application().api_tokens.revoke(actor(), token)
    if as_json:
        output.print_json({"revoked": revoked.id})
    else:
        output.print_text(f"Revoked {revoked.id}")


def _state(one: ApiToken) -> str:
    if one.revoked_at is not None:
        return "revoked"
    return "expired" if one.expires_at <= datetime.now(UTC) else "valid"
