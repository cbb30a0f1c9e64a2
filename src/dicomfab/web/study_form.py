"""The form for a study to fabricate: from what the browser sends to a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe, with_slices
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from dicomfab.services.studies import patient_given


class StudyForm(BaseModel):
    """Texts as typed; blank leaves a value to be invented.

    Args:
        patient: number of a registered patient; what is typed about another one is then left aside.
        patient_search: what the registry was last searched for.
        shown_seed: the seed of the preview that is on the page, taken where none is typed.
        anew: draw another seed than that of the preview.
    """

    recipe_name: str = Field("", alias="recipe")
    kinds: list[str] = []
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
    transfer_syntax: str = ""
    seed: str = ""
    shown_seed: str = ""
    anew: bool = False

    @property
    def patient_number(self) -> int | None:
        """Number of the registered patient who is chosen.

        Raises:
            InvalidInput: it is no number.
        """
        return _whole("patient", self.patient) if self.patient.strip() else None

    def parameters(self) -> dict[str, Any]:
        """For an address that asks for the same."""
        return self.model_dump(by_alias=True, exclude={"anew", "patient_search"}, exclude_defaults=True)

    def recipe(self, load: Callable[[str], StudyRecipe], registered: Callable[[int], Patient]) -> StudyRecipe:
        """The recipe asked for.

        Args:
            load: gives the recipe of a name.
            registered: gives the registered patient of a number.

        Raises:
            InvalidInput: no kind was ticked and no recipe chosen, or both; or a number is none.
        """
        if bool(self.kinds) == bool(self.recipe_name):
            problem = "a recipe is chosen too; take one or the other" if self.kinds else "tick at least one"
            raise InvalidInput(f"kinds: {problem}", field="kinds", value="")
        asked = StudyRecipe(tuple(SeriesRecipe(kind) for kind in self.kinds)) if self.kinds else load(self.recipe_name)
        slices = _whole("slices", self.slices) if self.slices.strip() else None
        series = (SeriesRecipe.parse(one) if isinstance(one, str) else one for one in asked.series)
        seed = self.seed.strip() or ("" if self.anew else self.shown_seed.strip())
        number = self.patient_number
        given = {
            "patient": self._typed_patient() if number is None else registered(number),
            "seed": _whole("seed", seed) if seed else None,
            "accession_number": self.accession_number.strip() or None,
            "study_date": _date(self.study_date) or None,
            "study_description": self.study_description.strip() or None,
            "style": self.style or None,
            "transfer_syntax": self.transfer_syntax or None,
        }
        said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(asked, series=tuple(with_slices(one, slices) for one in series), **said)

    def _typed_patient(self) -> Patient | None:
        return patient_given(
            self.patient_name.strip(), self.patient_id.strip(), _date(self.birth_date), self.sex.strip()
        )


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
