"""What an ADT message does: to the registered patients, to procedures that are still to be done, and to local studies.

Only what comes from test is registered: a patient of production is a real person, who is nobody to fabricate from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.patients import PatientData, patient_data
from dicomfab.fabricate.people import ISSUER
from dicomfab.hl7 import patients
from dicomfab.hl7.acknowledging import Code, Problem, content_error
from dicomfab.hl7.er7 import parse
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import Order, OrderField
from dicomfab.model.procedure import ProcedureEventKind, RequestedProcedure
from dicomfab.model.values import Environment
from dicomfab.services.ordering.scheduling import merged
from dicomfab.storage.merges import MergeRows
from dicomfab.storage.patients import PatientChanges, StoredPatient
from dicomfab.storage.procedures import ProcedureRows

#: Attribute -> field of a registered patient.
_REGISTERED: Final = {
    "PatientID": "patient_id",
    "PatientName": "name",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
    "IssuerOfPatientID": "issuer",
    "PatientSize": "size_m",
    "PatientWeight": "weight_kg",
}
#: What an order says of a patient, and a later message may say otherwise.
PATIENT_KEYWORDS: Final = frozenset(
    {*_REGISTERED, "UniversalEntityID", "UniversalEntityIDType", "PatientMotherBirthName", "PregnancyStatus",
     "CurrentPatientLocation", "AdmissionID", "OtherPatientIDs", "PatientComments"}
)  # fmt: skip


@dataclass(slots=True)
class PatientNews:
    """Applies one ADT message.

    Args:
        rows: the procedures, within the transaction of the message.
        environment: of whoever sent it.
        message: its number in the ledger.
        draw_seed: for identifiers of new patients.
    """

    rows: ProcedureRows
    environment: Environment
    message: int | None
    draw_seed: Callable[[], int]

    def apply(self, event: str, news: Order, text: str) -> list[Problem]:
        """Do what a message says.

        Args:
            event: such as ``A08``.
            news: what the message says of the patient.
            text: of the message.

        Raises:
            Unacceptable: nothing of it can be done.
        """
        if not news.value("PatientID"):
            raise content_error(Code.REQUIRED_FIELD_MISSING, "PatientID is empty: nobody knows who is meant", "PID-3.1")
        if event in patients.MERGING:
            return self._merge(event, news, text)
        procedures = self._procedures(news.value("PatientID"), news.value("IssuerOfPatientID"))
        if event in patients.CANCELLING:
            self._note(procedures, "admission cancelled (A11)")
            return [] if procedures else [self._unknown("nothing is scheduled for this patient")]
        is_registered = self._register(news)
        for procedure in procedures:
            self._rename(procedure, news, f"patient's data changed ({event})")
        if self.environment is Environment.TEST:  # of production no local study is rewritten
            self._keep((news.value("PatientID"), news.value("IssuerOfPatientID")), news)
        return [] if is_registered or procedures else [self._unknown("nobody here has this Patient ID: noted only")]

    def _merge(self, event: str, news: Order, text: str) -> list[Problem]:
        if sum(segment.name == "PID" for segment in parse(text).segments) > 1:
            said = "several PID segments: nothing is merged. Send a message for each patient"
            raise content_error(Code.SEGMENT_SEQUENCE, said)
        found = patients.priors(text)
        if not found:
            raise content_error(Code.REQUIRED_FIELD_MISSING, "MRG-1 names no identifier that ends", "MRG-1.1")
        now_called = (news.value("PatientID"), news.value("IssuerOfPatientID"))
        problems = []
        for prior in found:
            if (prior.patient_id, prior.issuer) == now_called:
                raise content_error(Code.TABLE_VALUE_NOT_FOUND, "a patient cannot be merged into itself", "MRG-1.1")
            procedures = self._procedures(prior.patient_id, prior.issuer)
            was_registered = self._register_merge(prior, news)
            for procedure in procedures:
                self._rename(procedure, news, f"patient {prior.patient_id} is {now_called[0]} now ({event})")
            self._keep((prior.patient_id, prior.issuer), news)
            if not procedures and not was_registered:
                text = f"{prior.patient_id} is nobody's ID in orders and registry: the merge is noted"
                problems.append(self._unknown(text, "MRG-1.1"))
        return problems

    def _keep(self, prior: tuple[str, str], news: Order) -> None:
        """Have local studies follow, which takes longer than a message may."""
        MergeRows(self.rows.transaction).add(
            self.environment,
            prior,
            (news.value("PatientID"), news.value("IssuerOfPatientID")),
            [one for one in news.fields if one.keyword in PATIENT_KEYWORDS],
            message=self.message,
            at=self.rows.now,
        )

    def _procedures(self, patient_id: str, issuer: str) -> list[RequestedProcedure]:
        having = self.rows.with_value(self.environment, patient_id=patient_id)
        return [one for one in having if not issuer or one.issuer in ("", issuer)]

    def _rename(self, procedure: RequestedProcedure, news: Order, said: str) -> None:
        told = [one for one in news.fields if one.keyword in PATIENT_KEYWORDS]
        self.rows.replace_fields(procedure.number, merged(procedure.fields, told))
        self.rows.note(procedure.number, ProcedureEventKind.PATIENT, said, message=self.message)

    def _note(self, procedures: list[RequestedProcedure], said: str) -> None:
        for procedure in procedures:
            self.rows.note(procedure.number, ProcedureEventKind.PATIENT, said, message=self.message)

    def _register(self, news: Order) -> bool:
        """Add or edit the registered patient; false if nobody of this environment is registered."""
        if self.environment is not Environment.TEST:
            return False
        change = PatientChanges(self.rows.transaction, self.rows.now, self.draw_seed)
        known = change.known([news.value("PatientID")])
        issuer = news.value("IssuerOfPatientID")
        before = next((one for key, one in known.items() if not issuer or key[1] == issuer), None)
        after = self._data({**before.data.as_dict(), **_values(news)} if before else _values(news), news)
        if before is None:
            change.add([after])
        elif after != before.data:
            change.replace(before, after)
        return True

    def _register_merge(self, ended: patients.Prior, news: Order) -> bool:
        """Let the registered patient of an identifier go on under another; false if there is none."""
        if self.environment is not Environment.TEST:
            return False
        change = PatientChanges(self.rows.transaction, self.rows.now, self.draw_seed)
        found = _of_issuer(change.known([ended.patient_id]), ended.issuer)
        for prior in found:
            target = (news.value("PatientID"), news.value("IssuerOfPatientID") or prior.data.issuer)
            if target in change.known([target[0]]):
                change.remove(prior.number)
            else:
                values = {**prior.data.as_dict(), **_values(news), "patient_id": target[0], "issuer": target[1]}
                change.replace(prior, self._data(values, news))
        return bool(found)

    def _data(self, values: dict[str, object], news: Order) -> PatientData:
        try:
            return patient_data(values, today=self.rows.now.astimezone().date())
        except InvalidInput as error:
            # Its words hold the value, which may be a name.
            said = f"the patient cannot be registered: {error.field} cannot be used"
            raise content_error(Code.DATA_TYPE, said, _place(news, error)) from None

    @staticmethod
    def _unknown(text: str, place: str = "PID-3.1") -> Problem:
        return Problem(Code.UNKNOWN_KEY, text, place, is_warning=True)


def _of_issuer(known: Mapping[tuple[str, str], StoredPatient], issuer: str) -> list[StoredPatient]:
    """Who is meant by an issuer: whose it is, else who was registered when nobody said one; all if none is named."""
    if not issuer:
        return list(known.values())
    exactly = [one for key, one in known.items() if key[1] == issuer]
    return exactly or [one for key, one in known.items() if key[1] == ISSUER]


def _values(news: Order) -> dict[str, object]:
    """What a message says of a registered patient; what it leaves out stays."""
    return {name: news.value(keyword) for keyword, name in _REGISTERED.items() if news.value(keyword)}


def _place(news: Order, error: InvalidInput) -> str:
    keyword = next((keyword for keyword, name in _REGISTERED.items() if name == error.field), "")
    found: OrderField | None = news.field(keyword) if keyword else None
    return found.origin if found else ""
