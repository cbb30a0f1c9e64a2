"""The viewer starts in a browser: from here alone, small, and with ways back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Response, expect

from dicomfab.services.studies import Fabricated
from tests.browser.conftest import PATIENCE_MS, Picture
from tests.browser.viewers import SHADES, shades
from tests.unit.dimse.raw import eventually

#: Before any pixel comes.
MOST_BYTES = 8_000_000
OURS = {"localhost", "127.0.0.1"}


@dataclass
class Traffic:
    """What a page asked for."""

    requests: list[Request] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def elsewhere(self) -> set[str]:
        """Hosts that are not ours."""
        places = {urlsplit(request.url) for request in self.requests}
        return {place.netloc for place in places if place.scheme not in {"blob", "data"} and place.hostname not in OURS}

    def bytes_before_pixels(self) -> int:
        """As they went over the wire, with headers."""
        total = 0
        for request in self.requests:
            if urlsplit(request.url).scheme in {"blob", "data"} or "/frames/" in request.url:
                continue
            sizes = request.sizes()
            total += sizes["responseBodySize"] + sizes["responseHeadersSize"]
        return total


@pytest.fixture
def traffic(page: Page) -> Iterator[Traffic]:
    seen = Traffic()

    def note(response: Response) -> None:
        if response.status >= 400:
            seen.failed.append(f"{response.status} {response.url}")

    page.on("requestfinished", lambda request: seen.requests.append(request))
    page.on("response", note)
    yield seen
    assert seen.elsewhere() == set()
    assert seen.failed == []


@pytest.mark.full
def test_the_first_image_is_there_soon_and_without_asking_anybody_else(
    page: Page,
    web: str,
    study: Fabricated,
    traffic: Traffic,
    snapshot: Picture,
    record_property: Callable[[str, object], None],
) -> None:
    start = time.monotonic()
    page.goto(f"{web}/ohif/viewer?StudyInstanceUIDs={study.resolved.study_instance_uid}")
    assert eventually(lambda: shades(page) > SHADES, PATIENCE_MS / 1000), shades(page)
    took_s = time.monotonic() - start
    snapshot(page, "viewer")
    expect(page.locator(".shepherd-element")).to_have_count(0)  # no tour
    expect(page.get_by_text("Investigational")).to_have_count(0)
    sent = traffic.bytes_before_pixels()
    record_property("first_image_s", round(took_s, 1))
    record_property("bytes_before_pixels", sent)
    assert 1_000_000 < sent < MOST_BYTES


@pytest.mark.full
def test_the_way_back_leads_to_the_study(page: Page, web: str, study: Fabricated, traffic: Traffic) -> None:
    uid = study.resolved.study_instance_uid
    page.goto(f"{web}/ohif/viewer?StudyInstanceUIDs={uid}")
    page.get_by_role("link", name="Back to the study").click()
    page.wait_for_url(f"{web}/studies/{uid}")


@pytest.mark.parametrize("address", ["/ohif/", "/ohif/nonsense", "/ohif/local"])
def test_places_of_the_viewer_that_are_not_used_here_lead_to_our_studies(page: Page, web: str, address: str) -> None:
    page.goto(f"{web}{address}")
    page.wait_for_url(re.compile(f"{re.escape(web)}/studies$"))
