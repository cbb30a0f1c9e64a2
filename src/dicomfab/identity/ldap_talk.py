"""What is said to a domain controller: binds and searches (RFC 4511 4.2 and 4.5), over a connection that is secure."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import ldap3
from ldap3.core.exceptions import LDAPExceptionError
from pyasn1.error import PyAsn1Error

from dicomfab.identity import ldap_explain
from dicomfab.identity.ldap_budget import Budget
from dicomfab.identity.ldap_reach import Place, SecureSocket
from dicomfab.identity.ldap_settings import LdapSettings
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Step, Tell

# Result codes of RFC 4511 4.1.9.
_SUCCESS, _SIZE_LIMIT, _INVALID_CREDENTIALS = 0, 4, 49
_NOWHERE: Final = frozenset({10, 32, 34})  # referral, noSuchObject, invalidDNSyntax
_NOT_NOW: Final = frozenset({3, 11, 51, 52, 53, 80})  # time and administrative limits, busy, unavailable and the like
_FEW: Final = 10
#: Controllers count a time limit from the last full second, so that one of a second may end at once: one more.
_CLOCK_S: Final = 1

#: How a library that reads what others send can fail.
_BROKEN: Final = (LDAPExceptionError, PyAsn1Error, OSError, LookupError, TypeError, ValueError, AttributeError)

_DATA: Final = re.compile(r"\bdata ([0-9a-f]+)", re.IGNORECASE)
#: What Active Directory adds to invalidCredentials, as Windows error codes in hexadecimal (MS-ERREF 2.2).
_REASONS: Final[Mapping[str, tuple[Refusal, str]]] = {
    "525": (Refusal.UNKNOWN_NAME, "there is no such account"),
    "52e": (Refusal.WRONG_PASSWORD, "the password is wrong"),
    "530": (Refusal.LOGON_HOURS, "the account may not be used at this time of day"),
    "531": (Refusal.WORKSTATION, "the account may not be used from this machine"),
    "532": (Refusal.PASSWORD_EXPIRED, "the password has expired"),
    "533": (Refusal.DISABLED, "the account is disabled"),
    "701": (Refusal.ACCOUNT_EXPIRED, "the account has expired"),
    "773": (Refusal.MUST_CHANGE_PASSWORD, "the password has to be changed first"),
    "775": (Refusal.LOCKED, "the account is locked"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One entry that a search has found.

    Args:
        dn: its distinguished name, as it came.
        attributes: those asked for that it has, each with all values, by their names in small letters.
    """

    dn: str
    attributes: Mapping[str, Sequence[bytes]]


