from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure
from dicomfab.model.values import Environment
from dicomfab.services.order_profiles import profiles_in
from tests.unit.web.conftest import ACTOR

MESSAGE = "MSH|^~\\&|NRIS|NORTH\rPID|||P1||Doe^J\rORC|NW|1|FI1\rOBR|1|1|FI1|1^CT^L||||||||||||||ACC18\r"


def put(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")


def test_messages_are_read_by_the_profile_of_their_sender_from_then_on(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", worker_idle_s=0)
    application = build(settings)
    try:
        (before,) = application.orders.add(ACTOR, MESSAGE, Environment.TEST)
        put(settings.hl7_profiles, "n.yaml", "{name: North, senders: [NRIS], sources: {AccessionNumber: [ORC-3]}}")
        (after,) = application.orders.add(ACTOR, MESSAGE, Environment.TEST)
        put(settings.hl7_profiles, "n.yaml", "{name: North}")
        with pytest.raises(InvalidInput, match=r"n\.yaml"):
            application.orders.add(ACTOR, MESSAGE, Environment.TEST)
    finally:
        application.close()
    assert [one.order.value("AccessionNumber") for one in (before, after)] == ["ACC18", "FI1"]


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert profiles_in(tmp_path / "none") == ()


def test_no_sender_has_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path, f"{name}.yaml", f"{{name: {name}, senders: [R]}}")
    with pytest.raises(Conflict, match="for R"):
        profiles_in(tmp_path)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LocalFailure, match=r"a\.yaml"):
        profiles_in(tmp_path)


def test_a_file_is_read_anew_when_it_has_changed_and_only_then(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", "{name: First, senders: [A]}")
    (first,) = profiles_in(tmp_path)
    assert profiles_in(tmp_path)[0] is first
    put(tmp_path, "a.yaml", "{name: Other, senders: [A]}")  # of the same length
    assert [one.name for one in profiles_in(tmp_path)] == ["Other"]
    (tmp_path / "a.yaml").unlink()
    assert profiles_in(tmp_path) == ()
