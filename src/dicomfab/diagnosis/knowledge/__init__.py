"""What is known of failures, as data: a file for each part of the road."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.knowledge import association, connection, moving, services
from dicomfab.diagnosis.rules import Rule

RULES: Final[tuple[Rule, ...]] = (*connection.RULES, *association.RULES, *services.RULES, *moving.RULES)
