"""The pages for those who change it name what is there: packages, modules, arrows, make targets, layers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "dicomfab"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PAGES = {"architecture": ARCHITECTURE, "development": DEVELOPMENT, "contributing": CONTRIBUTING}

#: Packages, and ``api``, which is a module.
PACKAGES = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} | {"api"}
INSIDE = {
    f"{path.parent.relative_to(PACKAGE)}"
    for path in PACKAGE.glob("*/*/__init__.py")
    if path.parent.parent.name in PACKAGES
}


def layers() -> list[set[str]]:
    """Those of the contract, without the door of the interpreter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = [one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    return [set(line.split(" | ")) for line in contract["layers"] if line != "__main__"]


def printed_layers(page: str) -> list[set[str]]:
    """The text block that begins with the doors."""
    (block,) = re.findall(r"^```(?:text)?\n(web \| cli \| api.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if not line.startswith(" ")]
    names = [re.match(r"\w+(?: \| \w+)*", line) for line in lines]
    return [set(found[0].split(" | ")) for found in names if found]


@pytest.mark.parametrize("which", ["architecture", "contributing"])
def test_the_layers_are_those_of_the_contract(which: str) -> None:
    assert printed_layers(PAGES[which]) == layers()
    assert set().union(*layers()) == PACKAGES


def test_every_package_has_its_row_and_every_row_its_package() -> None:
    table = ARCHITECTURE.split("| Package | What lives there |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z0-9]+)`", line.split("|")[1])}
    assert named == PACKAGES


def test_every_package_inside_services_is_named() -> None:
    table = ARCHITECTURE.split("| Package | What lives there |")[1].split("\n\n")[0]
    rows = {re.findall(r"`(\w+)`", line)[0]: line for line in table.splitlines()[2:]}
    for inside in sorted(INSIDE):
        package, name = inside.split("/")
        if package in {"services", "dimse", "fabricate", "validity", "diagnosis", "dicomweb"}:
            assert f"`{name}`" in rows[package], inside


def arrows() -> Iterator[tuple[str, str]]:
    picture = ARCHITECTURE.split("```mermaid\n")[1].split("```")[0]
    for line in picture.splitlines():
        if "-->" in line:
            sources, targets = (side.strip().split(" & ") for side in line.split("-->"))
            yield from ((source, target) for source in sources for target in targets)


def imports(package: str) -> set[str]:
    """Packages that a package imports itself."""
    place = PACKAGE / package
    files = place.rglob("*.py") if place.is_dir() else [PACKAGE / f"{package}.py"]
    named = re.compile(r"^ *(?:from|import) dicomfab\.(\w+)", re.MULTILINE)
    return {name for file in files for name in named.findall(file.read_text("utf-8"))}


def test_every_arrow_of_the_picture_is_an_import_and_points_downwards() -> None:
    place = {name: number for number, layer in enumerate(layers()) for name in layer}
    drawn = list(arrows())
    assert {one for arrow in drawn for one in arrow} == PACKAGES
    imported = {source: imports(source) for source, _ in drawn}
    for source, target in drawn:
        assert target in imported[source], (source, target)
        assert place[source] < place[target], (source, target)


@pytest.mark.parametrize("which", PAGES)
def test_every_file_that_is_named_exists(which: str) -> None:
    named = set(re.findall(r"`([\w./-]+/[\w./-]+|[\w-]+\.(?:toml|py|sh))`", PAGES[which]))
    named = {one for one in named if re.fullmatch(r"[\w./-]+", one) and not one.startswith(("/", "."))}
    parts = {path.name for place in (PACKAGE, ROOT / "tests") for path in place.rglob("*.py")}
    for one in sorted(named):
        places = (ROOT / one, PACKAGE / one, PACKAGE / "fabricate" / one)
        assert any(place.exists() for place in places) or one in parts, one


def test_every_make_target_is_told() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    told = set(re.findall(r"^\| `make ([a-z-]+)` \|", DEVELOPMENT, re.MULTILINE))
    assert told == targets - {"help", "screenshots"}


def test_every_folder_of_tests_is_told() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py"))}
    told = set(re.findall(r"`tests/(\w+)", DEVELOPMENT.split("## Where tests live")[1].split("\n## ")[0]))
    assert folders <= told


def test_contributing_leads_to_every_way_to_add_something() -> None:
    ways = re.findall(r"^## (How to .*)$", DEVELOPMENT, re.MULTILINE)
    assert len(ways) >= 7
    for way in ways:
        assert f"[{way}](docs/development.md#{way.lower().replace(' ', '-')})" in CONTRIBUTING
