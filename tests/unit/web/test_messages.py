"""HL7 messages and requested procedures on the pages."""

from __future__ import annotations

import html
import re

from dicomfab.app.build import Application
from dicomfab.hl7.field_names import field_name
from dicomfab.hl7.orders import read
from dicomfab.model.actor import Actor, Role
from dicomfab.model.values import Environment
from dicomfab.web.message_view import segments_of
from tests.unit.hl7.messages import OMI_JAPANESE
from tests.unit.services.ordering.conftest import message, orm, pid
from tests.unit.web.conftest import ACTOR, Browser

TEST_READER = Actor("reader", frozenset({Role.TEST_READ}), "web")


def take(application: Application, data: bytes, environment: Environment = Environment.TEST) -> int:
    """The number of a message that was taken."""
    return application.ordering.intake.take(ACTOR, data, environment).message.number


def words(text: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def test_each_field_says_what_was_read_from_it() -> None:
    text = orm(uid="1.2.3.4").decode()
    shown = {one.place: one for segment in segments_of(text, read(text)) for one in segment.fields}
    assert shown["OBR-18"].keywords == (("AccessionNumber", "OBR-18.1"),)
    assert dict(shown["PID-3"].keywords) == {"PatientID": "PID-3.1", "IssuerOfPatientID": "PID-3.4.1"}
    assert (shown["PID-5"].name, shown["PID-5"].text) == ("Patient name", "DOE^JANE")
    assert shown["ZDS-1"].keywords == (("StudyInstanceUID", "ZDS-1.1"),)
    assert shown["MSH-1"].text == "|"
    assert shown["MSH-2"].text == "^~\\&"
    assert "PID-2" not in shown


def test_escapes_are_resolved_for_reading() -> None:
    text = message("NTE|1||fish \\T\\ chips \\F\\ peas").decode()
    (note,) = [one for segment in segments_of(text) for one in segment.fields if one.place == "NTE-3"]
    assert note.text == "fish & chips | peas"


def test_no_message_has_no_segments_and_a_foreign_segment_no_names() -> None:
    assert segments_of("no message at all") == ()
    assert field_name("ZZZ", 1) == ""
    assert field_name("PID", 99) == ""
    assert (field_name("IPC", 3), field_name("OBR", 44)) == ("Study Instance UID", "Procedure code")


def test_a_message_with_its_answer_and_what_it_did(browser: Browser, application: Application) -> None:
    number = take(application, orm())
    listed = browser.get("/messages")
    assert f'href="/messages/{number}"' in listed.text
    shown = browser.get(f"/messages/{number}")
    said = words(shown.text)
    assert "Applied, answered with AA" in said
    assert "AccessionNumber OBR-18.1" in said
    assert "MSA-1 Acknowledgement code AA" in said
    assert 'href="/procedures/1"' in shown.text


def test_a_refused_message_says_why(browser: Browser, application: Application) -> None:
    number = take(application, orm(control="CA"))
    said = words(browser.get(f"/messages/{number}").text)
    assert "Refused, answered with AE" in said
    assert "there is no order with accession number A100" in said
    assert "it did nothing to any" in said


def test_garbage_is_shown_as_it_came(browser: Browser, application: Application) -> None:
    number = take(application, b"<script>alert(1)</script>\xff")
    shown = browser.get(f"/messages/{number}").text
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_messages_are_found_by_state_direction_and_words(browser: Browser, application: Application) -> None:
    take(application, orm("GOOD"))
    take(application, orm("BAD", control="CA", accession="A9"))
    assert "GOOD" in browser.get("/messages?state=applied").text
    assert "BAD" not in words(browser.get("/messages?state=applied").text).replace("bad", "")
    assert "No message matches" in browser.get("/messages?direction=out").text
    assert "GOOD" not in browser.get("/messages?q=BAD").text
    assert browser.get("/messages?state=nonsense&direction=x&page=-4").status_code == 200


def test_a_reader_of_test_sees_nothing_of_production(browser: Browser, application: Application) -> None:
    hidden = take(application, orm(), Environment.PROD)
    browser.act_as(TEST_READER)
    assert "No messages yet" in browser.get("/messages").text
    assert browser.get(f"/messages/{hidden}").status_code == 404
    assert browser.get("/procedures/1").status_code == 404
    assert "Nothing is scheduled yet" in browser.get("/procedures").text


def test_an_order_leads_to_its_procedure(browser: Browser, application: Application) -> None:
    take(application, orm())
    assert 'href="/procedures/1"' in browser.get("/orders/1").text


def test_the_palette_finds_a_procedure_by_its_accession_number(browser: Browser, application: Application) -> None:
    take(application, orm())
    assert 'href="/procedures/1"' in browser.get("/palette?q=a100").text
    browser.act_as(TEST_READER)
    take(application, orm("M2", accession="A200", uid="1.2.3.9"), Environment.PROD)
    assert "/procedures/2" not in browser.get("/palette?q=a200").text


def test_a_procedure_tells_its_story(browser: Browser, application: Application) -> None:
    take(application, orm("M1"))
    take(application, orm("M2", control="SC", status="IP"))
    take(application, message("EVN|A08", pid(name="DOE^JANET"), control_id="M3", kind="ADT^A08"))
    shown = browser.get("/procedures/1")
    said = words(shown.text)
    assert "DOE, JANET" in said
    assert "started" in said
    assert [f"/messages/{n}" in shown.text for n in (1, 2, 3)] == [True, True, True]
    assert "AccessionNumber A100 OBR-18.1" in said
    assert "not in the local store" in said


def test_procedures_are_found_by_words_and_by_whether_they_are_over(browser: Browser, application: Application) -> None:
    take(application, orm("M1", accession="A1", uid="1.2.3.1"))
    take(application, orm("M2", accession="A2", uid="1.2.3.2"))
    take(application, orm("M3", accession="A2", control="CA"))
    take(application, OMI_JAPANESE.encode())
    assert "3 requested procedures" in words(browser.get("/procedures").text)
    assert "1 requested procedure, over" in words(browser.get("/procedures?state=over").text)
    assert "2 requested procedures, on the worklist" in words(browser.get("/procedures?state=open").text)
    assert "No procedure matches" in browser.get("/procedures?q=nobody").text


def test_a_loop_without_a_server_leads_to_where_one_is_chosen(browser: Browser, application: Application) -> None:
    take(application, orm())
    answer = browser.get("/procedures/1/loop")
    assert (answer.status_code, answer.headers["location"]) == (303, "/procedures/1#loop-head")
    assert browser.get("/procedures/1/loop?pacs=nobody").status_code == 404


def test_a_modality_whose_worklist_does_not_answer(browser: Browser, application: Application) -> None:
    assert "No test server" in browser.get("/modality").text
    entry = {"name": "Archive", "host": "127.0.0.1", "port": 1, "aec": "ARCHIVE", "environment": "test"}
    application.pacs.add(ACTOR, entry)
    form = {"pacs": "archive", "ris": "127.0.0.1:1:NOBODY"}
    assert "AE title of the modality" in browser.get("/modality").text
    refused = browser.get("/modality/worklist?pacs=archive&ris=127.0.0.1:1:NOBODY")
    assert refused.status_code == 502
    assert "127.0.0.1:1" in refused.text
    for name, value in (("ae", "A\\B"), ("port", "0"), ("ris", "127.0.0.1:x"), ("pacs", "")):
        answer = browser.post("/modality", {**form, name: value})
        assert answer.status_code == 400, name
        assert f'id="{name}-error"' in answer.text


def test_a_modality_is_for_those_who_may_store(browser: Browser, application: Application) -> None:
    entry = {"name": "Archive", "host": "127.0.0.1", "port": 1, "aec": "ARCHIVE", "environment": "test"}
    application.pacs.add(ACTOR, entry)
    browser.act_as(TEST_READER)
    assert browser.post("/modality", {"pacs": "archive", "ris": "127.0.0.1:1:NOBODY"}).status_code == 403
