"""Dates, keys and levels, from what people write to the identifier."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.archive.text import identifier_values
from dicomfab.dimse.identifier import decode, encode
from dicomfab.fabricate.people import invent
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.model.errors import InvalidInput
from dicomfab.registry.fields import CHARACTER_SETS
from dicomfab.services import search_dates, search_keys
from dicomfab.services.study_filter import StudyFilter

TODAY = datetime.date(2026, 3, 4)  # a Wednesday


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", ""),
        ("today", "20260304"),
        ("Yesterday", "20260303"),
        ("last 7 days", "20260226-20260304"),
        ("LAST-7-DAYS", "20260226-20260304"),
        ("last 1 day", "20260304"),
        ("this week", "20260302-20260304"),
        ("this month", "20260301-20260304"),
        ("2026-01-05..2026-01-31", "20260105-20260131"),
        ("2026-01-05..", "20260105-"),
        ("..20260105", "-20260105"),
        ("20260105-20260131", "20260105-20260131"),
        ("2026-01-05..today", "20260105-20260304"),
        ("2026-01-05", "20260105"),
    ],
)
def test_dates_and_shortcuts(written: str, sent: str) -> None:
    assert search_dates.key(written, TODAY, "date") == sent
    assert StudyFilter(date=written).identifier(today=TODAY).StudyDate == sent


@pytest.mark.parametrize("written", ["tomorrow", "2026-02-30", "last days", "1.2.2026", "2026-02-02..2026-01-01", "-"])
def test_what_is_no_date_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(date=written).identifier(today=TODAY)
    assert caught.value.field == "date"


@given(st.dates(), st.dates())
def test_any_range_is_sent_in_order_or_refused(first: datetime.date, last: datetime.date) -> None:
    written = f"{first.isoformat()}..{last.isoformat()}"
    if first > last:
        with pytest.raises(InvalidInput):
            search_dates.key(written, TODAY, "date")
    else:
        sent = search_dates.key(written, TODAY, "date")
        assert (sent[:8], sent[-8:]) == tuple(day.isoformat().replace("-", "") for day in (first, last))


def test_one_way_of_giving_the_date_at_a_time() -> None:
    with pytest.raises(InvalidInput, match="together"):
        StudyFilter(date="today", date_to="20260101").identifier()


@pytest.mark.parametrize("written", ["0010,0040=M", "(0010,0040)=M", "00100040=M", "PatientSex=M", " PatientSex = M "])
def test_a_key_by_tag_or_keyword(written: str) -> None:
    wanted = StudyFilter(keys=(written,))
    assert wanted.identifier().PatientSex == "M"
    assert wanted.columns.count("PatientSex") == 1


def test_keys_of_every_kind_survive_the_wire() -> None:
    keys = (
        "RequestAttributesSequence.ScheduledProcedureStepID=S1",
        "RequestAttributesSequence.RequestedProcedureID",
        "PatientBirthDate=1970-01-01..1970-12-31",
        "Rows=512",
        "InstanceNumber=3",
        "SOPClassesInStudy=1.2\\1.3",
        "ReferencedStudySequence",
        "SliceThickness=1.5",
        "PatientComments=größer",
    )
    wanted = StudyFilter(keys=keys)
    read = decode(encode(wanted.identifier(), "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.1")
    [item] = read.RequestAttributesSequence
    assert (item.ScheduledProcedureStepID, item.RequestedProcedureID) == ("S1", "")
    assert (read.Rows, read.InstanceNumber, list(read.SOPClassesInStudy)) == (512, 3, ["1.2", "1.3"])
    assert (read.PatientBirthDate, str(read.PatientComments)) == ("19700101-19701231", "größer")
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert set(wanted.columns) >= {search_keys.parse(key).name for key in keys}
    assert wanted.columns[-2:] == ("SliceThickness", "PatientComments")


@pytest.mark.parametrize("character_set", ["", *CHARACTER_SETS])
@pytest.mark.parametrize("script", [LATIN, *SCRIPTS])
def test_a_name_of_any_script_is_sent_whole_whatever_the_server_is_known_to_use(
    script: str, character_set: str
) -> None:
    name = f"*{invent(3, TODAY, script).name}*"
    sent = encode(StudyFilter(patient_name=name).identifier(character_set), "1.2.840.10008.1.2")
    assert identifier_values(decode(sent, "1.2.840.10008.1.2"))[0x00100010] == ("PN", name)


@pytest.mark.parametrize("given", [{"patient_name": "a\ud800"}, {"keys": ("PatientComments=\udfff",)}])
def test_half_a_character_is_refused_and_never_a_question_mark(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(**given).identifier()
    assert caught.value.field in given


def test_answers_are_read_in_every_character_set_that_a_server_can_be_known_to_use() -> None:
    assert search_keys.codecs("") == []
    for term in CHARACTER_SETS:
        (codec,) = search_keys.codecs(term)
        assert "A".encode(codec) == b"A"


@pytest.mark.parametrize(
    "written",
    ["", "=M", "NoSuchKeyword=1", "0009,1001=X", "0008,0005=ISO_IR 100", "QueryRetrieveLevel=STUDY", "Rows=many",
     "PixelData=x", "PatientSex.PatientName=x", "RequestAttributesSequence=x", "PatientSex=M\\F", "InstanceNumber=x",
     "SliceThickness=thin", "FileSetID=1"],
)  # fmt: skip
def test_what_is_no_key_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(keys=(written,)).identifier()
    assert caught.value.field == "keys"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"level": "case"}, "level"),
        ({"level": "series"}, "study_instance_uid"),
        ({"level": "instance", "study_instance_uid": "1.2"}, "series_instance_uid"),
        ({"level": "series", "study_instance_uid": "1.2", "patient_name": "A"}, "patient_name"),
        ({"level": "patient", "date": "today"}, "date"),
        ({"level": "patient", "modality": "CT"}, "modality"),
        ({"level": "patient", "study_instance_uid": "1.2"}, "study_instance_uid"),
        ({"series_instance_uid": "1.2"}, "series_instance_uid"),
        ({"study_instance_uid": "x"}, "study_instance_uid"),
    ],
)
def test_a_level_takes_its_own_keys_only(given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StudyFilter(**given).identifier()  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["patient_name", "study_description"])
def test_no_wildcard_stands_in_front_unless_somebody_put_it_there(field: str) -> None:
    keyword = {"patient_name": "PatientName", "study_description": "StudyDescription"}[field]
    for written, sent in (("HEAD", "HEAD*"), ("*HEAD", "*HEAD"), ("HE?D", "HE?D"), ("", "")):
        assert str(StudyFilter(**{field: written}).identifier()[keyword].value) == sent  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["patient_id", "accession_number"])
def test_identifiers_get_no_wildcard_at_all(field: str) -> None:
    keyword = {"patient_id": "PatientID", "accession_number": "AccessionNumber"}[field]
    assert StudyFilter(**{field: "0042"}).identifier()[keyword].value == "0042"  # type: ignore[arg-type]
