"""Merges and reports over real sockets: a RIS whose studies follow, servers that follow and others that do not."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.cli import session
from dicomfab.cli.main import run
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.hl7.sender import Sender
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import RequestAttributes
from dicomfab.model.procedure import ProcedureEventKind, ProcedureFilter
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.patient_check import Listed, MergeCheck, MergeVerdict, PatientKey, judged
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.pacs import PacsHandlers
from tests.unit.services.job_office import until
from tests.unit.services.ordering.conftest import ACTOR, orm, pid
from tests.unit.services.ordering.test_merging import WHO, make, merge, said
from tests.unit.services.ordering.test_report_out import make as make_ordered

PRIOR, NEW = PatientKey("P100", "RIS"), PatientKey("P900", "RIS")


@dataclass
class Place:
    """An installation that takes HL7, and offers its local store as a PACS."""

    site: Application
    hl7_port: int
    entry: PacsServer

    def send(self, data: bytes) -> bytes:
        with Sender("127.0.0.1", self.hl7_port, timeout_s=20) as sender:
            return sender.send(data)


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    with ExitStack() as running:

        def opened(name: str) -> Place:
            site = build(Settings(tmp_path / name))
            running.callback(site.close)
            handlers = PacsHandlers(site.local_archive, "THEPACS", Environment.TEST, {})
            server = running.enter_context(Server(ServerConfig("THEPACS"), handlers))
            config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True)
            ris = running.enter_context(site.ordering.ris.serving(ACTOR, config))
            entry = PacsServer(
                id="the-pacs", name="The PACS", host="127.0.0.1", port=server.port, aec="THEPACS", environment="test"
            )
            return Place(site, ris.hl7_port, entry)

        yield opened


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Application]:
    """The installation that asks."""
    site = build(Settings(tmp_path / "home"))
    yield site
    site.close()


def test_local_studies_follow_by_themselves(open_place: Callable[[str], Place]) -> None:
    place = open_place("ris")
    study = make(place.site)
    assert b"MSA|AA" in place.send(merge())
    until(lambda: [one.is_done for one in place.site.merging.page(ACTOR)] == [True])
    assert said(place.site, study) == {("P900", "RIS", "ROE^JANE", "19700102", "F")}
    place.send(b"".join((merge(control_id="A2").split(b"\rPID")[0].replace(b"ADT^A40", b"ADT^A08"),
                         b"\rPID|1||P900^^^RIS||ROE^JOAN||19700102|F\r")))  # fmt: skip
    until(lambda: [one.is_done for one in place.site.merging.page(ACTOR)] == [True, True])
    assert {one[2] for one in said(place.site, study)} == {"ROE^JOAN"}


def test_what_a_run_before_left_is_done_at_the_next_start(open_place: Callable[[str], Place], tmp_path: Path) -> None:
    site = build(Settings(tmp_path / "ris"))
    study = make(site)
    site.ordering.intake.take(ACTOR, merge(), Environment.TEST, peer="here")
    site.close()
    place = open_place("ris")
    until(lambda: [one.is_done for one in place.site.merging.page(ACTOR)] == [True])
    assert {one[0] for one in said(place.site, study)} == {"P900"}


def test_a_server_that_follows(open_place: Callable[[str], Place], here: Application) -> None:
    place = open_place("pacs")
    study, own = make(place.site), make(here)
    assert study == own
    before = here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry)
    assert (before.verdict, before.after) == (MergeVerdict.NOT_FOLLOWED, Listed(frozenset({study})))
    found = here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry, send=lambda: place.send(merge()), wait_s=60)
    assert found.verdict is MergeVerdict.FOLLOWED
    assert (found.before, found.after) == (Listed(frozenset({study})), Listed(new=frozenset({study})))
    assert (found.known, found.unlisted) == (frozenset({study}), frozenset())
    assert here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry).verdict is MergeVerdict.FOLLOWED


@pytest.mark.full
def test_a_server_that_does_not_follow(open_place: Callable[[str], Place], here: Application) -> None:
    place, deaf = open_place("pacs"), open_place("elsewhere")
    study = make(place.site)
    found = here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry, send=lambda: deaf.send(merge()), wait_s=1.5)
    assert found.verdict is MergeVerdict.NOT_FOLLOWED
    assert found.waited_s >= 1
    assert found.after == Listed(frozenset({study}))


@pytest.mark.full
def test_a_server_that_follows_by_half(open_place: Callable[[str], Place], here: Application) -> None:
    place = open_place("pacs")
    study, other = make(place.site), make(place.site, seed=6)
    make(place.site, dataclasses.replace(WHO, patient_id="P900"), seed=7)
    with place.site.local_archive.using(other):
        found = here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry, send=lambda: place.send(merge()), wait_s=2)
    assert found.verdict is MergeVerdict.PARTLY
    assert found.after.prior == frozenset({other})
    assert study in found.after.new


def test_a_server_that_has_nothing_or_cannot_be_asked(open_place: Callable[[str], Place], here: Application) -> None:
    place = open_place("pacs")
    sent: list[str] = []
    assert here.merge_checks.check(ACTOR, PRIOR, NEW, place.entry).verdict is MergeVerdict.NOTHING
    other = PatientKey("P100", "ELSEWHERE")
    make(place.site)
    assert here.merge_checks.check(ACTOR, other, NEW, place.entry).verdict is MergeVerdict.NOTHING
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = int(taken.getsockname()[1])
    nowhere = dataclasses.replace(place.entry, port=port)
    found = here.merge_checks.check(ACTOR, PRIOR, NEW, nowhere, send=lambda: sent.append("sent"))
    assert (found.verdict, sent) == (MergeVerdict.UNKNOWN, [])
    assert here.merge_checks.check(ACTOR, PRIOR, NEW, nowhere).verdict is MergeVerdict.UNKNOWN
    with pytest.raises(InvalidInput):
        PatientKey("P*")


A, B, C = (frozenset({one}) for one in "ABC")


@pytest.mark.parametrize(
    ("before", "after", "known", "verdict"),
    [
        (None, Listed(), A, MergeVerdict.NOTHING),
        (None, Listed(new=A), frozenset(), MergeVerdict.FOLLOWED),
        (None, Listed(A), A, MergeVerdict.NOT_FOLLOWED),
        (None, Listed(A, B), A | B, MergeVerdict.PARTLY),
        (None, Listed(A, C), A | B, MergeVerdict.NOT_FOLLOWED),
        (Listed(A), Listed(new=A), A, MergeVerdict.FOLLOWED),
        (Listed(A, C), Listed(A, C), A, MergeVerdict.NOT_FOLLOWED),
        (Listed(A | B), Listed(A, B), A, MergeVerdict.PARTLY),
        (Listed(A | B), Listed(new=B), A, MergeVerdict.PARTLY),
        (Listed(A), Listed(), A, MergeVerdict.PARTLY),
        (Listed(new=C), Listed(new=C), A, MergeVerdict.NOTHING),
        (Listed(), Listed(), A, MergeVerdict.NOTHING),
    ],
)
def test_verdicts(before: Listed | None, after: Listed, known: frozenset[str], verdict: MergeVerdict) -> None:
    found, text = judged(before, after, known)
    assert found is verdict
    assert text
    json.dumps(MergeCheck(found, text, before, after, known).as_dict())


@pytest.fixture
def dicomfab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command of the installation that asks; gives its exit code and what it printed."""
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            run(list(words))
        session.close()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out + err

    return call


