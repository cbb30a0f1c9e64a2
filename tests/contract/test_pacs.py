"""What a PACS of the lab answers over DICOM and the web, whatever it is run with.

Where the engines differ, ``answers.py`` says what each answers; nothing is left out for one of them.
"""

from __future__ import annotations

import base64
import http.client
import io
from collections.abc import Callable
from typing import Any

import pydicom
import pytest
from pydicom.encaps import encapsulate

from dicomfab.dimse.scu.echo import echo
from dicomfab.model.errors import AssociationRejected, ContextRejected, StatusFailure
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER
from tests.contract.answers import Answers
from tests.contract.bench import PATIENT_ROOT, Bench, kept_data, study_of
from tests.peers.programs import dcmtk
from tests.unit.archive.builders import BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG, MR, SR

pytestmark = pytest.mark.peers

JPEG_LOSSLESS, JPEG_2000, RLE, HTJ2K = (f"1.2.840.10008.1.2.{last}" for last in ("4.70", "4.90", "5", "4.201"))
RT_STRUCTURES, SEGMENTATION = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.66.4"
ENCAPSULATED_PDF, PRIVATE = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.999.5"
UTF8, LATIN1 = "ISO_IR 192", "ISO_IR 100"
AS_IT_IS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
YAMADA = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.fixture(scope="session")
def known(lab: Bench) -> Bench:
    """Three patients on Test PACS 1: the studies 1.2.60 (three instances), 1.2.61 and 1.2.62."""
    mueller = study_of(
        "60", 3, PatientID="F1", PatientName="Müller^Jörg", SpecificCharacterSet=LATIN1, StudyDate="20200105",
        StudyTime="101500", AccessionNumber="ACC1",
    )  # fmt: skip
    yamada = study_of(
        "61", 1, PatientID="F2", PatientName=YAMADA, SpecificCharacterSet=UTF8, StudyDate="20200310",
        StudyTime="235959", AccessionNumber="ACC2", Modality="MR", SOPClassUID=MR,
    )  # fmt: skip
    smith = study_of("62", 1, PatientID="F3", PatientName="Smith^Ann", StudyDate="20210101", AccessionNumber="ACC3")
    sent = lab.send(*(lab.file(data) for data in (*mueller, *yamada, *smith)))
    assert sent == [0] * 5
    return lab


def status_of(ask: Callable[[], Any]) -> int:
    """The status that an operation ends with."""
    try:
        answered = ask()
    except StatusFailure as error:
        return error.status
    last = answered[-1] if answered else None
    return getattr(last, "status", 0)


def test_each_server_answers_to_its_own_name(lab: Bench, answers: Answers) -> None:
    for server in lab.lab.config.servers:
        assert echo(lab.peer(server.id)).implementation_version.startswith(answers.implementation)
        with pytest.raises(AssociationRejected) as caught:
            echo(lab.peer(server.id, called="NOBODY"))
        assert caught.value.code == "1/1/7"


def test_whoever_calls_is_answered(lab: Bench) -> None:
    echo(lab.peer(calling="SOMEBODY"))


def test_dcmtk_sends_finds_and_moves(known: Bench) -> None:
    port = known.lab.config.server("test-pacs-1").dicom_port
    where = ("-aet", "DICOMFAB", "-aec", "TESTPACS")
    one = known.file(study_of("163", 1, PatientID="DCMTK1")[0])
    assert dcmtk("echoscu", *where, "localhost", port).returncode == 0
    assert dcmtk("storescu", *where, "localhost", port, one.path).returncode == 0
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.163", "-k", "PatientName")
    found = dcmtk("findscu", "-v", "-S", *where, *keys, "localhost", port)
    assert (found.returncode, (found.stdout + found.stderr).count("DOE^JOHN")) == (0, 1)
    moved = dcmtk("movescu", "-S", *where, "-aem", "TESTPACS2", *keys[:4], "localhost", port)
    assert moved.returncode == 0, moved.stderr
    assert known.instances("1.2.163", "test-pacs-2") == {"1.2.163.1.1"}


