"""What to fabricate: the recipe as asked for, and the resolved recipe in which nothing is left to vary."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from dicomfab.fabricate import checks, people
from dicomfab.fabricate.kinds import KINDS, Kind
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.seeds import SEED_LIMIT, Draw, derive, uid
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.model.values import is_uid
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE
from dicomfab.pixels.writable import Writable, writable

# Part of every UID and recipe hash: raise it whenever the same recipe would give other bytes.
RENDERER_VERSION: Final = "4"
MAX_SERIES: Final = 200
STYLES: Final = ("image", "card")
_CODES: Final = ("requested_procedure_code", "protocol_code")


@dataclass(frozen=True, slots=True)
class SeriesRecipe:
    """One entry of a study as asked for; ``None`` leaves the choice to the study, or to the kind.

    Args:
        kind: one of :data:`~dicomfab.fabricate.kinds.KINDS`.
        count: how many slices, frames or cards; see :class:`~dicomfab.fabricate.kinds.Counted`.
        transfer_syntax: the name or UID of one that can be written, see :mod:`dicomfab.pixels.writable`.
        quality: of a lossy transfer syntax, on its own scale.
        style: ``image``, or ``card`` for text cards with the main attributes instead of a body.
        description: SeriesDescription, LO; of several series that are acquired together, all have it.
    """

    kind: str
    count: int | None = None
    transfer_syntax: str | None = None
    quality: int | None = None
    style: str | None = None
    description: str | None = None

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


def with_slices(series: SeriesRecipe, slices: int | None) -> SeriesRecipe:
    """The entry with this count, if its kind counts slices and it has none yet."""
    kind = KINDS.get(series.kind)
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
        style: ``image`` or ``card``.
        description: SeriesDescription; empty leaves it to the kind.
    """

    kind: str
    count: int
    transfer_syntax: str
    quality: int | None
    style: str
    description: str


@dataclass(frozen=True, slots=True)
class ResolvedStudy:
    """A study in which everything is decided: the same value gives the same bytes.

    The fields are those of :class:`StudyRecipe`, checked and filled in.
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
        for field in ("accession_number", "study_description", "referring_physician", "study_id"):
            yield field, getattr(self, field)
        yield from (("description", series.description) for series in self.series)
        if self.order is not None:
            yield from (("order", str(value)) for value in dataclasses.astuple(self.order))

    def uid(self, *names: object) -> str:
        """A UID of this study, for instance ``uid("series", 1)``."""
        return uid(self.recipe_hash, *names)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; :meth:`from_dict` takes them back."""
        plain = {**dataclasses.asdict(self), "series": [dataclasses.asdict(one) for one in self.series]}
        if self.order is None:
            del plain["order"]
        if not self.written_in:
            del plain["written_in"]
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ResolvedStudy:
        """Take back what :meth:`as_dict` gave."""
        series = tuple(ResolvedSeries(**one) for one in values["series"])
        order = RequestAttributes(**values["order"]) if "order" in values else None
        return cls(**{**values, "series": series, "patient": Patient(**values["patient"]), "order": order})


