"""The clock of a simulated examination."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.planning import plans
from dicomfab.fabricate.recipe import AddedTo, ResolvedStudy, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.model.errors import Interrupted, InvalidInput
from dicomfab.services.ordering.modality_config import pace_of
from dicomfab.services.ordering.timing import planned, wait

NOON = dt.datetime(2026, 11, 27, 12, 0, 0, 500_000, tzinfo=dt.UTC)


def asked(*kinds: str) -> ResolvedStudy:
    return resolve(StudyRecipe(kinds), now=NOON, draw_seed=lambda: 7)


def moment(date: str, at: str) -> dt.datetime:
    return dt.datetime.strptime(
        f"{date}{at}000000"[:14] if "." not in at else f"{date}{at[:6]}", "%Y%m%d%H%M%S"
    ).replace(tzinfo=dt.UTC)


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    now=st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2027, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_what_is_not_waited_for_lies_before_now(kind: str, now: dt.datetime) -> None:
    plan = planned(asked(kind), 0.0, now)
    assert plan.wait_s(plan.ends_s) == 0
    assert plan.begins + dt.timedelta(seconds=plan.ends_s) <= now
    assert moment(plan.study.study_date, plan.study.study_time) == plan.begins
    for series in plans(plan.study, 1):
        ds = series.attributes(series.count - 1)
        assert plan.begins <= moment(ds.SeriesDate, ds.SeriesTime) <= now
        if "ContentTime" in ds:
            assert moment(ds.ContentDate, ds.ContentTime) <= now


@pytest.mark.parametrize("pace", [1.0, 10.0])
def test_what_is_waited_for_is_over_when_it_has_been(pace: float) -> None:
    plan = planned(asked("mr-knee"), pace, NOON)
    assert plan.ends_s > 400
    assert plan.wait_s(plan.ends_s) == plan.ends_s / pace
    over = plan.begins + dt.timedelta(seconds=plan.ends_s)
    waited = NOON + dt.timedelta(seconds=plan.wait_s(plan.ends_s))
    assert dt.timedelta(seconds=1) <= waited - over <= dt.timedelta(seconds=2)
    if pace == 1:
        assert NOON - plan.begins < dt.timedelta(seconds=2)


def test_series_that_come_later_begin_with_their_own_step() -> None:
    study = dataclasses.replace(asked("mr-knee"), added_to=AddedTo("1.2", "20260101", "080000", 5))
    plan = planned(study, 0.0, NOON)
    first = next(iter(plans(plan.study, 1)))
    ds = first.attributes(0)
    assert moment(ds.SeriesDate, ds.SeriesTime) == plan.begins
    assert (ds.StudyDate, ds.StudyTime) == ("20260101", "080000")


def test_waiting_ends_when_it_is_to_stop() -> None:
    begun = time.monotonic()
    asked_for: list[int] = []
    with pytest.raises(Interrupted):
        wait(begun + 60, lambda: asked_for.append(1) or len(asked_for) > 2)  # type: ignore[func-returns-value]
    assert time.monotonic() - begun < 10
    wait(begun, lambda: False)


@pytest.mark.parametrize(("text", "pace"), [("fast", 0.0), ("real", 1.0), (" 10X ", 10.0), ("0.5x", 0.5)])
def test_a_pace_is_a_name_or_a_factor(text: str, pace: float) -> None:
    assert pace_of(text, field="--timing") == pace


@pytest.mark.parametrize("text", ["", "0x", "10", "x", "-1x", "1e9x", "fastx"])
def test_other_paces_are_refused_by_their_field(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        pace_of(text, field="--timing")
    assert refused.value.field == "--timing"
