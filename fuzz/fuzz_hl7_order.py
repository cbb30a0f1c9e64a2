"""HL7 v2 messages: any bytes are read as orders or are refused with our own error, and what is read DICOM can store."""

from __future__ import annotations

import unicodedata

from dicomfab.hl7.er7 import Hl7Error
from dicomfab.hl7.orders import read
from dicomfab.model.values import Environment
from dicomfab.services.order_study import proposal


def one_input(data: bytes) -> None:
    """A message."""
    try:
        orders = read(data)
    except Hl7Error:
        return
    assert orders
    for order in orders:
        assert type(order).from_dict(order.as_dict()) == order
        assert all(one.value or one.note for one in order.fields)
        text = "".join(one.value for one in order.fields)
        assert "\\" not in text
        assert not {"Cc", "Cs", "Cn"} & {unicodedata.category(one) for one in text}
        assert proposal(order, Environment.PROD).values == {}
