"""DICOMweb of the local store, as the application mounts it: who may what, what is recorded, what is refused."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import WebSettings
from dicomfab.dicomweb.handler import MAX_BODY_BYTES
from dicomfab.dicomweb.multipart import written
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import EventKind
from dicomfab.model.part10 import file_header
from dicomfab.model.values import Environment
from dicomfab.storage.audit import AuditFilter
from dicomfab.web.app import create_app
from tests.security.served import in_this_process
from tests.unit.archive.builders import CT, EXPLICIT, dataset, encode
from tests.unit.web.conftest import ACTOR, Browser

ALL_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
TYPE = 'multipart/related; type="application/dicom"; boundary=b'


def person(*roles: Role) -> Actor:
    return Actor("tess", frozenset(roles), "web")


def stowed(browser: Browser, *contents: bytes, path: str = "/dicom-web/studies", **headers: str) -> httpx.Response:
    body = b"".join(written([({"Content-Type": "application/dicom"}, [content]) for content in contents], "b"))
    return browser.request("POST", path, content=body, headers={"Content-Type": TYPE, **headers})


def real_file(instance: str = "1.2.1.1.1", **values: object) -> bytes:
    made = dataset(instance=instance, **values)
    return file_header(str(made.SOPClassUID), str(made.SOPInstanceUID), EXPLICIT) + encode(made)


def files_of(application: Application, study: str) -> list[bytes]:
    return [one.path.read_bytes() for one in application.local_archive.instances(study)]


def entries(application: Application, kind: EventKind) -> list[object]:
    return list(application.audit.page(ACTOR, AuditFilter(kinds=frozenset({kind}))).entries)


@pytest.fixture
def real(browser: Browser) -> str:
    """UID of a study that nothing proves to be synthetic: it counts as production."""
    assert stowed(browser, real_file()).status_code == 200
    return "1.2.1"


def test_a_study_is_found_and_comes_back_byte_for_byte(browser: Browser, application: Application, study: str) -> None:
    (found,) = browser.get("/dicom-web/studies?PatientName=doe*").json()
    assert found["0020000D"]["Value"] == [study]
    back = browser.get(f"/dicom-web/studies/{study}", Accept=ALL_FILES)
    assert back.status_code == 200
    assert all(content in back.content for content in files_of(application, study))
    assert back.headers["cache-control"] != "public"


def test_the_addresses_in_answers_lead_here(browser: Browser, study: str) -> None:
    (found,) = browser.get("/dicom-web/studies").json()
    (address,) = found["00081190"]["Value"]
    assert address == f"http://localhost:5001/dicom-web/studies/{study}"
    assert browser.get(address.removeprefix("http://localhost:5001") + "/metadata").status_code == 200


def test_what_is_fabricated_here_comes_back_as_test(browser: Browser, application: Application, study: str) -> None:
    contents = files_of(application, study)
    application.studies.delete(ACTOR, study)
    answer = stowed(browser, *contents)
    assert answer.status_code == 200, answer.text
    assert application.local_archive.study(study).summary.environment is Environment.TEST
    assert files_of(application, study) == contents
    (entry,) = entries(application, EventKind.IMPORT)
    assert entry.event.study_uids == (study,)


def test_what_nothing_proves_to_be_synthetic_is_of_production(application: Application, real: str) -> None:
    assert application.local_archive.study(real).summary.environment is Environment.PROD


def test_a_second_coming_changes_no_environment(browser: Browser, application: Application, real: str) -> None:
    assert stowed(browser, real_file()).status_code == 200
    assert application.local_archive.study(real).summary.environment is Environment.PROD


def test_test_people_neither_see_nor_bring_nor_delete_what_is_of_production(
    browser: Browser, application: Application, real: str
) -> None:
    browser.act_as(person(Role.TEST_WRITE))
    assert browser.get("/dicom-web/studies").json() == []
    for path in (f"/dicom-web/studies/{real}", f"/dicom-web/studies/{real}/metadata"):
        assert browser.get(path, Accept="*/*").status_code == 404
    assert browser.request("DELETE", f"/dicom-web/studies/{real}").status_code == 404
    answer = stowed(browser, real_file("1.2.1.1.2"))
    assert answer.status_code == 409
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0x0124]
    assert len(application.local_archive.instances(real)) == 1
    assert len(entries(application, EventKind.REFUSAL)) == 1


def test_what_is_broken_on_purpose_is_not_taken(browser: Browser, application: Application, tmp_path: Path) -> None:
    recipe = StudyRecipe(("text-card",), seed=3, defects=("missing-type-1",))
    broken = application.studies.resolve_recipe(ACTOR, recipe)
    (file,) = write_files(broken, tmp_path / "broken")
    answer = stowed(browser, file.path.read_bytes())
    assert answer.status_code == 409
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert not application.local_archive.has_study(broken.study_instance_uid)


def test_readers_delete_nothing(browser: Browser, application: Application, study: str) -> None:
    browser.act_as(person(Role.TEST_READ))
    answer = browser.request("DELETE", f"/dicom-web/studies/{study}")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert application.local_archive.has_study(study)


def test_deleting_is_recorded_before_it_is_done(browser: Browser, application: Application, study: str) -> None:
    assert browser.request("DELETE", f"/dicom-web/studies/{study}").status_code == 204
    assert not application.local_archive.has_study(study)
    assert browser.request("DELETE", f"/dicom-web/studies/{study}").status_code == 404
    (entry,) = entries(application, EventKind.DELETION)
    assert entry.event.study_uids == (study,)


def test_hundreds_of_requests_of_one_visit_are_one_entry(
    browser: Browser, application: Application, study: str
) -> None:
    for _ in range(3):
        assert browser.get(f"/dicom-web/studies/{study}/metadata").status_code == 200
    assert len(entries(application, EventKind.VIEW)) == 1
    assert browser.get(f"/dicom-web/studies/{study}", Accept=ALL_FILES).status_code == 200
    assert len(entries(application, EventKind.EXPORT)) == 1


@pytest.mark.parametrize(
    "path", ["studies/1.2.3", "studies/1.2.3/metadata", "studies/1.2.3/series/1.2/instances/1.2/frames/1"]
)
def test_an_unknown_study_is_not_found(browser: Browser, path: str) -> None:
    answer = browser.get(f"/dicom-web/{path}", Accept="*/*")
    assert answer.status_code == 404
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("Nonsense=1", "Nonsense"),
        ("StudyInstanceUID=x", "StudyInstanceUID"),
    ],
)
def test_a_bad_query_names_the_parameter(browser: Browser, query: str, field: str) -> None:
    answer = browser.get(f"/dicom-web/studies?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_what_cannot_be_given_as_is_accepted(browser: Browser, study: str) -> None:
    assert browser.get(f"/dicom-web/studies/{study}", Accept="text/html").status_code == 406


def test_bodies_of_forms_are_refused_before_they_are_read(browser: Browser) -> None:
    """Another site can make a browser send these unasked; it never sends multipart/related without asking first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", ""):
        answer = browser.request("POST", "/dicom-web/studies", content=b"x", headers={"Content-Type": kind})
        assert answer.status_code == 403, kind
    from_elsewhere = {"Content-Type": TYPE, "Origin": "https://evil.example"}
    assert browser.request("POST", "/dicom-web/studies", content=b"x", headers=from_elsewhere).status_code == 403


