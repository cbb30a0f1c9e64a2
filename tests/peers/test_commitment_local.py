"""Storage commitment for the local store, with ``dicomfab receive`` killed and pynetdicom as the one who asks."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.dimse.commitment import Failed, Reference, Transaction, Verdict
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE
from dicomfab.storage.audit import AuditFilter
from dicomfab.testpacs import ports
from tests.peers import pynetdicom_peers as pynetdicom
from tests.peers.test_commitment import PLAIN, Reported, eventually
from tests.unit.archive.builders import CT
from tests.unit.cli.test_receive_command import line, running
from tests.unit.services.hospital import ADMIN
from tests.unit.testpacs.labs import write_instance

pytestmark = [
    pytest.mark.peers,
    # pynetdicom leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

UID = "1.2.826.0.1.3680043.8.498.4"


def test_a_receiver_that_is_killed_after_its_answer_reports_when_it_runs_again(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "home" / "commitments"
    port, back = ports.free_ports(2, "127.0.0.1")
    application = build(Settings(home))
    application.pacs.add(
        ADMIN, {"name": "Asking", "host": "127.0.0.1", "port": back, "aec": "PYNETDICOM", "environment": "test"}
    )
    application.close()
    instance = write_instance(tmp_path)
    reference = Reference(instance.identity.sop_class_uid, instance.identity.sop_instance_uid)
    missing = Reference(CT, "1.2.99")

    with running(home, "receive", "--json", port=port) as process:
        assert "listening" in line(process)
        peer = Peer("127.0.0.1", port, "DICOMFAB", "PYNETDICOM", Timeouts(5, 20, 20))
        assert [outcome.error for outcome in store(peer, [instance])] == [None]
        contexts = [(COMMITMENT, PLAIN)]
        with pynetdicom.association(port, contexts, called="DICOMFAB") as opened:
            information = Transaction(UID, (reference, missing)).to_dataset()
            status, _ = opened.send_n_action(information, 1, COMMITMENT, COMMITMENT_INSTANCE)
            assert status.Status == 0x0000
        os.kill(process.pid, signal.SIGKILL)
        process.wait(pynetdicom.DEADLINE_S)
    assert [path.name for path in kept.iterdir()] == [f"{UID}.json"]

    theirs = Reported()
    with theirs.listening(back), running(home, "receive", "--json", port=port) as process:
        assert "listening" in line(process)
        caller, number, information = theirs.report()
        eventually(lambda: not list(kept.iterdir()))
    assert caller == "DICOMFAB"
    assert Verdict.from_dataset(information, number) == Verdict(UID, (reference,), (Failed(missing, 0x0112),))

    application = build(Settings(home))
    entries = application.audit.page(ADMIN, AuditFilter()).entries
    details = [one.event.detail for one in entries if one.event.query_sop_class == COMMITMENT]
    application.close()
    assert {"operation": "storage commitment", "instances": "2"} in details
    assert {"operation": "storage commitment", "committed": "1", "failed": "1"} in details
