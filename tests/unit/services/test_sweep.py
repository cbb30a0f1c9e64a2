"""Sweeps: what is ours goes, what is not stays, and the server is asked again."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.dimse.scu.find import find
from dicomfab.model.actor import Role
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, ConnectionFailed
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.sweep import DELETED, Sweep, SweepService, Way, rows
from dicomfab.services.web_secrets import SecretFiles
from dicomfab.storage.fabricated import FabricatedStudies
from dicomfab.storage.sent import SentStudies
from tests.peers import programs
from tests.unit.dicomweb.client.servers import Reply, web_server
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, Nameless, actor
from tests.unit.services.job_office import Office, cards
from tests.unit.services.test_derivation import add


def sweeps(office: Office, lab: tuple[PacsServer, ...] = ()) -> SweepService:
    def lab_archive(server: PacsServer) -> Archive | None:
        # Another one on the same folder, as the command has beside the server's process.
        return Archive(office.site.folder / server.aec) if server in lab else None

    return SweepService(SentStudies(office.database), office.site.local, find, lab_archive)


def sent(office: Office, server: PacsServer, seed: int = 5) -> str:
    """A fabricated study that a job sent to a server."""
    study = office.site.make(cards(2, seed=seed))
    FabricatedStudies(office.database).note(study)
    office.run(office.send([study], server, confirm_production=True))
    assert len(office.site.held(server.aec, study)) == 2
    return study


def outcomes(done: Sweep) -> dict[str, str]:
    return {held.study_instance_uid: held.outcome for held in done.found}


def test_looking_changes_nothing_and_deleting_asks_again(office: Office) -> None:
    prod = office.site.pacs("PROD", "prod")
    office.know(prod)
    study, gone = sent(office, prod), sent(office, prod, seed=6)
    office.site.archives["PROD"].delete_study(gone)
    service = sweeps(office, (prod,))
    seen = service.look(ADMIN, prod)
    assert (seen.asked, seen.way, outcomes(seen), seen.remaining) == (2, Way.LAB, {study: ""}, None)
    assert len(rows(seen)) == 2
    assert office.site.held("PROD", study)
    with pytest.raises(ConfirmationRequired):
        service.delete(ADMIN, prod)
    done = service.delete(ADMIN, prod, confirm_production=True)
    assert (outcomes(done), done.remaining) == ({study: DELETED}, ())
    assert not office.site.held("PROD", study)
    assert service.delete(ADMIN, prod, confirm_production=True).found == ()


def test_what_was_moved_is_swept_too(office: Office) -> None:
    one, two = office.site.pacs("ONE"), office.site.pacs("TWO")
    office.know(one, two)
    study = sent(office, one)
    office.run(office.move([study], one, two))
    office.site.local.delete_study(study)  # the ledger alone knows its instances
    assert outcomes(sweeps(office, (two,)).delete(ADMIN, two)) == {study: DELETED}
    assert office.site.held("ONE", study)


def test_real_studies_are_not_even_asked_for(office: Office) -> None:
    prod = office.site.pacs("PROD", "prod")
    office.know(prod)
    add(office.site, "1.2.840.5.5", data_set(picture(), bits=8), Environment.PROD)
    office.run(office.send(["1.2.840.5.5"], prod, confirm_production=True))
    done = sweeps(office, (prod,)).delete(ADMIN, prod, confirm_production=True)
    assert (done.asked, done.found) == (0, ())
    assert office.site.held("PROD", "1.2.840.5.5")


def test_a_study_with_somebody_elses_instance_is_left(office: Office) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    study = sent(office, test)
    kept, office.site.local = office.site.local, office.site.archives["TEST"]
    add(office.site, study, data_set(picture(), bits=8))
    office.site.local = kept
    done = sweeps(office, (test,)).delete(ADMIN, test)
    assert done.found[0].others == 1
    assert "not known as ours" in done.found[0].outcome
    assert done.remaining == (study,)
    assert len(office.site.held("TEST", study)) == 3


def test_a_study_that_is_not_listed_completely_is_left_and_the_others_go(office: Office) -> None:
    handlers = Nameless(office.site.archive("TEST"), "TEST")
    test = office.site.server("TEST", handlers)
    office.know(test)
    study, other = sent(office, test), sent(office, test, seed=6)
    kept, office.site.local = office.site.local, office.site.archives["TEST"]
    theirs = data_set(picture(), bits=8)
    add(office.site, study, theirs)
    office.site.local = kept
    handlers.unnamed = {str(theirs.SOPInstanceUID)}
    told: list[AuditEvent] = []
    service = replace(sweeps(office, (test,)), record=lambda *events: told.extend(events))
    assert "without its SOP Instance UID" in outcomes(service.look(ADMIN, test))[study]
    done = service.delete(ADMIN, test)
    assert outcomes(done) == {study: outcomes(done)[study], other: DELETED}
    assert "without its SOP Instance UID" in outcomes(done)[study]
    assert done.remaining == (study,)
    assert len(office.site.held("TEST", study)) == 3
    deletions = {one.study_uids: one.outcome for one in told if one.kind is EventKind.DELETION}
    assert deletions == {(study,): Outcome.SERIOUS, (other,): Outcome.SUCCESS}


def test_a_server_that_offers_nothing_gets_a_list(office: Office) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    study = sent(office, test)
    done = sweeps(office).delete(ADMIN, test)
    assert (done.way, done.remaining) == (Way.LIST, (study,))
    assert {(s, outcome) for s, _, outcome in rows(done)} == {(study, "left: it cannot be deleted from here")}
    assert {uid for _, uid, _ in rows(done)} == office.site.held("TEST", study)


@contextmanager
def dicomweb(archive: Archive, status: int) -> Iterator[str]:
    """An address that deletes studies from an archive and answers a status; one of 4xx deletes nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            if status < 300:
                archive.delete_study(self.path.removeprefix("/dicom-web/studies/"))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


