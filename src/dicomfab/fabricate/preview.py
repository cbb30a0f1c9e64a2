"""What a recipe would make, without making it: the attributes of an instance and one picture."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.study import plans
from dicomfab.model.errors import NotFound
from dicomfab.pixels.picture import native_frame, seen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from dicomfab.fabricate.plan import SeriesPlan

#: So few slices or frames are rendered to get the middle one.
_RENDERED: Final = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """One series in advance.

    Args:
        dataset: the attributes of its middle instance, without pixels.
        instances: how many it will have.
        frames: in each.
        plan: the series with few instances; its pixels are rendered when they are asked for.
    """

    dataset: Dataset
    instances: int
    frames: int
    plan: SeriesPlan

    def picture(self) -> NDArray[np.uint8]:
        """The middle frame of those few as it is displayed at first, (rows, columns) or (rows, columns, 3).

        Raises:
            NotFound: it has no pixels.
        """
        if not self.plan.frames:
            raise NotFound(
                "There is no picture of it: it has no pixels.",
                cause="reports, plans, states and waveforms are read, not looked at",
                remedy="make the study, and open its page Look",
            )
        middle = self.plan.count * self.plan.frames // 2
        frames: Iterator[Any] = self.plan.pixels()
        frame = next(itertools.islice(frames, middle, None))
        picture = seen(self.plan.dataset, native_frame(self.plan.dataset, frame))
        if hasattr(frames, "close"):
            frames.close()
        return picture


def previews(study: ResolvedStudy, *, workers: int = 2) -> Iterator[Preview]:
    """Every series of a study in advance, in order; one that is made of unlike instances is seen by its smallest.

    Nothing is rendered before a picture is asked for.
    """
    few = dataclasses.replace(
        study,
        series=tuple(
            dataclasses.replace(one, count=min(one.count, _RENDERED) if ALL_KINDS[one.kind].counted else 1)
            for one in study.series
        ),
    )
    whole = itertools.groupby(plans(study, workers), key=_series)
    small = itertools.groupby(plans(few, workers), key=_series)
    for (_, group), (_, few_of_it) in zip(whole, small, strict=True):
        parts = list(group)
        shown = _smallest(parts)
        yield Preview(
            shown.attributes(shown.count // 2),
            sum(one.count for one in parts),
            shown.frames,
            _smallest(list(few_of_it)),
        )


def _series(plan: SeriesPlan) -> str:
    return str(plan.dataset.SeriesInstanceUID)


def _smallest(parts: list[SeriesPlan]) -> SeriesPlan:
    """Of the parts that show the whole thing the one with the fewest frames."""
    shown = [one for one in parts if "LABEL" not in one.dataset.get("ImageType", "")]
    return min(shown or parts, key=lambda one: one.frames)
