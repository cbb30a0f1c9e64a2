"""Series in every transfer syntax: what is read back is what the plan says."""

from __future__ import annotations

import copy
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments

from dicomfab.fabricate.encode.frames import DEFLATE_END, deflated, mapped
from dicomfab.fabricate.encode.series import encode_series
from dicomfab.fabricate.encode.template import encode_dataset
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.sinks import write_file
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import WRITABLE, writable
from tests.unit.fabricate.plans import PICTURES, series
from tests.unit.fabricate.studies import encoded, read
from tests.unit.pixels.instances import pixels_of

LOSSLESS = [one.name for one in WRITABLE.values() if not one.lossy]
LOSSY = {"jpeg": "RGB", "jpeg-extended": "12", "jpeg-ls-near": "12", "j2k-lossy": "16 signed"}


def written(folder: Path, what: str, name: str, frames: int = 1) -> tuple[list[InstanceFile], np.ndarray]:
    plan, pixels = series(what, frames=frames)
    files = [
        write_file(instance, folder / f"{number}.dcm")
        for number, instance in enumerate(encode_series(plan, writable(name).uid, 2))
    ]
    assert len(files) == plan.count
    return files, pixels


def native(file: InstanceFile, folder: Path) -> InstanceFile:
    syntax = file.identity.transfer_syntax_uid
    return file if syntax == EXPLICIT_LITTLE else transcode(file, EXPLICIT_LITTLE, folder)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("what", [what for what in PICTURES if what != "16 signed"])
def test_lossless_instances_have_the_pixels_of_the_plan(tmp_path: Path, what: str, name: str, frames: int) -> None:
    files, pixels = written(tmp_path, what, name, frames)
    for file, expected in zip(files, pixels, strict=True):
        assert file.path.stat().st_size % 2 == 0
        np.testing.assert_array_equal(pixels_of(native(file, tmp_path)), expected if frames > 1 else expected[0])


@pytest.mark.parametrize("name", LOSSLESS)
def test_signed_words_too(tmp_path: Path, name: str) -> None:
    files, pixels = written(tmp_path, "16 signed", name)
    for file, expected in zip(files, pixels, strict=True):
        np.testing.assert_array_equal(pixels_of(native(file, tmp_path)), expected[0])


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("name", "what"), LOSSY.items())
def test_lossy_instances_say_so(tmp_path: Path, name: str, what: str, frames: int) -> None:
    plan, pixels = series(what, frames=frames)
    before = copy.deepcopy(plan.dataset)
    syntax = writable(name)
    for number, instance in enumerate(encode_series(plan, syntax.uid, 2)):
        file = write_file(instance, tmp_path / f"{number}.dcm")
        ds = pydicom.dcmread(file.path)
        assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", syntax.method)
        coded = sum(map(len, fragments(ds)))
        assert float(ds.LossyImageCompressionRatio) == pytest.approx(pixels[number].nbytes / coded, abs=0.01)
        assert len(parse_basic_offsets(ds.PixelData)) == frames
        got = pixels_of(native(file, tmp_path)).astype(int)
        assert 0 < np.abs(got - pixels[number].reshape(got.shape)).max() < np.ptp(pixels.astype(int)) / 4
    assert plan.dataset == before


def fragments(ds: Dataset) -> list[bytes]:
    count, offsets = parse_fragments(ds.PixelData)
    assert len(offsets) == count
    return list(pydicom.encaps.generate_fragments(ds.PixelData))[1:]


@pytest.mark.parametrize("name", [one.name for one in WRITABLE.values() if one.encapsulated and not one.lossy])
def test_one_fragment_for_each_frame(name: str) -> None:
    for frames in (1, 3):
        plan, _ = series("8", frames=frames)
        for instance in encode_series(plan, writable(name).uid, 2):
            ds = read(instance)
            assert len(fragments(ds)) == frames
            assert parse_basic_offsets(ds.PixelData) == ([0] if frames == 1 else [])
            assert ds["PixelData"].VR == "OB"