def test_a_body_that_is_none_is_malformed_and_one_that_is_too_long_is_not_read(browser: Browser) -> None:
    assert (
        browser.request("POST", "/dicom-web/studies", content=b"x", headers={"Content-Type": TYPE}).status_code == 400
    )
    long = {"Content-Type": TYPE, "Content-Length": str(MAX_BODY_BYTES + 1)}
    assert browser.request("POST", "/dicom-web/studies", content=b"x", headers=long).status_code == 413


def test_every_route_is_described(browser: Browser) -> None:
    paths = browser.get("/api/v1/openapi.json").json()["paths"]
    below = {path for path in paths if path.startswith("/dicom-web/")}
    assert "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}" in below
    for path in below:
        for operation in paths[path].values():
            named = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
            assert named == re.findall(r"\{(\w+)", path), path


@pytest.fixture(scope="module")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    application = build(Settings(tmp_path_factory.mktemp("home"), worker_idle_s=0))
    yield Browser(create_app(application))
    application.close()


@settings(max_examples=60)
@given(
    path=st.lists(
        st.sampled_from(["studies", "series", "instances", "metadata", "frames", "bulkdata", "rendered", "thumbnail"])
        | st.text("0123456789.", min_size=1, max_size=9)
        | st.sampled_from(["..", "%00", "%2e%2e", "1,2", "\N{GREEK SMALL LETTER PI}"]),
        max_size=8,
    ),
    accept=st.sampled_from(["*/*", "", "image/png", "multipart/related; type=x", ";;", "application/dicom+json;q=x"]),
)
def test_no_address_is_a_fault_of_ours(shared_browser: Browser, path: list[str], accept: str) -> None:
    answer = shared_browser.get("/dicom-web/" + "/".join(path), Accept=accept)
    assert answer.status_code < 500, (path, accept, answer.text)


