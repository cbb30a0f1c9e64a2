"""Each declared defect is really there, exactly where it is said to be, and nothing else is wrong."""

from __future__ import annotations

import dataclasses
import io
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from dicomfab.fabricate import defects
from dicomfab.fabricate.defects import DEFECTS, applied, checked, declared, noticed
from dicomfab.fabricate.defects.data_set import DataSet
from dicomfab.fabricate.defects.directory import NAME, NOT_THERE
from dicomfab.fabricate.defects.places import places
from dicomfab.fabricate.defects.table import REUSED_ACCESSION, Needs
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.sinks import write_files
from dicomfab.fabricate.smalls import SIDE
from dicomfab.fabricate.study import _encoded, fabricate, plans
from dicomfab.fabricate.truth import truth
from dicomfab.model.errors import InvalidInput
from dicomfab.model.part10 import file_header
from dicomfab.model.study import Patient
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.unit.fabricate.studies import encoded, resolved, study

JPEG_LS = "1.2.840.10008.1.2.4.80"
SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, JPEG_LS)
INSTANCE = [name for name, one in DEFECTS.items() if not one.is_everywhere]
MODALITY, UID, PIXELS = 0x00080060, 0x00080018, 0x7FE00010
#: The elements that a defect changes, adds or removes; of the others none may differ.
CHANGED: dict[str, set[int]] = {
    "missing-type-1": {MODALITY},
    "empty-type-1": {0x0020000E},
    "odd-length": {0x00080070},
    "wrong-vr": {0x00200011},
    "multi-value-in-single": {0x00081090},
    "decimal-comma": {0x00101030},
    "bad-time": {0x00080032},
    "date-in-future": {0x00080022},
    "private-without-creator": {0x009B1001},
    "private-64k": {0x009910F0},
    "deep-nesting": {0x009910F1},
    "trailing-padding": {0xFFFCFFFC},
    "patient-mismatch": {0x00100010, 0x00100020, 0x00100030, 0x00101010},
    "duplicate-sop-uid": {UID},
    "uid-in-two-series": {UID},
    "uid-too-long": {UID},
    "uid-leading-zero": {UID},
    "character-set-missing": {0x00080005, 0x00081040},
    "character-set-wrong": {0x00080005, 0x00081040},
    "character-set-unknown": {0x00080005, 0x00081040},
    "pixels-truncated": {PIXELS},
    "rows-wrong": {0x00280010},
    "lut-missing": {0x00280004},
    "overlay-in-pixel-data": {0x60000010, 0x60000011, 0x60000040, 0x60000050, 0x60000100, 0x60000102},
    "name-with-html": {0x00100010},
    "name-with-control-characters": {0x00100010},
    "undefined-length": {0x009910F2},
}


UNKNOWN_VR = b"\x99\x00\xf3\x10ZZ\0\0\x08\0\0\0UNKNOWN "
#: Warnings of pydicom tell of what is wrong on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@dataclass(frozen=True)
class Case:
    """An instance as it would be, and as it is."""

    study: ResolvedStudy
    before: FabricatedInstance
    after: FabricatedInstance
    right: bytes
    wrong: bytes

    def ds(self) -> Dataset:
        """As pydicom reads it."""
        return parsed(self.after.identity.sop_class_uid, self.before.identity.transfer_syntax_uid, self.wrong)


def two_series(
    *names: str, syntax: str = EXPLICIT_LITTLE, seed: int = 7, patient: Patient | None = None
) -> ResolvedStudy:
    series = tuple(SeriesRecipe("ct-head", count, syntax, style="small") for count in (3, 2))
    return resolved(StudyRecipe(series, seed=seed, defects=names, patient=patient, study_date="20260131"))


def without(study: ResolvedStudy) -> list[FabricatedInstance]:
    """The instances of the same recipe hash before anything is made wrong."""
    return [
        dataclasses.replace(one, buffers=iter((encoded(one),))) for plan in plans(study, 1) for one in _encoded(plan, 1)
    ]


