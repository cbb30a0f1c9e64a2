"""Changed copies of local studies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, Conflict, Interrupted, InvalidInput
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.services.change_request import Changes, requested
from dicomfab.services.changes import ChangeService
from dicomfab.services.verification import VerdictKind
from tests.peers.dciodvfy import dciodvfy
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, CARDS, Hospital, actor
from tests.unit.services.test_derivation import add

UIDS = requested(new_uids=True)


def made(site: Hospital, study: str, changes: Changes = UIDS) -> str:
    (one,) = ChangeService(site.local, site.provenance.of_local, site.known.add).make(ADMIN, [study], changes)
    assert one.source_study_instance_uid == study
    return one.study_instance_uid


def data_sets(site: Hospital, study: str) -> list[pydicom.FileDataset]:
    return [pydicom.dcmread(one.path) for one in site.local.instances(study)]


def all_uids(ds: Dataset) -> Iterator[tuple[str, str]]:
    for element in ds.iterall():
        if element.VR == "UI":
            for one in [element.value] if isinstance(element.value, str) else list(element.value or ()):
                yield element.keyword, str(one)


def test_every_own_uid_is_new_and_every_reference_follows(site: Hospital) -> None:
    study = site.make(StudyRecipe((SeriesRecipe("ct-chest", 2), SeriesRecipe("text-card", 1)), seed=4))
    site.studies.derive_lossy(ADMIN, study, "jpeg")  # refers to its source
    new = made(site, study)
    before, after = data_sets(site, study), data_sets(site, new)
    replaced: dict[str, str] = {}
    for one, other in zip(before, after, strict=True):
        pairs = list(zip(all_uids(one), all_uids(other), strict=True))
        for (keyword, old), (same, now) in pairs:
            assert keyword == same
            assert replaced.setdefault(old, now) == now
            if old.startswith("1.2.840.10008"):
                assert now == old
        assert one.PixelData == other.PixelData if "PixelData" in one else "PixelData" not in other
        assert other.file_meta.MediaStorageSOPInstanceUID == other.SOPInstanceUID
        assert other.SyntheticData == "YES"
    own = {str(ds[k].value) for ds in before for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    own |= {str(ds.FrameOfReferenceUID) for ds in before if "FrameOfReferenceUID" in ds}
    assert all(replaced[one] != one for one in own)
    referenced = [now for ds in after for keyword, now in all_uids(ds) if keyword == "ReferencedSOPInstanceUID"]
    assert referenced
    assert set(referenced) <= {str(ds.SOPInstanceUID) for ds in after}
    assert len({replaced[one] for one in own}) == len(own)


def test_again_makes_nothing_new_and_another_salt_or_value_does(site: Hospital) -> None:
    study = site.make()
    first = made(site, study)
    files = {one.path: one.path.read_bytes() for one in site.local.instances(first)}
    assert made(site, study) == first
    assert {one.path: one.path.read_bytes() for one in site.local.instances(first)} == files
    others = {
        made(site, study, requested(new_uids=True, salt="two")),
        made(site, study, requested(new_uids=True, patient_id="X1")),
        made(site, study, requested(new_uids=True, patient_id="X2")),
        first,
        study,
    }
    assert len(others) == 5


def test_attributes_change_and_nothing_else(site: Hospital) -> None:
    study = site.make()
    new = made(
        site,
        study,
        requested(
            new_uids=True,
            patient_id="MRN1",
            patient_name="Müller^Eva",
            accession="ACC9",
            assignments=["StationName=CT1", "SeriesNumber=7", "PatientWeight=81.5", "OtherPatientNames=A^B\\C^D"],
        ),
    )
    for one, other in zip(data_sets(site, study), data_sets(site, new), strict=True):
        assert (other.PatientID, other.PatientName, other.AccessionNumber) == ("MRN1", "Müller^Eva", "ACC9")
        assert (other.StationName, other.SeriesNumber, float(other.PatientWeight)) == ("CT1", 7, 81.5)
        assert [str(name) for name in other.OtherPatientNames] == ["A^B", "C^D"]
        changed = {element.keyword for element in other if element.VR != "UI" and one.get(element.tag) != element}
        assert changed == {
            "PatientID", "PatientName", "AccessionNumber", "StationName", "SeriesNumber", "PatientWeight",
            "OtherPatientNames",
        }  # fmt: skip
    summary = site.local.study(new).summary
    assert (summary.patient_id, summary.environment) == ("MRN1", "test")


def test_a_value_that_stands_in_sequences_too_follows(site: Hospital) -> None:
    ds = data_set(picture(), bits=8)
    ds.AccessionNumber, ds.PatientID = "OLD", "P"
    request, other = Dataset(), Dataset()
    request.AccessionNumber, other.AccessionNumber = "OLD", "OTHER"
    ds.RequestAttributesSequence = [request, other]
    elsewhere = Dataset()
    elsewhere.ReferencedSOPClassUID, elsewhere.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.9.9"
    ds.ReferencedImageSequence = [elsewhere]
    add(site, "1.2.3", ds, Environment.PROD)
    new = made(site, "1.2.3", requested(new_uids=True, accession="NEW"))
    (after,) = data_sets(site, new)
    assert [item.AccessionNumber for item in after.RequestAttributesSequence] == ["NEW", "OTHER"]
    assert after.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.9.9"  # not among what is sent
    assert site.local.study(new).summary.environment == "prod"
    with pytest.raises(InvalidInput, match="character set"):
        made(site, "1.2.3", requested(new_uids=True, patient_name="山田^太郎"))
    with pytest.raises(AccessDenied):
        ChangeService(site.local).make(actor(Role.TEST_WRITE), ["1.2.3"], UIDS)


@pytest.mark.parametrize(("stated", "name"), [(None, "Müller"), (r"\ISO 2022 IR 58", "王^伟"), ("ISO_IR 13", "山田")])
def test_what_the_character_set_lacks_is_refused_by_name(site: Hospital, stated: str | None, name: str) -> None:
    ds = data_set(picture(), bits=8)
    ds.pop("SpecificCharacterSet", None)
    if stated is not None:
        ds.SpecificCharacterSet = stated.split("\\")
    ds.PatientName = "Doe^Jane"
    add(site, "1.2.3", ds)
    with pytest.raises(InvalidInput) as refused:
        made(site, "1.2.3", requested(new_uids=True, patient_name=name))
    assert refused.value.field == "PatientName"


@pytest.mark.filterwarnings("ignore:Failed to decode:UserWarning")  # pydicom's
def test_an_item_has_a_character_set_of_its_own_and_bytes_that_nobody_asked_to_change(site: Hospital) -> None:
    ds = data_set(picture(), bits=8)
    ds.SpecificCharacterSet, ds.AccessionNumber, ds.PatientID = "ISO_IR 192", "OLD", "P"
    plain, other = Dataset(), Dataset()
    plain.SpecificCharacterSet, plain.AccessionNumber = "ISO_IR 100", "OLD"
    other.SpecificCharacterSet = "ISO_IR 126"
    other.add(DataElement("AccessionNumber", "SH", "AB"))
    ds.RequestAttributesSequence = [plain, other]
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    ds.StudyInstanceUID = "1.2.3"
    pydicom.filewriter.write_dataset(file, ds)
    content = file.getvalue().replace(b"SH\x02\0AB", b"SH\x02\0A\xd2")  # which ISO 8859-7 does not have
    with site.local.begin(InstanceIdentity(ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.1")) as incoming:
        incoming.write(content)
        incoming.commit(environment=Environment.TEST)
    with pytest.raises(InvalidInput) as refused:
        made(site, "1.2.3", requested(new_uids=True, accession="ЗАКАЗ"))
    assert refused.value.field == "AccessionNumber"
    new = made(site, "1.2.3", requested(new_uids=True, accession="Größe"))
    (instance,) = site.local.instances(new)
    assert b"SH\x02\0A\xd2" in instance.path.read_bytes()
    assert pydicom.dcmread(instance.path).RequestAttributesSequence[0].AccessionNumber == "Größe"


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big-endian", "deflated", "rle", "j2k"])
def test_pixels_stay_byte_for_byte_and_instances_valid(site: Hospital, syntax: str) -> None:
    study = site.make(StudyRecipe((SeriesRecipe("ct-chest", 2, transfer_syntax=syntax),), seed=9))
    new = made(site, study, requested(new_uids=True, patient_id="MRN1", assignments=["StationName=CT1"]))
    before, after = data_sets(site, study), data_sets(site, new)
    assert [ds.PixelData for ds in before] == [ds.PixelData for ds in after]
    for one in site.local.instances(new):
        assert dciodvfy(one.path).valid


def test_several_studies_keep_what_they_share(site: Hospital) -> None:
    one, two = site.make(), site.make(dataclasses.replace(CARDS, seed=6))
    source = site.local.instances(one)[0].identity
    ds = data_set(picture(), bits=8)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    ds.ReferencedImageSequence, ds.PatientID = [item], "P"
    add(site, two, ds)
    first, second = ChangeService(site.local).make(ADMIN, [one, two], UIDS)
    referenced = [
        ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID
        for ds in data_sets(site, second.study_instance_uid)
        if "ReferencedImageSequence" in ds
    ]
    assert set(referenced) <= site.held("local", first.study_instance_uid)
    assert referenced


def test_what_follows_the_pixels_stays_but_for_signatures(site: Hospital) -> None:
    ds = data_set(picture(), bits=8)
    ds.PatientID = "P"
    ds.add_new(0xFFFCFFFC, "OB", bytes(8))
    signature = Dataset()
    signature.MACIDNumber = 1
    ds.DigitalSignaturesSequence = [signature]
    add(site, "1.2.3", ds)
    (after,) = data_sets(site, made(site, "1.2.3"))
    assert after.DataSetTrailingPadding == bytes(8)
    assert "DigitalSignaturesSequence" not in after


def test_cancelled_or_in_the_way(site: Hospital) -> None:
    study = site.make()
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        ChangeService(site.local).make(ADMIN, [study], UIDS, cancelled=lambda: next(asked))
    assert site.studies.page(ADMIN).total == 1
    new = made(site, study)
    ds = data_sets(site, new)[0]
    ds.PatientComments = "another"
    site.local.delete_study(new)
    add(site, new, ds)
    with pytest.raises(Conflict, match="other instances"):
        made(site, study)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"patient_id": "X"}, "--new-uids"),
        ({"patient_id": "X" * 65}, "65"),
        ({"patient_id": "A\\B"}, "not 2"),
        ({"patient_id": "A\nB"}, "control"),
        ({"assignments": ["StationName"]}, "no '='"),
        ({"assignments": ["NoSuch=1"]}, "no keyword"),
        ({"assignments": ["Rows=5"]}, "pixels"),
        ({"assignments": ["SyntheticData=NO"]}, "origin"),
        ({"assignments": ["SpecificCharacterSet=ISO_IR 6"]}, "encoding"),
        ({"assignments": ["StudyInstanceUID=1.2"]}, "is a UID"),
        ({"assignments": ["PixelData=1"]}, "pixels"),
        ({"assignments": ["RequestAttributesSequence=1"]}, "VR SQ"),
        ({"assignments": ["StudyDate=2020-01-01"]}, "VR DA"),
        ({"assignments": ["PatientWeight=heavy"]}, "VR DS"),
        ({"assignments": ["SeriesNumber=1.5"]}, "VR IS"),
        ({"assignments": ["StationName=A", "StationName=B"]}, "twice"),
        ({"patient_id": "A", "assignments": ["PatientID=B"]}, "twice"),
        ({"assignments": ["ImageOrientationPatient=1\\0\\0"]}, "takes 6"),
    ],
)
def test_what_is_refused_at_the_door(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        requested(new_uids=options.get("patient_id") != "X", **options)
    assert told in str(caught.value)


@given(
    st.sampled_from(["PatientID", "StudyDate", "PatientWeight", "SeriesNumber", "PatientComments", "Rows", "x"]),
    st.text(),
)
def test_any_text_is_taken_or_refused_by_name(keyword: str, value: str) -> None:
    try:
        changes = requested(new_uids=True, assignments=[f"{keyword}={value}"])
    except InvalidInput:
        return
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    setattr(ds, keyword, changes.attributes[keyword])
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    pydicom.filewriter.write_dataset(file, ds)


def test_a_changed_study_is_sent_and_verified(site: Hospital) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    site.transfers.send(ADMIN, study, pacs)
    new = made(site, study, requested(new_uids=True, patient_id="MRN2"))
    assert site.transfers.send(ADMIN, new, pacs).verdict.kind is VerdictKind.VERIFIED
    assert site.archives["PACS"].study(study).summary.patient_id != "MRN2"
    assert site.archives["PACS"].study(new).summary.patient_id == "MRN2"


@pytest.mark.peers
def test_dcmtk_reads_what_was_changed(site: Hospital, tmp_path: Path) -> None:
    from tests.peers import programs

    study = site.make(StudyRecipe((SeriesRecipe("ct-chest", 1, transfer_syntax="implicit"),), seed=9))
    new = made(site, study, requested(new_uids=True, patient_id="MRN3"))
    (one,) = site.local.instances(new)
    done = programs.dcmtk("dcmdump", "+P", "PatientID", "+P", "SOPInstanceUID", one.path, folder=tmp_path)
    assert "MRN3" in done.stdout
    assert one.identity.sop_instance_uid in done.stdout
