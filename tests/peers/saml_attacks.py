"""Answers of an identity provider, altered: what a service provider must refuse, and what it must still read.

Every attack takes a good answer, as the identity provider wrote it, and gives the field that a browser would bring.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any, Final

import xmlsec
from lxml import etree

from dicomfab.identity.saml import SamlAnswer, SamlProvider
from dicomfab.model.account import Refusal
from dicomfab.model.person import Rejected, Tell, untold
from tests.peers.saml_answers import (
    DS,
    SAML,
    SAMLP,
    XENC,
    Keys,
    Scene,
    assertion_of,
    encrypted,
    signed,
    signed_twice,
    stamp,
    unsigned,
)

EVIL: Final = "_evil"

Attack = Callable[[Any, Scene], Any]
#: Altered answers that must be refused.
ATTACKS: Final[dict[str, Attack]] = {}
#: Answers that must be read, as what they were signed to say.
GOOD: Final[dict[str, Attack]] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def good(function: Attack) -> Attack:
    GOOD[function.__name__] = function
    return function


def evil(assertion: Any, name: str = "") -> Any:
    """Make it speak of the administrator."""
    for value in assertion.iter(f"{SAML}AttributeValue"):
        if (value.text or "").startswith("DF-"):
            value.text = "DF-Admin"
    for subject in assertion.iter(f"{SAML}NameID"):
        subject.text = "anna"
    if name:
        assertion.set("ID", name)
    return assertion


def evil_copy(assertion: Any) -> Any:
    return evil(unsigned(copy.deepcopy(assertion)), EVIL)


def _all(answer: Any, name: str) -> list[Any]:
    return list(answer.iter(f"{SAML}{name}"))


# ------------------------------------------------------------------ good ones


@good
def as_it_came(answer: Any, _scene: Scene) -> Any:
    return answer


@good
def signed_anew(answer: Any, scene: Scene) -> Any:
    return signed_twice(answer, scene.provider)


@good
def signature_of_the_response_left_out(answer: Any, _scene: Scene) -> Any:
    """As AD FS and Entra ID write it: what is believed stands in the assertion."""
    return unsigned(answer)


@good
def comment_in_name_id(answer: Any, _scene: Scene) -> Any:
    """Comments are no part of what is signed; the name is read past them."""
    [subject] = assertion_of(answer).iter(f"{SAML}NameID")
    whole = subject.text
    subject.text = whole[:2]
    comment = etree.Comment("x")
    comment.tail = whole[2:]
    subject.append(comment)
    return answer


@good
def comment_in_attribute(answer: Any, _scene: Scene) -> Any:
    for value in _all(answer, "AttributeValue"):
        if value.text == "DF-TestRead":
            value.text = "DF-Test"
            comment = etree.Comment("x")
            comment.tail = "Read"
            value.append(comment)
    return answer


@good
def encrypted_for_us(answer: Any, scene: Scene) -> Any:
    return encrypted(unsigned(answer), scene.settings.certificate)


@good
def encrypted_with_comment_in_name_id(answer: Any, scene: Scene) -> Any:
    return encrypted(unsigned(comment_in_name_id(answer, scene)), scene.settings.certificate)


# ------------------------------------------------------------------ the signature


@attack
def altered(answer: Any, _scene: Scene) -> Any:
    evil(assertion_of(answer))
    return answer


@attack
def all_signatures_left_out(answer: Any, _scene: Scene) -> Any:
    unsigned(evil(assertion_of(answer)))
    return unsigned(answer)


@attack
def signature_of_the_assertion_left_out(answer: Any, scene: Scene) -> Any:
    unsigned(assertion_of(answer))
    return signed(answer, scene.provider)


@attack
def signed_by_another_key(answer: Any, scene: Scene) -> Any:
    evil(assertion_of(answer))
    return signed_twice(answer, scene.attacker)


@attack
def signed_by_our_own_key(answer: Any, scene: Scene) -> Any:
    evil(assertion_of(answer))
    return signed_twice(answer, Keys(scene.settings.certificate, scene.settings.key))


@attack
def signed_by_sha1(answer: Any, scene: Scene) -> Any:
    return signed_twice(answer, scene.provider, method=xmlsec.Transform.RSA_SHA1, digest=xmlsec.Transform.SHA1)


@attack
def digest_by_sha1(answer: Any, scene: Scene) -> Any:
    return signed_twice(answer, scene.provider, digest=xmlsec.Transform.SHA1)


@attack
def signed_with_the_certificate_as_secret(answer: Any, scene: Scene) -> Any:
    """HMAC with what everybody knows, hoping that the key is taken for whatever the message says."""
    evil(assertion_of(answer))
    element = unsigned(assertion_of(unsigned(answer)))
    signature = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.HMAC_SHA256, ns="ds")
    element.insert(1, signature)
    reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_binary_data(xmlsec.KeyData.HMAC, scene.provider.certificate.encode())
    context.register_id(element, "ID")
    context.sign(signature)
    return answer


@attack
def second_reference(answer: Any, scene: Scene) -> Any:
    """Whoever follows it asks a machine that the attacker names, before the signature is known to be right."""
    unsigned(answer)

    def more(signature: Any) -> None:
        xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=f"#{assertion_of(answer).get('ID')}")

    signed(assertion_of(answer), scene.provider, more=more)
    answer.findall(f".//{DS}Reference")[1].set("URI", "file:///etc/hostname")
    return answer


@attack
def transformed_by_xslt(answer: Any, _scene: Scene) -> Any:
    unsigned(answer)
    transforms = answer.find(f".//{DS}Transforms")
    etree.SubElement(transforms, f"{DS}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116")
    return answer


@attack
def transformed_by_xpath(answer: Any, _scene: Scene) -> Any:
    unsigned(answer)
    transform = answer.find(f".//{DS}Transform")
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
    etree.SubElement(transform, f"{DS}XPath").text = "not(ancestor-or-self::x)"
    return answer


@attack
def two_of_the_same_id(answer: Any, _scene: Scene) -> Any:
    unsigned(answer)
    extensions = etree.Element(f"{SAMLP}Extensions")
    etree.SubElement(extensions, "{urn:x}x", ID=assertion_of(answer).get("ID"))
    answer.insert(1, extensions)
    return answer


@attack
def xml_id(answer: Any, _scene: Scene) -> Any:
    unsigned(answer)
    extensions = etree.Element(f"{SAMLP}Extensions")
    other = etree.SubElement(extensions, "{urn:x}x")
    other.set("{http://www.w3.org/XML/1998/namespace}id", assertion_of(answer).get("ID"))
    answer.insert(1, extensions)
    return answer


# ------------------------------------------------------------------ wrapping (Somorovsky et al., 2012)


@attack
def wrapped_1_original_response_in_signature(answer: Any, scene: Scene) -> Any:
    original = unsigned(copy.deepcopy(answer))
    evil(assertion_of(answer))
    answer.set("ID", EVIL)
    answer.find(f"{DS}Signature").append(original)
    return answer


@attack
def wrapped_2_original_response_before_signature(answer: Any, _scene: Scene) -> Any:
    original = unsigned(copy.deepcopy(answer))
    evil(assertion_of(answer))
    answer.set("ID", EVIL)
    answer.find(f"{DS}Signature").addprevious(original)
    return answer


@attack
def wrapped_3_evil_assertion_first(answer: Any, _scene: Scene) -> Any:
    original = assertion_of(unsigned(answer))
    original.addprevious(evil_copy(original))
    return answer


@attack
def wrapped_4_original_in_evil_assertion(answer: Any, _scene: Scene) -> Any:
    original = assertion_of(unsigned(answer))
    outer = evil_copy(original)
    answer.replace(original, outer)
    outer.append(original)
    return answer


@attack
def wrapped_5_signature_moved_to_evil_assertion(answer: Any, _scene: Scene) -> Any:
    assertion = assertion_of(unsigned(answer))
    original = unsigned(copy.deepcopy(assertion))
    evil(assertion, EVIL)
    answer.append(original)
    return answer


@attack
def wrapped_6_original_assertion_in_signature(answer: Any, _scene: Scene) -> Any:
    assertion = assertion_of(unsigned(answer))
    original = unsigned(copy.deepcopy(assertion))
    evil(assertion, EVIL).find(f"{DS}Signature").append(original)
    return answer


@attack
def wrapped_7_evil_assertion_in_extensions(answer: Any, _scene: Scene) -> Any:
    assertion = assertion_of(unsigned(answer))
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(evil(copy.deepcopy(assertion)))
    answer.insert(1, extensions)
    return answer


@attack
def wrapped_8_original_assertion_in_object(answer: Any, _scene: Scene) -> Any:
    assertion = assertion_of(unsigned(answer))
    original = unsigned(copy.deepcopy(assertion))
    held = etree.SubElement(evil(assertion, EVIL).find(f"{DS}Signature"), f"{DS}Object")
    held.append(original)
    return answer


# ------------------------------------------------------------------ for whom, by whom, when


@attack
def another_audience(answer: Any, scene: Scene) -> Any:
    for audience in _all(answer, "Audience"):
        audience.text = "https://other.example/sp"
    return signed_twice(answer, scene.provider)


@attack
def no_audience(answer: Any, scene: Scene) -> Any:
    for restriction in _all(answer, "AudienceRestriction"):
        restriction.getparent().remove(restriction)
    return signed_twice(answer, scene.provider)


@attack
def a_second_audience_to_be_met_too(answer: Any, scene: Scene) -> Any:
    """Restrictions all hold together (SAML Core 2.5.1.4)."""
    [restriction] = _all(answer, "AudienceRestriction")
    other = copy.deepcopy(restriction)
    other[0].text = "https://other.example/sp"
    restriction.addnext(other)
    return signed_twice(answer, scene.provider)


@attack
def unknown_condition(answer: Any, scene: Scene) -> Any:
    [conditions] = _all(answer, "Conditions")
    schema = "http://www.w3.org/2001/XMLSchema-instance"
    condition = etree.SubElement(conditions, f"{SAML}Condition", nsmap={"own": "urn:x"})
    condition.set(f"{{{schema}}}type", "own:Never")
    return signed_twice(answer, scene.provider)


@attack
def another_issuer(answer: Any, scene: Scene) -> Any:
    for issuer in _all(answer, "Issuer"):
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
    for data in _all(answer, "SubjectConfirmationData"):
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
    for confirmation in _all(answer, "SubjectConfirmation"):
        confirmation.set("Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
    return signed_twice(answer, scene.provider)


@attack
def no_end(answer: Any, scene: Scene) -> Any:
    for data in _all(answer, "SubjectConfirmationData"):
        data.attrib.pop("NotOnOrAfter")
    return signed_twice(answer, scene.provider)


@attack
def ended_long_ago(answer: Any, scene: Scene) -> Any:
    for data in _all(answer, "SubjectConfirmationData"):
        data.set("NotOnOrAfter", stamp(-3600))
    for conditions in _all(answer, "Conditions"):
        conditions.set("NotBefore", stamp(-7200))
        conditions.set("NotOnOrAfter", stamp(-3600))
    return signed_twice(answer, scene.provider)


@attack
def ended_more_than_the_skew_ago(answer: Any, scene: Scene) -> Any:
    for conditions in _all(answer, "Conditions"):
        conditions.set("NotOnOrAfter", stamp(-scene.settings.skew_s - 10))
    return signed_twice(answer, scene.provider)


@attack
def yet_to_come(answer: Any, scene: Scene) -> Any:
    for conditions in _all(answer, "Conditions"):
        conditions.set("NotBefore", stamp(3600))
        conditions.set("NotOnOrAfter", stamp(7200))
    return signed_twice(answer, scene.provider)


@attack
def to_come_in_more_than_the_skew(answer: Any, scene: Scene) -> Any:
    for conditions in _all(answer, "Conditions"):
        conditions.set("NotBefore", stamp(scene.settings.skew_s + 10))
    return signed_twice(answer, scene.provider)


@attack
def a_moment_that_is_none(answer: Any, scene: Scene) -> Any:
    for conditions in _all(answer, "Conditions"):
        conditions.set("NotOnOrAfter", "9999-12-31T23:59:59-14:00")
    return signed_twice(answer, scene.provider)


@attack
def answer_to_another_question(answer: Any, scene: Scene) -> Any:
    answer.set("InResponseTo", "_another")
    for data in _all(answer, "SubjectConfirmationData"):
        data.set("InResponseTo", "_another")
    return signed_twice(answer, scene.provider)


@attack
def question_changed_around_the_assertion(answer: Any, _scene: Scene) -> Any:
    """An assertion that answered somebody else, in a response that nobody signed."""
    answer.set("InResponseTo", "_another")
    return unsigned(answer)


@attack
def question_left_out_of_the_assertion(answer: Any, scene: Scene) -> Any:
    for data in _all(answer, "SubjectConfirmationData"):
        data.attrib.pop("InResponseTo")
    return signed_twice(answer, scene.provider)


@attack
def nobody_asked(answer: Any, scene: Scene) -> Any:
    answer.attrib.pop("InResponseTo")
    for data in _all(answer, "SubjectConfirmationData"):
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
    for value in _all(answer, "AttributeValue")[-1:]:
        value.text = "x" * (300 << 10)
    return signed_twice(answer, scene.provider)


@attack
def another_message(_answer: Any, _scene: Scene) -> Any:
    return etree.Element(f"{SAMLP}AuthnRequest", ID="_a", Version="2.0", IssueInstant=stamp(0))


@attack
def no_assertion(answer: Any, scene: Scene) -> Any:
    answer.remove(assertion_of(answer))
    return signed(answer, scene.provider)


# ------------------------------------------------------------------ encrypted


@attack
def encrypted_and_not_signed(answer: Any, scene: Scene) -> Any:
    """Everybody can encrypt for us."""
    unsigned(evil(assertion_of(answer)))
    return encrypted(unsigned(answer), scene.settings.certificate)


@attack
def encrypted_and_altered(answer: Any, scene: Scene) -> Any:
    evil(assertion_of(answer))
    return encrypted(unsigned(answer), scene.settings.certificate)


@attack
def encrypted_for_somebody_else(answer: Any, scene: Scene) -> Any:
    return encrypted(unsigned(answer), scene.attacker.certificate)


@attack
def encrypted_by_triple_des(answer: Any, scene: Scene) -> Any:
    return encrypted(unsigned(answer), scene.settings.certificate, cipher=xmlsec.Transform.DES3)


@attack
def key_encrypted_by_rsa_15(answer: Any, scene: Scene) -> Any:
    answer = encrypted(unsigned(answer), scene.settings.certificate)
    method = answer.find(f".//{XENC}EncryptedKey/{XENC}EncryptionMethod")
    method.set("Algorithm", "http://www.w3.org/2001/04/xmlenc#rsa-1_5")
    return answer


@attack
def encrypted_with_second_reference(answer: Any, scene: Scene) -> Any:
    return encrypted(second_reference(answer, scene), scene.settings.certificate)


@attack
def encrypted_data_elsewhere(answer: Any, scene: Scene) -> Any:
    answer = encrypted(unsigned(answer), scene.settings.certificate)
    data = answer.find(f".//{XENC}EncryptedData/{XENC}CipherData")
    data.replace(data[0], etree.Element(f"{XENC}CipherReference", URI="file:///etc/hostname"))
    return answer


@attack
def key_of_encrypted_data_elsewhere(answer: Any, scene: Scene) -> Any:
    answer = encrypted(unsigned(answer), scene.settings.certificate)
    held = answer.find(f".//{DS}KeyInfo")
    etree.SubElement(held, f"{DS}RetrievalMethod", URI="file:///etc/hostname")
    return answer


@attack
def nothing_encrypted(answer: Any, scene: Scene) -> Any:
    answer = encrypted(unsigned(answer), scene.settings.certificate)
    data = answer.find(f".//{XENC}EncryptedData")
    data.remove(data.find(f"{DS}KeyInfo"))
    return answer


# ------------------------------------------------------------------ who is told


def let_in(
    provider: SamlProvider, field: str, question: str, tell: Tell = untold, *, seen: set[str] | None = None
) -> SamlAnswer | Rejected:
    """What whoever asks the adapter has to do with its answer.

    Args:
        provider: the adapter.
        field: from the browser.
        question: the open one of this browser.
        tell: told of each step.
        seen: assertions of before.
    """
    found = provider.answered(field, tell)
    if isinstance(found, Rejected):
        return found
    if found.in_response_to != question:
        return Rejected(Refusal.NOT_ASKED, "another question")
    if seen is not None:
        if found.assertion_id in seen:
            return Rejected(Refusal.REPLAYED, "seen before")
        seen.add(found.assertion_id)
    return found
