"""``dicomfab population``, as people call it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

SMALL = ("--small", "--patients", "6", "--seed", "3", "--end-date", "2026-01-31", "--mix", "DX=1,CR=1,US=1")


def files(folder: Path) -> dict[str, str]:
    """Every file of the folder by its path, with a digest."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def create(dicomfab, out: Path, *more: str):
    return dicomfab("population", "create", *SMALL, "--workers", "1", "--json", *more, "--out", str(out))


def test_a_population_is_made_as_it_is_shown(dicomfab, tmp_path):
    shown = json.loads(dicomfab("population", "show", *SMALL, "--json").out)
    made = json.loads(create(dicomfab, tmp_path / "out").out)
    assert {name: made[name] for name in ("patients", "studies", "instances")} == {
        name: shown[name] for name in ("patients", "studies", "instances")
    }
    assert made["seed"] == shown["population"]["seed"] == 3
    instances = sorted((tmp_path / "out").glob("*/*/*.dcm"))
    assert len(instances) == made["instances"]
    assert made["size_bytes"] == sum(path.stat().st_size for path in instances)
    patients = {path.parts[-3] for path in instances}
    assert len(patients) == 6
    for path in instances:
        ds = dcmread(path)
        assert ds.PatientID == path.parts[-3]
        assert max(ds.Rows, ds.Columns) <= 96 if "Rows" in ds else ds.Modality == "KO"
        truth = json.loads((path.parent / "truth.json").read_text())
        assert truth["study_instance_uid"] == ds.StudyInstanceUID
        assert {one["name"] for one in truth["files"]} >= {path.name}
    text = dicomfab("population", "show", *SMALL).out
    assert "6 patients" in text
    assert "DX" in text


def test_the_bytes_do_not_depend_on_the_processes(dicomfab, tmp_path):
    assert create(dicomfab, tmp_path / "one").code == 0
    assert create(dicomfab, tmp_path / "two", "--workers", "2").code == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_what_is_there_is_kept_and_what_is_missing_is_made(dicomfab, tmp_path):
    out = tmp_path / "out"
    whole = json.loads(create(dicomfab, out).out)
    before = files(out)
    study = next(iter(out.glob("*/*/")))
    study.rename(study.with_name(f".{study.name}.part"))  # as if it had been broken off while this one was written
    done = json.loads(dicomfab("population", "create", "--resume", "--workers", "1", "--json", "--out", str(out)).out)
    assert files(out) == before
    assert done["studies"] == whole["studies"]
    assert done["kept"] == whole["studies"] - 1
    assert done["instances"] == whole["instances"]


def test_a_folder_with_something_in_it_is_left_alone(dicomfab, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused = create(dicomfab, tmp_path / "out")
    assert refused.code == 2
    assert json.loads(refused.out)["error"]["error"] == "Conflict"
    assert os.listdir(tmp_path / "out") == ["mine.txt"]
    nothing = dicomfab("population", "create", "--resume", "--out", str(tmp_path / "out"))
    assert nothing.code == 3
    assert "population" in nothing.err


def test_another_version_s_population_is_not_gone_on_with(dicomfab, tmp_path):
    out = tmp_path / "out"
    assert create(dicomfab, out).code == 0
    manifest = out / "population.json"
    manifest.write_text(manifest.read_text().replace('"renderer": "', '"renderer": "x'))
    refused = dicomfab("population", "create", "--resume", "--out", str(out))
    assert refused.code == 2
    assert "another version" in refused.err


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--mix", "CT=0,DX=0"), "mix"),
        (("--mix", "ct-toe=1"), "mix"),
        (("--mix", "CT"), "mix"),
        (("--script", "klingon=1"), "scripts"),
        (("--defect", "no-such=0.1"), "defects"),
        (("--defect", "missing-type-1=2"), "defects"),
        (("--studies-per-patient", "5-1"), "studies_per_patient"),
        (("--years", "0"), "years"),
        (("--end-date", "2026-02-30"), "end_date"),
        (("--patients", "0"), "patients"),
        (("--end-date", "2-0-260101"), "end_date"),
        (("--mix", "CT=1e308,DX=1e308"), "mix"),
        (("--small", "--mix", "DX=1", "--defect", "duplicate-sop-uid=1"), "defects"),
        (("--resume", "--seed", "4"), "seed"),
        (("--resume", "--seed", "0"), "seed"),
        (("--resume", "--patients", "0"), "patients"),
        (("--resume", "--mix", "CT=1"), "mix"),
        (("--resume", "--small"), "small"),
    ],
)
def test_what_cannot_be_is_refused_by_name_before_anything_is_made(dicomfab, tmp_path, words, field):
    refused = dicomfab("population", "create", *words, "--json", "--out", str(tmp_path / "out"))
    assert refused.code == 2
    assert json.loads(refused.out)["error"]["field"] == field
    assert not (tmp_path / "out").exists()


