"""The reference of the Python API is what its docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dicomfab import api

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "reference" / "python-api.md"


def test_the_committed_reference_is_the_generated_one(tmp_path: Path) -> None:
    tool, out = ROOT / "tools" / "python_api.py", tmp_path / COMMITTED.name
    subprocess.run([sys.executable, str(tool), str(out)], check=True)
    remedy = "run: .venv/bin/python tools/python_api.py docs/reference/python-api.md"
    assert COMMITTED.read_text("utf-8") == out.read_text("utf-8"), remedy


def test_everything_public_is_described() -> None:
    for one in (api.Lab, api.Jobs, api.Orders):
        for name, member in vars(one).items():
            assert name.startswith("_") or member.__doc__, f"{one.__name__}.{name}"
