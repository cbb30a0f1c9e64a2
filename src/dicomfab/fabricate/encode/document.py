"""Instances without pixels: documents, states, plans and waveforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.encode.frames import DEFLATE_END, deflated
from dicomfab.fabricate.encode.template import encode_dataset
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.model.study import InstanceIdentity
from dicomfab.pixels.syntaxes import DEFLATED, NATIVE

_EVEN: Final = b"\0"


def encode_document(plan: SeriesPlan) -> Iterator[FabricatedInstance]:
    """Make the instances of a plan that has no pixels, one after the other, in a native transfer syntax."""
    for index in range(plan.count):
        ds = plan.encodable(index)
        yield FabricatedInstance(
            identity=InstanceIdentity(str(ds.SOPClassUID), str(ds.SOPInstanceUID), plan.transfer_syntax_uid),
            study_instance_uid=str(ds.StudyInstanceUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            series_number=int(ds.SeriesNumber),
            instance_number=int(ds.InstanceNumber),
            modality=str(ds.Modality),
            buffers=iter((_encoded(ds, plan.transfer_syntax_uid),)),
        )


def _encoded(ds: Dataset, transfer_syntax_uid: str) -> bytes:
    encoded = encode_dataset(ds, NATIVE[transfer_syntax_uid])
    if transfer_syntax_uid != DEFLATED:
        return encoded
    stream = deflated(encoded) + DEFLATE_END
    return stream + _EVEN * (len(stream) % 2)
