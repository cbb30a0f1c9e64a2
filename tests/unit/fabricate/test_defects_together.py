"""Several defects in one study: each is really there, whatever the others are, or the pair is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicomfab.fabricate.defects import DEFECTS, checked, declared
from dicomfab.fabricate.defects.directory import NAME, NOT_THERE
from dicomfab.fabricate.defects.places import _carries
from dicomfab.fabricate.defects.table import Needs
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.kinds import ALL_KINDS, KINDS
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.sinks import write_files
from dicomfab.fabricate.study import fabricate, plans
from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.syntaxes import DEFLATED, IMPLICIT_LITTLE
from tests.unit.fabricate.studies import encoded, resolved

#: Warnings of pydicom tell of what is wrong on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

MAKER, PHYSICIAN, PIXELS = 0x00080070, 0x00080090, 0x7FE00010
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD", b"UC", b"UR", b"OL", b"OV", b"SV", b"UV", b"ZZ")
UNDEFINED = 0xFFFFFFFF


@dataclass
class Read:
    """What stands in an instance, element by element as it comes."""

    study: ResolvedStudy
    head: bytes
    data: bytes
    before: bytes
    uids: dict[str, int]

    def __post_init__(self) -> None:
        self.elements = list(walk(self.data))
        self.right = {tag: value for tag, _, value, _ in walk(self.before)}

    def value(self, tag: int) -> bytes | None:
        return next((value for one, _, value, _ in self.elements if one == tag), None)

    def text(self, tag: int) -> str:
        return (self.value(tag) or b"").decode("latin-1").strip("\0 ")

    def tags(self) -> list[int]:
        return [one[0] for one in self.elements]

    def last(self) -> tuple[int, int]:
        """How long the last element says that it is, and how long it is."""
        _, _, value, length = self.elements[-1]
        return length, len(value)

    def is_beyond_ascii(self) -> bool:
        values = [self.value(tag) or b"" for tag in (0x00100010, 0x00081040)]
        return any(byte > 0x7F or byte == 0x1B for value in values for byte in value)


def walk(data: bytes) -> list[tuple[int, bytes, bytes, int]]:
    """Tag, VR, value and length of each element in explicit little endian, by nothing but PS3.5 7.1."""
    found, at = [], 0
    while at < len(data):
        group, element, vr = struct.unpack_from("<HH2s", data, at)
        (length,) = struct.unpack_from("<I" if vr in LONG else "<H", data, at + (8 if vr in LONG else 6))
        start = at + (12 if vr in LONG else 8)
        end = start + length
        if length == UNDEFINED:  # none of ours holds the bytes of another delimiter
            end = data.index(b"\xfe\xff\xdd\xe0\0\0\0\0", start) + 8
        found.append((group << 16 | element, vr, data[start:end], length))
        at = end
    return found


def meta(one: Read) -> Any:
    return dcmread(io.BytesIO(one.head if one.head[128:132] == b"DICM" else bytes(128) + b"DICM" + one.head)).file_meta


def group_length(one: Read) -> int:
    start = one.head.index(b"\x02\x00\x00\x00UL\x04\x00")
    return int.from_bytes(one.head[start + 8 : start + 12], "little") - (len(one.head) - start - 12)


def out_of_order(one: Read) -> bool:
    tags = one.tags()
    return tags.index(PHYSICIAN) < tags.index(MAKER)


REALLY: dict[str, Callable[[Read], bool]] = {
    "missing-type-1": lambda one: 0x00080060 not in one.tags(),
    "empty-type-1": lambda one: one.value(0x0020000E) == b"",
    "odd-length": lambda one: len(one.value(MAKER) or b"") % 2 == 1,
    "wrong-vr": lambda one: (0x00200011, b"LO") in [(tag, vr) for tag, vr, _, _ in one.elements],
    "multi-value-in-single": lambda one: "\\" in one.text(0x00081090),
    "decimal-comma": lambda one: one.text(0x00101030) == "72,5",
    "bad-time": lambda one: b"256199" in [value.strip() for _, vr, value, _ in one.elements if vr == b"TM"],
    "date-in-future": lambda one: any(value > b"2126" for _, vr, value, _ in one.elements if vr == b"DA"),
    "private-without-creator": lambda one: 0x009B1001 in one.tags() and 0x009B0010 not in one.tags(),
    "private-64k": lambda one: len(one.value(0x009910F0) or b"") == 70_000,
    "deep-nesting": lambda one: (one.value(0x009910F1) or b"").count(b"\x99\x00\xf1\x10SQ") == 299,
    "trailing-padding": lambda one: one.value(0xFFFCFFFC) == bytes(256 << 10),
    "patient-mismatch": lambda one: one.text(0x00100020) not in ("", one.study.patient.patient_id)
    and one.value(0x00100010) != one.right[0x00100010],
    "duplicate-sop-uid": lambda one: one.uids[one.text(0x00080018)] > 1,
    "uid-in-two-series": lambda one: one.uids[one.text(0x00080018)] > 1,
    "uid-too-long": lambda one: len(one.text(0x00080018)) == 65,
    "uid-leading-zero": lambda one: ".0" in one.text(0x00080018) and one.uids[one.text(0x00080018)] == 1,
    "character-set-missing": lambda one: 0x00080005 not in one.tags() and one.is_beyond_ascii(),
    "character-set-wrong": lambda one: one.text(0x00080005) not in ("", one.study.character_set, "ISO_IR 999")
    and one.is_beyond_ascii(),
    "character-set-unknown": lambda one: one.text(0x00080005) == "ISO_IR 999" and one.is_beyond_ascii(),
    "pixels-truncated": lambda one: len(one.value(PIXELS) or b"") == len(one.right[PIXELS]) // 2 & ~1,
    "rows-wrong": lambda one: one.value(0x00280010) != one.right[0x00280010]
    and one.value(PIXELS) == one.right[PIXELS],
    "lut-missing": lambda one: one.text(0x00280004) == "PALETTE COLOR" and 0x00281201 not in one.tags(),
    "overlay-in-pixel-data": lambda one: one.value(0x60000102) == b"\x0f\0" and 0x60003000 not in one.tags(),
    "elements-out-of-order": out_of_order,
    "element-twice": lambda one: one.tags().count(MAKER) == 2 and one.tags().count(PHYSICIAN) == 1,
    "unknown-vr": lambda one: (0x009910F3, b"ZZ") in [(tag, vr) for tag, vr, _, _ in one.elements],
    "undefined-length": lambda one: (0x009910F2, b"OB", UNDEFINED) in [(t, vr, n) for t, vr, _, n in one.elements],
    "file-cut-short": lambda one: one.last()[1] < one.last()[0],
    "syntax-mismatch": lambda one: meta(one).TransferSyntaxUID == IMPLICIT_LITTLE,
    "mismatched-meta-uid": lambda one: meta(one).MediaStorageSOPInstanceUID != one.text(0x00080018),
    "group-length-wrong": lambda one: group_length(one) == -18,
    "meta-missing": lambda one: one.head == bytes(128) + b"DICM",
    "preamble-missing": lambda one: one.head[:4] == b"\x02\0\0\0",
    "accession-reused": lambda one: one.text(0x00080050) == "SYN-REUSED-00001",
    "name-with-html": lambda one: "<script>" in one.text(0x00100010),
    "name-with-control-characters": lambda one: "\a" in one.text(0x00100010),
    "dicomdir-lies": lambda _one: True,
}  # fmt: skip

STUDIES = {
    "two series": lambda **values: recipe(("ct-head", 2), ("ct-head", 2), **values),
    "one series": lambda **values: recipe(("ct-head", 3), **values),
    "one instance": lambda **values: recipe(("ct-head", 1), **values),
    "no pixels": lambda **values: recipe(("ecg", None), **values),
    "mixed": lambda **values: recipe(("text-card", 2), ("ecg", None), **values),
}


def recipe(*series: tuple[str, int | None], **values: Any) -> StudyRecipe:
    made = tuple(SeriesRecipe(kind, count, style="small" if kind == "ct-head" else None) for kind, count in series)
    return StudyRecipe(made, study_date="20260131", **values)


def really_there(study: ResolvedStudy) -> None:
    """Every defect that the truth tells of, where it says."""
    made = [(one, encoded(one)) for one in fabricate(study, workers=1)]
    right = {(one.series_number, one.instance_number): data for one, data in _without(study)}
    uids: dict[str, int] = {}
    for _, data in made:
        uid = next(value for tag, _, value, _ in walk(data) if tag == 0x00080018).decode().strip("\0 ")
        uids[uid] = uids.get(uid, 0) + 1
    read = {
        (one.series_number, one.instance_number): Read(
            study, one.header(), data, right[one.series_number, one.instance_number], uids
        )
        for one, data in made
    }
    for told in declared(study):
        places = [(one["series_number"], one["instance_number"]) for one in told["instances"]]
        for at in read if told["whole_study"] else places:
            assert REALLY[told["name"]](read[at]), told["name"]
        for one in told["instances"]:
            at = one["series_number"], one["instance_number"]
            assert one["received"]["sop_instance_uid"] == read[at].text(0x00080018)
            assert one["received"]["series_instance_uid"] == read[at].text(0x0020000E)
            if told["name"] in ("duplicate-sop-uid", "uid-in-two-series"):
                alike = [other for other, own in read.items() if own.text(0x00080018) == read[at].text(0x00080018)]
                is_apart = told["name"] == "uid-in-two-series"
                assert any((other[0] != at[0]) == is_apart for other in alike if other != at)


def _without(study: ResolvedStudy) -> list[tuple[FabricatedInstance, bytes]]:
    from dicomfab.fabricate.study import _encoded

    return [(one, encoded(one)) for plan in plans(study, 1) for one in _encoded(plan, 1)]


def test_every_defect_is_looked_for() -> None:
    assert REALLY.keys() == DEFECTS.keys()


def made_or_refused(of: str, names: set[str], **values: Any) -> ResolvedStudy | None:
    """The study; none if it was refused because of its defects."""
    try:
        return resolved(STUDIES[of](defects=tuple(names), **values))
    except InvalidInput as error:
        if error.field != "defects" or not set(str(error.value).split(", ")) <= names:
            raise
    return None


@settings(max_examples=20, deadline=None)
@given(
    names=st.sets(st.sampled_from(sorted(DEFECTS)), min_size=2, max_size=9),
    of=st.sampled_from(sorted(STUDIES)),
    script=st.sampled_from([None, "japanese", "korean", "chinese", "cyrillic", "thai"]),
    seed=st.integers(0, 2**32),
)
def test_each_is_really_there_or_refused(names: set[str], of: str, script: str | None, seed: int) -> None:
    study = made_or_refused(of, names, script=script, seed=seed)
    if study is not None:
        really_there(study)


@pytest.mark.full
@pytest.mark.parametrize("of", ["one instance", "two series"])
def test_each_pair(of: str) -> None:
    for pair in combinations(DEFECTS, 2):
        study = made_or_refused(of, set(pair), seed=5)
        if study is not None:
            really_there(study)


@pytest.mark.parametrize(
    ("of", "pair"),
    [
        ("two series", "name-with-html name-with-control-characters"),
        ("two series", "patient-mismatch name-with-html"),
        ("one instance", "group-length-wrong meta-missing"),
        ("one instance", "meta-missing preamble-missing"),
        ("one instance", "uid-too-long uid-leading-zero"),
        ("one instance", "character-set-missing character-set-wrong"),
        ("no pixels", "private-64k file-cut-short"),
    ],
)
def test_a_pair_that_cannot_be_is_refused_by_name(of: str, pair: str) -> None:
    one, other = pair.split()
    with pytest.raises(InvalidInput, match="cannot be together") as refused:
        resolved(STUDIES[of](defects=(one, other), seed=1))
    assert refused.value.field == "defects"
    assert one in refused.value.what
    assert other in refused.value.what


@pytest.mark.parametrize(
    ("of", "pair", "script"),
    [
        ("one instance", "name-with-html character-set-missing", "japanese"),
        ("one instance", "name-with-html character-set-wrong", "korean"),
        ("one instance", "name-with-html character-set-unknown", "thai"),
        ("no pixels", "elements-out-of-order element-twice", None),
        ("one series", "duplicate-sop-uid uid-too-long", None),
        ("two series", "uid-in-two-series uid-leading-zero empty-type-1", None),
        ("one series", "patient-mismatch character-set-missing", "japanese"),
    ],
)
def test_what_once_undid_one_another(of: str, pair: str, script: str | None) -> None:
    for seed in range(3):
        really_there(resolved(STUDIES[of](defects=tuple(pair.split()), script=script, seed=seed)))


def test_a_uid_that_is_taken_stays_what_it_is() -> None:
    """Of two instances both are in the pair that shares a UID, so that neither can have another."""
    with pytest.raises(InvalidInput, match="cannot be together"):
        resolved(recipe(("ct-head", 2), defects=("duplicate-sop-uid", "uid-too-long")))


def test_all_that_can_be_in_one_instance_are() -> None:
    left: tuple[str, ...] = ()
    for name, one in DEFECTS.items():
        if one.needs not in (Needs.TWO_INSTANCES, Needs.TWO_SERIES):
            try:
                resolved(recipe(("ct-head", 1), seed=1, defects=(*left, name)))
            except InvalidInput:
                continue
            left = (*left, name)
    assert len(left) > 20
    really_there(resolved(recipe(("ct-head", 1), seed=1, defects=left)))


def test_a_directory_tells_no_lie_that_is_not_told(tmp_path: Path) -> None:
    names = ("dicomdir-lies", "name-with-html", "uid-too-long", "duplicate-sop-uid", "uid-leading-zero")
    for seed in range(4):
        study = resolved(recipe(("ct-head", 4), ("ct-head", 3), seed=seed, defects=(*names, "syntax-mismatch")))
        folder = tmp_path / str(seed)
        files = {one.path.name: one for one in write_files(study, folder)}
        (told,) = (one for one in declared(study) if one["name"] == "dicomdir-lies")
        lies = {one["file"]: one["says"] for one in told["directory"]}
        records = dcmread(folder / NAME).DirectoryRecordSequence
        assert {str(one.PatientName) for one in records if "PatientName" in one} == {
            "<script>alert(1)</script>^<b>SYN</b>"
        }
        for record in (one for one in records if "ReferencedFileID" in one):
            if record.ReferencedFileID == NOT_THERE:
                continue
            own = files[str(record.ReferencedFileID)].identity
            says = f"the SOP Instance UID is {record.ReferencedSOPInstanceUIDInFile}"
            is_right = record.ReferencedSOPInstanceUIDInFile == own.sop_instance_uid
            assert is_right or lies[str(record.ReferencedFileID)] == says
            assert record.ReferencedTransferSyntaxUIDInFile == own.transfer_syntax_uid


@pytest.mark.parametrize("kind", ["ct-head", "text-card", "ecg"])
def test_a_deflated_file_is_cut_in_its_last_element(kind: str) -> None:
    series = SeriesRecipe(kind, None if kind == "ecg" else 1, DEFLATED)
    study = resolved(StudyRecipe((series,), seed=3, defects=("file-cut-short",)))
    (one,) = fabricate(study, workers=1)
    ((_, right),) = _without(study)
    stream = zlib.decompressobj(-15)
    whole, found = zlib.decompressobj(-15).decompress(right), stream.decompress(encoded(one))
    assert not stream.eof
    assert whole.startswith(found)
    assert walk(whole)[:-1] == walk(found)[:-1]
    assert 0 < len(walk(found)[-1][2]) < walk(found)[-1][3]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_kinds_that_a_defect_names_can_carry_it(kind: str) -> None:
    counted = KINDS[kind].counted if kind in KINDS else None
    shown = () if kind in KINDS else (SeriesRecipe("ct-head", 2),)
    own = SeriesRecipe(kind, min(counted.most, 4)) if counted else SeriesRecipe(kind)
    made = list(plans(resolved(StudyRecipe((*shown, own), seed=7)), 1))[len(shown) :]
    for name, one in DEFECTS.items():
        if one.needs not in (Needs.STUDY, Needs.TWO_SERIES):
            assert (kind in one.kinds) == any(_carries(one, plan, made) for plan in made), name


def test_defects_of_kinds_that_cannot_have_them_are_refused_at_once() -> None:
    for name, kind in (("lut-missing", "vl-photo"), ("duplicate-sop-uid", "mg-screening")):
        with pytest.raises(InvalidInput, match=name):
            checked([name], [kind])
