"""Compile the kernels before they are needed, so that the first study does not wait for them.

``python -m dicomfab.fabricate.warm`` does it; setting up runs it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from dicomfab.fabricate.kinds import KINDS

_NAME: Final = "dicomfab-kernels.sha256"
_NOW: Final = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)


def warm(kinds: Sequence[str] = tuple(KINDS)) -> bool:
    """Leave the kernels of some kinds compiled in numba's cache; at once if nothing has changed since the last time.

    Takes about a minute of one processor when nothing is compiled yet.

    Args:
        kinds: keys of :data:`dicomfab.fabricate.kinds.KINDS`.

    Returns:
        Whether there was something to do.
    """
    mark, state = _cache_folder() / _NAME, _state(kinds)
    if mark.is_file() and mark.read_text() == state:
        return False
    show(kinds)
    mark.write_text(state)
    return True


def show(kinds: Iterable[str]) -> None:
    """Make one picture of every series of these kinds: whatever has a kernel calls it, with the types it always has."""
    from dicomfab.fabricate.preview import previews
    from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
    from dicomfab.fabricate.resolve import resolve

    for kind in kinds:
        study = resolve(StudyRecipe((SeriesRecipe(kind),), seed=1), now=_NOW, draw_seed=lambda: 1)
        for preview in previews(study):
            preview.picture()


def _cache_folder() -> Path:
    """Where numba keeps the kernels that paint anatomy: the mark goes when they go."""
    from dicomfab.fabricate import jit
    from dicomfab.fabricate.anatomy import paint

    (name,) = (one.stats.cache_path for one in jit.KERNELS if one.py_func.__name__ == paint.paint.__name__)
    return Path(name)


def _state(kinds: Sequence[str]) -> str:
    """A digest of all that decides whether what is cached can be used."""
    digest = hashlib.sha256(repr((sorted(kinds), platform.python_version(), platform.machine())).encode())
    for library in ("numba", "llvmlite"):
        digest.update(importlib.metadata.version(library).encode())
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        digest.update(source.relative_to(package).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    warm()
