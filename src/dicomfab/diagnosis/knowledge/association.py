"""Associations and presentation contexts (PS3.8 7.1, 9.3)."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.rules import Rule

RULES: Final[tuple[Rule, ...]] = ()
