"""One match of a C-FIND as texts: what the peer said, in the character set that it said it in."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.charset import decode_bytes, default_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement

from dicomfab.model.query import Level
from dicomfab.services.search_keys import TEXT_VRS, label, names
from dicomfab.services.study_filter import UNIQUE, StudyFilter

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ASCII_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "UR"})
_BYTES_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_RESET: Final = {0x0D, 0x0A, 0x09, 0x0C, 0x5C}
_RESET_IN_NAMES: Final = {*_RESET, 0x5E, 0x3D}
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_QUIET: Final = threading.Lock()  # filters of warnings belong to the process
_MOST_ATTRIBUTES: Final = 200
_DEEPEST: Final = 5
_LONGEST_SHOWN: Final = 300
_NUMBER: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Match:
    """One patient, study, series or instance on one server, in its own words.

    Args:
        server_id: whose words.
        level: which of the four it is.
        values: column -> text, several values joined by backslashes; ``None`` if the server did not return it.
    """

    server_id: str
    level: Level
    values: Mapping[str, str | None]

    @property
    def key(self) -> str:
        """What names it on every server; a patient by ID and issuer."""
        unique = self.text(UNIQUE[self.level])
        return f"{unique}\n{self.text('IssuerOfPatientID')}" if self.level is Level.PATIENT else unique

    def text(self, column: str) -> str:
        """A value, blank if there is none."""
        return self.values.get(column) or ""

    def number(self, column: str) -> int | None:
        """A count; ``None`` if the server did not send one."""
        text = self.text(column)
        return int(text) if _NUMBER.fullmatch(text) else None

    @property
    def study_instance_uid(self) -> str:
        """(0020,000D)."""
        return self.text("StudyInstanceUID")

    @property
    def patient_name(self) -> str:
        """(0010,0010)."""
        return self.text("PatientName")

    @property
    def accession_number(self) -> str:
        """(0008,0050)."""
        return self.text("AccessionNumber")

    @property
    def modalities(self) -> tuple[str, ...]:
        """(0008,0061), empty if the server did not say."""
        return tuple(filter(None, self.text("ModalitiesInStudy").split("\\")))

    @property
    def modality(self) -> str:
        """(0008,0060) of a series."""
        return self.text("Modality")

    @property
    def series_instance_uid(self) -> str:
        """(0020,000E)."""
        return self.text("SeriesInstanceUID")

    @property
    def series_number(self) -> int | None:
        """(0020,0011)."""
        return self.number("SeriesNumber")

    @property
    def series(self) -> int | None:
        """Series in the study or of the patient."""
        return self.number(f"Number{_OF[self.level]}RelatedSeries")

    @property
    def instances(self) -> int | None:
        """Instances in the series or study, or of the patient."""
        return self.number(f"Number{_OF[self.level]}RelatedInstances")

    def as_dict(self) -> dict[str, object]:
        """Plain values; the attributes of a study under names of their own, as programs have always read them."""
        plain: dict[str, object] = {"server_id": self.server_id}
        if self.level is Level.STUDY:
            plain |= {name: self.text(column) for name, column in _STUDY_NAMES.items()}
            plain |= {"modalities": self.modalities, "series": self.series, "instances": self.instances}
        return {**plain, "values": dict(self.values)}


_OF: Final = {Level.PATIENT: "OfPatient", Level.STUDY: "OfStudy", Level.SERIES: "OfSeries", Level.IMAGE: "OfInstance"}
_STUDY_NAMES: Final = {
    "study_instance_uid": "StudyInstanceUID",
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "referring_physician": "ReferringPhysicianName",
}


@dataclass(slots=True)
class Reader:
    """Reads the matches of one server, and notes what is odd about their texts.

    Args:
        server_id: whose matches.
        level: of the query.
        columns: what to read.
        fallback_encodings: Python's names, for matches without Specific Character Set; empty if none is known.
        unlabelled: matches with text beyond ASCII that name no character set, and none is known for the server.
        misread: matches with text that does not fit the character set that they name.
    """

    server_id: str
    level: Level
    columns: Sequence[str]
    fallback_encodings: Sequence[str] = ()
    unlabelled: int = 0
    misread: int = 0
    _odd: set[str] = field(default_factory=set)

    def read(self, match: Dataset) -> Match:
        """The values of the columns."""
        self._odd.clear()
        encodings = self._encodings(match)
        values = {column: self._value(match, column, encodings) for column in self.columns}
        self.unlabelled += "unlabelled" in self._odd
        self.misread += "misread" in self._odd
        return Match(self.server_id, self.level, values)

    def attributes(self, identifier: Dataset) -> list[dict[str, Any]]:
        """Every attribute of an identifier as plain values, bounded: tag, keyword, vr, value, depth."""
        found: list[dict[str, Any]] = []
        self._gather(identifier, 0, self._encodings(identifier), found)
        self._odd.clear()
        return found

    def _gather(self, dataset: Dataset, depth: int, encodings: Sequence[str], found: list[dict[str, Any]]) -> None:
        for tag in sorted(dataset.keys()):
            if len(found) >= _MOST_ATTRIBUTES:
                return
            element: Any = dataset.get_item(tag)
            vr, name = _representation(element, tag), keyword_for_tag(tag)
            row = {"tag": f"({tag >> 16:04X},{tag & 0xFFFF:04X})", "keyword": name, "depth": depth}
            if vr in _BYTES_VRS:
                found.append({**row, "vr": vr, "value": f"{len(element.value or b'')} bytes"})
                continue
            if vr != "SQ":
                found.append({**row, "vr": vr, "value": _cut(self._element_text(dataset, tag, encodings))})
                continue
            items = list(dataset[tag].value or ())
            found.append({**row, "vr": vr, "value": f"{len(items)} item{'' if len(items) == 1 else 's'}"})
            if depth < _DEEPEST:
                for item in items:
                    self._gather(item, depth + 1, encodings, found)

    def notes(self) -> tuple[str, ...]:
        """What is to be known about the texts read, in words that name no patient."""
        found = []
        if self.misread:
            found.append(
                f"{self.misread} with text that does not fit the character set that the server names: "
                f"what cannot be read is shown as {_REPLACED}"
            )
        if self.unlabelled:
            found.append(
                f"{self.unlabelled} with text beyond ASCII and no character set named: read as it seemed right; "
                "give the server a fallback character set"
            )
        return tuple(found)

    def _encodings(self, match: Dataset) -> Sequence[str]:
        """Python's names of the encodings that texts are in; empty if nothing says."""
        if _has_text(match, _SPECIFIC_CHARACTER_SET):
            named = match.original_character_set
            return [named] if isinstance(named, str) else list(named)
        return self.fallback_encodings

    def _value(self, match: Dataset, column: str, encodings: Sequence[str]) -> str | None:
        name, _, inner = column.partition(".")
        tag = tag_for_keyword(name)
        if tag is None or tag not in match:
            return None
        if inner:
            items = [self._value(item, inner, encodings) for item in match[tag].value or ()]
            return "\\".join(item for item in items if item is not None) if items else None
        return self._element_text(match, tag, encodings)

    def _element_text(self, match: Dataset, tag: int, encodings: Sequence[str]) -> str:
        element: object = match.get_item(tag)
        if not isinstance(element, RawDataElement):
            return _plain(element)
        vr = _representation(element, tag)
        raw = bytes(element.value or b"")
        if vr in TEXT_VRS:
            return _trimmed(self._decoded(raw, vr, encodings), vr)
        if vr in _ASCII_VRS:
            return _trimmed(raw.decode("ascii", "replace"), vr)
        return _plain(match[tag])

    def _decoded(self, raw: bytes, vr: str, encodings: Sequence[str]) -> str:
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        if not encodings:
            self._odd.add("unlabelled")
            return _guessed(raw)
        if b"\x1b" in raw:
            text = _switching(raw, encodings, _RESET_IN_NAMES if vr == "PN" else _RESET)
        elif encodings[0] == default_encoding:  # it names ASCII, or what nobody knows, and sends more
            self._odd.add("misread")
            return _guessed(raw)
        else:
            text = raw.decode(encodings[0], "replace")
        if _REPLACED in text:
            self._odd.add("misread")
        return text


