"""The jobs of a study: what was done with it, is done, and will be."""

from __future__ import annotations

from dataclasses import dataclass

from dicomfab.access.policy import Action, visible
from dicomfab.model.actor import Actor
from dicomfab.storage.jobs import JobPage
from dicomfab.storage.study_jobs import StudyJobRepository


@dataclass(frozen=True, slots=True)
class StudyJobs:
    """Finds jobs by their study.

    Args:
        repository: the ledger.
    """

    repository: StudyJobRepository

    def page(self, actor: Actor, study: str, *, limit: int = 100, offset: int = 0) -> JobPage:
        """Jobs about a study, as far as the actor sees jobs of their environment; the newest first.

        Args:
            actor: who looks.
            study: Study Instance UID; it need not be in the local store.
            limit: how many of them at most.
            offset: how many to pass over.
        """
        seen = frozenset(str(environment) for environment in visible(actor, Action.VIEW))
        return self.repository.page(study, seen, limit=limit, offset=offset)
