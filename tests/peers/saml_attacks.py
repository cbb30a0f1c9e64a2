"""Answers of an identity provider, altered: what a service provider must refuse, and what it must still read.

Every attack takes a good answer, as the identity provider wrote it, and gives the field that a browser would bring.
"""

from __future__ import annotations

from dicomfab.identity.saml import SamlAnswer, SamlProvider
from dicomfab.model.account import Refusal
from dicomfab.model.person import Rejected, Tell, untold
from tests.peers import saml_altered_contents, saml_altered_signatures
from tests.peers.saml_altering import ATTACKS, GOOD

__all__ = ["ATTACKS", "GOOD", "let_in"]

# Importing them fills the lists.
assert saml_altered_contents
assert saml_altered_signatures


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
