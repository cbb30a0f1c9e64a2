"""The upper layer knows no socket, no clock and no data set: importing it brings in none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_FOREIGN = ("socket", "ssl", "selectors", "threading", "asyncio", "pydicom", "numpy", "pynetdicom", "dicomfab.dimse")
_LIST = "import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"


@pytest.mark.parametrize("module", ["dicomfab.ul", "dicomfab.ul.negotiation"])
def test_importing_it_brings_in_nothing_else(module: str) -> None:
    # What the interpreter had loaded before is its own affair.
    command = [sys.executable, "-c", _LIST.format(module=module)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert module in loaded
    assert not set(loaded) & set(_FOREIGN)
    ours = {name for name in loaded if name.startswith("dicomfab.")}
    assert all(name.startswith("dicomfab.ul") for name in ours)
