from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended

from dicomfab.model.errors import TranscodingFailed
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, targets_for
from dicomfab.pixels.transcode import transcode
from tests.unit.pixels.encoder import EXPLICIT, Element, encode
from tests.unit.pixels.instances import data_set, encapsulated, instance, picture, pixels_of, rich, write

JPEG_LS = "1.2.840.10008.1.2.4.80"
LOSSLESS = "1.2.840.10008.1.2.4.70"


def jls(pixels) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels))


def native(folder: Path, transfer_syntax: str = EXPLICIT_LITTLE) -> InstanceFile:
    ds = data_set(picture(bits=12), bits=12)
    rich(ds)
    path = folder / "native.dcm"
    return write(ds, path, transfer_syntax)


def data_set_bytes(file: InstanceFile) -> bytes:
    return file.path.read_bytes()[file.dataset_offset :]


def test_the_file_is_a_part_10_file_of_the_same_instance(tmp_path):
    source = native(tmp_path)
    before = source.path.read_bytes()
    result = transcode(source, IMPLICIT_LITTLE, tmp_path)
    assert result.identity == replace(source.identity, transfer_syntax_uid=IMPLICIT_LITTLE)
    header = file_header(source.identity.sop_class_uid, source.identity.sop_instance_uid, IMPLICIT_LITTLE)
    assert result.path.read_bytes().startswith(header)
    assert result.dataset_offset == len(header)
    assert instance(result.path) == result
    assert result.path.parent == tmp_path
    assert sorted(tmp_path.iterdir()) == sorted([source.path, result.path])
    assert source.path.read_bytes() == before