def cases(name: str, syntax: str = EXPLICIT_LITTLE) -> tuple[Case, ...]:
    """Every instance of a study with one defect."""
    return _cases(name, syntax)


@cache
def _cases(name: str, syntax: str) -> tuple[Case, ...]:
    study = two_series(name, syntax=syntax)
    right, wrong = without(study), list(fabricate(study, workers=1))
    pairs = zip(right, wrong, strict=True)
    return tuple(Case(study, before, after, encoded(before), encoded(after)) for before, after in pairs)


def touched(name: str, syntax: str = EXPLICIT_LITTLE) -> Case:
    """The one instance that has it."""
    (told,) = declared(cases(name, syntax)[0].study)
    (place,) = told["instances"]
    at = (place["series_number"], place["instance_number"])
    (found,) = (one for one in cases(name, syntax) if (one.after.series_number, one.after.instance_number) == at)
    return found


def parsed(sop_class_uid: str, syntax: str, data: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(io.BytesIO(file_header(sop_class_uid, "1.2", syntax) + data))


def raw(sop_class_uid: str, syntax: str, data: bytes) -> dict[int, tuple[str | None, bytes]]:
    """The elements of the top level as pydicom finds them, not decoded."""
    ds = parsed(sop_class_uid, syntax, data)
    found = {}
    for tag in ds.keys():  # noqa: SIM118 (a data set iterates over its elements)
        element = ds.get_item(tag)
        found[int(tag)] = (
            element.VR,
            element.value if isinstance(element.value, bytes) else repr(element.value).encode(),
        )
    return found


def differing(case: Case) -> set[int]:
    syntax, sop_class = case.before.identity.transfer_syntax_uid, case.before.identity.sop_class_uid
    right, wrong = raw(sop_class, syntax, case.right), raw(sop_class, syntax, case.wrong)
    return {tag for tag in right.keys() | wrong.keys() if right.get(tag) != wrong.get(tag)}


@pytest.mark.parametrize("name", INSTANCE)
def test_one_instance_has_it_and_the_others_are_as_without(name: str) -> None:
    made, own = cases(name), touched(name)
    same = [one for one in made if one.wrong == one.right and one.after.header() == one.before.header()]
    assert len(same) == len(made) - 1
    assert own not in same
    assert all(one.after.identity == one.before.identity for one in same)
    assert sum(len(one["instances"]) for one in truth(own.study)["defects"]) == 1


@pytest.mark.parametrize("name", CHANGED)
def test_no_other_element_differs(name: str) -> None:
    wrong = cases(name) if DEFECTS[name].is_everywhere else (touched(name),)
    for case in wrong:
        assert differing(case) == CHANGED[name]


REALLY: dict[str, Callable[[Case], bool]] = {
    "missing-type-1": lambda case: "Modality" not in case.ds(),
    "empty-type-1": lambda case: b"\x20\x00\x0e\x00UI\x00\x00" in case.wrong,
    "odd-length": lambda case: maker_bytes(case.wrong) % 2 == 1 and maker_bytes(case.right) % 2 == 0,
    "wrong-vr": lambda case: b"\x20\x00\x11\x00LO\x02\x00" in case.wrong,
    "multi-value-in-single": lambda case: case.ds().ManufacturerModelName == ["DICOM", "Fabricator"],
    "decimal-comma": lambda case: b"\x10\x00\x30\x10DS\x04\x0072,5" in case.wrong,
    "bad-time": lambda case: case.ds().AcquisitionTime == "256199",
    "date-in-future": lambda case: case.ds().AcquisitionDate == "21260131",
    "private-without-creator": lambda case: 0x009B1001 in case.ds() and 0x009B0010 not in case.ds(),
    "private-64k": lambda case: len(element(case, 0x009910F0)) == 70_000,
    "deep-nesting": lambda case: case.wrong.count(b"\x99\x00\xf1\x10SQ") == 300,
    "trailing-padding": lambda case: case.wrong.endswith(b"\xfc\xff\xfc\xffOB\0\0\0\0\4\0" + bytes(256 << 10)),
    "patient-mismatch": lambda case: case.ds().PatientID not in (case.study.patient.patient_id, ""),
    "duplicate-sop-uid": lambda case: series_of(same_uid(case)) == [case.after.series_number] * 2,
    "uid-in-two-series": lambda case: sorted(series_of(same_uid(case))) == [1, 2],
    "uid-too-long": lambda case: len(case.ds().SOPInstanceUID) == len(case.after.identity.sop_instance_uid) == 65,
    "uid-leading-zero": lambda case: case.ds().SOPInstanceUID.startswith("2.25.0"),
    "character-set-missing": lambda case: b"R\xf6ntgen" in case.wrong and b"ISO_IR" not in case.wrong,
    "character-set-wrong": lambda case: b"R\xf6ntgen" in case.wrong and b"ISO_IR 192" in case.wrong,
    "character-set-unknown": lambda case: b"R\xf6ntgen" in case.wrong and b"ISO_IR 999" in case.wrong,
    "pixels-truncated": lambda case: len(case.ds().PixelData) == SIDE * SIDE and case.ds().Rows == SIDE,
    "rows-wrong": lambda case: len(case.ds().PixelData) == SIDE * SIDE * 2 and case.ds().Rows == SIDE + 16,
    "lut-missing": lambda case: case.ds().PhotometricInterpretation == "PALETTE COLOR" and 0x00281201 not in case.ds(),
    "overlay-in-pixel-data": lambda case: element(case, 0x60000102) == 15 and 0x60003000 not in case.ds(),
    "elements-out-of-order": lambda case: sorted(tags(case.wrong)) == tags(case.right) != tags(case.wrong),
    "element-twice": lambda case: sorted([*tags(case.right), 0x00080070]) == tags(case.wrong),
    "unknown-vr": lambda case: case.right == case.wrong.replace(UNKNOWN_VR, b"") != case.wrong,
    "undefined-length": lambda case: b"\x99\x00\xf2\x10OB\0\0\xff\xff\xff\xff" in case.wrong,
    "file-cut-short": lambda case: case.wrong + case.right[-SIDE * SIDE :] == case.right,
    "syntax-mismatch": lambda case: case.wrong == case.right and says_implicit(case),
    "mismatched-meta-uid": lambda case: case.wrong == case.right and meta_uid(case) != case.ds().SOPInstanceUID,
    "group-length-wrong": lambda case: group_length(case.after) == group_length(case.before) - 18,
    "meta-missing": lambda case: case.wrong == case.right and case.after.header() == bytes(128) + b"DICM",
    "preamble-missing": lambda case: case.wrong == case.right and case.after.header() == case.before.header()[132:],
    "accession-reused": lambda case: case.ds().AccessionNumber == REUSED_ACCESSION,
    "name-with-html": lambda case: "<script>" in str(case.ds().PatientName),
    "name-with-control-characters": lambda case: {"\a", "\b", "\t", "\n"} <= set(str(case.ds().PatientName)),
    "dicomdir-lies": lambda case: case.wrong == case.right and case.after.file_name.startswith("IM00000"),
}  # fmt: skip


def element(case: Case, tag: int) -> Any:
    ds = case.ds()
    return ds[tag].value if tag in ds else b""


def same_uid(case: Case) -> list[Case]:
    (name,) = case.study.defects
    return [one for one in cases(name) if one.ds().SOPInstanceUID == case.ds().SOPInstanceUID]


def series_of(found: list[Case]) -> list[int]:
    return [one.after.series_number for one in found]


def tags(data: bytes) -> list[int]:
    return [one.tag for one in DataSet(data, EXPLICIT_LITTLE).elements]


def maker_bytes(data: bytes) -> int:
    return int.from_bytes(data[data.index(b"\x08\x00\x70\x00LO") + 6 :][:2], "little")


def meta_uid(case: Case) -> str:
    return str(dcmread(io.BytesIO(case.after.header() + case.wrong)).file_meta.MediaStorageSOPInstanceUID)


def says_implicit(case: Case) -> bool:
    said = dcmread(io.BytesIO(case.after.header()), stop_before_pixels=True).file_meta.TransferSyntaxUID
    return bool(said == case.after.identity.transfer_syntax_uid == IMPLICIT_LITTLE)


def group_length(one: FabricatedInstance) -> int:
    return int.from_bytes(one.header()[140:144], "little")


def test_every_defect_is_looked_for() -> None:
    assert REALLY.keys() == DEFECTS.keys()
    assert noticed().keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", DEFECTS)
def test_it_is_really_there(name: str) -> None:
    wrong = cases(name) if DEFECTS[name].is_everywhere else (touched(name),)
    right = set(cases(name)) - set(wrong)
    assert all(REALLY[name](case) for case in wrong)
    if name not in ("duplicate-sop-uid", "uid-in-two-series"):  # of which the other has it as well
        assert not any(REALLY[name](case) for case in right)


@pytest.mark.full
@pytest.mark.parametrize("syntax", SYNTAXES[1:])
@pytest.mark.parametrize("name", CHANGED)
def test_in_other_transfer_syntaxes_too(name: str, syntax: str) -> None:
    if syntax == IMPLICIT_LITTLE and DEFECTS[name].needs is Needs.EXPLICIT:
        with pytest.raises(InvalidInput, match=name):
            two_series(name, syntax=syntax)
        return
    wrong = cases(name, syntax) if DEFECTS[name].is_everywhere else (touched(name, syntax),)
    for case in wrong:
        assert differing(case) == CHANGED[name]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_data_set_is_written_again_byte_for_byte(syntax: str) -> None:
    for one in without(two_series(syntax=syntax)):
        data = encoded(one)
        again = DataSet(data, syntax).encoded()
        if syntax == DEFLATED:  # in other pieces
            assert inflated(again) == inflated(data)
        else:
            assert again == data


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data)


