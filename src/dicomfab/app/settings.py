"""Settings: frozen, checked once, from the environment. All state lives under one home."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

DEFAULT_WEB_PORT = 5001


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation is told from outside.

    Args:
        home: ``DICOMFAB_HOME``; database, studies, lab data, logs and pid files all live below it.
        web_port: ``DICOMFAB_WEB_PORT``; the web interface binds to loopback only.
    """

    home: Path
    web_port: int = DEFAULT_WEB_PORT

    @property
    def database(self) -> Path:
        """The SQLite file of registry and ledger."""
        return self.home / "dicomfab.sqlite3"

    @property
    def studies(self) -> Path:
        """The local study store."""
        return self.home / "studies"

    @property
    def recipes(self) -> Path:
        """Saved recipes, a YAML file each."""
        return self.home / "recipes"

    @property
    def lab(self) -> Path:
        """The test PACS servers: data, logs and pid files."""
        return self.home / "lab"

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
    return Settings(
        home=home.absolute(),
        web_port=values.port(env.get("DICOMFAB_WEB_PORT", DEFAULT_WEB_PORT), field="DICOMFAB_WEB_PORT"),
    )
