"""The whole validation: every file, then the files of each series and study together."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from dicomfab.validity.discover import discover
from dicomfab.validity.external import IodCheck, Tools, check_entities, check_iod, find_tools
from dicomfab.validity.findings import Finding, Problem, Rule, Severity
from dicomfab.validity.inflated import inflated, inflated_headers
from dicomfab.validity.instance import Instance, NotPart10, opened
from dicomfab.validity.report import FileResult, Report, SharedFinding
from dicomfab.validity.rules import INSTANCE_RULES, SERIES_RULES, SET_RULES
from dicomfab.validity.summary import Summary, summarise

OnFile = Callable[[str, int, int], None]

_PART10: Final[Rule[Path]] = Rule(
    "part10",
    Severity.ERROR,
    "PS3.10 7.1",
    "give a DICOM file: 128 bytes of preamble, DICM, File Meta Information, data set",
    lambda _path: (),
)


def validate(
    paths: Iterable[Path],
    *,
    jobs: int | None = None,
    strict: bool = False,
    strict_all: bool = False,
    tools: Tools | None = None,
    on_progress: OnFile = lambda _stage, _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    """Validate files, and folders with everything below them.

    Args:
        paths: files and folders.
        jobs: files checked at a time; one for each processor by default.
        strict: let warnings count as errors; expected ones do not.
        strict_all: let expected warnings count as well, and so all others.
        tools: the external validators; those of the installation by default.
        on_progress: told the stage, how many are done, and of how many.
        cancelled: asked before each file; what was checked until then is reported.
    """
    start = time.perf_counter()
    tools = tools or find_tools()
    found = discover(paths)
    jobs = jobs or os.cpu_count() or 1
    results: list[FileResult] = []
    unreadable = list(found.unreadable)
    with ThreadPoolExecutor(jobs, "validate") as pool:
        check = functools.partial(_unless, cancelled, tools)
        for done, result in enumerate(pool.map(check, found.files), 1):
            if isinstance(result, FileResult):
                results.append(result)
            elif result is not None:
                unreadable.append(result)
            on_progress("checking files", done, len(found.files))
        stopped = cancelled()
        shared = [] if stopped else _shared(pool, tools, results, on_progress)
    not_run = () if tools.folder else (f"dciodvfy and dcentvfy did not run, so IODs were not checked: {tools.problem}",)
    return Report(
        tuple(results),
        tuple(shared),
        tuple(found.skipped),
        tuple(unreadable),
        not_run,
        strict,
        time.perf_counter() - start,
        stopped,
        strict_all,
    )


def check_file(path: Path, tools: Tools) -> FileResult:
    """Validate one file by itself.

    Args:
        path: the file.
        tools: the external validators; without them only our own rules are applied.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with opened(path) as instance:
            findings = [finding for rule in INSTANCE_RULES for finding in rule.findings(instance)]
            summary, external = summarise(instance), _external(instance, tools)
    except NotPart10:
        return FileResult(path, "", None, (_PART10.found(Problem("no DICOM file: there is no DICM at byte 128")),))
    return FileResult(path, external.iod, summary, (*external.findings, *findings))


def _external(instance: Instance, tools: Tools) -> IodCheck:
    if tools.folder is None:
        return IodCheck("", [])
    with inflated(instance) as file:
        return check_iod(tools, file, "\\".join(instance.strings(0x00080005)))


def _unless(cancelled: Callable[[], bool], tools: Tools, path: Path) -> FileResult | tuple[Path, str] | None:
    if cancelled():
        return None
    try:
        return check_file(path, tools)
    except OSError as error:
        return path, error.strerror or str(error)


def _shared(
    pool: ThreadPoolExecutor, tools: Tools, results: list[FileResult], on_progress: OnFile
) -> list[SharedFinding]:
    summaries = [result.summary for result in results if result.summary is not None]
    found = [SharedFinding(r.found(problem), "", problem.paths) for r in SET_RULES for problem in r.check(summaries)]
    for series in _grouped(summaries, lambda summary: summary.series_instance_uid):
        uid, paths = series[0].study_instance_uid, tuple(summary.path for summary in series)
        found += [SharedFinding(finding, uid, paths) for r in SERIES_RULES for finding in r.findings(series)]
    if tools.folder is None:
        return found
    studies = _grouped(summaries, lambda summary: summary.study_instance_uid)
    checked = pool.map(functools.partial(_entities, tools), studies)
    for done, (study, entities) in enumerate(zip(studies, checked, strict=True), 1):
        uid = study[0].study_instance_uid
        found += [SharedFinding(finding, uid, tuple(about)) for finding, about in entities]
        on_progress("comparing files", done, len(studies))
    return found


def _entities(tools: Tools, study: list[Summary]) -> list[tuple[Finding, list[Path]]]:
    with inflated_headers(study) as files:
        found = check_entities(tools, list(files), study[0].study_instance_uid)
        return [(finding, [files.get(path, path) for path in about]) for finding, about in found]


def _grouped(summaries: list[Summary], key: Callable[[Summary], str]) -> list[list[Summary]]:
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(key(summary), []).append(summary)
    return [group for uid, group in groups.items() if uid]
