"""The page over HTTP, as a browser asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from dicomfab.archive.archive import Archive
from dicomfab.testpacs import page
from dicomfab.testpacs.ports import free_ports
from dicomfab.testpacs.server import web_page
from dicomfab.testpacs.spec import LabConfig
from tests.unit.archive.builders import dataset, store

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Test PACS 1 with one study of two series, one whose names are an attack, and 60 small ones."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    many = range(1, page.PAGE_SIZE + 11)
    for number in many:
        uids = {"study": f"1.2.{number}", "series": f"1.2.{number}.1", "instance": f"1.2.{number}.1.1"}
        store(archive, dataset(**uids, PatientID=f"P{number}", PatientName=f"MANY^{number}"))
    for series, instance in ((1, 1), (1, 2), (2, 1)):
        uids = {"study": "1.3", "series": f"1.3.{series}", "instance": f"1.3.{series}.{instance}"}
        made = dataset(**uids, PatientID="SYN7", PatientName="CHEST^CARLA", StudyDescription="CT CHEST")
        made.SeriesNumber = str(series)
        store(archive, made)
    attack = dataset(study="1.4", series="1.4.1", instance="1.4.1.1", PatientID='"><b>', PatientName=EVIL)
    attack.StudyDescription = EVIL
    store(archive, attack)
    found = free_ports(8, "127.0.0.1")
    config = LabConfig().with_ports(dicom_ports=found[:4], web_ports=found[4:])
    server = config.servers[0]
    with (
        web_page(config, server, archive),
        httpx.Client(base_url=f"http://127.0.0.1:{server.web_port}", trust_env=False) as client,
    ):
        client.auth = ("test", "test123")
        yield SimpleNamespace(client=client, server=server, studies=len(many) + 2, instances=len(many) + 4)
    archive.close()


@pytest.mark.parametrize("path", ["/", "/patients", "/studies/1.3", "/api/summary", "/style.css"])
@pytest.mark.parametrize("auth", [("test", "wrong"), ("wrong", "test123"), ("", ""), ("tést", "test123")])
def test_nothing_is_shown_without_the_password(site, path, auth):
    answer = site.client.get(path, auth=auth)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert "CHEST" not in answer.text


def test_no_or_broken_credentials(site):
    address = f"http://127.0.0.1:{site.server.web_port}/"
    bare = httpx.get(address, trust_env=False)
    broken = httpx.get(address, headers={"Authorization": "Basic %%%"}, trust_env=False)
    assert (bare.status_code, broken.status_code) == (401, 401)
    assert "content-security-policy" in bare.headers


def test_the_overview_says_who_it_is_and_what_it_holds(site):
    text = site.client.get("/").text
    for shown in ("Test PACS 1", "TESTPACS", f"127.0.0.1:{site.server.dicom_port}", f"{site.studies} studies"):
        assert shown in text
    assert '<span class="environment">test</span>' in text
    assert f"<dt>Instances</dt><dd>{site.instances}</dd>" in text


def test_search_and_paging(site):
    first = site.client.get("/").text
    assert first.count("<tr>") == page.PAGE_SIZE + 1
    assert "Page 1 of 2" in first
    assert "/?q=&amp;page=2" in first
    second = site.client.get("/", params={"page": 2}).text
    assert second.count("<tr>") == site.studies - page.PAGE_SIZE + 1
    found = site.client.get("/", params={"q": "carla chest"}).text
    assert "CHEST^CARLA" in found
    assert "MANY" not in found
    assert "No study has" in site.client.get("/", params={"q": "nobody"}).text
    assert "This page is empty" in site.client.get("/", params={"page": 99}).text
    assert site.client.get("/", params={"page": 0}).status_code == 422


def test_a_study_lists_its_series_with_counts(site):
    text = site.client.get("/studies/1.3").text
    assert "2 series, 3 instances" in text
    for shown in ("CHEST^CARLA", "SYN7", "1.3.1", "1.3.2"):
        assert shown in text


@pytest.mark.parametrize("uid", ["1.99", "x", "..%2f..", "1.3%00.4"])
def test_a_study_that_is_not_there(site, uid):
    assert site.client.get(f"/studies/{uid}").status_code == 404


def test_patients_with_counts(site):
    text = site.client.get("/patients").text
    assert f"{site.studies} patients, by name" in text
    assert "/?q=SYN7" in text


@pytest.mark.parametrize("path", ["/", "/patients", "/studies/1.4", f"/?q={EVIL}"])
def test_what_was_stored_is_text_and_never_markup(site, path):
    text = site.client.get(path).text
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


def test_security_headers(site):
    headers = site.client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_the_summary_for_programs(site):
    document = json.loads(site.client.get("/api/summary").text)
    assert document["id"] == "test-pacs-1"
    assert document["storage"]["studies"] == site.studies
    assert document["storage"]["instances"] == site.instances


def test_the_style_needs_nothing_from_elsewhere():
    style = (Path(page.__file__).parent / "templates" / "style.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KB"), (5 << 20, "5.0 MB"), (1 << 40, "1.0 TB")],
)
def test_readable_size(size, words):
    assert page.readable_size(size) == words


@pytest.mark.parametrize(("date", "words"), [("20240131", "2024-01-31"), ("", ""), ("2024.01.31", "2024.01.31")])
def test_readable_date(date, words):
    assert page.readable_date(date) == words
