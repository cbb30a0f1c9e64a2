"""The routes of DICOMweb as OpenAPI tells them: parameters, media types, and the statuses of PS3.18."""

from __future__ import annotations

import re
from typing import Any, Final

from dicomfab.model.problem import MEDIA_TYPE
from dicomfab.web.api.shared import PROBLEM_SCHEMA, PROBLEMS

_JSON: Final = "application/dicom+json"
_MULTIPART: Final = "multipart/related"
_UIDS: Final = {"study": "Study", "series": "Series", "instance": "SOP"}
_QUERY: Final = {
    "limit": ("integer", "At most so many matches."),
    "offset": ("integer", "Leave out so many matches before."),
    "includefield": ("string", "Attributes to return, or `all`."),
    "fuzzymatching": ("boolean", "Names that sound alike are not matched: a Warning header says so."),
    "PatientName": ("string", "Any attribute by its keyword or tag is a matching key, with wildcards and ranges."),
}
_PICTURE: Final = {
    "window": ("string", "centre,width,function; the function is linear, linear-exact or sigmoid."),
    "viewport": ("string", "width,height of the picture, and x,y,width,height of the part that is shown."),
    "quality": ("integer", "Of JPEG, 1 to 100."),
}
#: By the end of the path: what is answered, the media types, and the query parameters.
_KINDS: Final[tuple[tuple[str, str, tuple[str, ...], dict[str, tuple[str, str]]], ...]] = (
    ("/metadata", "Attributes without bulk data (WADO-RS).", (_JSON, "application/json"), {}),
    ("/rendered", "As people see it (WADO-RS).", ("image/jpeg", "image/png", _MULTIPART, "application/pdf"), _PICTURE),
    ("/thumbnail", "One small picture (WADO-RS).", ("image/jpeg", "image/png"), {"viewport": _PICTURE["viewport"]}),
    ("/frames/{frames}", "Frames, stored or decoded (WADO-RS).", (_MULTIPART, "application/octet-stream"), {}),
    ("/bulkdata/{value:path}", "One value (WADO-RS).", (_MULTIPART, "application/octet-stream"), {}),
    ("/{study}", "The instances (WADO-RS).", (_MULTIPART,), {}),
    ("/{series}", "The instances (WADO-RS).", (_MULTIPART,), {}),
    ("/{instance}", "The instance (WADO-RS).", (_MULTIPART, "application/dicom"), {}),
    ("/studies", "Search for studies (QIDO-RS).", (_JSON, "application/json"), _QUERY),
    ("/series", "Search for series (QIDO-RS).", (_JSON, "application/json"), _QUERY),
    ("/instances", "Search for instances (QIDO-RS).", (_JSON, "application/json"), _QUERY),
)
_MORE_PROBLEMS: Final = {
    406: "It cannot be given as is accepted.",
    409: "It is in use.",
    413: "The body is too long.",
    415: "A body of this media type is not taken.",
    416: "None of the bytes asked for exist.",
    507: "The disk is full.",
}
_ALL_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = PROBLEMS | {
    status: {"description": said, "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
    for status, said in _MORE_PROBLEMS.items()
}


def described(method: str, path: str) -> dict[str, Any]:
    """What FastAPI is told of a route beside its path.

    Args:
        method: ``GET``, ``POST`` or ``DELETE``.
        path: below the root, as a template.
    """
    said, types, query = _told(method, path)
    content: dict[str, dict[str, Any]] = {one: {} for one in types}
    answers = dict(_ALL_PROBLEMS)
    if method == "DELETE":
        answers[204] = {"description": "It is deleted."}
    else:
        answers[200] = {"description": "All of it.", "content": content}
    if method == "GET":
        answers[206] = {"description": "A part, as a Range header asked.", "content": content}
        answers[304] = {"description": "It has not changed."}
    if method == "POST":
        answers[202] = {"description": "Some were stored; those that were not, and why.", "content": content}
        answers[409] = {"description": "None was stored, and why.", "content": content}
    return {
        "summary": said.removesuffix("."),
        "description": f"{said} See PS3.18 chapter 10.",
        "name": f"{method.lower()}{re.sub('[^a-z]+', '_', path)}".rstrip("_"),
        "status_code": 204 if method == "DELETE" else 200,
        "responses": answers,
        "openapi_extra": {
            "parameters": [*map(_in_path, re.findall(r"\{(\w+)", path)), *(_in_query(*one) for one in query.items())],
            **({"requestBody": _BODY} if method == "POST" else {}),
        },
    }


def _told(method: str, path: str) -> tuple[str, tuple[str, ...], dict[str, tuple[str, str]]]:
    """In a sentence what it is, the media types of its answer, and its query parameters."""
    if method == "POST":
        return "Store instances (STOW-RS).", (_JSON,), {}
    if method == "DELETE":
        return "Delete for good.", (), {}
    _, said, types, query = next(one for one in _KINDS if path.endswith(one[0]))
    return said, types, query


_BODY: Final = {
    "required": True,
    "content": {
        'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}},
        "application/dicom": {"schema": {"type": "string", "format": "binary"}},
    },
}


def _in_path(name: str) -> dict[str, Any]:
    texts = {"frames": "Numbers from 1, joined by commas.", "value": "Where the value stands, as the metadata say."}
    text = texts.get(name) or f"{_UIDS[name]} Instance UID."
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}


def _in_query(name: str, told: tuple[str, str]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": told[1], "schema": {"type": told[0]}}
