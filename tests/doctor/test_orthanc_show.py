"""Debian's Orthanc set up wrongly in four ways: the diagnosis, the line of configuration for each, and the cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.diagnosis.products import Line, Product
from dicomfab.diagnosis.reason import LIKELY, Diagnosis, Verdict
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.actor import local_admin
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.testpacs.ports import free_ports
from tests.doctor.real_servers import ALL_OFF, OrthancConfiguration

pytestmark = pytest.mark.peers
ADMIN = local_admin("tester", "api")
HOST = "127.0.0.1"
DESTINATION = "ARCHIVE"
KNOWS_US: dict[str, Any] = {"DicomModalities": {"fab": ["DICOMFAB", HOST, 11112]}}
#: What the doctor may take for a server, by its default time limits.
LIMIT_S = 20.0


@dataclass(frozen=True)
class Wrong:
    """One way to be set up wrongly.

    Args:
        settings: of Orthanc.
        rule: that has to come first.
        heading: that the user reads.
        sets: what the line sets.
        entry: of our registry, where it is other than usual.
    """

    settings: dict[str, Any]
    rule: str
    heading: str
    sets: str
    entry: dict[str, Any] = field(default_factory=dict)


WRONG = {
    "called AE title": Wrong(
        {"DicomCheckCalledAet": True, **KNOWS_US},
        "ae-called",
        "AE Title not recognized",
        '"DicomAet" : "OTHERPACS"',
        {"aec": "OTHERPACS"},
    ),
    "calling AE title": Wrong(ALL_OFF, "ae-calling", "AE Title not recognized", '"DICOMFAB" : [ "DICOMFAB"'),
    # As Debian has it: whoever is not known may store and echo, and is not told that he may not query.
    "C-FIND not allowed": Wrong(
        {"DicomAlwaysAllowFind": False}, "find-not-allowed-orthanc", "C-FIND failed", '"AllowFind" : true'
    ),
}


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    (port,) = free_ports(1, HOST)
    application = build(Settings(tmp_path / "home", scp_port=port))
    yield application
    application.close()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with closing(Archive(tmp_path / "archive")) as opened:
        yield opened


def known(application: Application, server_id: str, port: int, aec: str) -> None:
    """An entry of our registry."""
    entry = {"id": server_id, "name": server_id.title(), "host": HOST, "port": port, "aec": aec, "environment": "test"}
    application.pacs.add(ADMIN, entry)


def first_line(diagnosis: Diagnosis) -> Line:
    """Of the first cause, the first for Orthanc."""
    return next(line for line in diagnosis.causes[0].lines if line.product == Product.ORTHANC)


def told_and_cured(
    configuration: OrthancConfiguration, folder: Path, ask: Callable[[], Diagnosis], rule: str, sets: str
) -> Diagnosis:
    """Diagnose, add the line that the diagnosis gives, restart, and see that nothing is wrong any more."""
    with configuration.running(folder):
        diagnosis = ask()
    assert diagnosis.verdict is Verdict.FOUND
    assert diagnosis.causes[0].rule == rule
    assert diagnosis.causes[0].likelihood >= LIKELY
    assert diagnosis.seconds < LIMIT_S
    line = first_line(diagnosis)
    assert sets in line.text
    with configuration.with_line(line).running(folder):
        cured = ask()
    assert (cured.verdict, cured.causes) == (Verdict.HEALTHY, ())
    return diagnosis


@pytest.mark.full
@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_server_that_is_set_up_wrongly(tmp_path: Path, application: Application, wrong: Wrong) -> None:
    configuration = OrthancConfiguration(wrong.settings)
    known(application, "orthanc", configuration.port, wrong.entry.get("aec", "ORTHANC"))
    diagnosis = told_and_cured(
        configuration, tmp_path, lambda: application.doctor.server(ADMIN, "orthanc"), wrong.rule, wrong.sets
    )
    assert diagnosis.causes[0].heading == wrong.heading


def test_a_source_that_does_not_know_the_destination(
    tmp_path: Path, application: Application, archive: Archive
) -> None:
    configuration = OrthancConfiguration(KNOWS_US)
    handlers = PacsHandlers(archive, DESTINATION, Environment.TEST, {})
    with Server(ServerConfig(DESTINATION), handlers) as server:
        known(application, "orthanc", configuration.port, "ORTHANC")
        known(application, "archive", server.port, DESTINATION)
        application.pacs.set_routes(ADMIN, "orthanc", {"archive": DESTINATION})
        source, destination = (application.pacs.resolve(ADMIN, one) for one in ("orthanc", "archive"))
        diagnosis = told_and_cured(
            configuration,
            tmp_path,
            lambda: application.move_doctor.diagnose(ADMIN, source, destination),
            "move-orthanc-cannot-send",
            f'"{DESTINATION}" : [ "{DESTINATION}", "{HOST}", {server.port} ]',
        )
    assert diagnosis.causes[0].heading == "C-MOVE failed"
    assert {line.product for line in diagnosis.causes[0].lines} == {Product.ORTHANC}, "it knows what the source is"
