"""Examinations that pages follow: performed whether or not somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dicomfab.web.background import Kept, Work

if TYPE_CHECKING:
    from dicomfab.services.ordering.modality import Told

#: Performs, and asks now and then whether it shall stop.
Perform = Callable[[Callable[[], bool]], "Iterator[Told]"]


class ModalityRun(Work):
    """One examination, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        perform: does it.
    """

    NAME = "modality"
    IS_WAITED_FOR = True  # so that nothing stays in progress at the RIS

    def __init__(self, owner: str, perform: Perform) -> None:
        super().__init__(owner)
        self.told: list[tuple[float, Told]] = []
        self._perform = perform

    @property
    def study_instance_uid(self) -> str:
        """Of the study that is made; empty before there is one."""
        return next((one.study_instance_uid for _, one in reversed(self.told) if one.study_instance_uid), "")

    def _do(self) -> None:
        for one in self._perform(lambda: self.is_stopped):
            with self._changing():
                self.told.append((self.seconds, one))


class ModalityRuns(Kept[ModalityRun]):
    """The latest examinations."""

    KEPT = 50
    AT_ONCE = 4
    MANY = ("examinations", "each makes and sends a study")
    GONE = (
        "examination",
        "examinations are kept for a while, for whoever began them",
        "what it did is with its requested procedure",
    )
