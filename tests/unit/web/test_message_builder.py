"""Building HL7 messages on the pages: by template, as text, from what is there; taken here, and sent."""

from __future__ import annotations

import html
import re

import httpx

from dicomfab.app.build import Application
from dicomfab.hl7.listener import Listener, ListenerConfig
from dicomfab.hl7.mllp import Fault
from dicomfab.hl7.templates import TEMPLATES
from dicomfab.model.actor import Actor, Role
from dicomfab.model.hl7_message import Direction, MessageState
from dicomfab.model.values import Environment
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.testpacs.ports import free_ports
from tests.unit.services.ordering.conftest import orm
from tests.unit.web.conftest import ACTOR, Browser

ORDER = {
    "template": "orm-new",
    "environment": "test",
    "PatientID": "SYN1",
    "PatientName": "Lindgren^Åsa",
    "AccessionNumber": "A1",
    "Modality": "CT",
    "RequestedProcedureDescription": "CT chest",
}
ANSWER = "MSH|^~\\&|R|H|S|F|20260131||ACK|X|P|2.3.1\rMSA|AA|{0}\r"


def values_of(answer: httpx.Response) -> dict[str, str]:
    """What the form shows."""
    form = answer.text[answer.text.index('id="message-form"') :]
    return {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" type="text" value="([^"]*)"', form)}


def no_fault(fault: Fault, _peer: str) -> bytes:
    raise AssertionError(fault)


def number_of(answer: httpx.Response) -> int:
    """Of the message whose page the browser is led to."""
    assert answer.status_code == 303, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def test_every_template_has_a_form_that_names_each_value_once(browser: Browser) -> None:
    for name, template in TEMPLATES.items():
        shown = browser.get(f"/messages/new?template={name}")
        assert shown.status_code == 200
        for one in template.fields:
            assert shown.text.count(f'id="{one.entry.keyword}"') == 1, (name, one.entry.keyword)
    assert browser.get("/messages/new?template=nothing").status_code == 404


def test_a_new_order_is_taken_and_scheduled(browser: Browser, application: Application) -> None:
    number = number_of(browser.post("/messages/new/take", ORDER))
    message = application.ordering.messages.show(ACTOR, number)
    assert (message.state, message.code, message.environment) == (MessageState.APPLIED, "AA", Environment.TEST)
    procedure = application.ordering.schedule.show(ACTOR, 1).procedure
    assert procedure.value("PatientName") == "Lindgren^Åsa"
    assert procedure.steps[0].modality == "CT"


def test_the_preview_is_what_would_be_sent_or_what_is_missing(browser: Browser, application: Application) -> None:
    shown = browser.post("/messages/new/preview", {**ORDER, "MessageControlID": "C1"}).text
    assert "|ORM^O01|C1|" in html.unescape(shown)
    assert "AccessionNumber" in shown
    missing = browser.post("/messages/new/preview", {**ORDER, "PatientID": ""}).text
    assert "Not a message yet: Patient ID" in re.sub(r"\s+", " ", missing)
    assert application.ordering.messages.page(ACTOR, MessageFilter()).total == 0


def test_what_cannot_be_used_is_said_beside_its_field_and_nothing_is_taken(
    browser: Browser, application: Application
) -> None:
    for name, value in (("AccessionNumber", "A" * 17), ("PatientBirthDate", "19701332"), ("PatientName", "")):
        answer = browser.post("/messages/new/take", {**ORDER, name: value})
        assert answer.status_code == 400
        assert f'id="{name}-error"' in answer.text
        assert values_of(answer)["PatientID"] == "SYN1"
    assert browser.post("/messages/new/take", {**ORDER, "environment": ""}).status_code == 400
    assert browser.post("/messages/new/take", {"template": "text", "environment": "test"}).status_code == 400
    assert application.ordering.messages.page(ACTOR, MessageFilter()).total == 0


def test_a_form_is_filled_in_from_a_procedure(browser: Browser, application: Application) -> None:
    application.ordering.intake.take(ACTOR, orm(), Environment.TEST)
    shown = values_of(browser.get("/messages/new?template=orm-cancel&procedure=1"))
    assert (shown["PatientID"], shown["AccessionNumber"]) == ("P100", "A100")
    number = number_of(browser.post("/messages/new/take", {**shown, "template": "orm-cancel", "environment": "test"}))
    assert application.ordering.messages.show(ACTOR, number).code == "AA"
    assert application.ordering.schedule.show(ACTOR, 1).procedure.is_over


def test_a_message_that_came_is_changed_as_text(browser: Browser, application: Application) -> None:
    taken = application.ordering.intake.take(ACTOR, orm(), Environment.TEST)
    shown = browser.get(f"/messages/new?from={taken.message.number}").text
    text = html.unescape(re.search(r'<textarea id="text"[^>]*>(.*?)</textarea>', shown, re.DOTALL)[1])  # type: ignore[index]
    changed = text.replace("|M1|", "|M2|").replace("A100", "A101").replace("RP1", "RP2").replace("\n", "\r\n")
    number = number_of(browser.post("/messages/new/take", {"template": "text", "text": changed, "environment": "test"}))
    assert application.ordering.messages.show(ACTOR, number).code == "AA"
    assert application.ordering.schedule.show(ACTOR, 2).procedure.accession_number == "A101"


def test_a_message_is_sent_and_its_answer_shown(browser: Browser, application: Application) -> None:
    came: list[bytes] = []

    def answer(data: bytes, _peer: str) -> bytes:
        came.append(data)
        return ANSWER.format("C9").encode()

    with Listener(ListenerConfig("127.0.0.1", 0), answer, no_fault) as listening:
        form = {**ORDER, "MessageControlID": "C9", "host": "127.0.0.1", "port": str(listening.port)}
        number = number_of(browser.post("/messages/new/send", form))
    assert b"|C9|" in came[0]
    kept = application.ordering.messages.show(ACTOR, number)
    assert (kept.direction, kept.state, kept.code) == (Direction.OUT, MessageState.SENT, "AA")
    assert "Sent, answered with AA" in browser.get(f"/messages/{number}").text


def test_what_did_not_arrive_is_said_and_can_be_sent_again(browser: Browser, application: Application) -> None:
    (port,) = free_ports(1, "127.0.0.1")
    form = {**ORDER, "MessageControlID": "C8", "host": "127.0.0.1", "port": str(port)}
    refused = browser.post("/messages/new/send", form)
    assert refused.status_code == 502
    assert f"127.0.0.1:{port}" in refused.text
    (kept,) = application.ordering.messages.page(ACTOR, MessageFilter()).messages
    assert kept.state is MessageState.FAILED
    assert "Send it again" in browser.get(f"/messages/{kept.number}").text
    assert browser.post(f"/messages/{kept.number}/resend").status_code == 303
    with Listener(ListenerConfig("127.0.0.1", port), lambda _data, _peer: ANSWER.format("C8").encode(), no_fault):
        assert browser.post(f"/messages/{kept.number}/resend").status_code == 303
    assert application.ordering.messages.show(ACTOR, kept.number).state is MessageState.SENT
    assert browser.post(f"/messages/{kept.number}/resend").status_code == 409


def test_production_wants_the_receiver_typed_again_and_the_right_to_it(
    browser: Browser, application: Application
) -> None:
    form = {**ORDER, "environment": "prod", "host": "127.0.0.1", "port": "1"}
    answer = browser.post("/messages/new/send", form)
    assert 'id="confirm_host-error"' in answer.text
    assert application.ordering.messages.page(ACTOR, MessageFilter()).total == 0
    browser.act_as(Actor("tester", frozenset({Role.TEST_WRITE}), "web"))
    assert browser.post("/messages/new/send", {**form, "confirm_host": "127.0.0.1"}).status_code == 403
    assert browser.post("/messages/new/take", form).status_code == 403
    assert application.ordering.messages.page(ACTOR, MessageFilter()).total == 0


def test_text_goes_out_in_the_character_set_that_it_names(browser: Browser, application: Application) -> None:
    lines = "MSH|^~\\&|RIS|HOSP|||||ADT^A04|{0}|T|2.5.1||||||{1}\nPID|1||P9^^^RIS||LINDGREN^Åsa||19700102|F"
    for control_id, named, codec in (("L1", "8859/1", "iso-8859-1"), ("L2", "UNICODE UTF-8", "utf-8")):
        form = {"template": "text", "environment": "test", "text": lines.format(control_id, named)}
        number = number_of(browser.post("/messages/new/take", form))
        assert "LINDGREN^Åsa".encode(codec) in application.ordering.messages.show(ACTOR, number).data
        assert application.patients.resolve_reference(ACTOR, "P9").data.name == "LINDGREN^Åsa"
    refused = browser.post("/messages/new/take", {**form, "text": lines.format("L3", "ASCII")})
    assert (refused.status_code, "MSH-18" in refused.text) == (400, True)