@lru_cache(maxsize=64)
def _recipe_hash(study: ResolvedStudy) -> str:
    text = json.dumps([RENDERER_VERSION, study.as_dict()], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def resolve(recipe: StudyRecipe, *, now: dt.datetime, draw_seed: Callable[[], int]) -> ResolvedStudy:
    """Check a recipe and decide everything that it leaves open.

    Args:
        recipe: as asked for.
        now: local time of the site; the study's date and time if none are given.
        draw_seed: called once if the recipe has no seed.

    Raises:
        InvalidInput: a value that DICOM cannot store, naming the field; nothing is made.
    """
    series = _series(recipe)
    kinds = tuple(dict.fromkeys(one.kind for one in series))
    script = _script(recipe.script)
    seed = draw_seed() if recipe.seed is None else recipe.seed
    checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
    study_date = _given(recipe.study_date, lambda value: checks.date(value, field="study_date"), now.strftime("%Y%m%d"))
    study_time = _given(recipe.study_time, lambda value: checks.time(value, field="study_time"), now.strftime("%H%M%S"))
    if recipe.patient is None:
        day = dt.date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:]))
        patient = people.invent(seed, day, script)
    else:
        patient = _patient(recipe.patient, study_date)
    draw = Draw(seed, "study", *kinds, study_date, study_time)
    described = " AND ".join(dict.fromkeys(KINDS[kind].description for kind in kinds))
    if len(described) > 64:
        described = f"{KINDS[kinds[0]].description} AND {len(kinds) - 1} MORE"
    study = ResolvedStudy(
        series=series,
        patient=patient,
        seed=seed,
        accession_number=_short(recipe.accession_number, "accession_number", f"SYN{draw.below(10**10):010d}"),
        study_date=study_date,
        study_time=study_time,
        study_description=_given(
            recipe.study_description, lambda value: checks.text(value, field="study_description", limit=64), described
        ),
        referring_physician=_physician(recipe.referring_physician),
        study_id=_short(recipe.study_id, "study_id", f"{draw.below(10**6):06d}"),
        order=None if recipe.order is None else _order(recipe.order),
        written_in=SCRIPTS[script].character_set if script in SCRIPTS else "",
    )
    if study.written_in:
        _check_written(study, script)
    return study


def _script(name: str | None) -> str:
    if name is None or name == LATIN or name in SCRIPTS:
        return name or LATIN
    raise InvalidInput(
        f"script: {name!r} is not known",
        field="script",
        value=name,
        cause=f"names are invented in {LATIN}, {', '.join(SCRIPTS)}",
        remedy="name one of them",
    )


def _check_written(study: ResolvedStudy, script: str) -> None:
    for field, text in study.texts():
        if not checks.holds(study.written_in, text):
            raise InvalidInput(
                f"{field}: {text!r} cannot be written in {study.written_in}, the character set of {script}",
                field=field,
                value=text,
                cause="the character set lacks some of its characters",
                remedy="write it otherwise, or leave the script out: then the study is in UTF-8",
            )


def _order(order: RequestAttributes) -> RequestAttributes:
    if order.study_instance_uid and not is_uid(order.study_instance_uid):
        raise InvalidInput(
            f"study_instance_uid: {order.study_instance_uid!r} is no UID",
            field="study_instance_uid",
            value=order.study_instance_uid,
            cause="a UID has digits and dots, 64 at most",
            remedy="correct it, or leave it out to have one made",
        )
    short = ("requested_procedure_id", "scheduled_step_id")
    checked = {
        name: checks.text(value, field=name, limit=16 if name in short else 64)
        for name, value in dataclasses.asdict(order).items()
        if not name.endswith("_code")
    }
    return dataclasses.replace(order, **checked, **{name: _code(getattr(order, name), name) for name in _CODES})


def _code(value: str, field: str) -> str:
    """A coded entry, ``value^scheme^meaning`` (PS3.3 table 8.8-1), or none."""
    if not value:
        return ""
    parts = [
        checks.text(part, field=field, limit=limit) for part, limit in zip(value.split("^"), (16, 16, 64), strict=False)
    ]
    if value.count("^") != 2 or not all(parts):
        raise InvalidInput(
            f"{field}: {value!r} is no code",
            field=field,
            value=value,
            cause="a code is written value^scheme^meaning",
            remedy="correct it, such as 24628-0^LN^CT Chest, or leave it out",
        )
    return "^".join(parts)


def _given(value: str | None, check: Callable[[str], str], otherwise: str) -> str:
    return otherwise if value is None else check(value)


def _short(value: str | None, field: str, otherwise: str) -> str:
    return otherwise if value is None else checks.text(value, field=field, limit=16)


def _physician(value: str) -> str:
    return checks.person_name(value, field="referring_physician") if value else ""


