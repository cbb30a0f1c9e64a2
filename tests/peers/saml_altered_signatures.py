"""Answers whose signature or encryption was altered, and good ones of every kind."""

from __future__ import annotations

import copy
from typing import Any

import xmlsec
from lxml import etree

from tests.peers.saml_altering import EVIL, attack, each, evil, evil_copy, good
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
    unsigned,
)

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
    for value in each(answer, "AttributeValue"):
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
    return encrypted(unsigned(answer), scene.settings.certificate, key_cipher=xmlsec.Transform.RSA_PKCS1)


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
