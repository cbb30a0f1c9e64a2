"""Lists of studies that people hand over as CSV: a row names a study by what is known of it."""

from __future__ import annotations

import datetime
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import NewItem
from dicomfab.model.values import is_uid
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.tables import Columns, CsvRow, RowProblem, read_rows, unusable

MAX_ROWS: Final = 100_000
_UNDONE: Final = "nothing was begun"
_COLUMNS: Final = Columns(
    ("accession_number", "patient_id", "study_instance_uid", "study_date"),
    {
        "accession": "accession_number",
        "accessionno": "accession_number",
        "acc": "accession_number",
        "pid": "patient_id",
        "mrn": "patient_id",
        "studyuid": "study_instance_uid",
        "uid": "study_instance_uid",
        "study": "study_instance_uid",
        "date": "study_date",
    },
    needed=("accession_number", "patient_id", "study_instance_uid"),
)
_DATES: Final = ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y")
# A spreadsheet writes a long number so: its last digits are gone.
_ROUNDED: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """What a row says of a study; blank is unknown. Every value is text as it stands in the file: zeros in front stay.

    Args:
        line: of the file.
        accession_number, patient_id, study_instance_uid: exact.
        study_date: ``YYYYMMDD``.
    """

    line: int
    accession_number: str = ""
    patient_id: str = ""
    study_instance_uid: str = ""
    study_date: str = ""

    def filter(self) -> StudyFilter:
        """The search for it."""
        return StudyFilter(
            accession_number=self.accession_number,
            patient_id=self.patient_id,
            study_instance_uid=self.study_instance_uid,
            date_from=self.study_date,
            date_to=self.study_date,
        )

    def item(self) -> NewItem:
        """The item of a job that looks for the study first."""
        known = {name: value for name, value in asdict(self).items() if value}
        return NewItem(f"line {self.line}", f"line {self.line}", known)

    @classmethod
    def of(cls, request: dict[str, Any]) -> ListedStudy:
        """Take back what an item holds."""
        return cls(**{name: request[name] for name in cls.__slots__ if name in request})


def read_list(text: str, *, source: str) -> list[ListedStudy]:
    """Read a list: a heading line with any of accession_number, patient_id, study_instance_uid and study_date.

    Args:
        text: CSV with comma, semicolon or tab.
        source: what errors call the file.

    Raises:
        InvalidInput: any row that cannot be used, each by its line; nothing is begun then.
    """
    rows, problems = read_rows(text, _COLUMNS, source=source, undone=_UNDONE)
    studies: dict[ListedStudy, None] = {}
    for row in rows:
        study, problem = _listed(row)
        if problem is not None:
            problems.append(problem)
        else:
            studies[study] = None
    if problems:
        raise unusable(sorted(problems, key=lambda one: one.line), source, _UNDONE)
    if not 1 <= len(studies) <= MAX_ROWS:
        raise InvalidInput(
            f"{source}: {len(studies)} rows",
            field="list",
            value=len(studies),
            source=source,
            cause=f"a list has 1 to {MAX_ROWS} rows below its heading line",
            remedy="split it",
        )
    return list(studies)


def _listed(row: CsvRow) -> tuple[ListedStudy, RowProblem | None]:
    values = {name: cell.strip() for name, cell in row.values.items()}
    for name, value in values.items():
        if name in ("accession_number", "patient_id"):
            if any(c in value for c in "*?\\"):
                return _wrong(row, name, "a row names one study: wildcards are for searches")
            if _ROUNDED.fullmatch(value):
                what = f"{value!r} was rounded by a spreadsheet; save the column as text"
                return _wrong(row, name, what)
    study_uid = values.get("study_instance_uid", "")
    if study_uid and not is_uid(study_uid):
        return _wrong(row, "study_instance_uid", f"{study_uid!r} is no UID")
    date = _date(values.get("study_date", ""))
    if date is None:
        return _wrong(row, "study_date", f"{values['study_date']!r} is no date; write 2026-01-31")
    if not any(values.get(name) for name in _COLUMNS.needed):
        return _wrong(row, "row", f"it names no study: none of {', '.join(_COLUMNS.needed)}")
    return ListedStudy(row.line, **{**values, "study_date": date}), None


def _wrong(row: CsvRow, field: str, what: str) -> tuple[ListedStudy, RowProblem]:
    return ListedStudy(row.line), RowProblem(row.line, field, what)


def _date(text: str) -> str | None:
    if not text:
        return ""
    for pattern in _DATES:
        try:
            return datetime.datetime.strptime(text, pattern).replace(tzinfo=datetime.UTC).strftime("%Y%m%d")
        except ValueError:
            continue
    return None
