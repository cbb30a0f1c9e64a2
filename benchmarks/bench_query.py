"""Searches over many servers: how soon answers are there when one address swallows everything, and large results.

``python benchmarks/bench_query.py [--quick] [--dir DIR]``

Everything goes the way that the pages go: C-FIND over real sockets, results kept, one page read at a time. The servers
run in the same process, so their memory counts too. The address that answers nothing is a port of this machine whose
queue of connections is full: the system drops what comes for it, as a firewall does.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import report
from pydicom import Dataset
from report import Table

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.model.actor import local_admin
from dicomfab.registry.server import PacsServer
from dicomfab.services.pacs import PacsService
from dicomfab.services.query import QueryService
from dicomfab.services.search import PAGE_SIZE, SearchService, View
from dicomfab.services.search_saved import SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.searches import SearchStore

ME = local_admin("bench", "api")
SERVERS = 4
MATCHES, QUICK_MATCHES = 100_000, 8_000
CONNECT_TIMEOUT_S = 2.0
PAGE_MS, MEMORY_MB, THREE_ANSWERS_S = 200.0, 300.0, 1.0
LATE_BY_S = 0.5


class Studies:
    """A server that makes up its matches as they are asked for; half of them are on the next server too."""

    def __init__(self, number: int, matches: int) -> None:
        self._range = range(number * matches // 2, number * matches // 2 + matches)
        self._number = number

    def find(self, _requestor: object, _model: object, _identifier: Dataset) -> Iterator[Dataset]:
        for number in self._range:
            match = Dataset()
            match.QueryRetrieveLevel = "STUDY"
            match.PatientName = f"FAMILY{number * 7919 % 50_000}^GIVEN{number % 97}"
            match.PatientID, match.PatientBirthDate, match.PatientSex = (
                f"SYN{number:010}",
                "19700101",
                "FMO"[number % 3],
            )
            match.StudyInstanceUID = f"1.2.826.0.1.3680043.99.{number}.{number * 31}"
            match.AccessionNumber, match.StudyTime = f"ACC{number:08}", "101500"
            match.StudyDate = f"20{10 + number % 16}{1 + number % 12:02}{1 + number % 28:02}"
            match.StudyDescription = ("CT CHEST", "MR HEAD", "XR KNEE BOTH SIDES", "US ABDOMEN")[number % 4]
            match.ModalitiesInStudy = "CT"
            match.NumberOfStudyRelatedSeries = str(1 + number % 9)
            match.NumberOfStudyRelatedInstances = str(1 + number * 13 % 997 + (self._number == 3))
            yield match


@contextmanager
def installation(folder: Path, matches: int, servers: int) -> Iterator[SearchService]:
    """Servers that answer, in a registry of their own, with the services that the pages use."""
    with ExitStack() as stack:
        database = Database(folder / "registry.sqlite3")
        stack.callback(database.close)
        pacs = PacsService(RegistryRepository(database), lambda _peer: None)  # type: ignore[arg-type,return-value]
        for number in range(servers):
            handlers = Studies(number, matches)
            port = stack.enter_context(Server(ServerConfig(f"S{number}"), handlers)).port  # type: ignore[arg-type]
            pacs.add(ME, entry(f"S{number}", port).as_dict())
        yield SearchService(QueryService(find), pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved"))


def entry(name: str, port: int) -> PacsServer:
    """A server of this machine."""
    return PacsServer(
        id=name.lower(), name=name, host="127.0.0.1", port=port, aec=name, environment="test",  # type: ignore[arg-type]
        connect_timeout_s=CONNECT_TIMEOUT_S,
    )  # fmt: skip


@contextmanager
def black_hole() -> Iterator[int]:
    """A port for which everything is dropped."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(8):  # until one is no longer answered
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        else:
            raise RuntimeError("this system answers every connection, so nothing can be dropped")
        yield address[1]


