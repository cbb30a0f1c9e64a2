"""Measure who notices each declared defect, and write the page of them. Usage: tools/defect_table.py OUT

Asks dciodvfy and dcentvfy, DCMTK's dcmdump, pydicom, Orthanc, our own validator, import and test PACS. What they said
is kept with the table of the package, where ``dicomfab recipe defects --json`` finds it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.dimse.command import CommandError
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.defects import DEFECTS, Defect, declared
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import DicomFabError
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.services.importing import ImportService
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.validity.external import find_tools
from dicomfab.validity.findings import Severity
from dicomfab.validity.run import validate

ROOT: Final = Path(__file__).resolve().parents[1]
NOTICED: Final = ROOT / "src" / "dicomfab" / "fabricate" / "defects" / "noticed.json"
NOW: Final = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
RECIPE: Final = StudyRecipe((SeriesRecipe("ct-head", 3), SeriesRecipe("ct-head", 2)), seed=7)
ACTOR: Final = local_admin("defects", "cli")
NO: Final = "-"
ERROR, WARNING = "error", "warning"
PROGRAMS: Final = (
    "dciodvfy", "dcentvfy", "dcmdump", "pydicom", "Orthanc", "dicomfab validate", "dicomfab study import", "test PACS",
)  # fmt: skip
INTRODUCTION: Final = """\
# Declared defects

Measured and written by `tools/defect_table.py`; do not edit it by hand. `dicomfab recipe defects` lists the same.

A study has a defect only if its recipe declares it (`--defect NAME`, or `defects` in a recipe), and then exactly that
is wrong with it. One instance of a series has it, drawn by the seed, unless it says that all have. The truth file names
the instances. Such a study is written into a folder (`--out`), is marked as what it is in every instance, and never
goes to a production server outside the lab. Defects that would undo each other get different instances, or are refused.

## What is wrong, and what a careful receiver does

"""
WHO: Final = """
## Who notices

A study of two CT series with the one defect. `-` means that nothing was noticed: what the program says of the same
study without the defect does not count.

- dciodvfy and dcentvfy (dicom3tools), pydicom (`dcmread`, all elements, `pixel_array`), dcmdump (DCMTK {dcmtk}) and
  `dicomfab validate`: the worst that they say, `error` or `warning`. pydicom {pydicom}.
- Orthanc {orthanc}: how it answers the upload of a file by REST.
- `dicomfab study import` and the test PACS (C-STORE): whether they take the instance. The import refuses every study
  that says that it has declared defects; asked here is whether it would take the instance without that, as
  `dicomfab send` does. What cannot be sent, since the sender has to read it, is `not sent`.

"""


@dataclass(frozen=True)
class Made:
    """A study with a defect, as files.

    Args:
        defect: the one.
        files: all of them, in order.
        touched: those that have it.
    """

    defect: Defect
    files: list[InstanceFile]
    touched: list[InstanceFile]

    @property
    def paths(self) -> list[Path]:
        """Of those that have it; a DICOMDIR too."""
        extra = [path for path in (self.folder / "DICOMDIR",) if path.exists()]
        return [one.path for one in self.touched] + extra

    @property
    def folder(self) -> Path:
        """That all files are in."""
        return self.files[0].path.parent


def make(defect: Defect, folder: Path) -> Made:
    """Write the study."""
    study = resolved((defect.name,))
    files = write_files(study, folder)
    if defect.is_everywhere:
        return Made(defect, files, [] if defect.name == "dicomdir-lies" else files)
    (told,) = declared(study)
    places = {(one["series_number"], one["instance_number"]) for one in told["instances"]}
    names = {f"CT_{series:03d}_{instance:05d}.dcm" for series, instance in places}
    return Made(defect, files, [one for one in files if one.path.name in names])


def resolved(defects: tuple[str, ...]) -> ResolvedStudy:
    """The study of the measurement."""
    return resolve(replace(RECIPE, defects=defects), now=NOW, draw_seed=lambda: 1)


def dicom3tools(program: str, paths: Sequence[Path]) -> set[str]:
    """What a program of dicom3tools says, without the names of files and UIDs of ours."""
    folder = find_tools().folder
    assert folder is not None
    done = subprocess.run([folder / program, *paths], capture_output=True, timeout=60, check=False)
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    # That an element is private, it tells of our own marks as well.
    return {line for line in lines if ("Error" in line or "Warning" in line) and "Unrecognized tag" not in line}


def worst(lines: set[str]) -> str:
    """The worst word in lines."""
    return ERROR if any("Error" in line for line in lines) else WARNING if lines else NO


def by_dciodvfy(made: Made, usual: set[str]) -> str:
    """Of the files that have the defect."""
    return worst({line for path in made.paths for line in dicom3tools("dciodvfy", [path])} - usual)


def by_dcentvfy(made: Made, _usual: set[str]) -> str:
    """Of all files together."""
    return worst(dicom3tools("dcentvfy", [one.path for one in made.files]))


def by_dcmdump(made: Made, _usual: set[str]) -> str:
    """Of the files that have the defect."""
    found = set()
    for path in made.paths:
        done = subprocess.run(["dcmdump", "-q", path], capture_output=True, timeout=60, check=False)
        verbose = subprocess.run(["dcmdump", path], capture_output=True, timeout=60, check=False)
        found |= {ERROR} if done.returncode else set()
        found |= {WARNING} if verbose.stderr.strip() else set()
    return ERROR if ERROR in found else WARNING if found else NO


def by_pydicom(made: Made, _usual: set[str]) -> str:
    """Reading, all values, pixels; of a DICOMDIR, its file set."""
    found = set()
    for path in made.paths:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                _read_all(path)
            except Exception:  # noqa: BLE001 (whatever it is, it noticed)
                found.add(ERROR)
        found |= {WARNING} if seen else set()
    return ERROR if ERROR in found else WARNING if found else NO


def _read_all(path: Path) -> None:
    from pydicom.fileset import FileSet

    ds: Dataset = pydicom.dcmread(path)
    for element in ds:
        str(element.value)
    if path.name == "DICOMDIR":
        FileSet(ds)
    else:
        _ = ds.pixel_array


def by_our_validator(made: Made, _usual: set[str]) -> str:
    """All files of the folder, since some defects are of several."""
    report = validate([made.folder], jobs=1)
    findings = [finding for one in report.files for finding in one.findings] + [one.finding for one in report.shared]
    if report.skipped or report.unreadable:
        return ERROR if report.unreadable else "skipped"
    found = {finding.severity for finding in findings}
    return ERROR if Severity.ERROR in found else WARNING if Severity.WARNING in found else NO


def by_our_import(made: Made, _usual: set[str]) -> str:
    """Into a local store of its own, whatever the mark says."""
    with tempfile.TemporaryDirectory() as folder:
        local = Archive(Path(folder) / "store")
        try:
            done = ImportService(local, lambda _study: False).take(ACTOR, [made.folder], with_defects=True)
        finally:
            local.close()
    new = sum(one.new for one in done.studies.values())
    if done.refused:
        return "refuses" if new == len(made.files) - len(done.refused) else "refuses others too"
    return "takes" if new == len(made.files) else f"takes {new} of {len(made.files)}"


def by_test_pacs(made: Made, _usual: set[str]) -> str:
    """Over an association; afterwards it has to answer still."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder) / "store")
        try:
            handlers = PacsHandlers(archive, "TESTPACS", Environment.TEST, {})
            with Server(ServerConfig("TESTPACS"), handlers) as server:
                peer = Peer("127.0.0.1", server.port, "TESTPACS", timeouts=Timeouts(1, 5, 30), name="test PACS")
                answers = {_answer(peer, one) for one in made.files}
                echo(peer)
            held = archive.storage().instances
        finally:
            archive.close()
    others = sorted(answers - {"takes"})
    return others[0] if others else "takes" if held == len(made.files) else "keeps the first"


