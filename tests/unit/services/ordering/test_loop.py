"""The closed loop at a PACS that does not list what it has as the standard requires."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.loop import LoopState, LoopStep
from tests.unit.archive.builders import dataset, store
from tests.unit.services.hospital import Nameless
from tests.unit.services.ordering.conftest import ACTOR, orm

UID = "1.2.826.0.1.3680043.8.498.43"
HELD = {"series": f"{UID}.1", "instance": f"{UID}.1.1", "AccessionNumber": "A100", "PatientID": "P100"}


def test_what_a_pacs_lists_without_its_uid_leaves_the_step_unknown_and_says_so(
    site: Application, take: Callable[..., Taken], tmp_path: Path
) -> None:
    take(orm(uid=UID))
    archive = Archive(tmp_path / "nameless")
    store(archive, dataset(UID, **HELD))
    handlers = Nameless(archive, "NAMELESS")
    with Server(ServerConfig("NAMELESS"), handlers) as running:
        entry = {"name": "Nameless", "host": "127.0.0.1", "port": running.port, "aec": "NAMELESS"}
        pacs = site.pacs.add(ACTOR, {**entry, "environment": "test"})

        def steps() -> dict[str, LoopStep]:
            [(_, found)] = site.loops.check(ACTOR, "A100", pacs)
            return {step.name: step for step in found}

        assert steps()["findable"].state is LoopState.EQUAL
        handlers.unnamed = {HELD["instance"]}
        found = steps()
    archive.close()
    assert {found[name].state for name in ("stored", "findable", "retrievable")} == {LoopState.UNKNOWN}
    assert "without its SOP Instance UID" in found["stored"].text
