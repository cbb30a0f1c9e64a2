"""Options that the transferring commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Studies: TypeAlias = Annotated[
    list[str], typer.Argument(help="Study Instance UIDs, or accession numbers that the source knows once.")
]
From: TypeAlias = Annotated[str, typer.Option("--from", help="Id or name of the server that holds the study.")]
To: TypeAlias = Annotated[str, typer.Option("--to", help="Id or name of the server to send to.")]
YesProduction: TypeAlias = Annotated[
    bool, typer.Option("--yes-production", help="Yes, write to a production server this time.")
]
Wait: TypeAlias = Annotated[
    float, typer.Option("--verify-wait", min=0.0, help="Seconds that the destination may take to list what arrived.")
]
