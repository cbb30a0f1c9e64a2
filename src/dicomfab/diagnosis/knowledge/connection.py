"""Name resolution, TCP and TLS: the road before DICOM begins."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.rules import Rule

RULES: Final[tuple[Rule, ...]] = ()
