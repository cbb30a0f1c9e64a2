"""``dicomfab audit delivery``, ``deliver`` and ``end-delivery`` as they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.syslog.syslog_peer import Peer, Site, listening


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "certificates"
    folder.mkdir()
    made = Site.made(folder)
    monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG_CA", made.authority.file)
    monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG_CERTIFICATE", made.client.certificate)
    monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG_KEY", made.client.key)
    return made


def test_while_nothing_is_set(dicomfab):
    assert "Delivery: not set" in dicomfab("audit", "delivery").out
    assert json.loads(dicomfab("audit", "delivery", "--json").out) == {"set": None, "receivers": []}
    refused = dicomfab("audit", "deliver")
    assert refused.code == 2
    assert "no syslog receiver is set" in refused.err


def test_the_gauge_from_outage_to_delivery(dicomfab, site: Site, monkeypatch: pytest.MonkeyPatch):
    with listening(site) as peer:
        monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG", f"localhost:{peer.port}")
    dicomfab("audit", "list")
    dicomfab("audit", "list")
    away = dicomfab("audit", "deliver")
    assert away.code == 4
    assert "cannot be reached" in away.err
    shown = dicomfab("audit", "delivery").out
    assert f"Delivery to localhost:{peer.port}" in shown
    assert "2 entries wait, and the last attempt failed" in shown
    assert "Next try" in shown
    (found,) = json.loads(dicomfab("audit", "delivery", "--json").out)["receivers"]
    assert (found["delivered_up_to"], found["waiting"], found["failed_in_a_row"]) == (0, 2, 1)
    assert found["last_error"]["remedy"]
    kept = dicomfab("audit", "purge", "--older-than", "1", "--yes")
    assert kept.out == "Took out 0 entries\n"
    with listening(site, Peer(port=peer.port)) as peer:
        done = dicomfab("audit", "deliver")
        assert (done.code, done.out) == (0, f"Delivered 3 entries to localhost:{peer.port}\n")
        assert json.loads(dicomfab("audit", "deliver", "--json").out) == {
            "delivered": 0,
            "to": f"localhost:{peer.port}",
        }
        assert dicomfab("audit", "deliver", "--again-from", "3").out.startswith("Delivered 2 entries")
    assert peer.numbers == [1, 2, 3, 3, 4]
    assert "every entry is delivered" in dicomfab("audit", "delivery").out


def test_delivery_to_a_receiver_is_ended(dicomfab, site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG", "localhost:1")
    dicomfab("audit", "list")
    assert dicomfab("audit", "deliver").code == 4
    assert dicomfab("audit", "end-delivery", "localhost:1", "--yes").code == 2
    monkeypatch.setenv("DICOMFAB_AUDIT_SYSLOG", "localhost:2")
    assert "Not set here" in dicomfab("audit", "delivery").out
    assert dicomfab("audit", "end-delivery", "localhost:1").code == 5
    assert dicomfab("audit", "end-delivery", "localhost:3", "--yes").code == 3
    assert dicomfab("audit", "end-delivery", "localhost:1", "--yes").code == 0
    assert "localhost:1" not in dicomfab("audit", "delivery").out


def test_a_contradiction_is_told_by_every_command(dicomfab, site: Site):
    refused = dicomfab("audit", "list")
    assert refused.code == 2
    assert "DICOMFAB_AUDIT_SYSLOG is not" in refused.err