def test_a_file_and_options_that_go_before_it(dicomfab, tmp_path):
    file = tmp_path / "ward.yaml"
    file.write_text("patients: 4\nmix: {DX: 1}\nseed: 8\nend_date: 2026-01-31\nimages: small\n")
    found = json.loads(dicomfab("population", "show", str(file), "--patients", "5", "--json").out)
    assert found["population"]["patients"] == 5
    assert set(found["modalities"]) == {"DX"}
    made = json.loads(
        dicomfab("population", "create", "--file", str(file), "--json", "--out", str(tmp_path / "out")).out
    )
    assert (made["patients"], made["seed"]) == (4, 8)
    assert dicomfab("population", "show", str(tmp_path / "none.yaml")).code == 3


def test_what_show_and_a_folder_say_can_be_a_file(dicomfab, tmp_path):
    shown = json.loads(dicomfab("population", "show", *SMALL, "--json").out)
    (tmp_path / "again.json").write_text(json.dumps(shown["population"]))
    assert json.loads(dicomfab("population", "show", str(tmp_path / "again.json"), "--json").out) == shown


@pytest.mark.full
def test_a_killed_process_leaves_no_lock_and_nobody_who_writes_on(dicomfab, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "dicomfab", "population", "create", *SMALL, "--patients", "400", "--workers", "2"]
    with subprocess.Popen([*words, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        while running.poll() is None and not any(out.glob("*/*/truth.json")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.05)
        refused = dicomfab("population", "create", "--resume", "--json", "--out", str(out))
        running.kill()
        running.communicate(timeout=60)  # its children have its pipes: these end with the last of them
    assert json.loads(refused.out)["error"]["error"] == "Conflict"
    done = json.loads(dicomfab("population", "create", "--resume", "--json", "--out", str(out)).out)
    assert 0 < done["kept"] < done["studies"]
    assert not list(out.rglob(".*"))


def test_the_schema_is_printed(dicomfab):
    assert json.loads(dicomfab("population", "schema").out)["title"] == "DICOM Fabricator population"


def test_declared_defects_are_in_the_truth_of_their_study(dicomfab, tmp_path):
    made = create(dicomfab, tmp_path / "out", "--defect", "missing-type-1=0.5")
    assert made.code == 0
    truths = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/*/truth.json")]
    broken = [one for one in truths if one["defects"]]
    assert 0 < len(broken) < len(truths)


@pytest.mark.full
def test_ctrl_c_leaves_complete_studies_and_resume_makes_the_rest(dicomfab, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "dicomfab", "population", "create", *SMALL, "--patients", "60", "--workers", "2"]
    with subprocess.Popen(
        [*words, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as running:
        while running.poll() is None and not any(out.glob("*/*/truth.json")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.05)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        _, said = running.communicate(timeout=120)
    assert running.returncode != 0
    assert b"--resume" in said
    assert b"Traceback" not in said
    there = files(out)
    assert all((study / "truth.json").is_file() for study in out.glob("*/*/"))
    assert not list(out.glob("*/.*"))
    done = json.loads(dicomfab("population", "create", "--resume", "--json", "--out", str(out)).out)
    assert 0 < done["kept"] < done["studies"]
    assert there.items() <= files(out).items()
    assert create(dicomfab, tmp_path / "again", "--patients", "60").code == 0
    assert files(tmp_path / "again") == files(out)
