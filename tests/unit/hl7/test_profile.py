from __future__ import annotations

import pytest

from dicomfab.hl7.er7 import parse
from dicomfab.hl7.orders import read
from dicomfab.hl7.profile import STANDARD, Replies, profile_for
from dicomfab.hl7.receiver import Receiver, ReceiverTls
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import Order
from dicomfab.services.order_profile_file import read as read_profile

PROFILE = r"""
name: Northern RIS
senders: [NRIS|NORTH, SRIS]
sources:
  AccessionNumber: [ORC-3.1, OBR-18.1]
  PatientID: [PID-18.1]
defaults:
  IssuerOfPatientID: NORTH
  PatientSex: O
modality:
  by_code: {"CTABD^NRIS": CT, "99": XA}
  by_text: {'\bsono': US, 'thorax': DX}
"""


def order(*, sender: str = "NRIS|NORTH", code: str = "1^Thorax^L", modality: str = "", sex: str = "") -> Order:
    message = (
        f"MSH|^~\\&|{sender}|FAB|LAB|20260131||ORM^O01|1|P|2.3.1\rPID|||P1||Doe^J||19700101|{sex}||||||||||P18\r"
        f"ORC|NW|PL1|FI1\rOBR|1|PL1|FI1|{code}||||||||||||||ACC18||||||{modality}\r"
    )
    (found,) = read(message, [read_profile(PROFILE, source="north.yaml")])
    return found


def test_its_sources_count_and_where_a_value_came_from_is_told() -> None:
    found = order()
    accession = found.field("AccessionNumber")
    assert accession is not None
    assert (accession.value, accession.origin, accession.note) == ("FI1", "ORC-3.1", "")
    assert found.value("PatientID") == "P18"
    assert "read by the profile Northern RIS" in found.notes


def test_its_defaults_stand_in_and_say_so() -> None:
    issuer = order().field("IssuerOfPatientID")
    assert issuer is not None
    assert (issuer.value, issuer.origin, issuer.note) == ("NORTH", "", "by the profile Northern RIS")
    assert order(sex="F").value("PatientSex") == "F"


@pytest.mark.parametrize(
    ("code", "said", "modality", "note"),
    [
        ("CTABD^Sonography^NRIS", "MR", "CT", "code CTABD^NRIS; the message says MR"),
        ("CTABD^Sonography^OTHER", "", "US", "its text holds"),
        ("99^Anything^L", "CT", "XA", "code 99; the message says CT"),
        ("1^Sono of the thorax^L", "MG", "MG", ""),
        ("1^SONO of the thorax^L", "", "US", "its text holds"),
        ("1^Knee^L", "", "", ""),
    ],
)
def test_codes_count_more_than_the_message_and_that_more_than_texts(
    code: str, said: str, modality: str, note: str
) -> None:
    found = order(code=code, modality=said).field("Modality")
    assert (found.value if found else "") == modality
    assert note in (found.note if found else "")
    assert bool(note) == bool(found and found.note)


def test_others_are_read_as_ihe_has_it() -> None:
    other = order(sender="NRIS|SOUTH")
    assert (other.value("AccessionNumber"), other.value("PatientID")) == ("ACC18", "P1")
    assert other.field("IssuerOfPatientID") is None


def test_a_facility_counts_more_than_an_application() -> None:
    both = [read_profile(f"{{name: {name}, senders: ['{of}']}}", source="x") for name, of in (("a", "R"), ("b", "R|F"))]
    headers = [parse(f"MSH|^~\\&|{sender}|").segments[0] for sender in ("R|F", "R|G", "S|F")]
    assert [profile_for(header, both).name for header in headers] == ["b", "a", STANDARD.name]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{name: a}", "senders"),
        ("{name: a, senders: []}", "senders"),
        ("{name: a, senders: [R], colour: red}", "colour"),
        ("{name: a, senders: [R], sources: {Accession: [OBR-18]}}", "sources.Accession"),
        ("{name: a, senders: [R], sources: {AccessionNumber: [OBR18]}}", "sources.AccessionNumber"),
        ("{name: a, senders: [R], defaults: {AccessionNumber: 12345678901234567}}", "defaults.AccessionNumber"),
        ("{name: a, senders: [R], defaults: {PatientSex: female}}", "defaults.PatientSex"),
        ("{name: a, senders: [R], modality: {by_text: {'(': CT}}}", "modality.by_text"),
        ("{name: a, senders: [R], replies: {host: a}}", "replies.port"),
        ("{name: a, senders: [R], replies: {host: a b, port: 1}}", "replies.host"),
        ("{name: a, senders: [R], replies: {host: a, port: 65536}}", "replies.port"),
        ("{name: a, senders: [R], replies: {host: a, port: 1, message: adt}}", "replies.message"),
        ('{name: a, senders: [R], replies: {host: a, port: 1, application: "R\\tS"}}', "replies.application"),
        ("{name: a, senders: [R], replies: {host: a, port: 1, tls_ca_file: ca.pem}}", "replies.tls"),
        (
            "{name: a, senders: [R], replies: {host: a, port: 1, tls: true, tls_key_file: k.pem}}",
            "replies.tls_key_file",
        ),
        ("{name: a, senders: [R", "file"),
        ('{name: "\\UFFFFFFFF", senders: [R]}', "file"),
        ("{name: a, senders: [R], name: b}", "name"),
        ("{name: a, senders: [R], defaults: {PatientSex: F, PatientSex: M}}", "PatientSex"),
        ("[a]", "file"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_field(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_profile(text, source="north.yaml")
    assert caught.value.field == field
    assert "north.yaml" in caught.value.what


def test_where_replies_go() -> None:
    text = "{name: a, senders: [R], replies: {host: ris.example.com, port: 2575, application: R, message: omg"
    plain = read_profile(f"{text}}}}}", source="x").replies
    assert plain == Replies(Receiver("ris.example.com", 2575), "R", "", "omg")
    secured = read_profile(f"{text}, tls: true, tls_ca_file: /ca.pem}}}}", source="x").replies
    assert secured is not None
    assert secured.receiver.tls == ReceiverTls("/ca.pem")
