"""Which items of a worklist are performed, alone or together, and what is made for them (IHE RAD TF-2 4.6, A.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pydicom import Dataset, dcmread

from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import AddedTo, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.seeds import SEED_LIMIT, derive
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.order import GroupedRequest, RequestAttributes
from dicomfab.model.values import Environment
from dicomfab.services.order_study import proposal
from dicomfab.services.ordering.examination import Equipment, Task
from dicomfab.services.ordering.modality_config import ModalityConfig, to_look
from dicomfab.services.ordering.performing import CANCELLED, WRONG_ITEM, order_of, step_of
from dicomfab.services.recipe_blanks import completed
from dicomfab.services.studies import LATEST

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.model.actor import Actor
    from dicomfab.model.study import Patient
    from dicomfab.services.order_study import Proposal

_DOSE: Final = "sr-dose"
_UNORDERED: Final = "ct-chest"
#: Characters of a value of VR LO.
_LO: Final = 64
#: Begun by somebody else, or before.
_BEGUN: Final = frozenset({"STARTED", "DEPARTED"})
_PATIENT: Final = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "PatientSize", "PatientWeight", "AccessionNumber", "ReferringPhysicianName", "AdmissionID",
)  # fmt: skip
_REQUESTED: Final = (
    "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)  # fmt: skip
_STEP: Final = ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence")


def key(item: Dataset) -> tuple[str, str]:
    """What tells an item from others: study and scheduled step."""
    return str(item.get("StudyInstanceUID", "")), str(step_of(item).get("ScheduledProcedureStepID", ""))


def named(item: Dataset) -> str:
    """How an item is called, without its patient."""
    return f"accession {item.get('AccessionNumber', '')}, step {step_of(item).get('ScheduledProcedureStepID', '')}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Makes tasks.

    Args:
        equipment: of the modality.
        actor: who wants them, and may.
        config: how.
    """

    equipment: Equipment
    actor: Actor
    config: ModalityConfig

    def taken(self, found: Sequence[Dataset], done: Collection[tuple[str, str]]) -> tuple[Dataset, ...]:
        """The items to perform next, as one; none if there is nothing to do.

        Args:
            found: what the worklist offers.
            done: what this modality has performed already; some worklists go on offering it.

        Raises:
            NotFound: an item that is to be grouped is not offered.
            InvalidInput: items of several patients are to be grouped.
        """
        config = self.config
        able = [one for one in found if key(one) not in done]
        if config.accession_number:
            able = [one for one in able if str(one.get("AccessionNumber", "")) == config.accession_number]
        else:
            able = [one for one in able if _state(one) not in _BEGUN]
        if not able:
            return ()
        if config.group_with:
            return self._named_group(found)
        if not config.is_grouped:
            return (able[0],)
        first = able[0]
        others = (one for one in found if _alike(one) == _alike(first) and key(one) not in {key(first), *done})
        return (first, *(one for one in others if _state(one) not in _BEGUN))

    def wrong(self, found: Sequence[Dataset], right: Dataset) -> Dataset:
        """The item after the right one, or before it if it is the last: what a finger hits that slips.

        Raises:
            NotFound: there is no other.
        """
        at = [key(one) for one in found].index(key(right))
        others = [*found[at + 1 :], *reversed(found[:at])]
        if not others:
            raise NotFound(
                "the worklist has no other item to take by mistake.",
                cause="it offers this one alone",
                remedy="send another order",
            )
        return others[0]

    def task(self, items: Sequence[Dataset], *, instead_of: Dataset | None = None) -> Task:
        """What is performed for items, together.

        Args:
            items: of one patient.
            instead_of: the right item, if these are taken by mistake: it says what the images show.

        Raises:
            InvalidInput: nothing can be made for them.
        """
        reason = self._reason
        if instead_of is not None:
            shown = self._proposed(instead_of).kind
            return Task(tuple(items), self._resolved(replace(self._proposed(items[0]), kind=shown)), WRONG_ITEM)
        if len(items) == 1:
            return Task(tuple(items), self._resolved(self._proposed(items[0])), reason)
        return Task(tuple(items), self._together(items), reason)

    def unscheduled(self, patient: Patient) -> Task:
        """An examination that nobody ordered: no accession number, and a new study."""
        seed = derive(0, "unscheduled", patient.issuer, patient.patient_id) % SEED_LIMIT
        made = _with_dose([self.config.kind or _UNORDERED])
        recipe = StudyRecipe(made, patient=completed(patient, seed, None), accession_number="")
        return Task((), self.equipment.studies.resolve_recipe(self.actor, recipe), self._reason)

    def appended(self) -> Task:
        """Further series for a study that was made here: the modality knows it still, when the worklist does not.

        Raises:
            NotFound: there is no such study here.
            InvalidInput: it was not made here.
        """
        uid = self.equipment.studies.resolve_reference(self.actor, self.config.accession_number or LATEST)
        detail = self.equipment.studies.brief(self.actor, uid)
        instances = self.equipment.local.instances(uid)
        if detail.summary.environment is not Environment.TEST or not all(one.made_here for one in instances):
            raise InvalidInput(
                f"is_appended: study {uid} was not made here",
                field="is_appended",
                value=uid,
                cause="nothing that is fabricated is added to a study of somebody else's",
                remedy="name a study that this modality has made, by its accession number",
            )
        of_series = {one.series_instance_uid: one for one in reversed(instances)}
        headers = [dcmread(one.path, stop_before_pixels=True) for one in of_series.values()]
        header = next((one for one in headers if "RequestAttributesSequence" in one), headers[0])
        items = tuple(_item(header, one) for one in header.get("RequestAttributesSequence") or ())
        resolved = self._resolved(self._proposed(items[0] if items else _item(header, Dataset())))
        summary = detail.summary
        last = max(int(one.get("SeriesNumber") or 0) for one in headers)
        study = replace(
            resolved,
            accession_number=summary.accession_number,
            study_description=summary.description,
            study_id=summary.study_id,
            order=resolved.order if items else None,
            grouped=tuple(_request(self._resolved(self._proposed(one))) for one in items) if len(items) > 1 else (),
            added_to=AddedTo(uid, summary.study_date, summary.study_time, last),
        )
        return Task(items, study, self._reason)

    @property
    def _reason(self) -> str:
        return (self.config.reason or CANCELLED) if self.config.is_discontinued else ""

    def _named_group(self, found: Sequence[Dataset]) -> tuple[Dataset, ...]:
        items: list[Dataset] = []
        for accession in dict.fromkeys((self.config.accession_number, *self.config.group_with)):
            having = [one for one in found if str(one.get("AccessionNumber", "")) == accession]
            if not having:
                raise NotFound(
                    f"the worklist has no item with accession number {accession}.",
                    cause="nothing is scheduled, it is for another station, or it is over",
                    remedy=f"look at it: {to_look(self.config)}",
                )
            items += having
        if len({_whose(one) for one in items}) > 1:
            raise InvalidInput(
                "group_with: these items are of several patients",
                field="group_with",
                value=self.config.group_with,
                cause="one examination is of one patient",
                remedy="name items of one patient",
            )
        return tuple(items)

    def _proposed(self, item: Dataset) -> Proposal:
        proposed = proposal(order_of(item), Environment.TEST)
        return replace(proposed, kind=self.config.kind) if self.config.kind else proposed

    def _resolved(self, proposed: Proposal) -> ResolvedStudy:
        recipe = proposed.recipe()
        # When it was scheduled is no matter: its time is decided when it begins.
        recipe = replace(recipe, series=_with_dose([proposed.kind]), study_date=None, study_time=None)
        return self.equipment.studies.resolve_recipe(self.actor, recipe)

    def _together(self, items: Sequence[Dataset]) -> ResolvedStudy:
        """One study for several items.

        If they are to be one study anyhow, it is that. Otherwise it is none of theirs (the group case of IHE): it has a
        Study Instance UID of its own and no accession number, which PS3.3 table C.7-3 allows to be empty, and each item
        of RequestAttributesSequence has those of one order, as PS3.3 table 10-9 defines them there.
        """
        proposals = [self._proposed(item) for item in items]
        alone = [self._resolved(one) for one in proposals]
        uids = list(dict.fromkeys(one.study_instance_uid for one in alone))
        accessions = list(dict.fromkeys(one.accession_number for one in alone))
        ids = list(dict.fromkeys(one.study_id for one in alone))
        described = " AND ".join(dict.fromkeys(one.study_description for one in alone))
        recipe = proposals[0].recipe()
        recipe = replace(
            recipe,
            series=_with_dose([one.kind for one in proposals]),
            accession_number=accessions[0] if len(accessions) == 1 else "",
            study_id=ids[0] if len(ids) == 1 else None,
            study_description=described[:_LO],
            study_date=None,
            study_time=None,
        )
        made = self.equipment.studies.resolve_recipe(self.actor, recipe)
        uid = uids[0] if len(uids) == 1 else self.equipment.new_uid()
        return replace(
            made,
            order=replace(made.order or RequestAttributes(), study_instance_uid=uid),
            grouped=tuple(_request(one) for one in alone),
        )


