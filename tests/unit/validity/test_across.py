"""What shows only when files are compared, and how files are found."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.validity.report import Report
from dicomfab.validity.rules import SERIES_RULES, SET_RULES
from dicomfab.validity.run import validate
from dicomfab.validity.summary import Summary
from tests.unit.validity.files import NO_TOOLS, changed, found_among, rules_of

Change = Callable[[Path, Path], Path]  # what becomes of the third slice


def nudged(source: Path, out: Path) -> Path:
    x, y, z = pydicom.dcmread(source, stop_before_pixels=True).ImagePositionPatient
    return changed(source, out, ImagePositionPatient=[str(x), str(y), str(float(z) + 3)])


CASES: list[tuple[set[str], Change]] = [
    ({"frame-of-reference"}, lambda s, o: changed(s, o, FrameOfReferenceUID="1.2.3")),
    ({"one-modality"}, lambda s, o: changed(s, o, Modality="PT")),
    ({"instance-number"}, lambda s, o: changed(s, o, InstanceNumber="1")),
    ({"slice-position"}, nudged),
    ({"series-of-one-study"}, lambda s, o: changed(s, o, StudyInstanceUID="1.2.3")),
    ({"one-patient"}, lambda s, o: changed(s, o, PatientBirthDate="19010101", remove=["PatientAge"])),
]


@pytest.fixture
def slices(study: list[Path]) -> list[Path]:
    return [path for path in study if path.name.startswith("CT")]


@pytest.mark.parametrize(("rules", "change"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_a_rule_sees_what_it_is_there_for(rules: set[str], change: Change, slices: list[Path], tmp_path: Path) -> None:
    altered = change(slices[2], tmp_path / "altered.dcm")
    assert rules_of(found_among([*slices[:2], altered, *slices[3:]])) == rules


def test_spacing_that_is_not_that_of_the_slices(slices: list[Path], tmp_path: Path) -> None:
    wrong = [changed(path, tmp_path / path.name, SpacingBetweenSlices="9") for path in slices]
    assert rules_of(found_among(wrong)) == {"slice-spacing"}


def test_a_copy_is_a_duplicate_and_the_files_are_named(slices: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(slices[0].read_bytes())
    report = validate([*slices, copy], tools=NO_TOOLS)
    assert rules_of([shared.finding for shared in report.shared]) == {"duplicate"}
    assert report.shared[0].paths == (slices[0], copy)
    assert report.verdict == "invalid"


def test_a_good_study_has_no_finding(study: list[Path]) -> None:
    assert found_among(study) == []


def test_every_rule_has_a_test() -> None:
    tested = {"slice-spacing", "duplicate"}.union(*(case[0] for case in CASES))
    assert tested == {rule.id for rule in (*SERIES_RULES, *SET_RULES)}


def of_a_stack(places_mm: list[float]) -> list[Summary]:
    common = ("1.2", "", "1.2.840.10008.1.2.1", "1.2", "1.2.1", "1.2.2", "MR", ("P", "", "", ""))
    cosines = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return [
        Summary(Path(f"{n}"), *common, str(n), ("ORIGINAL",), 1, cosines, (5.0, -3.0, place), None)  # type: ignore[arg-type]
        for n, place in enumerate(places_mm)
    ]


@given(st.floats(-500, 500), st.floats(0.2, 20), st.integers(3, 40), st.data())
def test_equal_distances_are_never_reported_and_a_gap_always_is(
    start_mm: float, step_mm: float, count: int, data: st.DataObject
) -> None:
    places = [start_mm + step_mm * n for n in range(count)]
    position = next(rule for rule in SERIES_RULES if rule.id == "slice-position")
    assert position.findings(of_a_stack(data.draw(st.permutations(places)))) == []
    if count >= 5:
        missing = data.draw(st.integers(1, count - 2))
        assert len(position.findings(of_a_stack(places[:missing] + places[missing + 1 :]))) == 1


class TestWhatIsChecked:
    def test_folders_are_searched_and_what_is_left_out_is_named(self, slices: list[Path], tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        folder.mkdir(parents=True)
        (folder / "no extension").write_bytes(slices[0].read_bytes())
        (folder / "notes.txt").write_text("seen by whom?")
        (folder / "empty.dcm").write_bytes(b"")
        (folder / "loop").symlink_to(tmp_path)
        report = validate([tmp_path, folder / "no extension", tmp_path / "absent"], tools=NO_TOOLS)
        assert [result.path for result in report.files] == [folder / "no extension"]
        assert set(report.skipped) == {folder / "notes.txt", folder / "empty.dcm"}
        assert report.unreadable == ((tmp_path / "absent", "No such file or directory"),)

    def test_what_could_not_run_is_never_a_pass(self, study: list[Path]) -> None:
        report = validate(study, tools=NO_TOOLS)
        assert (report.verdict, report.invalid_files) == ("incomplete", 0)
        assert "did not run" in report.not_run[0]

    def test_stopping_keeps_what_was_checked(self, study: list[Path]) -> None:
        calls = itertools.count()
        report = validate(study, jobs=1, tools=NO_TOOLS, cancelled=lambda: next(calls) >= 2)
        assert (len(report.files), report.stopped, report.verdict) == (2, True, "incomplete")

    def test_the_number_of_jobs_changes_nothing(self, study: list[Path]) -> None:
        def plain(report: Report) -> object:
            return {**report.as_dict(), "seconds": 0}

        assert plain(validate(study, jobs=1, tools=NO_TOOLS)) == plain(validate(study, jobs=3, tools=NO_TOOLS))

    def test_progress_counts_every_file(self, study: list[Path]) -> None:
        seen: list[tuple[str, int, int]] = []
        validate(study, tools=NO_TOOLS, on_progress=lambda *step: seen.append(step))
        assert seen == [("checking files", n, len(study)) for n in range(1, len(study) + 1)]
