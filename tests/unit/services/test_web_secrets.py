"""Files with secrets of DICOMweb services: which are read, and what of them is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.model.errors import InvalidInput
from dicomfab.services.by_web import find
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.web_secrets import SecretFiles
from tests.unit.dicomweb.client.servers import Reply, web_server
from tests.unit.services.test_by_web import ROOT, peer


@pytest.mark.parametrize(
    ("content", "user"), [(b"topsecret\n", "us"), (b"topsecret", ""), (b"topsecret\r\nnote", "us")]
)
def test_the_secret_is_read_when_it_is_needed(tmp_path: Path, content: bytes, user: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with web_server(lambda _: Reply()) as server:
        there = peer(server.root, user=user, secret_file=str(path))
        assert list(find(there, ROOT, StudyFilter().identifier(), secrets=SecretFiles(tmp_path))) == []
        assert server.asked[0].headers["authorization"].startswith("Basic " if user else "Bearer topsecret")
    assert "topsecret" not in repr(there)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a\x00b", b"\xff\xfe"])
def test_a_secret_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(InvalidInput) as caught:
        ask_with_secret("http://127.0.0.1:9", path, SecretFiles(tmp_path))
    assert caught.value.field == "dicomweb_secret_file"
    assert "may not be used" not in caught.value.what


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_is_no_secret(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("topsecret")
    path.chmod(mode)
    for one in (path, tmp_path):
        with web_server(lambda _: Reply()) as server, pytest.raises(InvalidInput) as caught:
            ask_with_secret(server.root, one, SecretFiles(tmp_path))
        assert server.asked == []
        assert "topsecret" not in str(caught.value)
        assert "may not be used" not in caught.value.what


def test_only_files_that_are_meant_for_it_are_secrets(tmp_path: Path) -> None:
    folder, key, lab = tmp_path / "home" / "secrets", tmp_path / "home" / "audit.key", tmp_path / "web-password"
    secrets = SecretFiles(folder, (lab,))
    with web_server(lambda _: Reply()) as server:
        with pytest.raises(InvalidInput):
            ask_with_secret(server.root, folder / "office", secrets)
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "linked").symlink_to(key)
        for path in (key, lab, folder / "office"):
            path.write_text("topsecret")
            path.chmod(0o600)
        for path in (key, folder / ".." / "audit.key", folder / "linked", Path("/dev/null"), folder):
            with pytest.raises(InvalidInput) as caught:
                ask_with_secret(server.root, path, secrets)
            assert caught.value.field == "dicomweb_secret_file"
        with pytest.raises(InvalidInput):
            ask_with_secret(server.root, folder / "office", SecretFiles())
        assert server.asked == []
        for path in (lab, folder / "office"):
            ask_with_secret(server.root, path, secrets)
        assert len(server.asked) == 2


def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("töpsecret", "utf-8")
    path.chmod(0o600)
    with web_server(lambda _: Reply()) as server:
        with pytest.raises(InvalidInput) as caught:
            ask_with_secret(server.root, path, SecretFiles(tmp_path))
        assert server.asked == []
        assert "psecret" not in f"{caught.value} {caught.value.as_dict()}"
        ask_with_secret(server.root, path, SecretFiles(tmp_path), user="us")  # HTTP Basic encodes it
        assert len(server.asked) == 1


def ask_with_secret(root: str, path: Path, secrets: SecretFiles, user: str = "") -> None:
    there = peer(root, secret_file=str(path), user=user)
    assert list(find(there, ROOT, StudyFilter().identifier(), secrets=secrets)) == []
