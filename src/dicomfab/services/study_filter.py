"""What to search for, and the C-FIND identifier that asks for it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import uid
from dicomfab.services import search_dates, search_keys
from dicomfab.services.search_keys import Key

# The longest a person's name may be in one component group (PS3.5 6.2); every other text is shorter.
_LONGEST = 64

#: What is asked for at each level (PS3.4 C.6.1.1, C.6.2.1), the level's unique key among it.
RETURNED: Final[dict[Level, tuple[str, ...]]] = {
    Level.PATIENT: tuple(
        "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex NumberOfPatientRelatedStudies "
        "NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances".split()
    ),
    Level.STUDY: tuple(
        "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex AccessionNumber StudyInstanceUID StudyID "
        "StudyDate StudyTime StudyDescription ReferringPhysicianName ModalitiesInStudy NumberOfStudyRelatedSeries "
        "NumberOfStudyRelatedInstances".split()
    ),
    Level.SERIES: tuple(
        "SeriesInstanceUID SeriesNumber Modality SeriesDescription BodyPartExamined SeriesDate SeriesTime "
        "NumberOfSeriesRelatedInstances".split()
    ),
    Level.IMAGE: ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns", "NumberOfFrames"),
}
#: The key that names one of its kind everywhere.
UNIQUE: Final = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
_UIDS: Final = {
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "sop_instance_uid": "SOPInstanceUID",
}
#: Field -> the attribute that it is matched with, by level.
_MATCHED: Final[dict[Level, dict[str, str]]] = {
    Level.PATIENT: {"patient_name": "PatientName", "patient_id": "PatientID"},
    Level.STUDY: {
        "patient_name": "PatientName",
        "patient_id": "PatientID",
        "accession_number": "AccessionNumber",
        "modality": "ModalitiesInStudy",
        "study_description": "StudyDescription",
    },
    Level.SERIES: {"modality": "Modality", "study_description": "SeriesDescription"},
    Level.IMAGE: {},
}
_DATES: Final = {Level.STUDY: "StudyDate", Level.SERIES: "SeriesDate"}
# A hierarchical query names everything above its level by its unique key (PS3.4 C.4.1.2.2.1).
_NEEDED: Final[dict[Level, tuple[str, ...]]] = {
    Level.PATIENT: (),
    Level.STUDY: (),
    Level.SERIES: ("study_instance_uid",),
    Level.IMAGE: ("study_instance_uid", "series_instance_uid"),
}
_TEXTS: Final = ("patient_name", "patient_id", "accession_number", "modality", "study_description")
_NARROWING: Final = frozenset(
    "PatientName PatientID PatientBirthDate AccessionNumber StudyInstanceUID SeriesInstanceUID SOPInstanceUID "
    "StudyDate SeriesDate".split()
)
#: Level as people name it.
LEVELS: Final = {
    "patient": Level.PATIENT,
    "study": Level.STUDY,
    "series": Level.SERIES,
    "instance": Level.IMAGE,
    "image": Level.IMAGE,
}


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """What to search for; blank means anything.

    Args:
        patient_name: PN; ``*`` and ``?`` are wildcards, and one is added at the end where there is none.
        patient_id: LO, wildcards allowed, never added.
        accession_number: SH, wildcards allowed, never added.
        date_from: first study date, ``YYYY-MM-DD`` or ``YYYYMMDD``.
        date_to: last study date.
        modality: one modality of the study, such as ``CT``.
        study_description: LO, a wildcard is added at the end where there is none. Of the series, at series level.
        study_instance_uid: exact.
        date: instead of the other two: a date, ``A..B``, or a shortcut such as ``yesterday``.
        level: ``patient``, ``study``, ``series`` or ``instance``.
        series_instance_uid: exact.
        sop_instance_uid: exact.
        keys: further keys, ``KEYWORD=VALUE`` or ``GGGG,EEEE=VALUE``; without a value it is only asked for.
    """

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    date_from: str = ""
    date_to: str = ""
    modality: str = ""
    study_description: str = ""
    study_instance_uid: str = ""
    date: str = ""
    level: str = "study"
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    keys: tuple[str, ...] = ()

    @property
    def query_level(self) -> Level:
        """The Query/Retrieve level.

        Raises:
            InvalidInput: there is no such level.
        """
        found = LEVELS.get(self.level.strip().lower() or "study")
        if found is None:
            raise InvalidInput(
                f"level: {self.level!r} is not a level",
                field="level",
                value=self.level,
                remedy="use patient, study, series or instance",
            )
        return found

    @property
    def model(self) -> QueryModel:
        """The information model: only patient root has a patient level (PS3.4 C.6.2)."""
        return QueryModel.PATIENT_ROOT if self.query_level is Level.PATIENT else QueryModel.STUDY_ROOT

    @property
    def columns(self) -> tuple[str, ...]:
        """The attributes that are asked for, as keywords, those in a sequence joined by dots.

        Raises:
            InvalidInput: the level or a key cannot be used.
        """
        own = RETURNED[self.query_level]
        return tuple(dict.fromkeys((*own, *search_keys.names(self.keys))))

    def identifier(self, fallback_charset: str = "", today: datetime.date | None = None) -> Dataset:
        """The C-FIND identifier (PS3.4 C.6.1.1, C.6.2.1).

        Args:
            fallback_charset: the character set that the server is known to use, for keys beyond ASCII.
            today: what shortcuts of dates count from; the wall clock's day if left out.

        Raises:
            InvalidInput: a text, date, UID or key that cannot be used, by field.
        """
        today = today or datetime.datetime.now().astimezone().date()
        level = self.query_level
        self._check_level(level)
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(level)
        for keyword in RETURNED[level]:
            search_keys.put(identifier, Key((tag_for_keyword(keyword) or 0,), "", keyword), today)
        for field, value in self._texts().items():
            if field in _MATCHED[level]:
                setattr(identifier, _MATCHED[level][field], value)
        if level in _DATES:
            setattr(identifier, _DATES[level], self._dates(today))
        for field, keyword in _UIDS.items():
            if getattr(self, field).strip():
                setattr(identifier, keyword, uid(getattr(self, field), field=field))
        for given in self.keys:
            search_keys.put(identifier, search_keys.parse(given), today)
        charset = search_keys.character_set(identifier, fallback_charset)
        if charset:
            identifier.SpecificCharacterSet = charset
        return identifier

    def narrows(self) -> bool:
        """Whether patient, accession number, UID or date restrict the search, as production demands."""
        texts = (self.patient_name, self.patient_id, self.accession_number)
        others = (self.date, self.date_from, self.date_to, *(getattr(self, field) for field in _UIDS))
        keys = [(key.name, key.value) for key in map(search_keys.parse, self.keys)]
        keyed = [value for name, value in keys if name in _NARROWING]
        return any(value.strip("*?^= ") for value in (*texts, *others, *keyed))

    def _texts(self) -> dict[str, str]:
        texts = {field: search_keys.text(getattr(self, field), field, longest=_LONGEST) for field in _TEXTS}
        texts["patient_name"] = _with_wildcard(texts["patient_name"])
        texts["study_description"] = _with_wildcard(texts["study_description"])
        texts["modality"] = texts["modality"].upper()
        if not texts["modality"].isascii():
            raise InvalidInput(
                f"modality: {self.modality!r} is no modality",
                field="modality",
                value=self.modality,
                cause="a modality is written in capital letters of the ASCII alphabet (PS3.5 6.2)",
                remedy="use one such as CT, MR or DX",
            )
        return texts

    def _dates(self, today: datetime.date) -> str:
        if self.date.strip():
            if self.date_from.strip() or self.date_to.strip():
                raise InvalidInput(
                    "date: given together with date_from or date_to",
                    field="date",
                    value=self.date,
                    cause="one of them would be ignored",
                    remedy="give either a date or range, or its two ends",
                )
            return search_dates.key(self.date, today, "date")
        first, _ = search_dates.days(self.date_from, today, "date_from")
        _, last = search_dates.days(self.date_to, today, "date_to")
        return search_dates.join(first, last, "date_to", self.date_to)

    def _check_level(self, level: Level) -> None:
        """Refuse what the level has no key for: a server would ignore it and answer with more than was asked for."""
        dates = () if level in _DATES else ("date", "date_from", "date_to")
        unusable = [field for field in _TEXTS if field not in _MATCHED[level]] + list(dates)
        if level in (Level.PATIENT, Level.STUDY):
            unusable += ["sop_instance_uid", "series_instance_uid"]
        if level is Level.PATIENT:
            unusable.append("study_instance_uid")
        if level is Level.SERIES:
            unusable.append("sop_instance_uid")
        for field in unusable:
            if getattr(self, field).strip():
                raise InvalidInput(
                    f"{field}: cannot be searched for at {self.level} level",
                    field=field,
                    value=getattr(self, field),
                    cause="it is no key of this level, and a server would ignore it",
                    remedy="leave it out, or search at another level first",
                )
        for field in _NEEDED[level]:
            if not getattr(self, field).strip():
                raise InvalidInput(
                    f"{field}: missing, and a search at {self.level} level needs it",
                    field=field,
                    value="",
                    cause="a query names everything above its level by its UID (PS3.4 C.4.1.2.2.1)",
                    remedy="search for the study first, and take its UID from there",
                )


def _with_wildcard(text: str) -> str:
    return text if not text or "*" in text or "?" in text else f"{text}*"
