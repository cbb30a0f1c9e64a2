"""Instance Availability Notification: tell a peer which instances are available, and where (PS3.4 annex R)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid

from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.normalized import NormalizedResponse, n_create, refused
from dicomfab.dimse.sop_classes import AVAILABILITY, PERFORMED_STEP
from dicomfab.dimse.status import Category, category

CONTEXT: Final = ProposedContext(AVAILABILITY, PLAIN_SYNTAXES)


class Availability(enum.StrEnum):
    """How soon an instance can be retrieved (PS3.3 C.4.23.1.1)."""

    ONLINE = "ONLINE"
    NEARLINE = "NEARLINE"
    OFFLINE = "OFFLINE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class AvailableInstance:
    """One instance.

    Args:
        sop_class_uid: of the instance.
        sop_instance_uid: of the instance.
        retrieve_ae_titles: from where it can be retrieved, or cannot; at least one.
        availability: how soon.
    """

    sop_class_uid: str
    sop_instance_uid: str
    retrieve_ae_titles: tuple[str, ...]
    availability: Availability = Availability.ONLINE


@dataclass(frozen=True, slots=True)
class AvailableSeries:
    """The instances of a series that a notification is about; at least one."""

    series_instance_uid: str
    instances: tuple[AvailableInstance, ...]


@dataclass(frozen=True, slots=True)
class AvailabilityNotice:
    """An instance availability notification (PS3.3 C.4.23).

    Args:
        study_instance_uid: of the study.
        series: of the study; at least one.
        performed_step_uid: SOP instance UID of the modality performed procedure step that made the instances, if known.
    """

    study_instance_uid: str
    series: tuple[AvailableSeries, ...]
    performed_step_uid: str = ""


def notify(peer: Peer, notice: AvailabilityNotice, *, sop_instance_uid: str = "") -> NormalizedResponse:
    """N-CREATE of a notification (PS3.4 R.3.2.1).

    Args:
        peer: whom to tell.
        notice: what is available.
        sop_instance_uid: of the notification; the SCU has to give one, so a new one is made if it is left out.

    Raises:
        PeerError: no answer, or a failure status.
    """
    uid = sop_instance_uid or generate_uid(prefix=None)
    with associate(peer, [CONTEXT]) as association:
        answered = n_create(association, AVAILABILITY, uid, attributes_of(notice))
        implementation = association.implementation
    if category(answered.response.status) in (Category.SUCCESS, Category.WARNING):
        return answered
    raise refused("N-CREATE", answered.response, peer.label, implementation)


def attributes_of(notice: AvailabilityNotice) -> Dataset:
    """The attributes of PS3.4 table R.3.2-1; further ones are forbidden to an SCU."""
    attributes = Dataset()
    attributes.ReferencedPerformedProcedureStepSequence = DicomSequence()
    if notice.performed_step_uid:
        step = _reference(PERFORMED_STEP, notice.performed_step_uid)
        step.PerformedWorkitemCodeSequence = DicomSequence()
        attributes.ReferencedPerformedProcedureStepSequence.append(step)
    attributes.StudyInstanceUID = notice.study_instance_uid
    attributes.ReferencedSeriesSequence = DicomSequence([_series(series) for series in notice.series])
    return attributes


def _series(series: AvailableSeries) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series.series_instance_uid
    item.ReferencedSOPSequence = DicomSequence([_instance(instance) for instance in series.instances])
    return item


def _instance(instance: AvailableInstance) -> Dataset:
    item = _reference(instance.sop_class_uid, instance.sop_instance_uid)
    item.InstanceAvailability = instance.availability.value
    item.RetrieveAETitle = list(instance.retrieve_ae_titles)
    return item


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
