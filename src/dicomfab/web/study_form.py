"""The form for a study to fabricate: from what the browser sends to a recipe."""

from __future__ import annotations

from pydantic import BaseModel

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe, with_slices
from dicomfab.model.errors import InvalidInput
from dicomfab.services.studies import patient_given


class StudyForm(BaseModel):
    """Texts as typed; blank leaves a value to be invented."""

    kinds: list[str] = []
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

    def recipe(self) -> StudyRecipe:
        """The recipe asked for.

        Raises:
            InvalidInput: no kind was ticked, or a number is none.
        """
        if not self.kinds:
            raise InvalidInput("kinds: tick at least one", field="kinds", value="")
        slices = _whole("slices", self.slices) if self.slices.strip() else None
        return StudyRecipe(
            series=tuple(with_slices(SeriesRecipe(kind), slices) for kind in self.kinds),
            patient=patient_given(
                self.patient_name.strip(), self.patient_id.strip(), _date(self.birth_date), self.sex.strip()
            ),
            seed=_whole("seed", self.seed) if self.seed.strip() else None,
            accession_number=self.accession_number.strip() or None,
            study_date=_date(self.study_date) or None,
            study_description=self.study_description.strip() or None,
            style=self.style or None,
            transfer_syntax=self.transfer_syntax or None,
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
