"""The light viewer on pages of studies, and the page that reads what is no picture, in Chromium."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.study import Patient
from dicomfab.web.app import create_app
from tests.browser.conftest import Picture, actor
from tests.unit.archive.builders import store
from tests.unit.services.readable.objects import KINDS, STUDY
from tests.unit.web.api.conftest import serving

SLICES = 12


@dataclass(frozen=True)
class Place:
    """An installation with a stack, a cine and an instance of each other kind.

    Args:
        url: of its pages.
        stack, cine: studies.
        series: of the stack.
    """

    url: str
    stack: str
    series: str
    cine: str

    @property
    def pictures(self) -> str:
        """The page of the series."""
        return f"{self.url}/studies/{self.stack}/series/{self.series}"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="dicomfab-") as home:
        application = build(Settings(Path(home) / "home", worker_idle_s=0))
        made = []
        for kinds in ((SeriesRecipe.parse(f"ct-head:{SLICES}"), "text-card"), ("us-cine",)):
            recipe = StudyRecipe(kinds, patient=Patient("Lindgren^Astrid", "SYN9", "19500102", "F"), seed=8)
            resolved = application.studies.resolve_recipe(actor(), recipe)
            made.append(application.studies.create(actor(), resolved).resolved.study_instance_uid)
        for make in KINDS.values():
            store(application.local_archive, make())
        series = application.studies.brief(actor(), made[0]).series
        stack = next(one.series_instance_uid for one in series if one.modality == "CT")
        with serving(create_app(application)) as url:
            yield Place(url, made[0], stack, made[1])
        application.close()


def _is_shown(page: Page, where: str) -> None:
    """The picture that the place names is there, and no other is waited for."""
    expect(page.locator("[data-place]")).to_have_text(where)
    expect(page.locator("[data-stage]")).not_to_have_class(re.compile("is-waiting"))
    expect(page.locator("[data-shown]")).to_have_js_property("complete", True)
    assert page.locator("[data-shown]").evaluate("image => image.naturalWidth") > 0


def _no_violations(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_series_is_scrolled_with_wheel_and_keys_and_the_address_keeps_the_place(page: Page, place: Place) -> None:
    page.goto(place.pictures)
    _is_shown(page, f"7 of {SLICES}")
    page.locator("[data-stage]").hover()
    page.mouse.wheel(0, 80)
    _is_shown(page, f"9 of {SLICES}")
    slider = page.get_by_role("slider", name="Picture")
    expect(slider).to_have_attribute("aria-valuetext", f"9 of {SLICES}")
    slider.focus()
    for key, number in (
        ("ArrowRight", 10), ("ArrowUp", 9), ("ArrowDown", 10), ("End", SLICES), ("PageUp", 2), ("PageDown", SLICES),
        ("Home", 1), ("ArrowLeft", 1), ("ArrowDown", 2),
    ):  # fmt: skip
        slider.press(key)
        _is_shown(page, f"{number} of {SLICES}")
    expect(page).to_have_url(re.compile("#picture=2$"))
    slider.fill("5")
    _is_shown(page, f"5 of {SLICES}")
    expect(page).to_have_url(re.compile("#picture=5$"))
    page.reload()
    _is_shown(page, f"5 of {SLICES}")
    _no_violations(page)


def test_windows_are_chosen_and_dragged(page: Page, place: Place) -> None:
    page.goto(place.pictures)
    _is_shown(page, f"7 of {SLICES}")
    window = page.get_by_label("Window")
    window.select_option(label="Bone 500/2000")
    expect(page.locator("[data-shown]")).to_have_attribute("src", re.compile("window=500%2C2000"))
    expect(page).to_have_url(re.compile("window=500,2000"))
    box = page.locator("[data-stage]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y - 30, steps=4)
    page.mouse.up()
    expect(window.locator("option[data-own]")).to_have_count(1)
    centre, width = (float(part) for part in window.input_value().split(","))
    assert centre > 500
    assert width > 2000
    expect(page.locator("[data-shown]")).to_have_attribute("src", re.compile(f"window={centre:.0f}%2C{width:.0f}"))
    page.get_by_role("button", name="Reset").click()
    expect(window).to_have_value("")
    _is_shown(page, f"7 of {SLICES}")


def test_cine_plays_and_stops(page: Page, place: Place, snapshot: Picture) -> None:
    page.goto(f"{place.url}/studies/{place.cine}")
    place_shown = page.locator("[data-place]")
    expect(place_shown).to_have_text(re.compile(r"^frame \d+ of \d+$"))
    first = place_shown.inner_text()
    play = page.get_by_role("button", name="Play")
    play.click()
    expect(play).to_have_attribute("aria-pressed", "true")
    expect(place_shown).not_to_have_text(first)
    _no_violations(page)
    page.get_by_role("slider", name="Picture").press(" ")
    expect(play).to_have_attribute("aria-pressed", "false")
    _is_shown(page, place_shown.inner_text())
    snapshot(page, "previews-cine")


def test_nothing_piles_up_when_somebody_scrolls_fast(page: Page, place: Place) -> None:
    under_way: set[Request] = set()
    most = 0

    def begun(request: Request) -> None:
        nonlocal most
        if "preview.jpg" in request.url:
            under_way.add(request)
            most = max(most, len(under_way))

    page.on("request", begun)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: under_way.discard(request))  # type: ignore[call-overload]
    page.goto(place.pictures)
    _is_shown(page, f"7 of {SLICES}")
    slider = page.get_by_role("slider", name="Picture")
    for number in [*range(1, SLICES + 1), *range(SLICES, 0, -1), 3]:
        slider.fill(str(number))
    _is_shown(page, f"3 of {SLICES}")
    assert 0 < most <= 2


def test_another_series_of_the_study_is_chosen(page: Page, place: Place) -> None:
    page.goto(f"{place.url}/studies/{place.stack}")
    choice = page.get_by_label("Series to look at")
    expect(choice).to_be_visible()
    other = choice.locator("option").all()[1].get_attribute("value")
    assert other
    choice.select_option(other)
    expect(page).to_have_url(re.compile(f"series={other.rpartition('/')[2]}"))
    page.reload()
    expect(choice).to_have_value(other)
    _no_violations(page)


def test_without_scripts_the_picture_stands_there(browser: Browser, place: Place) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for address in (f"{place.url}/studies/{place.stack}", place.pictures):
        page.goto(address)
        image = page.get_by_role("img", name=re.compile("Middle instance"))
        expect(image).to_be_visible()
        expect(page.get_by_role("slider")).to_have_count(0)
        expect(page.get_by_role("button", name="Play")).to_have_count(0)
    context.close()


@pytest.mark.full
def test_what_is_no_picture_is_read_on_one_page(page: Page, place: Place, snapshot: Picture) -> None:
    page.goto(f"{place.url}/studies/{STUDY}/look")
    expect(page.get_by_text("Chest CT Report")).to_be_visible()
    findings = page.get_by_text("Findings")
    diameter = page.get_by_text("12.5")
    expect(diameter).to_be_visible()
    # What comes late moves what is below it: a click that was on its way would miss.
    expect(page.get_by_role("img", name=re.compile("^12 channels"))).to_be_visible()
    page.wait_for_load_state("networkidle")
    findings.click()
    expect(diameter).to_be_hidden()
    findings.click()
    for said in ("Heart", "60.5 GY", "LINAC 3", "Tumour"):
        expect(page.get_by_text(said).first).to_be_visible()
    page.locator("iframe").scroll_into_view_if_needed()
    assert page.locator("iframe").evaluate("frame => frame.contentWindow.length >= 0")
    _no_violations(page)
    for look, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 360)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        snapshot(page, f"previews-look-{look}")
    page.get_by_role("link", name=re.compile("^CT Image")).first.click()
    expect(page.get_by_role("slider", name="Picture")).to_have_count(0)
    expect(page.locator("[data-shown]")).to_be_visible()
