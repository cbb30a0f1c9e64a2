"""What a population is like: shares, ages, days and hours within stated tolerances, for fixed seeds."""

from __future__ import annotations

import datetime as dt
import itertools
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.fabricate.people import age_years
from dicomfab.fabricate.planning import plans
from dicomfab.fabricate.population.exams import EXAMS
from dicomfab.fabricate.population.plan import PlannedStudy, studies, summary
from dicomfab.fabricate.population.recipe import PopulationRecipe
from dicomfab.fabricate.scripts import SCRIPTS
from tests.unit.fabricate.population.people import TODAY, population

MIX = (("DX", 30.0), ("CT", 30.0), ("MR", 15.0), ("US", 10.0), ("MG", 10.0), ("PT", 5.0))


@pytest.fixture(scope="module")
def planned() -> list[PlannedStudy]:
    return list(studies(population(patients=1500, mix=MIX)))


def moment(one: PlannedStudy) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{one.study.study_date}T{one.study.study_time}")


def age(one: PlannedStudy) -> float:
    found = age_years(one.study.patient.birth_date, one.study.study_date)
    assert found is not None
    return found


def lives(planned: list[PlannedStudy]) -> Iterator[list[PlannedStudy]]:
    for _, one in itertools.groupby(planned, key=lambda one: one.patient):
        yield list(one)


def test_the_modalities_have_their_shares(planned: list[PlannedStudy]) -> None:
    found = Counter(one.modality for one in planned)
    for name, percent in MIX:
        assert found[name] / len(planned) * 100 == pytest.approx(percent, abs=3), name


def test_the_patients_have_as_many_studies_as_asked_for(planned: list[PlannedStudy]) -> None:
    found = Counter(len(life) for life in lives(planned))
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert all(number / 1500 == pytest.approx(0.2, abs=0.05) for number in found.values())


def test_ages_and_sexes_fit_the_examinations(planned: list[PlannedStudy]) -> None:
    breasts = [one for one in planned if one.modality == "MG"]
    assert {one.study.patient.sex for one in breasts} == {"F"}
    assert all(39.9 <= age(one) <= 75.1 for one in breasts)
    mean = {name: _mean([age(one) for one in planned if one.exam == name]) for name in ("mr-knee", "ct-head", "pet-ct")}
    assert mean["mr-knee"] + 10 < mean["ct-head"]
    assert mean["mr-knee"] + 10 < mean["pet-ct"]
    women = _mean([one.study.patient.sex == "F" for one in planned if one.number == 0])
    assert women == pytest.approx(0.55, abs=0.06)  # those who come for mammography are all women


def test_nobody_is_examined_before_birth_or_at_an_age_nobody_reaches(planned: list[PlannedStudy]) -> None:
    assert all(0 < age(one) < 110 for one in planned)
    assert min(age(one) for one in planned) < 15
    assert max(age(one) for one in planned) > 85


@pytest.mark.parametrize(
    "values",
    [
        {"patients": 300},
        {"patients": 40, "years": 40, "studies_per_patient": (10, 40)},
        {"patients": 40, "years": 40, "studies_per_patient": (10, 30), "mix": (("MG", 1.0), ("mr-knee", 1.0))},
    ],
    ids=["usual", "lifelong", "narrow"],
)
def test_age_and_sex_fit_every_examination(values: dict[str, Any]) -> None:
    for one in studies(population(**values)):
        exam = EXAMS[one.exam]
        assert exam.ages.low <= age(one) <= exam.ages.high, one.exam
        assert exam.female < 1 or one.study.patient.sex == "F"


def test_any_two_examinations_have_ages_in_common() -> None:
    assert max(exam.ages.low for exam in EXAMS.values()) < min(exam.ages.high for exam in EXAMS.values())


def test_the_same_is_never_done_again_before_it_is_due(planned: list[PlannedStudy]) -> None:
    for life in lives(planned):
        last: dict[str, dt.datetime] = {}
        for one in life:
            if one.exam in last:
                shortest = EXAMS[one.exam].follow_up_days[0]
                assert (moment(one) - last[one.exam]).days > shortest - 12  # both may be moved to days that are open
            last[one.exam] = moment(one)


def test_the_days_are_working_days_mostly(planned: list[PlannedStudy]) -> None:
    days = Counter(moment(one).weekday() for one in planned)
    weekend = (days[5] + days[6]) / len(planned)
    assert 0.02 < weekend < 0.09
    usual = [days[day] / len(planned) for day in range(5)]
    assert max(usual) - min(usual) < 0.05


def test_the_hours_are_working_hours_mostly_and_nights_are_for_emergencies(planned: list[PlannedStudy]) -> None:
    at_work = _mean([7 <= moment(one).hour < 19 for one in planned])
    assert 0.85 < at_work < 0.97
    night = {one.exam for one in planned if moment(one).hour < 5}
    assert {"ct-head", "dx-chest"} <= night
    assert not night & {"mg-screening", "pet-ct", "mr-enhanced", "us-colour"}


