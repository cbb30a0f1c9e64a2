"""Active Directory as a source of people, asked by LDAP and always under TLS.

An account of ours finds somebody and the groups; a bind as whom it found proves the password. All of it is said over
one connection, and the bind is the last of it: there is exactly one for each sign-in, whatever happens, so that no
repetition of ours ever locks an account. Until then another domain controller can take over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from dicomfab.identity import ldap_explain, ldap_names
from dicomfab.identity.ldap_budget import Budget
from dicomfab.identity.ldap_controllers import Controllers
from dicomfab.identity.ldap_explain import ControllerUnusable
from dicomfab.identity.ldap_groups import groups_of
from dicomfab.identity.ldap_people import Entry, entry_of, standing
from dicomfab.identity.ldap_reach import secured
from dicomfab.identity.ldap_settings import LdapServer, LdapSettings
from dicomfab.identity.ldap_talk import Talk
from dicomfab.model.account import Refusal
from dicomfab.model.person import Person, Step, Tell, untold

__all__ = ["LdapDirectory", "LdapServer", "LdapSettings"]

log = logging.getLogger(__name__)

#: All controllers together may take as many times the time of one.
_PATIENCE: Final = 4

_Found = TypeVar("_Found")


class LdapDirectory:
    """One Active Directory. Every method may be called from several threads, and opens a connection of its own.

    Args:
        settings: where it is, and as whom to search.
    """

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._controllers = Controllers(settings.servers)

    def authenticate(self, name: str, password: str, groups: Collection[str], tell: Tell = untold) -> Person | Refusal:
        r"""Who somebody is, proven by the password.

        Args:
            name: a user principal name, a ``sAMAccountName`` or ``DOMAIN\name``.
            password: theirs.
            groups: that are asked about, each by its common name, ``sAMAccountName`` or distinguished name.
            tell: is told of each step, with no secret in it.

        Returns:
            The person, in whichever of these groups; or why not.

        Raises:
            DirectoryUnavailable: no controller could be asked, or not safely.
        """
        ends = time.monotonic() + self._settings.refusal_s
        found = self._authenticated(name, password, groups, tell)
        if isinstance(found, Refusal):
            time.sleep(max(0.0, ends - time.monotonic()))
        return found

    def _authenticated(self, name: str, password: str, groups: Collection[str], tell: Tell) -> Person | Refusal:
        if refusal := ldap_names.hopeless(name) or ldap_names.hopeless_password(password):
            tell(Step("look at name and password", "no account has such a one: nobody is asked", is_good=False))
            return refusal

        def ask(talk: Talk) -> Person | Refusal:
            entry = entry_of(talk, ldap_names.typed(name))
            if isinstance(entry, Refusal):
                return entry
            person = _person(talk, entry, groups)
            return talk.prove(entry.dn, password) or person

        return self._asked(ask, tell)

    def look_up(self, name: str, groups: Collection[str], tell: Tell = untold) -> Person | Refusal:
        """The same without a password, for an administrator's test: what can be seen of an account without its owner.

        Returns:
            The person; or why a sign-in with the right password would be refused.

        Raises:
            DirectoryUnavailable: as for :meth:`authenticate`.
        """
        if refusal := ldap_names.hopeless(name):
            tell(Step("look at the name", "no account has such a one: nobody is asked", is_good=False))
            return refusal

        def ask(talk: Talk) -> Person | Refusal:
            entry = entry_of(talk, ldap_names.typed(name))
            return entry if isinstance(entry, Refusal) else standing(entry, talk.tell) or _person(talk, entry, groups)

        return self._asked(ask, tell)

    def find(self, subject: str, groups: Collection[str], tell: Tell = untold) -> Person | Refusal:
        """What has become of somebody who was proven before. Locks and passwords play no part in that.

        Args:
            subject: of the :class:`~dicomfab.model.person.Person`: the ``objectGUID`` as text.
            groups: as for :meth:`authenticate`.
            tell: as for :meth:`authenticate`.

        Returns:
            The person; else ``GONE``, ``DISABLED`` or ``ACCOUNT_EXPIRED``.

        Raises:
            DirectoryUnavailable: as for :meth:`authenticate`.
        """
        wanted = ldap_names.known_as(subject)
        if wanted is None:
            tell(Step("look at the subject", "it is no objectGUID: nobody has it", is_good=False))
            return Refusal.GONE

        def ask(talk: Talk) -> Person | Refusal:
            entry = entry_of(talk, wanted)
            if isinstance(entry, Refusal):
                return Refusal.GONE
            return standing(entry, talk.tell, is_signing_in=False) or _person(talk, entry, groups)

        return self._asked(ask, tell)

    def _asked(self, ask: Callable[[Talk], _Found], tell: Tell) -> _Found:
        """Put a question to the first controller that can be used."""
        settings = self._settings
        if ldap_names.hopeless_password(settings.password):
            raise ldap_explain.no_service_password(settings.account)
        budget = Budget(settings.timeout_s, time.monotonic() + _PATIENCE * settings.timeout_s)
        failures: list[ControllerUnusable] = []
        for place in self._controllers.places(budget, tell, failures.append):
            try:
                with Talk(secured(place, settings.ca_file, budget, tell), place, budget, tell) as talk:
                    talk.sign_in(settings)
                    found = ask(talk)
            except ControllerUnusable as failure:
                self._controllers.failed(place)
                log.warning("directory: %s: %s", failure.what, failure.cause)
                failures.append(failure)
                if failure.is_final:
                    break
                continue
            self._controllers.worked(place)
            return found
        raise ldap_explain.none_usable(failures)


def _person(talk: Talk, entry: Entry, groups: Collection[str]) -> Person:
    name = entry.text("sAMAccountName")
    return Person(entry.subject, name, entry.text("displayName") or name, groups_of(talk, entry.dn, groups))