def test_other_words_than_text_are_kept_whatever_the_script() -> None:
    japanese = resolved(StudyRecipe(("text-card",), seed=3, script="japanese", defects=("character-set-missing",)))
    (one,) = fabricate(japanese, workers=1)
    data = encoded(one)
    assert b"ISO 2022" not in data
    assert b"\x1b$B" in data
    assert b"ntgen" not in data


def test_unknown_and_impossible_defects_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'no-such-defect' is not known") as refused:
        checked(["odd-length", "no-such-defect"], ["ct-chest"])
    assert refused.value.field == "defects"
    assert all(name in str(refused.value.cause) for name in DEFECTS)
    with pytest.raises(InvalidInput, match="no series of the study can carry rows-wrong"):
        checked(["rows-wrong"], ["ecg", "ko"])
    assert checked(["rows-wrong", "odd-length", "rows-wrong"], ["ct-chest"]) == ("odd-length", "rows-wrong")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("duplicate-sop-uid", ("text-card",)),
        ("patient-mismatch", ("text-card",)),
        ("uid-in-two-series", ("text-card",)),
        ("overlay-in-pixel-data", ("sc-rgb",)),
        ("lut-missing", ("sc-rgb",)),
        ("duplicate-sop-uid", ("dx-chest",)),
        ("patient-mismatch", ("mg-screening",)),
    ],
)
def test_a_study_that_cannot_carry_a_defect_is_refused_before_anything_is_made(
    name: str, kinds: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput, match=f"can carry {name}") as refused:
        study(*kinds, defects=(name,))
    assert refused.value.field == "defects"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), names=st.sets(st.sampled_from(INSTANCE), min_size=1, max_size=4))
