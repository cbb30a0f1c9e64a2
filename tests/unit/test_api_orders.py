"""Orders through the Python API, as its guide says."""

from __future__ import annotations

from pathlib import Path

import pytest

import dicomfab
from dicomfab.model.errors import ConnectionFailed, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.ports import free_ports
from tests.unit.services.hospital import hospital
from tests.unit.services.ordering.conftest import orm


def test_a_message_is_taken_and_its_loop_is_checked(tmp_path: Path) -> None:
    with hospital(tmp_path / "hospital") as site, dicomfab.connect(tmp_path / "home") as lab:
        taken = lab.orders.take(orm(uid="1.2.3.4"), environment="test")
        assert (taken.message.code, taken.message.environment) == ("AA", Environment.TEST)
        assert lab.orders.take(orm("M2", control="CA", accession="A9"), environment="test").message.code == "AE"
        [procedure] = lab.orders.procedures("doe", accession_number="A100", patient_id="P100", is_open=True)
        assert procedure.study_instance_uid == "1.2.3.4"
        assert lab.orders.procedures(patient_id="P10") == lab.orders.procedures(is_open=False) == ()
        assert lab.orders.show(procedure.number).orders == (taken.orders[0].number,)
        [item] = lab.orders.worklist("test", modalities=frozenset({"CT"}))
        assert (item.AccessionNumber, item.ScheduledProcedureStepSequence[0].Modality) == ("A100", "CT")
        assert lab.orders.worklist(Environment.PROD) == []

        pacs = site.pacs("THEPACS")
        lab.add_server(name=pacs.name, host=pacs.host, port=pacs.port, aec=pacs.aec, environment="test")
        [(checked, steps)] = lab.orders.check("A100", pacs=pacs.name)
        assert (checked.number, {step.name: str(step.state) for step in steps}["performed"]) == (1, "missing")
        with pytest.raises(NotFound):
            lab.orders.check("A101", pacs=pacs.name)
        with pytest.raises(InvalidInput, match="environment"):
            lab.orders.take(orm("M3"), environment="live")


def test_a_message_is_sent(tmp_path: Path) -> None:
    with dicomfab.connect(tmp_path / "here") as here, dicomfab.connect(tmp_path / "there") as there:
        config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0)
        with there.application.ordering.ris.serving(there.actor, config) as ris:
            sent = here.orders.send(orm(), host="127.0.0.1", port=ris.hl7_port, environment="test")
            assert (sent.code, len(there.orders.procedures())) == ("AA", 1)
        [port] = free_ports(1, "127.0.0.1")
        with pytest.raises(ConnectionFailed):
            here.orders.send(orm(), host="127.0.0.1", port=port, environment="test")
