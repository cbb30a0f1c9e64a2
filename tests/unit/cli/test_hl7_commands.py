from __future__ import annotations

import io
import json
import socket
from types import SimpleNamespace

import pytest

from dicomfab.cli.hl7_sending import receiver_address
from dicomfab.cli.main import run
from dicomfab.hl7.listener import Listener, ListenerConfig
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


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return int(nobody.getsockname()[1])


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
        (("send", "-", "--to", ":2575"), "--to"),
        (("send", "-", "--to", "127.0.0.1:99999"), "--to"),
        (("send", "-", "--to", "::1:2575"), "--to"),
        (("send", "-", "--to", "http://ris:2575"), "--to"),
        (("send", "-", "--test", "--to", "127.0.0.1:1", "--tls", "--tls-ca", "absent.pem"), "--tls-ca"),
        (("send", "-", "--test", "--to", "127.0.0.1:1", "--tls", "--tls-cert", "absent.pem"), "--tls-cert"),
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


def test_a_port_of_hl7_is_asked_for_where_hl7_listens(dicomfab):
    refused = dicomfab("hl7", "send", "-", "--to", "127.0.0.1:x", stdin=orm())
    assert "DICOM" not in refused.err
    assert "MLLP" in refused.err


def test_an_address_of_ipv6_stands_in_brackets():
    assert receiver_address(" [::1]:2575 ", field="--to") == ("::1", 2575)
    assert receiver_address("ris.example.com:6661", field="--to") == ("ris.example.com", 6661)


def test_what_is_refused_is_told_once(dicomfab):
    cancelled = orm(control="CA", accession="A404")
    refused = dicomfab("hl7", "take", "-", "--test", stdin=cancelled)
    assert (refused.code, refused.out) == (2, b"")
    assert "message 1 is refused with AE: " in refused.err
    assert "dicomfab hl7 show 1 --acknowledgement" in refused.err
    told = dicomfab("hl7", "take", "-", "--test", "--json", stdin=cancelled)
    document = json.loads(told.out)
    assert (told.code, told.err, document["code"]) == (2, "", "AE")
    assert document["error"]["field"] == "message"


def test_a_failure_as_json_is_one_line(dicomfab):
    failed = dicomfab("hl7", "show", "9", "--json")
    assert failed.out.count(b"\n") == 1
    assert json.loads(failed.out)["error"]["error"] == "NotFound"


def test_what_is_built_is_told_as_json(dicomfab, tmp_path):
    file = tmp_path / "order.hl7"
    built = json.loads(dicomfab("hl7", "build", "orm-new", *PATIENT, "-o", str(file), "--json").out)
    assert built["file"] == str(file)
    assert built["message"].encode() == file.read_bytes()


def test_a_message_about_one_of_several_steps_says_so(dicomfab):
    for control_id, step in (("M1", "S1"), ("M2", "S2")):
        dicomfab("hl7", "take", "-", "--test", stdin=orm(control_id, sps=step, uid="1.2.3"))
    built = dicomfab("hl7", "build", "orm-cancel", "--from-procedure", "1")
    assert built.err == "Note: the message names step S1; one each for the others: --step S2\n"
    for words in (("--step", "S2"), ("--set", "ScheduledProcedureStepID=S2")):
        built = dicomfab("hl7", "build", "orm-cancel", "--from-procedure", "1", *words)
        assert built.err == ""
        assert b"|S2|" in built.out


def test_a_merge_is_of_two_identifiers(dicomfab):
    refused = dicomfab("patient", "check-merge", "P1", "P1", "--pacs", "ward")
    assert refused.code == 2
    assert "NEW_ID: " in refused.err


def test_a_modality_names_its_options(dicomfab):
    dicomfab(
        "pacs",
        "add",
        "--name",
        "Ward",
        "--host",
        "localhost",
        "--port",
        "11199",
        "--aec",
        "WARD",
        "--environment",
        "test",
    )
    nowhere = dicomfab("modality", "run", "--pacs", "Ward", "--bind", "no address")
    assert (nowhere.code, "--bind" in nowhere.err) == (2, True)
    refused = dicomfab("modality", "run", "--pacs", "Ward", "--append", "--wrong-item")
    assert refused.code == 2
    assert "--wrong-item: " in refused.err
    assert "does not go with --append" in refused.err


def test_a_ris_of_this_computer_that_is_not_there_comes_with_how_to_start_it(dicomfab, free_port):
    dicomfab(
        "pacs",
        "add",
        "--name",
        "Ward",
        "--host",
        "localhost",
        "--port",
        "11199",
        "--aec",
        "WARD",
        "--environment",
        "test",
    )
    refused = dicomfab("modality", "worklist", "--pacs", "Ward", "--ris", f"127.0.0.1:{free_port}")
    assert refused.code == 4
    assert "dicomfab ris run --test --any-caller" in refused.err


@pytest.mark.parametrize(("host", "heading"), [("127.0.0.1", "Port in use"), ("192.0.2.1", "Failed on our side")])
def test_a_ris_says_why_it_cannot_listen(dicomfab, host, heading):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = dicomfab("ris", "run", "--test", "--bind", host, "--hl7-port", port, "--dicom-port", "0")
    assert failed.code == 1
    assert failed.err.startswith(f"{heading}: HL7 port {port} of {host} ")
    assert "--hl7-port" in failed.err


@pytest.mark.parametrize(
    ("msa", "what"),
    [("AE|M1|no such bed", "answered message 1 with AE: no such bed"), ("AR|M1", "answered message 1 with AR"),
     ("AA|M9", "did not acknowledge message 1"), ("XX|M1", "did not acknowledge message 1")],
)  # fmt: skip
def test_a_message_that_is_not_accepted_says_so_once(dicomfab, msa, what):
    answer = f"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.3.1\rMSA|{msa}\r".encode()
    with Listener(ListenerConfig(), lambda *_: answer, lambda *_: b"") as listener:
        to = f"127.0.0.1:{listener.port}"
        words = ("hl7", "send", "-", "--test", "--to", to)
        refused = dicomfab(*words, stdin=orm())
        told = dicomfab(*words, "--json", stdin=orm())
    assert (refused.code, refused.out) == (6, b"")
    assert refused.err.startswith(f"Not accepted: {to} {what}")
    assert refused.err.count("no such bed") == ("no such bed" in msa)
    document = json.loads(told.out)
    assert (told.code, told.err, document["state"]) == (6, "", "failed")
    assert document["error"]["heading"] == "Not accepted"
    assert document["acknowledgement"].encode() == answer
