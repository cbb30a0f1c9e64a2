from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.doctor.site import Site
from tests.unit.dimse.transport.conftest import pki  # noqa: F401 - a fixture


@pytest.fixture
def site(tmp_path: Path, pki: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:  # noqa: F811
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, stack, pki, monkeypatch)
