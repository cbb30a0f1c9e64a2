"""What a diagnosis of a healthy server takes, above one bare association with the same server in the same run.

``python benchmarks/bench_doctor.py [--quick] [--dir DIR]``

The doctor makes every check of ``dicomfab doctor server``: the entry, the name, the connection, the association, its
contexts, C-ECHO and C-FIND. A bare association is opened for C-ECHO, asked once and released.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import report
from report import Table

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.diagnosis.reason import Verdict
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.model.actor import local_admin
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers

OWNER = local_admin("benchmark", "cli")
LIMIT_S = 1.0
TITLE = "HEALTHY"


def diagnosed(application: Application) -> float:
    """Seconds until a healthy server is found to be healthy."""
    began = time.perf_counter()
    found = application.doctor.server(OWNER, "healthy")
    if found.verdict is not Verdict.HEALTHY:
        raise RuntimeError(f"the server is {found.verdict}")
    return time.perf_counter() - began


def bare(port: int) -> float:
    """Seconds of one association with a C-ECHO."""
    began = time.perf_counter()
    echo(Peer("127.0.0.1", port, TITLE, timeouts=Timeouts(5, 5, 30)))
    return time.perf_counter() - began


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"database": given.dir})
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        archive = Archive(Path(folder) / "archive")
        application = Application(Settings(Path(folder) / "home"))
        with Server(ServerConfig(TITLE), PacsHandlers(archive, TITLE, Environment.TEST, {})) as server:
            entry = {"name": "Healthy", "host": "127.0.0.1", "port": server.port, "aec": TITLE, "environment": "test"}
            application.pacs.add(OWNER, entry)
            diagnosed(application)  # modules are loaded, and the index is opened
            table.section("one server of ours that nothing is wrong with")
            measured = report.alternating(
                5 * given.runs, doctor=lambda: diagnosed(application), bare=lambda: bare(server.port)
            )
            table.under_limit("diagnosis of a healthy server", "s", measured["doctor"], LIMIT_S)
            table.lower("the same, beside a bare association", "s", measured["doctor"], "bare", measured["bare"])
        application.close()
        archive.close()
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
