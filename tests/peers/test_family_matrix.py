"""Every kind in every transfer syntax: valid, decoded to the right pixels by whoever can, kept by Orthanc as it is."""

from __future__ import annotations

import dataclasses
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomfab.dimse.scu.store import store
from dicomfab.fabricate.encode.series import encode_series
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.study import check_syntaxes
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_LITTLE
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import WRITABLE, Writable, writable
from dicomfab.validity.external import Tools
from dicomfab.validity.findings import Severity
from dicomfab.validity.run import check_file
from tests.peers import programs
from tests.peers.dciodvfy import dciodvfy
from tests.peers.family_matrix import (
    DECODERS,
    GDCM_DIFFERS,
    Native,
    converted,
    decoded,
    held,
    natives,
    pairwise,
    planned,
    rarest,
    refusal_of,
    small_study,
)
from tests.peers.test_dciodvfy import EXPECTED_WARNINGS

pytestmark = pytest.mark.peers

NAMES = tuple(one.name for one in WRITABLE.values())
#: Kinds of which a smaller one has pixels of the same shape.
LARGE = {
    "cr-chest", "dbt-screening", "dx-chest", "dx-processing", "es-endoscopy", "mg-screening", "us-abdomen", "us-colour",
}  # fmt: skip
RAW_DEFLATE = -15  # the window bits of zlib for a stream without header


@dataclass(frozen=True)
class Loss:
    """How far decoded samples may be from the native ones, as shares of the range that those are in.

    Rounding to whole grey levels comes on top: half of one rms, one at most.

    Args:
        rms: root of the mean square.
        most: of any sample.
    """

    rms: float
    most: float


# At the default quality. Colour of JPEG baseline shares its chrominance between two pixels (4:2:2), which moves the
# edges of coloured marks; an overview of 32 x 32 pixels has little else. Near-lossless is bounded in grey levels.
LOSSES = {
    ("jpeg", 1): Loss(0.01, 0.1),
    ("jpeg", 3): Loss(0.03, 0.4),
    ("jpeg-extended", 1): Loss(0.002, 0.01),
    ("j2k-lossy", 1): Loss(0.005, 0.04),
    ("j2k-lossy", 3): Loss(0.005, 0.04),
}
NEAR = 2
METHODS = {"jpeg": "ISO_10918_1", "jpeg-extended": "ISO_10918_1", "jpeg-ls-near": "ISO_14495_1"} | {
    "j2k-lossy": "ISO_15444_1"
}
# PS3.5 8.2: what RGB becomes; everything else stays.
COLOURS = {"jpeg": "YBR_FULL_422", "j2k": "YBR_RCT", "j2k-lossy": "YBR_ICT", "htj2k": "YBR_RCT"}


def problems(kind: str, names: tuple[str, ...], folder: Path) -> list[str]:
    """What is wrong with a kind in these transfer syntaxes, each with the transfer syntax and who says so."""
    judges: list[Callable[[], Iterator[str]]] = []
    for name in names:
        for number, native in enumerate(natives(kind)):
            file = native.write(writable(name), folder / f"{name}_{number}.dcm")
            judges.extend(_judges(native, file, writable(name), folder))
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda judge: list(judge()), judges)
        return [f"{kind} {line}" for line in chain.from_iterable(found)]


def _judges(
    native: Native, file: InstanceFile, syntax: Writable, folder: Path
) -> Iterator[Callable[[], Iterator[str]]]:
    where = file.path.stem

    def judge(by: str, look: Callable[[], Iterator[str]]) -> Callable[[], Iterator[str]]:
        return lambda: (f"{where} {by}: {line}" for line in look())

    yield judge("dciodvfy", lambda: _iod(file, folder))
    yield judge("our rules", lambda: _rules(file.path))
    yield judge("header", lambda: _header(native, file.path, syntax))
    for decoder in (*DECODERS[syntax.name], *(["ours"] if syntax.name != "explicit" else [])):
        yield judge(decoder, lambda by=decoder: _pixels(by, native, file, syntax, folder))  # type: ignore[misc]


def _iod(file: InstanceFile, folder: Path) -> Iterator[str]:
    deflated = file.identity.transfer_syntax_uid == DEFLATED  # which dciodvfy cannot inflate
    verdict = dciodvfy(transcode(file, EXPLICIT_LITTLE, folder).path if deflated else file.path)
    yield from verdict.errors
    yield from (line for line in verdict.warnings if not line.endswith(EXPECTED_WARNINGS))
    if not verdict.valid and not verdict.errors:
        yield f"exit code {verdict.exit_code}, IOD {verdict.iod!r}"


def _rules(path: Path) -> Iterator[str]:
    for finding in check_file(path, Tools(None)).findings:
        if finding.severity in (Severity.ERROR, Severity.WARNING):
            yield f"{finding.rule} {finding.attribute}: {finding.message} {finding.detail}"


