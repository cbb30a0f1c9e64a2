"""``dicomfab patient``: the registry of patients to fabricate studies of."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from dicomfab.app.plain import patient_dict
from dicomfab.cli import output
from dicomfab.cli.files import read_text
from dicomfab.cli.patient_merges import check_merge, merges
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.fabricate.patterns import Pattern
    from dicomfab.services.patients import PatientImport, Registered
    from dicomfab.storage.patients import StoredPatient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Patients to fabricate studies of: list, add, invent, edit, remove, import, export, merges.",
)
app.command()(merges)
app.command()(check_merge)

Known = Annotated[str, typer.Argument(help="Its Patient ID.", metavar="PATIENT_ID")]
OfIssuer = Annotated[str | None, Option("--of-issuer", help="Its issuer, if several issuers have the ID.")]
Search = Annotated[str, Option(help="Words, each of which occurs in name or ID; accents and case do not matter.")]
PatientId = Annotated[str | None, Option("--id", help="Patient ID.")]
Name = Annotated[str | None, Option(help="FAMILY^GIVEN^MIDDLE.")]
BirthDate = Annotated[str | None, Option(help="YYYYMMDD or YYYY-MM-DD; '' if it is not known.")]
Sex = Annotated[str | None, Option(help="M, F, O, or '' if it is not known.", metavar="M|F|O")]
Issuer = Annotated[str | None, Option(help="Issuer of the Patient ID [new patient: SYN-DICOMFAB].")]
SizeM = Annotated[str | None, Option(help="Height in metres.", metavar="NUMBER")]
WeightKg = Annotated[str | None, Option(help="Weight in kilograms.", metavar="NUMBER")]
Address = Annotated[str | None, Option(help="Postal address in one line.")]
Phone = Annotated[str | None, Option(help="Telephone number, 16 characters at most.")]
Notes = Annotated[str | None, Option(help="Free text; goes into no study.")]
PatternText = Annotated[
    str | None,
    Option(
        "--pattern",
        help="What makes the Patient ID: text with slots {Ndigits}, {Nletters}, {Nhex}, {Nalnum} "
        "[default: SYN{10digits}].",
    ),
]
Start = Annotated[int | None, Option(help="Count, beginning with this number, instead of IDs in no visible order.")]
Increment = Annotated[int | None, Option(help="Count in steps of this size [with --start: 1].")]
Prefix = Annotated[str, Option(help="Text in front of the pattern.")]
Suffix = Annotated[str, Option(help="Text behind the pattern.")]


@app.command("list")
def list_patients(
    search: Search = "",
    sort: Annotated[
        Literal["name", "patient_id", "birth_date", "sex", "changed"], Option(help="The column to order by.")
    ] = "name",
    descending: Annotated[bool, Option("--descending", help="The greatest, or the newest, first.")] = False,
    limit: Annotated[int, Option(min=1, max=10**9, help="At most so many.")] = 100,
    offset: Annotated[int, Option(min=0, max=10**9, help="So many before the first.")] = 0,
    as_json: output.Json = False,
) -> None:
    """List the patients."""
    from dicomfab.storage.patients import PatientSort

    found = application().patients.page(
        actor(), search, sort=PatientSort(sort), descending=descending, limit=limit, offset=offset
    )
    if as_json:
        output.print_json({"total": found.total, "patients": [patient_dict(one) for one in found.patients]})
    elif not found.total:
        output.print_text(
            "No patient matches." if search else "No patients yet. Invent some: dicomfab patient invent --count 5"
        )
    else:
        output.print_table(("Patient ID", "name", "birth date", "sex", "issuer"), [_cells(o) for o in found.patients])
        if found.total > len(found.patients):
            output.print_text(f"{len(found.patients)} of {output.counted(found.total, 'patient')}")


@app.command()
def show(patient_id: Known, issuer: OfIssuer = None, as_json: output.Json = False) -> None:
    """Show everything known of one patient."""
    service = application().patients
    found = service.resolve_reference(actor(), patient_id, issuer)
    values = {**patient_dict(found), "local_studies": service.studies_of(actor(), found)}
    if as_json:
        output.print_json(values)
    else:
        output.print_table(("", ""), [(name, "" if value is None else str(value)) for name, value in values.items()])


@app.command()
def add(
    name: Name = None,
    patient_id: PatientId = None,
    birth_date: BirthDate = None,
    sex: Sex = None,
    issuer: Issuer = None,
    size_m: SizeM = None,
    weight_kg: WeightKg = None,
    address: Address = None,
    phone: Phone = None,
    notes: Notes = None,
    pattern: PatternText = None,
    start: Start = None,
    increment: Increment = None,
    prefix: Prefix = "",
    suffix: Suffix = "",
    as_json: output.Json = False,
) -> None:
    """Add a patient; the name is needed, and an ID is made if none is given."""
    fields = _given(locals())
    made = application().patients.add(actor(), fields, pattern=_pattern(pattern, start, increment, prefix, suffix))
    _print_registered(made, as_json=as_json)


@app.command()
def invent(
    count: Annotated[int, Option(help="How many, up to 10,000.")] = 1,
    seed: Annotated[
        int | None, Option(help="The same seed gives the same persons, with new IDs [default: drawn].")
    ] = None,
    script: Annotated[
        str | None, Option(help="Write the names in japanese, korean, chinese, cyrillic, greek, arabic, ...")
    ] = None,
    contact: Annotated[bool, Option("--contact", help="Invent addresses and telephone numbers too.")] = False,
    pattern: PatternText = None,
    start: Start = None,
    increment: Increment = None,
    prefix: Prefix = "",
    suffix: Suffix = "",
    as_json: output.Json = False,
) -> None:
    """Invent patients and add them, all or none."""
    ids = _pattern(pattern, start, increment, prefix, suffix)
    made = application().patients.invent(actor(), count, seed=seed, pattern=ids, script=script, contact=contact)
    _print_registered(made, as_json=as_json)


@app.command()
def edit(
    known: Known,
    of_issuer: OfIssuer = None,
    patient_id: PatientId = None,
    name: Name = None,
    birth_date: BirthDate = None,
    sex: Sex = None,
    issuer: Issuer = None,
    size_m: SizeM = None,
    weight_kg: WeightKg = None,
    address: Address = None,
    phone: Phone = None,
    notes: Notes = None,
    revision: Annotated[
        int | None, Option(help="Refuse if the patient is no longer at this revision (see show).")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Change a patient; what is not given stays. Studies keep their own copy."""
    fields = _given(locals())
    service = application().patients
    found = service.resolve_reference(actor(), known, of_issuer)
    edited = service.edit(actor(), found.number, fields, revision=revision)
    if as_json:
        output.print_json(patient_dict(edited))
    else:
        verb = "Changed" if edited.revision != found.revision else "Nothing to change in"
        output.print_text(f"{verb} {_line(edited)}")


