"""The wiring: every part can be made, each is made once, and making it opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.part import part as made_once
from dicomfab.app.settings import load_settings

PARTS = sorted(
    name
    for kind in Application.__mro__
    for name, value in vars(kind).items()
    if isinstance(value, property | made_once) and not name.startswith("_")
)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    made = build(load_settings({"DICOMFAB_HOME": str(tmp_path / "home")}))
    yield made
    made.close()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_made_once_and_opens_nothing(application: Application, part: str) -> None:
    assert getattr(application, part) is getattr(application, part)
    home = application.settings.home
    # The identity of the local store is drawn when it is first asked for, and kept.
    assert [path.name for path in home.rglob("*")] in ([], ["store-id"])
