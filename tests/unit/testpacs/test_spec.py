from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.archive.records import Duplicate
from dicomfab.model.errors import InvalidInput
from dicomfab.testpacs import spec
from dicomfab.testpacs.spec import CONFIG_NAME, EngineName, LabConfig


def test_the_servers_are_those_of_the_users_guide():
    rows = [(s.id, s.name, s.dicom_port, s.web_port, s.ae_title, str(s.environment)) for s in spec.SERVERS]
    assert rows == [
        ("test-pacs-1", "Test PACS 1", 4242, 8042, "TESTPACS", "test"),
        ("test-pacs-2", "Test PACS 2", 4243, 8043, "TESTPACS2", "test"),
        ("prod-pacs-1", "Prod PACS 1", 4245, 8045, "PRODPACS", "prod"),
        ("prod-pacs-2", "Prod PACS 2", 4246, 8046, "PRODPACS2", "prod"),
    ]


def test_each_knows_the_other_three_ourselves_and_the_modality():
    assert LabConfig().destinations("prod-pacs-1") == {
        "TESTPACS": ("127.0.0.1", 4242),
        "TESTPACS2": ("127.0.0.1", 4243),
        "PRODPACS2": ("127.0.0.1", 4246),
        "DICOMFAB": ("127.0.0.1", 11112),
        "MODALITY1": ("127.0.0.1", 11113),
    }


def test_destinations_follow_address_and_ports():
    config = LabConfig(bind="192.0.2.7").with_ports(dicom_ports=[1, 2, 3, 4], web_ports=None)
    assert config.destinations("test-pacs-1")["PRODPACS2"] == ("192.0.2.7", 4)
    assert LabConfig(bind="0.0.0.0").connect_host == "127.0.0.1"


def test_strict_knows_the_lab_and_ourselves():
    assert LabConfig().known_calling_ae_titles is None
    known = LabConfig(strict=True).known_calling_ae_titles
    assert known == {"DICOMFAB", "MODALITY1", "TESTPACS", "TESTPACS2", "PRODPACS", "PRODPACS2"}


def test_without_a_file_all_is_as_printed(tmp_path):
    assert spec.load(tmp_path) == LabConfig()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    ports=st.lists(st.integers(1, 65535), min_size=8, max_size=8, unique=True),
    strict=st.booleans(),
    on_duplicate=st.sampled_from(Duplicate),
    same=st.booleans(),
    bind=st.ip_addresses(v=4).map(str),
    engine=st.sampled_from(EngineName),
)
def test_what_is_saved_is_loaded(tmp_path, ports, strict, on_duplicate, same, bind, engine):
    config = LabConfig(
        bind=bind, strict=strict, on_duplicate=on_duplicate, commitment_on_same_association=same, engine=engine
    )
    config = config.with_ports(dicom_ports=ports[:4], web_ports=ports[4:])
    spec.save(tmp_path, config)
    assert spec.load(tmp_path) == config
    assert [p.name for p in tmp_path.iterdir()] == [CONFIG_NAME]


def test_one_port_can_be_overridden(tmp_path):
    (tmp_path / CONFIG_NAME).write_text('{"ports": {"prod-pacs-1": {"web": 18045}}}')
    server = spec.load(tmp_path).server("prod-pacs-1")
    assert (server.dicom_port, server.web_port) == (4245, 18045)


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ('{"ports": {"test-pacs-9": {}}}', "test-pacs-9", "unknown key"),
        ('{"ports": {"test-pacs-1": {"dcm": 1}}}', "dcm", "unknown key"),
        ('{"ports": {"test-pacs-1": {"dicom": 0}}}', "ports.test-pacs-1.dicom", "not a port"),
        ('{"ports": {"test-pacs-1": {"web": "x"}}}', "ports.test-pacs-1.web", "not a port"),
        ('{"ports": {"test-pacs-2": {"dicom": 4242}}}', "ports.test-pacs-2.dicom", "also ports.test-pacs-1.dicom"),
        ('{"ports": [1]}', "ports", "not an object"),
        ('{"bind": "everywhere"}', "bind", "IPv4"),
        ('{"bind": 5}', "bind", "IPv4"),
        ('{"strict": "yes"}', "strict", "neither true nor false"),
        ('{"commitment_on_same_association": 1}', "commitment_on_same_association", "neither true nor false"),
        ('{"on_duplicate": "drop"}', "on_duplicate", "keep, replace, refuse"),
        ('{"engine": "dcm4chee"}', "engine", "embedded, orthanc"),
        ('{"port": {}}', "port", "unknown key"),
        ("[]", "(file)", "not an object"),
        ("{", "(file)", "not JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_key_and_value(tmp_path: Path, document, field, said):
    (tmp_path / CONFIG_NAME).write_text(document)
    with pytest.raises(InvalidInput, match=said) as caught:
        spec.load(tmp_path)
    assert caught.value.field == field
    assert str(tmp_path / CONFIG_NAME) in caught.value.what


def test_four_servers_need_four_ports():
    with pytest.raises(InvalidInput, match="3 ports for 4 servers"):
        LabConfig().with_ports(dicom_ports=[1, 2, 3], web_ports=None)


def test_the_file_is_readable_by_people(tmp_path):
    spec.save(tmp_path, LabConfig())
    document = json.loads((tmp_path / CONFIG_NAME).read_text())
    assert document["ports"]["test-pacs-1"] == {"dicom": 4242, "web": 8042}
