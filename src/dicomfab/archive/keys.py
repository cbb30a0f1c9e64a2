"""A matching key as SQL (PS3.4 C.2.2.2): for C-FIND, and for whoever browses."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, func

from dicomfab.archive.attributes import UNIQUE_KEY, Attribute
from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.matching import compile_key, date_bounds, is_literal, split_values
from dicomfab.archive.schema import TABLES

# Indexed columns: here SQL narrows the search before the matching rules decide. What it drops never matches.
_LOOKED_UP: Final = frozenset({*UNIQUE_KEY.values(), "AccessionNumber"})


def column(attribute: Attribute) -> Column[Any]:
    """Where the index holds an attribute."""
    return TABLES[attribute.level].c[attribute.keyword]


def condition(attribute: Attribute, pattern: str) -> ColumnElement[bool] | None:
    """A matching key as SQL; ``None`` if it matches everything.

    Raises:
        ArchiveQueryError: the value cannot be a key for the attribute's VR.
    """
    try:
        universal = compile_key(attribute.vr, pattern) is None
    except ValueError as error:
        raise ArchiveQueryError(
            f"the key {attribute.keyword} cannot be matched: {error}",
            field=attribute.keyword,
            cause=f"its value representation is {attribute.vr}",
            remedy="correct the value, or leave the key empty",
        ) from error
    if universal:
        return None
    stored = column(attribute)
    matches = func.dicom_matches_any if attribute.multi else func.dicom_matches
    decided = matches(attribute.vr, pattern, stored) == 1
    if attribute.keyword in _LOOKED_UP and is_literal(attribute.vr, pattern):
        return and_(stored.in_(split_values(attribute.vr, pattern)), decided)
    bounds = date_bounds(pattern) if attribute.keyword == "StudyDate" else None
    return decided if bounds is None else and_(stored.between(*bounds), decided)
