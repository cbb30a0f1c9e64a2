"""What DCMTK compressed, transcoded by us and decompressed by DCMTK, has the same pixels and no new error."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from dicomfab.model.study import InstanceFile
from dicomfab.pixels.syntaxes import DEFLATED, ENCAPSULATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, targets_for
from dicomfab.pixels.transcode import transcode
from tests.peers.dciodvfy import dciodvfy
from tests.peers.programs import program
from tests.unit.pixels.instances import data_set, instance, picture, pixels_of, rich, write

pytestmark = pytest.mark.peers

GREY = "MONOCHROME2"
PICTURES: dict[str, dict[str, Any]] = {
    "8 bit": {"bits": 8},
    "12 in 16 bit": {"bits": 12},
    "16 bit": {"bits": 16},
    "signed 12 in 16 bit": {"bits": 12, "signed": True},
    "signed 16 bit": {"bits": 16, "signed": True},
    "colour by pixel": {"bits": 8, "samples": 3},
    "colour by plane": {"bits": 8, "samples": 3, "by_plane": True},
    "8 bit frames": {"bits": 8, "frames": 3, "rows": 9, "columns": 7},
    "12 bit frames": {"bits": 12, "frames": 3},
    "colour frames": {"bits": 8, "samples": 3, "frames": 3, "rows": 9, "columns": 7},
}


@dataclass(frozen=True)
class Compression:
    compress: tuple[str, ...]
    decompress: str
    lossy: bool = False
    only: str = ""
    never: str = "-"

    def __str__(self) -> str:
        return " ".join(self.compress)


COMPRESSIONS = [
    Compression(("dcmcjpeg", "+e1"), "dcmdjpeg"),
    *(Compression(("dcmcjpeg", "+el", "+sv", str(number)), "dcmdjpeg") for number in (2, 4, 6, 7)),
    Compression(("dcmcjpeg", "+el", "-ot"), "dcmdjpeg"),
    Compression(("dcmcjpeg", "+eb"), "dcmdjpeg", lossy=True),
    Compression(("dcmcjpeg", "+ee"), "dcmdjpeg", lossy=True),
    Compression(("dcmcjpeg", "+eb", "+cr"), "dcmdjpeg", lossy=True, only="colour"),
    Compression(("dcmcjpeg", "+eb", "+s4"), "dcmdjpeg", lossy=True, only="colour"),
    Compression(("dcmcjpeg", "+eb", "+n1"), "dcmdjpeg", lossy=True, only="colour"),
    Compression(("dcmcjpls",), "dcmdjpls"),
    Compression(("dcmcjpls", "+pz", "-ot"), "dcmdjpls"),
    Compression(("dcmcjpls", "+is"), "dcmdjpls", only="colour"),
    Compression(("dcmcjpls", "+in"), "dcmdjpls", only="colour"),
    Compression(("dcmcjpls", "+en", "+md", "3"), "dcmdjpls", lossy=True, never="signed"),
    Compression(("dcmcrle",), "dcmdrle"),
]
CASES = [
    pytest.param(compression, name, id=f"{compression}-{name}")
    for compression in COMPRESSIONS
    for name in PICTURES
    if name.startswith(compression.only) and not name.startswith(compression.never)
]


def native(folder: Path, name: str, **more: Any) -> tuple[InstanceFile, NDArray[Any]]:
    wanted = PICTURES[name] | more
    by_plane = wanted.pop("by_plane", False)
    pixels = picture(**wanted)
    photometric = "RGB" if wanted.get("samples", 1) == 3 else GREY
    ds = data_set(
        pixels, bits=wanted["bits"], photometric=photometric, frames=wanted.get("frames", 1), by_plane=by_plane
    )
    return write(ds, folder / "native.dcm"), pixels


def run(folder: Path, name: str, *arguments: str, source: InstanceFile, result: str) -> InstanceFile:
    path = folder / result
    subprocess.run([program(name), *arguments, str(source.path), str(path)], check=True, capture_output=True)
    return instance(path)


@pytest.mark.parametrize(("compression", "name"), CASES)
def test_pixels_are_those_that_dcmtk_decodes(tmp_path, compression, name):
    made, pixels = native(tmp_path, name)
    tool, *options = compression.compress
    coded = run(tmp_path, tool, *options, source=made, result="coded.dcm")
    assert coded.identity.transfer_syntax_uid in ENCAPSULATED
    expected = pixels_of(run(tmp_path, compression.decompress, source=coded, result="decoded.dcm"))
    for target in targets_for(coded.identity.transfer_syntax_uid):
        got = pixels_of(transcode(coded, target, tmp_path))
        np.testing.assert_array_equal(got, expected)
        if not compression.lossy:
            np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("offset_table", ["+ot", "-ot"])
@pytest.mark.parametrize(
    ("compress", "decompress"), [(("dcmcjpeg", "+e1"), "dcmdjpeg"), (("dcmcjpls",), "dcmdjpls")], ids=str
)
def test_frames_of_several_fragments_are_told_apart(tmp_path, compress, decompress, offset_table):
    made, pixels = native(tmp_path, "12 bit frames")
    tool, *options = compress
    coded = run(tmp_path, tool, *options, "+fs", "1", offset_table, source=made, result="coded.dcm")
    coded_frames = pydicom.dcmread(coded.path).PixelData
    assert len(list(pydicom.encaps.generate_fragments(coded_frames))) > 3 + 1
    run(tmp_path, decompress, source=coded, result="decoded.dcm")
    np.testing.assert_array_equal(pixels_of(transcode(coded, EXPLICIT_LITTLE, tmp_path)), pixels)


NEVER_NEW = ["8 bit", "12 in 16 bit", "colour by plane", "8 bit frames", "12 bit frames", "colour frames"]


@pytest.mark.parametrize("name", NEVER_NEW)
@pytest.mark.parametrize(
    "compress", [("dcmcjpeg", "+e1"), ("dcmcjpeg", "+eb"), ("dcmcjpls", "+en"), ("dcmcrle",)], ids=" ".join
)
def test_dciodvfy_finds_no_new_error_and_the_loss_stays_on_record(tmp_path, compress, name):
    made, _ = native(tmp_path, name)
    tool, *options = compress
    coded = run(tmp_path, tool, *options, source=made, result="coded.dcm")
    before = pydicom.dcmread(coded.path)
    for target in targets_for(coded.identity.transfer_syntax_uid):
        ours = transcode(coded, target, tmp_path)
        if target != DEFLATED:  # dciodvfy cannot inflate
            assert set(dciodvfy(ours.path).errors) <= set(dciodvfy(coded.path).errors)
        after = pydicom.dcmread(ours.path)
        changed = {e.keyword for e in before if after.get(e.tag) != e} | {e.keyword for e in after} - set(before.dir())
        assert changed <= {"PixelData", "PhotometricInterpretation", "PlanarConfiguration"}
        assert after.get("LossyImageCompressionMethod") == before.get("LossyImageCompressionMethod")
        if before.SamplesPerPixel == 3:
            assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("RGB", 0)
        else:
            assert after.PhotometricInterpretation == "MONOCHROME2"


def dump(path: Path) -> list[str]:
    """What dcmdump prints of the data set, without lengths and how they are given."""
    printed = subprocess.run([program("dcmdump"), "-q", "+L", str(path)], check=True, capture_output=True).stdout
    lines = printed.decode("latin-1").split("# Dicom-Data-Set")[1].splitlines()
    return [line.partition("#")[0].rstrip() for line in lines if line.startswith(("(", " "))]


@pytest.mark.parametrize("target", targets_for(EXPLICIT_LITTLE))
@pytest.mark.parametrize("lengths", ["+e", "-e"])
def test_dcmtk_reads_every_native_encoding_as_the_one_that_it_writes(tmp_path, target, lengths):
    ds = data_set(picture(bits=12), bits=12)
    rich(ds)
    made = run(tmp_path, "dcmconv", "+te", lengths, source=write(ds, tmp_path / "native.dcm"), result="explicit.dcm")
    ours = transcode(made, target, tmp_path)
    option = {IMPLICIT_LITTLE: "+ti", EXPLICIT_BIG: "+tb", DEFLATED: "+td"}[target]
    theirs = run(tmp_path, "dcmconv", option, lengths, source=made, result="theirs.dcm")
    assert dump(ours.path) == dump(theirs.path)
    again = transcode(ours, EXPLICIT_LITTLE, tmp_path)
    if target != IMPLICIT_LITTLE:  # which drops the VRs of private elements
        assert again.path.read_bytes()[again.dataset_offset :] == made.path.read_bytes()[made.dataset_offset :]
