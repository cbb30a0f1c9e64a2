"""The whole loop by mouse: a server is added, a study made, sent, found, moved, and proven to have arrived."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import ServerSpec
from tests.browser.conftest import Picture, serving

pytestmark = pytest.mark.full  # the short run has the story by keyboard, and the shell

SLICES = 40


def test_from_a_new_server_to_a_study_moved_and_verified(
    page: Page, lab: Lab, picture: Picture, tmp_path: Path
) -> None:
    with serving(tmp_path / "home") as url:
        page.goto(url)
        expect(page.get_by_text("Mode none: no sign-in.")).to_be_visible()
        _add_server(page, lab.config.server("test-pacs-1"), picture)
        _test_connection(page, "Test PACS 1")
        _import_the_others(page, lab, tmp_path / "others.json", picture)
        _route(page, "Test PACS 1", {"Test PACS 2": "TESTPACS2", "Prod PACS 1": "PRODPACS"}, picture)
        accession = "SYN-LOOP-1"
        _create_study(page, accession, picture)
        _send(page, "test-pacs-1", picture)
        _find_everywhere(page, accession, picture)
        _move(page, "Test PACS 1", "test-pacs-2", picture)
        _is_listed_on(page, "Test PACS 2")
    log = (tmp_path / "home" / "logs" / "web.log").read_text()
    assert "POST /query/move 303" in log
    assert not [name for name in ("Moreau", "MOREAU", accession) if name in log]


def _add_server(page: Page, server: ServerSpec, picture: Picture) -> None:
    page.get_by_role("link", name="PACS Management").first.click()
    page.get_by_role("link", name="Add New PACS").first.click()
    page.get_by_label("Name", exact=True).fill(server.name)
    page.get_by_label("Host", exact=True).fill("localhost")
    page.get_by_label("Port", exact=True).fill(str(server.dicom_port))
    page.get_by_label("AEC", exact=True).fill(server.ae_title)
    picture(page, "pacs-form")
    for label in ("Find AE", "Store AE", "Echo AE"):
        expect(page.get_by_label(label, exact=True)).to_have_value("DICOMFAB")
    environment = page.get_by_label("Environment", exact=True)
    expect(environment).to_have_value("")
    page.get_by_role("button", name="Add PACS").click()
    expect(environment).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value(server.name)
    environment.select_option("test")
    page.get_by_role("button", name="Add PACS").click()
    expect(_row(page, server.name)).to_contain_text(server.ae_title)


def _test_connection(page: Page, name: str) -> None:
    expect(_row(page, name)).to_contain_text("never")
    page.get_by_role("button", name=f"Test Connection of {name}").click()
    expect(_row(page, name)).to_contain_text("OK")


def _import_the_others(page: Page, lab: Lab, file: Path, picture: Picture) -> None:
    entries = {
        server.id: {
            "name": server.name,
            "host": "localhost",
            "port": server.dicom_port,
            "aec": server.ae_title,
            "environment": server.environment,
        }
        for server in lab.config.servers[1:]
    }
    file.write_text(json.dumps(entries))
    page.get_by_role("link", name="Import").click()
    page.get_by_label("JSON file").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("status").get_by_text("3 added")).to_be_visible()
    page.get_by_role("link", name="Back to the servers").click()
    page.get_by_role("button", name="Test all").click()
    expect(page.get_by_role("table", name="PACS servers").get_by_text("OK")).to_have_count(4)
    picture(page, "pacs-management")


def _route(page: Page, source: str, titles: dict[str, str], picture: Picture) -> None:
    page.get_by_role("link", name=f"Edit C-MOVE Routing of {source}").click()
    for destination, title in titles.items():
        page.get_by_label(f"Move AE for {destination}").fill(title)
    picture(page, "pacs-routing")
    page.get_by_role("button", name="Save routing").click()
    expect(_row(page, source)).to_contain_text("2")


def _create_study(page: Page, accession: str, picture: Picture) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Studies").click()
    page.get_by_role("link", name="Create study").first.click()
    page.locator("#kind-ct-chest").check()
    page.locator("#kind-dx-chest").check()
    page.get_by_label("Patient name").fill("Moreau^Claire")
    page.get_by_label("Accession number").fill(accession)
    page.get_by_label("Study date").fill("2026-01-31")
    page.get_by_label("Slices", exact=True).fill(str(SLICES))
    page.get_by_label("Seed").fill("7")
    picture(page, "study-form")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Created")).to_be_visible()
    expect(page.get_by_text(f"{SLICES + 2} instances")).to_be_visible()
    page.get_by_role("link", name="Show and send").click()


def _send(page: Page, server_id: str, picture: Picture) -> None:
    expect(page.get_by_role("heading", name="Moreau, Claire")).to_be_visible()
    _await_preview(page)
    expect(page.get_by_label("This is production: type the server's name to send to it")).to_be_hidden()
    page.get_by_label("Server", exact=True).select_option("prod-pacs-1")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Prod PACS 1 is a production server; nothing was sent")).to_be_visible()
    page.get_by_label("Server", exact=True).select_option(server_id)
    picture(page, "study")
    page.get_by_role("button", name="Send").click()
    _is_verified(page)


def _find_everywhere(page: Page, accession: str, picture: Picture) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Query PACS").click()
    expect(page.get_by_label("Prod PACS 1")).not_to_be_checked()
    page.get_by_role("button", name="All").click()
    page.get_by_label("Accession number").fill(accession)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status").get_by_text("4 of 4 servers answered · 1 study found")).to_be_visible()
    expect(page.get_by_role("article", name="Test PACS 1")).to_contain_text("1 found")
    expect(page.get_by_role("article", name="Prod PACS 2")).to_contain_text("0 found")
    holder = page.get_by_role("table", name="Results")
    expect(holder.get_by_role("cell", name=str(SLICES + 2), exact=True)).to_be_visible()
    holder.get_by_role("button", name="Show series").click()
    expect(holder.get_by_role("table", name="Series").get_by_role("row")).to_have_count(4)
    picture(page, "query")


def _move(page: Page, source: str, destination_id: str, picture: Picture) -> None:
    holder = page.get_by_role("table", name="Results")
    expect(holder).to_contain_text(source)
    holder.get_by_role("button", name="Move to …", exact=True).click()
    choice = holder.get_by_label("Move from Test PACS 1 to")
    expect(choice.get_by_role("option")).to_have_count(3)
    expect(holder.get_by_text("No route from Test PACS 1 to Prod PACS 2")).to_be_visible()
    choice.select_option("prod-pacs-1")
    expect(holder.get_by_label("This is production: type the server's name to send to it")).to_be_visible()
    choice.select_option(destination_id)
    expect(holder.get_by_label("This is production: type the server's name to send to it")).to_be_hidden()
    picture(page, "query-move")
    holder.get_by_role("button", name="Move", exact=True).click()
    _is_verified(page)
    completed = page.get_by_label("Sub-operations")
    expect(completed).to_contain_text(f"Completed{SLICES + 2}", use_inner_text=False)
    picture(page, "move-verified")


def _is_verified(page: Page) -> None:
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_contain_text(f"all {SLICES + 2} instances are listed at the destination")


def _is_listed_on(page: Page, name: str) -> None:
    page.get_by_role("link", name=f"Find it on {name}").click()
    expect(page.get_by_role("article", name=name)).to_contain_text("1 found")
    holder = page.get_by_role("table", name="Results")
    expect(holder.get_by_role("cell", name=str(SLICES + 2), exact=True)).to_be_visible()


def _await_preview(page: Page) -> None:
    image = page.get_by_role("img", name="Middle instance of the first series")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())


def _row(page: Page, name: str) -> Locator:
    return page.get_by_role("table", name="PACS servers").get_by_role("row").filter(has_text=name).first
