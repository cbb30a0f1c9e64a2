"""Records of a DICOMDIR hold texts byte for byte, also those that pydicom cannot read or would write otherwise."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.services.dicomdir import Directory
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import hospital

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (r"\ISO 2022 IR 58", b"Wang^Wei=\x1b$)A\xcd\xf5^\x1b$)A\xce\xb0"),
        ("ISO_IR 126", b"A\xd2"),  # which ISO 8859-7 does not have
        ("", "Müller".encode("latin-1")),
        ("ISO_IR 192", "山田^太郎".encode()),
        (r"\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pydicom's, of what it cannot read
def test_a_text_stands_in_the_directory_as_in_the_file(tmp_path: Path, terms: str, name: bytes) -> None:
    name += b" " * (len(name) % 2)
    ds = data_set(picture(), bits=8)
    ds.pop("SpecificCharacterSet", None)
    if terms:
        ds.SpecificCharacterSet = terms.split("\\")
    ds.PatientName, ds.PatientID, ds.StudyInstanceUID = "x" * len(name), "P", "1.2.3"
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    pydicom.filewriter.write_dataset(file, ds)
    directory = Directory()
    with hospital(tmp_path) as site:
        with site.local.begin(InstanceIdentity(ds.SOPClassUID, ds.SOPInstanceUID, EXPLICIT)) as incoming:
            incoming.write(file.getvalue().replace(b"x" * len(name), name))
            incoming.commit(environment=Environment.TEST)
        (instance,) = site.local.instances("1.2.3")
        directory.add(instance)
    content = b"".join(directory.chunks())
    assert b"PN" + len(name).to_bytes(2, "little") + name in content
    read = pydicom.dcmread(io.BytesIO(content))
    assert [one.DirectoryRecordType for one in read.DirectoryRecordSequence] == ["PATIENT", "STUDY", "SERIES", "IMAGE"]
