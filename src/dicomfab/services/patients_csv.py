"""Patients as CSV, for spreadsheets and back again without loss."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from dicomfab.fabricate.patients import FIELD_NAMES
from dicomfab.model.errors import InvalidInput
from dicomfab.services import tables
from dicomfab.services.tables import Columns, CsvRow, RowProblem, guarded
from dicomfab.storage.patients import StoredPatient

COLUMNS: Final = (*FIELD_NAMES, "revision")
_UNDONE: Final = "nothing was imported"
_COLUMNS: Final = Columns(
    COLUMNS,
    {
        "id": "patient_id",
        "issuerofpatientid": "issuer",
        "patientname": "name",
        "dateofbirth": "birth_date",
        "patientbirthdate": "birth_date",
        "patientsex": "sex",
        "patientsize": "size_m",
        "patientweight": "weight_kg",
        "patientaddress": "address",
        "patienttelephonenumbers": "phone",
    },
    needed=("patient_id",),
)


def read_rows(text: str, *, source: str) -> tuple[list[CsvRow], list[RowProblem]]:
    """Read a table of patients; see :func:`dicomfab.services.tables.read_rows`."""
    return tables.read_rows(text, _COLUMNS, source=source, undone=_UNDONE)


def unusable(problems: Sequence[RowProblem], source: str) -> InvalidInput:
    """The error that names every row at fault."""
    return tables.unusable(problems, source, _UNDONE)


def write_rows(patients: Iterable[StoredPatient]) -> str:
    """The table of the patients; :func:`read_rows` gives back the same values.

    A value that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-`` or ``@``) gets an apostrophe
    in front, and so does one that begins with an apostrophe; reading takes it away.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in patients:
        values = {**one.data.as_dict(), "revision": one.revision}
        writer.writerow(guarded(values[name]) for name in COLUMNS)
    return out.getvalue()
