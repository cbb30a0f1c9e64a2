"""What is found out about a C-MOVE before it is asked for: consent, route, and what source and destination know."""

from __future__ import annotations

import dataclasses
from typing import Final

from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.fabricate.doctors_instance import SOP_CLASS_UID, doctors_instance
from dicomfab.model.errors import DicomFabError, PeerError
from dicomfab.registry.fields import Capability
from dicomfab.services.doctor import move_peers as peers
from dicomfab.services.doctor.move_case import MoveCase, content_of
from dicomfab.services.doctor.move_facts import route_fact
from dicomfab.services.doctor.move_peers import Content

_LIST_S: Final = 1.0


class Before:
    """The checks before the C-MOVE.

    Args:
        case: takes them.
    """

    def __init__(self, case: MoveCase) -> None:
        self._case = case

    def entry(self) -> None:
        """What the policy and the registry say, and nobody has to be asked."""
        source, destination = self._case.source, self._case.destination
        consent = {"consent": self._case.consent}
        if self._case.barred:
            self._case.skip(Stage.ENTRY, "Leave to move", self._case.barred, **consent)
        else:
            seen = "one small synthetic instance may be stored and moved"
            self._case.ok(Stage.ENTRY, "Leave to move", seen, **consent)
        trouble = {
            "source-inactive": not source.is_active and f"{source.name} is inactive",
            "destination-inactive": not destination.is_active and f"{destination.name} is inactive",
            "move-off": not source.can(Capability.MOVE) and f"C-MOVE is switched off for {source.name}",
        }
        entry, words = next(((fact, words) for fact, words in trouble.items() if words), ("ok", ""))
        route = route_fact(self._case.route, destination.aec)
        seen = f"{source.name} is asked to send to {self._case.route!r}" if self._case.route else "there is none"
        if route in ("case", "other"):
            seen += f"; {destination.name} itself is {destination.aec!r}"
        seen += f"; {words}" if words else ""
        outcome = Outcome.ODD if route == "case" else Outcome.OK
        outcome = Outcome.FAILED if words or route == "missing" else outcome
        self._case.note(Stage.ENTRY, "C-MOVE route in the registry", outcome, seen, route=route, entry=entry)

    def content(self) -> Content | None:
        """What the source lists of the study that was named."""
        title = "The study on the source"
        why = self._case.no_find(Role.SOURCE, self._case.source)
        if why:
            self._case.skip(Stage.FIND, title, why, study="unasked")
            return Content(self._case.study, "", frozenset(), 0, {})
        try:
            peer = self._case.peer(self._case.source, Capability.FIND)
            content = peers.content_of(self._case.tools.find, peer, self._case.study)
        except PeerError as error:
            self._case.failed(Stage.FIND, title, error, {"study": "unasked", "study.code": error.code})
            return Content(self._case.study, "", frozenset(), 0, {})
        if not content.instances:
            self._case.note(Stage.FIND, title, Outcome.FAILED, "the source lists no instance of it", study="missing")
            return None
        if not self._case.barred:
            try:
                self._case.tools.check_move(self._case.study, self._case.source, self._case.destination)
            except DicomFabError as error:
                self._case.skip(Stage.FIND, title, error.what, study="not-allowed")
                return None
        seen, facts = f"the source lists {content.total} instances of it", {"study": "found"}
        if content.series:
            seen, facts["study.only-one"] = f"{seen} and perhaps more; only one is moved", "yes"
        self._case.ok(Stage.FIND, title, seen, **facts)
        return content

    def as_source(self, content: Content | None) -> None:
        """Whether the destination answers one that calls as the source does in its sub-operations."""
        source, destination = self._case.source, self._case.destination
        title = f"C-ECHO to {destination.name} as {source.aec}, the AE title of {source.name}"
        products = {
            "product": self._case.names[Role.SOURCE].get("product", ""),
            "destination-product": self._case.names[Role.DESTINATION].get("product", ""),
        }
        facts = self._case.examination.facts[Role.DESTINATION]
        for step in ("name", "tcp", "tls"):
            if facts.get(step, "ok") != "ok":
                code = {"as-source": facts[step]}
                self._case.skip(Stage.DESTINATION, title, "the destination cannot be reached", **products, **code)
                return
        if self._case.barred:
            self._case.skip(Stage.DESTINATION, title, self._case.barred, **products)
            return
        kinds = content.kinds if content is not None and content.kinds else {SOP_CLASS_UID: frozenset[str]()}
        peer = dataclasses.replace(peers.any_peer(destination), calling_ae_title=source.aec)
        try:
            lacking = peers.called_as(self._case.traced(self._case.examination.within(peer), title), kinds)
        except PeerError as error:
            self._case.failed(Stage.DESTINATION, title, error, {**products, "as-source": error.code})
            return
        if lacking is None:
            self._case.ok(
                Stage.DESTINATION, title, "answered; it takes what is to be moved", **products, **{"as-source": "ok"}
            )
            return
        lacks = {"as-source": "ok", "lacks": lacking.why, "lacks.all": "yes" if lacking.all_of_it else "no"}
        lacks["lacks.what"] = lacking.words
        seen = f"answered; it does not take {lacking.words}"
        self._case.note(Stage.DESTINATION, title, Outcome.ODD, seen, **products, **lacks)

    def knows(self) -> bool:
        """A C-MOVE of nothing, as some sources look for the destination first: false if this one does not know it."""
        title = f"C-MOVE of a study that nobody has, to {self._case.route}"
        moved = self._case.ask(peers.study_keys(peers.nobodys_uid()), self._case.route, title)
        facts = {"known": moved.code}
        code = moved.code
        seen = {
            "0000": "success: it knows the destination, unless it looks for the study first",
            "A801": f"A801: it does not know {self._case.route!r}",
        }.get(code, f"{code}: it may be about the study or about the destination")
        if code == "A801" and self._case.route != self._case.destination.aec:
            again = self._case.ask(peers.study_keys(peers.nobodys_uid()), self._case.destination.aec, title)
            facts["known.own-title"] = again.code
            seen += f"; to {self._case.destination.aec!r} it answers {again.code}"
        outcome = Outcome.OK if code == "0000" else Outcome.FAILED if code == "A801" else Outcome.ODD
        self._case.note(Stage.DESTINATION, title, outcome, seen, **facts)
        return code != "A801"

    def own_content(self) -> Content | None:
        """A new instance of ours, stored on the source."""
        source = self._case.source
        title = f"C-STORE of one small synthetic instance to {source.name}"
        why = self._case.no_synthetic(source, self._case.destination)
        if why:
            self._case.skip(Stage.STORE, title, f"{why}: name a study that may be moved (--study)", study="not-allowed")
            return None
        if not source.can(Capability.STORE):
            why = f"C-STORE is switched off for {source.name}: name a study that it holds (--study)"
            self._case.skip(Stage.STORE, title, why, study="no-store")
            return None
        ours = doctors_instance(source.id, self._case.folder)
        self._case.ours = ours
        try:
            code = self._case.sent(source, self._case.peer(source, Capability.STORE), ours)
        except PeerError as error:
            self._case.failed(Stage.STORE, title, error, {"study": "refused", "study.code": error.code})
            return None
        self._case.left[source.id] = source
        content = content_of(ours)
        if self._case.no_find(Role.SOURCE, source):
            self._case.ok(Stage.STORE, title, f"answered {code}", study="new")
            return content
        there = self._case.listed(source, content, _LIST_S)
        if there is None or there:
            self._case.ok(Stage.STORE, title, f"answered {code}; patient ID SYN-DOCTOR", study="new")
        else:
            seen = f"answered {code}, and the source does not list it"
            self._case.note(Stage.STORE, title, Outcome.ODD, seen, study="unlisted")
        return content
