"""A lab under test, and short words for what is asked of it."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.filereader import read_dataset

from dicomfab.dimse.messages import Response
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu import find, get, move, store
from dicomfab.dimse.sop_classes import storage_sop_classes
from dicomfab.model.part10 import file_header
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.testpacs import process
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import EngineName
from tests.peers import programs
from tests.unit.archive.builders import EXPLICIT, dataset, encode, identity_of
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.testpacs.labs import running_lab

ROOT = QueryModel.STUDY_ROOT
PATIENT_ROOT = QueryModel.PATIENT_ROOT


@dataclass(frozen=True)
class Bench:
    """A lab that runs.

    Args:
        lab: on free ports.
        engine: what it is run with.
        folder: for files to send.
    """

    lab: Lab
    engine: EngineName
    folder: Path

    def peer(self, server_id: str = "test-pacs-1", *, called: str = "", calling: str = "DICOMFAB") -> Peer:
        server = self.lab.config.server(server_id)
        timeouts = Timeouts(5, 5, 20, 30)
        return Peer("127.0.0.1", server.dicom_port, called or server.ae_title, calling, timeouts, name=server.name)

    def kill(self, server_id: str) -> None:
        """End a server without a word, and wait until it is gone."""
        found = process.running(self.lab.folders, server_id)
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        while process.running(self.lab.folders, server_id) is not None:
            time.sleep(0.02)

    def file(self, data: Dataset, syntax: str = EXPLICIT) -> InstanceFile:
        """A data set as a DICOM file."""
        identity = identity_of(data, syntax)
        header = file_header(identity.sop_class_uid, identity.sop_instance_uid, syntax)
        path = self.folder / f"{identity.sop_instance_uid}.dcm"
        content = encode(data, syntax)
        path.write_bytes(header + content + b"\0" * (len(content) % 2))  # deflated data sets too are of even length
        return InstanceFile(path, identity, len(header))

    def send(self, *instances: InstanceFile, to: str = "test-pacs-1") -> list[int]:
        """The status of each C-STORE; none is converted on the way."""
        outcomes = store.store(self.peer(to), instances, transcode=False)
        return [outcome.response.status if outcome.response else -1 for outcome in outcomes]

    def find(self, model: QueryModel = ROOT, at: str = "test-pacs-1", **keys: Any) -> list[Dataset]:
        return list(find.find(self.peer(at), model, keyed(**keys)))

    def move(self, destination: str, source: str = "test-pacs-1", **keys: Any) -> list[Response]:
        return list(move.move(self.peer(source), ROOT, keyed(**keys), destination))

    def get(self, at: str = "test-pacs-1", classes: Sequence[str] = (), **keys: Any) -> tuple[Response, MemoryPacs]:
        kept = MemoryPacs()
        chosen = classes or storage_sop_classes()
        *_, last = get.get(self.peer(at), ROOT, keyed(**keys), chosen, kept)
        return last, kept

    def instances(self, study: str, at: str = "test-pacs-1") -> set[str]:
        """SOP instances of a study, by C-FIND at each level."""
        series = self.find(at=at, QueryRetrieveLevel="SERIES", StudyInstanceUID=study, SeriesInstanceUID="")
        return {
            str(found.SOPInstanceUID)
            for one in series
            for found in self.find(
                at=at,
                QueryRetrieveLevel="IMAGE",
                StudyInstanceUID=study,
                SeriesInstanceUID=str(one.SeriesInstanceUID),
                SOPInstanceUID="",
            )
        }


def keyed(**keys: Any) -> Dataset:
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def study_of(number: str, count: int = 2, **attributes: Any) -> list[Dataset]:
    """A study with the UID 1.2.NUMBER, of one series."""
    study = f"1.2.{number}"
    return [
        dataset(study, f"{study}.1", f"{study}.1.{index}", **{"InstanceNumber": str(index)} | attributes)
        for index in range(1, count + 1)
    ]


def kept_data(kept: MemoryPacs, sop_instance_uid: str) -> Dataset:
    """What came, decoded; it came with explicit VR, in little endian."""
    identity, content = kept.stored[sop_instance_uid]
    assert identity.transfer_syntax_uid == EXPLICIT
    return read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)


@contextmanager
def bench(folder: Path, engine: EngineName, **options: Any) -> Iterator[Bench]:
    """A lab with an engine; where Orthanc is not installed, a visible skip."""
    if engine is EngineName.ORTHANC:
        programs.program("Orthanc")
    lab = Lab(folder / "lab")
    lab.configure(lambda config: replace(config, engine=engine, **options))
    files = folder / "files"
    files.mkdir()
    with running_lab(lab.folders.root) as running:
        yield Bench(running, engine, files)
