"""The file and the way its data set is written down (PS3.10 7.1, PS3.5 7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomfab.pixels.elements import UNDEFINED
from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE
from dicomfab.validity.dataset import label
from dicomfab.validity.findings import Problem, Rule, rule
from dicomfab.validity.instance import Instance, is_known_syntax

_REQUIRED: Final = {
    0x00020001: "FileMetaInformationVersion",
    0x00020002: "MediaStorageSOPClassUID",
    0x00020003: "MediaStorageSOPInstanceUID",
    0x00020010: "TransferSyntaxUID",
    0x00020012: "ImplementationClassUID",
}


@rule("file-meta", "PS3.10 7.1", "write the file again with a correct File Meta Information group")
def file_meta(instance: Instance) -> Iterator[Problem]:
    """The file meta information is complete and as long as it says."""
    yield from instance.meta_problems
    for tag, keyword in _REQUIRED.items():
        if not instance.meta.get(tag):
            yield Problem("missing from the file meta information", keyword)


@rule("transfer-syntax", "PS3.5 annex A, PS3.6 annex A", "name the transfer syntax that the data set is encoded in")
def transfer_syntax(instance: Instance) -> Iterator[Problem]:
    """The transfer syntax is one of the standard."""
    uid = instance.transfer_syntax_uid
    if uid and uid not in NATIVE and uid not in ENCAPSULATED and not is_known_syntax(uid):
        yield Problem("not a transfer syntax of the standard", "TransferSyntaxUID", uid)


@rule("data-set", "PS3.5 7.1", "the file is damaged or was cut short: get it from its source again")
def data_set(instance: Instance) -> Iterator[Problem]:
    """Every byte of the data set belongs to an element."""
    if instance.damage and is_known_syntax(instance.transfer_syntax_uid):
        yield Problem("the data set cannot be read to its end", detail=instance.damage)


@rule("encoding", "PS3.5 7.1", "write elements once, in ascending order, padded to even length")
def encoding(instance: Instance) -> Iterator[Problem]:
    """Elements are in order, stand once and have even lengths."""
    for what, tag in instance.data.faults:
        yield Problem(what, label(tag))
    for path, _, element in instance.walk():
        for item in element.items:
            for what, tag in item.faults:
                yield Problem(what, f"{path}{label(element.tag)} > {label(tag)}")


@rule("encapsulation", "PS3.5 8.2, annex A.4", "encapsulate pixel data in compressed transfer syntaxes, and only there")
def encapsulation(instance: Instance) -> Iterator[Problem]:
    """Pixel data are encapsulated where the transfer syntax is a compressed one, and only there."""
    element, uid = instance.pixel_element(), instance.transfer_syntax_uid
    if element is None:
        return
    if uid in ENCAPSULATED and element.length != UNDEFINED:
        yield Problem("native pixel data in a compressed transfer syntax", label(element.tag))
    if uid in NATIVE and element.length == UNDEFINED:
        yield Problem("encapsulated pixel data in a transfer syntax without compression", label(element.tag))


RULES: Final[tuple[Rule[Instance], ...]] = (file_meta, transfer_syntax, data_set, encoding, encapsulation)