@pytest.mark.full
def test_the_commands(open_place: Callable[[str], Place], here: Application, dicomfab: Any, tmp_path: Path) -> None:
    place = open_place("pacs")
    study = make(place.site)
    values = {"id": "the-pacs", "name": "The PACS", "host": "127.0.0.1", "port": place.entry.port, "aec": "THEPACS"}
    here.pacs.add(ACTOR, {**values, "environment": "test"})
    check = ("patient", "check-merge", "P100", "P900", "--pacs", "the-pacs")
    code, out = dicomfab(*check)
    assert (code, "NOT FOLLOWED" in out, study in out) == (6, True, True)
    file = tmp_path / "a40.hl7"
    file.write_bytes(merge())
    to = f"127.0.0.1:{place.hl7_port}"
    assert dicomfab(*check, "--send", str(file))[0] == 2
    assert dicomfab("patient", "check-merge", "P1", "P9", "--pacs", "the-pacs", "--send", str(file), "--to", to)[0] == 2
    code, out = dicomfab(*check, "--send", str(file), "--to", to, "--wait", "60", "--json")
    assert (code, json.loads(out)["verdict"], json.loads(out)["after"]) == (
        0,
        "followed",
        {"prior": [], "new": [study]},
    )
    assert dicomfab("patient", "check-merge", "Q1", "Q9", "--pacs", "the-pacs")[0] == 7
    make(here)
    here.ordering.intake.take(ACTOR, merge(), Environment.TEST, peer="here")
    assert "pending" in dicomfab("patient", "merges")[1]
    code, out = dicomfab("patient", "merges", "--carry-out", "--json")
    [listed] = json.loads(out)["merges"]
    assert (code, listed["is_done"], listed["outcome"]) == (0, True, "1 study, 5 instances changed")
    assert said(here, study) == {("P900", "RIS", "ROE^JANE", "19700102", "F")}


def test_a_report_is_sent_to_a_ris_and_noted_there(
    open_place: Callable[[str], Place], here: Application, dicomfab: Any
) -> None:
    place = open_place("ris")
    place.send(orm(uid="1.2.3.4", patient=pid()))
    to = f"127.0.0.1:{place.hl7_port}"
    study = make_ordered(here, "mr-brain", order=RequestAttributes(study_instance_uid="1.2.3.4"))
    code, out = dicomfab("study", "report", study, "--format", "oru", "--send", to)
    assert (code, " AA" in out) == (0, True)
    [found] = place.site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
    events = place.site.ordering.schedule.show(ACTOR, found.number).events
    assert [(one.kind, one.text) for one in events][-1] == (ProcedureEventKind.REPORTED, "report final")
    code, out = dicomfab("study", "report", study)
    assert (code, "Impression" in out, "DOE" in out) == (0, True, False)
    assert "MEASUREMENTS" in dicomfab("study", "report", study, "--format", "sr")[1]
    unknown = make_ordered(here, "us-abdomen:1", order=RequestAttributes(study_instance_uid="1.2.3.5"),
                           patient=dataclasses.replace(WHO, patient_id="P7"))  # fmt: skip
    code, out = dicomfab("study", "report", unknown, "--format", "oru", "--send", to)
    assert code == 6
