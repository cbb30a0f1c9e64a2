from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pydicom.uid
import pytest

from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE
from dicomfab.pixels.writable import WRITABLE, check, refusal, writable

CT = "1.2.840.10008.5.1.4.1.1.2"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
GREY = PixelDescription(1, 512, 512, 1, 16, 12, 11, False, "MONOCHROME2")
BYTES = replace(GREY, bits_allocated=8, bits_stored=8, high_bit=7)
COLOUR = replace(BYTES, samples=3, photometric="RGB")
BITS = replace(GREY, bits_allocated=1, bits_stored=1, high_bit=0)
FLOATS = replace(GREY, bits_allocated=32, bits_stored=32, high_bit=31, floating=True)


def test_every_row_is_a_transfer_syntax_that_we_can_read_back() -> None:
    assert len(WRITABLE) == 13
    for uid, syntax in WRITABLE.items():
        assert uid == syntax.uid
        assert pydicom.uid.UID(uid).is_transfer_syntax
        assert syntax.encapsulated == (uid in ENCAPSULATED) != (uid in NATIVE)
        assert syntax.lossy == (syntax.quality is not None)
        assert writable(syntax.name) is writable(f" {syntax.name.upper()} ") is writable(uid) is syntax
    methods = {one.name: one.method for one in WRITABLE.values() if one.lossy}
    assert methods == {
        "jpeg": "ISO_10918_1", "jpeg-extended": "ISO_10918_1", "jpeg-ls-near": "ISO_14495_1", "j2k-lossy": "ISO_15444_1"
    }  # fmt: skip


@pytest.mark.parametrize("value", ["", "mpeg", "1.2.840.10008.1.2.4.57", "1.2.3"])
def test_what_cannot_be_written_is_refused_with_what_can(value: str) -> None:
    with pytest.raises(InvalidInput, match="transfer_syntax") as refused:
        writable(value)
    assert refused.value.field == "transfer_syntax"
    assert "htj2k" in refused.value.remedy


def possible(description: PixelDescription, sop_class_uid: str = CT) -> set[str]:
    return {one.name for one in WRITABLE.values() if refusal(one.uid, description, sop_class_uid) is None}


NATIVES = {"implicit", "explicit", "big-endian", "deflated"}
LOSSLESS = {"rle", "jpeg-lossless", "jpeg-ls", "j2k", "htj2k"}


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (GREY, NATIVES | LOSSLESS | {"jpeg-extended", "jpeg-ls-near", "j2k-lossy"}),
        (replace(GREY, photometric="MONOCHROME1"), NATIVES | LOSSLESS | {"jpeg-extended", "jpeg-ls-near", "j2k-lossy"}),
        (replace(GREY, signed=True), NATIVES | LOSSLESS | {"j2k-lossy"}),
        (replace(GREY, bits_stored=16, high_bit=15), NATIVES | LOSSLESS | {"jpeg-ls-near", "j2k-lossy"}),
        (replace(GREY, high_bit=15), NATIVES),
        (BYTES, NATIVES | LOSSLESS | {"jpeg", "jpeg-ls-near", "j2k-lossy"}),
        (COLOUR, NATIVES | LOSSLESS | {"jpeg", "jpeg-ls-near", "j2k-lossy"}),
        (replace(BYTES, photometric="PALETTE COLOR"), NATIVES | LOSSLESS),
        (replace(COLOUR, photometric="YBR_FULL_422"), NATIVES),
        (replace(COLOUR, samples=1), NATIVES),
        (replace(BYTES, samples=3), NATIVES),
        (replace(COLOUR, columns=70000), NATIVES),
        (BITS, NATIVES),
        (FLOATS, NATIVES - {"big-endian"}),
        (replace(FLOATS, floating=False), NATIVES - {"big-endian"} | {"rle"}),
        (replace(GREY, frames=10_000), LOSSLESS | {"jpeg-extended", "jpeg-ls-near", "j2k-lossy"}),
    ],
)
def test_what_can_hold_which_pixels(description: PixelDescription, expected: set[str]) -> None:
    assert possible(description) == expected


def test_a_segmentation_is_never_compressed_with_loss() -> None:
    assert possible(BYTES, SEGMENTATION) == NATIVES | LOSSLESS


def test_a_refusal_names_the_field_and_the_reason() -> None:
    with pytest.raises(InvalidInput, match=r"jpeg is not possible: .* 8 in 8 bits, not of 12 in 16") as refused:
        check(writable("jpeg"), GREY, CT)
    assert (refused.value.field, refused.value.value) == ("transfer_syntax", "jpeg")
    check(writable("jpeg"), BYTES, CT)
    assert refusal("1.2.3", GREY, CT) == "transfer syntax 1.2.3 cannot be written"


def test_asking_loads_no_codec() -> None:
    heavy = "numpy", "imagecodecs", "pydicom"
    program = f"import sys, dicomfab.pixels.writable; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
