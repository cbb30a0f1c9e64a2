from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from dicomfab.cli.main import run
from dicomfab.hl7.orders import read
from dicomfab.hl7.templates import TEMPLATES
from tests.unit.services.ordering.conftest import orm


@pytest.fixture
def dicomfab(tmp_path, monkeypatch, capsysbinary):
    """Run a command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))

    def call(*words: str, stdin: bytes = b"") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            run(list(words))
        out, err = capsysbinary.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=out, err=err.decode())

    return call


PATIENT = ("--set", "PatientID=P1", "--set", "PatientName=YAMADA^TARO=山田^太郎")


def test_the_templates_are_listed_and_told(dicomfab):
    listed = json.loads(dicomfab("hl7", "templates", "--json").out)["templates"]
    assert [one["name"] for one in listed] == list(TEMPLATES)
    (one,) = json.loads(dicomfab("hl7", "templates", "adt-merge", "--json").out)["templates"]
    needed = [field["keyword"] for field in one["fields"] if field["is_needed"]]
    assert needed == ["PatientID", "PriorPatientID"]
    assert b"oru-report" in dicomfab("hl7", "templates").out
    assert b"StudyInstanceUID, AccessionNumber" in dicomfab("hl7", "templates", "orm-cancel").out
    assert dicomfab("hl7", "templates", "orm-newer").code == 3


def test_what_is_built_is_taken_through_a_pipe(dicomfab, tmp_path):
    built = dicomfab("hl7", "build", "orm-new", *PATIENT, "--set", "AccessionNumber=A1")
    assert (built.code, built.err) == (0, "")
    assert built.out.startswith(b"MSH|^~\\&|DICOMFAB|")
    assert b"\n" not in built.out
    (order,) = read(built.out)
    assert order.value("PatientName") == "YAMADA^TARO=山田^太郎"
    assert json.loads(dicomfab("hl7", "take", "-", "--test", "--json", stdin=built.out).out)["code"] == "AA"
    file = tmp_path / "order.hl7"
    assert dicomfab("hl7", "build", "orm-new", *PATIENT, "-o", str(file)).out == b""
    assert read(file.read_bytes())[0].value("PatientID") == "P1"


def test_a_message_is_filled_in_from_a_procedure(dicomfab):
    dicomfab("hl7", "take", "-", "--test", stdin=orm(uid="1.2.3"))
    built = dicomfab("hl7", "build", "oru-report", "--from-procedure", "1", "--set", "ReportText=No finding.")
    (order,) = read(built.out)
    assert (order.value("PatientID"), order.value("AccessionNumber")) == ("P100", "A100")
    assert dicomfab("hl7", "build", "orm-status", "--from-procedure", "9").code == 3
    assert dicomfab("hl7", "build", "orm-status", "--from-procedure", "1", "--step", "X").code == 3


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("build", "orm-new", "--set", "PatientID"), "--set"),
        (("build", "orm-new", "--set", "Colour=red"), "Colour"),
        (("build", "orm-new", "--set", "PatientID=P1"), "PatientName"),
        (("send", "-", "--to", "127.0.0.1:1", "--tls-ca", "ca.pem"), "--tls"),
        (("send", "-", "--to", "127.0.0.1"), "--to"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(dicomfab, words, field):
    refused = dicomfab("hl7", *words, stdin=orm())
    assert refused.code == 2
    assert f"{field}: " in refused.err


@pytest.mark.parametrize(("words", "field"), [(("--tls-cert", "a"), "--tls-key"), (("--tls-ca", "a"), "--tls-cert")])
def test_a_ris_needs_certificate_and_key(dicomfab, words, field):
    refused = dicomfab("ris", "run", "--test", *words)
    assert refused.code == 2
    assert f"{field}: " in refused.err


def test_only_what_failed_is_sent_again(dicomfab):
    dicomfab("hl7", "take", "-", "--test", stdin=orm())
    assert dicomfab("hl7", "resend", "1").code == 2
    assert dicomfab("hl7", "resend", "2").code == 3