@pytest.mark.full
@pytest.mark.parametrize("sop_class", [MR, SR, RT_STRUCTURES, SEGMENTATION, ENCAPSULATED_PDF, PRIVATE])
def test_every_sop_class_is_taken(lab: Bench, sop_class: str) -> None:
    number = f"64.{int(sop_class.replace('.', '')[-7:])}"
    assert lab.send(lab.file(study_of(number, 1, SOPClassUID=sop_class)[0])) == [0]
    assert lab.instances(f"1.2.{number}") == {f"1.2.{number}.1.1"}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_what_is_sent_plain_comes_back_by_c_get(lab: Bench, syntax: str) -> None:
    number = f"65.{syntax.rpartition('.')[2]}"
    [data] = study_of(number, 1, PatientName="Ünal^Öz", SpecificCharacterSet=LATIN1)
    assert lab.send(lab.file(data, syntax)) == [0]
    last, kept = lab.get(QueryRetrieveLevel="STUDY", StudyInstanceUID=f"1.2.{number}")
    assert (last.status, last.suboperations.completed) == (0, 1)
    assert kept_data(kept, f"1.2.{number}.1.1") == data


@pytest.mark.full
@pytest.mark.parametrize("syntax", [JPEG, JPEG_LOSSLESS, JPEG_2000, RLE])
def test_what_is_sent_compressed_is_moved_as_it_is(lab: Bench, syntax: str) -> None:
    number, data = compressed(syntax)
    assert lab.send(lab.file(data, syntax)) == [0]
    moved = lab.move("PRODPACS", QueryRetrieveLevel="STUDY", StudyInstanceUID=f"1.2.{number}")
    assert (moved[-1].status, moved[-1].suboperations.completed) == (0, 1)
    status, content = web(lab, f"/dicom-web/studies/1.2.{number}", at="prod-pacs-1", accept=AS_IT_IS)
    file = pydicom.dcmread(io.BytesIO(content[content.index(b"DICM") - 128 :]))
    assert (status, file.file_meta.TransferSyntaxUID, file.PixelData) == (200, syntax, data.PixelData)


def test_a_young_transfer_syntax(lab: Bench, answers: Answers) -> None:
    _, data = compressed(HTJ2K)
    if answers.takes_htj2k:
        assert lab.send(lab.file(data, HTJ2K)) == [0]
        return
    with pytest.raises(ContextRejected):
        lab.send(lab.file(data, HTJ2K))


def compressed(syntax: str) -> tuple[str, Any]:
    """A study with what only looks like compressed pixels: nobody is to decode them."""
    number = f"66.{syntax.rpartition('.')[2]}"
    [data] = study_of(
        number, 1, Rows=1, Columns=1, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0,
    )  # fmt: skip
    data.add_new("PixelData", "OB", encapsulate([b"\xff\xd8\xff\xd9"]))
    data["PixelData"].is_undefined_length = True
    return number, data


M, Y, S = "1.2.60", "1.2.61", "1.2.62"
FOUND: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {M, Y, S}),
    ({"PatientName": "Smi*"}, {S}),
    ({"PatientName": "S?ith*"}, {S}),
    ({"PatientName": "smith^ann"}, {S}),
    ({"PatientName": "*"}, {M, Y, S}),
    ({"AccessionNumber": "ACC?"}, {M, Y, S}),
    ({"AccessionNumber": "ACC2"}, {Y}),
    ({"AccessionNumber": "acc2"}, set()),
    ({"StudyDate": "20200101-20200131"}, {M}),
    ({"StudyDate": "-20200105"}, {M}),
    ({"StudyDate": "20200310-"}, {Y, S}),
    ({"StudyDate": "20200105"}, {M}),
    ({"StudyTime": "1000-1100"}, {M}),
    ({"StudyDate": "20200105-20200310", "StudyTime": "110000-235959"}, {Y}),
    ({"StudyInstanceUID": [M, S]}, {M, S}),
    ({"ModalitiesInStudy": "MR"}, {Y}),
    ({"PatientID": "F9"}, set()),
    ({"PatientName": "Müller*", "SpecificCharacterSet": LATIN1}, {M}),
    ({"PatientName": "Müller*", "SpecificCharacterSet": UTF8}, {M}),
    ({"PatientName": "M*ller*"}, {M}),
    ({"PatientName": "Mueller*"}, set()),
    ({"PatientName": "Yamada*"}, {Y}),
    ({"PatientName": "*山田*", "SpecificCharacterSet": UTF8}, {Y}),
    ({"PatientName": "*やまだ*", "SpecificCharacterSet": UTF8}, {Y}),
]


