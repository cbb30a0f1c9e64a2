"""The viewer: OHIF from its package on npm, made to be served below an address of this product, and small.

The package lists all that OHIF was once built from as its dependencies, and needs none of it. So it is not installed
but fetched as a file, and checked against the hash in ``ohif.json``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from frontend import cut, npm, parts, shrink, subpath

HERE = Path(__file__).parent
#: What the pages load; not what works offline, signs in elsewhere, or segments with a neural network.
KEPT = (
    "*.bundle.*.js",
    "*.css",
    "*.wasm",
    "*.woff2",
    "assets/images/*",
    "dicom-microscopy-viewer/*.js",
    "dicom-microscopy-viewer/*.wasm",
)
_CODE = (
    "cut.py",
    "licence-texts.txt",
    "npm.py",
    "ohif.json",
    "parts.py",
    "shrink.py",
    "subpath.py",
    "viewer.py",
    "viewer_parts.json",
)


def stamp() -> str:
    """Names what the viewer is made from, and how."""
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((HERE / name).read_bytes())
    digest.update(json.loads((HERE / "package.json").read_text())["dependencies"]["esbuild"].encode())
    return digest.hexdigest()[:16]


def fill(target: Path, scratch: Path) -> None:
    """Make the viewer.

    Args:
        target: where it goes; ``build.json`` there tells what it is.
        scratch: an empty folder, but for the installed ``node_modules``.

    Raises:
        RuntimeError: it cannot be fetched, is not what it should be, or is built differently.
    """
    pinned = json.loads((HERE / "ohif.json").read_text())
    package = _fetched(pinned, scratch)
    made = scratch / "viewer"
    files = made / stamp()
    base = f"/ohif/assets/{stamp()}/"
    _pick(package / "dist", files)
    cut.remove(files)
    described = parts.describe(files)
    subpath.move(files, base)
    scripts = sorted(path.name for path in files.glob("app.bundle.*.js"))
    notices = shrink.minify(files, scratch / "node_modules")
    shrink.compress(files)
    (files / "LICENSE").write_text((package / "LICENSE").read_text("utf-8"), "utf-8")
    (files / "NOTICES.txt").write_text(notices, "utf-8")
    (files / "PARTS.txt").write_text(described, "utf-8")
    told = {"version": pinned["version"], "base": base, "scripts": scripts, "styles": ["app.bundle.css"]}
    (made / "build.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(made, target)


def check(archive: Path, integrity: str) -> None:
    """See that a file is the one that was pinned.

    Args:
        archive: the file.
        integrity: its SHA-512 as npm writes it.

    Raises:
        RuntimeError: it is another.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise RuntimeError(f"{archive.name} is not what frontend/ohif.json pins: its hash is {found}")


def _fetched(pinned: dict[str, Any], scratch: Path) -> Path:
    """The unpacked package."""
    wanted = f"{pinned['package']}@{pinned['version']}"
    archive = scratch / npm.run("pack", "--silent", wanted, folder=scratch).split()[-1]
    check(archive, pinned["integrity"])
    with tarfile.open(archive) as packed:
        # Python before 3.11.4, Debian 12's among them, knows no filter; this archive is the one that was looked at.
        packed.extractall(scratch, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # noqa: S202
    return scratch / "package"


def _pick(source: Path, target: Path) -> None:
    for pattern in KEPT:
        for path in sorted(source.glob(pattern)):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
