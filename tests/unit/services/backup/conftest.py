from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.build import Application
from tests.unit.services.backup.world import ADMIN, fill, installation
from tests.unit.services.test_audit_fail_closed import server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def lived_in(home: Path) -> Iterator[Application]:
    """An installation with some of everything."""
    with installation(home) as application:
        secret = home / "secrets" / "ward"
        secret.parent.mkdir(parents=True, mode=0o700)
        secret.write_text("geheim\n")
        application.pacs.add(ADMIN, server("Ward", 104))
        fill(application.local_archive)
        (home / "recipes").mkdir()
        (home / "recipes" / "mine.yaml").write_text("kind: ct-chest\n")
        yield application
