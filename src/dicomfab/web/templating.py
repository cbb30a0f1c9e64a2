"""Jinja, and how values are written on every page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dicomfab import __version__
from dicomfab.model.actor import local_admin
from dicomfab.model.errors import DicomFabError
from dicomfab.web import assets
from dicomfab.web.navigation import current_address, groups_for
from dicomfab.web.plain_text import plain

UNREPORTED = "unreported"


def is_fragment_wanted(request: Request) -> bool:
    """Whether htmx asks for a part of a page (and not for a whole one that it navigates to)."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


def page(
    request: Request, template: str, context: Mapping[str, Any] | None = None, *, status_code: int = 200
) -> HTMLResponse:
    """Render a template as the answer to a request. Every template knows ``mode``, and ``who`` has signed in."""
    mode, who = request.app.state.web.words, getattr(request.state, "who", None)
    actor = who.actor if who else local_admin("local", "web") if mode == "none" else None
    known = {
        "mode": mode,
        "who": who,
        "navigation": groups_for(actor, has_accounts=mode != "none") if actor else [],
        "current_address": current_address(request.url.path),
    }
    response: HTMLResponse = _templates().TemplateResponse(
        request, template, {**known, **(context or {})}, status_code=status_code
    )
    return response


def fragment(template: str, **context: Any) -> str:
    """Render a template on its own, for an event stream."""
    return _environment().get_template(template).render(context)


@cache
def _templates() -> Jinja2Templates:
    return Jinja2Templates(env=_environment())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dicomfab.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        version=__version__, query_string=query_string, asset=assets.address, zone=datetime.now().astimezone().tzname()
    )
    environment.filters.update(
        person_name=person_name,
        dicom_date=dicom_date,
        dicom_time=dicom_time,
        count=count,
        megabytes=megabytes,
        seconds=seconds,
        ago=ago,
        moment=moment,
        shell=shlex.quote,
        problem=problem,
        capitalize_first=capitalize_first,
        iso=datetime.fromisoformat,
        pair=lambda value: (value, value),
        plain=plain,
        keyword=keyword,
    )
    return environment


def person_name(value: str) -> str:
    """PN for reading: ``DOE^JANE^M`` -> ``DOE, JANE M``; only the first component group, made harmless."""
    family, _, rest = value.split("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^") if part)
    return plain(", ".join(part for part in (family, given) if part))


def dicom_date(value: str) -> str:
    """DA for reading, ``20260131`` -> ``2026-01-31``; anything else as it is, made harmless."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else plain(value)


def dicom_time(value: str) -> str:
    """TM for reading, ``0731[42[.5]]`` -> ``07:31[:42]``; anything else as it is, made harmless."""
    digits = value.split(".")[0]
    if not digits.isdigit() or len(digits) not in (4, 6):
        return plain(value)
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def keyword(value: str) -> Markup:
    """A keyword of DICOM that may be broken between its words."""
    return Markup("<wbr>").join(re.split(r"(?<=[a-z])(?=[A-Z])", value))


def count(value: int | None) -> str:
    """A number; what the peer did not send is said to be unreported, never 0."""
    return UNREPORTED if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def megabytes(value: int) -> str:
    """Bytes for reading, in MB or GB."""
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"


def seconds(value: float) -> str:
    """A duration for reading."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def ago(value: datetime) -> str:
    """How long ago a moment was, roughly."""
    age = (datetime.now(UTC) - value).total_seconds()
    if age < 5:
        return "just now"
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h"), (float("inf"), 86_400, "days")):
        if age < limit:
            return f"{round(age / size)} {unit} ago"
    raise AssertionError


def moment(value: datetime) -> str:
    """Date and time of this computer's clock, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def query_string(parameters: Mapping[str, Any], **changes: Any) -> str:
    """The query part of an address with some parameters changed; empty ones are left out."""
    merged = {**parameters, **changes}
    return urlencode({k: v for k, v in merged.items() if v not in ("", None, [], ())}, doseq=True)


def problem(error: DicomFabError) -> str:
    """What is wrong with a field, for showing beside it: without the field's name in front."""
    field = getattr(error, "field", "")
    return error.what.removeprefix(f"{field}: ") if field else error.what


def capitalize_first(text: str) -> str:
    """The first letter large, the others as they are."""
    return text[:1].upper() + text[1:]
