"""Segmentations and objects of radiotherapy that the fabricator makes, as pages show them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from dicomfab.fabricate.sinks import write_files
from dicomfab.services.readable import kinds
from dicomfab.services.readable.blocks import Facts, Readable, References, Table
from tests.unit.fabricate.studies import study

OBJECTS = ("seg", "seg-labelmap", "rt-struct", "rt-plan", "rt-dose")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Readable]:
    one = study("ct-abdomen", *OBJECTS, slices=30)
    paths = [file.path for file in write_files(one, tmp_path_factory.mktemp("ours"))]
    return dict(zip(OBJECTS, map(_read, paths[-len(OBJECTS) :]), strict=True))


def _read(path: Path) -> Readable:
    from pydicom import dcmread

    return kinds.read(path, str(dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID))


@cache
def _title(name: str) -> str:
    return {
        "seg": "Segmentation",
        "seg-labelmap": "Label Map Segmentation",
        "rt-struct": "RT Structure Set",
        "rt-plan": "RT Plan",
        "rt-dose": "RT Dose",
    }[name]


def _table(readable: Readable, title: str) -> list[list[str]]:
    (found,) = (block for block in readable.blocks if isinstance(block, Table) and block.title == title)
    assert found.total == len(found.rows)
    return [[cell.text for cell in row] for row in found.rows]


def _facts(readable: Readable) -> dict[str, str]:
    return dict(row for block in readable.blocks if isinstance(block, Facts) for row in block.rows)


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_is_read_without_a_problem(shown: dict[str, Readable], name: str) -> None:
    assert shown[name].title == _title(name)
    assert shown[name].problem == ""


def test_segments_have_names_codes_and_colours(shown: dict[str, Readable]) -> None:
    lesions, all_of_them = (_table(shown[name], "Segments") for name in ("seg", "seg-labelmap"))
    assert [row[0] for row in lesions] == [str(n) for n in range(1, len(lesions) + 1)]
    assert all_of_them[: len(lesions)] == lesions
    assert "Liver" in [row[1] for row in all_of_them]
    assert all(row[4].startswith("Automatic") for row in all_of_them)
    for name in ("seg", "seg-labelmap"):
        assert _facts(shown[name])["Columns × rows"] == "512 × 512"
        (table,) = (block for block in shown[name].blocks if isinstance(block, Table))
        assert len({row[1].colour for row in table.rows}) == len(table.rows)
        (sources,) = (block for block in shown[name].blocks if isinstance(block, References))
        assert len(sources.references) == 30


def test_regions_of_interest_have_types_and_contours(shown: dict[str, Readable]) -> None:
    rows = _table(shown["rt-struct"], "Regions of interest")
    assert rows[0][1:3] == ["BODY", "EXTERNAL"]
    assert {row[2] for row in rows} == {"EXTERNAL", "ORGAN", "GTV"}
    assert int(rows[0][4]) >= 30


def test_a_plan_tells_its_beams_and_prescription(shown: dict[str, Readable]) -> None:
    assert [row[5] for row in _table(shown["rt-plan"], "Beams")] == ["0 °", "90 °", "180 °", "270 °"]
    (prescribed,) = _table(shown["rt-plan"], "Dose references")
    assert prescribed[4] == "60 Gy"
    assert [block.title for block in shown["rt-plan"].blocks if isinstance(block, References)] == ["Structure set"]


def test_a_dose_tells_its_grid_and_plan(shown: dict[str, Readable]) -> None:
    told = _facts(shown["rt-dose"])
    assert told["Units"] == "GY"
    assert told["Summation"] == "PLAN"
    assert told["Spacing"] == "5 × 5 mm"
    assert [block.title for block in shown["rt-dose"].blocks if isinstance(block, References)] == ["Plan"]
