"""Examines one server: everything on the road to it, in order, and a second look only where the first one failed.

:func:`examine` notes checks under the role that it is given and establishes these facts; what was not tried is absent.

==========================  ============================================================================================
``entry``                   ``ok``, ``inactive``
``entry.own-title``         ``yes`` if the entry calls the server by an AE title that is ours
``name``                    ``ok``, ``name-unknown``, ``name-timeout``
``tcp``                     ``ok``, ``refused``, ``no-answer``, ``unreachable``
``tcp.neighbours``          other entries on the same host, if TCP failed: ``alive``, ``dead``, ``none``
``tcp.alive``               names and ports of those that answer
``tls``                     ``ok``, ``tls-...`` (``dimse/explain_tls.py``), ``our-files``; absent if the entry has none
``tls.plain``               ``yes`` if a server that fails the handshake speaks DICOM without TLS, ``no``
``tls.speaks``              ``yes`` if a server that was called without TLS and fails speaks it, ``no``
``association``             ``ok`` if the server lets one of our AE titles in, else the code of the first one's failure
``association.titles``      ``all``, ``some``, ``none``: of our AE titles, let in
``association.code``        of the first AE title that is not let in, if any: ``1/1/3``, ``closed-unanswered``, ...
``association.speaks``      the protocol that the port speaks, if it is a known other one: ``HTTP``, ``HL7``, ...
``association.before``      ``2/3/1`` and the like, if the server rejected the association and then took it
``association.out``         our AE titles that are not let in; ``association.in`` those that are
``association.called``      after 1/1/7: ``other`` if the AE title of another entry with this host and port is let in
``association.called-in``   which
``association.release``     seconds until the server answered the request to release, if it took more than one
``association.OPERATION``   ``ok`` or the code, for the AE title of ``echo``, ``find``, ``move``, ``get``, ``store``
``context.OPERATION``       ``ok``, or the result 1 to 4 of the refused contexts; of find, move and get also
                            ``patient-root`` if only that root was accepted. Of store it is ``ok`` if one of three usual
                            SOP classes was accepted.
``context.refused``         the operations of which all contexts were refused
``echo``                    ``ok``, a status (``0122``), ``timeout-dimse``, ``abort-0-0``, ``closed``, ...
``find``                    ``ok``, ``some`` (of levels and roots), ``none``
``find.code``               of the first C-FIND that failed, if any; ``find.failed`` which failed, in words
``find.ROOT.LEVEL``         ``ok`` or the code; ROOT is ``study`` or ``patient``
``find.matches``            ``yes`` if keys that nothing can match were answered with matches, ``no``
``implementation``          version name and class UID, as the server gives them; ``product`` the software that it shows
``slow``                    the slowest step, if it took more than a second; ``slow.seconds`` how long
``time``                    ``over`` if the time for the examination was
==========================  ============================================================================================

Names for the texts of rules, in what :func:`examine` returns: ``name``, ``id``, ``host``, ``address``, ``port``,
``called``, ``calling`` (the first of our AE titles that has trouble, else that for C-FIND), ``our_host`` (this
machine's address as the server sees it), ``our_port`` (of our own Storage SCP), ``product``, ``environment``.
"""

from __future__ import annotations

import time

from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.dimse.association import associate
from dicomfab.dimse.scu import echo as c_echo
from dicomfab.dimse.sop_classes import FIND
from dicomfab.dimse.status import SUCCESS, failure
from dicomfab.model.errors import PeerError
from dicomfab.model.query import QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.services.doctor.associations import Associations
from dicomfab.services.doctor.calls import SLOW_S, Calls, Subject
from dicomfab.services.doctor.examination import Examination, OutOfTime
from dicomfab.services.doctor.finds import Finds

__all__ = ["Subject", "examine"]


def examine(examination: Examination, role: Role, subject: Subject) -> dict[str, str]:
    """Make all checks of one server; nothing is stored on it.

    Args:
        examination: takes the checks.
        role: to note them under.
        subject: the server.

    Returns:
        Names for the texts of rules about the server. When the time is over before the last check, that is noted.
    """
    calls = Calls(examination, role, subject)
    try:
        _Checks(calls).all()
    except OutOfTime:
        over = "the time for the examination is over; what follows was not tried"
        examination.skipped(role, Stage.ENTRY, "The rest", over, time="over")
    return calls.names()


