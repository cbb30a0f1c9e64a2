"""``dicomfab backup`` and ``dicomfab restore``, as they are typed."""

from __future__ import annotations

import json

import pytest

from dicomfab.cli.remote import FROM_AFAR


@pytest.fixture
def filled(dicomfab, tmp_path):
    words = "pacs add --name Ward --host ward.example --port 104 --aec WARD --environment test"
    assert dicomfab(*words.split()).code == 0
    return dicomfab


def test_there_and_back(filled, tmp_path, monkeypatch):
    file = tmp_path / "a.tar"
    taken = filled("backup", str(file))
    assert taken.code == 0
    assert f"Backed up to {file}" in taken.out
    fingerprint = taken.out.split("fingerprint")[1].split()[0]
    checked = filled("restore", "--check", str(file))
    assert (checked.code, fingerprint in checked.out) == (0, True)
    assert f"{file} is as it was written" in checked.out
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "new"))
    restored = filled("restore", str(file))
    assert (restored.code, f"Restored to {tmp_path / 'new'}" in restored.out) == (0, True)
    assert "Ward" in filled("pacs", "list").out
    assert filled("audit", "verify").code == 0


def test_as_json(filled, tmp_path, monkeypatch):
    file = tmp_path / "a.tar"
    taken = json.loads(filled("backup", str(file), "--json").out)
    assert (taken["file"], taken["with_database"], taken["with_lab"]) == (str(file), True, False)
    assert (taken["missing"], taken["damaged"], taken["left_out"], taken["outside"]) == ([], [], [], [])
    checked = json.loads(filled("restore", str(file), "--check", "--json").out)
    assert {name: checked[name] for name in ("taken_at", "files", "fingerprint")} == {
        name: taken[name] for name in ("taken_at", "files", "fingerprint")
    }
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "new"))
    restored = json.loads(filled("restore", str(file), "--json").out)
    assert (restored["home"], restored["servers_moved"]) == (str(tmp_path / "new"), 0)


def test_what_is_refused_says_so(filled, tmp_path):
    file = tmp_path / "a.tar"
    assert filled("backup", str(file)).code == 0
    again = filled("backup", str(file))
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert filled("backup", str(file), "--overwrite").code == 0
    over = filled("restore", str(file))
    assert (over.code, "not empty" in over.err, "home.before" in over.err) == (2, True, True)
    file.write_bytes(file.read_bytes()[:-512])
    cut = filled("restore", "--check", str(file), "--json")
    assert (cut.code, json.loads(cut.out)["error"]["error"]) == (2, "InvalidInput")
    assert filled("restore", "--check", str(tmp_path / "none.tar")).code == 3


def test_neither_can_be_asked_for_from_another_machine():
    assert not {"backup", "restore"} & FROM_AFAR.keys()


def test_what_is_not_in_it_is_listed(filled, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("x")
    secret.chmod(0o600)
    entry = "pacs edit ward --dicomweb-root http://ward.example/d --dicomweb-secret-file"
    assert filled(*entry.split(), str(secret)).code == 0
    (tmp_path / "home" / "link").symlink_to(tmp_path / "nowhere")
    taken = filled("backup", str(tmp_path / "a.tar"))
    assert f"used, but outside the home: back them up yourself:\n    {secret}" in taken.out
    assert "    link" in taken.out
