"""C-ECHO, C-FIND and C-STORE (PS3.4 annexes A, B and C)."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.rules import Rule

RULES: Final[tuple[Rule, ...]] = ()
