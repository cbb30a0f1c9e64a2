"""A study in advance: decided as if it were made, but no identifier is taken for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.study import Patient

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
    from dicomfab.model.actor import Actor
    from dicomfab.services.studies import StudyService


def resolve_preview(studies: StudyService, actor: Actor, recipe: StudyRecipe) -> ResolvedStudy:
    """Fill in what the recipe leaves open, with an example wherever a pattern would give an identifier.

    The result has a seed; a recipe without patterns that is given this seed makes exactly this study.

    Raises:
        InvalidInput: as for :meth:`~dicomfab.services.studies.StudyService.resolve_recipe`.
    """
    require(actor, Action.FABRICATE, Scope.SYSTEM)
    seed = studies.draw_seed() if recipe.seed is None else recipe.seed
    return studies.resolve_recipe(actor, replace(_exemplified(recipe, seed), seed=seed))


def _exemplified(recipe: StudyRecipe, seed: int) -> StudyRecipe:
    from dicomfab.fabricate.patterns import Purpose, parse

    if recipe.accession_pattern and recipe.accession_number is None:
        pattern = parse(recipe.accession_pattern, Purpose.ACCESSION, field="accession_pattern")
        recipe = replace(recipe, accession_number=pattern.value(seed % pattern.capacity))
    patient = recipe.patient or Patient("", "")
    if recipe.patient_id_pattern and not patient.patient_id:
        pattern = parse(recipe.patient_id_pattern, Purpose.PATIENT_ID, field="patient_id_pattern")
        recipe = replace(recipe, patient=replace(patient, patient_id=pattern.value(seed % pattern.capacity)))
    return replace(recipe, accession_pattern=None, patient_id_pattern=None)
