"""One fabricated instance, ready to be stored or sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dicomfab.model.study import Buffer, InstanceIdentity


@dataclass(frozen=True, slots=True)
class FabricatedInstance:
    """One instance, ready to be stored or sent.

    Args:
        identity: SOP class, SOP instance and transfer syntax.
        study_instance_uid: (0020,000D).
        series_instance_uid: (0020,000E).
        series_number: (0020,0011).
        instance_number: (0020,0013).
        modality: (0008,0060).
        buffers: joined, the encoded data set without file meta information. They can be taken once, and before the
            next instance is asked for: the frames of a multi-frame instance are made while they are taken, and are
            never in memory together. After that, taking the rest raises :class:`RuntimeError`.
    """

    identity: InstanceIdentity
    study_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    modality: str
    buffers: Iterator[Buffer]
