"""Orders on the pages: a message comes, a modality performs what it asks for, and the loop is closed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.app.build import Application
from dicomfab.model.procedure import ProcedureFilter
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import Picture, actor
from tests.unit.services.ordering.conftest import orm, pid

NARROW = {"width": 400, "height": 800}
ACCESSION = "A7100"


@pytest.fixture(scope="module")
def ris(application: Application) -> Iterator[RisConfig]:
    """The side of a RIS, with an order that waits."""
    config = RisConfig(Environment.TEST, hl7_port=0, dicom_port=0, any_caller=True)
    with application.ordering.ris.serving(actor(), config) as running:
        data = orm("WEB1", accession=ACCESSION, rp="RP7", sps="SPS7", patient=pid("SYN7100", "LINDBLOM^KARIN", "HOSP"))
        assert application.ordering.intake.take(actor(), data, Environment.TEST).message.code == "AA"
        yield running


def test_a_message_is_built_by_keyboard_and_taken(
    page: Page, web: str, application: Application, picture: Picture
) -> None:
    page.goto(f"{web}/messages/new")
    preview = page.get_by_label("Preview")
    expect(preview).to_contain_text("Not a message yet: Patient ID")
    page.get_by_label("Patient ID", exact=True).focus()
    for value in ("SYN7200", "HOSP", "OKAFOR^ADA", "19800229"):
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    page.get_by_label("Accession number").fill("A7200")
    page.get_by_label("Procedure description").fill("MR head")
    page.get_by_label("Modality", exact=True).fill("MR")
    expect(preview).to_contain_text("|A7200|")
    expect(preview).to_contain_text("OKAFOR^ADA")
    _fits(page, picture, "message-builder")
    page.get_by_role("button", name="Receive it here").press("Enter")
    expect(page.get_by_role("heading", name="Applied, answered with AA")).to_be_visible()
    found = application.ordering.schedule.page(actor(), ProcedureFilter(accession_number="A7200")).procedures
    assert [one.value("PatientName") for one in found] == ["OKAFOR^ADA"]
    page.goto(f"{web}/messages/new")
    page.get_by_label("Template").select_option("adt-merge")
    expect(page.get_by_label("Patient ID that ends")).to_be_visible()
    assert "template=adt-merge" in page.url


@pytest.mark.full
def test_from_message_to_closed_loop(page: Page, web: str, ris: RisConfig, picture: Picture) -> None:
    page.goto(f"{web}/messages")
    page.get_by_role("row", name=re.compile("WEB1")).get_by_role("link").click()
    expect(page.get_by_text("AccessionNumber")).to_be_visible()
    _fits(page, picture, "hl7-message")
    page.get_by_role("link", name=re.compile("requested procedure")).click()
    expect(page.get_by_text("scheduled", exact=True)).to_be_visible()
    page.get_by_label("Server that should hold the study").select_option("test-pacs-1")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("The loop is open:")).to_be_visible()
    page.get_by_role("link", name="Perform").click()
    page.get_by_label("Worklist of").fill(f"127.0.0.1:{ris.dicom_port}:DICOMFAB")
    page.get_by_label("Images go to").select_option("test-pacs-1")
    (port,) = free_ports(1, "127.0.0.1")
    page.get_by_label("Port of the modality").fill(str(port))
    page.get_by_text("Course of the examination").click()
    page.get_by_label("Do not ask for storage commitment").check()
    page.get_by_role("button", name="Ask the worklist").click()
    expect(page.get_by_role("row", name=re.compile("LINDBLOM"))).to_be_visible()
    _fits(page, picture, "modality-worklist")
    page.get_by_role("row", name=re.compile(ACCESSION)).get_by_role("button", name="Perform").click()
    expect(page.locator("#run").get_by_text("in progress", exact=True)).to_be_visible()
    expect(page.locator("#run").get_by_text("Done", exact=True)).to_be_visible(timeout=120_000)
    _fits(page, picture, "modality-run")
    page.get_by_role("link", name="Requested procedure").click()
    page.get_by_role("link", name=re.compile("LINDBLOM")).click()
    expect(page.get_by_text("completed", exact=True).first).to_be_visible()
    page.get_by_label("Server that should hold the study").select_option("test-pacs-1")
    page.get_by_role("button", name="Check").click()
    chain = page.get_by_role("list", name=re.compile("closed loop"))
    expect(chain).to_be_visible()
    expect(chain.get_by_role("listitem")).to_have_count(7)
    states = chain.locator(".loop-state").all_inner_texts()
    assert states == ["equal", "equal", "equal", "equal", "unknown", "equal", "equal"]  # no commitment was asked for
    _fits(page, picture, "procedure")
    page.goto(f"{web}/procedures")
    _fits(page, picture, "procedures")


def _fits(page: Page, picture: Picture, name: str) -> None:
    """Take the page's picture; nothing of it is wider than a phone, and axe finds nothing wrong."""
    page.evaluate("scrollTo(0, 0)")
    picture(page, name)
    size = page.viewport_size
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
    assert Axe().run(page).response["violations"] == [], name
    assert size
    page.set_viewport_size(size)