def _answer(peer: Peer, file: InstanceFile) -> str:
    try:
        (outcome,) = store(peer, [file], transcode=False)
    except (DicomFabError, CommandError) as error:
        return f"not sent ({type(error).__name__})"
    if outcome.accepted:
        return "takes"
    if outcome.response is None:
        return f"not sent ({type(outcome.error).__name__})"
    return f"refuses ({outcome.response.status:04X})"


@contextlib.contextmanager
def orthanc() -> Iterator[str]:
    """A running Orthanc: its REST address."""
    sys.path.insert(0, str(ROOT))
    from tests.peers.programs import orthanc as running

    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        yield server.http


def by_orthanc(made: Made, _usual: set[str]) -> str:
    """By REST, each defect in an Orthanc of its own: one defect ends it."""
    answers = set()
    with orthanc() as http:
        for one in made.files:
            request = urllib.request.Request(f"{http}/instances", one.path.read_bytes(), method="POST")
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answers.add(str(json.load(answer)["Status"]))
            except urllib.error.HTTPError as error:
                answers.add(f"refuses ({error.code})")
            except ConnectionError:
                return "crashes"
    others = sorted(answers - {"Success"})
    return "; ".join(others).replace("AlreadyStored", "keeps the first") if others else "takes"


Judge = Callable[[Made, set[str]], str]
JUDGES: Final[dict[str, Judge]] = {
    "dciodvfy": by_dciodvfy,
    "dcentvfy": by_dcentvfy,
    "dcmdump": by_dcmdump,
    "pydicom": by_pydicom,
    "dicomfab validate": by_our_validator,
    "dicomfab study import": by_our_import,
    "test PACS": by_test_pacs,
    "Orthanc": by_orthanc,
}


def measured() -> dict[str, dict[str, str]]:
    """What each program says of each defect."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = write_files(resolved(()), folder / "plain")
        usual = {line for one in plain for line in dicom3tools("dciodvfy", [one.path])}
        for defect in DEFECTS.values():
            made = make(defect, folder / defect.name)
            said = {program: judge(made, usual) for program, judge in JUDGES.items()}
            found[defect.name] = {program: said[program] for program in PROGRAMS}
            print(defect.name, found[defect.name], flush=True)
            shutil.rmtree(folder / defect.name)
    return found


def page(found: dict[str, dict[str, str]]) -> str:
    """The page, from what was measured."""
    rows = [
        (f"`{one.name}`", one.title, one.wrong, one.expected, str(one.needs) + _whole(one)) for one in DEFECTS.values()
    ]
    said = [(f"`{name}`", *(found[name][program] for program in PROGRAMS)) for name in DEFECTS]
    who = WHO.format(dcmtk=_version("dcmdump"), orthanc=_version("Orthanc"), pydicom=pydicom.__version__)
    told = _table(("name", "title", "what is wrong", "a careful receiver", "needs"), rows)
    return INTRODUCTION + told + who + _table(("name", *PROGRAMS), said)


def _whole(defect: Defect) -> str:
    return "" if not defect.is_everywhere else "; all instances"


def _version(program: str) -> str:
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin")
    said = subprocess.run([path or program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    words = said.stdout.split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, keep what was said, and write the page to the file named."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = measured()
    NOTICED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    Path(arguments[0]).write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
