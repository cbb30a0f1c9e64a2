"""The form for a study to fabricate: from what the browser sends to a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import zip_longest
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe, with_slices
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from dicomfab.services.order_study import recipe_values
from dicomfab.services.studies import patient_given

FORM: Final = "form"
RECIPE: Final = "recipe"
ORDER: Final = "order"
#: Tab -> its address.
TABS: Final = {FORM: "/studies/new", RECIPE: "/studies/new/recipe", ORDER: "/studies/new/order"}
MAX_STUDIES: Final = 1_000


class StudyForm(BaseModel):
    """Texts as typed; blank leaves a value to be invented.

    Args:
        tab: which of the three ways it is: form, recipe or order.
        series_kind, series_count, series_syntax: a row for each further series; blank ones are left to the kind.
        patient: number of a registered patient; what is typed about another one is then left aside.
        patient_search: what the registry was last searched for.
        studies: how many; one if blank.
        patients: ``one`` for the same in all studies.
        destination: server to send the studies to as soon as they are made.
        shown_seed: the seed of the preview that is on the page, taken where none is typed.
        anew: draw another seed than that of the preview.
        text: of a recipe that is written on the page.
        message: HL7 text that an order was read from; ``which`` of its orders, counted from 0.
        is_test: somebody says that no real person is in the message.
        order: number of the order, if it is kept already.
    """

    tab: Annotated[str, AfterValidator(lambda tab: tab if tab in TABS else FORM)] = FORM
    recipe_name: str = Field("", alias="recipe")
    kinds: list[str] = []
    series_kind: list[str] = []
    series_count: list[str] = []
    series_syntax: list[str] = []
    patient: str = ""
    patient_search: str = ""
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    slices: str = ""
    style: str = ""
    script: str = ""
    contact: bool = False
    transfer_syntax: str = ""
    seed: str = ""
    studies: str = ""
    patients: str = ""
    destination: str = ""
    confirm_name: str = ""
    shown_seed: str = ""
    anew: bool = False
    text: str = ""
    message: str = ""
    which: int = 0
    is_test: bool = False
    order: str = ""
    issuer: str = ""
    size_m: str = ""
    weight_kg: str = ""
    study_time: str = ""
    study_id: str = ""
    referring_physician: str = ""
    study_instance_uid: str = ""
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    requested_procedure_code: str = ""
    scheduled_step_id: str = ""
    scheduled_step_description: str = ""
    protocol_code: str = ""
    admission_id: str = ""

    @property
    def action(self) -> str:
        """The address of its page."""
        return TABS.get(self.tab, TABS[FORM])

    @property
    def patient_number(self) -> int | None:
        """Number of the registered patient who is chosen.

        Raises:
            InvalidInput: it is no number.
        """
        return _whole("patient", self.patient) if self.patient.strip() else None

    @property
    def count(self) -> int:
        """How many studies are wanted.

        Raises:
            InvalidInput: it is no number, or too many.
        """
        wanted = _whole("studies", self.studies) if self.studies.strip() else 1
        if not 1 <= wanted <= MAX_STUDIES:
            raise InvalidInput(
                f"studies: {wanted} cannot be made from a page",
                field="studies",
                value=wanted,
                cause=f"1 to {MAX_STUDIES} are made at once here",
                remedy="make more on the command line: dicomfab study create --count",
            )
        return wanted

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Kind, count and transfer syntax of each further series, also of those that are still blank."""
        return [
            (kind, count, syntax)
            for kind, count, syntax in zip_longest(
                self.series_kind, self.series_count, self.series_syntax, fillvalue=""
            )
        ]

    def with_rows(self, rows: list[tuple[str, str, str]]) -> StudyForm:
        """The same form with other rows."""
        kinds, counts, syntaxes = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        return self.model_copy(update={"series_kind": kinds, "series_count": counts, "series_syntax": syntaxes})

    def recipe(self, load: Callable[[str], StudyRecipe], registered: Callable[[int], Patient]) -> StudyRecipe:
        """The recipe asked for.

        Args:
            load: gives the recipe of a name.
            registered: gives the registered patient of a number.

        Raises:
            InvalidInput: no series is chosen and no recipe, or both; or a number is none.
        """
        series = [SeriesRecipe(kind) for kind in self.kinds] + [
            _row(*row, place) for place, row in enumerate(self.rows) if row[0]
        ]
        if bool(series) == bool(self.recipe_name):
            problem = "a recipe is chosen too; take one or the other" if series else "tick at least one"
            raise InvalidInput(f"kinds: {problem}", field="kinds", value="")
        asked = StudyRecipe(tuple(series)) if series else load(self.recipe_name)
        if self.tab == ORDER:
            return self._seeded(dataclasses.replace(asked, **self._of_order()))
        slices = _whole("slices", self.slices) if self.slices.strip() else None
        parsed = (SeriesRecipe.parse(one) if isinstance(one, str) else one for one in asked.series)
        number = self.patient_number
        given = {
            "patient": self._typed_patient() if number is None else registered(number),
            "accession_number": self.accession_number.strip() or None,
            "study_date": _date(self.study_date) or None,
            "study_description": self.study_description.strip() or None,
            "style": self.style or None,
            "script": self.script or None,
            "contact": self.contact or None,
            "transfer_syntax": self.transfer_syntax or None,
        }
        said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return self._seeded(
            dataclasses.replace(asked, series=tuple(with_slices(one, slices) for one in parsed), **said)
        )

    def seeded(self, recipe: StudyRecipe) -> StudyRecipe:
        """A recipe of the page's own, with the seed of the preview unless it has one."""
        return recipe if recipe.seed is not None else self._seeded(recipe)

    def _seeded(self, recipe: StudyRecipe) -> StudyRecipe:
        seed = self.seed.strip() or ("" if self.anew else self.shown_seed.strip())
        return dataclasses.replace(recipe, seed=_whole("seed", seed)) if seed else recipe

    def _of_order(self) -> dict[str, Any]:
        values = {name: str(getattr(self, name)).strip() for name in ORDER_FIELDS}
        for name in ("birth_date", "study_date"):
            values[name] = _date(values[name])
        return recipe_values(values)

    def _typed_patient(self) -> Patient | None:
        return patient_given(
            self.patient_name.strip(), self.patient_id.strip(), _date(self.birth_date), self.sex.strip()
        )


