"""Mapping profiles: what one sending system does otherwise than IHE, and what its messages leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dicomfab.hl7.er7 import Segment
from dicomfab.hl7.receiver import Receiver

CodeRule = tuple[str, str]
TextRule = tuple[re.Pattern[str], str]


@dataclass(frozen=True, slots=True)
class Replies:
    """Where a sending system hears of its orders.

    Args:
        receiver: that it listens as.
        application: that messages to it name (MSH-5).
        facility: the same (MSH-6).
        message: the kind that tells of an order: ``orm``, ``omg`` or ``omi``.
    """

    receiver: Receiver
    application: str = ""
    facility: str = ""
    message: str = "orm"


@dataclass(frozen=True, slots=True)
class Profile:
    """How the messages of a sending system are read.

    Args:
        name: what people call it; stands in the notes of what follows from it.
        senders: whose messages it is for: ``APPLICATION`` (MSH-3) or ``APPLICATION|FACILITY`` (MSH-3, MSH-4).
        sources: keyword -> elements that hold the attribute, the best first, instead of those of IHE.
        defaults: keyword -> value where the message says none.
        modality_by_code: code, or ``code^scheme``, of the procedure -> modality. They count more than what the message
            says of the modality.
        modality_by_text: what a procedure's text holds -> modality, the first that fits. They count where neither code
            nor message says it.
        replies: where it hears how far its orders have come; nothing if it does not.
    """

    name: str = ""
    senders: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    modality_by_code: Mapping[str, str] = field(default_factory=dict)
    modality_by_text: Sequence[TextRule] = ()
    replies: Replies | None = None

    @property
    def note(self) -> str:
        """What is said of a value that follows from it."""
        return f"by the profile {self.name}"

    def modality(self, codes: Iterable[CodeRule], text: str, *, said: bool) -> tuple[str, str]:
        """The modality by its rules, and why; empty if none fits.

        Args:
            codes: code and scheme of the procedure and of its steps.
            text: what the message calls them.
            said: whether the message says a modality itself.
        """
        for code, scheme in codes:
            for name in (f"{code}^{scheme}", code):
                if name in self.modality_by_code:
                    return self.modality_by_code[name], f"{self.note}: code {name}"
        if said:
            return "", ""
        for pattern, modality in self.modality_by_text:
            if pattern.search(text):
                return modality, f"{self.note}: its text holds {pattern.pattern!r}"
        return "", ""


#: IHE as it is.
STANDARD = Profile()


def profile_for(header: Segment, profiles: Iterable[Profile]) -> Profile:
    """The profile for who sent a message: one that names the facility before one for all of an application."""
    return profile_of(f"{header.get(3)}|{header.get(4)}", profiles)


def profile_of(sender: str, profiles: Iterable[Profile]) -> Profile:
    """The same, for ``APPLICATION|FACILITY``."""
    known = {one: profile for profile in profiles for one in profile.senders}
    return known.get(sender) or known.get(sender.partition("|")[0]) or STANDARD
