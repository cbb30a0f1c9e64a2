"""C-MOVE between two servers (PS3.4 C.4.2)."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.rules import Rule

RULES: Final[tuple[Rule, ...]] = ()
