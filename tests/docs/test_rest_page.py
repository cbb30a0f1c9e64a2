"""The lines of the guide to the REST interface, run in a shell, in their order, against a lab and a worker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin
from dicomfab.web.api.shared import _STATUSES
from dicomfab.web.app import create_app
from tests.unit.services.hospital import hospital
from tests.unit.web.api.conftest import serving

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rest-api.md").read_text("utf-8")
LINES = "".join(re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ADMIN = local_admin("owner", "cli")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """An installation with two test servers that know each other, and a worker in this process."""
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    stopped = threading.Event()
    with hospital(tmp_path) as site, serving(create_app(application)) as address:
        for number in (1, 2):
            fields = site.pacs(f"TESTPACS{number}").as_dict() | {"id": f"test-pacs-{number}", "name": f"Test {number}"}
            application.pacs.add(ADMIN, fields)
        application.pacs.set_routes(ADMIN, "test-pacs-1", {"test-pacs-2": "TESTPACS2"})
        worker = threading.Thread(target=lambda: _work(application.worker, stopped))
        worker.start()
        try:
            yield address
        finally:
            stopped.set()
            worker.join()
    application.close()


def _work(worker: Any, stopped: threading.Event) -> None:
    number = 1
    while not stopped.wait(0.1):
        number += worker.run_one(number)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_lines_do_what_the_guide_says(address: str) -> None:
    lines = LINES.replace("http://localhost:5001", address).replace("curl -s", "curl -sS -w '\\n'")
    done = subprocess.run(["bash", "-euc", lines], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    me, servers, job, made, items, studies, sending, sent, query, matrix, moving, moved, *order, problem = map(
        json.loads, done.stdout.splitlines()
    )
    assert me["roles"] == ["admin"]
    assert [one["id"] for one in servers["items"]] == ["test-pacs-1", "test-pacs-2"]
    assert [one["id"] for one in (job, made, sending, sent, moving, moved)] == [1, 1, 2, 2, 3, 3]
    assert [one["state"] for one in (made, sent, moved)] == ["succeeded"] * 3
    assert items["total"] == studies["total"] == 1
    assert (query["state"], query["found"]) == ("done", 1)
    assert [one["ae_title"] for one in matrix["routes"]] == ["TESTPACS2"]
    taken, procedures, worklist, loop = order
    assert (taken["code"], procedures["total"]) == ("AA", 1)
    assert [one["00080050"]["Value"] for one in worklist["items"]] == [["A7"]]
    assert (loop["is_closed"], loop["items"][0]["patient_name"]) == (False, "DOE^JANE")
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert problem == json.loads(shown)


def test_every_status_of_a_problem_is_told() -> None:
    told = {int(one) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for one in row.split(",")}
    assert told == set(_STATUSES)
