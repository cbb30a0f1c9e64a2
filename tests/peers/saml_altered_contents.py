"""Answers that say something else than they should, and messages that are no answer."""

from __future__ import annotations

import base64
import copy
from typing import Any

from lxml import etree

from tests.peers.saml_altering import attack, each
from tests.peers.saml_answers import (
    SAML,
    SAMLP,
    Scene,
    assertion_of,
    signed,
    signed_twice,
    stamp,
    unsigned,
)

# ------------------------------------------------------------------ for whom, by whom, when


@attack
def another_audience(answer: Any, scene: Scene) -> Any:
    for audience in each(answer, "Audience"):
        audience.text = "https://other.example/sp"
    return signed_twice(answer, scene.provider)


@attack
def no_audience(answer: Any, scene: Scene) -> Any:
    for restriction in each(answer, "AudienceRestriction"):
        restriction.getparent().remove(restriction)
    return signed_twice(answer, scene.provider)


@attack
def a_second_audience_to_be_met_too(answer: Any, scene: Scene) -> Any:
    """Restrictions all hold together (SAML Core 2.5.1.4)."""
    [restriction] = each(answer, "AudienceRestriction")
    other = copy.deepcopy(restriction)
    other[0].text = "https://other.example/sp"
    restriction.addnext(other)
    return signed_twice(answer, scene.provider)


@attack
def unknown_condition(answer: Any, scene: Scene) -> Any:
    [conditions] = each(answer, "Conditions")
    schema = "http://www.w3.org/2001/XMLSchema-instance"
    condition = etree.SubElement(conditions, f"{SAML}Condition", nsmap={"own": "urn:x"})
    condition.set(f"{{{schema}}}type", "own:Never")
    return signed_twice(answer, scene.provider)


@attack
def another_issuer(answer: Any, scene: Scene) -> Any:
    for issuer in each(answer, "Issuer"):
        issuer.text = "https://other.example/idp"
    return signed_twice(answer, scene.provider)


@attack
def another_destination(answer: Any, scene: Scene) -> Any:
    answer.set("Destination", "https://other.example/saml/acs")
    return signed_twice(answer, scene.provider)


@attack
def longer_destination(answer: Any, scene: Scene) -> Any:
    answer.set("Destination", f"{scene.settings.answers_to}.other.example")
    return signed_twice(answer, scene.provider)


@attack
def no_destination(answer: Any, scene: Scene) -> Any:
    answer.attrib.pop("Destination")
    return signed_twice(answer, scene.provider)


def _recipient(answer: Any, scene: Scene, recipient: str) -> Any:
    for data in each(answer, "SubjectConfirmationData"):
        data.attrib.pop("Recipient")
        if recipient:
            data.set("Recipient", recipient)
    return signed_twice(answer, scene.provider)


@attack
def another_recipient(answer: Any, scene: Scene) -> Any:
    return _recipient(answer, scene, "https://other.example/saml/acs")


@attack
def recipient_with_ours_in_it(answer: Any, scene: Scene) -> Any:
    return _recipient(answer, scene, f"https://other.example/?{scene.settings.answers_to}")


@attack
def no_recipient(answer: Any, scene: Scene) -> Any:
    return _recipient(answer, scene, "")


