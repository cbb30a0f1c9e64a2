"""Says why a C-MOVE from one server to another fails (PS3.4 C.4.2), by making one and watching both ends.

Facts under the role of the move; what was not tried is absent. Those of source and destination are established by
:mod:`dicomfab.services.doctor.server`.

=====================  =================================================================================================
``entry``              ``ok``, ``source-inactive``, ``destination-inactive``, ``move-off``
``consent``            ``ok``, ``role`` (the actor may not store at both ends), ``confirm`` (production, no yes to it)
``route``              ``ok``, ``missing``, ``case`` (the destination's own AE title, but for upper and lower case or
                       spaces), ``other``
``product``            of the source, if known; ``destination-product``
``study``              ``found``, ``missing``, ``new`` (our own instance, stored on the source), ``no-store`` (our entry
                       does not allow that), ``not-allowed`` (what it is made of may not go there), ``refused`` (the
                       source does not take it), ``unlisted`` (it took it, and does not list it), ``unasked`` (the
                       source could not be asked); ``study.code`` why; ``study.only-one`` ``yes`` if only one instance
                       of a larger study is moved
``as-source``          ``ok`` if the destination answers one that calls as the source, else the code
``lacks``              ``class`` or ``syntax`` if the destination does not take what is to be moved; ``lacks.all``
                       whether nothing of it, ``lacks.what`` which
``known``              final status of a C-MOVE of a study that nobody has: ``0000``, ``A801``, ``C000``, ...
``known.own-title``    the same to the destination's own AE title, if the route names another and ``known`` is ``A801``
``move``               final status of the C-MOVE, or the code of what kept it from coming; ``move.comment``
``counters``           ``all``, ``some``, ``none`` (all failed), ``zero`` (no sub-operation), ``fewer``, ``unreported``
``arrived``            ``all``, ``some``, ``none``, ``before`` (all of it was there already), ``unasked``;
                       ``arrived.late`` seconds
``elsewhere``          names of other servers on which it arrived
``stored``             status or code of a C-STORE of ours at the destination, as the source; ``stored.listed`` ``yes``,
                       ``no``
``listener``           of a C-MOVE to our own Storage SCP: ``arrived``, ``rejected``, ``nothing``, ``unknown`` (A801)
``time``               ``over`` if the time for the examination was
=====================  =================================================================================================

What servers answer to a C-MOVE, tried with Orthanc 1.10, dcmqrscp of DCMTK 3.6.7 and pynetdicom 3.0:

================  =============================  ===================  ================================================
server            a study that nobody has        unknown destination  destination that cannot be reached
================  =============================  ===================  ================================================
DICOM Fabricator  A801 or 0000                   A801                 A702, all failed
dcmqrscp          0000, to any destination       A801                 A702, all failed
Orthanc           C000, to any destination       C000, counters 0     C000, counters 0; 0000 if not "SynchronousCMove"
pynetdicom        A801 or 0000                   A801                 A801
================  =============================  ===================  ================================================

So A801 of pynetdicom and C000 of Orthanc do not tell an unknown destination from one that cannot be reached; whether it
can be is what the C-ECHO under the source's AE title is for. Orthanc compares AE titles whatever their case.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Final

from dicomfab.access.policy import Action, decide, require
from dicomfab.diagnosis.checks import Role, Stage
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.reason import Diagnosis, diagnose
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.examination import LIMIT_S, Examination, OnCheck, OutOfTime
from dicomfab.services.doctor.move_after import After
from dicomfab.services.doctor.move_before import Before
from dicomfab.services.doctor.move_case import MoveCase, Tools
from dicomfab.services.doctor.recorded import asked
from dicomfab.services.doctor.server import Subject, examine
from dicomfab.services.progress import Cancelled, never

__all__ = ["MoveDoctor", "Tools"]

#: That an end works, but slowly, is told by its own examination; here it would stand before what fails.
_RULES: Final = tuple(rule for rule in RULES if rule.id != "slow")


@dataclasses.dataclass(frozen=True, slots=True)
class MoveDoctor:
    """Examines C-MOVEs.

    Args:
        tools: what to work with.
    """

    tools: Tools

    def diagnose(
        self,
        actor: Actor,
        source: PacsServer,
        destination: PacsServer,
        *,
        study: str = "",
        confirm_production: bool = False,
        on_check: OnCheck = lambda _check: None,
        stopped: Cancelled = never,
        limit_s: float = LIMIT_S,
    ) -> Diagnosis:
        """Try a C-MOVE and say what is wrong with it.

        Servers are not changed but for one small synthetic instance, which is stored on the source, moved, and stored
        at the destination if moving it failed; it is removed again where that is possible.

        Args:
            actor: needs QUERY at both ends; what needs STORE is skipped without it.
            source: whom to ask for the C-MOVE.
            destination: where it shall arrive.
            study: a Study Instance UID that the source has; blank to move an instance of our own.
            confirm_production: an explicit yes to more than C-ECHO and C-FIND, for ends in production.
            on_check: told of every check when it is made.
            stopped: whether to end early.
            limit_s: seconds for all.

        Raises:
            AccessDenied: QUERY is not allowed at one of the ends.
            InvalidInput: both ends are the same, or the study is not a UID.
        """
        for end in (source, destination):
            require(actor, Action.QUERY, end.environment)
        if source.id == destination.id:
            raise InvalidInput(
                f"to: {destination.name} is the source itself",
                field="to",
                value=destination.id,
                remedy="name two different servers",
            )
        study = uid(study, field="study") if study else ""
        examination = Examination(on_check, limit_s=limit_s, stopped=stopped)
        with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
            ends = (source, destination)
            case = MoveCase(self.tools, actor, examination, ends, study, confirm_production, Path(folder))
            with asked(self.tools.record, actor, source), asked(self.tools.record, actor, destination):
                _examine(case)
        return diagnose(examination.checks, case.names, _RULES, seconds=examination.seconds, limit_s=limit_s)


def _examine(case: MoveCase) -> None:
    after = After(case)
    try:
        before = Before(case)
        before.entry()
        _look(case, Role.SOURCE, case.source, Capability.FIND, Capability.MOVE)
        _look(case, Role.DESTINATION, case.destination, Capability.ECHO, Capability.FIND, Capability.STORE)
        _between(case, before, after)
    except OutOfTime:
        over = "the time for the examination is over; what follows was not tried"
        case.skip(Stage.MOVE, "The rest", over, time="over")
    case.names[Role.MOVE] = case.move_names()
    after.clean_up()


def _look(case: MoveCase, role: Role, server: PacsServer, *operations: Capability) -> None:
    others = tuple(
        other
        for other in case.registry.servers
        if other.id != server.id and decide(case.actor, Action.VIEW, other.environment).allowed
    )
    port = case.tools.receiving.port if case.tools.receiving else 0
    subject = Subject(server, others, frozenset(operations), our_port=port, open_trace=case.tools.open_trace)
    case.names[role] = examine(case.examination, role, subject)


def _between(case: MoveCase, before: Before, after: After) -> None:
    content = before.content() if case.study else None
    before.as_source(content)
    if why := _no_move(case):
        case.skip(Stage.DESTINATION, "Whether the source knows the move destination", why)
        case.skip(Stage.MOVE, "C-MOVE", why)
        return
    if not before.knows():
        case.skip(Stage.MOVE, "C-MOVE", "the source does not know the destination: nothing was stored or moved")
        return
    content = content if case.study else before.own_content()
    if content is not None:
        after.attempt(content)


def _no_move(case: MoveCase) -> str:
    """Why there is no use or no leave in asking for a C-MOVE."""
    if not case.route:
        return "there is no route"
    if not case.source.can(Capability.MOVE):
        return f"C-MOVE is switched off for {case.source.name}"
    if case.barred:
        return case.barred
    if case.examination.facts[Role.SOURCE].get("association.move") != "ok":
        return f"{case.source.name} does not let us in"
    return ""
