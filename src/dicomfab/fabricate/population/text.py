"""Populations as people type them: ``1-5``, ``CT=40,DX=30``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from dicomfab.fabricate.population.exams import MODALITIES
from dicomfab.fabricate.population.recipe import Weights
from dicomfab.model.errors import InvalidInput

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def studies(text: str) -> tuple[int, int]:
    """``1-5``, or ``3`` for always three.

    Raises:
        InvalidInput: anything else.
    """
    low, dash, high = (part.strip() for part in text.partition("-"))
    ends = (low, high if dash else low)
    if not all(end.isascii() and end.isdigit() and len(end) < 7 for end in ends):
        raise InvalidInput(
            f"studies_per_patient: {text!r} is no range",
            field="studies_per_patient",
            value=text,
            remedy="write the fewest and the most, such as 1-5",
        )
    return int(ends[0]), int(ends[1])


def weights(texts: Sequence[str], field: str) -> Weights:
    """``NAME=NUMBER``, several of them joined by commas or given one by one.

    Raises:
        InvalidInput: one that is none, naming the field.
    """
    found = []
    for part in (part.strip() for text in texts for part in text.split(",") if part.strip()):
        name, _, number = part.partition("=")
        value = float(number) if _NUMBER.fullmatch(number.strip()) else math.nan
        if not math.isfinite(value):
            raise InvalidInput(
                f"{field}: {part!r} is not NAME=NUMBER",
                field=field,
                value=part,
                remedy="write a name, an equals sign and a number, such as "
                + {"mix": "CT=40", "scripts": "japanese=20"}.get(field, "NAME=0.01"),
            )
        found.append((name.strip(), value))
    return tuple(found)


def mix(texts: Sequence[str]) -> Weights:
    """As :func:`weights`, each name as :func:`mixed` has it."""
    return tuple((mixed(name), value) for name, value in weights(texts, "mix"))


def mixed(name: str) -> str:
    """A name of a mix, with a modality in small letters taken for what it is."""
    return name.upper() if name.upper() in MODALITIES else name
