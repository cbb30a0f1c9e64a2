"""A hospital in one process: a RIS, a PACS that commits and a modality, each on ports of its own."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import Commitments
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.hl7.sender import Sender
from dicomfab.model.actor import local_admin
from dicomfab.model.procedure import ProcedureFilter, StepState
from dicomfab.model.query import QueryModel
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.ordering.modality import ModalityConfig, Told
from dicomfab.services.ordering.procedures import ProcedureDetails
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.services.progress import never
from dicomfab.storage.order_tables import performed_step
from dicomfab.testpacs.pacs import PacsHandlers

ACTOR = local_admin("tester", "cli")


@dataclass
class Hospital:
    """All that takes part."""

    site: Application
    hl7_port: int
    pacs: PacsServer
    archive: Archive
    config: ModalityConfig

    def send(self, data: bytes) -> bytes:
        with Sender("127.0.0.1", self.hl7_port, timeout_s=20) as sender:
            return sender.send(data)

    def loop(self, accession: str = "A100") -> dict[str, str]:
        [(_, steps)] = self.site.loops.check(ACTOR, accession, self.pacs)
        return {step.name: str(step.state) for step in steps}

    def tell(self, **changes: Any) -> Iterator[Told]:
        """Perform, step by step; what is made is small unless a kind is named."""
        stopped = changes.pop("stopped", never)
        config = dataclasses.replace(self.config, **{"kind": "us-abdomen", **changes})
        return self.site.modality.perform(ACTOR, config, stopped)

    def perform(self, **changes: Any) -> list[str]:
        """The same, to the end; what it told."""
        return [told.step for told in self.tell(**changes)]

    def procedure(self, accession: str) -> ProcedureDetails:
        """What the RIS knows of an order."""
        found = self.site.ordering.schedule.page(ACTOR, ProcedureFilter(accession_number=accession)).procedures
        return self.site.ordering.schedule.show(ACTOR, found[0].number)

    def events(self, accession: str) -> list[str]:
        """What happened to it, without what its order did."""
        return [str(one.kind) for one in self.procedure(accession).events if one.message is None]

    def headers(self, study: str) -> list[Dataset]:
        """Of what the PACS holds of a study, series by series."""
        return [dcmread(one.path, stop_before_pixels=True) for one in self.archive.instances(study)]

    def reported(self) -> list[Dataset]:
        """Every performed step that the RIS has, the oldest first."""
        with self.site.ordering.procedures.read() as rows:
            chosen = select(performed_step.c.attributes).order_by(performed_step.c.created_at)
            return [Dataset.from_json(kept) for kept in rows.transaction.execute(chosen).scalars()]

    def queried(self, study: str) -> list[Dataset]:
        """What the PACS answers about a study (C-FIND)."""
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", study
        wanted.AccessionNumber = wanted.PatientID = wanted.NumberOfStudyRelatedSeries = None
        peer = Peer("127.0.0.1", self.pacs.port, "THEPACS")
        return list(find(peer, QueryModel.STUDY_ROOT, wanted))

    def steps(self) -> list[StepState]:
        found = self.site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
        return [step.state for one in found for step in one.steps]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """A RIS, a PACS and a modality, each on ports of its own."""
    site = build(Settings(tmp_path / "home"))
    reports = free_port()
    with ExitStack() as running:
        running.callback(site.close)
        archive = running.enter_context(closing(Archive(tmp_path / "pacs")))
        known = {"MODALITY1": ("127.0.0.1", reports)}
        commitments = running.enter_context(Commitments(archive, tmp_path / "commitments", known.get, "THEPACS"))
        handlers = PacsHandlers(archive, "THEPACS", Environment.TEST, {})
        server = running.enter_context(Server(ServerConfig("THEPACS"), handlers, {COMMITMENT: commitments}))
        ris = running.enter_context(
            site.ordering.ris.serving(ACTOR, RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True))
        )
        pacs = site.pacs.add(
            ACTOR,
            {"id": "the-pacs", "name": "The PACS", "host": "127.0.0.1", "port": server.port, "aec": "THEPACS",
             "environment": "test"},
        )  # fmt: skip
        config = ModalityConfig(Peer("127.0.0.1", ris.dicom_port, "DICOMFAB"), pacs, port=reports, commit_s=30)
        yield Hospital(site, ris.hl7_port, pacs, archive, config)