@pytest.mark.parametrize("start", [EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
@pytest.mark.parametrize("middle", [EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_between_encodings_with_vrs_nothing_is_lost(tmp_path, start, middle):
    original = native(tmp_path)
    first = original if start == EXPLICIT_LITTLE else transcode(original, start, tmp_path)
    second = first if middle == start else transcode(first, middle, tmp_path)
    last = second if middle == EXPLICIT_LITTLE else transcode(second, EXPLICIT_LITTLE, tmp_path)
    assert data_set_bytes(last) == data_set_bytes(original)


def test_implicit_vr_loses_the_vrs_of_private_elements_and_nothing_else(tmp_path):
    original = native(tmp_path)
    implicit = transcode(original, IMPLICIT_LITTLE, tmp_path)
    explicit = transcode(implicit, EXPLICIT_LITTLE, tmp_path)
    before, after = pydicom.dcmread(original.path), pydicom.dcmread(explicit.path)
    assert before.group_dataset(0x0099)[0x00990010] == after[0x00990010]
    for ds in (before, after):
        for element in list(ds.group_dataset(0x0099)):
            del ds[element.tag]
    assert before == after
    again = transcode(explicit, IMPLICIT_LITTLE, tmp_path)
    assert data_set_bytes(again) == data_set_bytes(implicit)
    third = transcode(again, EXPLICIT_LITTLE, tmp_path)
    assert data_set_bytes(third) == data_set_bytes(explicit)


def test_a_deflated_data_set_has_an_even_length(tmp_path):
    for bits in (8, 12):
        for columns in range(10, 18):
            source = write(data_set(picture(8, columns, bits=bits), bits=bits), tmp_path / "native.dcm")
            assert len(data_set_bytes(transcode(source, DEFLATED, tmp_path))) % 2 == 0


def multi_frame(folder: Path, coded: list[bytes], *, fragments: int, table: bool, extended: bool) -> InstanceFile:
    source = encapsulated(
        data_set(picture(bits=12, frames=len(coded)), bits=12, frames=len(coded)), coded, folder / "coded.dcm", JPEG_LS
    )
    ds = pydicom.dcmread(source.path)
    if extended:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(coded)
    else:
        ds.PixelData = encapsulate(coded, fragments_per_frame=fragments, has_bot=table)
    ds["PixelData"].is_undefined_length = True
    return write(ds, source.path, JPEG_LS)


@pytest.mark.parametrize(("fragments", "table", "extended"), [(1, True, False), (1, False, False), (1, False, True)])
@pytest.mark.parametrize("target", targets_for(JPEG_LS))
def test_frames_of_one_fragment_each(tmp_path, fragments, table, extended, target):
    pixels = picture(bits=12, frames=3)
    source = multi_frame(tmp_path, [jls(f) for f in pixels], fragments=fragments, table=table, extended=extended)
    result = transcode(source, target, tmp_path)
    np.testing.assert_array_equal(pixels_of(result), pixels)
    after = pydicom.dcmread(result.path)
    assert "ExtendedOffsetTable" not in after
    assert "ExtendedOffsetTableLengths" not in after


@pytest.mark.parametrize("fragments", [2, 5])
@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_of_several_fragments(tmp_path, fragments, table, frames):
    pixels = picture(bits=12, frames=3)[:frames]
    coded = [jls(f) for f in pixels]
    source = encapsulated(
        data_set(pixels if frames > 1 else pixels[0], bits=12, frames=frames), coded, tmp_path / "coded.dcm", JPEG_LS
    )
    ds = pydicom.dcmread(source.path)
    ds.PixelData = encapsulate(coded, fragments_per_frame=fragments, has_bot=table)
    source = write(ds, source.path, JPEG_LS)
    result = transcode(source, EXPLICIT_LITTLE, tmp_path)
    np.testing.assert_array_equal(pixels_of(result).reshape(pixels.shape), pixels)


def test_an_offset_table_that_points_nowhere_is_no_table_to_follow(tmp_path):
    pixels = picture(bits=12, frames=3)
    source = multi_frame(tmp_path, [jls(f) for f in pixels], fragments=2, table=True, extended=False)
    raw = bytearray(source.path.read_bytes())
    table = raw.index(struct.pack("<HHI", 0xFFFE, 0xE000, 12)) + 8
    raw[table + 4 : table + 8] = b"\2\0\0\0"
    source.path.write_bytes(raw)
    with pytest.raises(TranscodingFailed, match="6 fragments do not make 3 frames"):
        transcode(source, EXPLICIT_LITTLE, tmp_path)


def test_a_frame_is_named_by_its_number(tmp_path):
    coded = [jls(f) for f in picture(bits=12, frames=3)]
    source = multi_frame(tmp_path, [coded[0], coded[1][:-60], coded[2]], fragments=1, table=True, extended=False)
    with pytest.raises(TranscodingFailed, match="frame 2: the coded frame has no end"):
        transcode(source, EXPLICIT_LITTLE, tmp_path)
    assert list(tmp_path.iterdir()) == [source.path]


def icon(*, coded: bool, colour: bool = True) -> Dataset:
    pixels = picture(16, 16, bits=8, samples=3 if colour else 1)
    item = Dataset()
    item.SamplesPerPixel, item.PhotometricInterpretation = 3, "YBR_FULL_422" if coded else "RGB"
    item.PlanarConfiguration = 0
    item.Rows, item.Columns, item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 8, 8, 7
    item.PixelRepresentation = 0
    item.PixelData = encapsulate([jls(pixels)]) if coded else pixels.tobytes()
    item["PixelData"].VR = "OB"
    item["PixelData"].is_undefined_length = coded
    return item


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_an_icon_is_decoded_if_it_is_encapsulated(tmp_path, coded, undefined):
    pixels = picture(bits=12)
    source = encapsulated(data_set(pixels, bits=12), [jls(pixels)], tmp_path / "coded.dcm", JPEG_LS)
    ds = pydicom.dcmread(source.path)
    ds.IconImageSequence = [icon(coded=coded)]
    ds.IconImageSequence[0].is_undefined_length_sequence_item = undefined
    ds["IconImageSequence"].is_undefined_length = undefined
    source = write(ds, source.path, JPEG_LS)
    after = pydicom.dcmread(transcode(source, IMPLICIT_LITTLE, tmp_path).path)
    item = after.IconImageSequence[0]
    assert item.PhotometricInterpretation == ("YBR_FULL" if coded else "RGB")
    assert item.PixelData == picture(16, 16, bits=8, samples=3).tobytes()
    np.testing.assert_array_equal(pydicom.pixels.pixel_array(after, raw=True), pixels)


def test_a_missing_planar_configuration_is_put_in(tmp_path):
    pixels = picture(bits=8, samples=3)
    source = encapsulated(data_set(pixels, bits=8, photometric="RGB"), [jls(pixels)], tmp_path / "coded.dcm", JPEG_LS)
    ds = pydicom.dcmread(source.path)
    del ds.PlanarConfiguration
    after = pydicom.dcmread(transcode(write(ds, source.path, JPEG_LS), EXPLICIT_LITTLE, tmp_path).path)
    assert after.PlanarConfiguration == 0
    tags = [element.tag for element in after]
    assert tags == sorted(tags)


def test_an_instance_without_pixel_data_may_be_in_a_compressed_transfer_syntax(tmp_path):
    ds = data_set(picture(bits=8), bits=8)
    del ds.PixelData
    plain = write(ds, tmp_path / "plain.dcm")
    result = transcode(write(ds, tmp_path / "coded.dcm", JPEG_LS), EXPLICIT_LITTLE, tmp_path)
    assert data_set_bytes(result) == data_set_bytes(plain)


def refused(source: InstanceFile, target: str, folder: Path) -> TranscodingFailed:
    before = sorted(folder.iterdir())
    with pytest.raises(TranscodingFailed) as caught:
        transcode(source, target, folder)
    assert sorted(folder.iterdir()) == before
    assert source.identity.sop_instance_uid in caught.value.what
    assert caught.value.cause
    assert caught.value.remedy
    assert not caught.value.transient
    return caught.value


def test_what_is_not_in_the_table_is_refused_before_anything_is_read(tmp_path):
    source = native(tmp_path)
    source.path.unlink()
    assert "there is no way" in refused(source, EXPLICIT_LITTLE, tmp_path).what
    assert "there is no way" in refused(source, JPEG_LS, tmp_path).what
    video = replace(source, identity=replace(source.identity, transfer_syntax_uid="1.2.840.10008.1.2.4.100"))
    assert "there is no way" in refused(video, EXPLICIT_LITTLE, tmp_path).what


def test_a_file_or_folder_that_is_not_there_is_said(tmp_path):
    source = native(tmp_path)
    with pytest.raises(TranscodingFailed, match="No such file or directory"):
        transcode(source, IMPLICIT_LITTLE, tmp_path / "missing")
    source.path.unlink()
    assert "No such file or directory" in refused(source, IMPLICIT_LITTLE, tmp_path).what


def test_pixel_data_have_to_be_encapsulated_where_the_transfer_syntax_says_so_and_only_there(tmp_path):
    source = native(tmp_path)
    claimed = replace(source, identity=replace(source.identity, transfer_syntax_uid=JPEG_LS))
    assert "not encapsulated" in refused(claimed, EXPLICIT_LITTLE, tmp_path).what
    pixels = picture(bits=12)
    coded = encapsulated(data_set(pixels, bits=12), [jls(pixels)], tmp_path / "coded.dcm", JPEG_LS)
    claimed = replace(coded, identity=replace(coded.identity, transfer_syntax_uid=EXPLICIT_LITTLE))
    assert "undefined length" in refused(claimed, IMPLICIT_LITTLE, tmp_path).what


def test_deflated_data_that_are_cut_short_or_none_are_refused(tmp_path):
    source = transcode(native(tmp_path), DEFLATED, tmp_path)
    whole = source.path.read_bytes()
    source.path.write_bytes(whole[:-40])
    assert "no end" in refused(source, EXPLICIT_LITTLE, tmp_path).what
    source.path.write_bytes(whole[: source.dataset_offset] + b"\xff" * 40)
    assert "cannot be inflated" in refused(source, EXPLICIT_LITTLE, tmp_path).what


def test_native_pixel_data_have_to_fit_into_one_element(tmp_path):
    pixels = picture(bits=12)
    source = encapsulated(
        data_set(pixels, bits=12), [b"\xff\xd8"], tmp_path / "coded.dcm", JPEG_LS, Rows=65535, Columns=65535
    )
    assert "8589672450 bytes when decoded" in refused(source, EXPLICIT_LITTLE, tmp_path).what


CODED = {
    "1.2.840.10008.1.2.4.70": lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1)),
    "1.2.840.10008.1.2.4.80": jls,
    "1.2.840.10008.1.2.4.90": lambda pixels: bytes(
        imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=0, reversible=True)
    ),
    "1.2.840.10008.1.2.4.201": lambda pixels: bytes(imagecodecs.htj2k_encode(pixels, reversible=True)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """A file of every kind, whole."""
    folder = tmp_path_factory.mktemp("whole")
    pixels = picture(33, 35, bits=12)
    whole = {EXPLICIT_LITTLE: write(data_set(pixels, bits=12), folder / "native.dcm").path.read_bytes()}
    for syntax, encode_frame in CODED.items():
        source = encapsulated(data_set(pixels, bits=12), [encode_frame(pixels)], folder / "coded.dcm", syntax)
        whole[syntax] = source.path.read_bytes()
    return whole


@given(syntax=st.sampled_from([EXPLICIT_LITTLE, *CODED]), data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_or_written_whole_and_nothing_else_is_left(tmp_path, files, syntax, data):
    whole = files[syntax]
    source = tmp_path / "damaged.dcm"
    source.write_bytes(whole)
    start = instance(source)
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(start.dataset_offset, len(raw) - 1))] = data.draw(st.integers(0, 255))
    source.write_bytes(raw[: data.draw(st.integers(start.dataset_offset, len(raw)))])
    try:
        result = transcode(start, IMPLICIT_LITTLE, tmp_path)
    except TranscodingFailed as error:
        said = (error.what, error.cause, error.remedy)
    else:
        said = ("copied",)
        result.path.unlink()
    assert all(said)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("syntax", CODED)
def test_a_file_cut_short_anywhere_within_its_pixels_is_refused(tmp_path, files, syntax):
    source = tmp_path / "short.dcm"
    source.write_bytes(files[syntax])
    start = instance(source)
    end = len(files[syntax])
    for cut in range(9, 900, 27):
        source.write_bytes(files[syntax][: end - cut])
        refused(start, EXPLICIT_LITTLE, tmp_path)


MEASURE = """
import re, sys
from pathlib import Path
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.transcode import transcode
path, offset, syntax, target, folder = sys.argv[1:]
source = InstanceFile(Path(path), InstanceIdentity("1.2", "1.3", syntax), int(offset))
print(transcode(source, target, Path(folder)).path)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(*sorted(sys.modules))
"""


def measured(source: InstanceFile, target: str, folder: Path) -> tuple[Path, int, set[str]]:
    """Transcode in a process of its own: the file, the peak of its memory in KB, the modules that it loaded."""
    words = [source.path, source.dataset_offset, source.identity.transfer_syntax_uid, target, folder]
    run = subprocess.run([sys.executable, "-c", MEASURE, *map(str, words)], capture_output=True, text=True, check=True)
    path, peak, modules = run.stdout.splitlines()
    return Path(path), int(peak), set(modules.split())


def sparse(path: Path, size: int, syntax: str) -> InstanceFile:
    """A file with ``size`` bytes of pixel data that take no room on the disk."""
    header = file_header("1.2", "1.3", syntax)
    start = encode((Element(0x00100010, "PN", b"A^B "), Element(0x7FE00010, "OW", b"")), EXPLICIT)
    with path.open("wb") as file:
        file.write(header + start[:-4] + struct.pack("<I", size))
        file.truncate(file.tell() + size)
    return InstanceFile(path, InstanceIdentity("1.2", "1.3", syntax), len(header))


@pytest.mark.parametrize("target", [IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_300_mb_of_pixels_go_through_little_memory_and_no_codec(tmp_path, target):
    source = sparse(tmp_path / "sparse.dcm", 300 << 20, EXPLICIT_LITTLE)
    small, small_peak, _ = measured(sparse(tmp_path / "small.dcm", 2, EXPLICIT_LITTLE), target, tmp_path)
    path, peak, modules = measured(source, target, tmp_path)
    assert peak - small_peak < 30_000
    assert peak < 100_000
    assert path.stat().st_size - small.stat().st_size == (300 << 20) - 2
    assert not modules & {"numpy", "pydicom", "imagecodecs"}


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    pixels = picture(512, 512, bits=12)
    peaks = {}
    for frames in (2, 200):
        ds = data_set(np.stack([pixels] * 2), bits=12, frames=2)
        ds.FrameTimeVector = ["0"] * frames
        coded = [jls(pixels)] * frames
        source = encapsulated(ds, coded, tmp_path / f"{frames}.dcm", JPEG_LS, NumberOfFrames=frames)
        path, peaks[frames], _ = measured(source, EXPLICIT_LITTLE, tmp_path)
    assert path.stat().st_size > 200 * pixels.nbytes
    assert peaks[200] - peaks[2] < 20_000


def test_importing_loads_no_codec():
    code = "import sys, dicomfab.pixels.transcode; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pydicom", "imagecodecs", "openjpeg"} & set(modules)