def _header(native: Native, path: Path, syntax: Writable) -> Iterator[str]:
    ds = pydicom.dcmread(path)
    before = native.plan.dataset
    expected: dict[str, Any] = {"PhotometricInterpretation": native.description.photometric}
    if native.description.samples == 3:
        expected["PhotometricInterpretation"] = COLOURS.get(syntax.name, native.description.photometric)
        expected["PlanarConfiguration"] = 0 if syntax.encapsulated else before.PlanarConfiguration
    if syntax.lossy:
        expected |= {"LossyImageCompression": "01", "LossyImageCompressionMethod": METHODS[syntax.name]}
    else:
        same = ("LossyImageCompression", "LossyImageCompressionMethod", "LossyImageCompressionRatio")
        expected |= {keyword: before.get(keyword) for keyword in same}
    expected |= {keyword: before.get(keyword) for keyword in ("Rows", "BitsStored", "PixelRepresentation", "ImageType")}
    for keyword, value in expected.items():
        if ds.get(keyword) != value:
            yield f"{keyword} is {ds.get(keyword)} instead of {value}"
    if ds.file_meta.TransferSyntaxUID != syntax.uid:
        yield f"the transfer syntax is {ds.file_meta.TransferSyntaxUID}"
    if syntax.lossy:
        coded = sum(map(len, generate_frames(ds.PixelData, number_of_frames=native.plan.frames)))
        ratio = native.plan.frames * native.description.frame_bytes / coded
        if abs(float(ds.LossyImageCompressionRatio) - ratio) > 0.01 * ratio:
            yield f"LossyImageCompressionRatio is {ds.LossyImageCompressionRatio} instead of {ratio:.2f}"


def _pixels(by: str, native: Native, file: InstanceFile, syntax: Writable, folder: Path) -> Iterator[str]:
    try:
        got = decoded(by, file, native.description, folder)
    except (RuntimeError, ValueError) as error:
        yield str(error)
        return
    before = native.pixels()
    if not syntax.lossy:
        if not np.array_equal(got, before):
            yield f"{np.count_nonzero(got != before)} of {got.size} samples differ"
        return
    error = np.abs(got.astype(np.float64) - before)
    if syntax.name == "jpeg-ls-near":
        if error.max() > NEAR:
            yield f"a sample differs by {error.max()} instead of at most {NEAR}"
        return
    loss = LOSSES[syntax.name, native.description.samples]
    spread = float(np.ptp(before))
    rms, most = float(np.sqrt(np.mean(error**2))), float(error.max())
    rms_bound, most_bound = loss.rms * spread + 0.5, loss.most * spread + 1
    if rms > rms_bound or most > most_bound:
        yield (
            f"samples in a range of {spread:g} differ by {rms:.1f} rms and {most:.0f} at most, "
            f"instead of {rms_bound:.1f} and {most_bound:.0f}"
        )


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.full) if k in LARGE else k for k in KINDS])
def test_a_kind_in_some_transfer_syntaxes(tmp_path: Path, kind: str) -> None:
    found = problems(kind, pairwise()[kind], tmp_path)
    assert not found, "\n".join(found)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_in_every_transfer_syntax(tmp_path: Path, kind: str, name: str) -> None:
    if name in held(kind):
        found = problems(kind, (name,), tmp_path)
        assert not found, "\n".join(found)
    else:
        with pytest.raises(InvalidInput):
            check_syntaxes(small_study(kind, name))


def test_some_stand_for_all() -> None:
    chosen = pairwise()
    assert list(chosen) == list(KINDS)
    for kind, names in chosen.items():
        assert len(set(names)) == len(names)
        assert set(names) <= set(held(kind))
        assert "explicit" in names
        for lossy in (False, True):
            possible = {name for name in held(kind) if writable(name).encapsulated and writable(name).lossy == lossy}
            assert not possible or possible & set(names), (kind, lossy)
    for name in NAMES:
        assert DECODERS[name]
        assert sum(name in names for names in chosen.values()) >= 2, name


def test_the_judges_see_what_is_wrong(tmp_path: Path) -> None:
    native = natives("text-card")[0]
    lossy = native.write(writable("jpeg"), tmp_path / "lossy.dcm")
    assert list(_header(native, lossy.path, writable("jpeg"))) == []
    assert len(list(_header(native, lossy.path, writable("jpeg-ls")))) == 4  # three attributes, transfer syntax
    flag = b"\x28\x00\x10\x21CS\x02\x0001"
    data = lossy.path.read_bytes()
    assert data.count(flag) == 1
    lossy.path.write_bytes(data.replace(flag, flag[:-1] + b"0"))
    assert list(_header(native, lossy.path, writable("jpeg"))) == ["LossyImageCompression is 00 instead of 01"]

    plain = native.write(writable("explicit"), tmp_path / "plain.dcm")
    assert list(_pixels("pydicom", native, plain, writable("explicit"), tmp_path)) == []
    data = bytearray(plain.path.read_bytes())
    data[-1] ^= 1
    plain.path.write_bytes(data)
    for decoder in ("pydicom", "dcmconv", "gdcmconv"):
        assert list(_pixels(decoder, native, plain, writable("explicit"), tmp_path))
    assert list(_pixels("dcmdjpeg", native, plain, writable("jpeg"), tmp_path)) == []  # one grey level is in bounds
    data[-200_000:] = bytes(200_000)
    plain.path.write_bytes(data)
    assert list(_pixels("pydicom", native, plain, writable("jpeg"), tmp_path))