def test_places_follow_from_the_seed_and_differ(seed: int, names: set[str]) -> None:
    recipe = StudyRecipe((SeriesRecipe("ct-head", 9), SeriesRecipe("ct-head", 8)), seed=seed, defects=tuple(names))
    found = places(resolved(recipe))
    places.cache_clear()
    assert places(resolved(recipe)) == found
    assert {one.defect for one in found} == names
    uids = [one.instance.sop_instance_uid for one in found]
    assert len(set(uids)) == len(uids)
    assert all(one.other is None or one.other.sop_instance_uid not in uids for one in found)


def test_seeds_choose_other_instances() -> None:
    chosen = {places(two_series("odd-length", seed=seed))[0].instance.instance_number for seed in range(12)}
    assert chosen == {1, 2, 3}


def test_untouched_instances_are_handed_on_as_they_come() -> None:
    made = two_series("odd-length")
    given_in = without(made)
    out = list(applied(made, given_in))
    assert sum(one is other for one, other in zip(given_in, out, strict=True)) == 4


def test_a_study_without_defects_says_nothing_of_them() -> None:
    plain = two_series()
    assert declared(plain) == []
    assert "defects" not in plain.as_dict()
    assert all(
        0x00991004 not in raw(one.identity.sop_class_uid, EXPLICIT_LITTLE, encoded(one)) for one in without(plain)
    )
    marked = without(two_series("odd-length", "bad-time"))
    for one in marked:
        ds = parsed(one.identity.sop_class_uid, EXPLICIT_LITTLE, encoded(one))
        assert list(ds[0x00991004].value) == ["odd-length", "bad-time"]


