"""Assets: compressed, kept for ever under a name of their own, and nothing else of the disk."""

from __future__ import annotations

import re

import pytest

from dicomfab.web import assets
from tests.unit.web.conftest import Browser


def test_every_asset_of_a_page_has_a_name_that_may_be_kept_for_ever(browser: Browser) -> None:
    text = browser.get("/").text
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(addresses) > 6
    for address in addresses:
        assert address.startswith(f"/static/{assets.version()}/")
        assert browser.get(address).headers["cache-control"] == "public, max-age=31536000, immutable"


def test_fonts_that_a_style_names_have_such_a_name_too(browser: Browser) -> None:
    style = assets.address("vendor/bootstrap-icons/bootstrap-icons.min.css")
    font = re.search(r"fonts/bootstrap-icons\.woff2", browser.get(style).text)
    assert font is not None
    answer = browser.get(f"{style.rpartition('/')[0]}/{font[0]}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "font/woff2")
    assert "immutable" in answer.headers["cache-control"]


def test_what_is_sent_packed_is_the_file(browser: Browser) -> None:
    address = assets.address("vendor/bootstrap/bootstrap.min.css")
    packed, plain = (browser.get(address, **{"accept-encoding": way}) for way in ("gzip", "identity"))
    content = (assets.STATIC / "vendor/bootstrap/bootstrap.min.css").read_bytes()
    assert (packed.headers["content-encoding"], packed.content) == ("gzip", content)
    assert int(packed.headers["content-length"]) * 4 < len(content)
    assert ("content-encoding" not in plain.headers, plain.content) == (True, content)


def test_a_file_that_a_browser_has_is_not_sent_again(browser: Browser) -> None:
    first = browser.get("/static/app.css")
    again = browser.get("/static/app.css", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "address", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/", "/static/vendor"]
)
def test_nothing_beside_the_assets_is_served(browser: Browser, address: str) -> None:
    assert browser.get(address).status_code == 404


def test_assets_are_only_read(browser: Browser) -> None:
    assert browser.post("/static/app.css").status_code == 405
