"""Fabricated instances in every transfer syntax: DCMTK decodes them to the same pixels, dciodvfy finds no error."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from dicomfab.fabricate.encode.series import encode_series
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.sinks import write_file, write_files
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.derive import derive
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_LITTLE
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import WRITABLE, refusal, writable
from tests.peers.dciodvfy import dciodvfy
from tests.peers.programs import program
from tests.unit.fabricate.plans import PICTURES, series
from tests.unit.pixels.instances import instance, pixels_of

pytestmark = pytest.mark.peers

DECODERS = {
    "implicit": ("dcmconv", "+te"),
    "explicit": ("dcmconv", "+te"),
    "big-endian": ("dcmconv", "+te"),
    "deflated": ("dcmconv", "+te"),
    "rle": ("dcmdrle",),
    "jpeg": ("dcmdjpeg",),
    "jpeg-extended": ("dcmdjpeg",),
    "jpeg-lossless": ("dcmdjpeg",),
    "jpeg-ls": ("dcmdjpls",),
    "jpeg-ls-near": ("dcmdjpls",),
}


def decoded(file: InstanceFile, command: Sequence[str], result: Path) -> NDArray[Any]:
    tool, *options = command
    subprocess.run([program(tool), *options, str(file.path), str(result)], check=True, capture_output=True)
    return pixels_of(instance(result))


def possible(what: str, name: str) -> bool:
    from dicomfab.fabricate.encode.series import described

    plan, _ = series(what)
    return refusal(writable(name).uid, described(plan.dataset, 1), plan.dataset.SOPClassUID) is None


CASES = [(name, what) for name in DECODERS for what in PICTURES if possible(what, name)]


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("name", "what"), CASES)
def test_dcmtk_decodes_the_pixels_of_the_plan(tmp_path: Path, name: str, what: str, frames: int) -> None:
    plan, pixels = series(what, count=2, frames=frames)
    syntax = writable(name)
    for number, made in enumerate(encode_series(plan, syntax.uid, 2)):
        file = write_file(made, tmp_path / f"{number}.dcm")
        got = decoded(file, DECODERS[name], tmp_path / f"{number}.native.dcm")
        expected = pixels[number].reshape(got.shape)
        if not syntax.lossy:
            np.testing.assert_array_equal(got, expected)
        elif name == "jpeg-ls-near":
            assert np.abs(got.astype(int) - expected).max() <= 2
        else:
            ours = pixels_of(transcode(file, EXPLICIT_LITTLE, tmp_path)).astype(int)
            assert np.abs(got - ours).max() <= (4 if got.shape[-1] == 3 else 1)  # DCMTK brings its own inverse DCT


def made(folder: Path, kind: str, name: str) -> InstanceFile:
    recipe = StudyRecipe((SeriesRecipe(kind, 1, name),), seed=3)
    study = resolve(recipe, now=dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC), draw_seed=lambda: 11)
    return write_files(study, folder / name)[0]


KINDS = [
    (kind, one.name)
    for kind, forbidden in (("ct-chest", "jpeg"), ("text-card", "jpeg-extended"))
    for one in WRITABLE.values()
    if one.name != forbidden
]


def judged(file: InstanceFile, folder: Path) -> Path:
    """dciodvfy cannot inflate."""
    return transcode(file, EXPLICIT_LITTLE, folder).path if file.identity.transfer_syntax_uid == DEFLATED else file.path


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_dciodvfy_finds_no_error_in_any_transfer_syntax(tmp_path: Path, kind: str, name: str) -> None:
    file = made(tmp_path, kind, name)
    assert file.identity.transfer_syntax_uid == writable(name).uid
    verdict = dciodvfy(judged(file, tmp_path))
    assert verdict.errors == ()
    assert verdict.valid
    plain = made(tmp_path, kind, "explicit") if name != "explicit" else file
    assert set(verdict.warnings) <= set(dciodvfy(plain.path).warnings)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in KINDS if writable(name).lossy])
def test_dciodvfy_finds_no_error_in_derived_instances(tmp_path: Path, kind: str, name: str) -> None:
    source = made(tmp_path, kind, "explicit")
    how = {"series_instance_uid": "2.25.2", "series_number": 9}
    first = derive(source, writable(name).uid, tmp_path, sop_instance_uid="2.25.3", **how)
    second = derive(first, writable(name).uid, tmp_path, sop_instance_uid="2.25.4", **how)
    known = set(dciodvfy(source.path).warnings)
    for file in (first, second):
        verdict = dciodvfy(file.path)
        assert verdict.errors == ()
        assert verdict.valid
        assert set(verdict.warnings) <= known
    assert len(pydicom.dcmread(second.path).LossyImageCompressionRatio) == 2
