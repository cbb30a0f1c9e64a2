"""The one small instance that the doctor sends to see whether it arrives: a black square that says what it is."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.seeds import SEED_LIMIT, derive, uid
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity, Patient
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE

PATIENT_ID: Final = "SYN-DOCTOR"
_PATIENT: Final = Patient("DOCTOR^SYNTHETIC", PATIENT_ID, sex="O")
_DESCRIPTION: Final = "DOCTOR: MAY BE DELETED"
SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.7"
_SIZE: Final = 16
#: Always the same, so that every run finds the study of the one before.
_DAY: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class DoctorsInstance:
    """A Secondary Capture Image of 16 by 16 pixels with the marks of fabricated data, on disk.

    Args:
        file: where it is.
        study_instance_uid: the same for every run against one server.
        series_instance_uid: the same.
    """

    file: InstanceFile
    study_instance_uid: str
    series_instance_uid: str


def doctors_instance(server_id: str, folder: Path) -> DoctorsInstance:
    """Make a new instance.

    Args:
        server_id: of the server that it is stored on; study and series follow from it, the instance is always new.
        folder: where to write it.
    """
    from dicomfab.fabricate.encode.template import encode_dataset
    from dicomfab.fabricate.iods.common import base
    from dicomfab.fabricate.iods.image_pixel import grey

    seed = derive(0, "doctor", server_id) % SEED_LIMIT
    recipe = StudyRecipe(("text-card",), patient=_PATIENT, seed=seed, study_description=_DESCRIPTION)
    study = resolve(recipe, now=_DAY, draw_seed=lambda: seed)
    ds = base(study, SOP_CLASS_UID, "OT", 1)
    # General Series, General Image, SC Equipment and SC Image modules (PS3.3 A.8.1); no picture is rendered for it,
    # so the module that renders them, which takes long to load, is left alone.
    ds.SeriesDescription = _DESCRIPTION
    ds.ConversionType = "SYN"
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.PatientOrientation = ds.Laterality = ""
    ds.ContentDate, ds.ContentTime = study.study_date, study.study_time
    grey(ds, _SIZE, _SIZE)
    number = secrets.randbelow(10**9)
    ds.SOPInstanceUID = uid("doctor", server_id, number, secrets.token_hex(16))
    ds.InstanceNumber = str(number)
    ds.PixelData = bytes(_SIZE * _SIZE)
    ds["PixelData"].VR = "OB"
    identity = InstanceIdentity(SOP_CLASS_UID, ds.SOPInstanceUID, EXPLICIT_LITTLE)
    path = folder / "doctor.dcm"
    header = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    path.write_bytes(header + encode_dataset(ds))
    return DoctorsInstance(InstanceFile(path, identity, len(header)), study.study_instance_uid, ds.SeriesInstanceUID)
