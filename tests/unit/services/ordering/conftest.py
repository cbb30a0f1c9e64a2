"""An installation of its own, and the messages that a RIS would send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken

ACTOR = local_admin("tester", "cli")


def message(*segments: str, control_id: str = "M1", kind: str = "ORM^O01", more: str = "") -> bytes:
    """A message of the usual sender."""
    head = f"MSH|^~\\&|RIS|HOSP|DICOMFAB|LAB|20261127080000||{kind}|{control_id}|T|2.5.1{more}"
    return "".join(f"{line}\r" for line in (head, *segments)).encode("utf-8")


def pid(patient_id: str = "P100", name: str = "DOE^JANE", issuer: str = "RIS") -> str:
    """A PID segment."""
    return f"PID|1||{patient_id}^^^{issuer}||{name}||19700102|F"


def orm(
    control_id: str = "M1",
    *,
    control: str = "NW",
    accession: str = "A100",
    patient: str = "",
    status: str = "",
    **more: str,
) -> bytes:
    """An order for a CT of the chest in the shape of IHE RAD-4 of HL7 2.3.1 and 2.5.1."""
    placer = more.get("placer", f"PL{accession}")
    fields = [""] * 45
    fields[2], fields[3], fields[4] = placer, f"FI{accession}", "CTCHEST^CT chest^99RIS"
    fields[18], fields[19], fields[20], fields[24] = accession, more.get("rp", "RP1"), more.get("sps", "SPS1"), "CT"
    obr = "OBR|1|" + "|".join(fields[2:45])
    uid = more.get("uid", "")
    segments = [
        patient or pid(),
        "PV1|1|O",
        f"ORC|{control}|{placer}|FI{accession}||{status}||^^^{more.get('start', '20261127093000')}^^R",
        obr,
        *([f"ZDS|{uid}^RIS^Application^DICOM"] if uid else []),
    ]
    return message(*segments, control_id=control_id)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    """An installation."""
    application = build(Settings(tmp_path / "home"))
    yield application
    application.close()


@pytest.fixture
def take(site: Application) -> Callable[..., Taken]:
    """Hands a message of test to the installation."""

    def taken(data: bytes, environment: Environment = Environment.TEST, actor: Actor = ACTOR) -> Taken:
        return site.ordering.intake.take(actor, data, environment, peer="127.0.0.1")

    return taken