@pytest.mark.parametrize("name", list(WRITABLE))
def test_attributes_are_those_of_the_plan(name: str) -> None:
    syntax = WRITABLE[name]
    plan, _ = series("12" if syntax.name != "jpeg" else "RGB by plane")
    own = {"PixelData", "SOPInstanceUID", "InstanceNumber"}
    if syntax.encapsulated:
        own |= {"PhotometricInterpretation", "PlanarConfiguration"}
    if syntax.lossy:
        own |= {f"LossyImageCompression{rest}" for rest in ("", "Ratio", "Method")}
    for number, instance in enumerate(encode_series(plan, syntax.uid, 1), 1):
        ds = read(instance)
        assert (ds.SOPInstanceUID, ds.InstanceNumber) == (f"2.25.{number}", number)
        for element in plan.dataset:
            if element.keyword not in own and not (syntax.uid == IMPLICIT_LITTLE and element.tag.is_private):
                assert ds[element.tag] == element
        assert {element.keyword for element in ds} - {element.keyword for element in plan.dataset} <= own
        if ds.SamplesPerPixel > 1:
            assert (ds.PhotometricInterpretation, ds.PlanarConfiguration) == ("YBR_FULL_422", 0)


@pytest.mark.parametrize("name", list(WRITABLE))
def test_the_bytes_do_not_depend_on_the_workers(name: str) -> None:
    what = LOSSY.get(WRITABLE[name].name, "12")
    for frames in (1, 3):
        plan, _ = series(what, frames=frames)
        one, two, three = ([encoded(i) for i in encode_series(plan, name, workers)] for workers in (1, 2, 3))
        assert one == two == three


@pytest.mark.parametrize("name", ["jpeg", "rle"])
def test_pixels_that_do_not_fit_are_refused_before_any_is_rendered(name: str) -> None:
    plan, _ = series("12")
    if name == "rle":
        plan.dataset.HighBit = 15

    def pixels() -> Iterator[memoryview]:
        raise AssertionError("rendered")

    with pytest.raises(InvalidInput) as refused:
        encode_series(replace(plan, pixels=pixels), writable(name).uid, 2)
    assert refused.value.field == "transfer_syntax"


def test_a_quality_off_the_scale_is_refused_at_once() -> None:
    plan, _ = series("12")
    with pytest.raises(InvalidInput, match="quality"):
        encode_series(plan, writable("jpeg-extended").uid, 2, quality=101)


def take(instances: Iterator[FabricatedInstance]) -> list[bytes]:
    return [encoded(instance) for instance in instances]


@pytest.mark.parametrize("name", ["explicit", "big-endian", "deflated", "rle", "jpeg-ls-near"])
def test_a_plan_with_other_pixels_than_it_says_is_found_out(name: str) -> None:
    uid = writable(name).uid
    for frames in (1, 3):
        plan, _ = series("12", frames=frames)
        native, count = list(plan.pixels()), plan.count * frames
        short = replace(plan, pixels=lambda native=native, count=count: iter(native[: count - 1]))
        with pytest.raises((ValueError, RuntimeError), match=r"no pixels|frames are left"):
            take(encode_series(short, uid, 2))
        other = replace(plan, pixels=lambda native=native: (frame[:-2] for frame in native))
        with pytest.raises(ValueError, match="frame of"):
            take(encode_series(other, uid, 2))
    if uid in NATIVE:
        with pytest.raises(ValueError, match="frames of"):
            encode_series(replace(plan, pixel_bytes=plan.pixel_bytes + 2), uid, 2)


