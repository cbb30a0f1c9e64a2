"""``dicomfab doctor move``: say why a C-MOVE from one server to another fails."""

from __future__ import annotations

from typing import Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.doctor_report import leave, watching
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import From, To, YesProduction
from dicomfab.diagnosis.checks import Role

Limit = Annotated[float, typer.Option("--limit", min=1, max=600, help="Seconds for all checks together.")]
Study = Annotated[
    str,
    typer.Option(
        "--study",
        help="Study Instance UID of a study that the source holds, to be moved instead of one small synthetic "
        "instance; of a large one, a single instance is moved.",
    ),
]


def move(
    source: From,
    destination: To,
    study: Study = "",
    yes_production: YesProduction = False,
    limit_s: Limit = 20.0,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Say why a C-MOVE from one server to another fails: both servers, the route, and a C-MOVE of one instance.

    One small synthetic instance (patient ID SYN-DOCTOR) is stored on the source and moved, and removed again from
    servers of the lab. On production that needs --yes-production; without it, C-ECHO and C-FIND only.

    Exit code 0 nothing wrong, 4 something found, 7 cannot tell.
    """
    built, asking = application(), actor()
    at, to = built.pacs.resolve(asking, source), built.pacs.resolve(asking, destination)
    diagnosis = built.move_doctor.diagnose(
        asking,
        at,
        to,
        study=study,
        confirm_production=yes_production,
        on_check=watching(
            {Role.SOURCE: f"{at.name} (source)", Role.DESTINATION: f"{to.name} (destination)"}, as_json=as_json
        ),
        limit_s=limit_s,
    )
    leave(diagnosis, as_json=as_json)
