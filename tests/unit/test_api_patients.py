"""Patients through the Python API."""

from __future__ import annotations

from pathlib import Path

import pytest

import dicomfab
from dicomfab.fabricate.patterns import Purpose, parse
from dicomfab.model.errors import InvalidInput


def test_invented_patients_are_found_and_identifiers_follow_a_pattern(tmp_path: Path) -> None:
    with dicomfab.connect(tmp_path / "home") as lab:
        made = lab.invent_patients(3, seed=7)
        assert {one.number for one in lab.patients()} == {one.number for one in made}
        assert lab.patients(made[0].data.patient_id) == made[:1]
        service, pattern = lab.application.patients, parse("2025{2letters}{1digits}", Purpose.ACCESSION, start=0)
        assert [service.next_accession(lab.actor, pattern).value for _ in range(2)] == ["2025AA0", "2025AA1"]
        assert service.next_accession(lab.actor).value.startswith("SYN")
        with pytest.raises(InvalidInput):
            lab.invent_patients(0)