def test_files_begin_as_the_defect_wants_and_are_found_again(tmp_path: Path) -> None:
    made = two_series("preamble-missing", "meta-missing", "dicomdir-lies")
    files = write_files(made, tmp_path / "once")
    starts = {one.path.name: one.path.read_bytes()[:132] for one in files}
    assert sorted(starts) == [f"IM{number:06d}" for number in range(1, 6)]
    assert sum(start[128:] != b"DICM" for start in starts.values()) == 1
    assert [one.dataset_offset for one in files].count(132) == 1
    assert write_files(made, tmp_path / "once", resume=True) == files
    directory = dcmread(tmp_path / "once" / NAME)
    named = {str(one.ReferencedFileID): one for one in directory.DirectoryRecordSequence if "ReferencedFileID" in one}
    assert len(named.keys() - starts.keys()) == 1
    assert NOT_THERE in named
    ((told,), lies) = ([one for one in declared(made) if one["name"] == "dicomdir-lies"], [])
    for file, record in named.items():
        if file in starts:
            own = next(one.identity.sop_instance_uid for one in files if one.path.name == file)
            lies += [file] if record.ReferencedSOPInstanceUIDInFile != own else []
    assert [one["file"] for one in told["directory"]] == [(starts.keys() - named.keys()).pop(), *lies]


def test_the_reused_accession_number_is_that_of_every_patient() -> None:
    one, other = (two_series("accession-reused", patient=Patient("A^B", number)) for number in ("SYN1", "SYN2"))
    assert one.accession_number == other.accession_number == REUSED_ACCESSION
    assert one.patient != other.patient
    assert two_series().accession_number != REUSED_ACCESSION


def test_what_is_received_is_told_with_what_it_would_have_been() -> None:
    for name in ("uid-too-long", "duplicate-sop-uid", "empty-type-1"):
        (told,) = declared(cases(name)[0].study)
        (place,) = told["instances"]
        case = touched(name)
        assert place["without"]["sop_instance_uid"] == case.before.identity.sop_instance_uid
        assert place["received"]["sop_instance_uid"] == case.ds().SOPInstanceUID
        assert place["received"]["series_instance_uid"] == (case.ds().SeriesInstanceUID or "")


def test_the_table_is_complete() -> None:
    assert defects.DEFECTS is DEFECTS
    assert len({one.title for one in DEFECTS.values()}) == len(DEFECTS)
    assert "dciodvfy" in DEFECTS["missing-type-1"].noticed_by
    assert DEFECTS["accession-reused"].noticed_by == ()
    for one in DEFECTS.values():
        assert one.kinds, one.name
        assert one.wrong.endswith(".")
        assert one.expected.endswith(".")
    page = (Path(__file__).parents[3] / "docs" / "reference" / "defects.md").read_text("utf-8")
    assert all(page.count(f"`{name}`") == 2 for name in DEFECTS)
    assert all(one.wrong in page and one.expected in page for one in DEFECTS.values())
