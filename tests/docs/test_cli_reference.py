"""The committed command line reference is what the commands say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "reference" / "command-line.md"


def generated(out: Path, **environment: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / "cli_reference.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return out.read_text("utf-8")


def test_committed_reference_is_the_generated_one(tmp_path: Path) -> None:
    remedy = "run: .venv/bin/python tools/cli_reference.py docs/reference/command-line.md"
    assert COMMITTED.read_text("utf-8") == generated(tmp_path / "reference.md"), remedy


def test_terminal_and_settings_do_not_matter(tmp_path: Path) -> None:
    narrow = generated(tmp_path / "narrow.md", COLUMNS="40", LANG="C", DICOMFAB_WEB_PORT="5999")
    assert COMMITTED.read_text("utf-8") == narrow


def test_every_command_is_described() -> None:
    from dicomfab.cli.main import COMMANDS

    text = COMMITTED.read_text("utf-8")
    for name in COMMANDS:
        assert f"\n## dicomfab {name}\n" in text
    assert "### dicomfab study create" in text
    assert "`--yes-production`" in text
