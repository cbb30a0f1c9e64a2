"""The viewer's files are kept for ever and belong to nobody; its page is for those who may see the study."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from frontend import subpath, viewer

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from dicomfab.model.errors import LocalFailure
from dicomfab.web import ohif
from tests.unit.web.conftest import Browser
from tests.unit.web.people import nobody, somebody

BASE = ohif.build().base
FILES = ohif.VIEWER / BASE.removeprefix("/ohif/assets/")
#: Everything that the viewer can ever load, and the notices.
MOST_BYTES = 10_000_000


def unpacked(name: str) -> str:
    return gzip.decompress((FILES / f"{name}.gz").read_bytes()).decode()


def scripts() -> list[str]:
    return sorted(path.relative_to(FILES).as_posix().removesuffix(".gz") for path in FILES.rglob("*.js.gz"))


@pytest.mark.parametrize("address", ["/ohif/viewer", "/ohif/tmtv", "/ohif/viewer/local", "/ohif/no/such/mode"])
def test_every_place_in_the_viewer_is_one_page(browser: Browser, study: str, address: str) -> None:
    answer = browser.get(f"{address}?StudyInstanceUIDs={study}")
    assert answer.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert [name for name in loaded if browser.get(name).status_code != 200] == []
    assert f"{BASE}{ohif.build().scripts[0]}" in loaded
    assert answer.headers["cache-control"] == "no-store"


def test_its_page_has_a_policy_of_its_own_and_nothing_inline(browser: Browser) -> None:
    answer = browser.get("/ohif/viewer")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert re.findall(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", answer.text) == []
    for other in ("/studies", "/ohifs", "/ohif"):
        assert "unsafe" not in browser.get(other).headers["content-security-policy"]


@pytest.mark.parametrize("address", ["/ohif", "/ohif/"])
def test_its_list_of_studies_is_ours(browser: Browser, address: str) -> None:
    answer = browser.get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies")


def test_a_study_that_is_not_here_has_a_page_that_says_so(browser: Browser, study: str) -> None:
    for asked in ("1.2.3", f"{study},1.2.3", f"{study}&StudyInstanceUIDs=1.2.3"):
        answer = browser.get(f"/ohif/viewer?StudyInstanceUIDs={asked}")
        assert (answer.status_code, "1.2.3" in answer.text) == (404, True)


def test_whoever_is_not_signed_in_does_so_first_and_comes_back(application: Application, study: str) -> None:
    stranger = nobody(application)
    answer = stranger.get(f"/ohif/viewer?StudyInstanceUIDs={study}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next=%2Fohif%2Fviewer%3FStudyInstanceUIDs%3D{study}"
    assert stranger.get(f"{BASE}app.bundle.css").status_code == 200


def test_a_study_of_another_environment_is_refused(application: Application, study: str) -> None:
    address = f"/ohif/viewer?StudyInstanceUIDs={study}"
    assert somebody(application, "tessa", Role.TEST_READ).get(address).status_code == 200
    assert somebody(application, "paul", Role.PROD_READ).get(address).status_code == 403


def test_files_are_kept_for_ever_and_come_packed(browser: Browser) -> None:
    address = f"{BASE}app.bundle.css"
    packed, plain = (browser.get(address, **{"accept-encoding": way}) for way in ("gzip", "identity"))
    assert packed.headers["cache-control"] == plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) * 3 < len(plain.content)
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("pattern", "media_type"),
    [("*.wasm.gz", "application/wasm"), ("*.css.gz", "text/css"), ("*.js.gz", "javascript"), ("*.woff2", "font/woff2")],
)
def test_files_say_what_they_are(browser: Browser, pattern: str, media_type: str) -> None:
    name = next(FILES.glob(pattern)).name.removesuffix(".gz")
    assert media_type in browser.get(f"{BASE}{name}").headers["content-type"]


@pytest.mark.parametrize(
    "address",
    [
        f"{BASE}no.bundle.js",
        f"{BASE}app.bundle.css.gz",
        BASE,
        f"{BASE}dicom-microscopy-viewer",
        "/ohif/assets/build.json",
        "/ohif/assets/0000000000000000/app.bundle.css",
        "/ohif/assets/../ohif.py",
        "/ohif/assets/%2e%2e/ohif.py",
        "/ohif/assets//etc/passwd",
        "/ohif/app-config.js",
        "/ohif/sw.js",
    ],
)
def test_what_is_no_file_of_the_viewer_is_not_found(browser: Browser, address: str) -> None:
    assert browser.get(address).status_code == 404


def test_files_are_only_read(browser: Browser) -> None:
    assert browser.post(f"{BASE}app.bundle.css").status_code == 405


def test_its_licence_and_those_of_its_parts_come_with_it(browser: Browser) -> None:
    assert "MIT License" in browser.get(f"{BASE}LICENSE").text
    assert "Apache" in browser.get(f"{BASE}NOTICES.txt").text


def test_a_package_without_the_viewer_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ohif, "VIEWER", tmp_path)
    with pytest.raises(LocalFailure, match="not installed"):
        ohif.build.__wrapped__()


def test_no_file_looks_for_others_at_the_root_of_the_host() -> None:
    assert len(scripts()) > 60
    rooted = re.compile(r"""\.p ?= ?"/"|['"`]/(dicom-microscopy-viewer|assets|ort)/""")
    assert [name for name in scripts() if rooted.search(unpacked(name))] == []
    assert [path.name for path in FILES.glob("*.css.gz") if re.search(r"url\(\"?/(?!ohif/)", unpacked(path.stem))] == []
    based = [name for name in scripts() if BASE in unpacked(name)]
    assert len(based) == 8  # the page's, and those of the workers
    assert f"{BASE}dicom-microscopy-viewer/dicomMicroscopyViewer.min.js" in unpacked(ohif.build().scripts[0])


def test_the_viewer_is_small_and_leaves_out_what_goes_elsewhere() -> None:
    files = [path for path in FILES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    names = " ".join(path.relative_to(FILES).as_posix() for path in files)
    for left_out in (".map", "ort/", "sw.js", "service-worker", "oidc", "google", "polyfill", "startup", ".html"):
        assert left_out not in names


def test_the_build_is_named_after_what_it_is_made_from() -> None:
    assert (ohif.VIEWER / ".stamp").read_text() == viewer.stamp()
    assert f"/ohif/assets/{viewer.stamp()}/" == BASE


def test_moving_rewrites_the_root_and_nothing_else(tmp_path: Path) -> None:
    kept = 'a.p = "/"; __webpack_require__.p = "/x/"; "/dicom-microscopy-viewer/"'
    (tmp_path / "a.js").write_text(f"__webpack_require__.p = \"/\"; f('/dicom-microscopy-viewer/v.js'); {kept}")
    (tmp_path / "a.css").write_text("a { src: url(/f.woff2) } b { src: url(//h/f) } c { src: url(data:x) }")
    assert subpath.move(tmp_path, "/v/") == 3
    moved = "__webpack_require__.p = \"/v/\"; f('/v/dicom-microscopy-viewer/v.js');"
    assert (tmp_path / "a.js").read_text() == f"{moved} {kept}"
    assert (tmp_path / "a.css").read_text() == "a { src: url(/v/f.woff2) } b { src: url(//h/f) } c { src: url(data:x) }"


def test_a_viewer_that_is_built_differently_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('o.p="/";')
    with pytest.raises(RuntimeError, match="not as expected"):
        subpath.move(tmp_path, "/v/")


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(b"")
    empty = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
    viewer.check(archive, empty)
    archive.write_bytes(b"x")
    with pytest.raises(RuntimeError, match=r"a\.tgz is not what frontend/ohif\.json pins"):
        viewer.check(archive, empty)
