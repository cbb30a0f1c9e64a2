"""Settings of the directories and identity providers that people sign in with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from dicomfab.app.settings_reader import Reader, readable_file
from dicomfab.model import values
from dicomfab.model.account import LOCAL
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.identity.ldap_settings import LdapServer, LdapSettings
    from dicomfab.identity.oidc_values import OidcSettings
    from dicomfab.identity.saml_values import SamlSettings

_TITLES: Final = {LOCAL: "DICOM Fabricator", "ldap": "Active Directory", "saml": "SAML", "oidc": "OpenID Connect"}
_PORTS: Final = {"ldaps": 636, "ldap": 389}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_YES: Final = frozenset({"1", "yes", "true", "on"})


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """How people sign in.

    Args:
        sources: where accounts may be, in the order of the sign-in page (``DICOMFAB_AUTH``).
        titles: what people call each (``DICOMFAB_LDAP_TITLE`` and so on).
        help: whom to ask, for people who cannot come in (``DICOMFAB_SIGN_IN_HELP``).
        address: ``DICOMFAB_WEB_ADDRESS``; under which browsers reach these pages. Identity providers send them there.
        ldap, saml, oidc: each if it is used.
    """

    sources: tuple[str, ...] = (LOCAL,)
    titles: Mapping[str, str] = field(default_factory=lambda: dict(_TITLES))
    help: str = ""
    address: str = ""
    ldap: LdapSettings | None = None
    saml: SamlSettings | None = None
    oidc: OidcSettings | None = None


def load_sign_in_settings(environ: Mapping[str, str] | None = None) -> SignInSettings:
    """Read the settings.

    Raises:
        InvalidInput: naming everything that cannot be used, a line each.
    """
    reader = Reader(os.environ if environ is None else environ)
    words = [word.strip().lower() for word in reader.text("DICOMFAB_AUTH", LOCAL).split(",")]
    found = read_sign_in(reader, words)
    reader.finish()
    return found


def read_sign_in(reader: Reader, modes: Sequence[str]) -> SignInSettings:
    """Read the settings of those of these modes that are directories or providers; the reader has the problems."""
    sources = tuple(mode for mode in modes if mode in _TITLES) or (LOCAL,)
    address = ""
    if {"saml", "oidc"} & set(modes):
        why = "identity providers send browsers back to it, and it is never taken from a request"
        reader.needed("DICOMFAB_WEB_ADDRESS", why)
        address = reader.read("DICOMFAB_WEB_ADDRESS", _own_address, "")
    return SignInSettings(
        sources,
        {source: reader.text(f"DICOMFAB_{source.upper()}_TITLE", title) for source, title in _TITLES.items()},
        reader.text("DICOMFAB_SIGN_IN_HELP"),
        address,
        _ldap(reader) if "ldap" in modes else None,
        _saml(reader, address) if "saml" in modes else None,
        _oidc(reader, address) if "oidc" in modes else None,
    )


def _ldap(reader: Reader) -> LdapSettings:
    from dicomfab.identity.ldap_settings import LdapSettings

    why = "DICOMFAB_AUTH has ldap"
    reader.needed("DICOMFAB_LDAP_SERVERS", why)
    return LdapSettings(
        servers=reader.read("DICOMFAB_LDAP_SERVERS", _ldap_servers, ()),
        base=reader.needed("DICOMFAB_LDAP_BASE", f"{why}; below it people and groups are looked for"),
        account=reader.needed("DICOMFAB_LDAP_ACCOUNT", f"{why}; people are looked for by an account of ours"),
        password=_content(reader, "DICOMFAB_LDAP_PASSWORD_FILE", why),
        ca_file=_file_name(reader, "DICOMFAB_LDAP_CA"),
    )


def _saml(reader: Reader, address: str) -> SamlSettings:
    from dicomfab.identity.saml_values import SamlSettings

    why = "DICOMFAB_AUTH has saml"
    metadata = reader.needed("DICOMFAB_SAML_METADATA", f"{why}; it says who the identity provider is")
    if metadata and "://" in metadata:
        metadata = reader.read("DICOMFAB_SAML_METADATA", lambda text: _secure("DICOMFAB_SAML_METADATA", text), "")
    elif metadata:
        metadata = _file_name(reader, "DICOMFAB_SAML_METADATA")
    return SamlSettings(
        address=address,
        certificate=_content(reader, "DICOMFAB_SAML_CERTIFICATE", f"{why}; the provider knows us by it"),
        key=_content(reader, "DICOMFAB_SAML_KEY", f"{why}; what we ask is signed with it"),
        metadata=metadata,
        ca_file=_file_name(reader, "DICOMFAB_SAML_CA"),
        subject_attribute=reader.text("DICOMFAB_SAML_SUBJECT_ATTRIBUTE"),
        name_attribute=reader.text("DICOMFAB_SAML_NAME_ATTRIBUTE", "uid"),
        display_name_attribute=reader.text("DICOMFAB_SAML_DISPLAY_NAME_ATTRIBUTE", "displayName"),
        groups_attribute=reader.text("DICOMFAB_SAML_GROUPS_ATTRIBUTE", "memberOf"),
        allow_unsolicited=reader.text("DICOMFAB_SAML_UNSOLICITED").lower() in _YES,
    )


def _oidc(reader: Reader, address: str) -> OidcSettings:
    from dicomfab.identity.oidc_values import OidcSettings

    why = "DICOMFAB_AUTH has oidc"
    reader.needed("DICOMFAB_OIDC_ISSUER", f"{why}; it says who the provider is")
    return OidcSettings(
        address=address,
        issuer=reader.read("DICOMFAB_OIDC_ISSUER", lambda text: _secure("DICOMFAB_OIDC_ISSUER", text), ""),
        client_id=reader.needed("DICOMFAB_OIDC_CLIENT_ID", f"{why}; the provider knows us by it"),
        client_secret=_content(reader, "DICOMFAB_OIDC_SECRET_FILE", f"{why}; it proves who we are"),
        ca_file=_file_name(reader, "DICOMFAB_OIDC_CA"),
        name_claim=reader.text("DICOMFAB_OIDC_NAME_CLAIM", "preferred_username"),
        display_name_claim=reader.text("DICOMFAB_OIDC_DISPLAY_NAME_CLAIM", "name"),
        groups_claim=reader.text("DICOMFAB_OIDC_GROUPS_CLAIM", "groups"),
        scope=reader.text("DICOMFAB_OIDC_SCOPE", "openid profile email"),
    )


def _content(reader: Reader, name: str, why: str) -> str:
    """What stands in a file that a setting names."""
    reader.needed(name, why)
    path = reader.read(name, readable_file(name), None)
    return path.read_text(encoding="utf-8", errors="replace").strip() if path is not None else ""


def _file_name(reader: Reader, name: str) -> str:
    path: Path | None = reader.read(name, readable_file(name), None)
    return str(path) if path is not None else ""


def _ldap_servers(text: str) -> tuple[LdapServer, ...]:
    return tuple(_ldap_server(part.strip()) for part in text.split(",") if part.strip())


def _ldap_server(text: str) -> LdapServer:
    from dicomfab.identity.ldap_settings import LdapServer

    name = "DICOMFAB_LDAP_SERVERS"
    parts, port = _split(name, text if "://" in text else f"ldaps://{text}")
    if parts.scheme not in _PORTS or parts.path.strip("/") or not parts.hostname:
        raise InvalidInput(
            f"{name}: {text!r} is no address of a domain controller",
            field=name,
            value=text,
            remedy="write for example ldaps://dc1.example.com, ldaps://dc2.example.com; ldap:// means StartTLS",
        )
    return LdapServer(values.host(parts.hostname, field=name), port or _PORTS[parts.scheme], parts.scheme == "ldap")


def _secure(name: str, text: str) -> str:
    parts, _ = _split(name, text)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return text
    raise InvalidInput(
        f"{name}: {text!r} is not protected",
        field=name,
        value=text,
        cause="who listens in, or stands between, could let anybody in",
        remedy="use an address that begins with https://",
    )


def _own_address(text: str) -> str:
    name = "DICOMFAB_WEB_ADDRESS"
    parts, _ = _split(name, text)
    _secure(name, text)
    if parts.path.strip("/") or parts.query or parts.fragment or not parts.hostname:
        raise InvalidInput(
            f"{name}: {text!r} is more than an address of a server",
            field=name,
            value=text,
            remedy="write scheme, name and, if needed, port: https://dicomfab.example.com",
        )
    return text.rstrip("/")


def _split(name: str, text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError as error:
        raise InvalidInput(
            f"{name}: {text!r} is no address", field=name, value=text, cause=str(error), remedy="mend it"
        ) from error
