from __future__ import annotations

import pytest

from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE, can_transcode, targets_for

EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"


@pytest.mark.parametrize("source", ENCAPSULATED)
def test_what_is_compressed_can_become_everything_native_and_explicit_little_endian_first(source):
    assert targets_for(source) == (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG)


def test_what_is_native_can_become_the_others_never_itself():
    assert targets_for(EXPLICIT_LITTLE) == (IMPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG)
    assert targets_for(IMPLICIT_LITTLE) == (EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG)
    assert not any(can_transcode(syntax, syntax) for syntax in (*NATIVE, *ENCAPSULATED))


def test_nothing_becomes_compressed_and_video_and_the_unknown_become_nothing():
    for syntax in (*NATIVE, *ENCAPSULATED):
        assert not any(can_transcode(syntax, target) for target in ENCAPSULATED)
    for unknown in ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94", "", "1.2.3"):
        assert targets_for(unknown) == ()
        assert not can_transcode(unknown, EXPLICIT_LITTLE)


def test_the_table_names_what_the_standard_names():
    suffixes = "5 4.50 4.51 4.57 4.70 4.80 4.81 4.90 4.91 4.201 4.202 4.203".split()
    assert set(ENCAPSULATED) == {"1.2.840.10008.1.2." + suffix for suffix in suffixes}
