"""Domain controllers that are dead, half dead or not who they say: what it costs, what is said, what never leaves.

A relay stands before a real controller where something has to happen in the midst of a conversation: it ends TLS,
notes every request, and falls silent or hangs up when it is told to.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from dicomfab.identity.ldap import LdapDirectory, LdapServer
from dicomfab.identity.ldap_reach import Budget, Place, secured
from dicomfab.identity.ldap_talk import Talk
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Person, untold
from tests.peers.domain_controller import (
    ALLOWED_HOSTS,
    GROUPS,
    LDAPS,
    DomainController,
    controller_fixture,
    dn,
    password_of,
)
from tests.peers.programs import free_port

pytestmark = [pytest.mark.peers, pytest.mark.allow_hosts(ALLOWED_HOSTS)]
controller = controller_fixture()

HOST = "127.0.0.1"
TIMEOUT_S = 0.6
#: Far more than it should cost, and far less than a library's own patience.
BOUND_S = 3.0
BIND, BOUND, UNBIND, SEARCH, SEARCHED = 0x60, 0x61, 0x42, 0x63, 0x65  # tags of RFC 4511 4.2, 4.3 and 4.5
START_TLS = b"1.3.6.1.4.1.1466.20037"
AGREED = bytes.fromhex("300c02010178070a010004000400")
UNAVAILABLE = bytes.fromhex("300c02010178070a013404000400")
LONG_FORM = bytes.fromhex("308400000010020101788400000007") + bytes.fromhex("0a010004000400")


@dataclass
class Seen:
    """A server in a thread, and what it has seen."""

    port: int
    calls: int = 0
    requests: list[bytes] = field(default_factory=list)
    plain: bytes = b""

    def server(self, *, start_tls: bool = False) -> LdapServer:
        return LdapServer(HOST, self.port, start_tls=start_tls)


@contextmanager
def serving(behave: Callable[[socket.socket, Seen], None]) -> Iterator[Seen]:
    """Each connection is dealt with in a thread; all end with the block."""
    ended = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    with socket.create_server((HOST, 0)) as listening:
        seen = Seen(listening.getsockname()[1])

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behave(connection, seen)

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    connection.settimeout(20)
                    seen.calls += 1
                    connections.append(connection)
                    threads.append(threading.Thread(target=one, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield seen
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(20)
            for thread in threads:
                thread.join(25)
            assert not any(thread.is_alive() for thread in [accepting, *threads])


def until_closed(connection: socket.socket) -> None:
    while connection.recv(10_000):
        pass


def silent(connection: socket.socket, _: Seen) -> None:
    until_closed(connection)


def hanging_up(_connection: socket.socket, _: Seen) -> None:
    return


def babbling(connection: socket.socket, seen: Seen) -> None:
    seen.plain += connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    until_closed(connection)


def answering(*parts: bytes) -> Callable[[socket.socket, Seen], None]:
    """Without TLS: notes what comes, gives an answer in parts, and notes what comes then."""

    def behave(connection: socket.socket, seen: Seen) -> None:
        seen.plain += connection.recv(10_000)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.005)
        while received := connection.recv(10_000):
            seen.plain += received

    return behave


def context_of(made: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


def under_tls(context: ssl.SSLContext, then: Callable[[ssl.SSLSocket], None]) -> Callable[[socket.socket, Seen], None]:
    def behave(connection: socket.socket, _: Seen) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            then(secure)

    return behave


def trickling(secure: ssl.SSLSocket) -> None:
    """The head of a long answer, and then a byte now and then."""
    secure.recv(10_000)
    secure.sendall(bytes.fromhex("3084000fffff"))
    while True:
        secure.sendall(b"\0")
        time.sleep(0.05)


def relaying(
    controller: DomainController, *, answered: int = 99, hangs_up: bool = False, start_tls: bool = False
) -> Callable[[socket.socket, Seen], None]:
    """Stand before a controller: ``answered`` requests are, and what comes then is noted and left lying."""
    context = context_of(controller.authority.issue_cert(HOST))
    trusting = ssl.create_default_context(cafile=controller.ca_file)

    def behave(connection: socket.socket, seen: Seen) -> None:
        if start_tls:
            seen.plain += connection.recv(10_000)
            connection.sendall(AGREED)
        with (
            context.wrap_socket(connection, server_side=True) as secure,
            socket.create_connection((controller.address, LDAPS), 20) as behind,
            trusting.wrap_socket(behind, server_hostname=controller.address) as real,
        ):
            count = 0
            while request := secure.recv(10_000):
                seen.requests.append(request)
                count += 1
                if count > answered:
                    if hangs_up:
                        return
                    continue
                real.sendall(request)
                secure.sendall(whole(real, request))

    return behave


def whole(real: ssl.SSLSocket, request: bytes) -> bytes:
    """The answer to a request: of a search, up to the message that ends it."""
    if operation_of(request) == UNBIND:
        return b""  # it has none
    answer, at = b"", 0
    while received := real.recv(100_000):
        answer += received
        while (end := end_of(answer, at)) <= len(answer):
            if operation_of(answer[at:end]) in (BOUND, SEARCHED):
                return answer
            at = end
    raise ConnectionResetError("the controller has closed the connection")


def content_of(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of an element begins and ends (X.690 8.1.3)."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    return start, start + size


def end_of(data: bytes, at: int) -> int:
    return content_of(data, at)[1] if len(data) >= at + 6 else at + 6


def operation_of(message: bytes) -> int:
    """The tag of what a message is about (RFC 4511 4.1.1): it follows the number of the message."""
    start, _ = content_of(message, 0)
    return message[content_of(message, start)[1]]


@pytest.fixture
def full_backlog() -> Iterator[LdapServer]:
    """A port that leaves every further connection without an answer, as a host that is down does."""
    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind((HOST, 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(20):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        yield LdapServer(HOST, address[1], start_tls=False)


@contextmanager
def dead(kind: str, controller: DomainController) -> Iterator[LdapServer]:
    """One that cannot be asked, in one of the ways there are."""
    context = context_of(controller.authority.issue_cert(HOST))
    start_tls = kind.startswith("StartTLS")
    behaviours: dict[str, Callable[[socket.socket, Seen], None]] = {
        "silent": silent,
        "hanging up": hanging_up,
        "babbling": babbling,
        "TLS, then silent": under_tls(context, until_closed),
        "TLS, then hanging up": under_tls(context, lambda secure: None),
        "TLS, then trickling": under_tls(context, trickling),
        "silent after signing in": relaying(controller, answered=1),
        "StartTLS silent": silent,
        "StartTLS refused": answering(UNAVAILABLE),
        "StartTLS babbling": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "StartTLS agreed, then silent": answering(AGREED),
    }
    with serving(behaviours[kind]) as seen:
        yield seen.server(start_tls=start_tls)


KINDS = [
    "silent", "hanging up", "babbling", "TLS, then silent", "TLS, then hanging up", "TLS, then trickling",
    "silent after signing in", "StartTLS silent", "StartTLS refused", "StartTLS babbling",
    "StartTLS agreed, then silent",
]  # fmt: skip


def directory(controller: DomainController, *servers: LdapServer, **changes: object) -> LdapDirectory:
    return LdapDirectory(controller.settings(*servers, **{"timeout_s": TIMEOUT_S, **changes}))


def unavailable(asked: LdapDirectory, steps: list | None = None) -> DirectoryUnavailable:
    told = [] if steps is None else steps
    with pytest.raises(DirectoryUnavailable) as caught:
        asked.authenticate("anna", password_of("anna"), GROUPS, told.append)
    assert type(caught.value) is DirectoryUnavailable
    assert caught.value.cause
    assert caught.value.remedy
    assert password_of("anna") not in str(caught.value) + repr(told)
    return caught.value


def signed_in(asked: LdapDirectory, name: str = "anna") -> Person:
    found = asked.authenticate(name, password_of(name), GROUPS)
    assert isinstance(found, Person)
    return found


# --------------------------------------------------------------------------- dead ones


@pytest.mark.parametrize("kind", ["silent", "TLS, then silent", "hanging up"])
def test_a_dead_controller_costs_little_once_and_then_nothing(kind, controller):
    with dead(kind, controller) as first:
        asked = directory(controller, first, controller.server())
        began = time.monotonic()
        assert signed_in(asked).groups == {"DF-Admin"}
        assert time.monotonic() - began < BOUND_S
        steps = []
        asked.authenticate("ben", password_of("ben"), GROUPS, steps.append)
        assert steps[0].what == f"connect to {controller.address}, port 636"


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_wrong_with_the_first_controller_the_second_is_asked_in_time(kind, controller):
    with dead(kind, controller) as first:
        began = time.monotonic()
        assert signed_in(directory(controller, first, controller.server())).name == "anna"
        assert time.monotonic() - began < BOUND_S


def test_a_controller_that_is_down_or_refuses_is_passed_over(full_backlog, controller):
    refusing = LdapServer(HOST, free_port(), start_tls=False)
    began = time.monotonic()
    steps = []
    asked = directory(controller, full_backlog, refusing, controller.server())
    assert isinstance(asked.authenticate("anna", password_of("anna"), GROUPS, steps.append), Person)
    assert time.monotonic() - began < BOUND_S
    assert [step.is_good for step in steps[:3]] == [False, False, True]
    assert "did not answer within 0.6 s" in steps[0].came
    assert "refuses connections" in steps[1].came


@pytest.mark.full
def test_a_whole_set_of_dead_controllers_ends_in_time_and_names_them(full_backlog, controller):
    with serving(silent) as mute:
        servers = [full_backlog, mute.server()] * 4
        began = time.monotonic()
        failed = unavailable(directory(controller, *servers))
        assert time.monotonic() - began < 4 * TIMEOUT_S + 1
    assert f"port {full_backlog.port}" in failed.what
    assert "no domain controller can be used" in failed.what


def test_a_controller_that_has_failed_is_still_asked_when_there_is_no_other(controller):
    refusing = LdapServer(HOST, free_port(), start_tls=False)
    asked = directory(controller, refusing)
    assert "refuses connections" in unavailable(asked).what
    with socket.create_server((HOST, refusing.port)) as late:
        failed = unavailable(asked)
        assert "did not answer" in failed.what
        late.accept()[0].close()


def test_a_name_without_address_is_passed_over(controller):
    nowhere = LdapServer("dc9.invalid", 636, start_tls=False)
    steps = []
    asked = directory(controller, nowhere, controller.server(), timeout_s=2.0)
    assert isinstance(asked.authenticate("anna", password_of("anna"), GROUPS, steps.append), Person)
    assert steps[0].what == "find the address of dc9.invalid"
    assert "cannot be found" in unavailable(directory(controller, nowhere)).what


@pytest.mark.full
def test_a_controller_that_was_stopped_and_started_is_asked_again(controller):
    asked = directory(controller, controller.server())
    controller.stop()
    try:
        assert "refuses connections" in unavailable(asked).what
    finally:
        controller.start()
    assert signed_in(asked).name == "anna"


# --------------------------------------------------------------------------- one bind, whatever happens


@pytest.mark.full
@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("answered", range(5))
def test_before_the_password_is_sent_another_controller_takes_over_and_after_it_none(answered, hangs_up, controller):
    with (
        serving(relaying(controller, answered=answered, hangs_up=hangs_up)) as first,
        serving(relaying(controller)) as second,
    ):
        asked = directory(controller, first.server(), second.server())
        if answered < 4:
            assert signed_in(asked).name == "anna"
            assert second.calls == 1
        else:
            assert "did not say whether the password is right" in unavailable(asked).what
            assert second.calls == 0
        sent = [one for one in first.requests + second.requests if password_of("anna").encode() in one]
        assert len(sent) == 1
        # The next sign-in begins with the other one.
        assert signed_in(asked, "ben").name == "ben"
        assert first.calls == 1


def test_what_is_sent_is_one_search_for_the_person_two_for_the_groups_and_one_bind(controller):
    with serving(relaying(controller)) as seen:
        assert (
            directory(controller, seen.server()).authenticate("anna", "not that one", GROUPS) is Refusal.WRONG_PASSWORD
        )
    assert list(map(operation_of, seen.requests)) == [BIND, SEARCH, SEARCH, SEARCH, BIND, UNBIND]
    assert seen.calls == 1


# --------------------------------------------------------------------------- nothing leaves without TLS


@pytest.mark.parametrize("answer", [UNAVAILABLE, AGREED + b"\x30\x00", b"\x30\x03abc", b"\x30\x85" + b"\1" * 8])
def test_where_starttls_is_not_simply_agreed_nothing_but_it_is_ever_sent(answer, controller):
    with serving(answering(answer)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
        assert "Active Directory" in failed.remedy or "StartTLS" in failed.remedy
    assert seen.plain.endswith(START_TLS)
    assert len(seen.plain) == 31


def test_starttls_that_is_refused_is_named_with_its_remedy(controller):
    with serving(answering(UNAVAILABLE)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
    assert failed.what == f"{HOST} refuses StartTLS (result 52)"
    assert "no password is ever sent without TLS" in failed.remedy


@pytest.mark.parametrize("answer", [(AGREED[:3], AGREED[3:]), (LONG_FORM,), tuple(bytes([one]) for one in AGREED)])
def test_an_answer_to_starttls_may_come_in_pieces_and_in_the_long_form(answer, controller):
    with serving(answering(*answer)) as seen:
        failed = unavailable(directory(controller, seen.server(start_tls=True)))
    assert "(TLS)" in failed.what
    assert seen.plain[31:32] == b"\x16"  # a handshake record of TLS


@pytest.mark.full
@pytest.mark.parametrize("answered", range(6))
def test_a_connection_lost_after_starttls_is_never_replaced_by_one_without(answered, controller):
    with serving(relaying(controller, answered=answered, hangs_up=True, start_tls=True)) as seen:
        asked = directory(controller, seen.server(start_tls=True))
        with contextlib.suppress(DirectoryUnavailable):
            asked.authenticate("anna", password_of("anna"), GROUPS)
    assert seen.calls == 1
    assert len(seen.plain) == 31
    assert len([one for one in seen.requests if password_of("anna").encode() in one]) <= 1


def test_ldap3_is_kept_from_opening_another_connection_by_itself(controller):
    with serving(relaying(controller, answered=1, hangs_up=True, start_tls=True)) as seen:
        settings = controller.settings(seen.server(start_tls=True))
        place = Place(settings.servers[0], socket.AF_INET, (HOST, seen.port))
        budget = Budget(5.0, time.monotonic() + 20)
        with Talk(secured(place, settings.ca_file, budget, untold), place, budget, untold) as talk:
            talk.sign_in(settings)
            with pytest.raises(DirectoryUnavailable, match="closed the connection"):
                talk.search("(cn=anna)", ["cn"])
            with pytest.raises(DirectoryUnavailable, match="did not say whether"):
                talk.prove(dn("anna"), password_of("anna"))
    assert seen.calls == 1
    assert len(seen.plain) == 31


@pytest.mark.parametrize("start_tls", [False, True])
def test_settings_for_the_wrong_port_of_a_real_controller_send_nothing_and_say_so(start_tls, controller):
    port = 636 if start_tls else 389
    failed = unavailable(directory(controller, LdapServer(controller.address, port, start_tls=start_tls)))
    assert "LDAPS is on port 636, StartTLS on port 389" in failed.remedy


# --------------------------------------------------------------------------- not who they say


def distrusted(controller: DomainController, made: trustme.LeafCert, **changes: object) -> DirectoryUnavailable:
    with serving(under_tls(context_of(made), until_closed)) as seen:
        return unavailable(directory(controller, seen.server(), **changes))


def test_a_certificate_of_another_authority_is_named_with_its_remedy(controller):
    failed = distrusted(controller, trustme.CA(organization_name="Mallory").issue_cert(HOST))
    assert failed.what == f"the certificate of {HOST} was signed by an authority that is not trusted"
    assert controller.ca_file in failed.cause
    assert "certificate of the authority from whoever runs Active Directory" in failed.remedy


def test_without_a_file_only_those_are_trusted_that_this_machine_trusts(controller):
    failed = unavailable(directory(controller, controller.server(), ca_file=""))
    assert "those that this machine trusts" in failed.cause


def test_a_certificate_for_another_host_is_named_with_its_remedy(controller):
    failed = distrusted(controller, controller.authority.issue_cert("dc2.lab.example", "127.0.0.9"))
    assert failed.what == f"the certificate of {HOST} is for another host name"
    assert "enter the name" in failed.remedy


@pytest.mark.parametrize(
    ("years", "what", "remedy"),
    [((2001, 2002), "has expired", "renew"), ((2900, 2901), "is not valid yet", "clock of this machine")],
)
def test_a_certificate_of_another_time_is_named_with_its_remedy(years, what, remedy, controller):
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    failed = distrusted(controller, controller.authority.issue_cert(HOST, not_before=first, not_after=last))
    assert failed.what == f"the certificate of {HOST} {what}"
    assert remedy in failed.remedy


@pytest.mark.full
def test_what_has_to_be_mended_is_told_before_what_may_come_back(controller, full_backlog):
    expired = controller.authority.issue_cert(HOST, not_before=datetime(2001, 1, 1, tzinfo=UTC),
                                              not_after=datetime(2002, 1, 1, tzinfo=UTC))  # fmt: skip
    with serving(under_tls(context_of(expired), until_closed)) as seen:
        failed = unavailable(directory(controller, full_backlog, seen.server()))
    assert "has expired" in failed.what
    assert "did not answer" in failed.what
    assert "renew" in failed.remedy


@pytest.mark.full
def test_a_real_controller_whose_certificate_has_expired_or_is_for_another_lets_nobody_in(controller):
    old = {"not_before": datetime(2001, 1, 1, tzinfo=UTC), "not_after": datetime(2002, 1, 1, tzinfo=UTC)}
    try:
        for names, validity, what in (
            ((controller.address,), old, "has expired"),
            (("dc2.lab.example",), {}, "is for another host name"),
        ):
            controller.stop()
            controller.certify(*names, **validity)
            controller.start()
            for start_tls in (False, True):
                failed = unavailable(directory(controller, controller.server(start_tls=start_tls)))
                assert failed.what == f"the certificate of {controller.address} {what}"
    finally:
        controller.stop()
        controller.certify()
        controller.start()
    assert signed_in(directory(controller, controller.server())).name == "anna"


@pytest.mark.full
def test_a_renewed_file_of_authorities_is_used_without_a_new_directory(controller, tmp_path: Path):
    trusted = tmp_path / "trusted.pem"
    trustme.CA().cert_pem.write_to_path(str(trusted))
    asked = directory(controller, controller.server(), ca_file=str(trusted))
    assert "not trusted" in unavailable(asked).what
    trusted.write_bytes(Path(controller.ca_file).read_bytes())
    assert signed_in(asked).name == "anna"
