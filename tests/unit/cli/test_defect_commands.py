"""``--defect``, ``defects`` in a recipe and ``dicomfab recipe defects``."""

from __future__ import annotations

import json
from pathlib import Path

from pydicom import dcmread

from dicomfab.fabricate.defects import DEFECTS


def test_defects_are_listed(dicomfab):
    listed = json.loads(dicomfab("recipe", "defects", "--json").out)
    assert [one["name"] for one in listed] == list(DEFECTS)
    assert all(one["wrong"] and one["expected"] and one["noticed"] for one in listed)
    assert "uid-too-long" in dicomfab("recipe", "defects").out


def test_a_study_with_defects_is_written_into_a_folder_and_told(dicomfab, tmp_path: Path):
    out, truth = tmp_path / "out", tmp_path / "truth.json"
    made = dicomfab(
        "study", "create", "--kind", "text-card:3", "--seed", "7", "--study-date", "20260131", "--defect", "bad-time",
        "--defect", "decimal-comma", "--out", str(out), "--truth", str(truth), "--json",
    )  # fmt: skip
    assert (made.code, made.err) == (0, "")
    (study,) = json.loads(truth.read_text())["studies"]
    assert [one["name"] for one in study["defects"]] == ["decimal-comma", "bad-time"]
    uids = [one["instances"][0]["received"]["sop_instance_uid"] for one in study["defects"]]
    by_uid = {ds.SOPInstanceUID: ds for ds in map(dcmread, out.iterdir())}
    assert by_uid[uids[0]].get_item("PatientWeight").value.strip() == b"72,5"
    assert "256199" in {by_uid[uids[1]].get(one) for one in ("AcquisitionTime", "ContentTime", "SeriesTime")}


def test_without_a_folder_or_with_a_wrong_name_nothing_is_made(dicomfab):
    refused = dicomfab("study", "create", "--kind", "text-card", "--defect", "odd-length")
    assert refused.code == 2
    assert "the local store keeps only what can be read back" in refused.err
    refused = dicomfab("study", "create", "--kind", "text-card", "--defect", "no-such", "--out", "x")
    assert refused.code == 2
    assert "odd-length" in refused.err
    assert json.loads(dicomfab("study", "list", "--json").out)["studies"] == []


def test_a_recipe_names_defects(dicomfab, tmp_path: Path):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("series: [text-card]\nseed: 7\ndefects: [odd-length]\n")
    assert dicomfab("study", "create", "--recipe", str(recipe), "--out", str(tmp_path / "out")).code == 0
    (file,) = (tmp_path / "out").iterdir()
    assert len(file.read_bytes()) % 2 == 1


def test_an_import_refuses_and_names_the_study(dicomfab, tmp_path: Path):
    out = str(tmp_path / "out")
    made = dicomfab("study", "create", "--kind", "text-card:3", "--seed", "7", "--defect", "bad-time", "--out", out)
    assert made.code == 0
    refused = dicomfab("study", "import", out)
    assert refused.code == 6
    assert refused.out.count("declared defects") == 1
    assert "3 files" in refused.out
    assert "dicomfab send FOLDER" in refused.out
    (told,) = json.loads(dicomfab("study", "import", out, "--json").out)["defective"]
    assert told["files"] == 3
    assert told["study_instance_uid"] in refused.out
    assert json.loads(dicomfab("study", "list", "--json").out)["studies"] == []
