"""``dicomfab sweep`` as its users call it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from dicomfab.archive.archive import Archive
from tests.unit.cli.test_send_command import pacs

__all__ = ["pacs"]


def test_a_list_for_the_administrator(dicomfab: Any, pacs: Archive, tmp_path: Path) -> None:
    assert "was asked for 0 studies" in dicomfab("sweep", "away").out
    dicomfab("study", "create", "--kind", "text-card:2", "--seed", "3")
    assert dicomfab("study", "send", "latest", "--to", "away").code == 0
    seen = dicomfab("sweep", "Away")
    assert seen.code == 0
    assert "cannot be deleted from here" in seen.out
    assert dicomfab("sweep", "away", "--out", str(tmp_path / "list.txt")).code == 2
    done = dicomfab("sweep", "away", "--delete", "--out", str(tmp_path / "list.csv"), "--json")
    told = json.loads(done.out)
    assert (done.code, told["way"], len(told["remaining"])) == (1, "list", 1)
    rows = list(csv.DictReader((tmp_path / "list.csv").read_text().splitlines()))
    assert {row["StudyInstanceUID"] for row in rows} == set(told["remaining"])
    assert {row["SOPInstanceUID"] for row in rows} == set(told["found"][0]["ours"])
    assert dicomfab("sweep", "away", "--out", str(tmp_path / "list.json")).code == 0
    assert json.loads((tmp_path / "list.json").read_text())["remaining"] is None
