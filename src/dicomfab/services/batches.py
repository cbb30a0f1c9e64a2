"""Several studies of one recipe, of a patient each or of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
    from dicomfab.model.actor import Actor
    from dicomfab.services.studies import StudyService


def resolve_batch(
    studies: StudyService, actor: Actor, recipe: StudyRecipe, count: int, *, of_one_patient: bool
) -> list[ResolvedStudy]:
    """Fill in so many studies.

    Args:
        studies: resolves each.
        actor: needs FABRICATE.
        recipe: of all of them.
        count: how many.
        of_one_patient: the patient of the first is that of the others, too.

    Raises:
        InvalidInput: as for :meth:`~dicomfab.services.studies.StudyService.resolve_several`.
    """
    if not of_one_patient or count < 2:
        return list(studies.resolve_several(actor, recipe, count))
    seed = studies.draw_seed() if recipe.seed is None else recipe.seed
    first = next(studies.resolve_several(actor, replace(recipe, seed=seed, accession_number=None), 1))
    same = replace(recipe, seed=seed, patient=first.patient, patient_id_pattern=None)
    return list(studies.resolve_several(actor, same, count))
