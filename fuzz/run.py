"""Run one target with atheris: ``python -m fuzz.run TARGET [what libFuzzer takes]``."""

from __future__ import annotations

import importlib
import sys

import atheris


def main() -> None:
    """Instrument the package while the target imports it, and fuzz."""
    target, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["dicomfab"]):
        module = importlib.import_module(f"fuzz.fuzz_{target}")
    atheris.Setup([sys.argv[0], *arguments], module.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
