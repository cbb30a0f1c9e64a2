"""Settings: frozen, checked once, from the environment. All state lives under one home."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dicomfab.app.audit_settings import syslog_receiver
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.address import PostgresAddress
from dicomfab.syslog.receiver import SyslogReceiver

DEFAULT_WEB_PORT = 5001
DEFAULT_WORKER_IDLE_S = 60.0
DEFAULT_SCP_HOST = "127.0.0.1"
DEFAULT_SCP_PORT = 11112
DEFAULT_HL7_PORT = 2575
DEFAULT_WORKLIST_PORT = 11114
DEFAULT_SESSION_IDLE_MINUTES = 30.0
DEFAULT_SESSION_HOURS = 12.0
DEFAULT_MONITOR_KEEP_DAYS = 7.0
DEFAULT_MONITOR_DOWN_AFTER = 2
DEFAULT_PROD_COPY_HOURS = 24.0
DEFAULT_VIEWER_HOURS = 24.0
DEFAULT_VIEWER_GB = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation is told from outside.

    Args:
        home: ``DICOMFAB_HOME``; database, studies, lab data, logs and pid files all live below it.
        web_port: ``DICOMFAB_WEB_PORT``; the web interface binds to loopback only.
        worker_idle_s: ``DICOMFAB_WORKER_IDLE_S``; when a worker that was started because jobs waited ends for lack of
            them. 0: none is started; you run ``dicomfab worker`` yourself.
        scp_host: ``DICOMFAB_SCP_HOST``; the address that our own Storage SCP listens on when it runs.
        scp_port: ``DICOMFAB_SCP_PORT``; its port.
        hl7_port: ``DICOMFAB_HL7_PORT``; where HL7 messages are taken over MLLP while the RIS runs.
        worklist_port: ``DICOMFAB_WORKLIST_PORT``; where it offers the worklist.
        lease_s: ``DICOMFAB_LEASE_S``; how long a job stays with a worker that is not heard of, for tests. 0: as usual.
        postgres: ``DICOMFAB_DATABASE``; where registry and ledger are kept if not in a file of the home.
        audit_key_file: ``DICOMFAB_AUDIT_KEY_FILE``; where the key of the audit log's chain is, if not in a file that is
            made in the home. Machines that share a database need the same key.
        audit_keep_days: ``DICOMFAB_AUDIT_KEEP_DAYS``; how long entries of the audit log are kept. 0: for ever.
        audit_syslog: ``DICOMFAB_AUDIT_SYSLOG``; where the audit log is delivered to, if anywhere. With it go
            ``DICOMFAB_AUDIT_SYSLOG_CA``, ``DICOMFAB_AUDIT_SYSLOG_CERTIFICATE`` and ``DICOMFAB_AUDIT_SYSLOG_KEY``.
        session_idle_minutes: ``DICOMFAB_SESSION_IDLE_MINUTES``; a session is over when it was not used for so long.
        session_hours: ``DICOMFAB_SESSION_HOURS``; a session is over after this, used or not.
        monitor_webhook: ``DICOMFAB_MONITOR_WEBHOOK``; the http(s) address that is told when a server goes down or
            comes up; none if blank.
        monitor_keep_days: ``DICOMFAB_MONITOR_KEEP_DAYS``; how long single checks are kept.
        prod_copy_hours: ``DICOMFAB_PROD_COPY_HOURS``; how long copies of what a production server holds stay in the
            local store. 0: for ever.
        viewer_hours: ``DICOMFAB_VIEWER_HOURS``; how long studies of test servers stay in the local store that were
            fetched only to be looked at. 0: for ever.
        viewer_gb: ``DICOMFAB_VIEWER_GB``; of all that was fetched to be looked at so much stays, in 10^9 bytes.
        monitor_down_after: ``DICOMFAB_MONITOR_DOWN_AFTER``; checks that must fail in a row before a server is down.
    """

    home: Path
    web_port: int = DEFAULT_WEB_PORT
    worker_idle_s: float = DEFAULT_WORKER_IDLE_S
    scp_host: str = DEFAULT_SCP_HOST
    scp_port: int = DEFAULT_SCP_PORT
    hl7_port: int = DEFAULT_HL7_PORT
    worklist_port: int = DEFAULT_WORKLIST_PORT
    lease_s: float = 0.0
    postgres: PostgresAddress | None = None
    audit_key_file: Path | None = None
    audit_keep_days: float = 0.0
    audit_syslog: SyslogReceiver | None = None
    session_idle_minutes: float = DEFAULT_SESSION_IDLE_MINUTES
    session_hours: float = DEFAULT_SESSION_HOURS
    monitor_webhook: str = field(default="", repr=False)  # it may hold a secret
    monitor_keep_days: float = DEFAULT_MONITOR_KEEP_DAYS
    prod_copy_hours: float = DEFAULT_PROD_COPY_HOURS
    monitor_down_after: int = DEFAULT_MONITOR_DOWN_AFTER
    viewer_hours: float = DEFAULT_VIEWER_HOURS
    viewer_gb: float = DEFAULT_VIEWER_GB

    @property
    def viewer_bytes(self) -> int:
        """So much of what was fetched to be looked at stays."""
        return int(self.viewer_gb * 1e9)

    @property
    def database(self) -> Path | PostgresAddress:
        """Where registry and ledger are: an SQLite file below the home, or PostgreSQL."""
        return self.postgres or self.home / "dicomfab.sqlite3"

    @property
    def studies(self) -> Path:
        """The local study store."""
        return self.home / "studies"

    @property
    def audit_key(self) -> Path:
        """The key of the audit log's chain."""
        return self.audit_key_file or self.home / "audit.key"

    @property
    def audit_anchors(self) -> Path:
        """Where the audit log stood at some moments."""
        return self.home / "audit-anchors.jsonl"

    @property
    def recipes(self) -> Path:
        """Saved recipes, a YAML file each."""
        return self.home / "recipes"

    @property
    def queries(self) -> Path:
        """Results of searches, for a day, and saved searches."""
        return self.home / "queries"

    @property
    def lab(self) -> Path:
        """The test PACS servers: data, logs and pid files."""
        return self.home / "lab"

    @property
    def receiver_lock(self) -> Path:
        """The file by which processes know which of them receives."""
        return self.home / "receiver.lock"

    @property
    def hl7_profiles(self) -> Path:
        """How messages of certain senders are read, a file for each."""
        return self.home / "hl7-profiles"

    @property
    def logs(self) -> Path:
        """Logs of the web interface and of workers."""
        return self.home / "logs"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        InvalidInput: a variable that cannot be used, by name.
    """
    env = os.environ if environ is None else environ
    raw_home = env.get("DICOMFAB_HOME", "").strip()
    if raw_home:
        home = Path(raw_home).expanduser()
        if home.exists() and not home.is_dir():
            raise InvalidInput(
                f"DICOMFAB_HOME: {raw_home!r} is a file, not a folder",
                field="DICOMFAB_HOME",
                value=raw_home,
                cause="the variable must name the folder that holds (or will hold) all state",
                remedy="point DICOMFAB_HOME at a folder, or unset it for the default",
            )
    else:
        from platformdirs import user_data_path

        home = user_data_path("dicomfab", appauthor=False)
    raw_database = env.get("DICOMFAB_DATABASE", "").strip()
    key_file = env.get("DICOMFAB_AUDIT_KEY_FILE", "").strip()
    return Settings(
        home=home.absolute(),
        web_port=values.port(env.get("DICOMFAB_WEB_PORT", DEFAULT_WEB_PORT), field="DICOMFAB_WEB_PORT"),
        worker_idle_s=_seconds(env.get("DICOMFAB_WORKER_IDLE_S", ""), "DICOMFAB_WORKER_IDLE_S", DEFAULT_WORKER_IDLE_S),
        scp_host=values.host(env.get("DICOMFAB_SCP_HOST", DEFAULT_SCP_HOST), field="DICOMFAB_SCP_HOST"),
        scp_port=values.port(env.get("DICOMFAB_SCP_PORT", DEFAULT_SCP_PORT), field="DICOMFAB_SCP_PORT"),
        hl7_port=values.port(env.get("DICOMFAB_HL7_PORT", DEFAULT_HL7_PORT), field="DICOMFAB_HL7_PORT"),
        worklist_port=values.port(
            env.get("DICOMFAB_WORKLIST_PORT", DEFAULT_WORKLIST_PORT), field="DICOMFAB_WORKLIST_PORT"
        ),
        lease_s=_seconds(env.get("DICOMFAB_LEASE_S", ""), "DICOMFAB_LEASE_S", 0.0),
        postgres=PostgresAddress.parse(raw_database, name="DICOMFAB_DATABASE") if raw_database else None,
        audit_key_file=Path(key_file).expanduser().absolute() if key_file else None,
        audit_keep_days=_number(env, "DICOMFAB_AUDIT_KEEP_DAYS", 0, least=0, most=36_500),
        audit_syslog=syslog_receiver(env),
        session_idle_minutes=_number(
            env, "DICOMFAB_SESSION_IDLE_MINUTES", DEFAULT_SESSION_IDLE_MINUTES, least=1, most=1440
        ),
        session_hours=_number(env, "DICOMFAB_SESSION_HOURS", DEFAULT_SESSION_HOURS, least=1, most=168),
        monitor_webhook=_web_address(env.get("DICOMFAB_MONITOR_WEBHOOK", ""), "DICOMFAB_MONITOR_WEBHOOK"),
        prod_copy_hours=_number(env, "DICOMFAB_PROD_COPY_HOURS", DEFAULT_PROD_COPY_HOURS, least=0, most=87_600),
        viewer_hours=_number(env, "DICOMFAB_VIEWER_HOURS", DEFAULT_VIEWER_HOURS, least=0, most=87_600),
        viewer_gb=_number(env, "DICOMFAB_VIEWER_GB", DEFAULT_VIEWER_GB, least=1, most=100_000),
        monitor_keep_days=_number(env, "DICOMFAB_MONITOR_KEEP_DAYS", DEFAULT_MONITOR_KEEP_DAYS, least=1, most=400),
        monitor_down_after=int(
            _number(env, "DICOMFAB_MONITOR_DOWN_AFTER", DEFAULT_MONITOR_DOWN_AFTER, least=1, most=100)
        ),
    )


def _web_address(text: str, name: str) -> str:
    """An http(s) address, which is not repeated in an error: it may hold a secret."""
    given = text.strip()
    try:
        url = urlsplit(given)
        is_usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and url.username is None
    except ValueError:
        is_usable = False
    is_plain = given.isascii() and given.isprintable() and not any(c in given for c in ' <>"')
    if given and not (is_usable and is_plain):
        raise InvalidInput(
            f"{name}: this is not a web address that can be told something",
            field=name,
            cause="it must begin with http:// or https:// and hold no user, password or space",
            remedy=f"write for example https://alerts.example.com/hook, or unset {name}",
        )
    return given


def _number(env: Mapping[str, str], name: str, default: float, *, least: int, most: int) -> float:
    """A whole number of something."""
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise InvalidInput(
            f"{name}: {text!r} is not a whole number from {least} to {most}",
            field=name,
            value=text,
            remedy=f"unset {name} for {default:g}",
        )
    return float(text)


def _seconds(text: str, name: str, default: float) -> float:
    if not text.strip():
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidInput(
            f"{name}: {text!r} is not a number of seconds",
            field=name,
            value=text,
            cause="it must be a number, 0 or more",
            remedy=f"unset {name} for {default:g}",
        )
    return number
