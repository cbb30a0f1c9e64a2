from __future__ import annotations

import json
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dicomfab import __version__

NEW = ["--name", "My PACS", "--host", "localhost", "--port", "4242", "--aec", "TESTPACS", "--environment", "test"]
OTHER = ["--name", "Other", "--host", "other", "--port", "104", "--aec", "OTHER", "--environment", "prod"]


@pytest.fixture
def pair(dicomfab):
    assert dicomfab("pacs", "add", *NEW).code == 0
    assert dicomfab("pacs", "add", *OTHER).code == 0


def printed(result) -> object:
    assert result.err == ""
    return json.loads(result.out)


def test_version(dicomfab):
    assert dicomfab("--version").out == f"dicomfab {__version__}\n"


def test_an_unknown_command_gets_the_nearest(dicomfab):
    result = dicomfab("pasc")
    assert result.code == 2
    assert "Did you mean 'pacs'" in result.err


def test_add_and_list(dicomfab):
    assert "No PACS servers yet" in dicomfab("pacs", "list").out
    assert printed(dicomfab("pacs", "list", "--json")) == []
    result = dicomfab("pacs", "add", *NEW)
    assert (result.code, result.err) == (0, "")
    assert "My PACS (my-pacs): TESTPACS at localhost:4242, test" in result.out
    table = dicomfab("pacs", "list").out
    for word in ("my-pacs", "My PACS", "test", "localhost:4242", "TESTPACS", "DICOMFAB", "never"):
        assert word in table


def test_every_field_is_an_option(dicomfab):
    words = ["--id", "own", "--description", "d", "--aet-find", "F", "--aet-store", "", "--aet-echo", "E"]
    words += ["--aet-move", "M", "--aet-get", "G", "--capability", "echo", "--capability", "find"]
    words += ["--connect-timeout-s", "1"]
    words += ["--association-timeout-s", "2", "--dimse-timeout-s", "3", "--retrieve-timeout-s", "900"]
    words += ["--fallback-charset", "ISO_IR 100"]
    words += ["--max-associations", "4", "--max-pdu", "65536", "--rate-per-minute", "30"]
    words += ["--permitted-hours", "18:00-6:00", "--no-allow-synthetic", "--allow-real"]
    words += ["--tls", "--tls-ca-file", "/ca.pem", "--tls-certificate-file", "/c.pem", "--tls-key-file", "/k.pem"]
    words += ["--no-tls-verify", "--tls-profile", "modified-bcp-195", "--tls-server-name", "pacs.example.com"]
    words += ["--dicomweb-root", "http://x/dw", "--default", "--inactive", "--notes", "n", "--group", "site a,north"]
    words += ["--dicomweb-user", "us", "--dicomweb-secret-file", "/secret", "--via", "web"]
    made = printed(dicomfab("pacs", "add", *NEW, *words, "--json"))
    assert made == {
        "id": "own",
        "name": "My PACS",
        "host": "localhost",
        "port": 4242,
        "aec": "TESTPACS",
        "environment": "test",
        "description": "d",
        "aet_find": "F",
        "aet_store": "",
        "aet_echo": "E",
        "aet_move": "M",
        "aet_get": "G",
        "capabilities": ["echo", "find"],
        "connect_timeout_s": 1.0,
        "association_timeout_s": 2.0,
        "dimse_timeout_s": 3.0,
        "retrieve_timeout_s": 900.0,
        "max_associations": 4,
        "max_pdu": 65536,
        "rate_per_minute": 30,
        "permitted_hours": "18:00-06:00",
        "fallback_charset": "ISO_IR 100",
        "dicomweb_root": "http://x/dw",
        "tls": True,
        "tls_ca_file": "/ca.pem",
        "tls_certificate_file": "/c.pem",
        "tls_key_file": "/k.pem",
        "tls_verify": False,
        "tls_profile": "modified-bcp-195",
        "tls_server_name": "pacs.example.com",
        "is_default": True,
        "is_active": False,
        "notes": "n",
        "allow_synthetic": False,
        "allow_real": True,
        "group": "site a, north",
        "dicomweb_user": "us",
        "dicomweb_secret_file": "/secret",
        "via": "web",
    }
    shown = printed(dicomfab("pacs", "show", "MY pacs", "--json"))
    assert shown == {**made, "move_routing": {}, "last_test": None}
    assert "http://x/dw" in dicomfab("pacs", "show", "own").out


