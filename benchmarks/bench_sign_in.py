"""What signing in costs and what it gives away: times of refusals, and of what each request pays for its session.

``python benchmarks/bench_sign_in.py [--quick] [--dir DIR]``

Refusals of different reasons are measured in turn, each from a new address, so that none is throttled but those that
are to be. Medians of the reasons must lie within ten percent of each other: whoever measures them from outside learns
nothing.

Signing in by a directory is measured against Samba as a domain controller on this machine, beside a bare bind of ldap3
to the same one, and beside a controller that does not answer. That part needs root, and Debian's packages for it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ldap3
import report
from report import Table

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.identity.ldap import LdapDirectory, LdapServer
from dicomfab.model.account import Origin
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.errors import NotSignedIn, TooManyAttempts
from dicomfab.model.person import Person

sys.path.append(str(Path(__file__).parents[1]))
from tests.peers import domain_controller
from tests.peers.domain_controller import GROUPS, DomainController, password_of

OWNER = local_admin("benchmark", "cli")
PASSWORD = "tulip marble seven"
SPREAD = 1 / 1.1
REQUEST_MS = 2.0
DECISION_US = 5.0
#: A sign-in by a directory is two binds and three searches. ldap3 by itself waits for the peer's delayed
#: acknowledgements in its one bind (Nagle's algorithm), so that it takes no less.
BARE_BIND = 0.8
DIRECTORY_MS = 300.0
DEAD_S = 3.0
#: As people meet it.
REFUSAL_S = 0.25
_DECISIONS = 10_000
ACCOUNTS = 50
_addresses = itertools.count(1)


def address() -> Origin:
    """One that nobody has come from."""
    number = next(_addresses)
    return Origin(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def refused(application: Application, name: str, password: str, origin: Origin | None = None) -> float:
    """Milliseconds until a sign-in is refused."""
    came_from = origin or address()
    began = time.perf_counter()
    try:
        application.sign_in.sign_in(name, password, came_from)
    except NotSignedIn:
        return 1000 * (time.perf_counter() - began)
    raise RuntimeError(f"{name} signed in")


def close_door(application: Application, name: str) -> Origin:
    """An address from which attempts of this name are refused unseen."""
    origin = address()
    for _ in range(5):
        refused(application, name, "wrong password", origin)
    try:
        application.sign_in.sign_in(name, PASSWORD, origin)
    except TooManyAttempts:
        return origin
    raise RuntimeError(f"{name} is not throttled")


def refusals(table: Table, application: Application, runs: int) -> None:
    """Times of every refusal, beside those of a wrong password."""
    closed = {name: close_door(application, name) for name in ("known", "nobody")}
    wrong = "wrong password"
    sides = {
        "unknown name": lambda: refused(application, "nobody", PASSWORD),
        "disabled account, right password": lambda: refused(application, "disabled", PASSWORD),
        "disabled account, wrong password": lambda: refused(application, "disabled", "not the password"),
        wrong: lambda: refused(application, "known", "not the password"),
    }
    table.section("refused after the password was checked, in turn; the faster side stands first")
    measured = report.alternating(runs, **sides)
    for what, times in measured.items():
        if what == wrong:
            table.report(what, "ms", times)
            continue
        slow, fast = sorted((times, measured[wrong]), key=statistics.median, reverse=True)
        table.higher(what, "ms", fast, wrong, slow, SPREAD)
    table.section("refused before anything was checked: too many attempts")
    throttled = report.alternating(
        runs * 20,
        known=lambda: refused(application, "known", PASSWORD, closed["known"]),
        nobody=lambda: refused(application, "nobody", PASSWORD, closed["nobody"]),
    )
    slow, fast = sorted(throttled.values(), key=statistics.median, reverse=True)
    table.higher("a known and an unknown name", "ms", fast, "the other", slow, SPREAD)


def requests(table: Table, application: Application, runs: int) -> None:
    """What a request pays to know who asks."""
    session = application.sign_in.sign_in("known", PASSWORD, address())[0]
    owner = application.accounts.named(OWNER, "known")
    token = application.api_tokens.create(OWNER, owner.id, ["test_read"], label="benchmark")[0]
    here = address()

    def timed(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - began)

    application.api_tokens.by_token(token, here)  # the first use writes
    count = len(application.accounts.every(OWNER))
    table.section(f"who asks, among {count} accounts")
    measured = report.alternating(
        runs * 100,
        session=lambda: timed(lambda: application.sign_in.by_session(session)),
        token=lambda: timed(lambda: application.api_tokens.by_token(token, here)),
    )
    table.under_limit("by a session", "ms", measured["session"], REQUEST_MS)
    table.under_limit("by an API token", "ms", measured["token"], REQUEST_MS)


def decisions(table: Table, runs: int) -> None:
    """What the policy table costs: every role and action, at a test and at a production server."""
    asked = [
        (Actor("someone", frozenset({role}), "web"), action, scope)
        for role, action, scope in itertools.product(Role, Action, Scope)
    ]

    def each_us() -> float:
        began = time.perf_counter()
        for actor, action, scope in itertools.islice(itertools.cycle(asked), _DECISIONS):
            decide(actor, action, scope)
        return 1e6 * (time.perf_counter() - began) / _DECISIONS

    table.section(f"who may do what: {len(asked)} cells in turn")
    table.under_limit("one decision", "us", [each_us() for _ in range(runs)], DECISION_US)


def timed_ms(work: Callable[[], object]) -> float:
    """Milliseconds of some work."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def bare_bind(controller: DomainController) -> None:
    """The least that a password needs, by the library itself: a verified connection and one bind."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=controller.ca_file)
    server = ldap3.Server(controller.address, 636, use_ssl=True, tls=tls, get_info=ldap3.NONE)
    connection = ldap3.Connection(server, domain_controller.dn("carla"), password_of("carla"))
    if not connection.bind(read_server_info=False):
        raise RuntimeError(str(connection.result))
    connection.unbind()


def signed_in(directory: LdapDirectory) -> None:
    """Somebody in nested groups signs in."""
    found = directory.authenticate("carla", password_of("carla"), GROUPS)
    if not isinstance(found, Person) or found.groups != {"DF-TestWrite", "DF-ProdRead"}:
        raise RuntimeError(str(found))


@contextmanager
def dead_server(*, is_full: bool) -> Iterator[LdapServer]:
    """One that takes connections and says nothing; or one that does not even take them."""
    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0 if is_full else 50)
        address = listening.getsockname()
        for _ in range(20 if is_full else 0):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        yield LdapServer(*address, start_tls=False)


def by_directory(table: Table, runs: int) -> None:
    """Signing in by a directory, and what a dead domain controller adds."""
    reason = domain_controller.missing()
    if reason:
        print(f"\nsigning in by a directory: not measured, {reason}")
        return
    with tempfile.TemporaryDirectory() as folder, domain_controller.domain_controller(Path(folder)) as controller:
        directory = LdapDirectory(controller.settings())
        signed_in(directory)
        table.section(f"signing in by a directory (Samba, LDAPS): {len(GROUPS)} groups asked about, nested ones")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            measured = report.alternating(
                runs * 10,
                ours=lambda: timed_ms(lambda: signed_in(directory)),
                bare=lambda: timed_ms(lambda: bare_bind(controller)),
            )
        table.lower("a sign-in", "ms", measured["ours"], "ldap3, one bind:", measured["bare"], BARE_BIND)
        table.under_limit("a sign-in", "ms", measured["ours"], DIRECTORY_MS)
        as_it_comes = LdapDirectory(replace(controller.settings(), refusal_s=REFUSAL_S))
        refused = report.alternating(
            runs * 5,
            unknown=lambda: timed_ms(lambda: as_it_comes.authenticate("nobody", PASSWORD, GROUPS)),
            wrong=lambda: timed_ms(lambda: as_it_comes.authenticate("carla", PASSWORD, GROUPS)),
        )
        slow, fast = sorted(refused.values(), key=statistics.median, reverse=True)
        table.higher("refused: unknown name and wrong password", "ms", fast, "the other", slow, SPREAD)
        beside_the_dead(table, controller, runs)


def beside_the_dead(table: Table, controller: DomainController, runs: int) -> None:
    """A first domain controller that does not answer costs its time once, and is then asked last."""
    for what, is_full in (("takes connections and says nothing", False), ("takes no connections", True)):
        with dead_server(is_full=is_full) as dead:
            table.section(f"signing in by a directory whose first domain controller {what}")
            first, later = [], []
            for _ in range(runs):
                directory = LdapDirectory(controller.settings(dead, controller.server()))
                first.append(timed_ms(lambda asked=directory: signed_in(asked)) / 1000)
                later.append(timed_ms(lambda asked=directory: signed_in(asked)))
            table.under_limit("the first sign-in", "s", first, DEAD_S)
            table.under_limit("the next one", "ms", later, DIRECTORY_MS)


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"database": given.dir})
    table = Table()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        application = Application(Settings(Path(folder)))
        for name in ("known", "disabled"):
            application.accounts.add(OWNER, name, ["test_read"], password=PASSWORD)
        application.accounts.disable(OWNER, application.accounts.named(OWNER, "disabled").id)
        for number in range(ACCOUNTS if not given.quick else 5):
            application.accounts.add(OWNER, f"other{number}", ["test_read"], password=PASSWORD)
            application.sign_in.sign_in(f"other{number}", PASSWORD, address())
        refusals(table, application, 5 * given.runs)
        requests(table, application, given.runs)
        decisions(table, given.runs)
        application.close()
    by_directory(table, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