@attack
def not_a_bearer(answer: Any, scene: Scene) -> Any:
    for confirmation in each(answer, "SubjectConfirmation"):
        confirmation.set("Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
    return signed_twice(answer, scene.provider)


@attack
def no_end(answer: Any, scene: Scene) -> Any:
    for data in each(answer, "SubjectConfirmationData"):
        data.attrib.pop("NotOnOrAfter")
    return signed_twice(answer, scene.provider)


@attack
def ended_long_ago(answer: Any, scene: Scene) -> Any:
    for data in each(answer, "SubjectConfirmationData"):
        data.set("NotOnOrAfter", stamp(-3600))
    for conditions in each(answer, "Conditions"):
        conditions.set("NotBefore", stamp(-7200))
        conditions.set("NotOnOrAfter", stamp(-3600))
    return signed_twice(answer, scene.provider)


@attack
def ended_more_than_the_skew_ago(answer: Any, scene: Scene) -> Any:
    for conditions in each(answer, "Conditions"):
        conditions.set("NotOnOrAfter", stamp(-scene.settings.skew_s - 10))
    return signed_twice(answer, scene.provider)


@attack
def yet_to_come(answer: Any, scene: Scene) -> Any:
    for conditions in each(answer, "Conditions"):
        conditions.set("NotBefore", stamp(3600))
        conditions.set("NotOnOrAfter", stamp(7200))
    return signed_twice(answer, scene.provider)


@attack
def to_come_in_more_than_the_skew(answer: Any, scene: Scene) -> Any:
    for conditions in each(answer, "Conditions"):
        conditions.set("NotBefore", stamp(scene.settings.skew_s + 10))
    return signed_twice(answer, scene.provider)


@attack
def a_moment_that_is_none(answer: Any, scene: Scene) -> Any:
    for conditions in each(answer, "Conditions"):
        conditions.set("NotOnOrAfter", "9999-12-31T23:59:59-14:00")
    return signed_twice(answer, scene.provider)


@attack
def answer_to_another_question(answer: Any, scene: Scene) -> Any:
    answer.set("InResponseTo", "_another")
    for data in each(answer, "SubjectConfirmationData"):
        data.set("InResponseTo", "_another")
    return signed_twice(answer, scene.provider)


@attack
def question_changed_around_the_assertion(answer: Any, _scene: Scene) -> Any:
    """An assertion that answered somebody else, in a response that nobody signed."""
    answer.set("InResponseTo", "_another")
    return unsigned(answer)


@attack
def question_left_out_of_the_assertion(answer: Any, scene: Scene) -> Any:
    for data in each(answer, "SubjectConfirmationData"):
        data.attrib.pop("InResponseTo")
    return signed_twice(answer, scene.provider)


@attack
def nobody_asked(answer: Any, scene: Scene) -> Any:
    answer.attrib.pop("InResponseTo")
    for data in each(answer, "SubjectConfirmationData"):
        data.attrib.pop("InResponseTo")
    return signed_twice(answer, scene.provider)


@attack
def denied_there(answer: Any, scene: Scene) -> Any:
    for code in answer.iter(f"{SAMLP}StatusCode"):
        code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")
    return signed_twice(answer, scene.provider)


# ------------------------------------------------------------------ what is no answer at all


@attack
def not_base64(_answer: Any, _scene: Scene) -> Any:
    return b"%%% not base64"


@attack
def not_xml(_answer: Any, _scene: Scene) -> Any:
    return "neither <XML"


@attack
def empty(_answer: Any, _scene: Scene) -> Any:
    return b""


@attack
def document_type_with_entity(answer: Any, _scene: Scene) -> Any:
    return '<!DOCTYPE r [<!ENTITY x "y">]>' + etree.tostring(answer).decode()


@attack
def document_type_in_utf_16(answer: Any, _scene: Scene) -> Any:
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE r [<!ENTITY x "y">]>' + etree.tostring(answer).decode()
    return base64.b64encode(text.encode("utf-16"))


@attack
def document_type_in_utf_7(answer: Any, _scene: Scene) -> Any:
    return '<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE r>' + etree.tostring(answer).decode()


@attack
def too_long(answer: Any, scene: Scene) -> Any:
    for value in each(answer, "AttributeValue")[-1:]:
        value.text = "x" * (300 << 10)
    return signed_twice(answer, scene.provider)


@attack
def another_message(_answer: Any, _scene: Scene) -> Any:
    return etree.Element(f"{SAMLP}AuthnRequest", ID="_a", Version="2.0", IssueInstant=stamp(0))


@attack
def no_assertion(answer: Any, scene: Scene) -> Any:
    answer.remove(assertion_of(answer))
    return signed(answer, scene.provider)
