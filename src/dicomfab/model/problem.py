"""A failure as programs read it: the members of a problem (RFC 9457), with what our errors say beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dicomfab.model.errors import DicomFabError

MEDIA_TYPE: Final = "application/problem+json"
#: Members that RFC 9457 names otherwise, and the value at fault, which may be a secret.
_TOLD_OTHERWISE: Final = frozenset({"heading", "what", "value", "source"})
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


def code_of(error: DicomFabError) -> str:
    """In a word what happened: what a peer's failure says (``refused``, ``A801``), else the error's class."""
    told = error.as_dict()
    return str(told.get("code") or "") or _word(told)


def problem_of(error: DicomFabError, status: int, errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """The members.

    Args:
        error: what failed.
        status: of HTTP.
        errors: each field at fault with a message, where several are known.
    """
    told = error.as_dict()
    return {
        "type": f"urn:dicomfab:error:{_word(told)}",
        "title": error.heading,
        "status": status,
        "detail": error.what,
        **{name: value for name, value in told.items() if name not in _TOLD_OTHERWISE},
        "code": code_of(error),
        "field": str(told.get("field", "")),
        "errors": [dict(one) for one in errors],
    }


def _word(told: Mapping[str, Any]) -> str:
    return _CAPITAL.sub("-", str(told["error"])).lower()
