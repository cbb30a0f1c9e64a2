"""What was just removed on a page, kept for whoever removed it, so that *Undo* can put it back.

It stays in this process' memory, for a while, under a random token: no field of a form says what is put back, and after
a restart it is too late. Nothing is kept of what is meant to be gone for good, such as local studies.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import NotFound
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.templating import query_string

KEPT: Final = 200
KEPT_S: Final = 600.0

PutBack: TypeAlias = Callable[[Application, Actor], str]
"""Has the services put back what was removed, and says what is there again; they ask what the actor may do."""

router = APIRouter(prefix="/undo")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a page says that was just done.

    Args:
        name: of what it was done to; from outside, so that it is shown apart.
        what: the rest of the sentence.
        address: of the page that says it.
        place: id of an element on that page to go to, or blank.
        put_back: what *Undo* does; ``None`` if there is nothing to undo.
    """

    name: str
    what: str
    address: str
    place: str = ""
    put_back: PutBack | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: tuple[str, int | None]
    at_s: float
    notice: Notice


class Notices:
    """The newest notices of this process; the oldest go when there are too many, or when their time is over.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def keep(self, actor: Actor, notice: Notice) -> str:
        """Keep one for whoever did it; returns its token."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[token] = _Kept(_owner(actor), self._clock(), notice)
            self._forget_old()
        return token

    def get(self, actor: Actor, token: str) -> Notice | None:
        """One that is kept; none if it is not, or is another's."""
        with self._lock:
            self._forget_old()
            found = self._kept.get(token)
        return found.notice if found is not None and found.owner == _owner(actor) else None

    def drop(self, token: str) -> None:
        """Forget one."""
        with self._lock:
            self._kept.pop(token, None)

    def _forget_old(self) -> None:
        while self._kept and (len(self._kept) > KEPT or self._is_over(next(iter(self._kept.values())))):
            self._kept.popitem(last=False)

    def _is_over(self, one: _Kept) -> bool:
        return self._clock() - one.at_s > KEPT_S


def to_notice(request: Request, actor: Actor, notice: Notice, **parameters: str) -> RedirectResponse:
    """Send the browser to the page that says what was done, with other parameters of its address."""
    token = _notices(request).keep(actor, notice)
    place = f"#{notice.place}" if notice.place else ""
    return RedirectResponse(f"{notice.address}?{query_string(parameters, undo=token)}{place}", status_code=303)


def notice_of(request: Request, actor: Actor) -> dict[str, object]:
    """For the template ``fragments/undo.html``: the notice that the page's address names, if it is kept."""
    token = request.query_params.get("undo", "")
    return {"notice": _notices(request).get(actor, token) if token else None, "notice_token": token}


@router.post("/{token}", dependencies=[permission(Action.VIEW)])
def undo(token: str, request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Put back what was removed; the services decide as for anybody who adds it."""
    notices = _notices(request)
    notice = notices.get(actor, token)
    if notice is None or notice.put_back is None:
        raise NotFound(
            "it is too late to undo this; nothing was changed.",
            cause="it was undone already, is longer ago than ten minutes, or the web server was started anew since",
            remedy="add again what is missing",
        )
    said = notice.put_back(application, actor)
    notices.drop(token)
    return to_notice(request, actor, Notice(notice.name, said, notice.address, notice.place))


def _owner(actor: Actor) -> tuple[str, int | None]:
    return actor.name, actor.account_id


def _notices(request: Request) -> Notices:
    found: Notices = request.app.state.notices
    return found
