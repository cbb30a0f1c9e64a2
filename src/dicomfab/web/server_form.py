"""The form of a PACS server: from what the browser sends to the fields of the registry, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import FormData as SubmittedForm

from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.registry.fields import CHARACTER_SETS, TLS_PROFILES, VIAS, Capability
from dicomfab.registry.server import FIELD_NAMES, PacsServer, server_from

_ROUTE = "route."
_SECONDS = ("connect_timeout_s", "association_timeout_s", "dimse_timeout_s", "retrieve_timeout_s")
_WHOLE = ("max_associations", "max_pdu", "rate_per_minute")
_PERMISSIONS = {"allow_synthetic": Environment.TEST, "allow_real": Environment.PROD}
_FLAGS = ("is_default", "is_active", "tls")
_OPEN = frozenset({"name", "host", "port", "aec", "environment", "aet_find", "aet_store", "aet_echo"})
_TLS = frozenset(name for name in FIELD_NAMES if name.startswith("tls"))
_MORE = frozenset(FIELD_NAMES) - _OPEN - _TLS
_PROFILE_TITLES = dict(
    zip(
        TLS_PROFILES,
        ("BCP 195 (recommended)", "Modified BCP 195: more cipher suites", "Non-downgrading BCP 195: for older servers"),
        strict=True,
    )
)


async def _submitted(request: Request) -> SubmittedForm:
    return await request.form()


#: The form as the browser sent it, for routes that are not asynchronous.
FormData = Annotated[SubmittedForm, Depends(_submitted)]


@dataclass(frozen=True, slots=True)
class ServerForm:
    """What the form shows.

    Args:
        values: field name -> text as typed; capabilities as a set, flags as booleans.
    """

    values: Mapping[str, Any]
    capabilities = tuple(Capability)
    character_sets = CHARACTER_SETS
    tls_profiles = tuple(_PROFILE_TITLES.items())
    ways = tuple(zip(VIAS, ("DIMSE", "DICOMweb"), strict=True))
    permissions = (("", "as the environment"), ("true", "yes"), ("false", "no"))

    @classmethod
    def blank(cls) -> ServerForm:
        """For a new server: the registry's defaults; what must be chosen is left empty."""
        required: dict[str, object] = {"name": "x", "host": "x", "port": 104, "aec": "X", "environment": "test"}
        defaults = cls.of(server_from(required, server_id="x")).values
        return cls({**defaults, **dict.fromkeys(required, "")})

    @classmethod
    def of(cls, server: PacsServer) -> ServerForm:
        """For a server that is there."""
        plain = server.as_dict()
        numbers = {name: _number_text(plain[name]) for name in ("port", *_SECONDS, *_WHOLE)}
        # What is as the environment has it stays so when the environment is changed on the form.
        permissions = {
            name: "" if plain[name] is (server.environment is home) else str(plain[name]).lower()
            for name, home in _PERMISSIONS.items()
        }
        return cls({**plain, **numbers, **permissions, "capabilities": set(plain["capabilities"])})

    @classmethod
    def submitted(cls, form: SubmittedForm) -> ServerForm:
        """As the browser sent it."""
        texts = {name: str(form.get(name, "")) for name in FIELD_NAMES}
        blank = cls.blank().values
        texts |= {name: texts[name].strip() or blank[name] for name in ("tls_profile", "via", *_WHOLE)}
        flags = {name: name in form for name in _FLAGS}
        flags["tls_verify"] = form.get("tls_verify") != "false"  # only a clear no switches a check off
        return cls({**texts, **flags, "capabilities": {str(value) for value in form.getlist("capabilities")}})

    @property
    def is_more_used(self) -> bool:
        """Whether a field under "More" differs from a new server's, so that folding it would hide something."""
        return self._differs(_MORE - {"id", "is_default", "description"})

    @property
    def is_tls_used(self) -> bool:
        """The same for the fields of the secure connection."""
        return self._differs(_TLS)

    def _differs(self, names: Iterable[str]) -> bool:
        blank = ServerForm.blank().values
        return any(self.values[name] != blank[name] for name in names)

    def fields(self) -> dict[str, object]:
        """What the registry takes.

        Raises:
            InvalidInput: the environment was not chosen, or a number is none.
        """
        if not self.values["environment"]:
            raise InvalidInput(
                "environment: choose test or prod",
                field="environment",
                value="",
                cause="the environment decides who may use the server, so it is never guessed",
            )
        given = {name: value for name, value in self.values.items() if name in FIELD_NAMES and name != "id"}
        for name in _SECONDS:
            given[name] = _number(name, str(given[name]))
        given |= {name: {"true": True, "false": False}.get(given[name]) for name in _PERMISSIONS}
        given["capabilities"] = sorted(self.values["capabilities"])
        return given

    def field_at_fault(self, error: DicomFabError | None) -> str:
        """The field that an error is about, or nothing."""
        if error is None:
            return ""
        named = error.field if isinstance(error, InvalidInput) else error.what.partition(":")[0]
        return named if named in FIELD_NAMES else ""

    def is_more(self, field: str) -> bool:
        """Whether a field is folded away under "More"."""
        return field in _MORE

    def is_tls(self, field: str) -> bool:
        """Whether a field is folded away under "Secure connection (TLS)"."""
        return field in _TLS


def routing_from(form: SubmittedForm) -> dict[str, str]:
    """Destination id -> move AE title or blank."""
    entries: Iterable[tuple[str, Any]] = form.multi_items()
    return {name.removeprefix(_ROUTE): str(value) for name, value in entries if name.startswith(_ROUTE)}


def _number_text(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{name}: {text!r} is not a number", field=name, value=text) from None
