"""``lab.validate``, from Python."""

from __future__ import annotations

from pathlib import Path

from dicomfab.api import connect
from tests.unit.validity.files import made


def test_files_and_studies(tmp_path: Path) -> None:
    made(tmp_path / "files", text_card=1)
    with connect(tmp_path / "home") as lab:
        lab.create("text-card", seed=3)
        for report in (lab.validate(tmp_path / "files"), lab.validate(study="latest")):
            assert (report.verdict, len(report.files)) == ("valid", 1)
        assert lab.validate(str(tmp_path / "files"), strict=True).verdict == "valid"
        assert lab.validate(str(tmp_path / "files"), strict_all=True).verdict == "invalid"
