"""``dicomfab get --series``: one series of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers


def test_one_series_is_fetched_and_named(dicomfab: Any, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "away")
    with Server(ServerConfig("AWAY"), PacsHandlers(archive, "AWAY", Environment.TEST, {})) as running:
        where = ["--host", "127.0.0.1", "--port", str(running.port), "--aec", "AWAY", "--environment", "test"]
        assert dicomfab("pacs", "add", "--id", "away", "--name", "Away", *where).code == 0
        assert dicomfab("study", "create", "--kind", "text-card:1", "--kind", "text-card:2", "--seed", "3").code == 0
        study = json.loads(dicomfab("send", "latest", "--to", "away", "--json").out)["study_instance_uid"]
        assert dicomfab("study", "delete", study, "--yes").code == 0
        series = sorted({one.series_instance_uid for one in archive.instances(study)})
        done = dicomfab("get", study, "--series", series[0], "--from", "away")
        assert (done.code, done.err) == (0, "")
        assert f"series     {series[0]}" in done.out
        assert dicomfab("get", study, "--series", "1.2.3", "--from", "away").code == 3
        assert dicomfab("get", study, "1.2.3", "--series", series[0], "--from", "away").code == 2
    held = dicomfab("study", "show", study, "--json").out
    assert [one in held for one in series] == [True, False]
    archive.close()
