"""The committed access reference is what the policy table and the routes say, and what the command prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "reference" / "access.md"


def test_committed_page_is_the_generated_one(tmp_path: Path) -> None:
    out = tmp_path / "access.md"
    subprocess.run([sys.executable, str(ROOT / "tools" / "access_reference.py"), str(out)], check=True)
    remedy = "run: .venv/bin/python tools/access_reference.py docs/reference/access.md"
    assert COMMITTED.read_text("utf-8") == out.read_text("utf-8"), remedy


def test_the_command_prints_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dicomfab", "access", "matrix", "--json"]
    environment = {**os.environ, "DICOMFAB_HOME": str(tmp_path / "home")}
    printed = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    rows = [
        line.strip("| ").split(" | ") for line in COMMITTED.read_text("utf-8").splitlines() if line.startswith("| `")
    ]
    actions = [
        [f"`{name}`", *(", ".join(row[role]) or "-" for role in printed["roles"])]
        for name, row in printed["actions"].items()
    ]
    assert rows[: len(actions)] == actions
    shown = {row[0].strip("`"): row[1] for row in rows[len(actions) :]}
    assert shown == {one["route"]: ", ".join(one["needs"]) or "-" for one in printed["routes"]}
    assert len(shown) > 60
    assert not (tmp_path / "home").exists()  # nothing is opened for it
