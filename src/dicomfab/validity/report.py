"""What a validation found: counted, grouped, as plain values."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicomfab.validity.findings import Finding, Severity
from dicomfab.validity.summary import Summary

_ORDER: Final = {severity: number for number, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file.

    Args:
        path: the file.
        iod: as dciodvfy recognised it; empty if it did not.
        summary: what the instance says about itself; ``None`` if it could not be read.
        findings: everything found in this file alone.
    """

    path: Path
    iod: str
    summary: Summary | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class SharedFinding:
    """Something that shows only when files are compared.

    Args:
        finding: what.
        study_instance_uid: the study; empty if it is about several.
        paths: the files that it is about.
    """

    finding: Finding
    study_instance_uid: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The same finding in several files.

    Args:
        finding: the first of them.
        count: in how many files.
        paths: these files.
    """

    finding: Finding
    count: int
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: one IOD in one transfer syntax."""

    family: str
    transfer_syntax: str
    files: int
    invalid: int
    errors: int
    warnings: int
    expected: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a validation found.

    Args:
        files: in the order given.
        shared: what shows only when files are compared.
        skipped: files of folders that are no DICOM files.
        unreadable: files that could not be opened, with the reason.
        not_run: parts of the validation that could not be done at all, with the reason.
        strict: whether warnings count as errors; expected ones do not.
        seconds: time taken.
        stopped: it was stopped by the user; the files that are here were checked.
        strict_all: whether expected warnings count as well, and so all others.
    """

    files: tuple[FileResult, ...]
    shared: tuple[SharedFinding, ...] = ()
    skipped: tuple[Path, ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()
    not_run: tuple[str, ...] = ()
    strict: bool = False
    seconds: float = 0.0
    stopped: bool = False
    strict_all: bool = False
    _counts: Counter[Severity] = field(default_factory=Counter, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._counts.update(f.severity for result in self.files for f in result.findings)
        self._counts.update(shared.finding.severity for shared in self.shared)

    def count(self, severity: Severity) -> int:
        """How many findings of a severity there are."""
        return self._counts[severity]

    def fails(self, findings: Iterable[Finding]) -> bool:
        """Whether one of the findings makes what it is about invalid."""
        counted = {
            Severity.ERROR: True,
            Severity.WARNING: self.strict or self.strict_all,
            Severity.EXPECTED: self.strict_all,
            Severity.INFO: False,
        }
        return any(counted[finding.severity] for finding in findings)

    @property
    def invalid_files(self) -> int:
        """Files with a finding of their own that counts."""
        return sum(self.fails(result.findings) for result in self.files)

    @property
    def verdict(self) -> str:
        """``invalid``, ``incomplete`` (nothing found, but not everything was checked) or ``valid``."""
        if self.invalid_files or self.fails(shared.finding for shared in self.shared):
            return "invalid"
        return "incomplete" if self.not_run or self.unreadable or self.stopped or not self.files else "valid"

    def rows(self) -> list[Row]:
        """The table, by IOD and transfer syntax."""
        groups: dict[tuple[str, str], list[FileResult]] = {}
        for result in self.files:
            groups.setdefault((family(result), _syntax(result)), []).append(result)
        return [self._row(*key, results) for key, results in sorted(groups.items())]

    def _row(self, name: str, syntax: str, results: list[FileResult]) -> Row:
        counts = Counter(f.severity for result in results for f in result.findings)
        invalid = sum(self.fails(result.findings) for result in results)
        errors, warnings, expected = (counts[s] for s in (Severity.ERROR, Severity.WARNING, Severity.EXPECTED))
        return Row(name, syntax, len(results), invalid, errors, warnings, expected)

    def studies(self) -> Iterator[tuple[str, list[FileResult]]]:
        """The files by StudyInstanceUID, in the order of their first file; unreadable ones under an empty UID."""
        groups: dict[str, list[FileResult]] = {}
        for result in self.files:
            groups.setdefault(result.summary.study_instance_uid if result.summary else "", []).append(result)
        yield from groups.items()

    def groups(self) -> list[Group]:
        """All findings, the same message (or reason to expect it) once, errors first, the most frequent first."""
        places: dict[tuple[Any, ...], tuple[Finding, dict[Path, None]]] = {}
        for finding, paths in self._all():
            key = (finding.severity, finding.rule, finding.reason or (finding.message, finding.attribute))
            places.setdefault(key, (finding, {}))[1].update(dict.fromkeys(paths))
        groups = [Group(finding, len(paths), tuple(paths)) for finding, paths in places.values()]
        return sorted(groups, key=lambda g: (_ORDER[g.finding.severity], -g.count, g.finding.rule))

    def _all(self) -> Iterator[tuple[Finding, tuple[Path, ...]]]:
        for result in self.files:
            for finding in result.findings:
                yield finding, (result.path,)
        for shared in self.shared:
            yield shared.finding, shared.paths

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "verdict": self.verdict,
            "strict": self.strict or self.strict_all,
            "strict_all": self.strict_all,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
            "files_checked": len(self.files),
            "files_invalid": self.invalid_files,
            "counts": self.as_counts(),
            "not_run": list(self.not_run),
            "skipped": [str(path) for path in self.skipped],
            "unreadable": [{"path": str(path), "reason": reason} for path, reason in self.unreadable],
            "families": [dataclasses.asdict(row) for row in self.rows()],
            "studies": [
                {"study_instance_uid": uid, "files": [self._file_dict(result) for result in results]}
                for uid, results in self.studies()
            ],
            "across_files": [
                {
                    **dataclasses.asdict(shared.finding),
                    "study_instance_uid": shared.study_instance_uid,
                    "paths": [str(path) for path in shared.paths],
                }
                for shared in self.shared
            ],
        }

    def as_counts(self) -> dict[str, int]:
        """Findings by severity."""
        return {str(severity): self.count(severity) for severity in Severity}

    def _file_dict(self, result: FileResult) -> dict[str, Any]:
        summary = result.summary
        return {
            "path": str(result.path),
            "valid": not self.fails(result.findings),
            "iod": result.iod,
            "sop_class_uid": summary.sop_class_uid if summary else "",
            "sop_instance_uid": summary.sop_instance_uid if summary else "",
            "series_instance_uid": summary.series_instance_uid if summary else "",
            "transfer_syntax_uid": summary.transfer_syntax_uid if summary else "",
            "findings": [dataclasses.asdict(finding) for finding in result.findings],
        }


def family(result: FileResult) -> str:
    """What kind of object a file is: the name of its SOP class."""
    if result.summary is None:
        return "(unreadable)"
    return _name(result.summary.sop_class_uid).replace(" Storage", "", 1) or "(no SOP class)"


def _syntax(result: FileResult) -> str:
    return _name(result.summary.transfer_syntax_uid).partition(" (Process")[0] if result.summary else ""


def _name(uid: str) -> str:
    from pydicom.uid import UID_dictionary

    return UID_dictionary.get(uid, (uid,))[0]