class Talk:
    """A conversation for a ``with`` block, at the end of which the connection is closed.

    ldap3 puts requests into bytes and reads answers. It opens no connection: were ours lost, it would open another one
    by itself for the next bind, and after StartTLS that one would not be secure.

    Args:
        secure: the connection.
        place: where it leads.
        budget: each request is one step.
        tell: told of what was done.
    """

    def __init__(self, secure: SecureSocket, place: Place, budget: Budget, tell: Tell) -> None:
        self.tell = tell
        self.base = ""
        self._host = place.server.host
        self._server = place.server
        self._budget = budget
        self._secure = secure
        connection = ldap3.Connection(
            ldap3.Server(self._host, port=place.server.port, get_info=ldap3.NONE),
            client_strategy=ldap3.SYNC, authentication=ldap3.ANONYMOUS, auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False, auto_range=False, auto_escape=False, check_names=False, read_only=True,
        )  # fmt: skip
        connection.open = _never_again
        connection.socket = secure
        connection.closed = False
        connection.listening = True
        connection.strategy._outstanding = {}
        self._connection: Any = connection

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._budget.begin()
            with contextlib.suppress(*_BROKEN):
                self._connection.unbind()
        finally:
            self._secure.close()

    def sign_in(self, settings: LdapSettings) -> None:
        """Become the service account. It is part of the step of connecting: one that accepts us has to answer.

        Raises:
            ControllerUnusable: there was no answer, or not now.
            DirectoryUnavailable: the account is not let in.
        """
        self.base = settings.base
        what = f"sign in as the service account {settings.account}"
        try:
            result = self._bind(settings.account, settings.password)
        except _BROKEN as error:
            raise self._told(what, self._failure(error, "signing in as the service account")) from error
        code = int(result["result"])
        if code == _INVALID_CREDENTIALS:
            _, why = _reason(result)
            raise self._told(what, ldap_explain.service_refused(settings.account, self._host, why))
        if code != _SUCCESS:
            raise self._told(what, self._refused(result, "signing in as the service account"))
        self.tell(Step(what, "accepted"))

    def prove(self, dn: str, password: str) -> Refusal | None:
        """Bind as somebody. This is sent once in a sign-in: no other controller is asked after it.

        Args:
            dn: whose password it is to be.
            password: as typed.

        Returns:
            Why not; none if the password is right and the account may be used.

        Raises:
            DirectoryUnavailable: nobody knows.
        """
        what = f"sign in as {dn}"
        self._budget.begin()
        try:
            result = self._bind(dn, password)
        except _BROKEN as error:
            raise self._told(what, self._lost(self._failure(error, "signing in"))) from error
        code = int(result["result"])
        if code == _SUCCESS:
            self.tell(Step(what, "accepted: the password is right"))
            return None
        if code != _INVALID_CREDENTIALS:
            raise self._told(what, self._lost(self._refused(result, "signing in")))
        refusal, why = _reason(result)
        self.tell(Step(what, f"refused: {why}", is_good=False))
        return refusal

    def _lost(self, failure: DirectoryUnavailable) -> DirectoryUnavailable:
        return ldap_explain.proof_lost(self._host, failure.what)

    def _bind(self, name: str, password: str) -> Mapping[str, Any]:
        if not name or not password:
            raise ValueError("a bind without name or password proves nothing")
        connection = self._connection
        # As bytes it is sent as it is; from text, ldap3 would make other characters (RFC 4013), which AD does not.
        connection.user, connection.password = name, password.encode()
        connection.authentication = ldap3.SIMPLE
        try:
            connection.bind(read_server_info=False)
            result: Mapping[str, Any] = connection.result
            return result
        finally:
            connection.password = connection.request = None

    def search(self, filter_: str, attributes: Sequence[str], *, below: str = "", few: bool = False) -> list[Found]:
        """Search an entry and everything below it. Referrals to other domains are not followed.

        Args:
            filter_: as of RFC 4515, with every value escaped.
            attributes: to be given.
            below: the entry; blank for the base of the directory.
            few: whether more than some are as good as some.

        Raises:
            ControllerUnusable: there was no answer, or not now.
            DirectoryUnavailable: this is not allowed, or there is no such entry.
        """
        where = below or self.base
        found = self._searched(where, filter_, ldap3.SUBTREE, attributes, _FEW if few else 0)
        if found is None:
            raise self._told(f"search {where}", ldap_explain.no_base(where, self._host))
        return found

    def read(self, dn: str, attributes: Sequence[str], *, filter_: str = "(objectClass=*)") -> Found | None:
        """One entry by its distinguished name, if it is there and matches; a blank one is the controller's own.

        Raises:
            ControllerUnusable, DirectoryUnavailable: as for :meth:`search`.
        """
        found = self._searched(dn, filter_, ldap3.BASE, attributes, 0)
        return found[0] if found else None

    def _searched(
        self, where: str, filter_: str, scope: str, attributes: Sequence[str], most: int
    ) -> list[Found] | None:
        self._budget.begin()
        try:
            self._connection.search(
                where, filter_, scope, dereference_aliases=ldap3.DEREF_NEVER, attributes=list(attributes),
                size_limit=most, time_limit=math.ceil(self._budget.step_s) + _CLOCK_S,
            )  # fmt: skip
            result, response = self._connection.result, self._connection.response
            entries = [_found(entry) for entry in response if entry["type"] == "searchResEntry"]
        except _BROKEN as error:
            raise self._told(f"search {where}", self._failure(error, "searching")) from error
        code = int(result["result"])
        if code in (_SUCCESS, _SIZE_LIMIT):
            return entries
        if code in _NOWHERE:
            return None
        raise self._told(f"search {where}", self._refused(result, "searching"))

    def _failure(self, error: BaseException, doing: str) -> DirectoryUnavailable:
        """What a broken conversation means; ldap3 gives its own errors, among whose kinds the first one is."""
        if isinstance(error, TimeoutError) or self._is_late():
            return ldap_explain.silent(self._server, doing, self._budget.step_s)
        if isinstance(error, OSError | LDAPExceptionError):
            return ldap_explain.broke(self._server, doing)
        return ldap_explain.no_ldap(self._server, f"answers with no LDAP ({doing})")

    def _is_late(self) -> bool:
        try:
            return self._budget.left() <= 0
        except TimeoutError:
            return True

    def _refused(self, result: Mapping[str, Any], doing: str) -> DirectoryUnavailable:
        code, said = int(result["result"]), f"{result['description']} ({result['result']})"
        if code in _NOT_NOW:
            return ldap_explain.not_answered(self._host, said, doing)
        return ldap_explain.not_allowed(self._host, said, doing)

    def _told(self, what: str, failure: DirectoryUnavailable) -> DirectoryUnavailable:
        self.tell(Step(what, f"{failure.what}: {failure.cause}", is_good=False))
        return failure


def _never_again(*_: object, **__: object) -> None:
    raise ConnectionError("the connection is closed")


def _found(entry: Mapping[str, Any]) -> Found:
    return Found(str(entry["dn"]), {str(key).lower(): list(values) for key, values in entry["raw_attributes"].items()})


def _reason(result: Mapping[str, Any]) -> tuple[Refusal, str]:
    """Why a bind was refused. A code that nobody knows counts as a wrong password: so nobody can try for ever."""
    match = _DATA.search(str(result.get("message") or ""))
    code = match[1].lower() if match else ""
    unknown = f"the reason is not known (code {code})" if code else "name or password is wrong"
    refusal, why = _REASONS.get(code, (Refusal.WRONG_PASSWORD, unknown))
    return refusal, f"{why} ({code})" if code in _REASONS else why
