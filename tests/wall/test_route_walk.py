"""Every route, asked as everybody, answers as the reference page says; with ids of a test and of a production object.

What is expected is read off ``docs/reference/access.md``, which a test holds against the written table. What a role may
change is not changed here: that somebody may is what the tests of the pages and of the API show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dicomfab.access.policy import Scope
from dicomfab.model.actor import Role
from dicomfab.web.guide import FIRST
from dicomfab.web.routes import needs
from tests.unit.access.test_flipped_cells import documented_routes, documented_table
from tests.wall.asking import Answer, Asker
from tests.wall.moves import Filler, Route, choose_first, routes
from tests.wall.world import ADMIN, PASSWORD, PROD_STUDY, TEST_STUDY, World

WHO = {
    Role.TEST_READ: "reader",
    Role.TEST_WRITE: "writer",
    Role.PROD_READ: "prod_read",
    Role.PROD_WRITE: "prod_write",
    Role.ADMIN: "boss",
}
#: Those whom the short run walks as: the least and the most that is short of everything.
USUAL = (Role.TEST_READ,)
#: From a job to the study that it fetched, and on to the viewer.
_REDIRECTS = 4
#: Ids of nothing, for objects that belong to no environment.
_NOTHING = "999999"
#: What a form must hold to be read at all: no decision hides behind a field that is missing.
_FORM = {
    "confirm_name": "PROD", "event": "cancel", "priority": "3", "line": "1", "study": "1.2.3", "switch": "on",
    "to": "prod", "destination": "prod", "flag": "is_active", "on": "1", "how": "ask", "ae_title": "X",
}  # fmt: skip


class Walk:
    """Everybody, and for each environment the ids of objects in it."""

    def __init__(self, place: World) -> None:
        self.place, self.asker = place, Asker(place)
        for role in (Role.PROD_READ, Role.PROD_WRITE):
            if str(role) not in place.accounts:
                place.accounts[role] = place.application.accounts.add(ADMIN, str(role), [role], password=PASSWORD)
        for name in WHO.values():
            place.credentials(name)
        self.routes = {f"{one.method} {one.path}": one for one in routes(place.app)}
        self.ids = {scope: self._ids(scope) for scope in (Scope.TEST, Scope.PROD)}

    def _ids(self, scope: Scope) -> Mapping[str, str]:
        built, is_test = self.place.application, scope is Scope.TEST
        study = self.place.local_study if is_test else PROD_STUDY
        server, other = ("test1", "test2") if is_test else ("prod", "prod2")
        instance = built.local_archive.instances(study)[0]
        job = int(self.place.admins["job"][0])
        if is_test:
            job = built.jobs.get(ADMIN, [TEST_STUDY], built.pacs.get(ADMIN, server)).id
            assert built.worker.run_one(job)
        return {
            "server_id": server, "source": server, "destination": other, "study": study,
            "frames": "1", "value": "7FE00010",
            "series": instance.series_instance_uid, "instance": instance.identity.sop_instance_uid, "job_id": str(job),
            "request": "cancel",
            **{f"{what}s": self.place.admins[what][0 if is_test else 1] for what in ("order", "procedure", "message")},
            **({} if is_test else {"schedule_id": self.place.admins["schedule"][0]}),
        }  # fmt: skip

    def addresses(self, path: str) -> dict[Scope, str]:
        """The address with ids of an object of each environment; one alone for what has none."""
        found = {}
        for scope, ids in self.ids.items():
            numbered = re.match(r"(?:/api/v1)?/(orders|procedures|messages)/\{number", path)
            known = {**ids, "number": ids[numbered[1]]} if numbered else ids
            if set(re.findall(r"\{(\w+)", path)) & set(known) - {"request", "frames", "value"}:
                found[scope] = _put_in(path, known)
        return found or {Scope.SYSTEM: _put_in(path, {})}

    def ask(self, who: str, route: str, scope: Scope, address: str, *, by_token: bool) -> Answer:
        is_api, method = address.startswith(("/api/", "/dicom-web/")), route.split()[0]
        known = self.routes.get(route) or Route(method, address, (), has_file=False)
        given: dict[str, Any] = {}
        if method == "GET":
            asked = {"wait_s": "0", "path": "00100020" if route.endswith("/value") else ""}
            given = {name: value for name, value in asked.items() if name in known.names}
        elif known.body is not None:
            given = known.json(choose_first("prod" if scope is Scope.PROD else "test1"), Filler(self.place))
        elif not is_api:
            given = _FORM
        credentials = self.place.own.get(who)
        is_json = known.body is not None
        answer = self.asker.page(credentials, method, address, given, by_token=by_token, as_json=is_json)
        for _ in range(_REDIRECTS):
            if method != "GET" or answer.status != 303 or is_turned_away(answer):
                break
            answer = self.asker.page(credentials, "GET", answer.location, by_token=by_token)
        return answer


def _put_in(path: str, ids: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: ids.get(found[1], FIRST if found[2] else _NOTHING), path)


@pytest.fixture(scope="module")
def walk(place: World) -> Iterator[Walk]:
    made = Walk(place)
    yield made
    made.asker.close()


def is_turned_away(answer: Answer) -> bool:
    """At the door, without knowing who it is: a page leads to where one signs in."""
    return answer.status == 401 or (answer.status == 303 and answer.location.startswith("/sign-in"))


@pytest.mark.full
def test_strangers_get_nowhere(walk: Walk) -> None:
    declared = documented_routes()
    for route in needs(walk.place.application):
        if declared[route][0] == "-":
            continue
        for scope, address in walk.addresses(route.split()[1]).items():
            answer = walk.ask("stranger", route, scope, address, by_token=False)
            assert is_turned_away(answer), (route, answer)


@pytest.mark.parametrize("role", [pytest.param(one, marks=() if one in USUAL else pytest.mark.full) for one in Role])
def test_each_route_decides_as_the_page_says(walk: Walk, role: Role) -> None:
    """By session and token in turn; what lets in everybody of the role for no environment is left to the full run."""
    seen = walked(walk, role, is_full=False)
    print(role, seen)  # noqa: T201 (what the walk was worth)
    assert seen["refused"] + seen["shown"] > 50


@pytest.mark.full
@pytest.mark.parametrize("role", Role)
def test_each_route_decides_alike_by_session_and_token(walk: Walk, role: Role) -> None:
    seen = walked(walk, role, is_full=True)
    print(role, seen)  # noqa: T201 (what the walk was worth)
    assert seen["refused"] + seen["shown"] > 100


def walked(walk: Walk, role: Role, *, is_full: bool) -> Counter[str]:
    """Ask every route as somebody of a role; how often it was refused, shown, and left alone."""
    declared, table = documented_routes(), documented_table()
    before, seen = walk.place.fingerprint(), Counter[str]()
    for number, route in enumerate(needs(walk.place.application)):
        action = declared[route][0]  # a route that the page does not know fails here
        for scope, address in walk.addresses(route.split()[1]).items():
            expected = _expected(route, action, scope, table.get((action, role), set()))
            if expected in ("open", "left alone") or (expected == "let in" and not is_full):
                seen[expected] += 1
                continue
            for by_token in (False, True) if is_full else (number % 2 == 0,):
                answer = walk.ask(WHO[role], route, scope, address, by_token=by_token)
                assert not is_turned_away(answer), (route, role, scope, answer)
                assert _is_as(expected, answer), (expected, route, role, scope, answer)
                seen["refused" if "refused" in expected else expected] += 1
    now = walk.place.fingerprint()
    assert {name: now[name] for name in now if now[name] != before[name]} == {}
    return seen


def _expected(route: str, action: str, scope: Scope, places: set[str]) -> str:
    """What becomes of a route for a role that may do its action in these places."""
    if action == "-":
        return "open"
    if not places:
        return "refused at the door"
    if route.startswith("POST /dicom-web/"):
        return "left alone"  # decided instance by instance: tests/unit/web/test_dicomweb.py
    if scope is not Scope.SYSTEM and not places & {str(scope), "system"}:
        return "refused for the object"
    if not route.startswith(("GET", "HEAD")):
        return "left alone"
    return "let in" if scope is Scope.SYSTEM else "shown"


def _is_as(expected: str, answer: Answer) -> bool:
    match expected:
        case "refused at the door":
            return answer.status == 403
        case "refused for the object":
            # some objects are not said to be there at all, and a search below them finds nothing
            return answer.status in {403, 404} or (answer.status == 200 and answer.body in (b"[]", b""))
        case "shown":
            return answer.status == 200 or "/document" in answer.asked  # a picture holds none
    return answer.status < 500
