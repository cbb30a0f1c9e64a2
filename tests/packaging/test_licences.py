"""The page of licences is what locks and metadata say, and none of them is one that we may not take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from frontend import cut, parts
from tools import licences

from dicomfab.web import assets, ohif
from tests.packaging.made import ROOT

COMMITTED = ROOT / "docs" / "reference" / "licences.md"
FORBIDDEN = re.compile(
    r"\bA?GPL|GNU General Public|Affero|SSPL|Commons Clause|proprietary|non-?commercial", re.IGNORECASE
)
#: Dependencies under the LGPL, each known and wanted.
LESSER = {"ldap3", "psycopg", "psycopg-binary"}


def test_committed_page_is_the_generated_one(tmp_path: Path) -> None:
    out = tmp_path / "licences.md"
    subprocess.run([sys.executable, str(ROOT / "tools" / "licences.py"), str(out)], check=True)
    remedy = "run: .venv/bin/python tools/licences.py docs/reference/licences.md"
    assert COMMITTED.read_text("utf-8") == out.read_text("utf-8"), remedy


def test_every_line_of_the_lock_is_on_it() -> None:
    lock = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")
    assert len(licences.runtime()) == len(re.findall(r"^\S+==", lock, re.MULTILINE)) > 50
    assert {"pydicom", "numba", "fastapi"} <= {one.name for one in licences.runtime()}


def test_no_licence_is_one_that_we_may_not_take() -> None:
    for name in sorted({one.name for one in licences.runtime()}):
        told = licences.licence(name)
        assert told, name
        assert not FORBIDDEN.search(told), (name, told)
        assert (name in LESSER) == bool(re.search(r"LGPL|Lesser", told)), (name, told)
    inside = {name: told for name, _, told in licences.bundled()}
    inside |= {name: known.licence for name, known in parts.pinned().items()}
    for name, told in inside.items():
        assert told, name
        assert not re.search(r"GPL|Affero|UNLICENSED|SEE LICENSE", told), (name, told)


@pytest.mark.parametrize(
    "told", ["AGPL-3.0", "GPL-2.0-only", "GNU General Public License v3 (GPLv3)", "MIT AND GPL-3.0"]
)
def test_what_is_forbidden_is_recognised(told: str) -> None:
    assert FORBIDDEN.search(told)


@pytest.mark.parametrize("told", ["LGPL-3.0-only", "GNU Lesser General Public License v3 (LGPLv3)", "MIT"])
def test_what_is_allowed_passes(told: str) -> None:
    assert not FORBIDDEN.search(told)


def test_texts_lie_beside_what_is_bundled() -> None:
    vendor = assets.STATIC / "vendor"
    for folder in ("bootstrap", "bootstrap-icons", "htmx", "swagger-ui"):
        assert "ermission" in (vendor / folder / "LICENSE").read_text("utf-8"), folder
    assert "BSD Zero Clause" in (vendor / "htmx" / "LICENSE-sse").read_text("utf-8")
    (viewer,) = (path.parent for path in ohif.VIEWER.glob("*/PARTS.txt"))
    assert "Open Health Imaging Foundation" in (viewer / "LICENSE").read_text("utf-8")
    described = (viewer / "PARTS.txt").read_text("utf-8")
    for name, known in parts.pinned().items():
        assert f"\n{name}: {known.licence}\n" in described
        for word in re.split(r" AND | OR | WITH ", known.licence):
            assert word == "WTFPL" or f"==== {word}" in described, word


def test_the_viewer_holds_no_part_of_which_nothing_is_known(tmp_path: Path) -> None:
    known = parts.pinned()
    bundle = tmp_path / "deep" / "a.bundle.js"
    bundle.parent.mkdir()
    bundle.write_text("".join(f";// CONCATENATED MODULE: ../../node_modules/{name}/index.js\n" for name in known))
    assert "react: MIT" in parts.describe(tmp_path)
    bundle.write_text(bundle.read_text() + '"../node_modules/@new/thing/x.js": 1')
    with pytest.raises(RuntimeError, match="@new/thing"):
        parts.describe(tmp_path)


def test_what_is_under_the_agpl_is_cut_out_of_the_viewer(tmp_path: Path) -> None:
    begin = ";// CONCATENATED MODULE: ../../node_modules/shepherd.js/dist"
    script, style = tmp_path / "app.bundle.0.js", tmp_path / "app.bundle.css"
    tour = (
        f"{begin}/js/shepherd.mjs\n/*! shepherd.js */\nfunction theirs(){{}}\n//# sourceMappingURL=shepherd.mjs.map\n"
    )
    script.write_text(f"before();\n{tour}{begin}/css/shepherd.css\n// extracted\nnew shepherd_fe.Tour();\n")
    style.write_text("a{b:c}\n.shepherd-button{d:e}.shepherd-modal{f:g}\n.ours{h:i}\n")
    cut.remove(tmp_path)
    assert "theirs" not in script.read_text()
    assert "node_modules" not in script.read_text()
    assert script.read_text().startswith("before();\n")
    assert style.read_text() == "a{b:c}\n.ours{h:i}\n"
    with pytest.raises(RuntimeError, match="not as expected"):
        cut.remove(tmp_path)


def test_the_viewer_is_pinned_to_what_was_looked_at() -> None:
    assert "shepherd.js" not in parts.pinned()
    assert json.loads((ROOT / "frontend" / "ohif.json").read_text("utf-8"))["version"] == ohif.build().version
