"""Options that the transferring commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.study_list import ListedStudy

_STUDIES = typer.Argument(help="Study Instance UIDs, or accession numbers that the source knows once.")
Studies: TypeAlias = Annotated[list[str], _STUDIES]
SomeStudies: TypeAlias = Annotated[list[str] | None, _STUDIES]
ListFile: TypeAlias = Annotated[
    str,
    typer.Option(
        "--list",
        metavar="FILE",
        help="CSV with a heading line of accession_number, patient_id, study_instance_uid, study_date; - is standard "
        "input. An outcome for each row; a row that fits several studies is held back.",
    ),
]
Series: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--series", help="Only this series of the one study, by its Series Instance UID; again for more."),
]
From: TypeAlias = Annotated[str, typer.Option("--from", help="Id or name of the server that holds the study.")]
To: TypeAlias = Annotated[str, typer.Option("--to", help="Id or name of the server to send to.")]
YesProduction: TypeAlias = Annotated[
    bool, typer.Option("--yes-production", help="Yes, write to a production server this time.")
]
NoTranscode: TypeAlias = Annotated[
    bool, typer.Option("--no-transcode", help="Send as encoded, or not at all: convert nothing for the server.")
]
Via: TypeAlias = Annotated[
    str,
    typer.Option(
        "--via",
        metavar="dimse|web",
        help="The way this time: DIMSE, or DICOMweb, of which the server needs an address. Without: as its entry says.",
    ),
]
Wait: TypeAlias = Annotated[
    float, typer.Option("--verify-wait", min=0.0, help="Seconds that the destination may take to list what arrived.")
]


def wanted(studies: Sequence[str] | None, list_file: str, source: PacsServer) -> list[str | ListedStudy]:
    """The studies that a command names, or the rows of its list.

    Raises:
        InvalidInput: neither or both are given, or the list cannot be used.
        NotFound: the list is not there, or the source knows no such study.
    """
    if bool(studies) == bool(list_file):
        raise InvalidInput(
            "studies: name studies, or a list of them",
            field="studies",
            value=list(studies or ()),
            cause="both are given" if studies else "neither is given",
            remedy="dicomfab move STUDY --from SERVER --to SERVER, or --list FILE.csv instead of STUDY",
        )
    if not list_file:
        return [application().queries.identify(actor(), source, study) for study in studies or ()]
    from dicomfab.cli.files import read_text
    from dicomfab.services.study_list import read_list

    text = read_text(list_file, remedy="save it as CSV UTF-8")
    return list(read_list(text, source=list_file))
