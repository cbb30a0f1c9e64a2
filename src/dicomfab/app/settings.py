"""Settings: frozen, checked once, from the environment. All state lives under one home."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.address import PostgresAddress

DEFAULT_WEB_PORT = 5001
DEFAULT_WORKER_IDLE_S = 60.0
DEFAULT_SCP_HOST = "127.0.0.1"
DEFAULT_SCP_PORT = 11112


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
        lease_s: ``DICOMFAB_LEASE_S``; how long a job stays with a worker that is not heard of, for tests. 0: as usual.
        postgres: ``DICOMFAB_DATABASE``; where registry and ledger are kept if not in a file of the home.
    """

    home: Path
    web_port: int = DEFAULT_WEB_PORT
    worker_idle_s: float = DEFAULT_WORKER_IDLE_S
    scp_host: str = DEFAULT_SCP_HOST
    scp_port: int = DEFAULT_SCP_PORT
    lease_s: float = 0.0
    postgres: PostgresAddress | None = None

    @property
    def database(self) -> Path | PostgresAddress:
        """Where registry and ledger are: an SQLite file below the home, or PostgreSQL."""
        return self.postgres or self.home / "dicomfab.sqlite3"

    @property
    def studies(self) -> Path:
        """The local study store."""
        return self.home / "studies"

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
    return Settings(
        home=home.absolute(),
        web_port=values.port(env.get("DICOMFAB_WEB_PORT", DEFAULT_WEB_PORT), field="DICOMFAB_WEB_PORT"),
        worker_idle_s=_seconds(env.get("DICOMFAB_WORKER_IDLE_S", ""), "DICOMFAB_WORKER_IDLE_S", DEFAULT_WORKER_IDLE_S),
        scp_host=values.host(env.get("DICOMFAB_SCP_HOST", DEFAULT_SCP_HOST), field="DICOMFAB_SCP_HOST"),
        scp_port=values.port(env.get("DICOMFAB_SCP_PORT", DEFAULT_SCP_PORT), field="DICOMFAB_SCP_PORT"),
        lease_s=_seconds(env.get("DICOMFAB_LEASE_S", ""), "DICOMFAB_LEASE_S", 0.0),
        postgres=PostgresAddress.parse(raw_database, name="DICOMFAB_DATABASE") if raw_database else None,
    )


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
