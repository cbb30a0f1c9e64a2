"""What we ask of a peer, each as one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom import Dataset

from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from tests.unit.dimse.memory_pacs import CT, MemoryPacs

Call = Callable[[Peer, InstanceFile], Any]


def study() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "1.2.3"
    return identifier


CALLS: dict[str, Call] = {
    "C-ECHO": lambda peer, _: echo(peer),
    "C-STORE": lambda peer, instance: list(store(peer, [instance])),
    "C-FIND": lambda peer, _: list(find(peer, QueryModel.STUDY_ROOT, study())),
    "C-GET": lambda peer, _: list(get(peer, QueryModel.STUDY_ROOT, study(), [CT], MemoryPacs())),
    "C-MOVE": lambda peer, _: list(move(peer, QueryModel.STUDY_ROOT, study(), "TARGET")),
}
