"""What to fabricate: the recipe as asked for, and the resolved recipe in which nothing is left to vary."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from dicomfab.fabricate import checks
from dicomfab.fabricate.devices import Device
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.seeds import SEED_LIMIT, derive, uid
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import GroupedRequest, RequestAttributes
from dicomfab.model.study import Patient

# Part of every UID and recipe hash: raise it whenever the same recipe would give other bytes.
RENDERER_VERSION: Final = "4"
MAX_SERIES: Final = 200
STYLES: Final = ("image", "card", "small")
# Left out of the recipe hash where they say nothing, so that recipes without them give the bytes that they gave before.
_LATER: Final = ("order", "written_in", "course_months", "defects", "device", "address", "phone", "grouped", "added_to")


@dataclass(frozen=True, slots=True)
class SeriesRecipe:
    """One entry of a study as asked for; ``None`` leaves the choice to the study, or to the kind.

    Args:
        kind: one of :data:`~dicomfab.fabricate.kinds.KINDS`.
        count: how many slices, frames or cards; see :class:`~dicomfab.fabricate.kinds.Counted`.
        transfer_syntax: the name or UID of one that can be written, see :mod:`dicomfab.pixels.writable`.
        quality: of a lossy transfer syntax, on its own scale.
        style: ``image``, or ``card`` for text cards with the main attributes instead of a body, or ``small`` for small
            pictures of neither.
        description: SeriesDescription, LO; of several series that are acquired together, all have it.
        device: what acquired it and where; ``None`` for one of ours.
    """

    kind: str
    count: int | None = None
    transfer_syntax: str | None = None
    quality: int | None = None
    style: str | None = None
    description: str | None = None
    device: Device | None = None

    @classmethod
    def parse(cls, text: str) -> SeriesRecipe:
        """An entry as people type it: ``ct-chest``, or ``ct-chest:40`` with a count.

        Raises:
            InvalidInput: the count is no whole number.
        """
        kind, colon, count = text.strip().partition(":")
        if colon and not (count.isascii() and count.isdigit() and len(count) < 10):
            raise InvalidInput(
                f"count: {count!r} of {kind} is not a whole number",
                field="count",
                value=count,
                remedy="write the kind, a colon and digits, such as ct-chest:40",
            )
        return cls(kind, int(count) if colon else None)


@dataclass(frozen=True, slots=True)
class StudyRecipe:
    """One study as asked for; ``None`` leaves a value to be invented.

    Args:
        series: what the study holds, in order; a kind's name stands for an entry with nothing else said.
        patient: an existing patient, or ``None`` to invent one from the seed.
        seed: 0 to 2**63 - 1, or ``None`` to draw one.
        accession_number: SH; may be given empty.
        study_date: ``YYYYMMDD``.
        study_time: ``HHMMSS``.
        study_description: LO.
        referring_physician: PN.
        study_id: SH.
        transfer_syntax: of the entries that name none.
        style: of the entries that name none.
        accession_pattern: where accession numbers come from, see :mod:`dicomfab.fabricate.patterns`; never one twice.
        patient_id_pattern: the same for the ID of a patient who has none.
        order: what the instances say about the order that the study was made from.
        script: that an invented name is written in, see :mod:`dicomfab.fabricate.scripts`; the study then has the
            character set of that script.
        contact: give the patient an address and a telephone number where there is none.
        course_months: how long after the first sight of the patient's lesions this is: by then some have grown, some
            have shrunk and some are gone, see :mod:`dicomfab.fabricate.anatomy.course`.
        defects: what is to be wrong, by name, see :mod:`dicomfab.fabricate.defects`; nothing is if it is not declared.
    """

    series: tuple[SeriesRecipe | str, ...]
    patient: Patient | None = None
    seed: int | None = None
    accession_number: str | None = None
    study_date: str | None = None
    study_time: str | None = None
    study_description: str | None = None
    referring_physician: str = ""
    study_id: str | None = None
    transfer_syntax: str | None = None
    style: str | None = None
    accession_pattern: str | None = None
    patient_id_pattern: str | None = None
    order: RequestAttributes | None = None
    script: str | None = None
    contact: bool = False
    course_months: int = 0
    defects: tuple[str, ...] = ()


def with_slices(series: SeriesRecipe, slices: int | None) -> SeriesRecipe:
    """The entry with this count, if its kind counts slices and it has none yet."""
    kind = ALL_KINDS.get(series.kind)
    counts_slices = kind is not None and kind.counted is not None and kind.counted.unit == "slices"
    if slices is None or series.count is not None or not counts_slices:
        return series
    return dataclasses.replace(series, count=slices)


def nth(recipe: StudyRecipe, seed: int, number: int) -> StudyRecipe:
    """The recipe of one of several studies, counted from 0: the first has the seed, each other one of its own."""
    return dataclasses.replace(recipe, seed=derive(seed, "study", number) % SEED_LIMIT if number else seed)


@dataclass(frozen=True, slots=True)
class ResolvedSeries:
    """An entry in which everything is decided.

    Args:
        kind: what it is.
        count: how many slices, frames or cards; 1 if the kind counts nothing.
        transfer_syntax: UID.
        quality: ``None`` if nothing is lost.
        style: ``image``, ``card`` or ``small``.
        description: SeriesDescription; empty leaves it to the kind.
        device: what acquired it and where; ``None`` for one of ours.
    """

    kind: str
    count: int
    transfer_syntax: str
    quality: int | None
    style: str
    description: str
    device: Device | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ResolvedSeries:
        """Take back what :meth:`ResolvedStudy.as_dict` gave."""
        device = values.get("device")
        return cls(**{**values, "device": Device.from_dict(device) if device else None})


@dataclass(frozen=True, slots=True)
class AddedTo:
    """A study that is there already, and that series are added to.

    Args:
        study_instance_uid: StudyInstanceUID (0020,000D).
        study_date, study_time: of the study, which stay as they are.
        last_series: its highest SeriesNumber (0020,0011).
    """

    study_instance_uid: str
    study_date: str
    study_time: str
    last_series: int


@dataclass(frozen=True, slots=True)
class ResolvedStudy:
    """A study in which everything is decided: the same value gives the same bytes.

    The fields are those of :class:`StudyRecipe`, checked and filled in, and two that only a modality decides.

    Args:
        grouped: the orders that were performed together, where they are several: one item of
            RequestAttributesSequence (0040,0275) for each.
        added_to: the study that these series come to; then date and time are theirs alone.
    """

    series: tuple[ResolvedSeries, ...]
    patient: Patient
    seed: int
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    referring_physician: str
    study_id: str
    order: RequestAttributes | None = None
    written_in: str = ""
    course_months: int = 0
    defects: tuple[str, ...] = ()
    grouped: tuple[GroupedRequest, ...] = ()
    added_to: AddedTo | None = None

    @property
    def recipe_hash(self) -> str:
        """32 hexadecimal digits that stand for the resolved recipe and the renderer version."""
        return _recipe_hash(self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that the study holds, each once, in order."""
        return tuple(dict.fromkeys(series.kind for series in self.series))

    @property
    def body_seed(self) -> int:
        """What the patient's body follows from: the same patient has the same body in every study."""
        return derive(0, "body", self.patient.issuer, self.patient.patient_id) % SEED_LIMIT

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D); that of the order if it has one, which is never made anew."""
        if self.added_to is not None:
            return self.added_to.study_instance_uid
        given = self.order.study_instance_uid if self.order else ""
        return given or self.uid("study")

    @property
    def character_set(self) -> str:
        """SpecificCharacterSet (0008,0005), values joined by backslash: that of the script that was asked for, else
        Latin-1 if it can hold every text of the study, else UTF-8.
        """
        return self.written_in or checks.character_set(text for _, text in self.texts())

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text of the study beyond ASCII or not, with the field that it is given in."""
        patient = self.patient
        yield from (("patient.name", patient.name), ("patient.id", patient.patient_id), ("issuer", patient.issuer))
        yield from (("patient.address", patient.address), ("patient.phone", patient.phone))
        for field in ("accession_number", "study_description", "referring_physician", "study_id"):
            yield field, getattr(self, field)
        for series in self.series:
            yield "description", series.description
            if series.device is not None:
                yield from (("device", text) for text in series.device.texts())
        if self.order is not None:
            yield from (("order", str(value)) for value in dataclasses.astuple(self.order))
        for one in self.grouped:
            yield from (("order", str(value)) for value in dataclasses.astuple(one.attributes))

    def uid(self, *names: object) -> str:
        """A UID of this study, for instance ``uid("series", 1)``."""
        return uid(self.recipe_hash, *names)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; :meth:`from_dict` takes them back."""
        plain = dataclasses.asdict(self)
        plain["series"] = [_without(_LATER, one) for one in plain["series"]]
        plain["patient"] = _without(_LATER, plain["patient"])
        return _without(_LATER, plain)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ResolvedStudy:
        """Take back what :meth:`as_dict` gave."""
        series = tuple(ResolvedSeries.from_dict(one) for one in values["series"])
        order = RequestAttributes(**values["order"]) if "order" in values else None
        given = {**values, "series": series, "patient": Patient(**values["patient"]), "order": order}
        grouped = tuple(
            GroupedRequest(one["accession_number"], RequestAttributes(**one["attributes"]))
            for one in values.get("grouped", ())
        )
        added_to = AddedTo(**values["added_to"]) if "added_to" in values else None
        return cls(**{**given, "defects": tuple(values.get("defects", ())), "grouped": grouped, "added_to": added_to})


def _without(names: Collection[str], values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value or name not in names}


@lru_cache(maxsize=64)
def _recipe_hash(study: ResolvedStudy) -> str:
    text = json.dumps([RENDERER_VERSION, study.as_dict()], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()
