"""The identity of a local store."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomfab.app.settings import Settings
from dicomfab.app.workers import store_id
from dicomfab.model.errors import LocalFailure


def test_a_store_keeps_the_identity_that_was_drawn_for_it(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home")
    drawn = store_id(settings)
    assert len(drawn) == 36
    assert store_id(settings) == drawn
    assert [path.name for path in settings.home.iterdir()] == ["store-id"]


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_identity_that_a_power_cut_left_empty_is_said_and_none_is_drawn_unasked(
    tmp_path: Path, content: str
) -> None:
    settings = Settings(tmp_path / "home")
    settings.home.mkdir()
    file = settings.home / "store-id"
    file.write_text(content)
    with pytest.raises(LocalFailure, match="is empty") as said:
        store_id(settings)
    assert "backup" in said.value.remedy
    assert file.read_text() == content
    file.unlink()
    assert store_id(settings)
