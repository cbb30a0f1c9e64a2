"""No sequence of calls by somebody with a test role changes anything on a production server, or shows a patient of it.

``DICOMFAB_WALL_SEQUENCES`` sets how many sequences the full run makes.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dicomfab.access.policy import POLICY, READ, WRITE, Action, Scope
from dicomfab.cli.remote import FROM_AFAR
from dicomfab.model.actor import Role
from tests.unit.dimse.raw import eventually
from tests.wall.asking import Answer, Asker
from tests.wall.moves import COMMANDS, GIVEN, Filler, Route, choose, routes, words
from tests.wall.world import PEOPLE, PROD_STUDY, TEST_STUDY, World, world

SEQUENCES = int(os.environ.get("DICOMFAB_WALL_SEQUENCES", "1000"))
QUICK = 12
STEPS = 6
TESTERS = ("reader", "writer", "both")
SUBMITTING = (
    "/api/v1/jobs/send", "/api/v1/jobs/move", "/api/v1/jobs/get", "/api/v1/jobs/verify", "/api/v1/jobs/compare",
    "/api/v1/studies",
)  # fmt: skip
PERSONS = (*TESTERS, *TESTERS, "nobody", "stranger")


class GotThrough(AssertionError):
    """What must not be."""


class Wall:
    """People with test roles do whatever they can think of; the world goes on from one sequence to the next.

    Args:
        world: with the servers.
        processes: so many commands are processes of their own, spread over the sequences.
    """

    def __init__(self, world: World, processes: int = 0) -> None:
        self.world, self.processes = world, processes
        self.asker = Asker(world)
        world.stack.callback(self.asker.close)
        if "run" not in world.admins:
            world.admins["run"] = [_diagnosis_of_the_admin(world, self.asker)]
            world.untouched = world.fingerprint()
        self.asker.counted.clear()
        self.routes = routes(world.app)
        self.said: list[str] = []

    def attack(self, sequences: int, first: int = 0) -> Counter[str]:
        """So many sequences, the same each time; gives what was asked and answered.

        Args:
            sequences: how many.
            first: the number of the first; each number is a sequence of its own.

        Raises:
            GotThrough: with what was asked in the sequence.
        """
        for number in range(sequences):
            self._sequence(random.Random(first + number))
            if number * self.processes // sequences < (number + 1) * self.processes // sequences:
                self._from_afar(random.Random(-first - number - 1))
        return self.asker.counted

    def _sequence(self, draw: random.Random) -> None:
        self.world.replenish()
        self.who = {name: self.world.credentials(name) for name in PEOPLE}
        self.fill, self.said = Filler(self.world), []
        self.asker.counted["sequences"] += 1
        moves = (self._page, self._page, self._change, self._change, self._job, self._job, self._search, self._command)
        for _ in range(STEPS):
            draw.choice(moves)(draw)
        self._work(draw)
        now, before = self.world.fingerprint(), self.world.untouched
        changed = {name: (before[name], now[name]) for name in now if now[name] != before[name]}
        if changed or (leaked := self.world.leaked()):
            raise GotThrough(f"{changed or leaked} after {self.said}")

    # ------------------------------------------------------------------ moves

    def _page(self, draw: random.Random) -> None:
        self._asked(draw, draw.choice(self.routes))

    def _change(self, draw: random.Random) -> None:
        self._asked(draw, draw.choice([route for route in self.routes if route.method != "GET"]))

    def _asked(self, draw: random.Random, route: Route) -> None:
        person, choice = draw.choice(PERSONS), choose(draw)
        address = route.address(choice, self.fill)
        given: dict[str, Any] = dict(route.values(choice, self.fill))
        file = GIVEN.encode() if route.has_file else None
        by_token, is_json = draw.random() < 0.5, route.body is not None
        if is_json:
            address, given = f"{address}?{urlencode(given)}", route.json(choice, self.fill)
        answer = self.asker.page(
            self.who.get(person), route.method, address, given, by_token=by_token, file=file, as_json=is_json
        )
        self._judged(person, answer)
        self._named(f"{address} {given}", answer)

    def _named(self, said: str, answer: Answer) -> None:
        if "prod" in said.lower() or PROD_STUDY in said:
            self.asker.counted[f"with production named: {answer.status}"] += 1

    def _search(self, draw: random.Random) -> None:
        """Ask servers, production among them, wait for the answers, and have them shown and exported."""
        person, choice = draw.choice(PERSONS), choose(draw)
        servers = [choice["server"] or "test1", "test1", "prod"]
        asked = {"pacs": servers, "level": choice["level"], "run": "1", "patient_name": choice["text"]}
        self._seen(person, "/query", asked)
        self._seen(person, "/query/answers", {"search": self.fill.search})
        self._seen(person, "/query", {"search": self.fill.search, "pacs": "prod"})
        self._seen(person, "/query/export", {"search": self.fill.search, "kind": choice["kind"]})

    def _command(self, draw: random.Random) -> None:
        person, choice = draw.choice(TESTERS), choose(draw)
        given = words(draw.choice(COMMANDS), choice, self.fill)
        self._judged(person, self.asker.command(self.who[person], given, standard_input=GIVEN))

    def _job(self, draw: random.Random) -> None:
        """Submit work, often such as is allowed, have it done, and look at what came of it."""
        person, choice = draw.choice((*TESTERS, "writer", "both")), dict(choose(draw))
        if draw.random() < 0.6:
            choice |= {"server": "test1", "other": "test2", "study": draw.choice((TEST_STUDY, PROD_STUDY))}
        route = draw.choice([one for one in self.routes if one.path in SUBMITTING and one.method == "POST"])
        given = route.json(choice, self.fill)
        by_token = draw.random() < 0.5
        answer = self.asker.page(self.who[person], "POST", route.path, given, by_token=by_token, as_json=True)
        self._judged(person, answer)
        self._named(str(given), answer)
        self._work(draw)
        for below in ("", "/items"):
            self._seen(draw.choice(TESTERS), f"/api/v1/jobs/{self.fill.job}{below}", {})
        self._seen(draw.choice(TESTERS), f"/jobs/{self.fill.job}", {})

    def _from_afar(self, draw: random.Random) -> None:
        """As processes: one that does it at the server, and often one that sends it there."""
        person, choice = draw.choice(TESTERS), choose(draw)
        safe = [line for line in COMMANDS if "watch" not in line]  # it would wait for what nobody does
        given = words(draw.choice(safe), choice, self.fill)
        send = draw.choice((self.asker.remote, self.asker.posted))
        self._judged(person, send(self.who[person], given, standard_input=GIVEN))

    def _work(self, _draw: random.Random) -> None:
        self.asker.counted["jobs done"] += self.world.work()

    # ------------------------------------------------------------------ judging

    def _seen(self, person: str, path: str, given: dict[str, object]) -> None:
        self._judged(person, self.asker.page(self.who.get(person), "GET", path, given))

    def _judged(self, person: str, answer: Answer) -> None:
        self.said.append(f"{person}: {answer.asked} -> {answer.status}")
        if told := answer.secrets() or answer.is_picture_of_production:
            raise GotThrough(f"{told} in the last answer after {self.said}")
        self.fill.learn(answer.location)
        if answer.status in {201, 202, 303} and answer.location.startswith("/"):
            self._seen(person, answer.location.partition("#")[0], {})


def _diagnosis_of_the_admin(at: World, asker: Asker) -> str:
    boss, fill = at.credentials("boss"), Filler(at)
    fill.learn(asker.page(boss, "POST", "/doctor/server", {"pacs": "prod"}).location)
    assert asker.page(boss, "GET", "/doctor/checks", {"run": fill.run}).status == 200
    made = at.app.state.doctor_runs.get(boss.actor, fill.run)
    assert eventually(lambda: made.has_ended, 30)
    return fill.run


@pytest.fixture
def holed(tmp_path: Path) -> Iterator[World]:
    """A world of its own: what gets through its wall must not be seen elsewhere."""
    with world(tmp_path) as made:
        yield made


def reached_decisions(counted: Counter[str]) -> None:
    """A run in which everything is unknown or badly asked proves nothing."""
    print(*(f"{name}: {number}" for name, number in sorted(counted.items())), sep="\n")  # noqa: T201 (what the run was worth)
    calls = counted["calls of pages and API"]
    assert counted["HTTP 2xx"] > calls * 0.2
    assert counted["HTTP 403"] > calls * 0.1
    assert counted["HTTP 5xx"] == 0
    assert counted["with production named: 403"] > calls * 0.03
    assert counted["exit code 0"] > counted["commands in this process"] * 0.15
    assert counted["jobs done"] > 0


def test_nobody_with_a_test_role_gets_through(place: World) -> None:
    reached_decisions(Wall(place, processes=4).attack(QUICK))


def attacked(folder: Path, first: int, sequences: int) -> Counter[str]:
    """Sequences in a world of their own, by a process of its own."""
    with world(folder) as made:
        return Wall(made, processes=30).attack(sequences, first)


@pytest.mark.full
def test_nobody_gets_through_in_a_thousand_sequences(tmp_path: Path) -> None:
    share = -(-SEQUENCES // 2)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(attacked, tmp_path / str(n), n * share, share) for n in range(2)]
        counted = sum((one.result() for one in running), Counter[str]())
    reached_decisions(counted)
    assert counted["sequences"] >= SEQUENCES


@pytest.mark.full
@pytest.mark.parametrize(
    ("role", "actions"),
    [
        (Role.TEST_READ, {Action.VIEW}),
        (Role.TEST_READ, {Action.QUERY}),
        (Role.TEST_WRITE, {Action.STORE, Action.VIEW}),
        (Role.TEST_READ, READ),
        (Role.TEST_WRITE, WRITE),
    ],
)
def test_a_hole_in_the_table_is_found(
    holed: World, monkeypatch: pytest.MonkeyPatch, role: Role, actions: set[Action]
) -> None:
    monkeypatch.setitem(POLICY, (role, Scope.PROD), frozenset(actions))
    with pytest.raises(GotThrough):
        Wall(holed).attack(300)


def test_a_hole_as_wide_as_a_role_is_found_soon(holed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICY, (Role.TEST_READ, Scope.PROD), READ)
    with pytest.raises(GotThrough):
        Wall(holed).attack(QUICK)


def test_every_command_that_works_from_afar_is_tried() -> None:
    tried = [line.split() for line in COMMANDS]
    missing = [path for path in FROM_AFAR if not any(line[: len(path.split())] == path.split() for line in tried)]
    assert missing == []
