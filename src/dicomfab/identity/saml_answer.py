"""Judge the answer of an identity provider (SAML Profiles 4.1.4).

python3-saml checks schema, signatures, issuer and times. It takes an answer without an audience, an address that only
begins right, and clocks 300 s apart; all that is looked at here once more, in the assertion that was signed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import xmlsec
from lxml import etree
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.response import OneLogin_Saml2_Response

from dicomfab.identity.saml_library import request_at, settings_for
from dicomfab.identity.saml_messages import SUCCESS
from dicomfab.identity.saml_metadata import IdentityProvider
from dicomfab.identity.saml_values import Refused, SamlSettings
from dicomfab.identity.saml_xml import (
    ASSERTION,
    PROTOCOL,
    SIGNATURE,
    decoded,
    demand_plain_encryption,
    demand_plain_signatures,
    moment,
    parsed,
    text_of,
)
from dicomfab.model.account import Refusal

_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_UNDERSTOOD: Final = frozenset(
    f"{ASSERTION}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")
)
_LIBRARY: Final = (
    OneLogin_Saml2_Error,
    OneLogin_Saml2_ValidationError,
    xmlsec.Error,
    etree.LxmlError,
    ValueError,  # of binascii and of the library's DTDForbidden too
    LookupError,  # what is encrypted may lack attributes that the library takes for granted,
    TypeError,  # or be no element when decrypted
)


@dataclass(frozen=True, slots=True)
class Proven:
    """An assertion that the identity provider signed for us, now.

    Args:
        assertion: its element.
        in_response_to: as it says, blank if it does not.
        expires_at: when nobody takes it any more.
    """

    assertion: Any
    in_response_to: str
    expires_at: datetime


def prove(settings: SamlSettings, provider: IdentityProvider, message: str, now: datetime) -> Proven:
    """Check everything about an answer that can be known from it alone.

    Args:
        settings: ours.
        provider: who should have written it.
        message: in base64.
        now: the moment.

    Raises:
        Refused: it cannot be believed; says why.
    """
    data = decoded(message)
    root = parsed(data)
    if root.tag != f"{PROTOCOL}Response":
        raise Refused("the message is no Response")
    _demand_success(root)
    demand_plain_signatures(root)
    demand_plain_encryption(root)
    document = _verified(settings, provider, data)
    assertion = _signed_assertion(document)
    if root.get("Destination") != settings.answers_to:
        raise Refused(f"the answer is for {root.get('Destination')}, not for {settings.answers_to}")
    skew = timedelta(seconds=settings.skew_s)
    _demand_conditions(assertion, settings.entity_id, now, skew)
    question = root.get("InResponseTo", "")
    expires_at = _confirmed(assertion, settings.answers_to, question, now, skew)
    if not question and not settings.allow_unsolicited:
        raise Refused("nobody here asked for the answer", Refusal.NOT_ASKED)
    return Proven(assertion, question, expires_at + skew)


def _demand_success(root: Any) -> None:
    codes = root.findall(f"{PROTOCOL}Status/{PROTOCOL}StatusCode")
    if len(codes) != 1:
        raise Refused("the answer has no status")
    if codes[0].get("Value") != SUCCESS:
        told = [code.get("Value", "").rpartition(":")[2] for code in codes[0].iter(f"{PROTOCOL}StatusCode")]
        words = [text_of(text) for text in root.findall(f"{PROTOCOL}Status/{PROTOCOL}StatusMessage")]
        raise Refused(f"the identity provider says no: {', '.join(told + words)}", Refusal.DENIED_THERE)


def _verified(settings: SamlSettings, provider: IdentityProvider, data: bytes) -> Any:
    """The message, decrypted, when the library believes it; read anew, without the comments of what was encrypted."""
    library = settings_for(settings, provider)
    try:
        answer = OneLogin_Saml2_Response(library, base64.b64encode(data).decode("ascii"))
        document = parsed(etree.tostring(answer.get_xml_document()))
        demand_plain_signatures(document)  # what was encrypted has only now come to light
        is_valid = answer.is_valid(request_at(settings.answers_to, {}))
    except _LIBRARY as error:
        raise Refused(f"the answer cannot be read: {type(error).__name__}") from error
    if not is_valid:
        why = str(answer.get_error())
        raise Refused(f"the answer is refused: {why}", is_signature=why.startswith("Signature validation failed"))
    return document


def _signed_assertion(document: Any) -> Any:
    assertions = list(document.iter(f"{ASSERTION}Assertion"))
    if len(assertions) != 1 or assertions[0].getparent() is not document:
        raise Refused("the answer does not hold one assertion")
    # With what demand_plain_signatures() saw, this one is of the assertion and of nothing else.
    if len(assertions[0].findall(f"{SIGNATURE}Signature")) != 1:
        raise Refused("the assertion is not signed")
    return assertions[0]


def _demand_conditions(assertion: Any, audience: str, now: datetime, skew: timedelta) -> None:
    """SAML Core 2.5.1: every condition has to be understood and met."""
    conditions = assertion.findall(f"{ASSERTION}Conditions")
    if len(conditions) != 1:
        raise Refused("the assertion has no conditions")
    if unknown := [child.tag for child in conditions[0].iterchildren("*") if child.tag not in _UNDERSTOOD]:
        raise Refused(f"the assertion has a condition that is not understood: {unknown[0]}")
    restrictions = conditions[0].findall(f"{ASSERTION}AudienceRestriction")
    if not restrictions:
        raise Refused("the assertion does not say for whom it is")
    for restriction in restrictions:
        named = [text_of(one) for one in restriction.findall(f"{ASSERTION}Audience")]
        if audience not in named:
            raise Refused(f"the assertion is for {', '.join(named)}, not for {audience}")
    _demand_now(conditions[0], now, skew)
    issued = moment(assertion.get("IssueInstant"))
    if issued is None or issued > now + skew:
        raise Refused(f"the assertion is of {issued}, which is yet to come")
    for statement in assertion.findall(f"{ASSERTION}AuthnStatement"):
        ends = moment(statement.get("SessionNotOnOrAfter"))
        if ends is not None and ends + skew <= now:
            raise Refused(f"the session there ended at {ends}")


def _demand_now(element: Any, now: datetime, skew: timedelta) -> None:
    begins, ends = moment(element.get("NotBefore")), moment(element.get("NotOnOrAfter"))
    if begins is not None and begins > now + skew:
        raise Refused(f"the assertion holds only from {begins}, and it is {now}: are the clocks right?")
    if ends is not None and ends + skew <= now:
        raise Refused(f"the assertion ended at {ends}, and it is {now}: are the clocks right?")


def _confirmed(assertion: Any, recipient: str, question: str, now: datetime, skew: timedelta) -> datetime:
    """Until when somebody may bring the assertion to us, as an answer to this question (SAML Profiles 4.1.4.2)."""
    why = "the assertion does not say who may bring it"
    for confirmation in assertion.findall(f"{ASSERTION}Subject/{ASSERTION}SubjectConfirmation"):
        data = confirmation.find(f"{ASSERTION}SubjectConfirmationData")
        if confirmation.get("Method") != _BEARER or data is None:
            continue
        ends = moment(data.get("NotOnOrAfter"))
        if data.get("Recipient") != recipient:
            why = f"the assertion is to be brought to {data.get('Recipient')}, not to {recipient}"
        elif data.get("InResponseTo", "") != question:
            why = "the assertion answers another question than the answer that holds it"
        elif ends is None:
            why = "the assertion may be brought at any time"
        else:
            _demand_now(data, now, skew)
            return ends
    raise Refused(why)
