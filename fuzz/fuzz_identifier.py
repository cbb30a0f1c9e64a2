"""Identifiers: any bytes are a data set or are refused, in each of the uncompressed transfer syntaxes."""

from __future__ import annotations

import warnings

from dicomfab.dimse.identifier import IdentifierError, decode

_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def one_input(data: bytes) -> None:
    """One byte that chooses the transfer syntax, and the data set."""
    if not data:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about values; what counts here is that it does not fail
        try:
            dataset = decode(data[1:], _SYNTAXES[data[0] % len(_SYNTAXES)])
        except IdentifierError:
            return
        tags = list(dataset.keys())
    assert len(tags) == len(set(tags))
    assert len(tags) <= len(data) // 8