@pytest.mark.parametrize(("keys", "expected"), FOUND, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_studies_are_found(known: Bench, keys: dict[str, Any], expected: set[str]) -> None:
    asked = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientID": "F*"} | keys
    assert {str(found.StudyInstanceUID) for found in known.find(**asked)} == expected


def test_names_come_back_in_every_script(known: Bench) -> None:
    asked = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientID": "F*", "PatientName": ""}
    names = {str(found.StudyInstanceUID): str(found.PatientName) for found in known.find(**asked)}
    assert names == {M: "Müller^Jörg", Y: YAMADA, S: "Smith^Ann"}


def test_a_component_group_by_its_beginning(known: Bench, answers: Answers) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "SpecificCharacterSet": UTF8}
    assert len(known.find(PatientName="山田*", **keys)) == answers.by_ideographs


def test_counts_are_those_of_the_server(known: Bench, answers: Answers) -> None:
    [found] = known.find(
        QueryRetrieveLevel="STUDY", StudyInstanceUID=M, NumberOfStudyRelatedInstances="",
        NumberOfStudyRelatedSeries="", ModalitiesInStudy="", NumberOfPatientRelatedStudies="", InstanceAvailability="",
    )  # fmt: skip
    assert (found.NumberOfStudyRelatedSeries, found.NumberOfStudyRelatedInstances) == (1, 3)
    assert found.ModalitiesInStudy == "CT"
    assert str(found.NumberOfPatientRelatedStudies or "") == answers.related_studies
    assert found.InstanceAvailability == answers.availability


def test_every_level_below(known: Bench) -> None:
    [series] = known.find(
        QueryRetrieveLevel="SERIES", StudyInstanceUID=M, SeriesInstanceUID="", Modality="",
        NumberOfSeriesRelatedInstances="",
    )  # fmt: skip
    assert (series.Modality, series.NumberOfSeriesRelatedInstances, series.RetrieveAETitle) == ("CT", 3, "TESTPACS")
    images = known.find(
        QueryRetrieveLevel="IMAGE", StudyInstanceUID=M, SeriesInstanceUID=series.SeriesInstanceUID, SOPInstanceUID="",
        InstanceNumber="",
    )  # fmt: skip
    assert {(str(i.SOPInstanceUID), int(i.InstanceNumber)) for i in images} == {(f"{M}.1.{n}", n) for n in (1, 2, 3)}
    assert known.find(QueryRetrieveLevel="SERIES", StudyInstanceUID=M, SeriesInstanceUID="", Modality="MR") == []


def test_patients_are_found_in_the_patient_root(known: Bench, answers: Answers) -> None:
    keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": "F*", "PatientName": "", "NumberOfPatientRelatedStudies": ""}
    found = {str(one.PatientID): int(one.NumberOfPatientRelatedStudies) for one in known.find(PATIENT_ROOT, **keys)}
    assert found == {"F1": 1, "F2": 1, "F3": 1}
    assert status_of(lambda: known.find(QueryRetrieveLevel="PATIENT", PatientID="F*")) == answers.patients_in_study_root


def test_a_query_without_a_level_is_refused_and_not_empty(known: Bench, answers: Answers) -> None:
    for level in ({}, {"QueryRetrieveLevel": "FOLDER"}):
        with pytest.raises(StatusFailure) as caught:
            known.find(PatientID="F*", **level)
        assert caught.value.status == answers.no_level


