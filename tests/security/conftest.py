"""An installation whose people sign in, served over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app import account_parts
from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from tests.security.served import Clock, hang_up, in_this_process
from tests.unit.services.accounts_office import weaken_passwords


@pytest.fixture(autouse=True)
def _hung_up() -> Iterator[None]:
    yield
    hang_up()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the installation."""
    clock = Clock()
    monkeypatch.setattr(account_parts, "_now", clock)
    return clock


@pytest.fixture
def application(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """A new installation; its argon2id is as weak as it can be, so that signing in takes no time."""
    weaken_passwords(monkeypatch)
    application = build(Settings(tmp_path / "home", worker_idle_s=0))
    yield application
    application.close()


@pytest.fixture
def url(application: Application) -> Iterator[str]:
    """Where its pages are, in mode local."""
    with in_this_process(application) as url:
        yield url