@pytest.mark.parametrize("name", ["explicit", "rle"])
def test_buffers_are_for_taking_before_the_next_instance(name: str) -> None:
    plan, _ = series("12", frames=3)
    instances = encode_series(plan, writable(name).uid, 2)
    first = next(instances)
    next(first.buffers)
    second = next(instances)  # nobody took the frames of the first
    np.testing.assert_array_equal(read(second).SOPInstanceUID, "2.25.2")
    with pytest.raises(RuntimeError, match="next instance"):
        list(first.buffers)
    assert len(list(instances)) == 1


@pytest.mark.parametrize("name", ["explicit", "big-endian", "deflated", "rle", "jpeg-ls"])
def test_a_long_cine_is_never_in_memory(tmp_path: Path, name: str) -> None:
    frame = np.arange(512 * 512, dtype=np.uint16).reshape(512, 512) % 512 * 8 % 4096
    plan, _ = series("12", count=1, frames=2)
    plan.dataset.Rows, plan.dataset.Columns, plan.dataset.NumberOfFrames = 512, 512, 120
    plan = replace(
        plan,
        frames=120,
        pixel_bytes=120 * frame.nbytes,
        pixels=lambda: (memoryview(frame.copy()).cast("B") for _ in range(120)),
    )
    tracemalloc.start()
    for instance in encode_series(plan, writable(name).uid, 2):
        write_file(instance, tmp_path / "cine.dcm")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6 < 120 * frame.nbytes


@pytest.mark.parametrize("encoding", [IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_data_sets_are_what_pydicom_writes(encoding: str) -> None:
    plan, _ = series("12")
    ds = plan.dataset
    ours = encode_dataset(ds, NATIVE[encoding])
    implicit, little = encoding == IMPLICIT_LITTLE, encoding == IMPLICIT_LITTLE
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = implicit, little
    pydicom.filewriter.write_dataset(file, ds)
    assert ours == file.getvalue()


def test_words_in_the_data_set_are_turned_too() -> None:
    ds = Dataset()
    ds.add_new(0x00281201, "OW", b"\x01\x02\x03\x04")
    assert encode_dataset(ds, NATIVE[EXPLICIT_BIG]).endswith(b"\x02\x01\x04\x03")


def test_pieces_of_a_deflated_data_set_are_one_stream() -> None:
    import zlib

    parts = [b"", b"a" * 1000, bytes(range(256)) * 50]
    joined = b"".join(map(deflated, parts)) + DEFLATE_END
    stream = zlib.decompressobj(-15)
    assert stream.decompress(joined) == b"".join(parts)
    assert stream.eof
    assert not stream.unused_data


def test_pydicom_inflates_it() -> None:
    plan, pixels = series("8")
    for instance, expected in zip(encode_series(plan, DEFLATED, 2), pixels, strict=True):
        ds = read(instance)
        assert ds.PixelData == expected.tobytes() + b"\0"  # 61 x 47 is odd


@pytest.mark.parametrize("workers", [1, 3])
def test_mapped_keeps_order_and_takes_little_ahead(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = mapped(lambda number: number * number, items(), 100, workers, 4)
    assert next(results) == 0
    assert len(taken) <= (workers + 1) * 4
    assert list(results) == [number * number for number in range(1, 100)]


def test_mapped_hands_over_less_towards_the_end() -> None:
    """One batch for each of two threads would leave one of them with half of the work at the end."""
    taken: list[int] = []
    threads: list[str] = []

    def items() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        threads.append(threading.current_thread().name)
        return number

    results = mapped(work, items(), 9, 2, 8)
    assert next(results) == 0
    assert len(taken) == 4  # 9, 7 and 6 are left: 2, 1 and 1
    assert list(results) == list(range(1, 9))
    assert len(threads) == 9
    assert threading.current_thread().name not in threads


def test_an_error_of_one_frame_reaches_the_caller() -> None:
    def work(number: int) -> int:
        if number == 7:
            raise ValueError("seven")
        return number

    results = mapped(work, iter(range(20)), 20, 2, 2)
    assert [next(results) for _ in range(6)] == list(range(6))
    with pytest.raises(ValueError, match="seven"):
        list(results)
