from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.model.errors import InvalidInput
from dicomfab.registry.hours import MAX_SPANS, PermittedHours, permitted_hours

FIELD = "permitted_hours"
BERLIN = "Europe/Berlin"

wall = datetime.fromisoformat  # what the clock on the wall shows, without a zone

SPANS = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda span: span[0] != span[1])
HOURS = st.lists(SPANS, max_size=MAX_SPANS).map(lambda spans: PermittedHours(tuple(spans)))
ANY_TIME = st.datetimes(wall("2020-01-01"), wall("2030-01-01"), timezones=st.just(UTC))
#: Summer time begins on 29 March 2026 at 01:00 UTC, and ends on 25 October 2026 at 01:00 UTC.
AROUND_CHANGES = st.one_of(
    st.datetimes(wall("2026-03-28"), wall("2026-03-30"), timezones=st.just(UTC)),
    st.datetimes(wall("2026-10-24"), wall("2026-10-26"), timezones=st.just(UTC)),
)


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    yield ZoneInfo(BERLIN)
    monkeypatch.undo()
    time.tzset()


def hours(text: str) -> PermittedHours:
    return permitted_hours(text, FIELD)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("  ", ""),
        ("18:00-06:00,12:00-13:00", "18:00-06:00,12:00-13:00"),
        (" 8:05 - 9:00 ,22:00-24:00", "08:05-09:00,22:00-24:00"),
        ("00:00-24:00", "00:00-24:00"),
    ],
)
def test_spans_are_read_and_written(text, kept):
    assert str(hours(text)) == kept


@pytest.mark.parametrize(
    "bad",
    ["18-6", "18:00", "18:00-18:00", "24:00-06:00", "18:60-19:00", "18:00-19:60", "18:00-24:01", "18:00-25:00", ","]
    + ["18:00-06:00,", "18:00-06:00;12:00-13:00", "1800-0600", "-1:00-06:00", "١٨:٠٠-٠٦:٠٠", 5, None, True]
    + [",".join(["01:00-02:00"] * (MAX_SPANS + 1))],
)
def test_what_is_no_span_is_refused_naming_the_field(bad):
    with pytest.raises(InvalidInput) as caught:
        permitted_hours(bad, FIELD)
    assert caught.value.field == FIELD
    assert caught.value.remedy


@given(HOURS)
def test_what_is_written_is_read_again(value):
    assert hours(str(value)) == value
    assert permitted_hours(value, FIELD) is value


@given(HOURS, ANY_TIME)
def test_the_wall_clock_decides(value, now):
    local = now.astimezone()
    minute = local.hour * 60 + local.minute
    covered = {m % 1440 for start, end in value.spans for m in range(start, end if end > start else end + 1440)}
    assert value.allows(now) is (not value.spans or minute in covered)
    assert value.allows(local.replace(tzinfo=None)) is value.allows(now)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(HOURS, st.one_of(ANY_TIME, AROUND_CHANGES))
def test_the_next_opening_is_the_first_moment_that_is_allowed(berlin, value, now):
    opening = value.next_opening(now)
    assert value.allows(opening)
    assert opening.tzinfo is not None
    assert opening >= now
    if value.allows(now):
        assert opening == now
    else:
        assert (opening.second, opening.microsecond) == (0, 0)
        minutes = int((opening - now) / timedelta(minutes=1))
        earlier = (now + timedelta(minutes=n) for n in range(0, minutes + 1, 7))
        assert not any(value.allows(moment) for moment in earlier if moment < opening)
        assert not value.allows(opening - timedelta(microseconds=1))


def test_night_hours_in_words(berlin):
    night = hours("18:00-06:00")
    assert night.allows(wall("2026-01-05 18:00"))
    assert night.allows(wall("2026-01-06 05:59:59"))
    assert not night.allows(wall("2026-01-06 06:00"))
    # Aware times are moments: 17:00 UTC is six in the evening here.
    assert night.allows(datetime(2026, 1, 5, 17, 0, tzinfo=UTC))
    assert night.next_opening(wall("2026-01-06 06:00")) == datetime(2026, 1, 6, 18, 0, tzinfo=berlin)


def test_an_hour_that_the_clock_skips_opens_on_the_next_day(berlin):
    """02:00 to 03:00 on 29 March 2026 does not exist here."""
    skipped = hours("02:10-02:20")
    opening = skipped.next_opening(wall("2026-03-29 00:30"))
    assert opening == datetime(2026, 3, 30, 2, 10, tzinfo=berlin)
    longer = hours("02:10-05:00")
    assert longer.next_opening(wall("2026-03-29 00:30")) == datetime(2026, 3, 29, 3, 0, tzinfo=berlin)