def test_paths_are_kept_whole_so_that_they_mean_the_same_file_elsewhere(dicomfab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/eva")
    pair = ["--tls-certificate-file", "./c.pem", "--tls-key-file", "~/k.pem"]
    made = printed(dicomfab("pacs", "add", *NEW, "--tls", "--tls-ca-file", "ca.pem", *pair, "--json"))
    assert made["tls_ca_file"] == str(tmp_path / "ca.pem")
    assert (made["tls_certificate_file"], made["tls_key_file"]) == (str(tmp_path / "c.pem"), "/home/eva/k.pem")
    assert "TLS" in dicomfab("pacs", "list").out
    edited = printed(dicomfab("pacs", "edit", "my-pacs", "--no-tls-verify", "--tls-ca-file", "", "--json"))
    assert (edited["tls"], edited["tls_ca_file"], edited["tls_verify"]) == (True, "", False)
    assert "TLS, not verified" in dicomfab("pacs", "list").out
    assert printed(dicomfab("pacs", "edit", "my-pacs", "--no-tls", "--json"))["tls"] is False
    assert "TLS" not in dicomfab("pacs", "list").out


def test_a_certificate_without_its_key_is_refused(dicomfab):
    result = dicomfab("pacs", "add", *NEW, "--tls", "--tls-certificate-file", "/c.pem")
    assert result.code == 2
    assert result.err.startswith("Invalid input: tls_key_file: missing")


def test_errors_are_explained_on_standard_error(dicomfab):
    result = dicomfab("pacs", "add", *NEW, "--port", "70000")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Invalid input: port: '70000' is not a port number\n  Likely cause: ")
    assert "\n  What to do:   " in result.err


def test_with_json_errors_are_json_on_standard_output(dicomfab):
    result = dicomfab("pacs", "show", "nowhere", "--json")
    assert result.code == 3
    assert printed(result)["error"]["heading"] == "Not found"


def test_edit(dicomfab, pair):
    assert "Changed New name" in dicomfab("pacs", "edit", "my-pacs", "--name", "New name", "--aet-store", "").out
    shown = printed(dicomfab("pacs", "show", "my-pacs", "--json"))
    assert (shown["name"], shown["aet_store"], shown["port"]) == ("New name", "", 4242)
    assert "Nothing to change" in dicomfab("pacs", "edit", "my-pacs", "--name", "New name").out
    assert dicomfab("pacs", "edit", "my-pacs", "--environment", "prod").code == 5
    assert dicomfab("pacs", "edit", "my-pacs", "--environment", "prod", "--change-environment").code == 0


def test_a_test_server_where_production_stood_wants_a_yes_and_is_on_record(dicomfab, pair, tmp_path):
    way = ("--host", "pacs.example.com", "--port", "104", "--aec", "P")
    assert dicomfab("pacs", "add", "--name", "Theirs", *way, "--environment", "prod").code == 0
    assert dicomfab("pacs", "remove", "theirs", "--yes").code == 0
    again = ("pacs", "add", "--name", "Back", *way, "--environment", "test")
    refused = dicomfab(*again)
    assert refused.code == 5
    assert "where Theirs stood in production" in refused.err
    file = tmp_path / "back.json"
    file.write_text(
        json.dumps({"name": "Back", "host": "PACS.example.com", "port": 104, "aec": "P", "environment": "test"})
    )
    assert dicomfab("pacs", "import", str(file)).code == 5
    assert dicomfab("pacs", "edit", "my-pacs", *way).code == 5
    assert dicomfab("pacs", "show", "back").code == 3
    assert dicomfab(*again, "--change-environment").code == 0
    assert dicomfab("pacs", "edit", "back", "--environment", "prod", "--change-environment").code == 0
    assert dicomfab("pacs", "edit", "back", "--environment", "test").code == 5
    assert dicomfab("pacs", "edit", "back", "--environment", "test", "--change-environment").code == 0
    assert "prod -> test" in dicomfab("audit", "list", "--json").out


def test_remove_asks_unless_told(dicomfab, pair):
    for words in ((), ("--json",)):
        result = dicomfab("pacs", "remove", "my-pacs", *words)
        assert result.code == 5
        assert "--yes" in result.out + result.err
    assert dicomfab("pacs", "remove", "my-pacs", "--yes").code == 0
    assert [s["id"] for s in printed(dicomfab("pacs", "list", "--json"))] == ["other"]
    assert dicomfab("pacs", "remove", "my-pacs", "--yes").code == 3


def test_route(dicomfab, pair):
    missing = dicomfab("pacs", "route", "my-pacs", "other")
    assert missing.code == 2
    assert missing.err.startswith("C-MOVE failed: no C-MOVE route from My PACS (my-pacs) to Other (other)")
    assert "not supported" in dicomfab("pacs", "route", "My PACS").out
    assert "MOVE_IT" in dicomfab("pacs", "route", "my-pacs", "other", "--ae", "MOVE_IT").out
    expected = {"source": "my-pacs", "move_routing": {"other": "MOVE_IT"}}
    assert printed(dicomfab("pacs", "route", "my-pacs", "--json")) == expected
    assert printed(dicomfab("pacs", "route", "my-pacs", "OTHER", "--json")) == expected
    assert "not supported" in dicomfab("pacs", "route", "my-pacs", "other", "--remove").out
    assert printed(dicomfab("pacs", "route", "my-pacs", "--json"))["move_routing"] == {}


@pytest.mark.parametrize("words", [["--ae", "X"], ["--remove"], ["other", "--ae", "X", "--remove"]])
def test_route_options_that_do_not_go_together(dicomfab, pair, words):
    assert dicomfab("pacs", "route", "my-pacs", *words).code == 2


def test_export_and_import(dicomfab, pair, tmp_path):
    dicomfab("pacs", "route", "my-pacs", "other", "--ae", "MOVE_IT")
    everything = dicomfab("pacs", "export").out
    file = tmp_path / "servers.json"
    file.write_text(everything, encoding="utf-8")
    report = printed(dicomfab("pacs", "import", str(file), "--json"))
    assert report == {"added": [], "changed": {}, "unchanged": ["my-pacs", "other"]}
    dicomfab("pacs", "remove", "other", "--yes")
    dicomfab("pacs", "edit", "my-pacs", "--port", "1")
    text = dicomfab("pacs", "import", str(file)).out
    assert "added      other" in text
    assert "port: 1 -> 4242" in text
    assert "move_routing.other: - -> MOVE_IT" in text
    assert dicomfab("pacs", "export").out == everything
    assert json.loads(dicomfab("pacs", "export", "Other").out)["id"] == "other"


def test_import_of_a_fragment_from_standard_input(dicomfab, pair):
    result = dicomfab("pacs", "import", "-", "--into", "my pacs", stdin='{"move_routing": {"other": "MOVE"}}')
    assert result.code == 0
    assert "changed    my-pacs" in result.out
    refused = dicomfab("pacs", "import", "-", stdin='{"move_routing": {"other": "MOVE"}}')
    assert refused.code == 2
    assert "standard input" in refused.err


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [(None, 3, "No such file"), (b"\xff\xfe", 2, "UTF-8"), (b"{", 2, "line 1"), (b'{"x": {"prot": 1}}', 2, "'port'")],
)
def test_a_file_that_cannot_be_imported_is_named(dicomfab, tmp_path, content, code, word):
    file = tmp_path / "servers.json"
    if content is not None:
        file.write_bytes(content)
    result = dicomfab("pacs", "import", str(file))
    assert result.code == code
    assert str(file) in result.err
    assert word in result.err


