"""Each rule sees the damage that it is there for, and no other rule sees anything in the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest

from dicomfab.validity.findings import Severity
from dicomfab.validity.rules import INSTANCE_RULES
from dicomfab.validity.run import check_file
from tests.unit.validity.files import (
    NO_TOOLS,
    RLE,
    SIDE,
    changed,
    encapsulated,
    found_in,
    frames_of,
    put,
    replaced,
    rle,
    rules_of,
    saved,
    small,
)

BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
MPEG2 = "1.2.840.10008.1.2.4.100"
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionMethod": "ISO_10918_1",
}

Damage = Callable[[Path, Path], Path]  # source and target


def baseline(cine: Path, out: Path, **values: object) -> Path:
    coded = [imagecodecs.jpeg8_encode(np.frombuffer(f, np.uint8).reshape(SIDE, SIDE)) for f in frames_of(cine)]
    padded = [frame + b"\0" * (len(frame) % 2) for frame in coded]
    ratio = SIDE * SIDE * 3 / sum(map(len, padded))
    return encapsulated(cine, out, BASELINE, padded, **{"LossyImageCompressionRatio": f"{ratio:.2f}", **values})


def in_rle(cine: Path, out: Path, *, table: bool = False, **values: object) -> Path:
    return encapsulated(cine, out, RLE, [rle(frame) for frame in frames_of(cine)], table=table, **values)


def wrong_offsets(cine: Path, out: Path) -> Path:
    in_rle(cine, out, table=True)
    data = bytearray(out.read_bytes())
    place = data.index(b"\xfe\xff\x00\xe0\x0c\0\0\0") + 12
    data[place] += 2
    out.write_bytes(data)
    return out


def short_pixels(ct: Path, out: Path) -> Path:
    ds = pydicom.dcmread(ct)
    ds.PixelData = ds.PixelData[:-2]
    return saved(ds, out)


def beyond_the_bits(ct: Path, out: Path) -> Path:
    ds = pydicom.dcmread(ct)
    pixels = ds.pixel_array.copy()
    pixels[3, 3] = 0x7000 if ds.PixelRepresentation else 0xF000
    ds.PixelData = pixels.tobytes()
    return saved(ds, out)


def with_overlapping_order(ct: Path, out: Path) -> Path:
    """StationName moved in front of everything."""
    data = ct.read_bytes()
    start = data.index(b"\x08\0\x10\x10SH")
    length = 8 + int.from_bytes(data[start + 6 : start + 8], "little")
    element = data[start : start + length]
    first = data.index(b"\x08\0\x05\0CS")
    out.write_bytes(data[:first] + element + data[first:start] + data[start + length :])
    return out


def odd(ct: Path, out: Path) -> Path:
    return replaced(ct, out, b"\x08\0\x60\0CS\x02\0CT", b"\x08\0\x60\0CS\x03\0CT ")


def coded_garbage(cine: Path, out: Path) -> Path:
    coded = [rle(frame) for frame in frames_of(cine)]
    coded[1] = coded[1][:70]
    return encapsulated(cine, out, RLE, coded)


def native_in_rle(cine: Path, out: Path) -> Path:
    return replaced(cine, out, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")


def wrong_group_length(ct: Path, out: Path) -> Path:
    data = bytearray(ct.read_bytes())
    data[140] ^= 2  # the first byte of the value: after preamble, prefix and the element's header
    out.write_bytes(data)
    return out


def other_uid_in_meta(ct: Path, out: Path) -> Path:
    uid = pydicom.dcmread(ct, stop_before_pixels=True).SOPInstanceUID.encode()
    return replaced(ct, out, uid, uid[:-1] + bytes([uid[-1] ^ 1]))


def not_utf_8(ct: Path, out: Path) -> Path:
    changed(ct, out, SpecificCharacterSet="ISO_IR 192")
    return replaced(out, out, b"SYNCT1", b"SYN\xfc\xfc1")


def no_private_creator(ct: Path, out: Path) -> Path:
    ds = pydicom.dcmread(ct)
    ds.add_new(0x00111001, "LO", "orphan")
    return saved(ds, out)


def not_a_number(ct: Path, out: Path) -> Path:
    ds = pydicom.dcmread(ct)
    ds.add_new(0x00189306, "FD", float("nan"))  # Single Collimation Width
    return saved(ds, out)


def in_a_sequence(ct: Path, out: Path) -> Path:
    ds = pydicom.dcmread(ct)
    put(ds.ProcedureCodeSequence[0], "CodeMeaning", "x" * 65)
    return saved(ds, out)


# (rule, which file, damage)
CASES: list[tuple[str, str, Damage]] = [
    ("file-meta", "ct", wrong_group_length),
    ("file-meta", "ct", lambda s, o: replaced(s, o, b"\x02\0\x12\0UI", b"\x02\0\x14\0UI")),
    ("transfer-syntax", "ct", lambda s, o: replaced(s, o, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0")),
    ("data-set", "ct", lambda s, o: truncated(s, o)),
    ("encoding", "ct", with_overlapping_order),
    ("encoding", "ct", odd),
    ("encapsulation", "cine", native_in_rle),
    ("meta-agrees", "ct", other_uid_in_meta),
    ("sop-class", "ct", lambda s, o: class_uid(s, o, "1.2.840.10008.1.1")),
    ("modality", "ct", lambda s, o: changed(s, o, Modality="MR")),
    ("uid", "ct", lambda s, o: changed(s, o, FrameOfReferenceUID="1.2.03")),
    ("uid", "ct", lambda s, o: changed(s, o, FrameOfReferenceUID="1.2." + "3" * 64)),
    ("uid", "ct", lambda s, o: changed(s, o, FrameOfReferenceUID="3.2.1")),
    ("uid", "ct", lambda s, o: changed(s, o, FrameOfReferenceUID="1.2.x")),
    ("private-creator", "ct", no_private_creator),
    ("value", "ct", lambda s, o: changed(s, o, AcquisitionDate="20260231")),
    ("value", "ct", lambda s, o: changed(s, o, AccessionNumber="12345678901234567")),
    ("value", "ct", lambda s, o: changed(s, o, StudyTime="2561")),
    ("value", "ct", lambda s, o: changed(s, o, PatientSex="f")),
    ("value", "ct", lambda s, o: changed(s, o, KVP=b"12O ")),
    ("value", "ct", in_a_sequence),
    ("number", "ct", not_a_number),
    ("character-set", "ct", lambda s, o: replaced(s, o, b"ISO_IR 100", b"ISO_IR 999")),
    ("text", "ct", lambda s, o: not_utf_8(s, o)),
    ("text", "ct", lambda s, o: changed(s, o, StationName=b"AB\x07D")),
    ("replaced", "ct", lambda s, o: changed(s, o, PatientName=b"???????^Ivan")),
    ("birth-date", "ct", lambda s, o: changed(s, o, PatientBirthDate="20260201", remove=["PatientAge"])),
    ("age", "ct", lambda s, o: changed(s, o, PatientAge="119Y")),
    ("date-order", "ct", lambda s, o: changed(s, o, ContentDate="20260130")),
    ("pixel-length", "ct", short_pixels),
    ("pixel-length", "cine", lambda s, o: changed(s, o, NumberOfFrames="4")),
    ("pixel-description", "ct", lambda s, o: changed(s, o, remove=["Rows"])),
    ("pixel-description", "cine", lambda s, o: changed(s, o, HighBit=8)),
    ("photometric", "cine", lambda s, o: changed(s, o, PhotometricInterpretation="YBR_RCT")),
    ("photometric", "cine", lambda s, o: changed(s, o, PhotometricInterpretation="RGB")),
    (
        "planar",
        "cine",
        lambda s, o: small(s, o, SamplesPerPixel=3, PhotometricInterpretation="RGB", NumberOfFrames="1"),
    ),
    ("rescale", "ct", lambda s, o: changed(s, o, RescaleSlope="0")),
    ("rescale", "ct", lambda s, o: changed(s, o, remove=["RescaleIntercept"])),
    ("window", "ct", lambda s, o: changed(s, o, WindowWidth="0")),
    ("window", "cine", lambda s, o: changed(s, o, WindowCenter=["1", "2"])),
    ("window-range", "cine", lambda s, o: changed(s, o, WindowCenter="5000")),
    ("frame-count", "cine", lambda s, o: in_rle(s, o, NumberOfFrames="2")),
    ("offset-table", "cine", wrong_offsets),
    ("frame", "cine", coded_garbage),
    ("frame", "cine", lambda s, o: in_rle(s, o, Rows=SIDE + 1)),
    ("pixel-value", "ct", beyond_the_bits),
    ("pixel-value", "cine", lambda s, o: in_rle(s, o, BitsStored=7, HighBit=6)),
    ("lossy-flag", "cine", lambda s, o: baseline(s, o, LossyImageCompression="00")),
    ("lossy-stated", "cine", lambda s, o: baseline(s, o, LossyImageCompression="01")),
    ("lossy-method", "cine", lambda s, o: baseline(s, o, **LOSSY, LossyImageCompressionRatio=["4", "8"])),
    ("lossy-method", "cine", lambda s, o: baseline(s, o, **{**LOSSY, "LossyImageCompressionMethod": "ISO_15444_1"})),
    ("lossy-ratio", "cine", lambda s, o: baseline(s, o, **LOSSY, LossyImageCompressionRatio="90")),
    ("orientation", "ct", lambda s, o: changed(s, o, ImageOrientationPatient=["2", "0", "0", "0", "1", "0"])),
    ("orientation", "ct", lambda s, o: changed(s, o, ImageOrientationPatient=["1", "0", "0", "0.6", "0.8", "0"])),
    ("position", "ct", lambda s, o: changed(s, o, ImagePositionPatient=["1", "2"])),
    ("spacing", "ct", lambda s, o: changed(s, o, PixelSpacing=["0.7", "0"])),
    ("synthetic-mark", "ct", lambda s, o: changed(s, o, remove=["SyntheticData"])),
]


def truncated(source: Path, out: Path) -> Path:
    out.write_bytes(source.read_bytes()[:-1000])
    return out


def class_uid(source: Path, out: Path, uid: str) -> Path:
    ds = pydicom.dcmread(source)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid
    return saved(ds, out)


@pytest.mark.parametrize(("rule", "base", "damage"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_a_rule_sees_its_damage_and_only_that(
    rule: str, base: str, damage: Damage, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = damage(request.getfixturevalue(base), tmp_path / "damaged.dcm")
    findings = found_in(path)
    assert rules_of(findings) == {rule}
    assert all(finding.reference and finding.remedy for finding in findings)


def test_every_rule_has_a_case() -> None:
    informing = {rule.id for rule in INSTANCE_RULES if rule.severity == Severity.INFO}
    assert {case[0] for case in CASES} | informing == {rule.id for rule in INSTANCE_RULES}
    assert len({rule.id for rule in INSTANCE_RULES}) == len(INSTANCE_RULES)


def test_good_files_have_no_finding(study: list[Path], cine: Path, tmp_path: Path) -> None:
    good = [
        *study,
        cine,
        in_rle(cine, tmp_path / "rle.dcm", table=True),
        baseline(cine, tmp_path / "jpeg.dcm", **LOSSY),
    ]
    assert {path.name: found_in(path) for path in good} == {path.name: [] for path in good}


def information(path: Path) -> set[str]:
    return {f.rule for f in check_file(path, NO_TOOLS).findings if f.severity == Severity.INFO}


def test_information(ct: Path, cine: Path, tmp_path: Path) -> None:
    assert information(ct) == {"synthetic"}
    video = encapsulated(cine, tmp_path / "video.dcm", MPEG2, [b"\0\0\1\xb3" + bytes(100)])
    assert information(video) == {"synthetic", "not-decoded"}
    ds = pydicom.dcmread(ct)
    del ds[0x00990010:0x00991099]
    del ds.SyntheticData
    assert information(saved(ds, tmp_path / "others.dcm")) == {"origin"}


@pytest.mark.parametrize("reversible", [True, False])
def test_a_transfer_syntax_that_may_be_lossy_needs_the_flag_only_if_it_is(
    cine: Path, tmp_path: Path, reversible: bool
) -> None:
    frames = [np.frombuffer(f, np.uint8).reshape(SIDE, SIDE) for f in frames_of(cine)]
    options = {"reversible": True} if reversible else {"level": 30, "reversible": False}
    coded = [imagecodecs.jpeg2k_encode(f, codecformat="j2k", **options) for f in frames]
    coded = [frame + b"\0" * (len(frame) % 2) for frame in coded]
    path = encapsulated(cine, tmp_path / "j2k.dcm", JPEG_2000, coded, LossyImageCompression="00")
    assert rules_of(found_in(path)) == (set() if reversible else {"lossy-flag"})
    near = [imagecodecs.jpegls_encode(f, level=0 if reversible else 2) for f in frames]
    near = [frame + b"\0" * (len(frame) % 2) for frame in near]
    path = encapsulated(cine, tmp_path / "jls.dcm", JPEG_LS_NEAR, near, LossyImageCompression="00")
    assert rules_of(found_in(path)) == (set() if reversible else {"lossy-flag"})


@pytest.mark.parametrize(
    ("sets", "name"),
    [
        ("ISO_IR 192", "Ξένη^Ирина=山田"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 144", "Люкceмбypг"),
    ],
)
def test_names_of_other_scripts_are_text(card: Path, tmp_path: Path, sets: str | list[str], name: str) -> None:
    ds = pydicom.dcmread(card)
    ds.SpecificCharacterSet, ds.PatientName = sets, name
    assert found_in(saved(ds, tmp_path / "name.dcm")) == []


@pytest.mark.parametrize(
    "transfer_syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"], ids=["implicit", "deflated"]
)
def test_data_sets_of_other_encodings(ct: Path, tmp_path: Path, transfer_syntax: str) -> None:
    ds = pydicom.dcmread(ct)
    assert found_in(saved(ds, tmp_path / "other.dcm", transfer_syntax)) == []
    put(ds, "Modality", "MR")
    assert rules_of(found_in(saved(ds, tmp_path / "damaged.dcm", transfer_syntax))) == {"modality"}


def test_a_file_that_is_no_dicom_file(tmp_path: Path) -> None:
    path = tmp_path / "letter.dcm"
    path.write_bytes(b"Dear colleague")
    (finding,) = found_in(path)
    assert (finding.rule, finding.severity) == ("part10", Severity.ERROR)
