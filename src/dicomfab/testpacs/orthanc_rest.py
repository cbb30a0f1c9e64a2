"""What is asked of an Orthanc of the lab by its REST interface."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from dicomfab.fabricate.doctors_instance import PATIENT_ID as DOCTORS_PATIENT_ID
from dicomfab.model.errors import LocalFailure, NotFound
from dicomfab.model.values import uid
from dicomfab.testpacs.probe import Holdings, another, asked
from dicomfab.testpacs.spec import LabConfig, ServerSpec
from dicomfab.testpacs.web_port import ask

_DELETING_S: Final = 60.0
_HEX: Final = frozenset("0123456789abcdef-")


def holdings(config: LabConfig, server: ServerSpec) -> Holdings:
    """What it counts; the size is that of its files.

    Raises:
        NoAnswer: it does not answer, or is another.
    """
    who = asked(config, server, "/system")
    if (who.get("Name"), who.get("DicomPort")) != (server.name, server.dicom_port):
        raise another(server)
    found = asked(config, server, "/statistics")
    levels = ("Patients", "Studies", "Series", "Instances")
    try:
        patients, studies, series, instances = (int(found[f"Count{level}"]) for level in levels)
        return Holdings(patients, studies, series, instances, size_bytes=int(found["TotalDiskSize"]))
    except (KeyError, TypeError, ValueError) as error:
        raise another(server) from error


class OrthancStudies:
    """What one Orthanc keeps, to delete from by its REST interface.

    Args:
        config: of the lab.
        server: which one.
    """

    def __init__(self, config: LabConfig, server: ServerSpec) -> None:
        self._config = config
        self._server = server

    def delete_study(self, study_instance_uid: str) -> None:
        """Delete a study.

        Raises:
            NotFound: it is not there.
            LocalFailure: the server does not answer as it should.
        """
        for path in self._paths(study_instance_uid):
            self._asked("DELETE", path)

    def patient_of(self, study_instance_uid: str) -> str:
        """The patient ID of a study; blank if it has none.

        Raises:
            NotFound, LocalFailure: as :meth:`delete_study`.
        """
        found = [json.loads(self._asked("GET", path)) for path in self._paths(study_instance_uid)]
        return str(found[0]["PatientMainDicomTags"].get("PatientID", ""))

    def close(self) -> None:
        """Nothing is open."""

    def _paths(self, study_instance_uid: str) -> list[str]:
        """Where it has a study: almost always once; twice if it came under two patient IDs."""
        found: list[dict[str, Any]] = json.loads(self._asked("POST", "/tools/lookup", uid(study_instance_uid)))
        ids = [str(one["ID"]) for one in found if one["Type"] == "Study"]
        if not ids:
            raise NotFound(f"{self._server.name} has no study {study_instance_uid}")
        return [f"/studies/{one}" for one in ids if set(one) <= _HEX]

    def _asked(self, method: str, path: str, body: str | None = None) -> bytes:
        try:
            status, content = ask(self._config, self._server, method, path, body, timeout_s=_DELETING_S)
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(type(error).__name__) from error
        if status != http.HTTPStatus.OK:
            raise self._failed(str(status))
        return content

    def _failed(self, said: str) -> LocalFailure:
        return LocalFailure(
            f"the REST interface of {self._server.name} does not answer as Orthanc's: {said}",
            cause="the server does not run, or another one has its port",
            remedy="look at it: dicomfab lab status",
        )


def remove_doctors_study(studies: OrthancStudies, study_instance_uid: str) -> bool:
    """Delete a study of the doctor's own patient and no other; whether it is gone."""
    try:
        if studies.patient_of(study_instance_uid) != DOCTORS_PATIENT_ID:
            return False
        studies.delete_study(study_instance_uid)
    except NotFound:
        return True
    except LocalFailure:
        return False
    return True
