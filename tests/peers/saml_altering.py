"""What the altering of answers is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from tests.peers.saml_answers import SAML, Scene, unsigned

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


def each(answer: Any, name: str) -> list[Any]:
    return list(answer.iter(f"{SAML}{name}"))