#: What the order tab lets people edit, in the order in which it is shown, with its label.
ORDER_FIELDS: Final = {
    "patient_name": "Patient name",
    "patient_id": "Patient ID",
    "issuer": "Issuer of patient ID",
    "birth_date": "Birth date",
    "sex": "Sex",
    "size_m": "Height in m",
    "weight_kg": "Weight in kg",
    "accession_number": "Accession number",
    "study_instance_uid": "Study Instance UID",
    "study_date": "Study date",
    "study_time": "Study time",
    "study_description": "Study description",
    "study_id": "Study ID",
    "referring_physician": "Referring physician",
    "requested_procedure_id": "Requested procedure ID",
    "requested_procedure_description": "Requested procedure",
    "requested_procedure_code": "Requested procedure code",
    "scheduled_step_id": "Scheduled step ID",
    "scheduled_step_description": "Scheduled step",
    "protocol_code": "Protocol code",
    "admission_id": "Admission ID",
}


def _row(kind: str, count: str, syntax: str, place: int) -> SeriesRecipe:
    counted = _whole(f"series_count-{place}", count) if count.strip() else None
    return SeriesRecipe(kind, counted, syntax or None)


def _date(text: str) -> str:
    """The browser's ``2026-01-31`` as DICOM writes it."""
    return text.strip().replace("-", "")


def _whole(name: str, text: str) -> int:
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 20):
        raise InvalidInput(
            f"{name}: {text!r} is not a whole number", field=name, value=text, remedy="use digits alone, such as 200"
        )
    return int(stripped)