def test_all_lies_in_the_years_and_in_order(planned: list[PlannedStudy]) -> None:
    first = TODAY - dt.timedelta(days=round(10 * 365.25))
    for life in lives(planned):
        times = [moment(one) for one in life]
        assert times == sorted(set(times))
        assert first <= times[0].date()
        assert times[-1].date() <= TODAY
        assert [one.number for one in life] == list(range(len(life)))
    years = Counter(one.study.study_date[:4] for one in planned)
    assert len(years) >= 10
    assert max(years.values()) / len(planned) < 0.16


def test_a_patient_comes_again_for_the_same_after_a_while(planned: list[PlannedStudy]) -> None:
    pairs = [(one, other) for life in lives(planned) for one, other in itertools.pairwise(life)]
    again = [(one, other) for one, other in pairs if one.exam == other.exam]
    assert 0.6 < len(again) / len(pairs) < 0.85
    months = [(moment(b) - moment(a)).days / 30.44 for a, b in again if a.modality == "MG"]
    assert 10 < _mean(months) < 22
    for life in lives(planned):
        begun = moment(life[0])
        for one in life:
            days = (moment(one) - begun).days
            assert abs(one.study.course_months - days / 30.44) <= 1.1


def test_nothing_is_there_twice(planned: list[PlannedStudy]) -> None:
    people = {life[0].study.patient.patient_id for life in lives(planned)}
    assert len(people) == 1500
    assert all(one.startswith("SYN") for one in people)
    for field in ("accession_number", "study_instance_uid", "seed"):
        assert len({getattr(one.study, field) for one in planned}) == len(planned), field
    assert all(len({one.study.patient for one in life}) == 1 for life in lives(planned))


def test_sites_write_as_they_do_and_stations_are_where_they_are(planned: list[PlannedStudy]) -> None:
    devices = [(one, one.study.series[0].device) for one in planned]
    assert len({device.institution for _, device in devices if device}) == 3
    station: dict[str, set[tuple[str, str]]] = {}
    for one, device in devices:
        assert device is not None
        station.setdefault(device.station, set()).add((device.institution, one.modality))
        assert one.study.accession_number[:2] == device.station[:2]
        assert (device.private != ()) == (device.private_creator != "")
    assert all(len(where) == 1 for where in station.values())
    assert 0.3 < _mean([bool(device.private_creator) for _, device in devices if device]) < 0.9
    assert 0.55 < _mean([bool(device.performing_physician) for _, device in devices if device]) < 0.85
    titles = {one.study.study_description for one in planned if one.exam == "ct-head"}
    assert len(titles) >= 3


def test_software_and_devices_change_over_the_years(planned: list[PlannedStudy]) -> None:
    seen: dict[str, dict[str, set[str]]] = {}
    for one in planned:
        device = one.study.series[0].device
        assert device is not None
        by_year = seen.setdefault(device.station, {})
        by_year.setdefault(one.study.study_date[:4], set()).add(f"{device.serial_number} {device.software}")
    busy = [years for years in seen.values() if len(years) >= 9]
    assert busy
    for years in busy:
        assert len(set.union(*years.values())) >= 4
        assert all(len(found) <= 5 for found in years.values())
    assert any(len({text.split()[0] for text in set.union(*years.values())}) > 1 for years in busy)


def test_departments_fit_the_site_and_models_the_modality() -> None:
    models: dict[str, set[str]] = {}
    wards: dict[bool, set[str]] = {True: set(), False: set()}
    for seed in range(4):
        for one in studies(population(patients=150, mix=MIX, seed=seed)):
            device = one.study.series[0].device
            assert device is not None
            models.setdefault(device.model, set()).add(one.modality)
            wards["Practice" in device.institution].add(device.department)
    assert all(len(of) == 1 for of in models.values())
    assert "Emergency Radiology" in wards[False]
    assert not wards[True] & {"Emergency Radiology", "Intensive Care", "Ward imaging"}


def test_most_studies_were_ordered_but_emergencies_of_the_night_were_not(planned: list[PlannedStudy]) -> None:
    orders = [one.study.order for one in planned if one.study.order]
    assert 0.8 < len(orders) / len(planned) < 0.95
    for name in ("requested_procedure_id", "scheduled_step_id"):
        ids = [getattr(order, name) for order in orders]
        assert len(set(ids)) == len(ids)
        assert all(0 < len(one) <= 16 for one in ids)
    for one in planned:
        if one.study.order:
            assert one.study.order.requested_procedure_description == one.study.study_description
            assert one.study.order.scheduled_step_description in EXAMS[one.exam].protocols
        assert one.study.order is None or 6 <= moment(one).hour < 20


def test_a_rejected_image_is_marked_and_taken_again() -> None:
    shots = [
        [series.kind for series in one.study.series]
        for one in studies(population(mix=(("DX", 1.0), ("CR", 1.0))))
    ]  # fmt: skip
    repeated = [kinds for kinds in shots if "ko-rejected" in kinds]
    assert 0.02 < len(repeated) / len(shots) < 0.09
    assert all(kinds[:3] == [kinds[0], "ko-rejected", kinds[0]] for kinds in repeated)


