"""An answer that goes on ends with the session or the token behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.account import Account
from dicomfab.model.actor import Actor, Role
from dicomfab.web import door
from tests.security.served import Clock, browser, person, program, signed_in, token
from tests.unit.dimse.raw import eventually
from tests.unit.web.people import OWNER

#: How long an open stream may outlive what it stands on: a look, and what a busy computer adds.
A_MOMENT_S = 20.0


@dataclass(frozen=True)
class Situation:
    """Somebody looks at a job that waits, and an administrator is there."""

    application: Application
    clock: Clock
    ben: Account
    client: httpx.Client
    admin: httpx.Client


class Listener:
    """Reads a stream until it ends."""

    def __init__(self, client: httpx.Client, path: str, **headers: str) -> None:
        self.lines: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(client, path, headers))
        self._thread.start()
        assert eventually(lambda: bool(self.lines), A_MOMENT_S)

    def _listen(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        try:
            with client.stream("GET", path, headers=headers, timeout=60) as answer:
                assert answer.status_code == 200
                for line in answer.iter_lines():
                    self.lines.append(line)
        except httpx.RemoteProtocolError:  # cut off: that is an end as well
            pass
        finally:
            self._ended.set()

    @property
    def is_open(self) -> bool:
        return not self._ended.is_set()

    def ends(self) -> bool:
        ended = self._ended.wait(A_MOMENT_S)
        if ended:
            self._thread.join()
        return ended


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What was found each time that somebody looked whether a stream may go on."""
    found: list[bool] = []
    look = door._is_still_there

    def noted(*arguments: object) -> bool:
        found.append(look(*arguments))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(door, "_is_still_there", noted)
    monkeypatch.setattr(door, "LOOKED_AGAIN_AFTER_S", 0.2)
    return found


@pytest.fixture
def situation(application: Application, clock: Clock, url: str, looks: list[bool]) -> Situation:
    person(application, "anna", Role.ADMIN)
    ben = person(application, "ben", Role.TEST_WRITE)
    actor = Actor("ben", ben.roles, "web", ben.id)
    application.jobs.fabricate(actor, [application.studies.resolve_recipe(actor, StudyRecipe(("text-card",), seed=1))])
    return Situation(application, clock, ben, signed_in(url, "ben"), signed_in(url, "anna"))


def sign_out(it: Situation) -> None:
    (cookie,) = it.client.cookies.jar
    with browser(str(it.client.base_url), cookie=f"{cookie.name}={cookie.value}") as same:
        assert same.post("/sign-out").status_code == 303


def disable(it: Situation) -> None:
    assert it.admin.post(f"/users/{it.ben.id}/disable").status_code == 303


def end_sessions(it: Situation) -> None:
    assert it.admin.post(f"/users/{it.ben.id}/sessions/end").status_code == 303


def take_roles(it: Situation) -> None:
    assert it.admin.post(f"/users/{it.ben.id}/roles", data={"roles": "prod_read"}).status_code == 303


def remove(it: Situation) -> None:
    assert it.admin.post(f"/users/{it.ben.id}/remove", data={"confirm_name": "ben"}).status_code == 303


def be_idle(it: Situation) -> None:
    it.clock.move(minutes=30)


def be_there_for_twelve_hours(it: Situation) -> None:
    for _ in range(12 * 60 // 20):
        it.clock.move(minutes=20)
        it.client.get("/account")


@pytest.mark.parametrize(
    "end", [sign_out, disable, end_sessions, take_roles, remove, be_idle, be_there_for_twelve_hours]
)
def test_a_stream_ends_with_its_session(
    situation: Situation, looks: list[bool], end: Callable[[Situation], None]
) -> None:
    listener = Listener(situation.client, "/jobs/1/events")
    assert eventually(lambda: looks.count(True) >= 3, A_MOMENT_S)
    assert listener.is_open
    end(situation)
    assert listener.ends()
    assert looks[-1] is False
    assert "event: end" not in listener.lines  # the page is to ask again, and is then taken to where one signs in
    again = situation.client.get("/jobs/1/events", headers={"Accept": "text/event-stream"})
    assert again.status_code == 401
    assert situation.client.get("/jobs/1").headers["location"] == "/sign-in?next=%2Fjobs%2F1"


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_stream_ends_with_its_token(situation: Situation, url: str, end: str) -> None:
    shown = token(situation.application, situation.ben)
    listener = Listener(program(url, shown), "/jobs/1/events")
    if end == "revoked":
        situation.application.api_tokens.revoke(OWNER, shown[4:12])
    else:
        situation.clock.move(days=90)
    assert listener.ends()


def test_to_listen_is_not_to_use(situation: Situation) -> None:
    """A page that is left open does not keep its session alive for ever."""
    listener = Listener(situation.client, "/jobs/1/events")
    for _ in range(3):
        situation.clock.move(minutes=10)
    assert listener.ends()


def test_where_nobody_can_look_nobody_listens(
    situation: Situation, monkeypatch: pytest.MonkeyPatch, looks: list[bool]
) -> None:
    listener = Listener(situation.client, "/jobs/1/events")
    database = situation.application.database
    monkeypatch.setattr(database, "read", lambda: (_ for _ in ()).throw(RuntimeError("the disk is gone")))
    assert listener.ends()
