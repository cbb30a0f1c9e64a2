"""One fabricated instance, ready to be stored or sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dicomfab.model.part10 import file_header
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
        file_header: what its file begins with, where a declared defect has it otherwise than the identity.
        file_name: of its file, where that is not made of its numbers.
    """

    identity: InstanceIdentity
    study_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    modality: str
    buffers: Iterator[Buffer]
    file_header: bytes | None = None
    file_name: str = ""

    def header(self) -> bytes:
        """What comes before the data set in its file (PS3.10 7.1)."""
        if self.file_header is not None:
            return self.file_header
        one = self.identity
        return file_header(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid)
