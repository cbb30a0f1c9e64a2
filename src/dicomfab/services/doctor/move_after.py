"""The C-MOVE itself, and what became of it: counters, arrival here or elsewhere, and who could store what."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Final

from dicomfab.access.policy import Action, decide
from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.fabricate.doctors_instance import DoctorsInstance, doctors_instance
from dicomfab.model import audit
from dicomfab.model.errors import DicomFabError, PeerError
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor import move_peers as peers
from dicomfab.services.doctor.move_case import MoveCase, content_of
from dicomfab.services.doctor.move_facts import counters_of, counters_words, outcome_of
from dicomfab.services.doctor.move_peers import Content, Moved
from dicomfab.services.doctor.recorded import removing
from dicomfab.services.receiving import AE_TITLE, Reception

ARRIVAL_S: Final = 3.0
_LATE_S: Final = 1.0
#: Statuses and codes that say by themselves that nothing was sent, and why.
_SAYS_WHY: Final = ("A801", "no-context", "0122", "0124", "0211")


class After:
    """The checks from the C-MOVE on.

    Args:
        case: takes them.
    """

    def __init__(self, case: MoveCase) -> None:
        self._case = case

    def attempt(self, content: Content) -> None:
        """Ask for the C-MOVE, and find out what became of it."""
        no_find = self._case.no_find(Role.DESTINATION, self._case.destination)
        before = self._case.listed(self._case.destination, content, 0.0) if not no_find and content.instances else None
        title = f"C-MOVE of {'the study' if self._case.study else 'our instance'} to {self._case.route}"
        moved = self._case.ask(content.identifier(), self._case.route, title)
        counters = counters_of(moved, len(content.instances))
        facts = {"move": moved.code, "counters": counters}
        comment = moved.final.comment if moved.final else ""
        facts |= {"move.comment": comment} if comment else {}
        if moved.error is not None:
            self._case.failed(Stage.MOVE, title, moved.error, facts)
        else:
            words = f"{moved.code}{f' ({comment})' if comment else ''}; {counters_words(moved)}"
            self._case.note(Stage.MOVE, title, outcome_of(moved, counters), words, **facts)
        arrived = self._arrival(content, no_find, before, wait_s=ARRIVAL_S if _says_delivered(moved) else 0.0)
        if arrived in ("all", "before") and moved.code == "0000":
            return
        if _says_delivered(moved) and arrived in ("none", "some"):
            self._elsewhere(content)
        if moved.code not in _SAYS_WHY:
            self._own_store()
            if arrived != "all":
                self._listen(content)

    def _arrival(self, content: Content, no_find: str, before: frozenset[str] | None, *, wait_s: float) -> str:
        title = f"C-FIND of it on {self._case.destination.name}"
        if no_find or not content.instances:
            why = no_find or "which instances there are is not known"
            self._case.skip(Stage.ARRIVAL, title, why, arrived="unasked")
            return "unasked"
        if before is not None and before == content.instances:
            self._case.skip(Stage.ARRIVAL, title, "it was there before the move: that proves nothing", arrived="before")
            return "before"
        start = time.perf_counter()
        there = self._case.listed(self._case.destination, content, wait_s)
        if there is None:
            seen = f"{self._case.destination.name} could not be asked"
            self._case.skip(Stage.ARRIVAL, title, seen, arrived="unasked")
            return "unasked"
        seconds = time.perf_counter() - start
        new = len(there - (before or frozenset()))
        arrived = "all" if there == content.instances else "some" if new else "none"
        facts = {"arrived": arrived}
        if arrived == "all" and seconds > _LATE_S:
            facts["arrived.late"] = f"{seconds:.1f}"
        if there and not self._case.study:
            self._case.left[self._case.destination.id] = self._case.destination
        outcome = Outcome.OK if arrived == "all" else Outcome.FAILED
        waited = f" after {seconds:.1f} s" if wait_s else ""
        seen = f"{len(there)} of {len(content.instances)} instances are listed{waited}"
        self._case.note(Stage.ARRIVAL, title, outcome, seen, **facts)
        return arrived

    def _elsewhere(self, content: Content) -> None:
        """Whether it arrived on another server that the actor may ask."""
        ends = {self._case.source.id, self._case.destination.id}
        others = [
            server
            for server in self._case.registry.servers
            if server.id not in ends
            and server.is_active
            and server.can(Capability.FIND)
            and decide(self._case.actor, Action.QUERY, server.environment).allowed
        ]
        title = "C-FIND of it on all other servers"
        found = list(peers.elsewhere(self._case.tools.find, others, content))
        having = [server for server, has in found if has]
        if not having:
            silent = sum(has is None for _, has in found)
            seen = f"asked {len(found) - silent} of {len(found)}: on none of them"
            self._case.note(Stage.ARRIVAL, title, Outcome.OK, seen)
            return
        if not self._case.study:
            self._case.left |= {server.id: server for server in having}
        names = " and ".join(server.name for server in having)
        titles = " and ".join(server.aec for server in having)
        facts = {"elsewhere": names, "elsewhere.aec": titles}
        self._case.note(Stage.ARRIVAL, title, Outcome.FAILED, f"it is on {names}", **facts)

    def _own_store(self) -> None:
        """Whether the destination would take an instance from one that calls as the source."""
        destination = self._case.destination
        title = f"C-STORE of our instance to {destination.name} as {self._case.source.aec}"
        own = self._case.examination.facts[Role.MOVE]
        if own.get("as-source") != "ok" or own.get("lacks.all") == "yes":
            return
        why = self._case.no_synthetic(destination)
        if not destination.can(Capability.STORE):
            why = f"C-STORE is switched off for {destination.name}"
        if why:
            self._case.skip(Stage.STORE, title, why)
            return
        folder = self._case.folder / "second"
        folder.mkdir()
        ours = doctors_instance(self._case.source.id, folder)
        peer = dataclasses.replace(
            self._case.peer(destination, Capability.STORE), calling_ae_title=self._case.source.aec
        )
        try:
            code = self._case.sent(destination, self._case.traced(peer, title), ours)
        except PeerError as error:
            self._case.failed(Stage.STORE, title, error, {"stored": error.code})
            return
        self._case.ours = self._case.ours or ours
        self._case.left[destination.id] = destination
        there = None
        if not self._case.no_find(Role.DESTINATION, destination):
            there = self._case.listed(destination, content_of(ours), ARRIVAL_S if code == "0000" else 0.0)
        facts = {"stored": code} | ({} if there is None else {"stored.listed": "yes" if there else "no"})
        seen = f"answered {code}" + ("" if there is None else "; it is listed" if there else "; it is not listed")
        self._case.note(Stage.STORE, title, Outcome.OK if there is None or there else Outcome.FAILED, seen, **facts)

    def _listen(self, content: Content) -> None:
        """Whether the source can send at all: to our own Storage SCP, of an instance of ours only."""
        receiving = self._case.tools.receiving
        if receiving is None or self._case.study or self._case.examination.facts[Role.MOVE].get("stored") != "0000":
            return
        title = "C-MOVE of it to our own Storage SCP"
        came: list[Reception] = []
        try:
            with receiving.listening(self._case.actor, on_reception=came.append):
                moved = self._case.ask(content.identifier(), AE_TITLE, title)
        except DicomFabError as error:
            self._case.skip(Stage.ARRIVAL, title, error.what)
            return
        if any(reception.stored for reception in came):
            with contextlib.suppress(DicomFabError):
                self._case.tools.forget(content.study)
        code = moved.code
        came = [reception for reception in came if reception.calling_ae_title == self._case.source.aec]
        seen, fact = f"{code}: nothing came", "unknown" if code == "A801" else "nothing"
        if any(reception.stored for reception in came):
            seen, fact = "it arrived: the source can send", "arrived"
        elif came:
            seen, fact = f"{code}; it called, and was turned away: {came[0].why}", "rejected"
        self._case.note(Stage.ARRIVAL, title, Outcome.OK if fact == "arrived" else Outcome.ODD, seen, listener=fact)

    def clean_up(self) -> None:
        """Remove what was stored, where a server lets us; say what is left."""
        ours = self._case.ours
        if ours is None or not self._case.left:
            return
        stays = [server.name for server in self._case.left.values() if not self._removed(server, ours)]
        title = "Remove our instance"
        if stays:
            seen = f"it stays on {' and '.join(stays)}: patient ID SYN-DOCTOR, study {ours.study_instance_uid}"
            self._case.note(Stage.ARRIVAL, title, Outcome.OK, seen)
        else:
            gone = " and ".join(server.name for server in self._case.left.values())
            self._case.note(Stage.ARRIVAL, title, Outcome.OK, f"removed from {gone}")

    def _removed(self, server: PacsServer, ours: DoctorsInstance) -> bool:
        study = ours.study_instance_uid
        with removing(self._case.tools.record, self._case.actor, server, study) as noted:
            is_gone = self._case.tools.remove(server, study)
            if not is_gone:
                noted.add(outcome=audit.Outcome.MINOR, reason="it stays: it cannot be removed from here")
        return is_gone


def _says_delivered(moved: Moved) -> bool:
    """Whether the source says that all or some of it went out."""
    return moved.final is not None and (moved.code in ("0000", "B000") or bool(moved.delivered))
