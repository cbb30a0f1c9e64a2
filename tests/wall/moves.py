"""What can be asked: every route that the application has, every command that works from afar, and what to fill in."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from dicomfab.registry.server import FIELD_NAMES
from tests.wall.world import PROD_STUDY, TEST_STUDY, World

#: Tokens stand for what is known only when it is asked for.
LAST_JOB, LAST_SEARCH, ADMINS, LOCAL = "<job>", "<search>", "<admin's>", "<local study>"
_SERVERS = ("test1", "test1", "TEST2", "prod", "prod", "PROD", "nowhere")

#: What a request or command is filled in with: one value of each kind.
Choice = Mapping[str, str]
_POOLS: Mapping[str, tuple[str, ...]] = {
    "server": _SERVERS,
    "other": _SERVERS,
    "study": (LOCAL, LOCAL, TEST_STUDY, TEST_STUDY, PROD_STUDY, PROD_STUDY, "latest", "x"),
    "number": ("1", "2", "3", ADMINS, ADMINS, LAST_JOB, LAST_JOB, "999999", "x"),
    "pick": ("0", "1", "2", "3", "4", "5"),  # which of the admin's
    "search": (LAST_SEARCH, LAST_SEARCH, ADMINS, "x", ""),
    "confirm": ("PROD", "PROD, TEST1", "", "yes"),
    "text": ("", "", "*", "WALL*", "T*", "'"),
    "event": ("cancel", "pause", "resume", "retry", "x"),
    "level": ("study", "study", "series", "instance", "patient"),
    "role": ("admin", "prod_write", "prod_read", "test_write", "test_read"),
    "environment": ("prod", "test", ""),
    "kind": ("csv", "json", "xlsx", "x"),
    "saved": ("of-the-chief", "mine"),
    "asked": ("", "1"),
    "flag": ("", "1"),
}


def choose(draw: random.Random) -> Choice:
    """One value of each kind."""
    return {kind: draw.choice(pool) for kind, pool in _POOLS.items()}


def choose_first(server: str) -> Choice:
    """The first value of each kind, and one server for all."""
    first = {kind: pool[0] for kind, pool in _POOLS.items()}
    return {**first, "server": server, "other": server, "number": "1", "study": PROD_STUDY}


_OF_KIND = {
    "server": ("pacs", "source", "from", "a", "server", "server_id", "servers", "into"),
    "other": ("destination", "to", "b", "at"),
    "study": ("study", "study_instance_uid", "studies"),
    "number": (
        "order",
        "schedule_id",
        "job_id",
        "number",
        "seq",
        "account_id",
        "session_id",
        "token_id",
        "patient",
        "revision",
        "line",
    ),
    "search": ("search", "query_id"),
    "confirm": ("confirm_name", "change_environment", "confirm_production", "confirm_environment"),
    "text": ("q", "patient_name", "patient_id", "patient_search", "text", "accession_number"),
    "event": ("event", "request"),
    "level": ("level",),
    "role": ("roles",),
    "environment": ("environment",),
    "saved": ("save", "saved", "name"),
    "run": ("run", "run_id"),
    "series": ("series", "series_instance_uid"),
}
_KIND_OF = {name: kind for kind, names in _OF_KIND.items() for name in names}
_PLAIN = {
    "wait_s": "0.05", "verify_wait_s": "0", "cron": "* * * * *",
    "priority": "5", "limit": "5", "page": "1", "items": "all", "switch": "on", "interval": "60", "count": "1",
    "kinds": "text-card", "slices": "1", "seed": "3", "password": "x", "old": "x", "new": "tulip marble eight",
    "code": "123456", "label": "x", "days": "1", "host": "127.0.0.1", "aec": "PROD", "tls_profile": "bcp-195",
    "connect_timeout_s": "5", "association_timeout_s": "5", "dimse_timeout_s": "5", "capabilities": "store",
    "next": "/", "since": "", "until": "", "pattern": "W{0}", "patient_id_pattern": "", "merged": "1",
}  # fmt: skip
#: Fields of forms that routes read by themselves, and so do not declare.
_UNDECLARED = (
    "source", "destination", "study", "pacs", "a", "b", "to", "from", "confirm_name", "save", "patient_name", "limit",
    "instances", "change_environment", "route.prod", "route.test2", "level", *FIELD_NAMES,
)  # fmt: skip


@dataclass(frozen=True)
class Route:
    """A route of the application, with the names of what it takes."""

    method: str
    path: str
    names: tuple[str, ...]
    has_file: bool
    body: Any = None  # the type of a body of JSON

    def address(self, choice: Choice, fill: Filler) -> str:
        return re.sub(r"\{(\w+)[^}]*\}", lambda m: quote(fill(m[1], choice, m[1]) or "x", safe=""), self.path)

    def json(self, choice: Choice, fill: Filler) -> dict[str, Any]:
        if isinstance(self.body, type) and issubclass(self.body, BaseModel):
            return _filled(self.body, choice, fill)
        twin = {"name": "TEST1", "host": "127.0.0.1", "port": fill.world.prod_port, "aec": "PROD"}
        return {"test1": {**twin, "environment": "test"}}

    def values(self, choice: Choice, fill: Filler) -> dict[str, str]:
        given = {name: fill(name, choice, self.path) for name in self.names}
        return {name: value for name, value in given.items() if value is not None}


def _filled(model: type[BaseModel], choice: Choice, fill: Filler) -> dict[str, Any]:
    """A body; of parts that are bodies themselves, one."""
    parts = {name: part for name, info in model.model_fields.items() if (part := _part(info.annotation)) is not None}
    chosen = list(parts)[int(choice["pick"]) % len(parts)] if parts else ""
    given: dict[str, Any] = {chosen: _filled(parts[chosen], choice, fill)} if chosen else {}
    for name, info in model.model_fields.items():
        said = str(info.annotation)
        value = fill(name, choice) or ("x" if info.is_required() else None)
        if name not in parts and value is not None:
            value_or_more: Any = [value] if said.startswith(("list[", "tuple[")) else value
            given[info.alias or name] = {"prod": "PROD"} if said.startswith("dict[") else value_or_more
    return given


def _part(annotation: Any) -> type[BaseModel] | None:
    kinds = get_args(annotation)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def routes(app: FastAPI) -> list[Route]:
    """All of them but the one that runs commands, and signing in, which everybody is asked to do once."""
    found = []
    for one in iter_route_contexts(app.routes):
        if isinstance(one.original_route, APIRoute) and one.path not in {"/api/v1/commands", "/sign-in"}:
            query, body = set(_names(one.dependant, "query_params")), list(_names(one.dependant, "body_params"))
            of_json = [f.field_info.annotation for f in one.dependant.body_params if not isinstance(f.field_info, Form)]
            is_api = one.path.startswith("/api/")
            for method in sorted(one.methods or ()):
                names = query if is_api or method == "GET" else query | set(body or _UNDECLARED)
                is_json = is_api and bool(of_json)
                found.append(
                    Route(method, one.path, tuple(sorted(names)), "file" in body, of_json[0] if is_json else None)
                )
    return found


def _names(dependant: Dependant, kind: str) -> Iterator[str]:
    for field in getattr(dependant, kind):
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (info.alias or name for name, info in model.model_fields.items())
        else:
            yield field.alias
    for below in dependant.dependencies:
        yield from _names(below, kind)
    if kind == "query_params" and getattr(dependant.call, "__name__", "") == "search_of":  # reads the address itself
        yield from ("search", "run", "q", "patient_name", "study_instance_uid", "level", "merged", "server")


@dataclass
class Filler:
    """Fills in what was chosen, and what is known by now."""

    world: World
    job: str = "1"
    search: str = ""
    run: str = ""
    undo: str = ""

    def learn(self, location: str) -> None:
        """What a redirect tells: the job that was submitted, the search that was begun."""
        for name, pattern in (
            ("job", r"/jobs/(\d+)"),
            ("search", r"[?&]search=([\w-]+)|/queries/([\w-]+)"),
            ("run", r"[?&]run=([\w-]+)|/diagnoses/([\w-]+)"),
            ("undo", r"[?&]undo=([\w-]+)"),
        ):
            if found := re.search(pattern, location):
                setattr(self, name, found[found.lastindex or 0])

    def __call__(self, name: str, choice: Choice, place: str = "") -> str | None:
        """The value of a field; ``None`` leaves it out."""
        if name in _PLAIN:
            return _PLAIN[name]
        if name == "token":
            return self.undo or None
        if name == "port":
            return str(self.world.prod_port)
        kind = _KIND_OF.get(name, name)
        if place == "/studies/diff" and name in {"a", "b"}:  # studies here, servers elsewhere
            kind = "study"
        if kind == "run":
            return self._run("/doctor" if name == "run_id" else place, choice)
        if kind == "series":
            return f"{self.value('study', choice)}.5" if choice["flag"] else ""
        if kind in choice and kind not in {"flag", "pick", "asked"}:
            return self.value(kind, choice)
        return "1" if choice["flag"] else None

    def _run(self, place: str, choice: Choice) -> str | None:
        if place.startswith("/doctor"):
            return (self.run if choice["asked"] else self.world.admins["run"][0]) or None
        return "1" if choice["asked"] else None

    def value(self, kind: str, choice: Choice) -> str:
        """What was chosen of a kind."""
        chosen = choice[kind]
        if chosen == ADMINS:
            owned = self.world.admins["search" if kind == "search" else "job"]
            return owned[int(choice["pick"]) % len(owned)]
        known = {LAST_JOB: self.job, LAST_SEARCH: self.search, LOCAL: self.world.local_study}
        return known.get(chosen, chosen)


#: Words with places to fill in; a test sees to it that every command that works from afar is among them.
COMMANDS = """
query --pacs {server} --pacs {other} --level {level} --study {study} --json
query --pacs {server} --pacs {other} --patient-name WALL* --merged
query --saved {saved}
query --saved of-the-chief --pacs {server} --save mine
query --forget {saved}
query --pacs {server} --detach
query --search {search}
query --list - --pacs {server}
move {study} --from {server} --to {other} --yes-production --verify-wait 0
move {study} --from {server} --to {other} --yes-production --detach --json
get {study} --from {server}
get {study} --from {server} --detach
get --list - --from {server} --json
verify {study} --from {server} --at {other} --deep
study send {study} --to {server} --yes-production --verify-wait 0
study send {study} --to {server} --yes-production --detach
study show {study} --json
study list --json
study list WALL
study derive {study} --lossy jpeg
study delete {study} --yes
study create --kind text-card --patient-id SYN1 --seed 4
study create --kind text-card --count 2 --detach
study create --order {number}
compare {server} {other} --study {study} --instances --json
compare {server} {other} --fix {other} --yes-production --verify-wait 0
compare {server} {other} --patient-id * --detach
doctor move --from {server} --to {other} --study {study} --yes-production --limit 2 --json
doctor server {server} --limit 2 --trace
jobs list --json
jobs list --server {server}
jobs show {number} --items --json
jobs watch {number}
jobs cancel {number}
jobs pause {number}
jobs resume {number}
jobs retry {number}
jobs prefer {number} 1
jobs forget --older-than 0 --yes
jobs workers
jobs release {number} --line 1 --study {study}
jobs outcomes {number} --out -
jobs outcomes {number}
schedule add get {study} --from {server} --cron *****
schedule add move {study} --from {server} --to {other} --cron ***** --yes-production
schedule add send {study} --to {server} --cron ***** --yes-production
schedule add query {saved} --cron *****
schedule add fabricate --kind text-card --cron *****
schedule list --json
schedule run {number}
schedule pause {number}
schedule resume {number}
schedule remove {number}
pacs list --json
pacs show {server}
pacs test {server} {other}
pacs test --all --json
pacs route {server} {other} --ae PROD
pacs edit {server} --environment {environment} --change-environment --allow-real
pacs edit test1 --host 127.0.0.1 --port {port} --aec PROD
pacs add --name Twin --host localhost --port {port} --aec PROD --environment test
pacs remove {server} --yes
pacs export {server}
pacs import - --into {server} --change-environment
monitor status --json
monitor history {server} --checks 5
monitor events {server} --json
monitor set {server} --on --every 60
monitor metrics --json
audit list --json
audit show {number}
audit verify
access matrix
patient list --search WALL --json
patient show SYN1
patient add --name A^B --id SYNW{pick}
patient invent --count 1
patient edit SYN1 --name C^D
patient remove SYN1 --yes
patient import -
patient export
order list --search WALL --json
order list
order show {number} --json
order show {number} --message
order add -
order add - --test
settings --json
recipe list
recipe show chest-x-ray
recipe remove {saved}
recipe kinds
recipe schema
users list
token create boss --role admin
audit export
validate /etc/passwd
""".strip().splitlines()
GIVEN = "study_instance_uid\n1.2.826.9.1\n"


def words(template: str, choice: Choice, fill: Filler) -> list[str]:
    """The words of a command."""

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        return choice["pick"] if name == "pick" else fill(name, choice) or "x"

    return [re.sub(r"\{(\w+)\}", filled, word).replace("*****", "* * * * *") for word in template.split()]