def test_a_study_is_moved_by_the_name_of_the_other_server(known: Bench, answers: Answers) -> None:
    for destination, at in (("TESTPACS2", "test-pacs-2"), ("PRODPACS", "prod-pacs-1"), ("PRODPACS2", "prod-pacs-2")):
        *pending, last = known.move(destination, QueryRetrieveLevel="STUDY", StudyInstanceUID=M)
        assert (last.status, last.suboperations.completed, last.suboperations.failed) == (0, 3, 0)
        assert [response.status for response in pending] == [0xFF00] * answers.pending_of_three
        assert known.instances(M, at) == {f"{M}.1.{n}" for n in (1, 2, 3)}
    back = known.move("TESTPACS", "prod-pacs-2", QueryRetrieveLevel="STUDY", StudyInstanceUID=M)
    assert back[-1].status == 0


def test_one_instance_and_two_studies_are_moved(known: Bench) -> None:
    [data] = study_of("67", 1)
    known.send(known.file(data), *(known.file(one) for one in study_of("68", 2)))
    image = {"StudyInstanceUID": "1.2.68", "SeriesInstanceUID": "1.2.68.1", "SOPInstanceUID": "1.2.68.1.2"}
    assert known.move("TESTPACS2", QueryRetrieveLevel="IMAGE", **image)[-1].suboperations.completed == 1
    assert known.instances("1.2.68", "test-pacs-2") == {"1.2.68.1.2"}
    both = known.move("PRODPACS", QueryRetrieveLevel="STUDY", StudyInstanceUID=["1.2.67", "1.2.68"])
    assert both[-1].suboperations.completed == 3


def test_moves_that_cannot_be(known: Bench, answers: Answers) -> None:
    study = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": M}
    assert status_of(lambda: known.move("NOWHERE", **study)) == answers.unknown_destination
    assert status_of(lambda: known.move("TESTPACS", **study)) == answers.unknown_destination  # it is no other's name
    assert status_of(lambda: known.move("testpacs2", **study)) == answers.lower_case_destination
    unique = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
    assert status_of(lambda: known.move("TESTPACS2", **unique)) == answers.no_unique_key


def test_what_is_not_there_is_not_retrieved(known: Bench, answers: Answers) -> None:
    absent = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.9999"}
    assert status_of(lambda: known.move("TESTPACS2", **absent)) == answers.nothing_to_retrieve
    assert status_of(lambda: [known.get(**absent)[0]]) == answers.nothing_to_retrieve
    present = absent | {"StudyInstanceUID": M}
    assert status_of(lambda: [known.get(classes=[MR], **present)[0]]) == answers.not_taken


def test_a_duplicate_is_answered_with_success_and_what_was_there_stays(lab: Bench) -> None:
    [data] = study_of("69", 1, AccessionNumber="FIRST")
    assert lab.send(lab.file(data)) == [0]
    assert lab.send(lab.file(data)) == [0]
    data.AccessionNumber = "SECOND"
    assert lab.send(lab.file(data)) == [0]
    [found] = lab.find(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.69", AccessionNumber="")
    assert found.AccessionNumber == "FIRST"
    assert lab.instances("1.2.69") == {"1.2.69.1.1"}


def web(
    lab: Bench, path: str, *, at: str = "test-pacs-1", password: str = WEB_PASSWORD, accept: str = "*/*"
) -> tuple[int, bytes]:
    server = lab.lab.config.server(at)
    connection = http.client.HTTPConnection("127.0.0.1", server.web_port, timeout=10)
    headers = {"Accept": accept}
    if password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{WEB_USER}:{password}".encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/dicom-web/studies"])
def test_the_web_port_wants_the_password(lab: Bench, answers: Answers, path: str) -> None:
    assert web(lab, path, password="")[0] == 401
    assert web(lab, path, password="wrong")[0] == 401
    assert web(lab, path, accept="*/*")[0] in (answers.page if path == "/" else (200,))


def test_status_tells_what_a_server_holds(known: Bench) -> None:
    [before] = [one.holdings for one in known.lab.status() if one.server.id == "prod-pacs-2"]
    known.send(*(known.file(data) for data in study_of("71", 2, PatientID="NEW")), to="prod-pacs-2")
    [after] = [one.holdings for one in known.lab.status() if one.server.id == "prod-pacs-2"]
    more = [getattr(after, name) - getattr(before, name) for name in ("patients", "studies", "series", "instances")]
    assert more == [1, 1, 1, 2]
    assert after is not None
    assert before is not None
    assert after.size_bytes > before.size_bytes
