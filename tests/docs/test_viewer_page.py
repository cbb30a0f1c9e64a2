from __future__ import annotations

from pathlib import Path

from dicomfab.fabricate.kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "viewer-pictures.md"


def test_every_kind_has_its_picture() -> None:
    text = PAGE.read_text("utf-8")
    for kind, made in KINDS.items():
        assert f"| {kind} | {made.title} | ![{kind} in the viewer](../images/viewer/{kind}.png) |" in text
        assert (PAGE.parent / f"../images/viewer/{kind}.png").is_file()
