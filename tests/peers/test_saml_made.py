"""The sign-in by SAML against answers that the test signs itself: every attack, without any program."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from dicomfab.identity.saml import SamlAnswer, SamlProvider, SamlSettings
from dicomfab.model.account import Refusal
from dicomfab.model.person import Person, Rejected
from tests.peers.saml_answers import Scene, brought, idp_metadata, keys_of, made_answer
from tests.peers.saml_attacks import ATTACKS, GOOD, let_in

pytestmark = pytest.mark.peers

ISSUER = "https://idp.example/idp"
QUESTION = "_question"
SMOKE = frozenset(
    (
        "signed_by_another_key",
        "signed_by_sha1",
        "wrapped_3_evil_assertion_first",
        "no_audience",
        "recipient_with_ours_in_it",
        "nobody_asked",
        "document_type_with_entity",
        "encrypted_and_not_signed",
        "as_it_came",
        "comment_in_name_id",
    )
)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def cases(names) -> list:
    return [pytest.param(name, marks=() if name in SMOKE else pytest.mark.full) for name in names]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    ours, theirs = keys_of("ours"), keys_of("theirs")
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(ISSUER, theirs.der))
    settings = SamlSettings(
        address="https://dicomfab.example", certificate=ours.certificate, key=ours.key, metadata=str(path)
    )
    return Scene(theirs, settings, keys_of("attacker"))


@pytest.mark.parametrize("name", cases(ATTACKS))
def test_refuses(name, scene):
    field = brought(ATTACKS[name](made_answer(scene, ISSUER, QUESTION), scene))
    steps = []
    found = let_in(SamlProvider(scene.settings, now), field, QUESTION, steps.append)
    assert isinstance(found, Rejected), found
    assert found.why
    assert found.why.isprintable()
    if name != "answer_to_another_question":
        assert not steps[-1].is_good


@pytest.mark.parametrize("name", cases(GOOD))
def test_reads(name, scene):
    field = brought(GOOD[name](made_answer(scene, ISSUER, QUESTION), scene))
    found = let_in(SamlProvider(scene.settings, now), field, QUESTION)
    assert isinstance(found, SamlAnswer), found
    assert found.person == Person("ben", "ben", "ben", frozenset({"DF-TestRead"}))
    assert (found.name_id, found.session_index) == ("ben", "_session")


def test_refuses_an_answer_that_was_used_before(scene):
    field = brought(made_answer(scene, ISSUER, QUESTION))
    provider, seen = SamlProvider(scene.settings, now), set()
    first = let_in(provider, field, QUESTION, seen=seen)
    assert isinstance(first, SamlAnswer)
    assert first.expires_at > now()
    assert let_in(provider, field, QUESTION, seen=seen) == Rejected(Refusal.REPLAYED, "seen before")


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("denied_there", Refusal.DENIED_THERE),
        ("nobody_asked", Refusal.NOT_ASKED),
        ("altered", Refusal.ANSWER_INVALID),
    ],
)
def test_says_why_in_a_word(name, refusal, scene):
    field = brought(ATTACKS[name](made_answer(scene, ISSUER, QUESTION), scene))
    assert SamlProvider(scene.settings, now).answered(field).refusal is refusal


@pytest.mark.parametrize(
    "name",
    [
        "signed_with_the_certificate_as_secret",
        "signed_by_sha1",
        "second_reference",
        "transformed_by_xslt",
        "transformed_by_xpath",
        "wrapped_8_original_assertion_in_object",
        "encrypted_with_second_reference",
        "encrypted_data_elsewhere",
        "key_of_encrypted_data_elsewhere",
        "key_encrypted_by_rsa_15",
    ],
)
def test_refuses_before_xmlsec_does_what_a_stranger_says(name, scene):
    found = SamlProvider(scene.settings, now).answered(
        brought(ATTACKS[name](made_answer(scene, ISSUER, QUESTION), scene))
    )
    assert not found.why.startswith("the answer"), found  # as it begins when the library was asked
