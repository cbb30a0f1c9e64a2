"""``dicomfab doctor``: say why DICOM fails."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dicomfab.cli import output
from dicomfab.cli.doctor_move import Limit, move
from dicomfab.cli.doctor_report import leave, watching
from dicomfab.cli.session import actor, application
from dicomfab.diagnosis.checks import Role


class DoctorGroup(TyperGroup):
    """``doctor PACS`` means ``doctor server PACS``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a first word that is no command for the server's name."""
        if args and args[0] not in self.commands:
            args = ["server", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=DoctorGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Say why DICOM fails, and who has to change what: doctor PACS, or doctor move --from A --to B. "
    "A server that is called 'move' or 'server' is examined by: doctor server move.",
)


app.command()(move)


@app.command()
def server(
    pacs: Annotated[str, typer.Argument(help="Id or name of a server.")],
    limit_s: Limit = 20.0,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Examine one server: the way to it, our AE titles, C-ECHO and C-FIND. Nothing is stored on it.

    Exit code 0 nothing wrong, 4 something found, 7 cannot tell.
    """
    built = application()
    server = built.pacs.resolve(actor(), pacs)
    on_check = watching({Role.SERVER: server.name}, as_json=as_json)
    leave(built.doctor.server(actor(), server, on_check, limit_s=limit_s), as_json=as_json)
