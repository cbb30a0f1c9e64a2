"""``dicomfab users``: who may sign in. For the owner of the home, also when no administrator can sign in any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dicomfab.app.plain import account_dict
from dicomfab.cli import output
from dicomfab.cli.secret_input import PasswordFile, read_password
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from datetime import datetime

    from dicomfab.model.account import Account

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Who may sign in: accounts, roles, passwords, second factors, sessions.",
)

Name: TypeAlias = Annotated[str, typer.Argument(help="Sign-in name.")]
Source: TypeAlias = Annotated[str, typer.Option(help="Where the account is kept, such as local. [wherever it is]")]
ROLES_HELP = "test_read, test_write, prod_read, prod_write, admin; one or several."


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the accounts."""
    found = application().accounts.every(actor())
    if as_json:
        output.print_json([account_dict(one) for one in found])
    elif not found:
        output.print_text("No accounts yet. Add one: dicomfab users add NAME admin")
    else:
        output.print_table(("name", "source", "roles", "state", "second factor", "last sign-in"), map(_cells, found))


@app.command()
def add(
    name: Name,
    roles: Annotated[list[str], typer.Argument(help=ROLES_HELP)],
    display_name: Annotated[str, typer.Option("--display-name", help="The name for people.")] = "",
    password_file: PasswordFile = "",
    as_json: output.Json = False,
) -> None:
    """Add a local account."""
    service, asking = application().accounts, actor()
    password = read_password(password_file, name)
    _finish(service.add(asking, name, roles, password=password, display_name=display_name), "Added", as_json=as_json)


@app.command()
def roles(
    name: Name,
    roles: Annotated[list[str], typer.Argument(help=ROLES_HELP)],
    as_json: output.Json = False,
) -> None:
    """Give a local account these roles in place of those that it has; its sessions end."""
    found = _local(name)
    _finish(application().accounts.set_roles(actor(), found.id, roles), "Changed", as_json=as_json)


@app.command()
def disable(name: Name, source: Source = "", as_json: output.Json = False) -> None:
    """Let nobody use an account; its sessions end and its tokens are revoked for good."""
    found = _named(name, source)
    _finish(application().accounts.disable(actor(), found.id), "Disabled", as_json=as_json)


@app.command()
def enable(name: Name, source: Source = "", as_json: output.Json = False) -> None:
    """Let an account be used again."""
    found = _named(name, source)
    _finish(application().accounts.enable(actor(), found.id), "Enabled", as_json=as_json)


@app.command()
def remove(
    name: Name,
    source: Source = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove an account with its sessions and tokens."""
    found = _named(name, source)
    output.confirm(f"Remove the account {found.name} ({found.source})?", yes=yes, as_json=as_json)
    _finish(application().accounts.remove(actor(), found.id), "Removed", as_json=as_json)


@app.command()
def password(name: Name, password_file: PasswordFile = "", as_json: output.Json = False) -> None:
    """Give a local account another password; its sessions end."""
    found = _local(name)
    new = read_password(password_file, found.name)
    _finish(application().accounts.set_password(actor(), found.id, new), "Changed the password of", as_json=as_json)


@app.command()
def totp(
    name: Name,
    confirm: Annotated[str, typer.Option(help="The code that the app shows: from now on it is asked for.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Ask for no second factor any more.")] = False,
    as_json: output.Json = False,
) -> None:
    """Protect a local account with codes of an app (TOTP), or no more. The secret is shown once."""
    service, asking, found = application().accounts, actor(), _local(name)
    if off:
        _finish(service.remove_totp(asking, found.id), "No second factor any more:", as_json=as_json)
        return
    if not confirm:
        offer = service.offer_totp(asking, found.id)
        if as_json:
            output.print_json({"name": found.name, "secret": offer.secret, "uri": offer.uri})
            return
        output.print_text(f"Secret: {offer.secret}")
        output.print_text(f"URI:    {offer.uri}")
        if not sys.stdin.isatty():
            output.print_text(f"Put it into an app, then: dicomfab users totp {found.name} --confirm CODE")
            return
        confirm = typer.prompt("Put it into an app. Code that it shows", err=True)
    _finish(service.confirm_totp(asking, found.id, confirm), "Second factor is asked for:", as_json=as_json)


@app.command()
def sessions(name: Name, source: Source = "", as_json: output.Json = False) -> None:
    """List the sessions of an account."""
    found = application().sign_in.sessions(actor(), _named(name, source).id)
    if as_json:
        plain = [
            {
                "id": one.id,
                "created_at": one.created_at.isoformat(),
                "seen_at": one.seen_at.isoformat(),
                "expires_at": one.expires_at.isoformat(),
                "address": one.address,
                "user_agent": one.user_agent,
            }
            for one in found
        ]
        output.print_json(plain)
    elif not found:
        output.print_text("No sessions")
    else:
        rows = [
            (str(one.id), moment(one.created_at), moment(one.seen_at), one.address, one.user_agent) for one in found
        ]
        output.print_table(("session", "signed in", "last seen", "from", "browser"), rows)


@app.command("end-sessions")
def end_sessions(name: Name, source: Source = "", as_json: output.Json = False) -> None:
    """End all sessions of an account."""
    ended = application().sign_in.end_sessions(actor(), _named(name, source).id)
    if as_json:
        output.print_json({"ended": ended})
    else:
        output.print_text(f"Ended {output.counted(ended, 'session')}")


def moment(at: datetime | None) -> str:
    """A moment by this machine's clock."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}" if at else "never"


def _named(name: str, source: str) -> Account:
    return application().accounts.named(actor(), name, source=source)


def _local(name: str) -> Account:
    """What only local accounts have is never looked for elsewhere."""
    from dicomfab.model.account import LOCAL

    return _named(name, LOCAL)


def _cells(one: Account) -> tuple[str, ...]:
    state = "active" if one.is_active else "disabled"
    second = "yes" if one.has_totp else "no"
    return one.name, one.source, ", ".join(sorted(one.roles)), state, second, moment(one.last_sign_in_at)


def _finish(one: Account, done: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json(account_dict(one))
    else:
        output.print_text(f"{done} {one.name} ({', '.join(sorted(one.roles)) or 'no role'})")
