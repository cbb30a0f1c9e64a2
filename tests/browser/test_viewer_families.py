"""Every family that is fabricated, and every transfer syntax, opens in the viewer or on our own page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.study import Patient
from dicomfab.pixels.writable import WRITABLE
from tests.browser.conftest import Picture, actor
from tests.browser.viewers import await_picture
from tests.unit.dimse.raw import eventually

pytestmark = pytest.mark.full

#: What the viewer draws nothing of.
_READ = frozenset({"sc-multiframe-bit"})
_SLICES = 6
#: The transfer syntax that cannot hold the pixels of a kind.
NOT_IN = {"ct-chest": "jpeg", "sc-rgb": "jpeg-extended"}


def opened(page: Page, web: str, application: Application, *series: SeriesRecipe) -> None:
    """Fabricate, and open from the study's page."""
    recipe = StudyRecipe(series, patient=Patient("Family^Fay", "SYN0088", "19580909", "F"), seed=23)
    made = application.studies.create(actor(), application.studies.resolve_recipe(actor(), recipe))
    page.set_viewport_size({"width": 1024, "height": 640})
    page.goto(f"{web}/studies/{made.resolved.study_instance_uid}")
    page.get_by_role("link", name="View", exact=True).click()
    page.wait_for_url(lambda url: "/ohif/" in url or url.endswith("/look"))


def recipe_of(kind: str, transfer_syntax: str | None = None) -> SeriesRecipe:
    counted = KINDS[kind].counted
    return SeriesRecipe(kind, _SLICES if counted and counted.unit == "slices" else None, transfer_syntax)


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_opens(page: Page, web: str, application: Application, picture: Picture, kind: str) -> None:
    opened(page, web, application, recipe_of(kind))
    if kind in _READ:
        assert page.url.endswith("/look")
        drawn = page.locator("[data-scroller] img").first
        expect(drawn).to_be_visible()
        assert eventually(lambda: bool(drawn.evaluate("image => image.complete && image.naturalWidth > 100")))
    else:
        assert "/ohif/" in page.url
        await_picture(page, least=12)
        expect(page.get_by_role("link", name="Back to the study")).to_be_visible()
    picture(page, f"viewer/{kind}", full_page=False)


def test_pet_and_ct_are_fused(page: Page, web: str, application: Application, picture: Picture) -> None:
    opened(page, web, application, SeriesRecipe("ct-body", 24), SeriesRecipe("pt-body", 24))
    assert "/ohif/tmtv" in page.url
    await_picture(page, least=12)
    picture(page, "viewer/pet-ct", full_page=False)


@pytest.mark.parametrize(
    ("kind", "syntax"), [(kind, one.name) for kind in NOT_IN for one in WRITABLE.values() if one.name != NOT_IN[kind]]
)
def test_every_transfer_syntax_opens(page: Page, web: str, application: Application, kind: str, syntax: str) -> None:
    opened(page, web, application, SeriesRecipe(kind, 2 if kind == "ct-chest" else None, syntax))
    await_picture(page, least=12)
