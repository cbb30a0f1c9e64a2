"""DICOM Fabricator: an imaging integration lab in one package.

Importing this package costs next to nothing: it holds the version, and hands out the Python API on first use.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in {"Lab", "connect"}:
        from importlib import import_module

        return getattr(import_module("dicomfab.api"), name)
    raise AttributeError(f"module 'dicomfab' has no attribute {name!r}")
