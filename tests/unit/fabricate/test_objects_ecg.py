"""ECGs: leads that follow from each other, and waves where the annotations say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import Collection

from dicomfab.fabricate.render import ecg
from tests.unit.fabricate.objects import objects, told
from tests.unit.fabricate.studies import study


def leads(ds: Dataset) -> dict[str, np.ndarray[Any, Any]]:
    (group,) = ds.WaveformSequence
    values = np.frombuffer(group.WaveformData, "<i2").reshape(
        group.NumberOfWaveformSamples, group.NumberOfWaveformChannels
    )
    return {channel.ChannelLabel: values[:, n].astype(int) for n, channel in enumerate(group.ChannelDefinitionSequence)}


@pytest.mark.parametrize("seed", range(5))
def test_the_limb_leads_follow_from_each_other(seed: int) -> None:
    lead = leads(objects(study("ecg", seed=seed))["ecg"])
    assert list(lead) == list(ecg.LEADS)
    one, two, three = lead["I"], lead["II"], lead["III"]
    assert np.array_equal(two, one + three)
    assert np.array_equal(2 * lead["aVR"], -(one + two))
    assert np.array_equal(2 * lead["aVL"], one - three)
    assert np.array_equal(2 * lead["aVF"], two + three)
    assert not (lead["aVR"] + lead["aVL"] + lead["aVF"]).any()


@pytest.mark.parametrize("seed", range(8))
def test_the_waves_are_where_the_annotations_say(seed: int) -> None:
    made = study("ecg", seed=seed)
    ds = objects(made)["ecg"]
    said = told(made, "ecg")
    two = leads(ds)["II"]
    tops = [n for n in range(1, len(two) - 1) if two[n] > 600 and two[n] == two[max(0, n - 100) : n + 100].max()]
    found = [top / 500 for k, top in enumerate(tops) if k == 0 or top - tops[k - 1] > 100]
    assert found == pytest.approx(said["beats_s"], abs=0.01)
    rate = 60 * (len(found) - 1) / (found[-1] - found[0])
    values = {
        one.ConceptNameCodeSequence[0].CodeValue: one for one in ds.WaveformAnnotationSequence if "NumericValue" in one
    }
    assert float(values["8867-4"].NumericValue) == said["rate_bpm"] == pytest.approx(rate, abs=1)
    for code, name in (("2:15872", "pr_ms"), ("2:16156", "qrs_ms"), ("2:16160", "qt_ms"), ("2:15880", "qtc_ms")):
        assert values[code].NumericValue == said[name]
        assert values[code].MeasurementUnitsCodeSequence[0].CodeValue == "ms"
    assert 110 <= said["pr_ms"] <= 200
    assert 70 <= said["qrs_ms"] < 120
    assert 380 <= said["qtc_ms"] <= 460
    assert said["qtc_ms"] == pytest.approx(said["qt_ms"] / (said["rr_ms"] / 1000) ** 0.5, abs=0.5)
    # Nothing but noise between the end of T and the next P; P, QRS and T are within their intervals.
    for beat in found[1:-1]:
        begin = beat - 0.45 * said["qrs_ms"] / 1000
        before, inside = _at(two, begin - said["pr_ms"] / 1000 - 0.02), _at(two, begin - said["pr_ms"] / 1000 + 0.05)
        assert inside - before > 60
        end = begin + said["qt_ms"] / 1000
        assert _at(two, end - 0.09) - _at(two, end + 0.02) > 60


def _at(samples: np.ndarray[Any, Any], time_s: float) -> float:
    """The mean of 12 ms around a time."""
    n = round(time_s * 500)
    return float(samples[n - 3 : n + 3].mean())


def test_leads_and_their_circumstances_are_coded_as_the_standard_does() -> None:
    ds = objects(study("ecg"))["ecg"]
    (group,) = ds.WaveformSequence
    leads_of_standard = Collection("CID3001")
    known = {
        getattr(leads_of_standard, name).value: getattr(leads_of_standard, name).meaning
        for name in leads_of_standard.dir()
    }
    for channel in group.ChannelDefinitionSequence:
        (source,) = channel.ChannelSourceSequence
        assert known[source.CodeValue] == source.CodeMeaning
        assert channel.ChannelLabel in source.CodeMeaning
    assert (group.SamplingFrequency, group.NumberOfWaveformSamples, group.WaveformSampleInterpretation) == (
        500,
        5000,
        "SS",
    )
    context = {
        one.ConceptNameCodeSequence[0].CodeMeaning: one.ConceptCodeSequence[0] for one in ds.AcquisitionContextSequence
    }
    for cid, name in (("CID3263", "Lead System"), ("CID3262", "Patient State")):
        allowed = Collection(cid)
        assert context[name].CodeValue in {getattr(allowed, one).value for one in allowed.dir()}


def test_an_ecg_follows_from_the_study_and_its_heights_from_the_patient() -> None:
    patient = study("ecg").patient
    first, second = (leads(objects(study("ecg", seed=seed, patient=patient))["ecg"]) for seed in (1, 2))
    assert not np.array_equal(first["II"], second["II"])
    assert first["V4"].max() == pytest.approx(second["V4"].max(), rel=0.1)
    heights = {int(leads(objects(study("ecg", seed=seed))["ecg"])["V4"].max()) // 20 for seed in range(6)}
    assert len(heights) > 2