def test_what_is_repeated_is_later_than_what_was_rejected() -> None:
    found = (
        one.study for one in studies(population(mix=(("DX", 1.0), ("CR", 1.0)))) if "ko-rejected" in one.study.kinds
    )
    made = [(str(plan.dataset.Modality), str(plan.dataset.SeriesTime)) for plan in plans(next(found), 1)]
    at = [modality for modality, _ in made].index("KO")
    assert [time for _, time in made] == sorted(time for _, time in made)
    assert made[at - 1][1] < made[at][1] < made[at + 1][1]


def test_full_populations_have_reports_dose_reports_and_what_oncology_measures() -> None:
    found = list(studies(population(patients=300, images="full", mix=(("PT", 1.0), ("CT", 2.0)))))
    kinds = [(one, set(one.study.kinds)) for one in found]
    assert 0.75 < _mean(["sr-dose" in of for _, of in kinds]) < 0.95
    assert any("sr-report" in of for _, of in kinds) or any("pdf" in of for _, of in kinds)
    assert all(one.modality == "PT" and one.number > 0 for one, of in kinds if "seg" in of)
    later = [of for one, of in kinds if one.modality == "PT" and one.number > 1]
    assert 0.4 < _mean(["seg" in of and "sr-measurements" in of for of in later]) <= 1


def test_names_and_physicians_are_in_the_script_that_was_drawn() -> None:
    found = list(studies(population(scripts=(("latin", 60.0), ("japanese", 30.0), ("greek", 10.0)))))
    people = {one.patient: one.study for one in found}
    shares = Counter(study.written_in for study in people.values())
    assert shares[""] / len(people) == pytest.approx(0.6, abs=0.06)
    assert shares[SCRIPTS["japanese"].character_set] / len(people) == pytest.approx(0.3, abs=0.06)
    for study in people.values():
        if study.written_in == SCRIPTS["japanese"].character_set:
            assert study.patient.name.count("=") == 2
            assert study.referring_physician.count("=") in (0, 2)


def test_small_is_small() -> None:
    found = list(studies(population(patients=200)))
    assert sum(one.instances for one in found) / len(found) < 8
    assert {series.style for one in found for series in one.study.series if not series.kind.startswith("ko")} == {
        "small"
    }
    assert {
        s.count for one in studies(population(patients=50, slices=7, mix=(("CT", 1.0),))) for s in one.study.series
    } == {7}


def test_declared_defects_come_at_their_rate_and_nothing_else_changes() -> None:
    recipe = population(patients=150, defects=(("missing-type-1", 0.1), ("duplicate-sop-uid", 1.0)))
    found, clean = list(studies(recipe)), list(studies(population(patients=150)))
    assert _mean(["missing-type-1" in one.study.defects for one in found]) == pytest.approx(0.1, abs=0.04)
    assert 0 < _mean(["duplicate-sop-uid" in one.study.defects for one in found]) <= 1
    assert all(not one.study.defects for one in clean)
    assert [one.study.accession_number for one in found] == [one.study.accession_number for one in clean]
    assert [one.study.series for one in found] == [one.study.series for one in clean]


def test_the_summary_counts_what_is_planned() -> None:
    recipe = population(patients=30)
    found, counted = list(studies(recipe)), summary(recipe)
    assert (counted["patients"], counted["studies"]) == (30, len(found))
    assert counted["instances"] == sum(one.instances for one in found)
    assert counted["modalities"] == dict(sorted(Counter(one.modality for one in found).items()))
    assert sum(counted["sexes"].values()) == 30


def test_the_same_recipe_gives_the_same_plan_from_any_patient_on() -> None:
    recipe = population(patients=40)
    whole = list(studies(recipe))
    assert whole == list(studies(population(patients=40)))
    assert [one for one in whole if 10 <= one.patient < 20] == list(studies(recipe, 10, 20))
    assert whole != list(studies(population(patients=40, seed=12)))
    assert PopulationRecipe.from_dict(recipe.as_dict()) == recipe


@pytest.mark.full
def test_a_plan_needs_no_more_memory_for_more_patients() -> None:
    recipe = population(patients=2000)

    def peak(first: int, end: int) -> int:
        tracemalloc.start()
        for _ in studies(recipe, first, end):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(0, 600)  # what is kept for good: the sites with their people and stations
    assert peak(700, 1400) < peak(600, 700) + 150_000


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    years=st.integers(1, 40),
    low=st.integers(1, 20),
    more=st.integers(0, 30),
    sites=st.integers(1, 4),
)
def test_any_population_keeps_its_dates_and_order(seed: int, years: int, low: int, more: int, sites: int) -> None:
    recipe = population(patients=3, seed=seed, years=years, studies_per_patient=(low, low + more), sites=sites)
    found = list(studies(recipe))
    assert len({one.study.accession_number for one in found}) == len(found)
    for life in lives(found):
        times = [moment(one) for one in life]
        assert times == sorted(set(times))
        assert low <= len(life) <= low + more
        assert times[-1].date() <= TODAY
        assert times[0].date() >= TODAY - dt.timedelta(days=round(years * 365.25))
        assert age(life[0]) > 0


def _mean(values: list[float] | list[bool]) -> float:
    return sum(values) / len(values)
