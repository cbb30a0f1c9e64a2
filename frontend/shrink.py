"""Make files small: scripts without what only people read, and everything as it goes over the wire."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

#: Of what compressing makes less.
COMPRESSED = frozenset({".css", ".js", ".wasm"})
_NOTICES = ".LEGAL.txt"


def minify(folder: Path, modules: Path) -> str:
    """Minify all scripts below a folder, in place.

    Args:
        folder: with the scripts.
        modules: the ``node_modules`` with esbuild.

    Returns:
        the licence notices that stood in the scripts; blank where esbuild has no program for this machine, and the
        scripts are as they were.

    Raises:
        RuntimeError: a script cannot be parsed.
    """
    programs = [*modules.glob("@esbuild/*/bin/esbuild"), *modules.glob("@esbuild/*/esbuild.exe")]
    if not programs:
        return ""
    scripts = sorted(str(path) for path in folder.rglob("*.js"))
    options = ["--minify", "--legal-comments=external", "--allow-overwrite", "--log-level=error"]
    places = [f"--outdir={folder}", f"--outbase={folder}"]
    done = subprocess.run([programs[0], *scripts, *options, *places], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The viewer's scripts could not be minified.\n{done.stderr}")
    notices = sorted(folder.rglob(f"*{_NOTICES}"))
    text = "\n".join(f"{path.name.removesuffix(_NOTICES)}\n{path.read_text('utf-8')}" for path in notices)
    for path in notices:
        path.unlink()
    return text


def compress(folder: Path) -> None:
    """Replace files by their gzip, named with ``.gz`` at the end; nearly every browser takes them so."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in COMPRESSED:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
            path.unlink()
