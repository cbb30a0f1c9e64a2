"""The orders within a message: which segments belong to which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dicomfab.hl7.er7 import Segment


@dataclass(slots=True)
class Group:
    """The segments that say something about one order.

    Args:
        segments: the first of each name, those about the patient among them.
        comments: NTE of the order.
    """

    segments: dict[str, Segment]
    comments: list[Segment] = field(default_factory=list)

    def get(self, name: str) -> Segment | None:
        """A segment; ``None`` if the message has none."""
        return self.segments.get(name)


@dataclass(slots=True)
class Grouped:
    """A message by what its segments are about.

    Args:
        orders: one for each step that is asked for; one alone, without ORC and OBR, in a message about a patient.
        patient_comments: NTE that follow PID.
        observations: all OBX.
    """

    orders: list[Group]
    patient_comments: list[Segment]
    observations: list[Segment]


def grouped(segments: Iterable[Segment]) -> Grouped:
    """Sort segments. ORC, or an OBR without one, begins an order; a second IPC begins another step of the same."""
    shared: dict[str, Segment] = {}
    found = Grouped([], [], [])
    zds: Segment | None = None
    for segment in segments:
        name = segment.name
        current = found.orders[-1] if found.orders else None
        if name == "OBX":
            found.observations.append(segment)
        elif name == "NTE":
            (current.comments if current else found.patient_comments).append(segment)
        elif name == "ORC" or (name == "OBR" and (current is None or "OBR" in current.segments)):
            found.orders.append(Group({name: segment}))
        elif name == "IPC" and current and "IPC" in current.segments:
            found.orders.append(Group({**current.segments, "IPC": segment}, list(current.comments)))
        elif current:
            current.segments.setdefault(name, segment)
        else:
            shared.setdefault(name, segment)
        zds = segment if name == "ZDS" else zds
    for order in found.orders or [Group({})]:
        order.segments = {**shared, **({"ZDS": zds} if zds else {}), **order.segments}
        if not found.orders:
            found.orders = [order]
    return found