def test_gdcm_differs_where_we_say_so(tmp_path: Path) -> None:
    def by_gdcm(kind: str, name: str) -> tuple[pydicom.Dataset, pydicom.Dataset]:
        file = natives(kind)[0].write(writable(name), tmp_path / f"{name}.dcm")
        return pydicom.dcmread(converted("gdcmconv", file.path, tmp_path)), pydicom.dcmread(file.path)

    assert set(GDCM_DIFFERS) == {"htj2k", "jpeg", "deflated"}
    with pytest.raises(RuntimeError, match="Could not read"):
        by_gdcm("mr-knee", "htj2k")
    copy, _ = by_gdcm("sc-rgb", "jpeg")
    assert copy.PhotometricInterpretation == "YBR_FULL"
    copy, before = by_gdcm("sc-multiframe-bit", "deflated")
    assert copy.Columns % 8
    assert len(copy.PixelData) == copy.NumberOfFrames * copy.Rows * -(-copy.Columns // 8) > len(before.PixelData)
    assert copy.PixelData == before.PixelData.ljust(len(copy.PixelData), b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_a_transfer_syntax_is_possible_or_refused_before_anything_is_rendered(kind: str) -> None:
    def never() -> Iterator[memoryview]:
        raise AssertionError("it was rendered")

    unrendered = [dataclasses.replace(plan, pixels=never) for plan in planned(kind)]
    assert {"implicit", "explicit", "big-endian", "deflated"} <= set(held(kind))
    for name in NAMES:
        if name in held(kind):
            for plan in unrendered:
                encode_series(plan, writable(name).uid, 1)  # renders when the first instance is asked for
            continue
        with pytest.raises(InvalidInput) as caught:
            check_syntaxes(small_study(kind, name))
        assert caught.value.field == "transfer_syntax"
        assert caught.value.value == name
        assert writable(name).title in caught.value.what
        assert caught.value.cause
        assert caught.value.remedy
        refused = [plan for plan in unrendered if refusal_of(plan, name)]
        assert refused
        for plan in refused:
            with pytest.raises(InvalidInput):
                encode_series(plan, writable(name).uid, 1)


@pytest.mark.full
def test_orthanc_keeps_every_kind_and_every_transfer_syntax_as_it_is(tmp_path: Path) -> None:
    """Every kind in one transfer syntax that it can be in, such that all of them occur."""
    (tmp_path / "orthanc").mkdir()
    used = Counter[str]()
    files, expected = [], {}
    for kind in KINDS:
        name, native = rarest(held(kind), used), natives(kind)[0]
        file = native.write(writable(name), tmp_path / f"{kind}_{name}.dcm")
        files.append(file)
        # Debian's Orthanc does not know high-throughput JPEG 2000: we send it with its pixels decoded.
        kept_as = native.write(writable("explicit"), tmp_path / f"{kind}.dcm") if name == "htj2k" else file
        expected[file.identity.sop_instance_uid] = kept_as
    assert set(used) == set(NAMES)
    assert len(expected) == len(KINDS)
    with programs.orthanc(tmp_path / "orthanc") as orthanc:
        outcomes = list(store(orthanc.peer, files))
        assert [(one.instance.path.name, one.error) for one in outcomes if not one.accepted] == []
        for one in outcomes:
            assert one.transcoded_to == (EXPLICIT_LITTLE if "htj2k" in one.instance.path.name else "")
        kept = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in orthanc.rest("/instances?expand")}
        assert set(kept) == set(expected)
        for sop_instance_uid, file in expected.items():
            back = tmp_path / "back.dcm"
            back.write_bytes(_downloaded(f"{orthanc.http}/instances/{kept[sop_instance_uid]}/file"))
            assert _data_set(back) == _data_set(file.path), file.path.name


def _downloaded(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return bytes(answer.read())


def _data_set(path: Path) -> tuple[str, bytes]:
    """The transfer syntax, and the data set as it is encoded; inflated, for Orthanc deflates again."""
    meta = pydicom.filereader.read_file_meta_info(path)
    data = path.read_bytes()[132 + 12 + meta.FileMetaInformationGroupLength :]
    return meta.TransferSyntaxUID, zlib.decompress(data, RAW_DEFLATE) if meta.TransferSyntaxUID == DEFLATED else data