def test_a_body_that_breaks_off_is_stored_by_no_means(application: Application) -> None:
    """A file alone has no end that could be missed, so the end of the connection has to tell."""
    content = real_file(PixelData=bytes(4096), Rows=64, Columns=64, BitsAllocated=8, SamplesPerPixel=1)
    with in_this_process(application, WebSettings()) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dicom\r\n"
                b"Content-Length: %d\r\n\r\n" % len(content)
            )
            client.sendall(content[:-1000])
        with httpx.Client(base_url=address) as other:
            for _ in range(3):
                assert other.get("/dicom-web/studies").json() == []
            sent = other.post("/dicom-web/studies", content=content, headers={"Content-Type": "application/dicom"})
            assert sent.status_code == 200, sent.text


def test_marks_that_do_not_stand_in_order_prove_nothing(browser: Browser, application: Application, study: str) -> None:
    """Two readers could take such a data set for two instances: one of test, and one of a study of production."""
    (instance,) = application.local_archive.instances(study)[:1]
    ds = dcmread(instance.path)
    body = encode(dataset(instance="1.2.1.1.9", SyntheticData="YES", PatientID=ds.PatientID))
    marks = Dataset()
    marks.StudyInstanceUID = study
    marks.add(ds[0x00990010])
    marks.add(ds[0x00991002])
    forged = file_header(CT, "1.2.1.1.9", EXPLICIT) + body + encode(marks)
    assert stowed(browser, forged).status_code in (200, 202, 409)
    if application.local_archive.has_study("1.2.1"):
        assert application.local_archive.study("1.2.1").summary.environment is Environment.PROD


def test_what_production_says_of_a_patient_is_not_told_of_a_test_study_with_the_same_id(
    browser: Browser, application: Application, study: str
) -> None:
    known = application.local_archive.study(study).summary
    real = real_file(PatientID=known.patient_id, IssuerOfPatientID=known.issuer, PatientName="Real^Person")
    assert stowed(browser, real).status_code == 200
    assert application.local_archive.study("1.2.1").summary.patient_name == "Real^Person"
    assert application.local_archive.study(study).summary.patient_name == known.patient_name
    browser.act_as(person(Role.TEST_READ))
    (found,) = browser.get(
        f"/dicom-web/studies?PatientID={known.patient_id}&includefield=all&includefield=00201200"
    ).json()
    assert "Real" not in str(found)
    assert found["00201200"]["Value"] == [1]
    assert browser.get("/dicom-web/studies?PatientName=Real*").json() == []
