"""Lossily compressed copies: what they say about themselves, and that nothing else changes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets

from dicomfab.model.errors import InvalidInput, TranscodingFailed
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.derive import Assessment, assess, derive
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import writable
from tests.unit.pixels.instances import data_set, instance, picture, pixels_of, rich, write

NEAR, J2K, BASELINE, EXTENDED = (writable(name).uid for name in ("jpeg-ls-near", "j2k-lossy", "jpeg", "jpeg-extended"))
CHANGED = {
    "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "ImageType", "PixelData", "DerivationDescription",
    "DerivationCodeSequence", "SourceImageSequence", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
}  # fmt: skip
NEW: dict[str, Any] = {"sop_instance_uid": "2.25.11", "series_instance_uid": "2.25.12", "series_number": 7}


def source(folder: Path, syntax: str = EXPLICIT_LITTLE, *, frames: int = 1, **more: Any) -> InstanceFile:
    ds = data_set(picture(bits=12, frames=frames), bits=12, frames=frames)
    rich(ds)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 0, 4095
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    file = write(ds, folder / "source.dcm")
    return file if syntax == EXPLICIT_LITTLE else transcode(file, syntax, folder)


@pytest.mark.parametrize("frames", [1, 3])
def test_it_is_an_instance_of_its_own_that_names_its_source(tmp_path: Path, frames: int) -> None:
    before = source(tmp_path, frames=frames)
    content = before.path.read_bytes()
    made = derive(before, NEAR, tmp_path, **NEW, quality=3)
    assert instance(made.path) == made
    assert (made.identity.sop_instance_uid, made.identity.transfer_syntax_uid) == ("2.25.11", NEAR)
    old, new = pydicom.dcmread(before.path), pydicom.dcmread(made.path)
    assert (new.SOPInstanceUID, new.SeriesInstanceUID, new.SeriesNumber) == ("2.25.11", "2.25.12", 7)
    assert new.StudyInstanceUID == old.StudyInstanceUID
    assert new.ImageType == ["DERIVED", "PRIMARY", "AXIAL"]
    assert (new.LossyImageCompression, new.LossyImageCompressionMethod) == ("01", "ISO_14495_1")
    coded = sum(map(len, list(pydicom.encaps.generate_fragments(new.PixelData))[1:]))
    assert float(new.LossyImageCompressionRatio) == pytest.approx(len(old.PixelData) / coded, abs=0.01)
    assert len(parse_basic_offsets(new.PixelData)) == frames
    assert "quality 3" in new.DerivationDescription
    assert new.DerivationCodeSequence[0].CodeValue == "113040"
    (referenced,) = new.SourceImageSequence
    assert (referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID) == (
        old.SOPClassUID,
        old.SOPInstanceUID,
    )
    assert referenced.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    differing = {e.keyword for e in new if old.get(e.tag) != e} | {e.keyword for e in old if new.get(e.tag) != e}
    assert differing == CHANGED | {"SmallestImagePixelValue", "LargestImagePixelValue"}
    got = pixels_of(transcode(made, EXPLICIT_LITTLE, tmp_path)).astype(int)
    assert 0 < np.abs(got - pixels_of(before)).max() <= 3
    assert before.path.read_bytes() == content


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_the_source_may_be_in_any_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    plain = derive(source(tmp_path), J2K, tmp_path, **NEW)
    other = derive(source(tmp_path, syntax), J2K, tmp_path, **NEW)
    one, two = pydicom.dcmread(plain.path), pydicom.dcmread(other.path)
    assert one.PixelData == two.PixelData
    if syntax != IMPLICIT_LITTLE:  # which drops the VRs of private elements
        assert plain.path.read_bytes() == other.path.read_bytes()


def test_only_the_new_file_is_left_in_the_folder(tmp_path: Path) -> None:
    before = source(tmp_path, DEFLATED)
    folder = tmp_path / "work"
    folder.mkdir()
    made = derive(before, NEAR, folder, **NEW)
    assert list(folder.iterdir()) == [made.path]


def test_what_was_lossy_before_stays_on_record(tmp_path: Path) -> None:
    first = derive(source(tmp_path), EXTENDED, tmp_path, **NEW)
    second = derive(first, NEAR, tmp_path, **{**NEW, "sop_instance_uid": "2.25.21"})
    third = derive(second, J2K, tmp_path, **{**NEW, "sop_instance_uid": "2.25.31"})
    ds = pydicom.dcmread(third.path)
    assert ds.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_14495_1", "ISO_15444_1"]
    earlier = pydicom.dcmread(second.path).LossyImageCompressionRatio
    assert list(ds.LossyImageCompressionRatio)[:2] == list(earlier)
    assert len(ds.LossyImageCompressionRatio) == 3
    assert [item.CodeValue for item in ds.DerivationCodeSequence] == ["113040"] * 3
    assert [item.ReferencedSOPInstanceUID for item in ds.SourceImageSequence] == ["2.25.21"]
    assert ds.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert ds.DerivationDescription.count("ratio") == 3
    assert "before" in ds.DerivationDescription


def test_a_description_never_grows_too_long(tmp_path: Path) -> None:
    made = derive(source(tmp_path, DerivationDescription="x" * 1000), NEAR, tmp_path, **NEW)
    description = pydicom.dcmread(made.path).DerivationDescription
    assert description.startswith("Lossy compression")
    kept = derive(source(tmp_path, DerivationDescription="Averaged"), NEAR, tmp_path, **NEW)
    assert pydicom.dcmread(kept.path).DerivationDescription.startswith("Averaged; Lossy compression")


@pytest.mark.parametrize("by_plane", [False, True])
def test_colour(tmp_path: Path, by_plane: bool) -> None:
    pixels = picture(samples=3)
    file = write(data_set(pixels, bits=8, photometric="RGB", by_plane=by_plane), tmp_path / "source.dcm")
    for syntax, photometric, bound in ((BASELINE, "YBR_FULL_422", 40), (J2K, "YBR_ICT", 6), (NEAR, "RGB", 2)):
        made = derive(file, syntax, tmp_path, **NEW)
        ds = pydicom.dcmread(made.path)
        assert (ds.PhotometricInterpretation, ds.PlanarConfiguration) == (photometric, 0)
        got = pixels_of(transcode(made, EXPLICIT_LITTLE, tmp_path)).astype(int)
        assert 0 < np.abs(got - pixels).max() <= bound


def test_the_types_of_frames_agree_with_the_image(tmp_path: Path) -> None:
    group, macro = Dataset(), Dataset()
    macro.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    group.CTImageFrameTypeSequence = [macro]
    file = source(tmp_path, SharedFunctionalGroupsSequence=[group], PerFrameFunctionalGroupsSequence=[group, group])
    ds = pydicom.dcmread(derive(file, NEAR, tmp_path, **NEW).path)
    for item in (*ds.SharedFunctionalGroupsSequence, *ds.PerFrameFunctionalGroupsSequence):
        assert item.CTImageFrameTypeSequence[0].FrameType == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]


def test_signatures_go_and_what_else_follows_the_pixels_stays(tmp_path: Path) -> None:
    ds = data_set(picture(bits=12), bits=12)
    ds.add_new(0x7FE10010, "LO", "SOMEONE")
    ds.add_new(0x7FE11001, "OB", b"1234")
    ds.DigitalSignaturesSequence = [Dataset()]
    ds.MACParametersSequence = [Dataset()]
    ds.DataSetTrailingPadding = b"\0\0"
    made = pydicom.dcmread(derive(write(ds, tmp_path / "source.dcm"), NEAR, tmp_path, **NEW).path)
    assert made[0x7FE11001].value == b"1234"
    assert not {"DigitalSignaturesSequence", "MACParametersSequence", "DataSetTrailingPadding"} & set(made.dir())


def test_without_an_image_type_it_is_primary(tmp_path: Path) -> None:
    file = write(data_set(picture(bits=12), bits=12), tmp_path / "source.dcm")
    made = pydicom.dcmread(derive(file, NEAR, tmp_path, sop_instance_uid="2.25.1", series_instance_uid="2.25.2").path)
    assert made.ImageType == ["DERIVED", "PRIMARY"]
    assert made.SeriesNumber == 1


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    frame = picture(512, 512, bits=12)
    ds = data_set(np.broadcast_to(frame, (80, 512, 512)), bits=12, frames=80)
    file = write(ds, tmp_path / "source.dcm")
    tracemalloc.start()
    made = derive(file, NEAR, tmp_path, **NEW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6 < made.path.stat().st_size < file.path.stat().st_size


@pytest.mark.parametrize("syntax", ["rle", "explicit"])
def test_a_lossless_transfer_syntax_is_refused(tmp_path: Path, syntax: str) -> None:
    with pytest.raises(InvalidInput, match="loses nothing"):
        derive(source(tmp_path), writable(syntax).uid, tmp_path, **NEW)


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    file = source(tmp_path)
    for syntax, quality, field in ((BASELINE, None, "transfer_syntax"), (EXTENDED, 101, "quality")):
        with pytest.raises(InvalidInput) as refused:
            derive(file, syntax, tmp_path, **NEW, quality=quality)
        assert refused.value.field == field
    assert list(tmp_path.iterdir()) == [file.path]


@pytest.mark.parametrize("cut", [0.1, 0.6, 0.99])
@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, DEFLATED])
def test_a_source_cut_short_leaves_nothing(tmp_path: Path, syntax: str, cut: float) -> None:
    file = source(tmp_path, syntax)
    content = file.path.read_bytes()
    file.path.write_bytes(content[: file.dataset_offset + int((len(content) - file.dataset_offset) * cut)])
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(TranscodingFailed, match="cannot be compressed"):
        derive(file, NEAR, folder, **NEW)
    assert list(folder.iterdir()) == []


def test_a_source_that_is_gone_or_no_image(tmp_path: Path) -> None:
    file = source(tmp_path)
    ds = pydicom.dcmread(file.path)
    del ds.PixelData
    with pytest.raises(TranscodingFailed, match="no pixel data"):
        derive(write(ds, tmp_path / "report.dcm"), NEAR, tmp_path, **NEW)
    file.path.unlink()
    with pytest.raises(TranscodingFailed, match="cannot be compressed"):
        derive(file, NEAR, tmp_path, **NEW)


def test_bits_that_are_not_stored_are_found(tmp_path: Path) -> None:
    pixels = picture(bits=12)
    pixels[3, 3] |= 0x8000
    with pytest.raises(TranscodingFailed, match=r"frame 1: .*BitsStored 12"):
        derive(write(data_set(pixels, bits=12), tmp_path / "source.dcm"), J2K, tmp_path, **NEW)


def test_more_frames_than_pixels_are_found(tmp_path: Path) -> None:
    with pytest.raises(TranscodingFailed, match="for 9 frames"):
        derive(source(tmp_path, frames=3, NumberOfFrames=9), NEAR, tmp_path, **NEW)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_an_assessment_needs_the_attributes_alone(tmp_path: Path, syntax: str) -> None:
    file = source(tmp_path, syntax, frames=3)
    assert assess(file, NEAR) == Assessment("", lossy=False)
    assert assess(file, BASELINE) == Assessment(
        "JPEG baseline holds samples of 8 in 8 bits, not of 12 in 16", lossy=False
    )


def test_an_assessment_looks_through_compression(tmp_path: Path) -> None:
    pixels = picture(samples=3)
    file = write(data_set(pixels, bits=8, photometric="RGB"), tmp_path / "source.dcm")
    assert assess(derive(file, BASELINE, tmp_path, **NEW), J2K) == Assessment("", lossy=True)


def test_an_assessment_of_what_cannot_be_compressed(tmp_path: Path) -> None:
    ds = data_set(picture(bits=12), bits=12)
    plain = write(ds, tmp_path / "source.dcm")
    unknown = InstanceFile(
        plain.path,
        type(plain.identity)(plain.identity.sop_class_uid, plain.identity.sop_instance_uid, "1.2.840.10008.1.2.4.100"),
        plain.dataset_offset,
    )
    assert "cannot be decoded" in assess(unknown, NEAR).refused
    del ds.BitsStored
    assert "no BitsStored" in assess(write(ds, tmp_path / "a.dcm"), NEAR).refused
    del ds.Rows
    assert assess(write(ds, tmp_path / "b.dcm"), NEAR).refused == "it is no image"
