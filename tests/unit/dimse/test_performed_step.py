"""The rules of performed procedure steps, and of availability notifications, without a network."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import NormalizedRequest, Refusal, Requestor
from dicomfab.dimse.identifier import decode, encode
from dicomfab.dimse.performed_step import RETRIEVE, PerformedStepHandler, begin, change
from dicomfab.dimse.scp.availability import AvailabilityHandler, notice_of
from dicomfab.dimse.scu.availability import (
    Availability,
    AvailabilityNotice,
    AvailableInstance,
    AvailableSeries,
    attributes_of,
)
from dicomfab.dimse.sop_classes import AVAILABILITY, PERFORMED_STEP
from dicomfab.model.errors import Conflict, NotFound

IMPLICIT = "1.2.840.10008.1.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
WHO = Requestor("CT1", "127.0.0.1")

pytestmark = pytest.mark.filterwarnings("ignore:(Invalid value for VR|The value length)")


def dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def begun(**values: Any) -> Dataset:
    """What an N-CREATE sends; ``None`` leaves an attribute out."""
    defaults: dict[str, Any] = {
        "ScheduledStepAttributesSequence": [dataset(StudyInstanceUID="1.2.3", AccessionNumber="A1")],
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "CT1",
        "PerformedProcedureStepStartDate": "20240705",
        "PerformedProcedureStepStartTime": "101500",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "Modality": "CT",
        "PerformedSeriesSequence": [],
    }
    return dataset(**{keyword: value for keyword, value in (defaults | values).items() if value is not None})


def series(**values: Any) -> Dataset:
    image = dataset(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.2.3.4.5")
    defaults = {"SeriesInstanceUID": "1.2.3.4", "ProtocolName": "Abdomen", "ReferencedImageSequence": [image]}
    return dataset(**{keyword: value for keyword, value in (defaults | values).items() if value is not None})


def ended(status: str = "COMPLETED", **values: Any) -> Dataset:
    defaults: dict[str, Any] = {
        "PerformedProcedureStepStatus": status,
        "PerformedProcedureStepEndDate": "20240705",
        "PerformedProcedureStepEndTime": "1030",
        "PerformedSeriesSequence": [series()],
    }
    return dataset(**{keyword: value for keyword, value in (defaults | values).items() if value is not None})


def refused(action: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        action()
    return caught.value


# ------------------------------------------------------------------ N-CREATE


def test_a_step_may_begin():
    begin(begun())
    begin(begun(PatientName=None, PatientID=None, PerformedSeriesSequence=None))  # of type 2


REQUIRED = [
    "ScheduledStepAttributesSequence", "PerformedProcedureStepID", "PerformedStationAETitle",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "PerformedProcedureStepStatus", "Modality",
]  # fmt: skip


@pytest.mark.parametrize("keyword", REQUIRED)
def test_what_a_step_must_have(keyword):
    missing = refused(lambda: begin(begun(**{keyword: None})))
    empty = refused(lambda: begin(begun(**{keyword: [] if keyword.endswith("Sequence") else ""})))
    assert (missing.status, empty.status) == (0x0120, 0x0121)
    assert keyword in missing.comment
    assert keyword in empty.comment


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PerformedProcedureStepStartDate", "20240231"),
        ("PerformedProcedureStepStartDate", "2024"),
        ("PerformedProcedureStepStartTime", "2460"),
        ("PerformedProcedureStepStartTime", "noon"),
        ("PerformedProcedureStepStatus", "COMPLETED"),
        ("PerformedProcedureStepStatus", "in progress"),
        ("PerformedStationAETitle", "A" * 17),
        ("Modality", "ct"),
        ("Modality", ["CT", "MR"]),
    ],
)
def test_values_that_no_step_begins_with(keyword, value):
    refusal = refused(lambda: begin(begun(**{keyword: value})))
    assert refusal.status == 0x0106
    assert keyword in refusal.comment


@pytest.mark.parametrize(("item", "status"), [(dataset(), 0x0120), (dataset(StudyInstanceUID="1.2.x"), 0x0106)])
def test_each_scheduled_step_names_its_study(item, status):
    scheduled = [dataset(StudyInstanceUID="1.2.3"), item]
    refusal = refused(lambda: begin(begun(ScheduledStepAttributesSequence=scheduled)))
    assert (refusal.status, "StudyInstanceUID" in refusal.comment) == (status, True)


# ------------------------------------------------------------------ N-SET


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_step_ends(status):
    state, modifications = begun(), ended(status)
    before = copy.deepcopy((state, modifications))
    changed = change(state, modifications)
    assert (changed.PerformedProcedureStepStatus, changed.PatientID) == (status, "P1")
    assert changed.PerformedSeriesSequence == [series()]
    assert (state, modifications) == before


def test_a_step_is_changed_while_in_progress():
    once = change(begun(), dataset(PerformedSeriesSequence=[series(), series(SeriesInstanceUID="1.2.3.5")]))
    again = change(once, dataset(PerformedSeriesSequence=[series(ProtocolName=None)]))
    assert again.PerformedProcedureStepStatus == "IN PROGRESS"
    assert again.PerformedSeriesSequence == [series(ProtocolName=None)]


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize("later", [ended(), dataset(PerformedProcedureStepStatus="IN PROGRESS"), dataset()])
def test_what_has_ended_is_not_changed(status, later):
    refusal = refused(lambda: change(change(begun(), ended(status)), later))
    assert (refusal.status, refusal.error_id) == (0x0110, 0xA710)
    assert refusal.comment == "Performed Procedure Step Object may no longer be updated"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ScheduledStepAttributesSequence", [dataset(StudyInstanceUID="1.2.4")]),
        ("PatientName", "Roe^Jane"),
        ("PatientID", "P2"),
        ("PatientBirthDate", "19700101"),  # not there before
        ("PerformedProcedureStepID", "PPS2"),
        ("PerformedStationAETitle", "CT2"),
        ("PerformedProcedureStepStartDate", "20240704"),
        ("PerformedProcedureStepStartTime", "1016"),
        ("Modality", "MR"),
        ("StudyID", "S1"),
    ],
)
def test_what_only_the_beginning_may_say(keyword, value):
    refusal = refused(lambda: change(begun(), dataset(**{keyword: value})))
    assert (refusal.status, keyword in refusal.comment) == (0x0106, True)


def test_a_modality_may_repeat_what_it_said():
    everything = begun(**{element.keyword: element.value for element in ended()})
    received, state = (decode(encode(one, IMPLICIT), IMPLICIT) for one in (everything, begun()))
    assert change(state, received).PerformedProcedureStepStatus == "COMPLETED"


@pytest.mark.parametrize(
    ("modifications", "status", "keyword"),
    [
        (ended(PerformedProcedureStepEndDate=None), 0x0120, "PerformedProcedureStepEndDate"),
        (ended(PerformedProcedureStepEndTime=""), 0x0121, "PerformedProcedureStepEndTime"),
        (ended("DISCONTINUED", PerformedProcedureStepEndDate=None), 0x0120, "PerformedProcedureStepEndDate"),
        (ended(PerformedProcedureStepEndDate="20241301"), 0x0106, "PerformedProcedureStepEndDate"),
        (ended("FINISHED"), 0x0106, "PerformedProcedureStepStatus"),
        (ended(""), 0x0121, "PerformedProcedureStepStatus"),
        (ended(PerformedSeriesSequence=[]), 0x0121, "PerformedSeriesSequence"),
        (ended(PerformedSeriesSequence=[series(ProtocolName=None)]), 0x0120, "ProtocolName"),
        (ended(PerformedSeriesSequence=[series(SeriesInstanceUID="")]), 0x0121, "SeriesInstanceUID"),
        (ended(PerformedSeriesSequence=[series(ReferencedImageSequence=[dataset()])]), 0x0120, "ReferencedSOPClassUID"),
        (dataset(PerformedProcedureStepEndDate="soon"), 0x0106, "PerformedProcedureStepEndDate"),
    ],
)
def test_what_a_step_must_have_in_the_end(modifications, status, keyword):
    refusal = refused(lambda: change(begun(), modifications))
    assert (refusal.status, keyword in refusal.comment) == (status, True)


def test_nothing_need_have_been_acquired_when_a_step_is_discontinued():
    changed = change(begun(), ended("DISCONTINUED", PerformedSeriesSequence=[]))
    assert changed.PerformedProcedureStepStatus == "DISCONTINUED"


def test_texts_of_two_character_sets_become_one():
    state = decode(encode(begun(PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100"), IMPLICIT), IMPLICIT)
    comment = ended(CommentsOnThePerformedProcedureStep="造影剤", SpecificCharacterSet=["", "ISO 2022 IR 87"])
    comment.PerformedSeriesSequence[0].SeriesDescription = "腹部"
    changed = change(state, decode(encode(comment, IMPLICIT), IMPLICIT))
    kept = decode(encode(changed, IMPLICIT), IMPLICIT)
    assert kept.SpecificCharacterSet == "ISO_IR 192"
    assert (kept.PatientName, kept.CommentsOnThePerformedProcedureStep) == ("Müller^Jörg", "造影剤")
    assert kept.PerformedSeriesSequence[0].SeriesDescription == "腹部"


# ------------------------------------------------------------------ the handler


class Steps:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Dataset] = {}
        self._lock = threading.Lock()

    def create(self, requestor: Requestor, sop_instance_uid: str, attributes: Dataset) -> None:
        with self._lock:
            if sop_instance_uid in self.kept:
                raise Conflict("there already")
            self.kept[sop_instance_uid] = attributes

    def get(self, sop_instance_uid: str) -> Dataset:
        try:
            return self.kept[sop_instance_uid]
        except KeyError:
            raise NotFound("no such step") from None

    def update(self, requestor: Requestor, sop_instance_uid: str, change: Callable[[Dataset], Dataset]) -> None:
        with self._lock:
            self.kept[sop_instance_uid] = change(self.get(sop_instance_uid))


def request(operation: str, uid: str, attributes: Dataset | None = None, **more: Any) -> NormalizedRequest:
    sop_class = more.pop("sop_class_uid", PERFORMED_STEP)
    return NormalizedRequest(operation, sop_class, uid, attributes=attributes, **more)


def test_the_handler_keeps_what_the_rules_allow():
    store = Steps()
    handler = PerformedStepHandler(store)
    handler.perform(WHO, request("N-CREATE", "1.2.9", begun()))
    assert refused(lambda: handler.perform(WHO, request("N-CREATE", "1.2.9", begun()))).status == 0x0111
    bad = request("N-SET", "1.2.9", ended(PerformedSeriesSequence=[]))
    assert refused(lambda: handler.perform(WHO, bad)).status == 0x0121
    assert store.kept["1.2.9"] == begun()
    handler.perform(WHO, request("N-SET", "1.2.9", ended()))
    assert refused(lambda: handler.perform(WHO, request("N-SET", "1.2.9", ended()))).error_id == 0xA710
    assert refused(lambda: handler.perform(WHO, request("N-SET", "1.2.8", ended()))).status == 0x0112
    got = handler.perform(WHO, request("N-GET", "1.2.9", sop_class_uid=RETRIEVE, tags=(0x00400252,)))
    assert got.attributes == dataset(PerformedProcedureStepStatus="COMPLETED")
    everything = handler.perform(WHO, request("N-GET", "1.2.9", sop_class_uid=RETRIEVE))
    assert everything.attributes == store.kept["1.2.9"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("N-CREATE", "1.2.9"), 0x0120),
        (request("N-CREATE", "no UID", begun()), 0x0117),
        (request("N-SET", "", ended()), 0x0112),
        (request("N-GET", "1.2.9"), 0x0211),
        (request("N-GET", "1.2.9", sop_class_uid=RETRIEVE), 0x0112),
        (request("N-CREATE", "1.2.9", begun(), sop_class_uid=RETRIEVE), 0x0211),
        (request("N-DELETE", "1.2.9"), 0x0211),
    ],
)
def test_what_the_handler_refuses(asked, status, caplog):
    store = Steps()
    assert refused(lambda: PerformedStepHandler(store).perform(WHO, asked)).status == status
    assert not store.kept
    assert "Doe" not in caplog.text


def test_the_handler_makes_up_a_uid_that_is_left_to_it():
    store = Steps()
    reply = PerformedStepHandler(store).perform(WHO, request("N-CREATE", "", begun()))
    assert list(store.kept) == [reply.sop_instance_uid]


def test_of_many_who_end_a_step_one_does():
    store = Steps()
    handler = PerformedStepHandler(store)
    handler.perform(WHO, request("N-CREATE", "1.2.9", begun()))
    outcomes: list[int] = []
    start = threading.Barrier(8)

    def end() -> None:
        start.wait()
        try:
            outcomes.append(handler.perform(WHO, request("N-SET", "1.2.9", ended())).status)
        except Refusal as refusal:
            outcomes.append(refusal.status)

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [0x0000] + [0x0110] * 7


# ------------------------------------------------------------------ availability

NOTICE = AvailabilityNotice(
    "1.2.3",
    (
        AvailableSeries(
            "1.2.3.4",
            (
                AvailableInstance(CT, "1.2.3.4.5", ("PACS", "BACKUP")),
                AvailableInstance(CT, "1.2.3.4.6", ("PACS",), Availability.NEARLINE),
            ),
        ),
        AvailableSeries("1.2.3.5", (AvailableInstance(CT, "1.2.3.5.1", ("PACS",), Availability.UNAVAILABLE),)),
    ),
    "1.2.9",
)


@pytest.mark.parametrize("notice", [NOTICE, AvailabilityNotice("1.2.3", NOTICE.series)])
def test_a_notification_survives_the_journey(notice):
    assert notice_of(decode(encode(attributes_of(notice), IMPLICIT), IMPLICIT)) == notice


def without(keyword: str, value: object = None) -> Dataset:
    """A notification in which an attribute is missing, or has another value, wherever it is."""
    attributes = attributes_of(NOTICE)
    [first, _] = attributes.ReferencedSeriesSequence
    holder = next(one for one in (attributes, first, first.ReferencedSOPSequence[0]) if keyword in one)
    if value is None:
        del holder[keyword]
    else:
        setattr(holder, keyword, value)
    return attributes


@pytest.mark.parametrize(
    "keyword",
    [
        "StudyInstanceUID", "ReferencedSeriesSequence", "SeriesInstanceUID", "ReferencedSOPSequence",
        "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "InstanceAvailability", "RetrieveAETitle",
    ],
)  # fmt: skip
def test_what_a_notification_must_have(keyword):
    told: list[object] = []
    handler = AvailabilityHandler(lambda *notice: told.append(notice))
    empty: object = [] if keyword.endswith("Sequence") else ""
    for attributes, status in ((without(keyword), 0x0120), (without(keyword, empty), 0x0121)):
        asked = request("N-CREATE", "1.2.7", attributes, sop_class_uid=AVAILABILITY)
        refusal = refused(lambda asked=asked: handler.perform(WHO, asked))  # type: ignore[misc]
        assert (refusal.status, keyword in refusal.comment) == (status, True)
    assert told == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("InstanceAvailability", "SOMEWHERE"), ("RetrieveAETitle", "A" * 17), ("StudyInstanceUID", "1.2.x")],
)
def test_values_that_a_notification_cannot_have(keyword, value):
    refusal = refused(lambda: notice_of(without(keyword, value)))
    assert (refusal.status, keyword in refusal.comment) == (0x0106, True)


def test_notifications_have_no_other_operation_and_a_uid():
    handler = AvailabilityHandler(lambda *_: None)
    attributes = attributes_of(NOTICE)
    for operation, uid, status in (("N-SET", "1.2.7", 0x0211), ("N-CREATE", "", 0x0117)):
        asked = request(operation, uid, attributes, sop_class_uid=AVAILABILITY)
        assert refused(lambda asked=asked: handler.perform(WHO, asked)).status == status  # type: ignore[misc]
