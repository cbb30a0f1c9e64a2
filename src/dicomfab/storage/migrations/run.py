"""Run the migrations inside a transaction that is already open."""

from __future__ import annotations

import threading
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from dicomfab.model.errors import LocalFailure

#: The scripts reach their connection by a name of Alembic's that the whole process has in common.
_ALONE: Final = threading.Lock()


def configuration() -> Config:
    """Alembic's settings, without a file: the scripts are found in this package."""
    config = Config()
    config.set_main_option("script_location", "dicomfab.storage:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection, name: str) -> None:
    """Bring a database to the newest revision; the caller commits, so that all of it happens or nothing does.

    Args:
        connection: to the database.
        name: of the database, for messages.

    Raises:
        LocalFailure: a newer version of the program has already changed this database.
    """
    config = configuration()
    config.attributes["connection"] = connection
    try:
        with _ALONE:
            command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise LocalFailure(
            f"the database {name} cannot be brought to revision {newest} ({error}); it was left as it is",
            cause="a newer version of dicomfab has already changed it",
            remedy="use that version, or another database (DICOMFAB_DATABASE) or home folder (DICOMFAB_HOME)",
        ) from error
