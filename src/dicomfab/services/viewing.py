"""Studies to look at: here already, or fetched first from the server that has them."""

from __future__ import annotations

from dataclasses import dataclass

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import Actor
from dicomfab.model.errors import NotFound
from dicomfab.model.job import Job
from dicomfab.model.values import uid
from dicomfab.registry.server import PacsServer
from dicomfab.services.copies import ExpiringCopies
from dicomfab.services.jobs.service import JobService


@dataclass(slots=True)
class ViewingService:
    """Gets studies of servers here to be looked at.

    Args:
        local: the local store.
        jobs: fetches.
        copies: knows what was fetched to be looked at, and deletes it after a while.
    """

    local: Archive
    jobs: JobService
    copies: ExpiringCopies

    def fetch(self, actor: Actor, study_instance_uid: str, source: PacsServer, *, instances: int | None) -> Job | None:
        """Have a study fetched to be looked at, unless it is here.

        Args:
            actor: who wants to look.
            study_instance_uid: of the study.
            source: a server that has it.
            instances: how many the server says that it has; ``None`` if it does not.

        Returns:
            The job that fetches it; ``None`` if the study is here, with as many instances.

        Raises:
            AccessDenied: RETRIEVE is not allowed in the server's environment.
            InvalidInput: a UID that is none.
        """
        require(actor, Action.RETRIEVE, source.environment)
        study = uid(study_instance_uid, field="study")
        if self._is_here(actor, study, source, instances):
            return None
        self.copies.fetching(study)
        return self.jobs.get(actor, [study], source, to_look_at=True)

    def _is_here(self, actor: Actor, study: str, source: PacsServer, instances: int | None) -> bool:
        try:
            summary = self.local.study(study).summary
        except NotFound:
            return False
        if summary.environment is not source.environment:
            require(actor, Action.VIEW, summary.environment)
        return summary.instance_count >= (instances or 1)
