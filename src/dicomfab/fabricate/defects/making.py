"""How each defect is made, in the encoded instance."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.checks import holds
from dicomfab.fabricate.defects.data_set import DataSet
from dicomfab.fabricate.defects.places import received_uid
from dicomfab.fabricate.defects.table import DEFECTS
from dicomfab.fabricate.iods.common import PRIVATE_CREATOR
from dicomfab.fabricate.people import age_string, invent
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.scripts import SCRIPTS
from dicomfab.fabricate.seeds import derive
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceIdentity
from dicomfab.pixels.elements import ITEM, PIXEL_DATA, SEQUENCE_END, UNDEFINED, delimiter, header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE

PRIVATE_64K_BYTES: Final = 70_000
NESTED_LEVELS: Final = 300
PADDING_BYTES: Final = 256 << 10
MORE_ROWS: Final = 16
#: The names that all instances have with a defect.
NAMES: Final = {
    "name-with-html": "<script>alert(1)</script>^<b>SYN</b>",
    "name-with-control-characters": "SYN\aBELL\b^TAB\tLINE\nFEED",
}

_JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
_NAME, _DEPARTMENT, _CHARACTER_SET = 0x00100010, 0x00081040, 0x00080005
_MANUFACTURER, _PHYSICIAN, _MODALITY, _UID = 0x00080070, 0x00080090, 0x00080060, 0x00080018
_ROWS, _PHOTOMETRIC = 0x00280010, 0x00280004
_DATES: Final = (0x00080022, 0x00080023, 0x00080012, 0x00080021)
_TIMES: Final = (0x00080032, 0x00080033, 0x00080013, 0x00080031)
_ASCII_END: Final = 0x80
_ESCAPE: Final = 0x1B  # begins another character set (PS3.5 6.1.2.5)
_PREFIX_BYTES: Final = 132
_LAST_META_BYTES: Final = 18  # of (0002,0013), the last element of our file meta information


@dataclass(slots=True)
class Damaged:
    """One instance on its way to be wrong.

    Args:
        study: that it is of.
        data: its data set.
        identity: what its file meta information, or its sender, says of it.
        takes: the SOP Instance UID of the other instance, where a defect is of two.
        meta: makes the beginning of its file of what it should be; ``None`` leaves it.
    """

    study: ResolvedStudy
    data: DataSet
    identity: InstanceIdentity
    takes: str = ""
    meta: Callable[[bytes], bytes] | None = None

    def header(self) -> bytes | None:
        """What its file begins with; ``None`` if that follows from the identity."""
        if self.meta is None:
            return None
        one = self.identity
        return self.meta(file_header(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid))

    def rename(self, name: str) -> None:
        """Give it the SOP Instance UID that a defect gives it."""
        uid = received_uid(name, self.identity.sop_instance_uid, self.takes)
        self.data.put_text(_UID, b"UI", uid)
        self.identity = InstanceIdentity(self.identity.sop_class_uid, uid, self.identity.transfer_syntax_uid)


def make(name: str, one: Damaged) -> None:
    """Make a defect of :data:`.table.DEFECTS` in an instance."""
    _MAKERS[name](one)


def _odd(one: Damaged) -> None:
    value = one.data[_MANUFACTURER].value.rstrip(b" ")
    one.data.put(_MANUFACTURER, b"LO", value if len(value) % 2 else value[:63] + b"X" if value else b"X")


def _wrong_vr(one: Damaged) -> None:
    one.data.put(0x00200011, b"LO", one.data[0x00200011].value)


def _comma(one: Damaged) -> None:
    one.data.put_text(0x00101030, b"DS", "72,5")


def _bad_time(one: Damaged) -> None:
    one.data.put_text(_first(one, _TIMES), b"TM", "256199")


def _future(one: Damaged) -> None:
    year, day = int(one.study.study_date[:4]), one.study.study_date[4:]
    one.data.put_text(_first(one, _DATES), b"DA", f"{year + 100}{'0228' if day == '0229' else day}")


def _first(one: Damaged, tags: tuple[int, ...]) -> int:
    """The first that is there; every series has the last."""
    return next((tag for tag in tags if tag in one.data), tags[-1])


def _no_creator(one: Damaged) -> None:
    one.data.put_text(0x009B1001, b"LO", "NOBODY'S")


def _large_private(one: Damaged) -> None:
    one.data.put(0x009910F0, b"OB", bytes(n % 251 for n in range(PRIVATE_64K_BYTES)))


def _nested(one: Damaged) -> None:
    encoding = one.data.encoding
    creator = PRIVATE_CREATOR.encode("ascii")
    inner = header(encoding, 0x00990010, b"LO", len(creator)) + creator
    value = b""
    for _ in range(NESTED_LEVELS - 1):
        body = inner + header(encoding, 0x009910F1, b"SQ", len(value)) + value
        value = delimiter(encoding, ITEM, len(body)) + body
    one.data.put(0x009910F1, b"SQ", value)


def _padding(one: Damaged) -> None:
    one.data.put(0xFFFCFFFC, b"OB", bytes(PADDING_BYTES))


def _other_patient(one: Damaged) -> None:
    study = one.study
    day = dt.datetime.strptime(study.study_date, "%Y%m%d").date()  # noqa: DTZ007 (a day of the site)
    seeds = (derive(study.seed, "another patient", n) for n in range(100))
    others = (invent(seed, day) for seed in seeds)
    other = next(o for o in others if o.sex == (study.patient.sex or o.sex) or study.patient.sex == "O")
    ascii_name = other.name.encode("ascii", "ignore").decode("ascii")  # whatever the character set is
    one.data.put_text(_NAME, b"PN", ascii_name)
    one.data.put_text(0x00100020, b"LO", other.patient_id)
    one.data.put_text(0x00100030, b"DA", other.birth_date)
    if 0x00101010 in one.data:
        one.data.put_text(0x00101010, b"AS", age_string(other.birth_date, study.study_date))


def _text_beyond_ascii(one: Damaged) -> None:
    """Without it, no character set would be missing; the name as it stands there may have some."""
    if all(byte < _ASCII_END and byte != _ESCAPE for byte in one.data[_NAME].value):
        from pydicom.charset import convert_encodings, encode_string

        stated = one.study.character_set
        text = next(text for text in _words() if holds(stated, text))
        value = encode_string(text, convert_encodings(stated.split("\\")))
        one.data.put(_DEPARTMENT, b"LO", value + b" " * (len(value) % 2))


def _words() -> Iterator[str]:
    """A text beyond ASCII for each character set that studies are written in."""
    yield "Röntgen"
    for script in SCRIPTS.values():
        yield script.family[0][-1]


def _no_character_set(one: Damaged) -> None:
    _text_beyond_ascii(one)
    one.data.remove(_CHARACTER_SET)


def _wrong_character_set(one: Damaged) -> None:
    _text_beyond_ascii(one)
    one.data.put_text(_CHARACTER_SET, b"CS", "ISO_IR 100" if one.study.character_set == "ISO_IR 192" else "ISO_IR 192")


def _unknown_character_set(one: Damaged) -> None:
    _text_beyond_ascii(one)
    one.data.put_text(_CHARACTER_SET, b"CS", "ISO_IR 999")


def _truncated(one: Damaged) -> None:
    if one.data.is_encapsulated:
        one.data.cut_last_fragment(PIXEL_DATA)
        return
    pixels = one.data[PIXEL_DATA]
    one.data.put(PIXEL_DATA, pixels.vr, pixels.value[: len(pixels.value) // 2 & ~1])


def _rows(one: Damaged) -> None:
    one.data.put_number(_ROWS, one.data.number(_ROWS) + MORE_ROWS)


def _overlay(one: Damaged) -> None:
    data = one.data
    order = "<" if data.encoding.little else ">"
    data.put_number(0x60000010, data.number(_ROWS))
    data.put_number(0x60000011, data.number(0x00280011))
    data.put_text(0x60000040, b"CS", "G")
    data.put(0x60000050, b"SS", struct.pack(order + "2h", 1, 1))
    data.put_number(0x60000100, 16)
    data.put_number(0x60000102, 15)


def _out_of_order(one: Damaged) -> None:
    elements = one.data.elements
    first, second = elements.index(one.data[_MANUFACTURER]), elements.index(one.data[_PHYSICIAN])
    elements.insert(second, elements.pop(first))


def _twice(one: Damaged) -> None:
    data = one.data
    place = data.elements.index(data[_MANUFACTURER])
    before = data.elements[: place + 1]
    data.put_text(_MANUFACTURER, b"LO", "SECOND")
    data.elements = before + data.elements[place:]


def _unknown_vr(one: Damaged) -> None:
    element = one.data.put(0x009910F3, b"OB", b"UNKNOWN ")
    element.head = element.head[:4] + b"ZZ" + element.head[6:]


def _undefined_length(one: Damaged) -> None:
    encoding = one.data.encoding
    item = delimiter(encoding, ITEM, 8) + b"NO VALUE"
    element = one.data.put(0x009910F2, b"OB", item + delimiter(encoding, SEQUENCE_END, 0))
    element.head = header(encoding, 0x009910F2, b"OB", UNDEFINED)


def _cut_short(one: Damaged) -> None:
    last = one.data.elements[-1].value
    one.data.cut = len(last) // 2 or 4


def said_syntax(transfer_syntax_uid: str) -> str:
    """The transfer syntax that the file meta information names, where it is to be wrong."""
    if transfer_syntax_uid not in NATIVE:
        return _JPEG_2000 if transfer_syntax_uid == _JPEG_BASELINE else _JPEG_BASELINE
    return IMPLICIT_LITTLE if transfer_syntax_uid == EXPLICIT_LITTLE else EXPLICIT_LITTLE


def _other_syntax(one: Damaged) -> None:
    identity = one.identity
    said = said_syntax(identity.transfer_syntax_uid)
    one.identity = InstanceIdentity(identity.sop_class_uid, identity.sop_instance_uid, said)


def _then(change: Callable[[Damaged, bytes], bytes]) -> Callable[[Damaged], None]:
    """Change the beginning of the file, after what other defects change of it."""

    def made(one: Damaged) -> None:
        before = one.meta
        one.meta = lambda head: change(one, before(head) if before else head)

    return made


def _other_meta(one: Damaged, _head: bytes) -> bytes:
    identity = one.identity
    return file_header(
        identity.sop_class_uid,
        one.study.uid("another instance", identity.sop_instance_uid),
        identity.transfer_syntax_uid,
    )


def _wrong_group_length(_one: Damaged, head: bytes) -> bytes:
    place = _PREFIX_BYTES + 8
    length = int.from_bytes(head[place : place + 4], "little") - _LAST_META_BYTES
    return head[:place] + length.to_bytes(4, "little") + head[place + 4 :]


def _rename(name: str) -> Callable[[Damaged], None]:
    return lambda one: one.rename(name)


def _nothing(_one: Damaged) -> None:
    """It is in the recipe, or in the folder."""


_MAKERS: Final[dict[str, Callable[[Damaged], None]]] = {
    "missing-type-1": lambda one: one.data.remove(_MODALITY),
    "empty-type-1": lambda one: one.data.put_text(0x0020000E, b"UI", ""),
    "odd-length": _odd,
    "wrong-vr": _wrong_vr,
    "multi-value-in-single": lambda one: one.data.put_text(0x00081090, b"LO", "DICOM\\Fabricator"),
    "decimal-comma": _comma,
    "bad-time": _bad_time,
    "date-in-future": _future,
    "private-without-creator": _no_creator,
    "private-64k": _large_private,
    "deep-nesting": _nested,
    "trailing-padding": _padding,
    "patient-mismatch": _other_patient,
    "accession-reused": _nothing,
    "name-with-html": lambda one: one.data.put_text(_NAME, b"PN", NAMES["name-with-html"]),
    "name-with-control-characters": lambda one: one.data.put_text(_NAME, b"PN", NAMES["name-with-control-characters"]),
    "duplicate-sop-uid": _rename("duplicate-sop-uid"),
    "uid-in-two-series": _rename("uid-in-two-series"),
    "uid-too-long": _rename("uid-too-long"),
    "uid-leading-zero": _rename("uid-leading-zero"),
    "character-set-missing": _no_character_set,
    "character-set-wrong": _wrong_character_set,
    "character-set-unknown": _unknown_character_set,
    "pixels-truncated": _truncated,
    "rows-wrong": _rows,
    "lut-missing": lambda one: one.data.put_text(_PHOTOMETRIC, b"CS", "PALETTE COLOR"),
    "overlay-in-pixel-data": _overlay,
    "elements-out-of-order": _out_of_order,
    "element-twice": _twice,
    "unknown-vr": _unknown_vr,
    "undefined-length": _undefined_length,
    "file-cut-short": _cut_short,
    "syntax-mismatch": _other_syntax,
    "mismatched-meta-uid": _then(_other_meta),
    "group-length-wrong": _then(_wrong_group_length),
    "meta-missing": _then(lambda _one, head: head[:_PREFIX_BYTES]),
    "preamble-missing": _then(lambda _one, head: head[_PREFIX_BYTES:]),
    "dicomdir-lies": _nothing,
}
assert _MAKERS.keys() == DEFECTS.keys()
