"""Next times of cron expressions, by the clock of a place, also when summer time begins and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicomfab.model.errors import InvalidInput
from dicomfab.services.jobs.cron import local_time_zone, next_time

BERLIN = "Europe/Berlin"
ZONES = st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"])
SECONDS = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2020, 2035)]
MOMENTS = st.integers(*SECONDS).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def at(text: str, fold: int = 0, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def due(cron: str, first: datetime, count: int) -> list[str]:
    """The next times, each from the one before, as the clock in Berlin shows them with its distance from UTC."""
    found: list[str] = []
    for _ in range(count):
        first = next_time(cron, BERLIN, first)
        found.append(first.astimezone(ZoneInfo(BERLIN)).isoformat(timespec="minutes"))
    return found


@st.composite
def daily(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(0, 23)), draw(st.integers(0, 59))


@given(MOMENTS, ZONES, daily())
def test_a_daily_time_comes_within_little_more_than_a_day_and_only_later(after, zone, time):
    hour, minute = time
    found = next_time(f"{minute} {hour} * * *", zone, after)
    assert after < found <= after + timedelta(hours=26)
    wall = found.astimezone(ZoneInfo(zone))
    if _offset_is_steady(found, zone):
        assert (wall.hour, wall.minute, wall.second) == (hour, minute, 0)


def _offset_is_steady(moment: datetime, zone: str) -> bool:
    around = [(moment + timedelta(hours=h)).astimezone(ZoneInfo(zone)).utcoffset() for h in (-4, 0, 4)]
    return len(set(around)) == 1


@given(MOMENTS, ZONES, daily(), st.integers(1, 60 * 24 * 3))
def test_nothing_is_left_out_however_often_it_is_asked(after, zone, time, minutes):
    """From any moment before the next time, that is still the next time."""
    cron = f"{time[1]} {time[0]} * * *"
    found = next_time(cron, zone, after)
    between = after + timedelta(minutes=minutes)
    assume(between < found)
    assert next_time(cron, zone, between) == found


@given(MOMENTS, ZONES, daily())
def test_a_daily_time_comes_once_each_day(after, zone, time):
    """Also on the days on which summer time begins or ends."""
    cron, days, moment = f"{time[1]} {time[0]} * * *", [], after
    for _ in range(4):
        moment = next_time(cron, zone, moment)
        days.append(moment.astimezone(ZoneInfo(zone)).date())
    assert days == [days[0] + timedelta(days=n) for n in range(4)]


@given(MOMENTS, ZONES, st.sampled_from([5, 10, 15, 20, 30]))
def test_every_so_many_minutes_goes_by_elapsed_time(after, zone, step):
    assume(zone != "Australia/Lord_Howe")  # half an hour of summer time: every 20 minutes is not even there
    first = next_time(f"*/{step} * * * *", zone, after)
    second = next_time(f"*/{step} * * * *", zone, first)
    assert (first - after <= timedelta(minutes=step), second - first) == (True, timedelta(minutes=step))


def test_a_time_that_the_clock_leaps_over_is_due_after_the_leap_and_once() -> None:
    assert due("30 2 * * *", at("2026-03-28T12:00"), 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]


def test_a_time_that_the_clock_passes_twice_is_due_once() -> None:
    assert due("30 2 * * *", at("2026-10-24T12:00"), 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_asked_in_the_hour_that_comes_again_it_is_due_on_the_next_day() -> None:
    assert due("30 2 * * *", at("2026-10-25T02:10", fold=1), 1) == ["2026-10-26T02:30+01:00"]


def test_the_clock_meant_is_that_of_the_zone() -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert next_time("0 2 * * *", "America/New_York", noon) == datetime(2026, 1, 6, 7, tzinfo=UTC)


def test_seconds_of_the_moment_asked_do_not_matter() -> None:
    late = datetime(2026, 1, 5, 12, 0, 0, 500_000, tzinfo=UTC)
    assert next_time("* * * * *", "UTC", late) == datetime(2026, 1, 5, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "cron", ["", "0 2 * *", "0 2 * * * *", "60 2 * * *", "0 2 30 2 *", "0 0 31 2,4 *", "@daily", "a b c d e"]
)
def test_what_is_no_expression_or_never_due_is_refused(cron: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        next_time(cron, "UTC", datetime(2026, 1, 5, tzinfo=UTC))
    assert refused.value.field == "cron"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../../etc/passwd", ""])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        next_time("0 2 * * *", zone, datetime(2026, 1, 5, tzinfo=UTC))
    assert refused.value.field == "time_zone"


class TestLocalTimeZone:
    @pytest.fixture(autouse=True)
    def no_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TZ", raising=False)

    def test_is_that_of_the_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("TZ", ":Europe/Berlin")
        assert local_time_zone(root=tmp_path) == BERLIN

    def test_is_what_the_link_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "usr/share/zoneinfo/Asia").mkdir(parents=True)
        (tmp_path / "usr/share/zoneinfo/Asia/Kolkata").touch()
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/localtime").symlink_to(tmp_path / "usr/share/zoneinfo/Asia/Kolkata")
        assert local_time_zone(root=tmp_path) == "Asia/Kolkata"

    def test_is_the_one_noted_beside_a_copy(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/localtime").touch()
        (tmp_path / "etc/timezone").write_text("Europe/Berlin\n")
        assert local_time_zone(root=tmp_path) == BERLIN

    def test_is_utc_where_none_is_set(self, tmp_path: Path) -> None:
        assert local_time_zone(root=tmp_path) == "UTC"

    def test_has_to_be_named_if_it_has_no_name(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/localtime").touch()
        with pytest.raises(InvalidInput):
            local_time_zone(root=tmp_path)