@app.command()
def remove(
    patient_id: Known,
    issuer: OfIssuer = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a patient. Studies keep their own copy, and the ID is not given out again."""
    service = application().patients
    found = service.resolve_reference(actor(), patient_id, issuer)
    output.confirm(f"Remove patient {_line(found)}?", yes=yes, as_json=as_json)
    removed = service.remove(actor(), found.number)
    if as_json:
        output.print_json({**patient_dict(removed.patient), "local_studies": removed.studies})
    else:
        output.print_text(f"Removed {_line(removed.patient)}")
        if removed.studies:
            output.print_text(f"{output.counted(removed.studies, 'local study', 'local studies')} with this ID stay.")


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(help="A CSV file in UTF-8, or - for standard input.")],
    as_json: output.Json = False,
) -> None:
    """Add and change patients from CSV.

    The file is taken as a whole or not at all. A patient whose ID and issuer are there is changed in the columns that
    the file has; nobody is ever removed.
    """
    source = "standard input" if file == "-" else file
    report = application().patients.import_csv(actor(), read_text(file, remedy="save it as 'CSV UTF-8'"), source=source)
    if as_json:
        output.print_json(
            {
                "added": report.added,
                "changed": report.changed,
                "unchanged": report.unchanged,
                "warnings": report.warnings,
            }
        )
    else:
        _print_report(report)


@app.command()
def export(search: Search = "", as_json: output.Json = False) -> None:
    """Print patients as CSV that `patient import` reads."""
    service = application().patients
    if as_json:
        output.print_json([patient_dict(one) for one in service.page(actor(), search, limit=None).patients])
    else:
        sys.stdout.write(service.export_csv(actor(), search))


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    from dicomfab.fabricate.patients import FIELD_NAMES

    return {name: arguments[name] for name in FIELD_NAMES if arguments.get(name) is not None}


def _pattern(text: str | None, start: int | None, increment: int | None, prefix: str, suffix: str) -> Pattern | None:
    from dicomfab.fabricate.patterns import DEFAULT, Purpose, parse

    if (text, start, increment, prefix, suffix) == (None, None, None, "", ""):
        return None
    whole = DEFAULT if text is None else text
    return parse(whole, Purpose.PATIENT_ID, start=start, increment=increment, prefix=prefix, suffix=suffix)


def _print_registered(made: Registered, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"patients": [patient_dict(one) for one in made.patients], "warnings": made.warnings})
        return
    for one in made.patients:
        output.print_text(f"Added {_line(one)}")
    _print_warnings(made.warnings)


def _print_report(report: PatientImport) -> None:
    for label, ids in (("added", report.added), ("changed", report.changed), ("unchanged", report.unchanged)):
        output.print_text(
            f"{label:<10} {len(ids)}{': ' + ', '.join(ids[:10]) if ids else ''}{', ...' * (len(ids) > 10)}"
        )
    _print_warnings(report.warnings)


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        output.print_text(f"Warning: {warning}.")


def _line(one: StoredPatient) -> str:
    known = (one.data.patient_id, one.data.name, one.data.birth_date, one.data.sex)
    return ", ".join(part for part in known if part)


def _cells(one: StoredPatient) -> tuple[str, ...]:
    data = one.data
    return (data.patient_id, data.name, data.birth_date, data.sex, data.issuer)
