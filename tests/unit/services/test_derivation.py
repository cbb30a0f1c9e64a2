"""Lossily compressed copies within a local study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, Conflict, Interrupted, InvalidInput, TranscodingFailed
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.services.changes import rewrite
from dicomfab.services.progress import Progress
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, actor


def series_of(site: Hospital, study: str) -> dict[str, list[pydicom.Dataset]]:
    found: dict[str, list[pydicom.Dataset]] = {}
    for stored in site.local.instances(study):
        found.setdefault(stored.series_instance_uid, []).append(pydicom.dcmread(stored.path))
    return found


def add(site: Hospital, study: str, ds: pydicom.Dataset, environment: Environment = Environment.TEST) -> None:
    """Put an instance into a study of the local store."""
    ds.StudyInstanceUID = study
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    pydicom.filewriter.write_dataset(file, ds)
    identity = InstanceIdentity(ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.1")
    with site.local.begin(identity) as incoming:
        incoming.write(file.getvalue())
        incoming.commit(environment=environment)


def test_every_series_gets_a_derived_one(site: Hospital) -> None:
    study = site.make()
    before = series_of(site, study)
    seen: list[Progress] = []
    made = site.studies.derive_lossy(ADMIN, study, "jpeg", quality=80, on_progress=seen.append)
    after = series_of(site, study)
    assert [one.done for one in seen] == [1, 2, 3]
    assert (made.transfer_syntax, made.quality, made.left_out) == ("jpeg", 80, ())
    (added,) = made.series
    assert set(after) - set(before) == {added.series_instance_uid}
    assert (added.series_number, added.instances) == (2, 3)
    assert {added.source_series_instance_uid: before[added.source_series_instance_uid]} == before
    sources = {ds.SOPInstanceUID for ds in before[added.source_series_instance_uid]}
    derived = after[added.series_instance_uid]
    assert {ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in derived} == sources
    assert {ds.InstanceNumber for ds in derived} == {1, 2, 3}
    assert not sources & {ds.SOPInstanceUID for ds in derived}
    assert made.size_bytes < made.source_bytes
    assert site.studies.show(ADMIN, study).summary.environment == "test"


def test_again_changes_nothing_and_another_quality_is_another_series(site: Hospital) -> None:
    study = site.make()
    first = site.studies.derive_lossy(ADMIN, study, "j2k-lossy")
    files = {i.path: i.path.read_bytes() for i in site.local.instances(study)}
    again = site.studies.derive_lossy(ADMIN, study, "j2k-lossy")
    assert again.series == first.series
    assert [(left.instances, left.reason) for left in again.left_out] == [(3, "it is lossy already")]
    assert {i.path: i.path.read_bytes() for i in site.local.instances(study)} == files
    other = site.studies.derive_lossy(ADMIN, study, "j2k-lossy", quality=40)
    assert [one.series_number for one in other.series] == [3]
    assert site.studies.show(ADMIN, study).summary.instance_count == 9


def test_derived_series_that_were_changed_since_are_not_said_to_be_made(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    (series,) = site.studies.derive_lossy(ADMIN, study, "jpeg").series
    with site.local.rewriting(study) as batch:
        for one in site.local.instances(study):
            if one.series_instance_uid == series.series_instance_uid:
                rewrite(batch, one.file, Environment.TEST, {"SeriesDescription": "other"}, tmp_path)
    with pytest.raises(Conflict, match="other content, which was kept"):
        site.studies.derive_lossy(ADMIN, study, "jpeg")


def test_lossy_again_only_when_asked_for(site: Hospital) -> None:
    study = site.make()
    site.studies.derive_lossy(ADMIN, study, "jpeg")
    made = site.studies.derive_lossy(ADMIN, study, "jpeg-ls-near", again=True)
    assert sorted(one.series_number for one in made.series) == [3, 4]
    twice = [ds for group in series_of(site, study).values() for ds in group if ds.SeriesNumber == 4]
    assert [ds.LossyImageCompressionMethod for ds in twice] == [["ISO_10918_1", "ISO_14495_1"]] * 3


def test_what_cannot_be_compressed_is_left_out_with_its_reason(site: Hospital) -> None:
    study = site.make()
    ds = data_set(picture(bits=12), bits=12)
    ds.PatientID = "OTHER"
    add(site, study, ds)
    made = site.studies.derive_lossy(ADMIN, study, "jpeg")
    assert [one.instances for one in made.series] == [3]
    assert [(left.instances, left.reason) for left in made.left_out] == [
        (1, "JPEG baseline holds samples of 8 in 8 bits, not of 12 in 16")
    ]


@pytest.mark.parametrize(
    ("syntax", "quality", "field"),
    [
        ("rle", None, "lossy"),
        ("mpeg", None, "transfer_syntax"),
        ("jpeg", 0, "quality"),
        ("jpeg-extended", None, "study"),
    ],
)
def test_requests_that_are_refused(site: Hospital, syntax: str, quality: int | None, field: str) -> None:
    study = site.make()
    with pytest.raises(InvalidInput) as refused:
        site.studies.derive_lossy(ADMIN, study, syntax, quality=quality)
    assert refused.value.field == field
    assert site.studies.show(ADMIN, study).summary.instance_count == 3


def test_all_or_nothing(site: Hospital) -> None:
    study = site.make()
    damaged = data_set(picture(bits=8), bits=8)
    damaged.NumberOfFrames = 9
    damaged.SeriesInstanceUID = "2.25.99"
    add(site, study, damaged)
    with pytest.raises(TranscodingFailed):
        site.studies.derive_lossy(ADMIN, study, "jpeg")
    assert site.studies.show(ADMIN, study).summary.instance_count == 4
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        site.studies.derive_lossy(ADMIN, study, "jpeg", cancelled=lambda: next(answers))
    assert site.studies.show(ADMIN, study).summary.instance_count == 4
    assert not list((site.folder / "local" / "incoming").rglob("*.dcm"))


def test_the_environment_stays_and_roles_count(site: Hospital) -> None:
    ds = data_set(picture(bits=8), bits=8)
    add(site, "2.25.7", ds, Environment.PROD)
    for roles in ((), (Role.TEST_READ,), (Role.TEST_WRITE,)):
        with pytest.raises(AccessDenied):
            site.studies.derive_lossy(actor(*roles), "2.25.7", "jpeg")
    made = site.studies.derive_lossy(actor(Role.PROD_READ), "2.25.7", "jpeg")
    assert made.series[0].instances == 1
    summary = site.studies.show(ADMIN, "2.25.7").summary
    assert (summary.environment, summary.instance_count) == ("prod", 2)


def test_fabricated_lossy_is_lossy_already(site: Hospital, tmp_path: Path) -> None:
    study = site.make(StudyRecipe(tuple(replace(one, transfer_syntax="jpeg") for one in CARDS.series), seed=5))
    with pytest.raises(InvalidInput, match="can be compressed") as refused:
        site.studies.derive_lossy(ADMIN, study, "j2k-lossy")
    assert refused.value.cause == "it is lossy already"