def one_hung(table: Table, folder: Path, runs: int) -> None:
    """Three servers and a black hole."""
    third: list[float] = []
    late: list[float] = []
    with installation(folder, 40, SERVERS - 1) as service, black_hole() as port:
        service.pacs.add(ME, entry("HOLE", port).as_dict())
        names = [f"s{number}" for number in range(SERVERS - 1)] + ["hole"]
        for _ in range(runs):
            search = service.begin(ME, service.targets(ME, names), StudyFilter(), 500)
            began = time.perf_counter()
            when: dict[str, tuple[float, str]] = {}
            for answer in service.run(ME, search):
                when[answer.server.id] = (time.perf_counter() - began, str(answer.state))
            states = {name: state for name, (_, state) in when.items()}
            if states != dict.fromkeys(names[:-1], "ok") | {"hole": "timed out"}:
                raise RuntimeError(f"not as expected: {states}")
            third.append(max(seconds for name, (seconds, _) in when.items() if name != "hole"))
            late.append(when["hole"][0] - CONNECT_TIMEOUT_S)
    table.section(f"{SERVERS} servers, one of them a black hole, connection timeout {CONNECT_TIMEOUT_S:g} s")
    table.under_limit("three answers are kept and can be shown", "s", third, THREE_ANSWERS_S)
    table.under_limit("the fourth is named as timed out, after its own timeout", "s", late, LATE_BY_S)


VIEWS: dict[str, View] = {
    "first page as the answers came": View(),
    "last page": View(page=10**6),
    "sorted by patient": View(sort="PatientName"),
    "sorted by patient, middle page": View(sort="PatientName", page=-2),
    "sorted by instances, descending, last page": View(
        sort="NumberOfStudyRelatedInstances", descending=True, page=10**6
    ),
    "narrowed to one in four": View(text="mr head"),
    "narrowed to few, sorted by date": View(text="family123", sort="StudyDate"),
    "narrowed to all, sorted, middle page": View(text="syn", sort="StudyDate", page=-2),
    "of one server, sorted by date, middle page": View(server="s2", sort="StudyDate", page=-2),
    "merged": View(merged=True),
    "merged, sorted by date, middle page": View(merged=True, sort="StudyDate", page=-2),
    "merged, narrowed to one in four": View(merged=True, text="mr head"),
}


def large(table: Table, folder: Path, matches: int, runs: int) -> None:
    """Many results: taken in, looked at in every way, written to files."""
    own = psutil.Process()
    peak = [own.memory_info().rss]

    def measured(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        peak.append(own.memory_info().rss)
        return seconds

    with installation(folder, matches // SERVERS, SERVERS) as service:
        names = [f"s{number}" for number in range(SERVERS)]
        search = service.begin(ME, service.targets(ME, names), StudyFilter(), matches)

        def ask() -> None:
            for _ in service.run(ME, search):
                peak.append(own.memory_info().rss)

        table.section(f"{matches} results of {SERVERS} servers, pages of {PAGE_SIZE}")
        table.report("asked, answered, kept, made ready to be sorted", "s", [measured(ask)])
        total = service.page(ME, search, View()).total
        if total != matches:
            raise RuntimeError(f"{total} results instead of {matches}")
        for what, view in VIEWS.items():
            page = _placed(service, search, view)
            times = [1000 * measured(lambda page=page: service.page(ME, search, page)) for _ in range(runs)]  # type: ignore[misc]
            table.under_limit(what, "ms", times, PAGE_MS)
        for kind in ("csv", "json", "xlsx"):
            seconds = measured(lambda kind=kind: sum(map(len, service.export(ME, search, kind))))  # type: ignore[misc]
            table.report(f"written as {kind}", "s", [seconds])
    table.under_limit("memory of the process, servers included", "MB", [max(peak) / 1e6], MEMORY_MB)


def _placed(service: SearchService, search: str, view: View) -> View:
    """With a page that there is: -2 means the one in the middle."""
    pages = service.page(ME, search, View(view.server, view.text, view.sort, view.descending, view.merged)).pages
    number = pages // 2 + 1 if view.page == -2 else min(view.page, pages)
    return View(view.server, view.text, view.sort, view.descending, view.merged, number)


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"results": given.dir})
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        for name in ("hung", "large"):
            (Path(folder) / name).mkdir()
        one_hung(table, Path(folder) / "hung", given.runs)
        large(table, Path(folder) / "large", QUICK_MATCHES if given.quick else MATCHES, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
