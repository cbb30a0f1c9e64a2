"""A lab of its own for a test, and small instances to store in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dicomfab.model.errors import LocalFailure
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile
from dicomfab.testpacs.lab import Lab
from tests.unit.archive.builders import EXPLICIT, dataset, encode, identity_of


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Four servers on free ports, ended with the block whatever has become of them."""
    lab = Lab(folder)
    try:
        _start(lab)
        yield lab
    finally:
        lab.stop(grace_s=5)


def _start(lab: Lab) -> None:
    """A port that is free when it is looked for may be taken before the server has it: then on others."""
    for attempt in range(3):
        lab.use_free_ports()
        try:
            lab.start()
        except LocalFailure as error:
            if attempt == 2 or "in use" not in str(error):
                raise
            lab.stop(grace_s=5)
        else:
            return


def write_instance(folder: Path, number: int = 1, study: str = "1.2.1", **attributes: Any) -> InstanceFile:
    """One CT instance of a study as a DICOM file."""
    data = dataset(
        study=study, series=f"{study}.1", instance=f"{study}.1.{number}", InstanceNumber=str(number), **attributes
    )
    identity = identity_of(data)
    header = file_header(identity.sop_class_uid, identity.sop_instance_uid, EXPLICIT)
    path = folder / f"{identity.sop_instance_uid}.dcm"
    path.write_bytes(header + encode(data))
    return InstanceFile(path, identity, len(header))
