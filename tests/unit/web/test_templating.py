from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model import errors
from dicomfab.model.suboperations import Suboperations
from dicomfab.services.jobs.reports import report_dict
from dicomfab.services.transfer import FailedInstance, TransferReport
from dicomfab.services.verification import Verdict, VerdictKind
from dicomfab.web import templating
from dicomfab.web.errors import status_of
from dicomfab.web.plain_text import plain


@pytest.mark.parametrize(
    ("value", "shown"),
    [("DOE^JANE", "DOE, JANE"), ("DOE^JANE^M^^III", "DOE, JANE M III"), ("DOE", "DOE"), ("^JANE", "JANE"), ("", "")],
)
def test_a_person_name_is_written_for_reading(value: str, shown: str) -> None:
    assert templating.person_name(value) == shown


def test_only_the_first_component_group_of_a_name_is_shown() -> None:
    assert templating.person_name("Yamada^Tarou=山田^太郎") == "Yamada, Tarou"


@given(st.text(max_size=12))
def test_what_is_no_date_or_time_stays_as_it_is_but_for_what_cannot_be_seen(text: str) -> None:
    assert templating.dicom_date(text).replace("-", "") == plain(text).replace("-", "")
    assert templating.dicom_time(text).replace(":", "") in {plain(text).replace(":", ""), text.split(".")[0]}


def test_what_would_turn_a_name_around_is_made_visible() -> None:
    assert templating.person_name("Doe\u202e^Jane\x1b") == "Doe⟨U+202E⟩, Jane\N{SYMBOL FOR ESCAPE}"


def test_dates_and_times() -> None:
    assert templating.dicom_date("20260131") == "2026-01-31"
    assert templating.dicom_time("073142.123") == "07:31:42"
    assert templating.dicom_time("0731") == "07:31"


def test_what_was_not_reported_is_never_a_zero() -> None:
    assert templating.count(None) == "unreported"
    assert templating.count(0) == "0"
    assert templating.count(12345) == "12\N{NARROW NO-BREAK SPACE}345"


@pytest.mark.parametrize(
    ("age_s", "shown"), [(1, "just now"), (60, "60 s ago"), (600, "10 min ago"), (7200, "2 h ago"), (4e5, "5 days ago")]
)
def test_how_long_ago(age_s: float, shown: str) -> None:
    assert templating.ago(datetime.now(UTC) - timedelta(seconds=age_s)) == shown


@given(st.dictionaries(st.text("abc", min_size=1), st.text(min_size=1), max_size=4))
def test_an_address_gives_back_what_was_put_in(parameters: dict[str, str]) -> None:
    read = parse_qs(templating.query_string(parameters), keep_blank_values=True)
    assert read == {name: [value] for name, value in parameters.items()}


def _all_errors(root: type[errors.DicomFabError]) -> set[type[errors.DicomFabError]]:
    return {root}.union(*(_all_errors(kind) for kind in root.__subclasses__()))


def test_every_failure_has_a_fitting_status() -> None:
    found = {}
    for kind in _all_errors(errors.DicomFabError):
        error = kind.__new__(kind)
        found[kind.__name__] = (error.fault, status_of(error))
    assert found["InvalidInput"][1] == 400
    assert found["AccessDenied"][1] == 403
    assert found["NotFound"][1] == 404
    assert found["PeerTimeout"][1] == 504
    statuses = {errors.Fault.CALLER: range(400, 500), errors.Fault.PEER: range(502, 505), errors.Fault.US: (500,)}
    assert not {name for name, (fault, status) in found.items() if status not in statuses[fault]}


def _shown(report: TransferReport) -> str:
    view = SimpleNamespace(job=SimpleNamespace(kind=report.operation))
    return templating.fragment("jobs/transfer.html", result=report_dict(report), advice=None, view=view)


def _report(kind: VerdictKind, present: int | None, sub: Suboperations | None, failed: int = 0) -> TransferReport:
    verdict = Verdict(kind, "the reason", 3, present=present, before=0 if present is not None else None)
    refused = tuple(FailedInstance(f"1.2.{n}", "out of resources") for n in range(failed))
    return TransferReport("C-MOVE", "1.2", "A", "B", 3, None, refused, 0, sub, verdict, 0.5)


def test_counters_that_the_source_did_not_send_are_unreported() -> None:
    text = _shown(_report(VerdictKind.UNVERIFIED, None, Suboperations(completed=3)))
    assert "Unverified" in text
    assert "the reason" in text
    assert text.count("not known") == 2
    assert text.count("unreported") == 4


def test_a_mismatch_lists_what_failed() -> None:
    text = _shown(_report(VerdictKind.MISMATCH, 1, Suboperations(0, 1, 2, 0), failed=2))
    assert 'data-verdict="mismatch"' in text
    assert text.count("out of resources") == 2
    assert "figure-bad" in text
