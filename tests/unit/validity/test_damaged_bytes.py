"""Whatever the bytes are, a validation ends with findings and not with an accident."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.validity.run import check_file
from dicomfab.validity.values import date, decoded
from tests.unit.validity.files import NO_TOOLS, RLE, changed, encapsulated, found_in, frames_of, rle


@pytest.fixture(scope="module")
def originals(cine: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("originals")
    coded = encapsulated(cine, folder / "rle.dcm", RLE, [rle(frame) for frame in frames_of(cine)], table=True)
    return [cine.read_bytes(), coded.read_bytes()]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_bytes_can_be_validated(originals: list[bytes], tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(originals)))
    places = st.integers(132, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        content[place] = value
    if data.draw(st.booleans()):
        del content[data.draw(places) :]
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content)
    assert check_file(path, NO_TOOLS).path == path


@pytest.mark.parametrize(
    "values",
    [
        {"NumberOfFrames": b"inf "},
        {"NumberOfFrames": b"1e300 "},
        {"BitsStored": 65535, "BitsAllocated": 65535},
        {"RescaleSlope": "nan", "RescaleIntercept": "1e300"},
        {"WindowCenter": "-inf"},
    ],
    ids=lambda values: " ".join(values),
)
def test_numbers_beyond_reason_are_findings(cine: Path, tmp_path: Path, values: dict[str, object]) -> None:
    assert found_in(changed(cine, tmp_path / "damaged.dcm", **values))


@given(st.dates())
def test_every_day_is_a_date(day) -> None:
    assert date(day.strftime("%Y%m%d").rjust(8, "0")) == day


@given(st.text())
def test_text_that_was_encoded_is_decoded(text: str) -> None:
    safe = text.replace("\x1b", "").encode("utf-8", "ignore").decode("utf-8")
    assert decoded(safe.encode("utf-8"), ("ISO_IR 192",)) == safe
