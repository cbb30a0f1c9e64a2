"""An installation with real servers in test and production, and studies of both kinds: for tests of the guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import Actor, Role
from dicomfab.model.job import Job
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from tests.peers import programs
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.accounts_office import _up_to_date
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, hospital

#: A patient's study, as nothing says otherwise.
REAL = "1.2.840.99.7"
PASSWORD = "tulip marble seven"


@dataclass
class Guarded:
    """The installation, its servers ``test``, ``prod``, ``other`` (test) and ``theirs`` (prod), and what they hold.

    Each server takes what its environment is for, and has the others as move destinations.
    """

    app: Application
    site: Hospital

    def __post_init__(self) -> None:
        for ae_title, environment in (("TEST", "test"), ("OTHER", "test"), ("PROD", "prod"), ("THEIRS", "prod")):
            entry = self.site.pacs(ae_title, environment, allow_synthetic=environment == "test")
            self.app.pacs.add(ADMIN, entry.as_dict())
        for source in self.app.pacs.servers(ADMIN):
            others = {one.id: one.aec for one in self.app.pacs.servers(ADMIN) if one.id != source.id}
            self.app.pacs.set_routes(ADMIN, source.id, others)

    def server(self, server_id: str) -> PacsServer:
        """As the registry has it."""
        return self.app.pacs.get(ADMIN, server_id)

    def edit(self, server_id: str, **changes: Any) -> None:
        """Change a server's entry, confirmed."""
        self.app.pacs.edit(ADMIN, server_id, changes, confirm_environment=True)

    def synthetic(self) -> str:
        """A study that is fabricated into the local store."""
        made = self.app.studies.resolve_recipe(ADMIN, replace(CARDS, seed=7, accession_number="SYN1"))
        self.app.studies.create(ADMIN, made)
        return made.study_instance_uid

    def copy(self, study: str, server_id: str) -> None:
        """Put a local study on a server, by no service."""
        for one in self.app.local_archive.instances(study):
            _put(self.archive(server_id), one.identity, one.path.read_bytes()[one.dataset_offset :])

    def real(self, archive: Archive, study: str = REAL, environment: Environment = Environment.PROD) -> str:
        """Put a patient's study into an archive."""
        identity, content = _patient(study)
        _put(archive, identity, content, environment)
        return study

    def real_file(self, folder: Path, study: str = REAL) -> Path:
        """A patient's study as a file."""
        identity, content = _patient(study)
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
            identity.sop_class_uid,
            identity.sop_instance_uid,
        )
        meta.TransferSyntaxUID = identity.transfer_syntax_uid
        ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content), force=True)
        file = folder / "patient.dcm"
        pydicom.FileDataset(None, ds, file_meta=meta, preamble=b"\0" * 128).save_as(file, enforce_file_format=True)
        return file

    def archive(self, server_id: str) -> Archive:
        """What a server keeps its instances in."""
        return self.site.archives[server_id.upper()]

    def held(self, server_id: str, study: str) -> int:
        """How many instances of a study a server has, counted there."""
        return len(self.archive(server_id).instances(study))

    def person(self, *roles: Role, name: str = "nurse") -> Actor:
        """Somebody with an account, signed in."""
        account = self.app.accounts.add(ADMIN, name, roles, password=PASSWORD)
        return Actor(name, frozenset(roles), "web", account.id)

    def done(self, job: Job) -> Job:
        """Do a queued job, as a worker does."""
        assert self.app.worker.run_one(job.id)
        return self.app.jobs.show(ADMIN, job.id)


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """The installation, until the block ends."""
    settings = Settings(folder / "home", worker_idle_s=0, scp_host="127.0.0.1", scp_port=programs.free_port())
    file = settings.home / "dicomfab.sqlite3"
    file.parent.mkdir()
    file.write_bytes(_up_to_date())
    file.chmod(0o600)
    with hospital(folder / "site") as site:
        built = Application(settings)
        try:
            yield Guarded(built, site)
        finally:
            built.close()


def _patient(study: str) -> tuple[InstanceIdentity, bytes]:
    ds = data_set(picture(), bits=8)
    ds.StudyInstanceUID, ds.AccessionNumber, ds.PatientID = study, "REAL1", "P1"
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    pydicom.filewriter.write_dataset(file, ds)
    return InstanceIdentity(ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.1"), file.getvalue()


def _put(
    archive: Archive, identity: InstanceIdentity, content: bytes, environment: Environment = Environment.TEST
) -> None:
    with archive.begin(identity) as incoming:
        incoming.write(content)
        incoming.commit(environment=environment)
