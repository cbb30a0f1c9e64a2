"""The settings of delivery: what may be written, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.app.settings import load_settings
from dicomfab.model.errors import InvalidInput

FILES = {"DICOMFAB_AUDIT_SYSLOG_CERTIFICATE": "/c.pem", "DICOMFAB_AUDIT_SYSLOG_KEY": "/k.pem"}


@pytest.mark.parametrize(
    ("written", "host", "port", "shown"),
    [
        ("syslog.example.com", "syslog.example.com", 6514, "syslog.example.com:6514"),
        ("Syslog.Example.com:7514", "syslog.example.com", 7514, "syslog.example.com:7514"),
        ("10.0.0.5", "10.0.0.5", 6514, "10.0.0.5:6514"),
        ("2001:db8::5", "2001:db8::5", 6514, "[2001:db8::5]:6514"),
        ("[2001:db8::5]", "2001:db8::5", 6514, "[2001:db8::5]:6514"),
        ("[2001:db8::5]:7514", "2001:db8::5", 7514, "[2001:db8::5]:7514"),
    ],
)
def test_where_it_goes(written: str, host: str, port: int, shown: str):
    found = load_settings({"DICOMFAB_AUDIT_SYSLOG": written, **FILES}).audit_syslog
    assert found is not None
    assert (found.host, found.port, str(found), found.ca) == (host, port, shown, None)
    assert (found.certificate, found.key) == (Path("/c.pem"), Path("/k.pem"))


@pytest.mark.parametrize(
    "written", ["a b", "https://syslog.example.com", "host:", "host:x", "host:0", "[::1", "[::1]6514", "[host]:1", ":1"]
)
def test_what_is_no_receiver(written: str):
    with pytest.raises(InvalidInput) as refused:
        load_settings({"DICOMFAB_AUDIT_SYSLOG": written, **FILES})
    assert refused.value.field == "DICOMFAB_AUDIT_SYSLOG"


@pytest.mark.parametrize("missing", sorted(FILES))
def test_a_receiver_needs_certificate_and_key(missing: str):
    given = {name: path for name, path in FILES.items() if name != missing}
    with pytest.raises(InvalidInput, match=f"DICOMFAB_AUDIT_SYSLOG is set, and {missing} is not"):
        load_settings({"DICOMFAB_AUDIT_SYSLOG": "syslog.example.com", **given})


@pytest.mark.parametrize("name", [*sorted(FILES), "DICOMFAB_AUDIT_SYSLOG_CA"])
def test_files_without_a_receiver_are_a_mistake(name: str):
    with pytest.raises(InvalidInput, match=f"{name} is set, and DICOMFAB_AUDIT_SYSLOG is not"):
        load_settings({name: "/file.pem"})


def test_nothing_is_set():
    assert load_settings({}).audit_syslog is None
    assert load_settings({"DICOMFAB_AUDIT_SYSLOG": " "}).audit_syslog is None
