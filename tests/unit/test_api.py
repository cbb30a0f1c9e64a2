"""The Python API does the whole loop as its guide says."""

from __future__ import annotations

from pathlib import Path

import pytest

import dicomfab
from dicomfab.model.errors import ConfirmationRequired, NotFound, RouteMissing
from dicomfab.services.verification import VerdictKind
from tests.unit.services.hospital import Hospital, hospital


def add(lab: dicomfab.Lab, site: Hospital, ae_title: str, environment: str = "test") -> None:
    entry = site.pacs(ae_title, environment)
    lab.add_server(
        id=entry.id, name=entry.name, host=entry.host, port=entry.port, aec=entry.aec, environment=environment
    )


def test_from_nothing_to_a_moved_study(tmp_path: Path) -> None:
    with hospital(tmp_path / "hospital") as site, dicomfab.connect(tmp_path / "home") as lab:
        add(lab, site, "ONE")
        add(lab, site, "TWO")
        add(lab, site, "LIVE", "prod")
        assert {server.id for server in lab.servers()} == {"one", "two", "live"}
        assert lab.test_server("one").ok

        made = lab.create("text-card:2", seed=3, accession_number="API1")
        study = made.resolved.study_instance_uid
        assert [summary.study_instance_uid for summary in lab.studies()] == [study]
        assert lab.send("API1", to="ONE").verdict.kind is VerdictKind.VERIFIED
        with pytest.raises(ConfirmationRequired):
            lab.send(study, to="live")

        with pytest.raises(RouteMissing):
            lab.move("API1", source="one", to="two")
        lab.application.pacs.set_routes(lab.actor, "one", {"two": "TWO"})
        assert lab.move("API1", source="one", to="two").verdict.kind is VerdictKind.VERIFIED
        assert lab.get("API1", source="two").accepted == 2
        with pytest.raises(NotFound):
            lab.get("NOSUCH", source="two")

        answers = {answer.server.id: len(answer.matches) for answer in lab.query(accession_number="API1")}
        assert answers == {"one": 1, "two": 1, "live": 0}
        assert [answer.server.id for answer in lab.query(["two"])] == ["two"]
