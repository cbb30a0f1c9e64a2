"""Instance Availability Notification as a server takes it (PS3.4 annex R)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomfab.dimse.handlers import NormalizedReply, NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.performed_step import (
    INVALID_INSTANCE,
    INVALID_VALUE,
    MISSING_ATTRIBUTE,
    MISSING_VALUE,
    UNRECOGNIZED_OPERATION,
    is_short,
    items,
    required,
)
from dicomfab.dimse.scu.availability import Availability, AvailabilityNotice, AvailableInstance, AvailableSeries
from dicomfab.model.values import is_uid

log = logging.getLogger(__name__)

#: Told who sends it, the SOP instance UID of the notification, and what it says; may raise :class:`Refusal`.
OnNotice = Callable[[Requestor, str, AvailabilityNotice], None]


class AvailabilityHandler:
    """N-CREATE of notifications.

    Args:
        on_notice: told of each before it is answered, in the thread of its association.
    """

    def __init__(self, on_notice: OnNotice) -> None:
        self._on_notice = on_notice

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        """Check the notification and hand it on (see :class:`~dicomfab.dimse.handlers.NormalizedHandler`).

        Raises:
            Refusal: 0120, 0121 or 0106 for an attribute that is missing, empty or not valid; 0117 for a SOP instance
                UID that is none, 0211 for another operation; the callback's.
        """
        uid = request.sop_instance_uid
        try:
            if request.operation != "N-CREATE":
                raise Refusal(UNRECOGNIZED_OPERATION, f"{request.operation} is not an operation of this SOP class")
            if not is_uid(uid):
                raise Refusal(INVALID_INSTANCE, "the SOP instance UID is missing or not valid")
            notice = notice_of(Dataset() if request.attributes is None else request.attributes)
            self._on_notice(requestor, uid, notice)
        except Refusal as refusal:
            log.warning("instance availability notification from %s refused: %s", requestor.ae_title, refusal)
            raise
        log.info("instance availability notification %s from %s", uid, requestor.ae_title)
        return NormalizedReply()


def notice_of(attributes: Dataset) -> AvailabilityNotice:
    """Read a notification (PS3.4 table R.3.2-1).

    Raises:
        Refusal: 0120, 0121 or 0106; the comment names the attribute.
    """
    steps = [
        required(item, "ReferencedSOPInstanceUID", is_uid)
        for item in items(attributes, "ReferencedPerformedProcedureStepSequence")
    ]
    if len(steps) > 1:
        raise Refusal(INVALID_VALUE, "ReferencedPerformedProcedureStepSequence: several items")
    return AvailabilityNotice(
        required(attributes, "StudyInstanceUID", is_uid),
        tuple(_series(item) for item in items(attributes, "ReferencedSeriesSequence", at_least=1)),
        steps[0] if steps else "",
    )


def _series(item: Dataset) -> AvailableSeries:
    instances = tuple(_instance(one) for one in items(item, "ReferencedSOPSequence", at_least=1))
    return AvailableSeries(required(item, "SeriesInstanceUID", is_uid), instances)


def _instance(item: Dataset) -> AvailableInstance:
    return AvailableInstance(
        required(item, "ReferencedSOPClassUID", is_uid),
        required(item, "ReferencedSOPInstanceUID", is_uid),
        _retrieve_ae_titles(item),
        Availability(required(item, "InstanceAvailability", lambda text: text in list(Availability))),
    )


def _retrieve_ae_titles(item: Dataset) -> tuple[str, ...]:
    if "RetrieveAETitle" not in item:
        raise Refusal(MISSING_ATTRIBUTE, "RetrieveAETitle is missing")
    value = item["RetrieveAETitle"].value
    titles = [str(one).strip() for one in (value if isinstance(value, MultiValue) else [value or ""])]
    if not any(titles):
        raise Refusal(MISSING_VALUE, "RetrieveAETitle has no value")
    if not all(is_short(title) for title in titles):
        raise Refusal(INVALID_VALUE, "RetrieveAETitle is not valid")
    return tuple(titles)