class _Checks:
    """All checks of one server but those of :class:`Associations`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def all(self) -> None:
        """Make them."""
        self._entry()
        if Capability.ECHO in self._calls.subject.forbidden:
            self._calls.skip(Stage.TCP, "Everything on the network", self._calls.subject.forbidden[Capability.ECHO])
            return
        associations = Associations(self._calls)
        if not associations.any_let_in():
            return
        associations.contexts()
        self._echo()
        self._find()
        self._speed()

    def _entry(self) -> None:
        server = self._calls.server
        can = ", ".join(f"C-{operation.upper()}" for operation in Capability if server.can(operation))
        ours = ", ".join(self._calls.titles) or "none"
        seen = f"{server.address}, AE title {server.aec}; ours: {ours}; may be asked for {can or 'nothing'}"
        facts = {"entry": "ok" if server.is_active else "inactive"}
        if server.aec in self._calls.titles:
            facts["entry.own-title"] = "yes"
        outcome = Outcome.OK if server.is_active else Outcome.ODD
        words = seen if server.is_active else f"{seen}; inactive"
        self._calls.note(Stage.ENTRY, "Entry in the registry", outcome, words, facts)

    def _echo(self) -> None:
        if not self._may(Capability.ECHO, Stage.ECHO):
            return
        title = f"C-ECHO as {self._calls.title_for(Capability.ECHO)}"
        peer = self._calls.within(self._calls.peer(self._calls.title_for(Capability.ECHO), title))
        start = time.perf_counter()
        try:
            with associate(peer, [c_echo.CONTEXT]) as association:
                association.peer = self._calls.within(peer)
                response = c_echo.send(association)
                seconds = time.perf_counter() - start
            if response.status != SUCCESS:
                raise failure("C-ECHO", response, peer.label)
        except PeerError as error:
            self._calls.failure(Stage.ECHO, title, error, {"echo": error.code})
            return
        self._calls.took("C-ECHO", seconds)
        self._calls.ok(Stage.ECHO, title, f"success after {seconds * 1000:.0f} ms", echo="ok")

    def _find(self) -> None:
        if not self._may(Capability.FIND, Stage.FIND):
            return
        refused = self._calls.refused[self._calls.title_for(Capability.FIND)]
        finds = Finds(self._calls.examination, self._calls.role)
        for root, name in ((QueryModel.STUDY_ROOT, "study"), (QueryModel.PATIENT_ROOT, "patient")):
            if FIND[root] not in refused:
                title = f"C-FIND, {name} root"
                peer = self._calls.within(self._calls.peer(self._calls.title_for(Capability.FIND), title))
                finds.ask(peer, root, name, title)
        finds.conclude()
        self._calls.took("a C-FIND", finds.slowest_s)

    def _may(self, operation: Capability, stage: Stage) -> bool:
        """Whether an operation can be tried: configured, allowed, let in and on offer."""
        name = f"C-{operation.upper()}"
        if operation not in self._calls.subject.operations:
            return False
        if operation in self._calls.subject.forbidden:
            self._calls.skip(stage, name, self._calls.subject.forbidden[operation])
            return False
        facts = self._calls.examination.facts[self._calls.role]
        why = ""
        if not self._calls.server.can(operation):
            why = "switched off in our entry of this server"
        elif facts.get(f"association.{operation}") != "ok":
            why = f"the server does not let {self._calls.title_for(operation)} in"
        elif facts.get(f"context.{operation}", "ok").isdigit():
            why = "the server does not offer it"
        if why:
            self._calls.skip(stage, name, why)
        return not why

    def _speed(self) -> None:
        seconds, step = self._calls.slowest
        if seconds > SLOW_S:
            facts = {"slow": step, "slow.seconds": f"{seconds:.1f}"}
            self._calls.note(Stage.FIND, "Speed", Outcome.ODD, f"{step} took {seconds:.1f} s", facts)