def test_a_server_that_does_not_answer(dicomfab, pair):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed_port = probe.getsockname()[1]
    dicomfab("pacs", "edit", "my-pacs", "--host", "127.0.0.1", "--port", str(closed_port))

    def test(*words: str) -> SimpleNamespace:
        result = subprocess.run(
            [sys.executable, "-m", "dicomfab", "pacs", "test", *words], capture_output=True, text=True, check=False
        )
        return SimpleNamespace(code=result.returncode, out=result.stdout, err=result.stderr)

    result = test("my-pacs", "My PACS")
    assert result.code == 4
    assert result.out.count("my-pacs: Connection failed: ") == 1
    tested = test("my-pacs", "--json")
    assert tested.code == 4
    (outcome,) = printed(tested)
    assert (outcome["server_id"], outcome["ok"], outcome["message"]["heading"]) == (
        "my-pacs",
        False,
        "Connection failed",
    )
    assert "Connection failed" in dicomfab("pacs", "list").out


def test_all_means_every_active_server(dicomfab, pair):
    for server in ("my-pacs", "other"):
        dicomfab("pacs", "edit", server, "--inactive")
    result = dicomfab("pacs", "test", "--all", "--json")
    assert (result.code, printed(result)) == (0, [])


@pytest.mark.parametrize("words", [[], ["my-pacs", "--all"]])
def test_test_needs_servers_or_all(dicomfab, pair, words):
    assert dicomfab("pacs", "test", *words).code == 2


def test_text_cannot_steer_the_terminal(dicomfab):
    result = dicomfab("pacs", "show", "evil\x1b]0;title\x07")
    assert result.code == 3
    assert "\x1b" not in result.err
    assert "\x07" not in result.err


def test_a_home_that_is_a_file_is_named(dicomfab, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "file"))
    result = dicomfab("pacs", "list")
    assert result.code == 2
    assert "DICOMFAB_HOME" in result.err
