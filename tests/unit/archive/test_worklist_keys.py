"""Worklist identifiers: which items they match, what is answered, and what a database may exclude before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.worklist import WorklistKeys
from dicomfab.dimse.identifier import decode, encode

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str = "99LOCAL") -> Dataset:
    return dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=f"Meaning of {value}")


def step(**values: Any) -> Dataset:
    defaults: dict[str, Any] = {
        "Modality": "CT",
        "ScheduledStationAETitle": ["CT1", "CT2"],
        "ScheduledProcedureStepStartDate": "20240705",
        "ScheduledProcedureStepStartTime": "101500",
        "ScheduledPerformingPhysicianName": "House^Gregory",
        "ScheduledProcedureStepDescription": "CT abdomen",
        "ScheduledProcedureStepID": "SPS1",
        "ScheduledProtocolCodeSequence": [code("A"), code("B", "99OTHER")],
    }
    return dataset(**(defaults | values))


def item(*steps: Dataset, **values: Any) -> Dataset:
    defaults: dict[str, Any] = {
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19700101",
        "AccessionNumber": "A1",
        "StudyInstanceUID": "1.2.3",
        "RequestedProcedureID": "RP1",
        "ScheduledProcedureStepSequence": list(steps) or [step()],
    }
    return dataset(**(defaults | values))


def asking(step_keys: dict[str, Any] | None = None, **keys: Any) -> Dataset:
    if step_keys is not None:
        keys["ScheduledProcedureStepSequence"] = [dataset(**step_keys)]
    return dataset(**keys)


def matches(identifier: Dataset, worklist_item: Dataset | None = None) -> bool:
    """As built, and as both are after a journey over the wire."""
    stored = worklist_item or item()
    built = WorklistKeys(identifier).matches(stored)
    for syntax in (IMPLICIT, EXPLICIT):
        received, kept = (decode(encode(one, syntax), syntax) for one in (identifier, stored))
        assert WorklistKeys(received).matches(kept) == built
    return built


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (asking(), True),
        (asking({}), True),
        (asking(PatientName=None), True),
        (asking(PatientName="doe*"), True),
        (asking(PatientName="DOE^JANE"), True),
        (asking(PatientName="Roe*"), False),
        (asking(PatientID="P?"), True),
        (asking(PatientID="p1"), False),
        (asking(PatientBirthDate="19691231-19700101"), True),
        (asking(PatientBirthDate="-19691231"), False),
        (asking(StudyInstanceUID=["1.2.4", "1.2.3"]), True),
        (asking(StudyInstanceUID="1.2"), False),
        (asking(PatientSex="F"), False),  # the item has no value
        (asking(PatientSex="*"), True),
        (asking(PatientComments="?*"), False),
        (asking({"ScheduledStationAETitle": "CT2"}), True),
        (asking({"ScheduledStationAETitle": "CT3"}), False),
        (asking({"ScheduledStationAETitle": ["CT3", "CT1"]}), True),
        (asking({"Modality": "CT", "ScheduledProcedureStepID": "SPS?"}), True),
        (asking({"Modality": "MR"}), False),
        (asking({"ScheduledProcedureStepStartDate": "20240705"}), True),
        (asking({"ScheduledProcedureStepStartDate": "20240706-"}), False),
        (asking({"ScheduledProcedureStepStartTime": "10"}), True),
        (asking({"ScheduledProcedureStepStartTime": "1016-"}), False),
        (asking({"ScheduledProtocolCodeSequence": [dataset(CodeValue="B", CodingSchemeDesignator="99OTHER")]}), True),
        # one item has to match as a whole
        (asking({"ScheduledProtocolCodeSequence": [dataset(CodeValue="A", CodingSchemeDesignator="99OTHER")]}), False),
        (asking(RequestedProcedureCodeSequence=[dataset(CodeValue="A")]), False),
        (asking(RequestedProcedureCodeSequence=[dataset(CodeValue="")]), True),
        (asking({"Modality": "CT"}, PatientID="P2"), False),
        (asking(QueryRetrieveLevel="STUDY"), True),
        (asking(SpecificCharacterSet="ISO_IR 100"), True),
    ],
)
def test_matching(identifier, expected):
    assert matches(identifier) == expected


def test_private_attributes_are_no_keys():
    identifier = Dataset()
    identifier.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "something")
    assert WorklistKeys(identifier).matches(item())


def test_two_steps_do_not_match_by_halves():
    two = item(step(Modality="CT", ScheduledStationAETitle="CT1"), step(Modality="MR", ScheduledStationAETitle="MR1"))
    assert not matches(asking({"Modality": "CT", "ScheduledStationAETitle": "MR1"}), two)
    keys = WorklistKeys(asking({"Modality": "MR", "ScheduledStationAETitle": ""}))
    assert keys.matches(two)
    assert [one.ScheduledStationAETitle for one in keys.answer(two).ScheduledProcedureStepSequence] == ["MR1"]


# ------------------------------------------------------------------ dates and times


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20240705", "101500", True),
        ("20240705", "095959", False),
        ("20240706", "070000", True),  # outside of the times, but inside of the period
        ("20240706", "235959", True),
        ("20240707", "180000", True),
        ("20240707", "180100", False),
        ("20240704", "120000", False),
        ("20240706", None, False),
    ],
)
def test_ranges_of_date_and_time_are_one_period(date, time, expected):
    """The example of PS3.4 table K.6-1."""
    keys = {"ScheduledProcedureStepStartDate": "20240705-20240707", "ScheduledProcedureStepStartTime": "1000-1800"}
    scheduled = step(ScheduledProcedureStepStartDate=date, ScheduledProcedureStepStartTime=time)
    assert matches(asking(keys), item(scheduled)) == expected


@pytest.mark.parametrize(
    ("dates", "times", "date", "time", "expected"),
    [
        ("20240705-", "1000-", "20240706", "0700", True),
        ("20240705-", "1000-", "20240705", "0700", False),
        ("-20240705", "-1000", "20240704", "2300", True),
        ("-20240705", "-1000", "20240705", "1030", False),
        ("20240705", "1000-1800", "20240705", "0900", False),
        ("20240705-20240707", "10", "20240706", "0700", False),  # no range: each for itself
    ],
)
def test_open_and_half_ranges(dates, times, date, time, expected):
    keys = {"ScheduledProcedureStepStartDate": dates, "ScheduledProcedureStepStartTime": times}
    scheduled = step(ScheduledProcedureStepStartDate=date, ScheduledProcedureStepStartTime=time)
    assert matches(asking(keys), item(scheduled)) == expected


moments = st.datetimes()


def days(first, last):  # type: ignore[no-untyped-def]
    return "-".join(f"{end.year:04}{end:%m%d}" if end else "" for end in (first, last))


@given(moment=moments, first=moments, last=moments)
def test_a_period_contains_what_is_between_its_ends(moment, first, last):
    keys = {
        "ScheduledProcedureStepStartDate": days(first, last),
        "ScheduledProcedureStepStartTime": f"{first:%H%M%S.%f}-{last:%H%M%S.%f}",
    }
    scheduled = step(
        ScheduledProcedureStepStartDate=f"{moment.year:04}{moment:%m%d}",
        ScheduledProcedureStepStartTime=f"{moment:%H%M%S.%f}",
    )
    assert WorklistKeys(asking(keys)).matches(item(scheduled)) == (first <= moment <= last)


@pytest.mark.parametrize(
    ("pattern", "stored", "expected"),
    [
        ("20240705", "20240705101500", True),
        ("20240705-20240706", "20240706235959.5", True),
        ("20240705-", "20240704", False),
        ("-2024", "20241231", True),
        ("20240705101500+0100", "20240705101500+0100", True),
        ("20240705101500+0100", "20240705101500", False),
    ],
)
def test_date_times(pattern, stored, expected):
    keys = asking({"ScheduledProcedureStepStartDateTime": pattern})
    assert matches(keys, item(step(ScheduledProcedureStepStartDateTime=stored))) == expected


# ------------------------------------------------------------------ what cannot be answered


@pytest.mark.parametrize(
    ("identifier", "field"),
    [
        (asking(PatientBirthDate="yesterday"), "PatientBirthDate"),
        (
            asking({"ScheduledProcedureStepStartDate": "2024-07-05"}),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate",
        ),
        (
            asking({"ScheduledProcedureStepStartTime": "noon"}),
            "ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime",
        ),
        (asking(ScheduledProcedureStepSequence=[Dataset(), Dataset()]), "ScheduledProcedureStepSequence"),
        (asking({"ScheduledProcedureStepStartDateTime": "-"}), "ScheduledProcedureStepSequence."),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_what_cannot_be_answered_is_a_query_error(identifier, field):
    with pytest.raises(ArchiveQueryError) as caught:
        WorklistKeys(identifier)
    assert caught.value.status == 0xA900
    assert caught.value.field.startswith(field)
    assert caught.value.cause
    assert caught.value.remedy


# ------------------------------------------------------------------ answers


def test_the_answer_has_what_was_asked_for_and_what_every_modality_needs():
    keys = WorklistKeys(asking({"ScheduledProcedureStepDescription": None}, PatientSex=None, PatientBirthDate=None))
    answer = keys.answer(item(PatientComments="not asked for"))
    assert {element.keyword for element in answer} == {
        "PatientSex", "PatientBirthDate", "ScheduledProcedureStepSequence",
        "PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID",
    }  # fmt: skip
    assert (answer.PatientSex or "", answer.PatientBirthDate) == ("", "19700101")
    [scheduled] = answer.ScheduledProcedureStepSequence
    assert {element.keyword for element in scheduled} == {
        "ScheduledProcedureStepDescription", "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime", "ScheduledProcedureStepID",
    }  # fmt: skip
    assert scheduled.ScheduledStationAETitle == ["CT1", "CT2"]


@pytest.mark.parametrize("wanted", [[], [Dataset()]])
def test_a_sequence_without_keys_is_answered_whole(wanted):
    answer = WorklistKeys(asking(ScheduledProcedureStepSequence=wanted)).answer(item())
    assert answer.ScheduledProcedureStepSequence == [step()]


def test_a_code_sequence_is_answered_by_its_keys():
    keys = WorklistKeys(asking({"ScheduledProtocolCodeSequence": [dataset(CodeValue="B", CodeMeaning=None)]}))
    [scheduled] = keys.answer(item()).ScheduledProcedureStepSequence
    codes = scheduled.ScheduledProtocolCodeSequence
    assert [(one.CodeValue, one.CodeMeaning) for one in codes] == [("A", "Meaning of A"), ("B", "Meaning of B")]
    assert "CodingSchemeDesignator" not in codes[0]


def test_a_sequence_that_the_item_lacks_is_answered_empty():
    answer = WorklistKeys(asking(ReferencedStudySequence=[dataset(ReferencedSOPClassUID=None)])).answer(item())
    assert answer.ReferencedStudySequence == []


# ------------------------------------------------------------------ character sets


@pytest.mark.parametrize("own", ["ISO_IR 192", ["", "ISO 2022 IR 87"]])
@pytest.mark.parametrize("asked", ["ISO_IR 192", ["", "ISO 2022 IR 87"]])
@pytest.mark.parametrize("name", ["山田*", "*=山田^太郎=*", "yamada^*"])
def test_names_in_any_character_set_match_inside_and_outside_of_sequences(own, asked, name):
    scheduled = step(ScheduledPerformingPhysicianName=JAPANESE)
    stored = item(scheduled, PatientName=JAPANESE, SpecificCharacterSet=own)
    assert matches(asking(PatientName=name, SpecificCharacterSet=asked), stored)
    assert matches(asking({"ScheduledPerformingPhysicianName": name}, SpecificCharacterSet=asked), stored)
    assert not matches(asking({"ScheduledPerformingPhysicianName": "鈴木*"}, SpecificCharacterSet=asked), stored)


@pytest.mark.parametrize(
    ("own", "name", "answered"),
    [
        ("ISO_IR 192", JAPANESE, "ISO_IR 192"),
        (["", "ISO 2022 IR 87"], JAPANESE, ["", "ISO 2022 IR 87"]),
        ("ISO_IR 100", "Müller^Jörg", "ISO_IR 100"),
        (None, "Müller^Jörg", "ISO_IR 192"),
        ("ISO_IR 100", JAPANESE, "ISO_IR 192"),
        ("ISO_IR 100", "Doe^Jane", None),
    ],
)
def test_an_answer_says_how_its_texts_are_encoded(own, name, answered):
    stored = item(step(ScheduledPerformingPhysicianName=name))
    if own:
        stored.SpecificCharacterSet = own
    keys = WorklistKeys(asking({"ScheduledPerformingPhysicianName": None}))
    answer = decode(encode(keys.answer(stored), IMPLICIT), IMPLICIT)
    assert answer.get("SpecificCharacterSet") == answered
    assert answer.ScheduledProcedureStepSequence[0].ScheduledPerformingPhysicianName == name


# ------------------------------------------------------------------ for a database


def test_what_a_database_may_narrow_its_search_by():
    keys = WorklistKeys(
        asking(
            {
                "ScheduledProcedureStepStartDate": "20240705-",
                "ScheduledStationAETitle": ["CT1", "CT3"],
                "Modality": "CT",
                "ScheduledProcedureStepStatus": "SCHEDULED",
            },
            PatientID="P1",
            AccessionNumber="A1",
        )
    )
    assert keys.start_dates == ("20240705", "")
    assert keys.station_ae_titles == {"CT1", "CT3"}
    assert (keys.modalities, keys.statuses) == ({"CT"}, {"SCHEDULED"})
    assert (keys.patient_id, keys.accession_number) == ("P1", "A1")


@pytest.mark.parametrize(
    "identifier",
    [
        asking(),
        asking({"Modality": "*", "ScheduledStationAETitle": "CT*"}, PatientID="P*", AccessionNumber="A?"),
        asking({"ScheduledStationAETitle": ["CT1", "M*"], "ScheduledProcedureStepStartDate": ["20240705", "20240706"]}),
        asking({"Modality": ""}, PatientID=["P1", "P2"]),
    ],
)
def test_what_is_not_exact_narrows_nothing(identifier):
    keys = WorklistKeys(identifier)
    assert keys.start_dates is None
    assert {*keys.station_ae_titles, *keys.modalities, *keys.statuses} == set()
    assert (keys.patient_id, keys.accession_number) == ("", "")


short = st.text(alphabet="AB*?", min_size=0, max_size=3)
stored_short = st.text(alphabet="AB", min_size=1, max_size=3)


@given(
    modality=short, title=st.lists(short.filter(bool), max_size=2), patient=short, first=st.none() | moments,
    last=st.none() | moments, stored=st.tuples(stored_short, stored_short, stored_short, moments),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_what_is_excluded_never_matches(modality, title, patient, first, last, stored):
    dates = days(first, last) if first or last else ""
    keys = WorklistKeys(
        asking(
            {"Modality": modality, "ScheduledStationAETitle": title, "ScheduledProcedureStepStartDate": dates},
            PatientID=patient,
        )
    )
    date = f"{stored[3].year:04}{stored[3]:%m%d}"
    scheduled = step(Modality=stored[0], ScheduledStationAETitle=stored[1], ScheduledProcedureStepStartDate=date)
    begin, end = keys.start_dates or ("", "")
    excluded = (
        (keys.modalities and stored[0] not in keys.modalities)
        or (keys.station_ae_titles and stored[1] not in keys.station_ae_titles)
        or (keys.patient_id and stored[2] != keys.patient_id)
        or (begin and date < begin)
        or (end and date > end)
    )
    if excluded:
        assert not keys.matches(item(scheduled, PatientID=stored[2]))


@given(data=st.data())
def test_an_item_matches_a_query_for_its_own_values(data):
    every = item()
    wanted = data.draw(st.sets(st.sampled_from([element.keyword for element in every if element.VR != "SQ"])))
    inside = data.draw(st.sets(st.sampled_from([element.keyword for element in step() if element.VR != "SQ"])))
    identifier = asking({keyword: step()[keyword].value for keyword in inside})
    for keyword in wanted:
        setattr(identifier, keyword, every[keyword].value)
    assert WorklistKeys(identifier).matches(every)
    answer = WorklistKeys(identifier).answer(every)
    assert all(answer[keyword].value == every[keyword].value for keyword in wanted)
    assert WorklistKeys(identifier).matches(answer)
