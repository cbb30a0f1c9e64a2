"""Settings in words: what each is for, what it is now, and whether somebody said so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import WebSettings

_HIDDEN: Final = "set; not shown"
_UNSET: Final = "not set"

_DIRECTORIES: Final = "Directories and identity providers"
#: Variable, what it is for, what holds without it. None holds a secret: those are in files.
_ELSEWHERE: Final = (
    ("DICOMFAB_SIGN_IN_HELP", "Whom to ask who cannot come in.", _UNSET),
    ("DICOMFAB_WEB_ADDRESS", "Where identity providers send browsers back to.", _UNSET),
    ("DICOMFAB_LDAP_SERVERS", "Domain controllers, in order.", _UNSET),
    ("DICOMFAB_LDAP_BASE", "Below it people and groups are looked for.", _UNSET),
    ("DICOMFAB_LDAP_ACCOUNT", "Account of ours that looks for them.", _UNSET),
    ("DICOMFAB_LDAP_PASSWORD_FILE", "File with its password.", _UNSET),
    ("DICOMFAB_LDAP_CA", "Authorities to trust.", "those of this machine"),
    ("DICOMFAB_LDAP_TITLE", "What people call it.", "Active Directory"),
    ("DICOMFAB_SAML_METADATA", "Metadata of the provider, an address or a file.", _UNSET),
    ("DICOMFAB_SAML_CERTIFICATE", "Our certificate for signing.", _UNSET),
    ("DICOMFAB_SAML_KEY", "Its private key.", _UNSET),
    ("DICOMFAB_SAML_CA", "Authorities to trust for the address.", "those of this machine"),
    ("DICOMFAB_SAML_SUBJECT_ATTRIBUTE", "Attribute that identifies a person for ever.", "the NameID"),
    ("DICOMFAB_SAML_NAME_ATTRIBUTE", "Attribute with the sign-in name.", "uid"),
    ("DICOMFAB_SAML_DISPLAY_NAME_ATTRIBUTE", "Attribute with the name for people.", "displayName"),
    ("DICOMFAB_SAML_GROUPS_ATTRIBUTE", "Attribute with the groups.", "memberOf"),
    ("DICOMFAB_SAML_UNSOLICITED", "Whether answers are taken that nobody asked for.", "no"),
    ("DICOMFAB_SAML_TITLE", "What people call it.", "SAML"),
    ("DICOMFAB_OIDC_ISSUER", "The provider.", _UNSET),
    ("DICOMFAB_OIDC_CLIENT_ID", "What it calls us.", _UNSET),
    ("DICOMFAB_OIDC_SECRET_FILE", "File with our secret.", _UNSET),
    ("DICOMFAB_OIDC_CA", "Authorities to trust.", "those of this machine"),
    ("DICOMFAB_OIDC_NAME_CLAIM", "Claim with the sign-in name.", "preferred_username"),
    ("DICOMFAB_OIDC_DISPLAY_NAME_CLAIM", "Claim with the name for people.", "name"),
    ("DICOMFAB_OIDC_GROUPS_CLAIM", "Claim with the groups.", "groups"),
    ("DICOMFAB_OIDC_SCOPE", "What is asked for.", "openid profile email"),
    ("DICOMFAB_OIDC_TITLE", "What people call it.", "OpenID Connect"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable.

    Args:
        group: what it is about.
        name: of the environment variable.
        meaning: in a sentence.
        value: that is in force, for reading; never a secret.
        is_given: the environment says so; else it is as usual.
    """

    group: str
    name: str
    meaning: str
    value: str
    is_given: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def described(settings: Settings, web: WebSettings, environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Every setting as it is in force.

    Args:
        settings: of the installation.
        web: of its web interface.
        environ: that they were read from; the process's own if left out.
    """
    env = os.environ if environ is None else environ
    rows = [*_storage(settings), *_web(settings, web), *_dicom(settings), *_work(settings)]
    rows += [*_keeping(settings), *_delivery(settings)]
    rows += [(_DIRECTORIES, name, meaning, env.get(name, "").strip() or usual) for name, meaning, usual in _ELSEWHERE]
    return [Setting(*row, is_given=bool(env.get(row[1], "").strip())) for row in rows]


_Row = tuple[str, str, str, str]


def _storage(settings: Settings) -> list[_Row]:
    group = "Where it is kept"
    database = str(settings.postgres) if settings.postgres else str(settings.database)
    return [
        (group, "DICOMFAB_HOME", "Folder of database, studies, recipes, lab and logs.", str(settings.home)),
        (
            group,
            "DICOMFAB_DATABASE",
            "Registry, jobs, accounts, audit log.",
            database,
        ),
        (group, "DICOMFAB_AUDIT_KEY_FILE", "Key of the audit log's chain.", str(settings.audit_key)),
    ]


def _web(settings: Settings, web: WebSettings) -> list[_Row]:
    group = "Web interface and sign-in"
    return [
        (group, "DICOMFAB_AUTH", "How people sign in: none, or local, ldap, saml, oidc.", web.words),
        (group, "DICOMFAB_WEB_HOST", "Address that the pages listen on.", web.host),
        (group, "DICOMFAB_WEB_PORT", "Port that the pages listen on.", str(settings.web_port)),
        (group, "DICOMFAB_WEB_NAMES", "Host names that the pages answer to.", ", ".join(sorted(web.all_names))),
        (group, "DICOMFAB_WEB_CERTIFICATE", "TLS certificate.", str(web.certificate or _UNSET)),
        (group, "DICOMFAB_WEB_KEY", "Its private key.", str(web.key or _UNSET)),
        (group, "DICOMFAB_WEB_PROXIES", "Reverse proxies that are believed.", ", ".join(sorted(web.proxies)) or "none"),
        (group, "DICOMFAB_SESSION_IDLE_MINUTES", "A session ends unused.", f"{settings.session_idle_minutes:g} min"),
        (group, "DICOMFAB_SESSION_HOURS", "A session ends after this, used or not.", f"{settings.session_hours:g} h"),
    ]


def _dicom(settings: Settings) -> list[_Row]:
    group = "Receiving"
    return [
        (group, "DICOMFAB_SCP_HOST", "Address that our own Storage SCP listens on.", settings.scp_host),
        (group, "DICOMFAB_SCP_PORT", "Port of our own Storage SCP.", str(settings.scp_port)),
        (group, "DICOMFAB_HL7_PORT", "Port for HL7 messages, while the RIS runs.", str(settings.hl7_port)),
        (group, "DICOMFAB_WORKLIST_PORT", "Port of its worklist.", str(settings.worklist_port)),
    ]


def _work(settings: Settings) -> list[_Row]:
    group = "Jobs and monitoring"
    idle = f"{settings.worker_idle_s:g} s" if settings.worker_idle_s else "none is started by itself"
    return [
        (group, "DICOMFAB_WORKER_IDLE_S", "A worker that was started for waiting jobs ends for lack of them.", idle),
        (
            group,
            "DICOMFAB_MONITOR_DOWN_AFTER",
            "Checks that must fail in a row before a server is down.",
            str(settings.monitor_down_after),
        ),
        (
            group,
            "DICOMFAB_MONITOR_WEBHOOK",
            "Web address that is told when a server goes down or comes up.",
            _HIDDEN if settings.monitor_webhook else _UNSET,
        ),
    ]


def _delivery(settings: Settings) -> list[_Row]:
    group, to = "Delivery of the audit log", settings.audit_syslog
    trusted = str(to.ca or "those that this machine trusts") if to else _UNSET
    return [
        (group, "DICOMFAB_AUDIT_SYSLOG", "Syslog receiver (TLS) that gets every entry.", str(to or _UNSET)),
        (group, "DICOMFAB_AUDIT_SYSLOG_CA", "Certificates of authorities that sign its own.", trusted),
        (group, "DICOMFAB_AUDIT_SYSLOG_CERTIFICATE", "Our certificate.", str(to.certificate) if to else _UNSET),
        (group, "DICOMFAB_AUDIT_SYSLOG_KEY", "Its private key.", str(to.key) if to else _UNSET),
    ]


def _keeping(settings: Settings) -> list[_Row]:
    group = "How long things are kept"
    copies, entries = settings.prod_copy_hours, settings.audit_keep_days
    return [
        (
            group,
            "DICOMFAB_PROD_COPY_HOURS",
            "Copies of what a production server holds, in the local store.",
            f"{copies:g} h" if copies else "for ever",
        ),
        (
            group,
            "DICOMFAB_VIEWER_HOURS",
            "Studies of test servers that were fetched to be looked at.",
            f"{settings.viewer_hours:g} h" if settings.viewer_hours else "for ever",
        ),
        (group, "DICOMFAB_VIEWER_GB", "So much of what was fetched to be looked at.", f"{settings.viewer_gb:g} GB"),
        (group, "DICOMFAB_MONITOR_KEEP_DAYS", "Single checks of monitoring.", f"{settings.monitor_keep_days:g} days"),
        (
            group,
            "DICOMFAB_AUDIT_KEEP_DAYS",
            "Entries of the audit log.",
            f"{entries:g} days" if entries else "for ever",
        ),
    ]
