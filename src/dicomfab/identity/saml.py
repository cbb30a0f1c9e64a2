"""Sign-in by SAML 2.0: we are the service provider, with HTTP-Redirect for questions and HTTP-POST for answers.

Who only needs the settings imports :mod:`dicomfab.identity.saml_values`, which loads no library.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from dicomfab.identity import saml_messages, saml_query
from dicomfab.identity.saml_answer import Proven, prove
from dicomfab.identity.saml_metadata import IdentityProvider
from dicomfab.identity.saml_person import name_id_of, person_of
from dicomfab.identity.saml_source import MetadataSource
from dicomfab.identity.saml_values import LogoutAsked, Refused, SamlAnswer, SamlRequest, SamlSettings
from dicomfab.identity.saml_xml import ASSERTION, moment
from dicomfab.model.person import Rejected, Step, Tell, untold

__all__ = ["LogoutAsked", "SamlAnswer", "SamlProvider", "SamlRequest", "SamlSettings"]

_Read = TypeVar("_Read")


class SamlProvider:
    """One identity provider, as somewhere to sign in. May be used by several threads.

    Args:
        settings: who, and how.
        now: the moment, with time zone.
    """

    def __init__(self, settings: SamlSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._source = MetadataSource(settings.metadata, settings.ca_file, now)

    def metadata(self) -> str:
        """Ours, as XML, for the identity provider.

        Raises:
            DirectoryUnavailable: our certificate cannot be read.
        """
        return saml_messages.metadata(self._settings)

    def begin(self, relay_state: str) -> SamlRequest:
        """A signed question.

        Args:
            relay_state: comes back with the answer, but is not signed there.

        Raises:
            DirectoryUnavailable: the metadata of the identity provider, or our key, cannot be used.
        """
        provider = self._source.get()
        name, message = saml_messages.question(self._settings, provider.sign_on, self._now())
        return SamlRequest(name, self._address(provider.sign_on, "SAMLRequest", message, relay_state))

    def answered(self, saml_response: str, tell: Tell = untold) -> SamlAnswer | Rejected:
        """Judge an answer.

        Args:
            saml_response: the field ``SAMLResponse`` of the form that the browser sent.
            tell: told of each step.

        Returns:
            What it says, or why it is not believed.

        Raises:
            DirectoryUnavailable: the metadata of the identity provider, or our key, cannot be used.
        """
        provider = self._source.get()
        tell(
            Step(
                "read the metadata of the identity provider",
                f"{provider.entity_id}, to be believed by {_keys(provider)}",
            )
        )
        try:
            proven = self._read(lambda known: prove(self._settings, known, saml_response, self._now()), provider)
            tell(Step("check signature, times and addressee of the answer", "everything is right"))
            answer = self._answer(proven)
        except Refused as refused:
            rejected = refused.rejected
            tell(Step("judge the answer", rejected.why, is_good=False))
            return rejected
        groups = ", ".join(sorted(answer.person.groups)) or "no group"
        tell(Step("read the attributes", f"{answer.person.name} ({answer.person.display_name}), in {groups}"))
        return answer

    def logout(self, name_id: str, name_id_format: str, session_index: str) -> str:
        """The address of a signed request to end a session there; blank if it has no single logout.

        Args:
            name_id: of the answer that began the session; without one there is nothing to ask.
            name_id_format: of that answer.
            session_index: of that answer.

        Raises:
            DirectoryUnavailable: the metadata of the identity provider, or our key, cannot be used.
        """
        to = self._source.get().logout
        if not to or not name_id:
            return ""
        subject = (name_id, name_id_format)
        message = saml_messages.logout_request(self._settings, to, self._now(), subject, session_index)
        return self._address(to, "SAMLRequest", message, None)

    def logout_asked(self, query: str) -> LogoutAsked | Rejected:
        """Judge a request of the identity provider to end sessions.

        Args:
            query: of the address, as it came: it is what is signed.

        Raises:
            DirectoryUnavailable: the metadata of the identity provider, or our key, cannot be used.
        """
        provider = self._source.get()
        try:
            request = self._read(
                lambda known: saml_query.logout_request(self._settings, known, query, self._now()), provider
            )
        except Refused as refused:
            return refused.rejected
        to = provider.logout_answers
        answer = ""
        if to:
            message = saml_messages.logout_response(self._settings, to, self._now(), request.id)
            answer = self._address(to, "SAMLResponse", message, request.relay_state)
        return LogoutAsked(request.name_id, request.session_index, answer)

    def logout_answered(self, query: str) -> Rejected | None:
        """Judge the answer to our own request to end a session.

        Args:
            query: of the address, as it came: it is what is signed.

        Returns:
            Why it is not believed, or what the identity provider could not do; ``None`` if all is well.

        Raises:
            DirectoryUnavailable: the metadata of the identity provider cannot be used.
        """
        try:
            self._read(
                lambda known: saml_query.logout_answer(self._settings, known, query, self._now()), self._source.get()
            )
        except Refused as refused:
            return refused.rejected
        return None

    def _read(self, reading: Callable[[IdentityProvider], _Read], provider: IdentityProvider) -> _Read:
        """Read a message; if its signature does not fit, once more with newer metadata."""
        try:
            return reading(provider)
        except Refused as refused:
            newer = self._source.again() if refused.is_signature else None
            if newer is None:
                raise
            return reading(newer)

    def _answer(self, proven: Proven) -> SamlAnswer:
        assertion = proven.assertion
        name_id, name_id_format = name_id_of(assertion)
        session = assertion.find(f"{ASSERTION}AuthnStatement")
        return SamlAnswer(
            person=person_of(self._settings, assertion),
            in_response_to=proven.in_response_to,
            assertion_id=assertion.get("ID"),
            expires_at=proven.expires_at,
            name_id=name_id,
            name_id_format=name_id_format,
            session_index=session.get("SessionIndex", ""),
            session_expires_at=moment(session.get("SessionNotOnOrAfter")),
        )

    def _address(self, to: str, kind: str, message: bytes, relay_state: str | None) -> str:
        return saml_messages.signed_address(self._settings, to, kind, message, relay_state)


def _keys(provider: IdentityProvider) -> str:
    count = len(provider.certificates)
    return "one certificate" if count == 1 else f"{count} certificates"
