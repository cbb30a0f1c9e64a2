"""What goes in and out of the sign-in by SAML 2.0; importing it costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dicomfab.model.account import Refusal
from dicomfab.model.person import Person, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlSettings:
    """Who we are, whom we believe, and where its answers say who somebody is.

    Args:
        address: ours, as browsers write it, such as ``https://dicomfab.example.com``.
        certificate: ours, in PEM; the identity provider gets it with our metadata.
        key: its private key, in PEM.
        metadata: of the identity provider: the path of a file, or an address; ``http`` only to this machine.
        ca_file: PEM of who signs the certificate of that address; blank for those whom the system trusts.
        subject_attribute: what identifies a person for ever; blank for the NameID.
        name_attribute: the sign-in name.
        display_name_attribute: for people.
        groups_attribute: the groups.
        allow_unsolicited: whether an answer is taken that nobody here asked for.
        require_signed_response: whether the answer around the signed assertion must be signed too. AD FS and Entra ID
            do not do so by default.
        skew_s: how far the clocks may be apart, in seconds; more than 300 counts as 300.
    """

    address: str
    certificate: str
    key: str = field(repr=False)
    metadata: str
    ca_file: str = ""
    subject_attribute: str = ""
    name_attribute: str = "uid"
    display_name_attribute: str = "displayName"
    groups_attribute: str = "memberOf"
    allow_unsolicited: bool = False
    require_signed_response: bool = False
    skew_s: float = 60.0

    @property
    def entity_id(self) -> str:
        """What we are called, and where our metadata is."""
        return f"{self.address}/saml/metadata"

    @property
    def answers_to(self) -> str:
        """Where browsers bring answers: the assertion consumer service."""
        return f"{self.address}/saml/acs"

    @property
    def logout(self) -> str:
        """Where browsers bring requests and answers of the single logout."""
        return f"{self.address}/saml/logout"


@dataclass(frozen=True, slots=True)
class SamlRequest:
    """A question to the identity provider.

    Args:
        id: its answer must name it.
        address: where to send the browser with it.
    """

    id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlAnswer:
    """What an identity provider said, when everything that can be known from the answer alone is right.

    The caller checks that ``in_response_to`` is an open question of this browser, and ``assertion_id`` a new one.

    Args:
        person: who somebody is.
        in_response_to: the question; blank if nobody asked.
        assertion_id: of what was said.
        expires_at: until when a second use must be noticed.
        name_id: of the subject; a single logout names it.
        name_id_format: as the answer says, blank if it does not.
        session_index: of the session there; may be blank.
        session_expires_at: when the session there ends, if the answer says so.
    """

    person: Person
    in_response_to: str
    assertion_id: str
    expires_at: datetime
    name_id: str
    name_id_format: str
    session_index: str
    session_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogoutAsked:
    """An identity provider ends sessions.

    Args:
        name_id: whose.
        session_index: which one; blank for all of that person.
        answer_address: where to send the browser when they are ended; blank if no answer is wanted.
    """

    name_id: str
    session_index: str
    answer_address: str


class Refused(Exception):
    """Ends the reading of a message; becomes a :class:`~dicomfab.model.person.Rejected`.

    Args:
        why: in words.
        refusal: the reason in a word.
        is_signature: whether newer certificates could help.
    """

    def __init__(self, why: str, refusal: Refusal = Refusal.ANSWER_INVALID, *, is_signature: bool = False) -> None:
        super().__init__(why)
        self.is_signature = is_signature
        self._refusal = refusal

    @property
    def rejected(self) -> Rejected:
        """For the audit log: a line of limited length, whatever the message held."""
        line = "".join(letter if letter.isprintable() else " " for letter in str(self))
        return Rejected(self._refusal, line[:400])
