"""What part of the local store is shown, as the address of the page holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final

from fastapi import Query

from dicomfab.archive.records import StudyFilter, StudySort
from dicomfab.model.values import Environment, is_uid

SIZES: Final = (25, 50, 100, 200)
MODALITIES: Final = ("CT", "MR", "DX", "CR", "US", "MG", "PT", "NM", "XA", "RF", "ES", "SM", "OT")
#: Studies that can be chosen at once.
MOST_CHOSEN: Final = 500

#: Filters by name in the address: what they are called.
FILTERS: Final = {
    "environment": "Environment",
    "modality": "Modality",
    "since": "From",
    "until": "To",
    "name": "Patient name",
    "patient_id": "Patient ID",
    "accession": "Accession number",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """Which studies are shown, in which order, and which of them are chosen.

    Args:
        search: words.
        filters: those of ``FILTERS`` that are set.
        sort, is_descending: the order.
        number: of the page, from 1.
        size: of the page.
        chosen: Study Instance UIDs.
    """

    search: str
    filters: dict[str, str]
    sort: StudySort
    is_descending: bool
    number: int
    size: int
    chosen: tuple[str, ...] = field(default=())

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        return {
            "q": self.search,
            **self.filters,
            "sort": "" if self.sort is StudySort.STORED else str(self.sort),
            "order": "" if self.is_descending else "asc",
            "size": "" if self.size == SIZES[0] else self.size,
            "page": "" if self.number == 1 else self.number,
            "study": self.chosen,
        }

    @property
    def is_narrowed(self) -> bool:
        """Whether some studies are left out."""
        return bool(self.search or self.filters)

    @property
    def more_is_used(self) -> bool:
        """Whether a filter is set that is folded away."""
        return bool({"name", "patient_id", "accession"} & set(self.filters))

    def filter(self) -> StudyFilter:
        """The same for the archive."""
        given = self.filters
        return StudyFilter(
            search=self.search,
            patient_name=_anywhere(given.get("name", "")),
            patient_id=_anywhere(given.get("patient_id", "")),
            accession_number=_anywhere(given.get("accession", "")),
            modality=given.get("modality", ""),
            date_from=given.get("since", "").replace("-", ""),
            date_to=given.get("until", "").replace("-", ""),
        )

    def environments(self) -> Sequence[Environment]:
        """Where shown studies came from."""
        wanted = self.filters.get("environment")
        return (Environment(wanted),) if wanted else tuple(Environment)


def listing_of(
    q: str = "",
    environment: str = "",
    modality: str = "",
    since: str = "",
    until: str = "",
    name: str = "",
    patient_id: str = "",
    accession: str = "",
    sort: str = StudySort.STORED,
    order: str = "",
    page: str = "1",
    size: str = "",
    study: Annotated[list[str] | None, Query()] = None,
) -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    modality = modality.strip().upper()
    given = {
        "environment": environment if environment in set(Environment) else "",
        "modality": modality if modality.isascii() and modality.isalnum() and len(modality) <= 16 else "",
        "since": _day(since),
        "until": _day(until),
        "name": name.strip()[:64],
        "patient_id": patient_id.strip()[:64],
        "accession": accession.strip()[:64],
    }
    known = {str(one): one for one in StudySort}
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 1
    return Listing(
        search=q.strip()[:200],
        filters={key: value for key, value in given.items() if value},
        sort=known.get(sort, StudySort.STORED),
        is_descending=order != "asc",
        number=max(1, number),
        size=next((one for one in SIZES if str(one) == size), SIZES[0]),
        chosen=chosen_of(study or ()),
    )


def chosen_of(given: Sequence[str]) -> tuple[str, ...]:
    """The UIDs among what an address or a form holds, each once."""
    return tuple(dict.fromkeys(one for one in given if is_uid(one)))[:MOST_CHOSEN]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        return ""


def _anywhere(text: str) -> str:
    """A part of a value is enough, unless wildcards say what is."""
    text = text.replace("\\", "?")
    return text if not text or "*" in text or "?" in text else f"*{text}*"
