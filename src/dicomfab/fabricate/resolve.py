"""From the recipe as asked for to the one in which nothing is left to vary; what cannot be is refused by its field."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final

from dicomfab.fabricate import checks, defects, people
from dicomfab.fabricate.devices import checked as checked_device
from dicomfab.fabricate.kinds import ALL_KINDS, KINDS, OBJECTS, Kind
from dicomfab.fabricate.recipe import MAX_SERIES, STYLES, ResolvedSeries, ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import SCRIPTS, checked_script
from dicomfab.fabricate.seeds import SEED_LIMIT, Draw, derive
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.model.values import is_uid
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE
from dicomfab.pixels.writable import Writable, writable

MAX_MONTHS: Final = 600
_CODES: Final = ("requested_procedure_code", "protocol_code")


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
    script = checked_script(recipe.script)
    seed = draw_seed() if recipe.seed is None else recipe.seed
    checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
    study_date = _given(recipe.study_date, lambda value: checks.date(value, field="study_date"), now.strftime("%Y%m%d"))
    study_time = _given(recipe.study_time, lambda value: checks.time(value, field="study_time"), now.strftime("%H%M%S"))
    if recipe.patient is None:
        day = dt.date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:]))
        patient = people.invent(seed, day, script, contact=recipe.contact)
    else:
        patient = _patient(recipe.patient, study_date)
        if recipe.contact:  # the same patient lives in the same place in every study
            patient = people.with_contact(patient, derive(0, "home", patient.issuer, patient.patient_id))
    draw = Draw(seed, "study", *kinds, study_date, study_time)
    images = [kind for kind in kinds if kind in KINDS] or kinds
    described = " AND ".join(dict.fromkeys(ALL_KINDS[kind].description for kind in images))
    if len(described) > 64:
        described = f"{ALL_KINDS[images[0]].description} AND {len(images) - 1} MORE"
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
        course_months=checks.whole(recipe.course_months, field="course_months", low=0, high=MAX_MONTHS),
        defects=defects.checked(recipe.defects, kinds),
    )
    if study.written_in:
        _check_written(study, script)
    return defects.settled(study)


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
            remedy=f"name at least one kind: {', '.join(ALL_KINDS)}",
        )
    for place, one in enumerate(given):
        _check_needs(one.kind, [earlier.kind for earlier in given[:place]])
    return tuple(_resolved(one, recipe) for one in given)


def _check_needs(kind: str, before: Sequence[str]) -> None:
    """An object refers to images of its study, which come before it."""
    needs = OBJECTS[kind].needs if kind in OBJECTS else ()
    if needs and not set(needs) & set(before):
        raise InvalidInput(
            f"series: {kind} has no images to refer to",
            field="series",
            value=kind,
            cause=f"one of these has to come before it: {', '.join(needs)}",
            remedy=f"name one of them before it, such as {needs[0]}",
        )


def _resolved(one: SeriesRecipe, recipe: StudyRecipe) -> ResolvedSeries:
    kind = ALL_KINDS.get(one.kind)
    if kind is None:
        raise InvalidInput(
            f"kind: {one.kind!r} is not a kind of series",
            field="kind",
            value=one.kind,
            cause=f"known kinds: {', '.join(ALL_KINDS)}",
            remedy="name one of them",
        )
    syntax = _syntax(one, recipe)
    return ResolvedSeries(
        kind=one.kind,
        count=_count(one, kind),
        transfer_syntax=syntax.uid,
        quality=_quality(one, syntax),
        style=_style(one, kind, recipe.style),
        description=_given(one.description, lambda value: checks.text(value, field="description", limit=64), ""),
        device=checked_device(one.device),
    )


def _syntax(one: SeriesRecipe, recipe: StudyRecipe) -> Writable:
    """That of the entry or else of the study; objects are in none that codes pixels."""
    syntax = writable(one.transfer_syntax or recipe.transfer_syntax or EXPLICIT_LITTLE)
    if one.kind not in OBJECTS or not syntax.encapsulated:
        return syntax
    if one.transfer_syntax is None:
        return writable(EXPLICIT_LITTLE)
    raise InvalidInput(
        f"transfer_syntax: {one.kind} cannot be in {syntax.title}",
        field="transfer_syntax",
        value=one.transfer_syntax,
        cause="that codes pixels of images, and this is none",
        remedy="leave transfer_syntax out",
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
    wanted = one.style or (otherwise if otherwise in kind.looks else kind.styles[0])
    if wanted not in kind.looks or (otherwise is not None and otherwise not in STYLES):
        raise InvalidInput(
            f"style: {one.style or otherwise!r} is not a style of {one.kind}",
            field="style",
            value=one.style or otherwise,
            cause=f"its styles: {', '.join(kind.looks)}",
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
        address=checks.text(patient.address, field="address", limit=64),
        phone=checks.text(patient.phone, field="phone", limit=16),
    )
