"""What only a modality decides: several orders in one study, and series that come to a study later."""

from __future__ import annotations

import dataclasses
import json

from pydicom import Dataset

from dicomfab.fabricate.planning import plans
from dicomfab.fabricate.recipe import AddedTo, ResolvedStudy
from dicomfab.model.order import GroupedRequest, RequestAttributes
from tests.unit.fabricate.studies import study

ORDER = RequestAttributes(study_instance_uid="1.2.9", requested_procedure_code="24628-0^LN^CT Chest")
GROUPED = (
    GroupedRequest("A1", RequestAttributes("1.2.1", "RP1", requested_procedure_code="1^99X^Chest")),
    GroupedRequest("A2", RequestAttributes("1.2.2", "RP2", requested_procedure_code="2^99X^Abdomen")),
)
ADDED = AddedTo("1.2.9", "20260101", "080000", 3)


def datasets(asked: ResolvedStudy) -> list[Dataset]:
    return [plan.dataset for plan in plans(asked, 1)]


def test_every_order_of_a_group_is_named_by_images_and_documents() -> None:
    asked = dataclasses.replace(
        study("ct-chest", "sr-dose", slices=2, order=ORDER), accession_number="", grouped=GROUPED
    )
    image, dose = datasets(asked)
    for items in (image.RequestAttributesSequence, dose.ReferencedRequestSequence):
        told = [(one.AccessionNumber, one.StudyInstanceUID, one.RequestedProcedureID) for one in items]
        assert told == [("A1", "1.2.1", "RP1"), ("A2", "1.2.2", "RP2")]
        assert [one.RequestedProcedureCodeSequence[0].CodeValue for one in items] == ["1", "2"]
    assert image.StudyInstanceUID == dose.StudyInstanceUID == "1.2.9"
    assert "RequestAttributesSequence" not in dose


def test_series_that_come_later_have_their_own_time_and_number_in_the_old_study() -> None:
    asked = study("dx-chest")
    first, second = datasets(dataclasses.replace(asked, added_to=ADDED))
    assert [int(one.SeriesNumber) for one in (first, second)] == [4, 5]
    assert {(one.StudyInstanceUID, one.StudyDate, one.StudyTime) for one in (first, second)} == {
        ("1.2.9", "20260101", "080000")
    }
    assert first.SeriesDate == asked.study_date
    assert first.SeriesTime > asked.study_time
    assert first.SeriesInstanceUID not in {one.SeriesInstanceUID for one in datasets(asked)}


def test_both_survive_json_and_change_the_bytes_only_where_they_are() -> None:
    plain = study("ct-chest", order=ORDER)
    for changed in (dataclasses.replace(plain, grouped=GROUPED), dataclasses.replace(plain, added_to=ADDED)):
        again = ResolvedStudy.from_dict(json.loads(json.dumps(changed.as_dict())))
        assert again == changed
        assert again.recipe_hash == changed.recipe_hash != plain.recipe_hash
    assert not {"grouped", "added_to"} & plain.as_dict().keys()


def test_the_character_set_holds_the_texts_of_every_order() -> None:
    japanese = GroupedRequest("A3", RequestAttributes(requested_procedure_description="胸部"))
    assert dataclasses.replace(study("ct-chest"), grouped=(japanese,)).character_set == "ISO_IR 192"
