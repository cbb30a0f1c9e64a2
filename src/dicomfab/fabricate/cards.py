"""The style ``card``: any series with text cards instead of a body, for people to compare with what a PACS shows.

A card says the main attributes with their tags, and shows six symbols that the SeriesDescription repeats, so that eyes
can tell whether attributes were changed or series mixed up on the way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.render import card
from dicomfab.fabricate.render.bits import packed
from dicomfab.fabricate.seeds import Draw
from dicomfab.pixels.picture import first_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

SYMBOLS_ON_A_CARD: Final = 6
_DESCRIPTION_CHARS: Final = 64


def as_cards(plan: SeriesPlan, study: ResolvedStudy) -> SeriesPlan:
    """The same series with cards as its pixels.

    The data set is changed: the symbols go into SeriesDescription (0008,103E), and BurnedInAnnotation (0028,0301) is
    YES, because a card names the patient.
    """
    ds = plan.dataset
    symbols = symbols_of(study, int(ds.SeriesNumber))
    names = " ".join(symbols)
    described = str(ds.get("SeriesDescription", ""))[: _DESCRIPTION_CHARS - len(names) - 1].strip()
    ds.SeriesDescription = f"{described} {names}".strip()
    ds.BurnedInAnnotation = "YES"
    return dataclasses.replace(plan, pixels=partial(_pixels, plan, study, symbols))


def symbols_of(study: ResolvedStudy, series_number: int) -> tuple[str, ...]:
    """Names of the symbols on the cards of a series, which follow from the seed."""
    draw = Draw(study.seed, "symbols", series_number)
    left = list(card.SYMBOLS)
    return tuple(left.pop(draw.below(len(left))) for _ in range(SYMBOLS_ON_A_CARD))


def _pixels(plan: SeriesPlan, study: ResolvedStudy, symbols: tuple[str, ...]) -> Iterator[memoryview]:
    look = Look.of(plan.dataset)
    for index in range(plan.count):
        cards = _cards(plan, _lines(plan, study, plan.varying(index)), symbols, look)
        if plan.dataset.BitsAllocated == 1:
            yield from packed((grey > 100 for grey in cards), plan.frames)
        else:
            for grey in cards:
                yield look.stored(grey).data.cast("B")


def _cards(
    plan: SeriesPlan, lines: tuple[tuple[str, str], ...], symbols: tuple[str, ...], look: Look
) -> Iterator[NDArray[np.uint8]]:
    """The cards of one instance, one for each frame."""
    for frame in range(plan.frames):
        shown = (*lines, ("Frame", f"{frame + 1} of {plan.frames}")) if plan.frames > 1 else lines
        yield card.render(shown, symbols, look.rows, look.columns)


def _lines(plan: SeriesPlan, study: ResolvedStudy, varying: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    ds, patient = plan.dataset, study.patient
    date, time = study.study_date, study.study_time
    return (
        ("Patient name (0010,0010)", patient.name),
        ("Patient ID (0010,0020)", f"{patient.patient_id}   ({patient.issuer})"),
        ("Born, sex (0010,0030) (0010,0040)", f"{_dashed(patient.birth_date) or '-'}   {patient.sex or '-'}"),
        ("Accession number (0008,0050)", study.accession_number or "-"),
        ("Study (0008,1030)", f"{study.study_description or '-'}   (ID {study.study_id or '-'})"),
        ("Date, time (0008,0020) (0008,0030)", f"{_dashed(date)}   {time[:2]}:{time[2:4]}:{time[4:6]}"),
        ("Modality (0008,0060)", str(ds.Modality)),
        ("Series (0020,0011) (0008,103E)", f"{ds.SeriesNumber}   {ds.SeriesDescription}"),
        ("Instance (0020,0013)", f"{varying.get('InstanceNumber', '1')} of {plan.count}"),
        ("Seed", str(study.seed)),
    )


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """How grey becomes stored values.

    Args:
        dark: the stored value of black.
        bright: that of white.
        samples: in a pixel; of colour, all are the same.
        dtype: of a sample, little endian.
    """

    rows: int
    columns: int
    samples: int
    dark: float
    bright: float
    dtype: str

    @classmethod
    def of(cls, ds: Dataset) -> Look:
        """The whole range of stored values, or what the first window shows of it."""
        signed = ds.PixelRepresentation == 1
        low = -(1 << (ds.BitsStored - 1)) if signed else 0
        high = low + (1 << ds.BitsStored) - 1
        dark, bright = float(low), float(high)
        centre, width = first_number(ds, "WindowCenter"), first_number(ds, "WindowWidth")
        if ds.SamplesPerPixel == 1 and centre is not None and width is not None:
            slope, intercept = first_number(ds, "RescaleSlope") or 1.0, first_number(ds, "RescaleIntercept") or 0.0
            ends = ((centre + side * width / 2 - intercept) / slope for side in (-1, 1))
            dark, bright = (min(max(end, low), high) for end in ends)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            dark, bright = bright, dark
        dtype = f"<{'i' if signed else 'u'}{-(-ds.BitsAllocated // 8)}"
        return cls(int(ds.Rows), int(ds.Columns), int(ds.SamplesPerPixel), dark, bright, dtype)

    def stored(self, grey: NDArray[np.uint8]) -> NDArray[Any]:
        """(rows, columns) of 0 to 255, as stored values."""
        import numpy as np

        values = np.rint(self.dark + grey.astype(np.float32) * ((self.bright - self.dark) / 255)).astype(self.dtype)
        if self.samples > 1:
            values = np.repeat(values[..., np.newaxis], self.samples, axis=2)
        return np.ascontiguousarray(values)