def _series(recipe: StudyRecipe) -> tuple[ResolvedSeries, ...]:
    given = [SeriesRecipe(one) if isinstance(one, str) else one for one in recipe.series]
    if not 0 < len(given) <= MAX_SERIES:
        raise InvalidInput(
            f"series: {len(given)} are given" if given else "series: none is given",
            field="series",
            value=len(given),
            cause=f"a study has 1 to {MAX_SERIES} entries",
            remedy=f"name at least one kind: {', '.join(KINDS)}",
        )
    return tuple(_resolved(one, recipe) for one in given)


def _resolved(one: SeriesRecipe, recipe: StudyRecipe) -> ResolvedSeries:
    kind = KINDS.get(one.kind)
    if kind is None:
        raise InvalidInput(
            f"kind: {one.kind!r} is not a kind of series",
            field="kind",
            value=one.kind,
            cause=f"known kinds: {', '.join(KINDS)}",
            remedy="name one of them",
        )
    syntax = writable(one.transfer_syntax or recipe.transfer_syntax or EXPLICIT_LITTLE)
    return ResolvedSeries(
        kind=one.kind,
        count=_count(one, kind),
        transfer_syntax=syntax.uid,
        quality=_quality(one, syntax),
        style=_style(one, kind, recipe.style),
        description=_given(one.description, lambda value: checks.text(value, field="description", limit=64), ""),
    )


def _count(one: SeriesRecipe, kind: Kind) -> int:
    if kind.counted is None:
        if one.count is not None:
            raise InvalidInput(
                f"count: {one.kind} has nothing to count",
                field="count",
                value=one.count,
                cause=f"it is always {kind.instances(1)} instances",
                remedy="leave count out",
            )
        return 1
    if one.count is None:
        return kind.counted.default
    try:
        return checks.whole(one.count, field="count", low=1, high=kind.counted.most)
    except InvalidInput as error:
        raise InvalidInput(
            f"{error.what} ({kind.counted.unit} of {one.kind})",
            field="count",
            value=one.count,
            cause=error.cause,
            remedy=error.remedy,
        ) from None


def _quality(one: SeriesRecipe, syntax: Writable) -> int | None:
    if syntax.quality is not None:
        return syntax.quality.checked(one.quality)
    if one.quality is not None:
        raise InvalidInput(
            f"quality: {syntax.title} has none",
            field="quality",
            value=one.quality,
            cause="nothing is lost in it",
            remedy="leave quality out, or name a lossy transfer syntax",
        )
    return None


def _style(one: SeriesRecipe, kind: Kind, otherwise: str | None) -> str:
    """What the entry says, or the study if the kind has that style."""
    wanted = one.style or (otherwise if otherwise in kind.styles else kind.styles[0])
    if wanted not in kind.styles or (otherwise is not None and otherwise not in STYLES):
        raise InvalidInput(
            f"style: {one.style or otherwise!r} is not a style of {one.kind}",
            field="style",
            value=one.style or otherwise,
            cause=f"its styles: {', '.join(kind.styles)}",
            remedy="name one of them, or leave style out",
        )
    return wanted


def _patient(patient: Patient, study_date: str) -> Patient:
    patient_id = checks.text(patient.patient_id, field="patient_id", limit=64)
    if not patient_id:
        raise InvalidInput(
            "patient_id: is empty", field="patient_id", value="", remedy="give the patient an identifier"
        )
    birth_date = checks.date(patient.birth_date, field="birth_date") if patient.birth_date else ""
    if birth_date > study_date:
        raise InvalidInput(
            f"birth_date: {birth_date} lies after the study date {study_date}",
            field="birth_date",
            value=patient.birth_date,
            cause="one of the two dates is wrong",
            remedy="correct birth_date or study_date",
        )
    return Patient(
        name=checks.person_name(patient.name, field="patient_name"),
        patient_id=patient_id,
        birth_date=birth_date,
        sex=checks.sex(patient.sex, field="sex"),
        issuer=checks.text(patient.issuer, field="issuer", limit=64) or people.ISSUER,
        size_m=checks.measure(patient.size_m, field="size_m", low=0.2, high=2.8),
        weight_kg=checks.measure(patient.weight_kg, field="weight_kg", low=0.2, high=650.0),
    )
