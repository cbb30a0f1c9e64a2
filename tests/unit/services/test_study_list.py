"""Lists of studies as people hand them over."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model.errors import InvalidInput
from dicomfab.services.study_list import ListedStudy, read_list

NUMBERS = st.text("0123456789", min_size=1, max_size=16)


@given(st.lists(NUMBERS, min_size=1, max_size=20, unique=True), st.sampled_from(",;\t"))
def test_zeros_in_front_stay(accessions, delimiter):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["Accession", "Date"])
    writer.writerows([number, "2026-01-31"] for number in accessions)
    found = read_list(out.getvalue(), source="list.csv")
    assert [one.accession_number for one in found] == accessions
    assert {one.study_date for one in found} == {"20260131"}
    assert [ListedStudy.of(dict(one.item().request)) for one in found] == found


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("accession\n123\n1.23457E+11\n", 3, "accession_number"),
        ("accession\nA*\n", 2, "accession_number"),
        ("study uid\n1.2.x\n", 2, "study_instance_uid"),
        ("accession,date\n7,31/1/26\n", 2, "study_date"),
        ("accession,date\n,2026-01-31\n", 2, "row"),
        ("date\n2026-01-31\n", 1, "heading"),
        ("accession,colour\n7,red\n", 1, "heading"),
        ("accession,date\n7\n", 2, "row"),
        ("", 1, "heading"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_nothing_is_begun(text, line, field):
    with pytest.raises(InvalidInput) as refused:
        read_list(text, source="list.csv")
    assert (refused.value.value, refused.value.field, refused.value.source) == (line, field, "list.csv")
    assert "nothing was begun" in refused.value.what


def test_a_list_without_rows_is_refused():
    with pytest.raises(InvalidInput, match="0 rows"):
        read_list("accession\n", source="list.csv")


def test_a_row_becomes_a_search_for_exactly_what_it_says():
    (row,) = read_list("pid;date\n0042;31.01.2026\n", source="list.csv")
    search = row.filter().identifier()
    assert (search.PatientID, search.StudyDate, search.get("AccessionNumber", "")) == ("0042", "20260131", "")
