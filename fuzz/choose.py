"""Add to a target's corpus what covers something new: ``python -m fuzz.choose TARGET FOLDER...``.

The shortest inputs come first, and one is taken only if it takes the package from one line to another in a way that no
input before it did.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
Arc = tuple[str, int, int]


def arcs(one_input: Callable[[bytes], None], data: bytes) -> set[Arc]:
    """Which steps from line to line the package's own code takes on an input."""
    found: set[Arc] = set()
    last: dict[FrameType, int] = {}

    def on_line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            found.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return on_line

    def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return on_line if "dicomfab" in frame.f_code.co_filename else None

    sys.settrace(on_call)
    try:
        one_input(data)
    finally:
        sys.settrace(None)
    return found


def main() -> None:
    """Choose among the inputs of some folders."""
    target, *folders = sys.argv[1:]
    one_input = importlib.import_module(f"fuzz.fuzz_{target}").one_input
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    covered: set[Arc] = set()
    for path in sorted(kept.iterdir()):
        covered |= arcs(one_input, path.read_bytes())
    candidates = {path.read_bytes() for folder in folders for path in Path(folder).iterdir()}
    for data in sorted(candidates, key=lambda one: (len(one), one)):
        new = arcs(one_input, data) - covered
        if new:
            covered |= new
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
