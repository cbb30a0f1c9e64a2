"""Files of many makers, as pydicom brings them along for its own tests, against its decoders and its reader."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomfab.pixels.syntaxes import EXPLICIT_BIG, targets_for
from dicomfab.pixels.transcode import transcode
from tests.unit.pixels.instances import instance

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"

NATIVE = """CT_small ExplVR_BigEnd MR_small MR_small_bigendian MR_small_padded SC_rgb_small_odd
    SC_rgb_small_odd_big_endian SC_ybr_full_422_uncompressed examples_overlay examples_palette liver_1frame
    liver_expb_1frame rtdose_1frame MR_small_implicit""".split()
CODED = """693_J2KI J2K_pixelrep_mismatch JPEG2000 MR_small_RLE MR_small_jp2klossless SC_jpeg_no_color_transform
    SC_jpeg_no_color_transform_2 SC_rgb_dcmtk_+eb+cr SC_rgb_dcmtk_+eb+cy+n1 SC_rgb_dcmtk_+eb+cy+s2
    SC_rgb_jpeg_app14_dcmd SC_rgb_jpeg_lossy_gdcm SC_rgb_gdcm_KY SC_rgb_rle_16bit_2frame SC_rgb_rle_32bit
    SC_rgb_small_odd_jpeg examples_jpeg2k examples_ybr_color rtdose_rle""".split()
WITHOUT_PIXELS = "reportsi test-SR waveform_ecg rtplan nested_priv_SQ priv_SQ".split()


def targets(name: str, syntax: str) -> list[str]:
    """All, but big endian where samples have 32 bits."""
    uncertain = name in {"SC_rgb_rle_32bit", "rtdose_rle", "rtdose_1frame"}
    return [target for target in targets_for(syntax) if not (uncertain and target == EXPLICIT_BIG)]


def read(path: Path) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True)
        list(ds.iterall())
        return ds


def pixel_array(ds: pydicom.Dataset) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ds.pixel_array


@pytest.mark.parametrize("name", [*NATIVE, *CODED, *WITHOUT_PIXELS])
def test_a_found_file_keeps_its_pixels_and_its_elements(tmp_path, name):
    path = FOLDER / f"{name}.dcm"
    before = read(path)
    source = instance(path)
    for target in targets(name, source.identity.transfer_syntax_uid):
        after = read(transcode(source, target, tmp_path).path)
        if name not in WITHOUT_PIXELS:
            np.testing.assert_array_equal(pixel_array(after), pixel_array(before))
        assert [e.tag for e in after] == [e.tag for e in before]
        for element in after:
            if element.tag.group in (0x0028, 0x7FE0) or element.VR in ("SQ", "UN") or not element.tag.element:
                continue
            if element.tag.is_private or element.VR == "OW":
                continue
            assert before[element.tag].value == element.value, element
