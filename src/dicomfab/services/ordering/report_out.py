"""Reports on fabricated studies, from the truth that their images were made of: to be sent, read, or kept as SR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.archive.archive import Archive
from dicomfab.hl7.reports import Coded, Finding, Measured, Report
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.marks import RECIPE_HASH
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.storage.procedures import ProcedureRepository

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.archive.records import StoredInstance
    from dicomfab.fabricate.kinds import Code
    from dicomfab.fabricate.plan import SeriesPlan
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.fabricate.reported import Lesion
    from dicomfab.model.procedure import RequestedProcedure

_CREATOR: Final = 0x00990010
_PATIENT: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
#: What the instances say, and the procedure if there is one: what it says counts.
_SAID: Final = (
    *_PATIENT, "AccessionNumber", "StudyDate", "StudyTime", "StudyDescription", "ReferringPhysicianName", "AdmissionID",
)  # fmt: skip
_ORDERED: Final = (
    "AccessionNumber", "RequestedProcedureID", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestedProcedureCodeSequence", "RequestedProcedureDescription",
    "RequestingPhysician", "ReferringPhysicianName", "AdmissionID",
)  # fmt: skip
_MM: Final[Coded] = ("mm", "millimeter", "UCUM")
_UTF_8: Final = "ISO_IR 192"


@dataclass(frozen=True, slots=True)
class AddedDocument:
    """A structured report of a study.

    Args:
        series_instance_uid: its own.
        series_number: its own.
        sop_instance_uid: its own.
        description: of its series.
        is_new: false if it was there before.
    """

    series_instance_uid: str
    series_number: int
    sop_instance_uid: str
    description: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class ReportService:
    """Reports on local studies that were fabricated here.

    Args:
        local: the local store.
        procedures: what was requested.
        recipe: the resolved recipe by its hash, if it is kept here.
        record: the audit log.
    """

    local: Archive
    procedures: ProcedureRepository
    recipe: Callable[[str], ResolvedStudy | None]
    record: Record = nobody

    def report_of(self, actor: Actor, study_instance_uid: str, status: str = "F") -> Report:
        """What is to be reported of a study.

        Patient and order are those that the instances and the procedure name now; the lesions are those that were put
        into the images.

        Args:
            actor: needs VIEW in the environment of the study.
            study_instance_uid: a local study.
            status: ``F``, ``P`` or ``C``.

        Raises:
            NotFound: no such study, or its recipe is not known here.
            AccessDenied: the actor may not see it.
            InvalidInput: no such state; or pictures whose lesions no report tells of.
        """
        made = self._recipes(actor, study_instance_uid)
        from dicomfab.fabricate.reported import reported

        told = [reported(one) for one in made]
        lesions = {(lesion.region, lesion.index): lesion for one in reversed(told) for lesion in one.lesions}
        impressions = [line for one in told for line in one.impressions if one.lesions or not lesions]
        values = self._values(study_instance_uid)
        self.record(
            AuditEvent.by(
                actor,
                EventKind.VIEW,
                environment=str(Environment.TEST),
                study_uids=(study_instance_uid,),
                patient_ids=(values["PatientID"],) if values.get("PatientID") else (),
                subject="report",
            )
        )
        return Report(
            study_instance_uid=study_instance_uid,
            values=values,
            reader=told[0].reader,
            history=told[0].history,
            technique=" ".join(dict.fromkeys(one.technique for one in told)),
            findings=tuple(finding_of(lesions[key]) for key in sorted(lesions, key=_in_order(lesions))),
            impressions=tuple(dict.fromkeys(impressions)),
            status=status,
        )

    def add_documents(self, actor: Actor, study_instance_uid: str) -> list[AddedDocument]:
        """Add the structured reports that a study has not: Basic Text SR, and TID 1500 if it has sections.

        The same study gives the same documents: again adds nothing. Their patient is the one that the study has now.

        Args:
            actor: needs FABRICATE, and VIEW of the study.
            study_instance_uid: a local study.

        Returns:
            What was added or was added before; empty if the study was made with its reports.

        Raises:
            NotFound, AccessDenied, InvalidInput: as :meth:`report_of`.
            LocalFailure: nothing was added.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        made = self._recipes(actor, study_instance_uid)
        from dicomfab.fabricate.reported import documents

        patient = _patient_of(_head(self.local.instances(study_instance_uid)[0]))
        event = AuditEvent.by(
            actor,
            EventKind.FABRICATION,
            environment=str(Environment.TEST),
            study_uids=(study_instance_uid,),
            detail={"added": "structured reports"},
        )
        with recorded(self.record, event):
            return self._stored([plan for one in made for plan in documents(one)], patient)

    def _stored(self, plans: Sequence[SeriesPlan], patient: Dataset) -> list[AddedDocument]:
        from dicomfab.fabricate.encode.document import encode_document

        added = []
        with self.local.batch() as batch:
            for plan in plans:
                _name(plan.dataset, patient)
                for made in encode_document(plan):
                    uid = made.identity.sop_instance_uid
                    is_new = self.local.find_instance(uid) is None
                    text = str(plan.dataset.SeriesDescription)
                    added.append(AddedDocument(made.series_instance_uid, made.series_number, uid, text, is_new))
                    if is_new:
                        with batch.begin(made.identity) as incoming:
                            for buffer in made.buffers:
                                incoming.write(buffer)
                            incoming.commit(environment=Environment.TEST, made_here=True)
        return added

    def _recipes(self, actor: Actor, study_instance_uid: str) -> list[ResolvedStudy]:
        """What a study was made of, the oldest first; several if something was added to it later."""
        from dicomfab.fabricate.reported import has_pictures

        summary = self.local.study(study_instance_uid).summary
        require(actor, Action.VIEW, summary.environment)
        hashes = _hashes(self.local.instances(study_instance_uid))
        found = [self.recipe(one) for one in hashes] if summary.environment is Environment.TEST else []
        made = [one for one in found if one is not None and one.study_instance_uid == study_instance_uid]
        if not made:
            raise NotFound(
                f"what is in study {study_instance_uid} is not known here.",
                cause="it was not fabricated here, is a changed copy, or another version of this program made it",
                remedy="report on a study that was fabricated here: dicomfab study create",
            )
        if any(has_pictures(one) for one in made):
            raise InvalidInput(
                f"study: {study_instance_uid} has endoscopy, photographs or a slide",
                field="study",
                value=study_instance_uid,
                cause="the lesions of pictures have no place in a body, and no report tells of them",
                remedy="see what they show in the truth file of the study (--truth of dicomfab study create)",
            )
        return sorted(made, key=lambda one: (one.study_date, one.study_time))

    def _values(self, study_instance_uid: str) -> dict[str, str]:
        heads = [_head(one) for one in _one_of_each(self.local.instances(study_instance_uid))]
        images = [ds for ds in heads if str(ds.get("Modality", "")) not in ("SR", "KO", "PR", "SEG", "DOC")] or heads
        first = images[0]
        values = {keyword: str(first.get(keyword, "") or "") for keyword in (*_SAID, "Modality")}
        for item in first.get("ProcedureCodeSequence") or ():
            parts = (str(item.get(one, "")) for one in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
            values["RequestedProcedureCodeSequence"] = "^".join(parts)
        for item in first.get("RequestAttributesSequence") or ():
            for keyword in ("RequestedProcedureID", "RequestedProcedureDescription", "ScheduledProcedureStepID"):
                values.setdefault(keyword, str(item.get(keyword, "") or ""))
        with self.procedures.read() as rows:
            procedure = rows.with_study(study_instance_uid)
        if procedure is not None and procedure.environment is Environment.TEST:
            values |= _ordered(procedure)
        return {keyword: value for keyword, value in values.items() if value}


def _ordered(procedure: RequestedProcedure) -> dict[str, str]:
    values = {keyword: procedure.value(keyword) for keyword in _ORDERED}
    values["RequestedProcedureID"] = procedure.requested_procedure_id
    values["AccessionNumber"] = procedure.accession_number
    if procedure.steps:
        values["ScheduledProcedureStepID"] = procedure.steps[0].step_id
    return {keyword: value for keyword, value in values.items() if value}


def _one_of_each(instances: Sequence[StoredInstance]) -> list[StoredInstance]:
    """The first instance of each series."""
    return list({one.series_instance_uid: one for one in reversed(instances)}.values())[::-1]


def _hashes(instances: Sequence[StoredInstance]) -> list[str]:
    """The recipes that the series of a study say to be made by."""
    from pydicom import dcmread

    found: dict[str, None] = {}
    for one in _one_of_each(instances):
        ds = dcmread(one.path, stop_before_pixels=True, specific_tags=[_CREATOR, RECIPE_HASH])
        value = ds[RECIPE_HASH].value if RECIPE_HASH in ds else ""
        found[value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else str(value)] = None
    return [one for one in found if one]


def _head(instance: StoredInstance) -> Dataset:
    from pydicom import dcmread

    return dcmread(instance.path, stop_before_pixels=True)


def _patient_of(head: Dataset) -> Dataset:
    from pydicom import Dataset as Own

    patient = Own()
    for keyword in _PATIENT:
        if keyword in head:
            setattr(patient, keyword, str(head.get(keyword) or ""))
    return patient


def _name(ds: Dataset, patient: Dataset) -> None:
    """Let a document name the patient whom the study names now."""
    from dicomfab.fabricate.checks import holds

    stated = ds.get("SpecificCharacterSet") or ""
    character_set = stated if isinstance(stated, str) else "\\".join(stated)
    for element in patient:
        setattr(ds, element.keyword, element.value)
        if not holds(character_set, str(element.value)):
            ds.SpecificCharacterSet = _UTF_8


def _in_order(lesions: dict[tuple[str, int], Lesion]) -> Callable[[tuple[str, int]], tuple[int, int]]:
    """Regions as they came first, the lesions of each in the order of the truth."""
    regions = list(dict.fromkeys(region for region, _ in lesions))
    return lambda key: (regions.index(key[0]), key[1])


def finding_of(lesion: Lesion) -> Finding:
    """A lesion as a message tells of it: with the concepts and numbers of the structured reports."""
    from dicomfab.fabricate.iods import measurements, sr_content
    from dicomfab.fabricate.iods.report import LONG_AXIS, SHORT_AXIS

    numbers = [
        (LONG_AXIS, lesion.long_axis_mm, _MM),
        (SHORT_AXIS, lesion.short_axis_mm, _MM),
        (measurements.VOLUME, lesion.volume_mm3, _coded(sr_content.MM3)),
        (measurements.ATTENUATION, lesion.hu, _coded(sr_content.HU)),
        (measurements.SUV, lesion.suv, _coded(sr_content.SUV)),
    ]
    return Finding(
        sentence=lesion.sentence,
        code=_coded(lesion.code),
        site=_coded(lesion.site) if lesion.site else None,
        side=_coded(lesion.side) if lesion.side else None,
        measured=tuple(Measured(_coded(what), value, unit) for what, value, unit in numbers if value is not None),
        tracking_id=lesion.tracking_id,
        tracking_uid=lesion.tracking_uid,
    )


def _coded(code: Code) -> Coded:
    """As HL7 has it: the meaning before the scheme."""
    value, scheme, meaning = code
    return value, meaning, scheme
