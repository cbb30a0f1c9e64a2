"""Draw the diagrams of the documents, which code hosts draw themselves: python tools/diagrams.py.

Each becomes a picture in docs/images/diagrams, named after its text; pictures of no diagram are deleted. Mermaid comes
from npm by tools/diagrams/package-lock.json, and is run in Debian's Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from dicomfab.web import guide

PICTURES = guide.root() / guide.DIAGRAMS
HERE = Path(__file__).with_suffix("")
SETTINGS = {
    "startOnLoad": False,
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False},
    "theme": "neutral",
    "fontFamily": "sans-serif",
}
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Draw what is not drawn yet."""
    wanted = {guide.diagram(text): text for text in _texts()}
    PICTURES.mkdir(exist_ok=True)
    for picture in PICTURES.iterdir():
        if picture.name not in wanted:
            picture.unlink()
    missing = {name: text for name, text in wanted.items() if not (PICTURES / name).is_file()}
    if missing:
        _draw(missing)
    print(f"{len(wanted)} diagrams, {len(missing)} of them drawn now")


def _texts() -> list[str]:
    return [text for path in guide.documents() for text in _DIAGRAM.findall((guide.root() / path).read_text("utf-8"))]


def _draw(missing: dict[str, str]) -> None:
    names = (os.environ.get("CHROMIUM", ""), "chromium-headless-shell", "chromium")
    chromium = next(filter(None, map(shutil.which, names)), None) or sys.exit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content("<div id='place'></div>")
        page.add_script_tag(path=f"{folder}/node_modules/mermaid/dist/mermaid.min.js")
        page.evaluate("settings => mermaid.initialize(settings)", SETTINGS)
        for name, text in missing.items():
            (PICTURES / name).write_text(_svg(page, name, text), "utf-8")
        browser.close()


def _svg(page: Page, name: str, text: str) -> str:
    """The picture, of its own size: a code host's diagram has that of its page."""
    drawn = page.evaluate(
        """async ([id, text]) => {
          const { svg } = await mermaid.render(id, text), place = document.getElementById("place");
          place.innerHTML = svg;
          const drawing = place.querySelector("svg"), { width, height } = drawing.viewBox.baseVal;
          drawing.setAttribute("width", Math.ceil(width));
          drawing.setAttribute("height", Math.ceil(height));
          drawing.style.maxWidth = "";
          return new XMLSerializer().serializeToString(drawing);
        }""",
        [f"d{Path(name).stem}", text],
    )
    return f"{drawn}\n"


if __name__ == "__main__":
    main()