@pytest.mark.parametrize(("status", "said"), [(204, DELETED), (405, "answers 405"), (302, "answers 302")])
def test_by_the_dicomweb_address(office: Office, status: int, said: str) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    study = sent(office, test)
    with dicomweb(office.site.archives["TEST"], status) as root:
        done = sweeps(office).delete(ADMIN, replace(test, dicomweb_root=root))
    assert done.way is Way.DICOMWEB
    assert said in done.found[0].outcome
    assert done.remaining == (() if status < 300 else (study,))


def test_by_the_dicomweb_address_as_the_user_of_the_entry(office: Office, tmp_path: Path) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    sent(office, test)
    secret = tmp_path / "secret"
    secret.write_text("topsecret")
    secret.chmod(0o600)
    with web_server(lambda _: Reply(401, b"", "text/plain")) as there:
        known = replace(
            test, dicomweb_root=there.root, dicomweb_user="us", dicomweb_secret_file=str(secret), name="There"
        )
        service = replace(sweeps(office), secrets=SecretFiles(tmp_path))
        assert "answers 401" in service.delete(ADMIN, known).found[0].outcome
        (asked,) = there.asked
    assert (asked.method, asked.headers["authorization"]) == ("DELETE", "Basic dXM6dG9wc2VjcmV0")


def test_what_is_still_listed_is_not_deleted_whatever_the_server_says(office: Office) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    study = sent(office, test)
    recorded: list[AuditEvent] = []
    with web_server(lambda _: Reply(204, b"")) as there:
        service = replace(sweeps(office), record=lambda *events, within=None: recorded.extend(events))
        done = service.delete(ADMIN, replace(test, dicomweb_root=there.root))
    assert done.found[0].outcome == "left: it is still listed"
    assert done.remaining == (study,)
    deletions = [one for one in recorded if one.kind is EventKind.DELETION]
    assert [(one.outcome, one.reason) for one in deletions] == [
        (Outcome.SUCCESS, ""),
        (Outcome.SERIOUS, "left: it is still listed"),
    ]
    assert {one.study_uids for one in deletions} == {(study,)}


def test_failures_are_no_empty_answers(office: Office) -> None:
    test = office.site.pacs("TEST")
    office.know(test)
    study = sent(office, test)
    closed = replace(test, dicomweb_root=f"http://127.0.0.1:{programs.free_port()}")
    done = sweeps(office).delete(ADMIN, closed)
    assert "does not answer" in done.found[0].outcome
    assert done.remaining == (study,)
    with pytest.raises(ConnectionFailed):
        sweeps(office).look(ADMIN, replace(test, port=programs.free_port(), connect_timeout_s=1))


@pytest.mark.parametrize("role", [Role.TEST_READ, Role.PROD_READ, Role.TEST_WRITE])
def test_it_needs_delete_there(office: Office, role: Role) -> None:
    prod = office.site.pacs("PROD", "prod")
    for call in (sweeps(office).look, sweeps(office).delete):
        with pytest.raises(AccessDenied):
            call(actor(role), prod)
