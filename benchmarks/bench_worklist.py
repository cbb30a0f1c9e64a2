"""The worklist: the day of a station and that of a modality out of 50,000 scheduled steps, an association for each.

``python benchmarks/bench_worklist.py [--quick] [--dir DIR]``

The server is ``dicomfab ris run``, the client ours, in this process; what is timed is from opening the association to
its release. The peer is the same server with nothing but the station's day in its database: what is found must not
take longer because of what is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import data
import report
from report import Table, alternating

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.worklist import default_identifier, worklist
from dicomfab.model.order import OrderField
from dicomfab.model.values import Environment

# The issue wants a station's day in 50 ms; what a machine does is reported, that it does not grow is the gate.
WANTED_MS = 50
TIMES_ALONE = 2.0
STEPS, QUICK_STEPS, A_DAY = 50_000, 5_000, 30
STATIONS = 50
MODALITIES = ("CT", "MR", "US", "DX", "MG")
FIRST = date(2026, 11, 2)
_DEADLINE_S = 60.0
_REPEATS = 5


def fill(home: Path, steps: int, stations: int) -> None:
    """Schedule steps: so many a day at each station, one day after the other."""
    application = build(Settings(home))
    with contextlib.closing(application), application.ordering.procedures.change() as rows:
        for number in range(steps):
            day, place = divmod(number, A_DAY * stations)
            station = place // A_DAY
            fields = [
                OrderField("PatientID", f"P{number}", "PID-3.1"),
                OrderField("PatientName", f"Bench^Order{number}", "PID-5"),
                OrderField("PatientBirthDate", "19700102", "PID-7"),
                OrderField("PatientSex", "F", "PID-8"),
                OrderField("AccessionNumber", f"A{number}", "OBR-18"),
                OrderField("RequestedProcedureID", f"RP{number}", "OBR-19"),
                OrderField("RequestedProcedureDescription", "CT chest", "OBR-4.2"),
                OrderField("RequestedProcedureCodeSequence", "CTCHEST^99RIS^CT chest", "OBR-4.1"),
                OrderField("ReferringPhysicianName", "Referrer^Ann", "PV1-8"),
                OrderField("PlacerOrderNumberImagingServiceRequest", f"PL{number}", "ORC-2.1"),
                OrderField("FillerOrderNumberImagingServiceRequest", f"FI{number}", "ORC-3.1"),
            ]
            procedure = rows.add(Environment.TEST, data.new_uid(), fields)
            minutes = 480 + place % A_DAY * 20
            step = [
                OrderField("Modality", MODALITIES[station % len(MODALITIES)], "OBR-24"),
                OrderField("ScheduledStationAETitle", title(station), "OBR-21"),
                OrderField("ScheduledProcedureStepDescription", "CT chest", "OBR-4.5"),
                OrderField("ScheduledProcedureStepStartDate", f"{FIRST + timedelta(day):%Y%m%d}", "ORC-7.4"),
                OrderField("ScheduledProcedureStepStartTime", f"{minutes // 60:02}{minutes % 60:02}00", "ORC-7.4"),
            ]
            rows.add_step(procedure, f"SPS{number}", step)


def title(station: int) -> str:
    return f"STATION{station}"


@contextmanager
def ris(home: Path) -> Iterator[Peer]:
    """``dicomfab ris run``, and how to call its worklist."""
    words = ("ris", "run", "--test", "--any-caller", "--hl7-port", "0", "--dicom-port", "0", "--json")
    environment = {**os.environ, "DICOMFAB_HOME": str(home)}
    command = [sys.executable, "-m", "dicomfab", *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            listening = json.loads(process.stdout.readline())["listening"]
            yield Peer("127.0.0.1", listening["dicom_port"], listening["ae_title"], title(0))
        finally:
            process.terminate()
            process.wait(_DEADLINE_S)


def asked(peer: Peer, expected: int, *, station: str, modality: str = "") -> float:
    """Milliseconds for one day, association and all: the quickest of some."""
    identifier = default_identifier(station_ae_title=station, modality=modality, date=f"{FIRST:%Y%m%d}")
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        found = sum(1 for _ in worklist(peer, identifier))
        taken.append((time.perf_counter() - start) * 1000)
        if found != expected:
            raise RuntimeError(f"{found} steps were found instead of {expected}")
    return min(taken)


def main() -> int:
    given = report.options(__doc__ or "")
    steps = QUICK_STEPS if given.quick else STEPS
    with data.disk_folder(given.dir) as disk:
        report.facts({"of the installation": disk})
        start = time.perf_counter()
        fill(disk / "full", steps, STATIONS)
        print(f"scheduled {steps:,} steps in {time.perf_counter() - start:.1f} s")
        fill(disk / "alone", A_DAY, 1)
        table = Table()
        with ris(disk / "full") as full, ris(disk / "alone") as alone:
            table.section(f"a day out of {steps:,} steps at {STATIONS} stations")
            of_modality = A_DAY * STATIONS // len(MODALITIES)
            measured = alternating(
                given.runs,
                station=partial(asked, full, A_DAY, station=title(0)),
                alone=partial(asked, alone, A_DAY, station=title(0)),
                modality=partial(asked, full, of_modality, station="", modality=MODALITIES[0]),
            )
        name = f"a station's day, {A_DAY} steps (wanted: {WANTED_MS} ms)"
        table.lower(name, "ms", measured["station"], "alone in the database", measured["alone"], 1 / TIMES_ALONE)
        table.report(f"a modality's day, {of_modality} steps", "ms", measured["modality"])
        each = [value / of_modality for value in measured["modality"]]
        table.report("a step of it", "ms", each)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