def _with_dose(kinds: Sequence[str]) -> tuple[SeriesRecipe, ...]:
    """Each kind once, and a report of the dose where X-rays are used."""
    found = tuple(dict.fromkeys(kinds))
    return tuple(
        SeriesRecipe(kind) for kind in (*found, *([_DOSE] if set(found) & set(ALL_KINDS[_DOSE].needs) else []))
    )


def _request(alone: ResolvedStudy) -> GroupedRequest:
    return GroupedRequest(alone.accession_number, alone.order or RequestAttributes())


def _item(header: Dataset, request: Dataset) -> Dataset:
    """An item of the worklist, as far as the images of its study tell it."""
    item, step = Dataset(), Dataset()
    for source, keywords, target in (
        (header, _PATIENT, item), (request, _REQUESTED, item), (request, _STEP, step), (header, ("Modality",), step)
    ):  # fmt: skip
        for keyword in keywords:
            if keyword in source:
                setattr(target, keyword, source[keyword].value)
    if "StudyInstanceUID" not in item:
        item.StudyInstanceUID = header.StudyInstanceUID
    if "RequestedProcedureDescription" not in item:
        item.RequestedProcedureDescription = header.get("StudyDescription")
    item.ScheduledProcedureStepSequence = [step]
    return item


def _state(item: Dataset) -> str:
    return str(step_of(item).get("ScheduledProcedureStepStatus", "") or "")


def _whose(item: Dataset) -> tuple[str, str]:
    return str(item.get("PatientID", "") or ""), str(item.get("IssuerOfPatientID", "") or "")


def _alike(item: Dataset) -> tuple[str, ...]:
    return (*_whose(item), str(step_of(item).get("Modality", "") or ""))
