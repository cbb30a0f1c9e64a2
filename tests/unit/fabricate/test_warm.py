"""After setting up, nothing is compiled any more. Each test starts processes: in one, kernels stay loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dicomfab.fabricate.kinds import KINDS

WARM = """
import json, sys
from dicomfab.fabricate.warm import warm
print(json.dumps(warm(json.loads(sys.argv[1]))))
"""

# Whatever is shown first, and what a whole study of each kind then needs besides.
COMPILED = """
import json, sys
from dicomfab.fabricate.jit import KERNELS
from dicomfab.fabricate.study import fabricate
from dicomfab.fabricate.warm import show
from tests.unit.fabricate.studies import study

def known():
    return {f"{k.py_func.__module__}.{k.py_func.__name__}{s}" for k in KERNELS for s in k.signatures}

shown, made = json.loads(sys.argv[1])
show(shown)
before = known()
for kind in made:
    for instance in fabricate(study(kind)):
        for _ in instance.buffers:
            pass
print(json.dumps({
    "shown": sorted(before),
    "besides": sorted(known() - before),
    "loaded": sum(sum(k.stats.cache_hits.values()) for k in KERNELS),
    "compiled": sum(sum(k.stats.cache_misses.values()) for k in KERNELS),
}))
"""


def run(code: str, argument: Any, cache: Path | None = None) -> Any:
    """The last line that a new process prints, from JSON."""
    environment = {**os.environ, **({"NUMBA_CACHE_DIR": str(cache)} if cache else {})}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(argument)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.full
def test_kernels_are_compiled_once_and_then_loaded_in_every_process(tmp_path: Path) -> None:
    assert run(WARM, ["vl-photo"], tmp_path) is True
    assert run(WARM, ["vl-photo"], tmp_path) is False
    after = run(COMPILED, [[], ["vl-photo"]], tmp_path)
    assert after["loaded"] > 0
    assert after["compiled"] == 0


@pytest.mark.full
def test_it_is_done_again_for_other_kinds_and_when_the_cache_is_gone(tmp_path: Path) -> None:
    assert run(WARM, ["text-card"], tmp_path) is True
    assert run(WARM, ["sc-multiframe-bit"], tmp_path) is True
    for folder in tmp_path.iterdir():
        for file in folder.iterdir():
            file.unlink()
    assert run(WARM, ["sc-multiframe-bit"], tmp_path) is True


@pytest.mark.full
def test_pictures_of_all_kinds_need_every_type_that_whole_studies_need() -> None:
    found = run(COMPILED, [list(KINDS), list(KINDS)])
    assert len(found["shown"]) > 10
    assert found["besides"] == []
