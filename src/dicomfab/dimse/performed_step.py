"""The rules of Modality Performed Procedure Step (PS3.4 F.7 and F.8), and what a server answers by them.

They live here, pure: whoever keeps the steps only keeps them (:class:`PerformedStepStore`). Attributes of type 2 may be
left out: many modalities do, and nothing is lost. Those of type 1 have to be there, and to be valid.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, Protocol

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import generate_uid

from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.sop_classes import PERFORMED_STEP
from dicomfab.model.errors import Conflict, NotFound
from dicomfab.model.values import is_uid

log = logging.getLogger(__name__)

IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
DISCONTINUED: Final = "DISCONTINUED"
#: Modality Performed Procedure Step Retrieve (PS3.4 F.8): N-GET has a SOP class of its own.
RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"

# PS3.7 annex C
INVALID_VALUE: Final = 0x0106
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
INVALID_INSTANCE: Final = 0x0117
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_VALUE: Final = 0x0121
UNRECOGNIZED_OPERATION: Final = 0x0211
#: Error ID of an N-SET of a step that has ended (PS3.4 table F.7.2-2).
NO_LONGER_UPDATABLE: Final = 0xA710
_NO_LONGER: Final = "Performed Procedure Step Object may no longer be updated"

Check = Callable[[str], bool]

_SERIES: Final = "PerformedSeriesSequence"
_STATUS: Final = "PerformedProcedureStepStatus"
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])(:?[0-5][0-9](:?([0-5][0-9]|60)(\.[0-9]{1,6})?)?)?")
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
# Only N-CREATE may set these (PS3.4 table F.7.2-1).
_FIXED: Final = (
    "ScheduledStepAttributesSequence PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex "
    "ReferencedPatientSequence PerformedProcedureStepID PerformedStationAETitle PerformedStationName "
    "PerformedLocation PerformedProcedureStepStartDate PerformedProcedureStepStartTime Modality StudyID"
).split()


def is_date(text: str) -> bool:
    """Whether a text is a DA value (PS3.5 6.2), and a day of the calendar."""
    if not re.fullmatch(r"[0-9]{8}", text):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 (the calendar alone)
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    """Whether a text is a TM value (PS3.5 6.2)."""
    return _TIME.fullmatch(text) is not None


def is_short(text: str) -> bool:
    """Whether a text is a value of at most 16 characters, as AE and SH have."""
    return 0 < len(text) <= 16 and text.isprintable() and "\\" not in text


def is_code(text: str) -> bool:
    """Whether a text is a CS value (PS3.5 6.2)."""
    return _CODE.fullmatch(text) is not None


_BEGIN: Final[dict[str, Check]] = {
    "PerformedProcedureStepID": is_short,
    "PerformedStationAETitle": is_short,
    "PerformedProcedureStepStartDate": is_date,
    "PerformedProcedureStepStartTime": is_time,
    "Modality": is_code,
}
_END: Final[dict[str, Check]] = {
    "PerformedProcedureStepEndDate": is_date,
    "PerformedProcedureStepEndTime": is_time,
}


def required(dataset: Dataset, keyword: str, valid: Check) -> str:
    """The one value of an attribute of type 1 (PS3.5 7.4.1).

    Raises:
        Refusal: 0120 if it is missing, 0121 if it has no value, 0106 if that is not valid.
    """
    if keyword not in dataset:
        raise Refusal(MISSING_ATTRIBUTE, f"{keyword} is missing")
    value = dataset[keyword].value
    text = "" if value is None else str(value).strip(" \0")
    if not text:
        raise Refusal(MISSING_VALUE, f"{keyword} has no value")
    if isinstance(value, MultiValue) or not valid(text):
        raise Refusal(INVALID_VALUE, f"{keyword} is not valid")
    return text


def items(dataset: Dataset, keyword: str, *, at_least: int = 0) -> Iterator[Dataset]:
    """The items of a sequence.

    Raises:
        Refusal: there is to be one, and it is missing (0120) or without items (0121); or it is no sequence (0106).
    """
    if keyword not in dataset:
        if at_least:
            raise Refusal(MISSING_ATTRIBUTE, f"{keyword} is missing")
        return
    element = dataset[keyword]
    if element.VR != "SQ":
        raise Refusal(INVALID_VALUE, f"{keyword} is no sequence")
    found = element.value or ()
    if len(found) < at_least:
        raise Refusal(MISSING_VALUE, f"{keyword} has no item")
    yield from found


def begin(attributes: Dataset) -> None:
    """Check what an N-CREATE makes (PS3.4 F.7.2.1).

    Raises:
        Refusal: 0120, 0121 or 0106; the comment names the attribute.
    """
    for item in items(attributes, "ScheduledStepAttributesSequence", at_least=1):
        required(item, "StudyInstanceUID", is_uid)
    for keyword, valid in _BEGIN.items():
        required(attributes, keyword, valid)
    if required(attributes, _STATUS, is_code) != IN_PROGRESS:
        raise Refusal(INVALID_VALUE, f"{_STATUS} must be {IN_PROGRESS}")
    _check_series(attributes, complete=False)


def change(state: Dataset, modifications: Dataset) -> Dataset:
    """What a step becomes by an N-SET; the arguments stay as they are (PS3.4 F.7.2.2).

    A sequence replaces the one before it, all its items. Repeating an attribute that may not be changed is allowed.

    Raises:
        Refusal: 0110 with Error ID A710 if the step has ended; 0106, 0120 or 0121 with a comment that names the
            attribute which may not be changed, is not valid, or is missing for the final state.
    """
    if _status(state) != IN_PROGRESS:
        raise Refusal(PROCESSING_FAILURE, _NO_LONGER, error_id=NO_LONGER_UPDATABLE)
    for keyword in _FIXED:
        if keyword in modifications and _is_changed(state, modifications, keyword):
            raise Refusal(INVALID_VALUE, f"{keyword} may not be changed")
    if _STATUS in modifications:
        required(modifications, _STATUS, lambda text: text in (IN_PROGRESS, COMPLETED, DISCONTINUED))
    changed = _merged(state, modifications)
    status = _status(changed)
    for keyword, valid in _END.items():
        if status != IN_PROGRESS or changed.get(keyword):
            required(changed, keyword, valid)
    _check_series(changed, complete=status == COMPLETED)
    return changed


def _status(dataset: Dataset) -> str:
    return str(dataset.get(_STATUS) or "").strip()


def _is_changed(state: Dataset, modifications: Dataset, keyword: str) -> bool:
    before = state[keyword].value if keyword in state else None
    return (before or None) != (modifications[keyword].value or None)


def _check_series(attributes: Dataset, *, complete: bool) -> None:
    """Check the performed series: what was acquired is only known for sure when the step is complete."""
    for series in items(attributes, _SERIES, at_least=complete):
        required(series, "SeriesInstanceUID", is_uid)
        if complete:
            required(series, "ProtocolName", str.isprintable)
        for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            for reference in items(series, keyword):
                required(reference, "ReferencedSOPClassUID", is_uid)
                required(reference, "ReferencedSOPInstanceUID", is_uid)


def _merged(state: Dataset, modifications: Dataset) -> Dataset:
    """Both as one; texts of two character sets end up in UTF-8."""
    merged, added = (_decoded(copy.deepcopy(dataset)) for dataset in (state, modifications))
    before, after = (dataset.get("SpecificCharacterSet") for dataset in (merged, added))
    for element in added:
        merged.add(element)
    if before != after:
        merged.SpecificCharacterSet = "ISO_IR 192"
    return merged


def _decoded(dataset: Dataset) -> Dataset:
    """The same, every value read: later, what encoding they came in would be forgotten."""
    for _ in dataset.iterall():
        pass
    return dataset


class PerformedStepStore(Protocol):
    """Keeps performed procedure steps by their SOP instance UID."""

    def create(self, requestor: Requestor, sop_instance_uid: str, attributes: Dataset) -> None:
        """Keep a new one. Raises :class:`~dicomfab.model.errors.Conflict` if it is there already."""

    def get(self, sop_instance_uid: str) -> Dataset:
        """One as it is. Raises :class:`~dicomfab.model.errors.NotFound`."""

    def update(self, requestor: Requestor, sop_instance_uid: str, change: Callable[[Dataset], Dataset]) -> None:
        """Replace one by what the function makes of it, nobody else changing it meanwhile.

        Raises :class:`~dicomfab.model.errors.NotFound`, and what the function raises: then the step stays as it was.
        """


class PerformedStepHandler:
    """N-CREATE and N-SET of the step (PS3.4 F.7), and N-GET for the SOP class :data:`RETRIEVE` (F.8).

    Args:
        store: where steps are kept.
    """

    def __init__(self, store: PerformedStepStore) -> None:
        self._store = store

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        """Do it (see :class:`~dicomfab.dimse.handlers.NormalizedHandler`).

        Raises:
            Refusal: what :func:`begin` and :func:`change` say; 0111 for a step that is there already, 0112 for one
                that is not, 0117 for a SOP instance UID that is none, 0211 for an operation that the SOP class has not.
        """
        uid = request.sop_instance_uid
        try:
            reply = self._performed(requestor, request)
        except Refusal as refusal:
            log.warning("%s of step %s from %s refused: %s", request.operation, uid, requestor.ae_title, refusal)
            raise
        uid = uid or reply.sop_instance_uid
        log.info("%s of performed procedure step %s from %s", request.operation, uid, requestor.ae_title)
        return reply

    def _performed(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        uid = request.sop_instance_uid
        if uid and not is_uid(uid):
            raise Refusal(INVALID_INSTANCE, "the SOP instance UID is not valid")
        attributes = Dataset() if request.attributes is None else request.attributes
        try:
            match request.operation, request.sop_class_uid:
                case "N-CREATE", _ if request.sop_class_uid == PERFORMED_STEP:
                    begin(attributes)
                    uid = uid or generate_uid(prefix=None)
                    self._store.create(requestor, uid, attributes)
                    return NormalizedReply(sop_instance_uid=uid)
                case "N-SET", _ if request.sop_class_uid == PERFORMED_STEP:
                    self._store.update(requestor, uid, lambda state: change(state, attributes))
                    return NormalizedReply()
                case "N-GET", _ if request.sop_class_uid == RETRIEVE:
                    return NormalizedReply(attributes=_selected(self._store.get(uid), request.tags))
        except Conflict as error:
            raise Refusal(DUPLICATE_INSTANCE, "the performed procedure step is there already") from error
        except NotFound as error:
            raise Refusal(NO_SUCH_INSTANCE, "there is no such performed procedure step") from error
        raise Refusal(UNRECOGNIZED_OPERATION, f"{request.operation} is not an operation of this SOP class")


def _selected(state: Dataset, tags: tuple[int, ...]) -> Dataset:
    if not tags:
        return state
    wanted = Dataset()
    for element in state:
        if element.tag in tags or element.keyword == "SpecificCharacterSet":
            wanted.add(element)
    return wanted