def _representation(element: RawDataElement | DataElement, tag: int) -> str:
    """As the element says; else as the dictionary does, which knows no private ones."""
    if element.VR is not None and element.VR != "UN":
        return str(element.VR)
    return dictionary_VR(tag).split()[0] if keyword_for_tag(tag) else "UN"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]} ... ({len(text)} characters)"


def _switching(raw: bytes, encodings: Sequence[str], reset: set[int]) -> str:
    """A text with escape sequences (PS3.5 6.1.2.5)."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be read is noted here
        return str(decode_bytes(raw, list(encodings), reset))


def _guessed(raw: bytes) -> str:
    """UTF-8 if it can be: texts in other encodings hardly ever look like it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _has_text(match: Dataset, tag: int) -> bool:
    element = match.get_item(tag)
    return element is not None and bool(element.value)


def _trimmed(text: str, vr: str) -> str:
    text = text.rstrip("\0 ")
    if vr in _ONE_VALUE:
        return text
    return "\\".join(part.strip("\0 ") for part in text.split("\\"))


def _plain(element: object) -> str:
    """A value that is read already, as text."""
    value = element.value if isinstance(element, DataElement) else None
    if value is None:
        return ""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return "\\".join(map(str, value)) if several else str(value).strip()


#: Level -> the columns that people are shown, in this order, and what they are called.
SHOWN: Final[dict[Level, dict[str, str]]] = {
    Level.PATIENT: {
        "PatientName": "Patient",
        "PatientID": "Patient ID",
        "PatientBirthDate": "Born",
        "PatientSex": "Sex",
        "NumberOfPatientRelatedStudies": "Studies",
        "NumberOfPatientRelatedSeries": "Series",
        "NumberOfPatientRelatedInstances": "Instances",
    },
    Level.STUDY: {
        "PatientName": "Patient",
        "PatientID": "Patient ID",
        "AccessionNumber": "Accession",
        "StudyDate": "Date",
        "StudyDescription": "Description",
        "ModalitiesInStudy": "Modalities",
        "NumberOfStudyRelatedSeries": "Series",
        "NumberOfStudyRelatedInstances": "Instances",
    },
    Level.SERIES: {
        "SeriesNumber": "No.",
        "Modality": "Modality",
        "SeriesDescription": "Description",
        "BodyPartExamined": "Body part",
        "SeriesDate": "Date",
        "NumberOfSeriesRelatedInstances": "Instances",
        "SeriesInstanceUID": "Series Instance UID",
    },
    Level.IMAGE: {
        "InstanceNumber": "No.",
        "SOPClassUID": "SOP class",
        "Rows": "Rows",
        "Columns": "Columns",
        "NumberOfFrames": "Frames",
        "SOPInstanceUID": "SOP Instance UID",
    },
}


def shown(search: StudyFilter) -> dict[str, str]:
    """The columns that people are shown, with those that they asked for themselves behind."""
    own = SHOWN[search.query_level]
    return {**own, **{column: label(column) for column in names(search.keys) if column not in own}}
