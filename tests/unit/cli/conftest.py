from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from dicomfab.cli.main import run


@pytest.fixture
def dicomfab(tmp_path, monkeypatch, capsys):
    """Run one command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))

    def call(*words: str, stdin: str = "") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as left:
            run(list(words))
        out, err = capsys.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=out, err=err)

    return call
